//! Progress bars on standard error, if it is a terminal.

use std::fmt::Write;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Global;

/// A bar over `total` items behind the word `doing`; hidden with `--quiet` and off a terminal.
pub(super) fn bar(global: &Global, total: usize, doing: &'static str) -> ProgressBar {
    let target = if global.quiet || total < 2 {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_message(doing);
    match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {left}") {
        Ok(style) => bar.with_style(style.with_key("left", time_left)),
        Err(_) => bar,
    }
}

/// The time that is left, once something is done by which it can be told.
fn time_left(state: &ProgressState, text: &mut dyn Write) {
    if state.pos() > 0 {
        // A bar that cannot be drawn keeps nobody from the work.
        let _ = write!(text, "{:#} left", HumanDuration(state.eta()));
    }
}

//! Progress bars on standard error, if it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Global;

/// A bar over `total` items behind the word `doing`; hidden with `--quiet` and off a terminal.
pub(super) fn bar(global: &Global, total: usize, doing: &'static str) -> ProgressBar {
    let target = if global.quiet || total < 2 {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_message(doing);
    match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

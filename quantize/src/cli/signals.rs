//! Signals end the program at once, but not before the model that is half written is gone.

use std::thread;

use anyhow::Context;
use coca_quantize::unfinished;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// From now on SIGINT and SIGTERM remove unfinished folders first. (SIGHUP is left alone: `nohup` ignores it.)
pub(super) fn leave_nothing_behind() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            unfinished::remove_all();
            // Whoever started the program sees that this signal ended it.
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

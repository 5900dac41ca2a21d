//! Signal handling: SIGINT and SIGTERM remove the model that is half written, then end the program. A mapped file that is
//! cut, and memory that is exhausted, end it with a sentence.

use std::thread;

use anyhow::Context;
use coca_kernels::{exit_on_abort, exit_on_lost_file};
use coca_quantize::staging;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// Starts the thread that handles SIGINT and SIGTERM. SIGHUP keeps its default, which `nohup` turns off.
pub(super) fn remove_staging_folders_on_signals() -> anyhow::Result<()> {
    exit_on_lost_file(
        "coca-quantize: a file of the model was cut while it was in use, or its disk went away",
    )
    .and_then(|()| exit_on_abort("coca-quantize: aborted; if memory is short, end other programs"))
    .context("cannot handle signals")?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            staging::remove_all();
            // The default handler ends the process in a way that shows its parent the signal.
            if emulate_default_handler(signal).is_err() {
                std::process::exit(128 + signal);
            }
        }
    };
    thread::Builder::new().spawn(wait).context("cannot handle signals")?;
    Ok(())
}

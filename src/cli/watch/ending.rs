//! Signals: SIGINT and SIGTERM end a watch within a second, SIGUSR1 asks for a caption.

use std::{
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use coca_edge::watch::Summary;
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    flag,
};

use crate::cli::messages;

/// Time between two looks for a signal.
const PERIOD: Duration = Duration::from_millis(25);
/// Time for the watch to end by itself: a large model's frame takes longer than a second on some boards.
const END_TIMEOUT: Duration = Duration::from_millis(700);

/// Requests that came by signals, and the summary for the end.
pub(super) struct Ending {
    is_wanted: Arc<AtomicBool>,
    is_caption_wanted: Arc<AtomicBool>,
    summary: Arc<Mutex<Option<Summary>>>,
}

impl Ending {
    /// SIGINT and SIGTERM end the program, a second one at once; SIGUSR1 asks for a caption.
    pub(super) fn on_signals() -> anyhow::Result<Self> {
        let ending = Self {
            is_wanted: Arc::default(),
            is_caption_wanted: Arc::default(),
            summary: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&ending.is_wanted))
                .and_then(|_| flag::register(signal, Arc::clone(&ending.is_wanted)))
                .context("signals")?;
        }
        flag::register(SIGUSR1, Arc::clone(&ending.is_caption_wanted)).context("signals")?;
        let (is_wanted, summary) = (Arc::clone(&ending.is_wanted), Arc::clone(&ending.summary));
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || end_when(&is_wanted, &summary))
            .context("signals")?;
        Ok(ending)
    }

    /// Whether a signal asks for the end.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Whether a caption was asked for since the last call.
    pub(super) fn caption_wanted(&self) -> bool {
        self.is_caption_wanted.swap(false, Ordering::Relaxed)
    }

    /// Sets the summary for the end.
    pub(super) fn remember(&self, summary: Summary) {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// Prints the summary, once.
    pub(super) fn tell(&self) {
        tell(&self.summary);
    }
}

/// Ends the program if the watch does not end in time after a signal.
fn end_when(is_wanted: &AtomicBool, summary: &Mutex<Option<Summary>>) {
    while !is_wanted.load(Ordering::Relaxed) {
        thread::sleep(PERIOD);
    }
    thread::sleep(END_TIMEOUT);
    tell(summary);
    process::exit(0);
}

fn tell(summary: &Mutex<Option<Summary>>) {
    if let Some(summary) = summary.lock().unwrap_or_else(PoisonError::into_inner).take() {
        messages::say(&summary);
    }
}

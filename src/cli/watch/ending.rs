//! Signals: an end within a second, and a caption on request.

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

/// How often a signal is looked for.
const PERIOD: Duration = Duration::from_millis(25);
/// How long a step may still take after a signal: a large model's frame takes longer than a second on some boards.
const PATIENCE: Duration = Duration::from_millis(700);

/// What signals ask for.
pub(super) struct Ending {
    is_wanted: Arc<AtomicBool>,
    is_caption_wanted: Arc<AtomicBool>,
    summary: Arc<Mutex<Summary>>,
}

impl Ending {
    /// SIGINT and SIGTERM end the watch, a second one at once; SIGUSR1 asks for a caption.
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
        Ok(ending)
    }

    /// Hands a signal on to `stop`, and ends the program if that takes too long.
    pub(super) fn watch_over(&mut self, stop: Arc<AtomicBool>) {
        let (is_wanted, summary) = (Arc::clone(&self.is_wanted), Arc::clone(&self.summary));
        thread::spawn(move || {
            while !is_wanted.load(Ordering::Relaxed) {
                thread::sleep(PERIOD);
            }
            stop.store(true, Ordering::Relaxed);
            thread::sleep(PATIENCE);
            eprintln!("{}", summary.lock().unwrap_or_else(PoisonError::into_inner));
            process::exit(0);
        });
    }

    /// What to say if the program has to be ended.
    pub(super) fn remember(&self, summary: Summary) {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = summary;
    }

    /// Whether a caption was asked for since the last call.
    pub(super) fn caption_wanted(&self) -> bool {
        self.is_caption_wanted.swap(false, Ordering::Relaxed)
    }
}

//! Signal-to-noise ratios.

use std::{fmt, ops::AddAssign};

/// Ratios that a report shows.
const SHOWN: usize = 5;

/// The energy of a signal, and that of its errors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Noise {
    pub(super) signal: f64,
    pub(super) noise: f64,
}

impl Noise {
    /// Takes up a value, and what was found in its place.
    pub(super) fn add(&mut self, exact: f32, found: f32) {
        self.signal += f64::from(exact).powi(2);
        self.noise += f64::from(exact - found).powi(2);
    }

    /// Signal-to-noise ratio in dB; `None` without a signal.
    pub(super) fn decibels(self) -> Option<f64> {
        let ratio = self.signal / self.noise.max(f64::MIN_POSITIVE);
        (self.signal > 0.0).then(|| 10.0 * ratio.log10())
    }
}

impl AddAssign for Noise {
    fn add_assign(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }
}

/// Writes the first of `ratios`, which have the worst first.
pub(super) fn write_worst(f: &mut fmt::Formatter<'_>, ratios: &[(String, f64)]) -> fmt::Result {
    let mut shown = ratios.iter().take(SHOWN);
    shown.try_for_each(|(name, decibels)| {
        writeln!(f, "{decibels:5.1} dB above the noise of rounding: {name}")
    })
}

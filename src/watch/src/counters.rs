//! Totals since the start.

use std::ops::Add;

/// Totals of a watch since its start.
///
/// A [`Capture`](crate::camera::Capture) counts what concerns its source, a [`Watch`](crate::pipeline::Watch) what it
/// does with the frames; [`Add`] brings the two together.
///
/// ```
/// use coca_watch::Counters;
///
/// let source = Counters { captured: 30, dropped: 18, damaged: 1, ..Counters::default() };
/// let model = Counters { labelled: 10, damaged: 1, ..Counters::default() };
/// let total = source + model;
/// assert_eq!((total.captured, total.labelled, total.damaged), (30, 10, 2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the source delivered.
    pub captured: u64,
    /// Frames that the model labelled.
    pub labelled: u64,
    /// Frames that a newer one replaced before anybody took them.
    pub dropped: u64,
    /// Frames that the driver flagged as damaged or that could not be decoded.
    pub damaged: u64,
    /// Captions written.
    pub captions: u64,
    /// Times that the source was opened again after a failure.
    pub reopened: u64,
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            captured: self.captured + other.captured,
            labelled: self.labelled + other.labelled,
            dropped: self.dropped + other.dropped,
            damaged: self.damaged + other.damaged,
            captions: self.captions + other.captions,
            reopened: self.reopened + other.reopened,
        }
    }
}

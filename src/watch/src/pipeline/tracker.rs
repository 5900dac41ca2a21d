//! Labels that do not flicker: scores are smoothed from frame to frame, and a label enters above a higher score than the
//! one below which it leaves (hysteresis).

use std::collections::BTreeSet;

use serde::Serialize;

use super::Error;
use crate::TrackedLabel;

/// Smoothing and selection of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerOptions {
    /// Number of labels to show, at least 1.
    pub top_k: usize,
    /// Least score of a label to show, 0 to 1.
    pub threshold: f32,
    /// Share of the old score in the new one: 0 (no smoothing) to less than 1.
    pub smoothing: f32,
    /// Smoothed score from which on a label enters, 0 to 1.
    pub high: f32,
    /// Smoothed score below which a label leaves, 0 to `high`.
    pub low: f32,
    /// Frames in a row that must reach `high`, or stay below `low`, before a label enters or leaves; at least 1.
    pub consecutive: u32,
    /// The only labels to show, if not empty.
    pub allow: BTreeSet<String>,
    /// Labels that compete for scores but are never shown.
    pub deny: BTreeSet<String>,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            top_k: 5,
            threshold: 0.0,
            smoothing: 0.6,
            high: 0.5,
            low: 0.3,
            consecutive: 1,
            allow: BTreeSet::new(),
            deny: BTreeSet::new(),
        }
    }
}

impl TrackerOptions {
    /// Checks every value's range.
    ///
    /// # Errors
    /// [`Error::Option`] names the first value that cannot be used.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |option, expected: &str, found: String| {
            Err(Error::Option { option, expected: expected.to_owned(), found })
        };
        let unit = 0.0..=1.0;
        if self.top_k == 0 {
            return wrong("top_k", "at least 1", "0".to_owned());
        }
        if !unit.contains(&self.threshold) {
            return wrong("threshold", "0 to 1", self.threshold.to_string());
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return wrong("smoothing", "0 to less than 1", self.smoothing.to_string());
        }
        if !unit.contains(&self.high) {
            return wrong("high", "0 to 1", self.high.to_string());
        }
        if !(0.0..=self.high).contains(&self.low) {
            return wrong("low", &format!("0 to high, {}", self.high), self.low.to_string());
        }
        if self.consecutive == 0 {
            return wrong("consecutive", "at least 1", "0".to_owned());
        }
        Ok(())
    }

    fn shows(&self, label: &str) -> bool {
        (self.allow.is_empty() || self.allow.contains(label)) && !self.deny.contains(label)
    }
}

/// A label that entered or left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Whether it entered or left.
    pub event: EventKind,
    /// The label.
    pub label: String,
    /// Its smoothed score, 0 to 1.
    pub score: f32,
}

/// Kind of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Its score reached `high`, as often as [`TrackerOptions::consecutive`] asks.
    Entered,
    /// Its score fell below `low`, as often.
    Left,
}

/// Smooths scores from frame to frame and decides which labels are in view.
///
/// ```
/// use coca_watch::pipeline::{EventKind, LabelTracker, TrackerOptions};
///
/// let names = ["cat".to_owned(), "dog".to_owned()];
/// let mut tracker = LabelTracker::new(TrackerOptions::default(), &names)?;
/// let events = tracker.update([0.9, 0.1]);
/// assert_eq!((events[0].event, events[0].label.as_str()), (EventKind::Entered, "cat"));
/// assert!(tracker.update([0.4, 0.6]).is_empty()); // 0.7 smoothed: still above `low`
/// assert_eq!(tracker.best()[0].label, "cat");
/// # Ok::<(), coca_watch::pipeline::Error>(())
/// ```
#[derive(Debug)]
pub struct LabelTracker {
    options: TrackerOptions,
    labels: Vec<State>,
}

#[derive(Debug)]
struct State {
    label: String,
    /// `None` before the first frame.
    score: Option<f32>,
    is_active: bool,
    /// Frames in a row that spoke for a change of `is_active`.
    contrary: u32,
    is_shown: bool,
}

impl LabelTracker {
    /// For these labels.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of its range.
    pub fn new(options: TrackerOptions, labels: &[String]) -> Result<Self, Error> {
        options.validate()?;
        let mut tracker = Self { options, labels: Vec::new() };
        tracker.replace_labels(labels);
        Ok(tracker)
    }

    /// Goes on with other labels. Those in both lists keep their state; active ones that are gone leave.
    pub fn replace_labels(&mut self, labels: &[String]) -> Vec<Event> {
        let mut old = std::mem::take(&mut self.labels);
        self.labels = labels
            .iter()
            .map(|label| match old.iter().position(|state| state.label == *label) {
                Some(at) => old.swap_remove(at),
                None => State {
                    label: label.clone(),
                    score: None,
                    is_active: false,
                    contrary: 0,
                    is_shown: self.options.shows(label),
                },
            })
            .collect();
        old.iter()
            .filter(|state| state.is_active)
            .map(|state| state.event(EventKind::Left))
            .collect()
    }

    /// Takes the scores of a frame, one for each label in order; returns the labels that entered or left.
    pub fn update(&mut self, scores: impl IntoIterator<Item = f32>) -> Vec<Event> {
        let TrackerOptions { smoothing, high, low, consecutive, .. } = self.options;
        let mut events = Vec::new();
        for (state, new) in self.labels.iter_mut().zip(scores) {
            let score = state.score.map_or(new, |old| smoothing * old + (1.0 - smoothing) * new);
            state.score = Some(score);
            if !state.is_shown {
                continue;
            }
            let speaks_for = if state.is_active { score >= low } else { score >= high };
            state.contrary = if speaks_for == state.is_active { 0 } else { state.contrary + 1 };
            if state.contrary == consecutive {
                (state.is_active, state.contrary) = (speaks_for, 0);
                let kind = if speaks_for { EventKind::Entered } else { EventKind::Left };
                events.push(state.event(kind));
            }
        }
        events
    }

    /// Labels to show, best first.
    #[must_use]
    pub fn best(&self) -> Vec<TrackedLabel> {
        let shown = self.labels.iter().filter(|state| state.is_shown);
        let mut scored: Vec<(f32, &State)> =
            shown.filter_map(|state| Some((state.score?, state))).collect();
        scored.retain(|(score, _)| *score >= self.options.threshold);
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.truncate(self.options.top_k);
        let tracked = scored.into_iter().map(|(score, state)| TrackedLabel {
            label: state.label.clone(),
            score,
            active: state.is_active,
        });
        tracked.collect()
    }
}

impl State {
    /// Only a label with a score is ever active, so that 0 is never told.
    fn event(&self, event: EventKind) -> Event {
        Event { event, label: self.label.clone(), score: self.score.unwrap_or(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn tracker(options: TrackerOptions) -> LabelTracker {
        LabelTracker::new(options, &names(&["cat", "dog", "nothing"])).unwrap()
    }

    fn labels(tracker: &LabelTracker) -> Vec<String> {
        tracker.best().into_iter().map(|label| label.label).collect()
    }

    #[test]
    fn a_label_enters_above_high_and_stays_above_low() {
        let mut tracker = tracker(TrackerOptions { smoothing: 0.0, ..TrackerOptions::default() });
        let mut happened = Vec::new();
        for score in [0.4, 0.5, 0.31, 0.29, 0.49] {
            let events = tracker.update([score, 0.0, 0.0]);
            happened.push(events.first().map(|event| (event.event, event.label.clone())));
        }
        let cat = |kind| Some((kind, "cat".to_owned()));
        assert_eq!(happened, [None, cat(EventKind::Entered), None, cat(EventKind::Left), None]);
    }

    #[test]
    fn a_label_that_must_be_there_in_two_frames_in_a_row_is_not_entered_by_one() {
        let options = TrackerOptions { smoothing: 0.0, consecutive: 2, ..Default::default() };
        let mut tracker = tracker(options);
        let mut happened = Vec::new();
        for score in [0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1] {
            let events = tracker.update([score, 0.0, 0.0]);
            happened.push(events.first().map(|event| event.event));
        }
        let (entered, left) = (Some(EventKind::Entered), Some(EventKind::Left));
        assert_eq!(happened, [None, None, None, entered, None, None, None, left]);
    }

    #[test]
    fn best_labels_come_first_and_no_more_than_asked_for() {
        let mut tracker =
            tracker(TrackerOptions { top_k: 2, threshold: 0.3, ..Default::default() });
        tracker.update([0.31, 0.6, 0.35]);
        assert_eq!(labels(&tracker), ["dog", "nothing"]);
        tracker.update([0.0, 0.0, 0.0]);
        assert_eq!(labels(&tracker), ["dog"]);
    }

    #[test]
    fn denied_labels_compete_but_are_never_shown() {
        let deny = BTreeSet::from(["nothing".to_owned()]);
        let mut tracker = tracker(TrackerOptions { deny, ..Default::default() });
        assert_eq!(tracker.update([0.05, 0.05, 0.9]), []);
        assert_eq!(labels(&tracker), ["cat", "dog"]);
    }

    #[test]
    fn an_allow_list_shows_nothing_else() {
        let allow = BTreeSet::from(["dog".to_owned()]);
        let mut tracker = tracker(TrackerOptions { allow, ..Default::default() });
        assert_eq!(tracker.update([0.9, 0.05, 0.05]), []);
        assert_eq!(labels(&tracker), ["dog"]);
    }

    #[test]
    fn labels_that_are_taken_away_leave_and_those_that_stay_keep_their_score() {
        let mut tracker = tracker(TrackerOptions::default());
        tracker.update([0.9, 0.05, 0.05]);
        let events = tracker.replace_labels(&names(&["fox", "dog"]));
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].event, events[0].label.as_str()), (EventKind::Left, "cat"));
        tracker.update([0.5, 0.05]);
        assert_eq!(labels(&tracker), ["fox", "dog"]);
        assert!((tracker.best()[1].score - 0.05).abs() < 1e-6);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let error = |options: TrackerOptions| options.validate().unwrap_err().to_string();
        assert_eq!(
            error(TrackerOptions { low: 0.6, ..Default::default() }),
            "low: expected 0 to high, 0.5, found 0.6"
        );
        assert_eq!(
            error(TrackerOptions { smoothing: 1.0, ..Default::default() }),
            "smoothing: expected 0 to less than 1, found 1"
        );
        assert!(
            error(TrackerOptions { high: f32::NAN, ..Default::default() }).starts_with("high: ")
        );
        assert_eq!(
            error(TrackerOptions { consecutive: 0, ..Default::default() }),
            "consecutive: expected at least 1, found 0"
        );
    }

    proptest! {
        #[test]
        fn events_alternate_and_tell_the_truth(
            scores in prop::collection::vec(0.0_f32..=1.0, 1..60),
            smoothing in 0.0_f32..0.99, high in 0.0_f32..=1.0, share in 0.0_f32..=1.0,
        ) {
            let low = high * share;
            let options = TrackerOptions { smoothing, high, low, ..Default::default() };
            let mut tracker = LabelTracker::new(options, &names(&["a"])).unwrap();
            let mut is_active = false;
            for score in scores {
                for event in tracker.update([score]) {
                    prop_assert_eq!(event.event == EventKind::Entered, !is_active);
                    is_active = !is_active;
                    let is_true = if is_active { event.score >= high } else { event.score < low };
                    prop_assert!(is_true);
                }
                let best = tracker.best();
                prop_assert_eq!(best[0].active, is_active);
                let is_true = if is_active { best[0].score >= low } else { best[0].score < high };
                prop_assert!(is_true);
            }
        }

        #[test]
        fn a_smoothed_score_stays_between_the_scores_seen(
            scores in prop::collection::vec(0.0_f32..=1.0, 1..60), smoothing in 0.0_f32..0.99,
        ) {
            let mut tracker = LabelTracker::new(
                TrackerOptions { smoothing, ..Default::default() }, &names(&["a"])).unwrap();
            let (mut least, mut most) = (1.0_f32, 0.0_f32);
            for score in scores {
                (least, most) = (least.min(score), most.max(score));
                tracker.update([score]);
                let smoothed = tracker.best()[0].score;
                prop_assert!((least - 1e-5..=most + 1e-5).contains(&smoothed));
            }
        }
    }
}

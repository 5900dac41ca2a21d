//! The labels that are looked for, and their state.

use std::sync::Arc;

use coca_model::{Coca, Embedding, Labels};
use coca_text::Templates;

use super::{Error, Event, LabelTracker, TrackerOptions, label_loader::LabelLoader};
use crate::TrackedLabel;

/// Labels whose scores are tracked, and that viewers may replace.
pub(super) struct LiveLabels {
    labels: Option<Labels>,
    tracker: LabelTracker,
    loader: Option<LabelLoader>,
    /// Events of replaced labels that no report has told yet.
    events: Vec<Event>,
}

impl LiveLabels {
    /// # Errors
    /// [`Error::Option`] if an option is out of its range.
    pub(super) fn new(labels: Option<Labels>, options: TrackerOptions) -> Result<Self, Error> {
        let names = labels.as_ref().map_or(&[][..], Labels::names);
        let tracker = LabelTracker::new(options, names)?;
        Ok(Self { labels, tracker, loader: None, events: Vec::new() })
    }

    /// Lets [`replace`](Self::replace) work: without it labels stay as they are. A label named `none` stands for
    /// everything else.
    ///
    /// # Errors
    /// [`Error::Task`] when the model's template is wrong, [`Error::Thread`] when the system has no more threads.
    pub(super) fn make_replaceable(
        &mut self,
        coca: Arc<Coca>,
        templates: Option<Templates>,
        none: Option<String>,
    ) -> Result<(), Error> {
        let templates = match templates {
            Some(templates) => templates,
            None => coca.default_template()?,
        };
        self.loader = Some(LabelLoader::start(coca, templates, none)?);
        Ok(())
    }

    /// The labels that are looked for.
    pub(super) fn names(&self) -> &[String] {
        self.labels.as_ref().map_or(&[], Labels::names)
    }

    /// Has the embeddings of other labels computed, which then replace the present ones.
    pub(super) fn replace(&mut self, names: Vec<String>) {
        if let Some(loader) = &mut self.loader {
            loader.request(names);
        }
    }

    /// Takes labels over whose embeddings are computed; whether there are any.
    pub(super) fn poll(&mut self) -> bool {
        let Some(labels) = self.loader.as_mut().and_then(LabelLoader::finished) else {
            return false;
        };
        self.events.extend(self.tracker.replace_labels(labels.names()));
        self.labels = Some(labels);
        true
    }

    /// Scores a frame; returns the events since the last one.
    ///
    /// # Errors
    /// [`Error::Task`] if another model computed the labels.
    pub(super) fn update(&mut self, embedding: &Embedding) -> Result<Vec<Event>, Error> {
        let mut events = std::mem::take(&mut self.events);
        if let Some(labels) = &self.labels {
            events.extend(self.tracker.update(labels.scores(embedding)?));
        }
        Ok(events)
    }

    /// Labels to show, best first.
    pub(super) fn best(&self) -> Vec<TrackedLabel> {
        self.tracker.best()
    }
}

//! Replacement of labels: their embeddings are computed in a thread of their own while the watch goes on.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
};

use coca_model::{
    Coca, Labels,
    tasks::{self, LabelCheck, is_same_name},
};
use coca_text::Templates;

use super::Error;

/// Labels of a list.
const MAX_LABELS: usize = 1000;
/// Characters of a label, as on the page.
const MAX_CHARACTERS: usize = 200;

/// Computes the embeddings of one list at a time: of lists that come in between only the newest is kept.
pub(super) struct LabelLoader {
    lists: Sender<Vec<String>>,
    done: Receiver<Option<Labels>>,
    is_working: bool,
    waiting: Option<Vec<String>>,
}

impl LabelLoader {
    /// A label named `none` stands for everything else.
    pub(super) fn start(
        coca: Arc<Coca>,
        templates: Templates,
        none: Option<String>,
    ) -> Result<Self, Error> {
        let ((lists, sent), (finished, done)) = (channel::<Vec<String>>(), channel());
        let work = move || {
            for list in sent {
                let labels = load(&coca, list, &templates, none.as_deref())
                    .inspect_err(|error| log::warn!("the labels stay as they are: {error}"));
                if finished.send(labels.ok()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("labels".to_owned())
            .spawn(work)
            .map_err(|error| Error::Thread { work: "labels", error })?;
        Ok(Self { lists, done, is_working: false, waiting: None })
    }

    /// Computes the embeddings of these labels. Surplus blanks, repeated and oversized labels are left out.
    pub(super) fn request(&mut self, names: Vec<String>) {
        let names = tidy(names);
        if names.is_empty() {
            log::warn!("the labels stay as they are: the new list is empty");
            return;
        }
        self.waiting = Some(names);
        self.send_waiting();
    }

    /// A list that was finished since the last call.
    pub(super) fn finished(&mut self) -> Option<Labels> {
        let labels = match self.done.try_recv() {
            Ok(labels) => labels,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                if self.is_working {
                    log::warn!("the labels stay as they are: their thread broke down");
                }
                None
            }
        };
        self.is_working = false;
        self.send_waiting();
        labels
    }

    fn send_waiting(&mut self) {
        if self.is_working {
            return;
        }
        let Some(names) = self.waiting.take() else { return };
        self.is_working = self.lists.send(names).is_ok();
        if !self.is_working {
            log::warn!("the labels stay as they are: their thread broke down");
        }
    }
}

fn load(
    coca: &Coca,
    mut names: Vec<String>,
    templates: &Templates,
    none: Option<&str>,
) -> Result<Labels, tasks::Error> {
    let all = names.len();
    names.retain(|name| none.is_none_or(|none| !is_same_name(none, name)));
    let has_none = names.len() < all;
    let check = coca.check_labels(names, templates)?;
    tell(&check);
    let labels = coca.labels_with(check.names, templates, |_, _| ())?;
    match none.filter(|_| has_none) {
        Some(none) => labels.with_none(none, coca.cohort()?),
        None => Ok(labels),
    }
}

/// Logs labels that are left out or cut.
fn tell(check: &LabelCheck) {
    for (name, first) in &check.same {
        log::warn!("{name}: the same to the model as {first}; {first} is used");
    }
    for text in &check.cut {
        log::warn!("{text}: longer than the model can read: it sees only the beginning");
    }
}

fn tidy(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|name| {
            !name.is_empty() && name.chars().count() <= MAX_CHARACTERS && seen.insert(name.clone())
        })
        .take(MAX_LABELS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_repeated_and_oversized_labels_are_left_out() {
        let [long, umlauts] = ["x", "ü"].map(|letter| letter.repeat(MAX_CHARACTERS));
        let names = ["  red   fox ", "", "red fox", &format!("{long}x"), "dog\n", &umlauts];
        assert_eq!(tidy(names.map(str::to_owned).to_vec()), ["red fox", "dog", &umlauts]);
        assert_eq!(tidy((0..5000).map(|n| n.to_string()).collect()).len(), MAX_LABELS);
    }
}

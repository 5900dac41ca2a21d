//! Other labels while the watch goes on: their embeddings are computed in a thread of their own.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
};

use coca_model::{Coca, Labels};
use coca_text::Templates;

use super::Error;

/// The most labels that a display's user may ask for.
const MOST: usize = 1000;
/// The longest of them, in bytes.
const LONGEST: usize = 200;

/// Makes label lists ready, one at a time: of those that come in between only the newest is kept.
pub(super) struct Relabelling {
    lists: Sender<Vec<String>>,
    done: Receiver<Option<Labels>>,
    is_working: bool,
    waiting: Option<Vec<String>>,
}

impl Relabelling {
    pub(super) fn start(coca: Arc<Coca>, templates: Templates) -> Result<Self, Error> {
        let ((lists, sent), (finished, done)) = (channel::<Vec<String>>(), channel());
        let work = move || {
            for list in sent {
                let labels = coca
                    .labels_with(list, &templates, |_, _| ())
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

    /// Asks for these labels, without blanks, repeats, and what is out of all bounds.
    pub(super) fn request(&mut self, names: Vec<String>) {
        let names = sound(names);
        if names.is_empty() {
            log::warn!("the labels stay as they are: the new list is empty");
            return;
        }
        self.waiting = Some(names);
        self.send_waiting();
    }

    /// Labels that have become ready.
    pub(super) fn ready(&mut self) -> Option<Labels> {
        let labels = match self.done.try_recv() {
            Ok(labels) => labels,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
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

fn sound(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|name| !name.is_empty() && name.len() <= LONGEST && seen.insert(name.clone()))
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_repeats_and_monsters_are_left_out() {
        let names = ["  red   fox ", "", "red fox", &"x".repeat(LONGEST + 1), "dog\n"];
        assert_eq!(sound(names.map(str::to_owned).to_vec()), ["red fox", "dog"]);
        assert_eq!(sound((0..5000).map(|n| n.to_string()).collect()).len(), MOST);
    }
}

//! Other labels while the watch goes on: their embeddings are computed in a thread of their own.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use super::Error;
use crate::{Coca, Labels, Templates};

/// The most labels that a display's user may ask for.
const MOST: usize = 1000;
/// The longest of them, in bytes.
const LONGEST: usize = 200;

/// Makes label lists ready.
pub(super) struct Relabelling {
    lists: Sender<Vec<String>>,
    ready: Receiver<Labels>,
}

impl Relabelling {
    pub(super) fn start(coca: Arc<Coca>, templates: Templates) -> Result<Self, Error> {
        let ((lists, waiting), (finished, ready)) = (channel::<Vec<String>>(), channel());
        let work = move || {
            while let Ok(mut list) = waiting.recv() {
                // Only the newest list counts.
                while let Ok(newer) = waiting.try_recv() {
                    list = newer;
                }
                match coca.labels_with(list, &templates, |_, _| ()) {
                    Ok(labels) => {
                        if finished.send(labels).is_err() {
                            return;
                        }
                    }
                    Err(error) => log::warn!("the labels stay as they are: {error}"),
                }
            }
        };
        thread::Builder::new()
            .name("labels".to_owned())
            .spawn(work)
            .map_err(|error| Error::Thread { work: "labels", error })?;
        Ok(Self { lists, ready })
    }

    /// Asks for these labels, without blanks, repeats, and what is out of all bounds.
    pub(super) fn request(&self, names: Vec<String>) {
        let names = sound(names);
        if names.is_empty() {
            log::warn!("the labels stay as they are: the new list is empty");
        } else if self.lists.send(names).is_err() {
            log::warn!("the labels stay as they are: their thread broke down");
        }
    }

    /// Labels that have become ready.
    pub(super) fn ready(&self) -> Option<Labels> {
        self.ready.try_iter().last()
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

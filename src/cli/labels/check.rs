//! `coca labels check`: a table against pictures whose labels are known.

use std::{cmp::Reverse, collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::cli::{
    Global, Outcome, Usage,
    label_folders::label_folders,
    output::{self, Format, ReportFormat},
    pictures::{self, Images},
};

#[derive(clap::Args)]
pub(super) struct Check {
    /// The table
    table: PathBuf,
    /// A folder with a folder of pictures for each label
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How to print the result
    #[arg(long, default_value = "text")]
    format: ReportFormat,
}

#[derive(Serialize)]
struct Answer {
    pictures: usize,
    /// Share of the pictures that are labelled right.
    accuracy: f64,
    labels: Vec<LabelAccuracy>,
    /// The most frequent first.
    confusions: Vec<Confusion>,
}

#[derive(Serialize)]
struct LabelAccuracy {
    label: String,
    pictures: usize,
    accuracy: f64,
}

#[derive(Serialize)]
struct Confusion {
    label: String,
    taken_for: String,
    pictures: usize,
}

pub(super) fn run(global: &Global, arguments: &Check) -> anyhow::Result<Outcome> {
    let folders = label_folders(&arguments.folder)?;
    let coca = global.open_model()?;
    let labels = coca.load_labels(&arguments.table)?;
    let mut guesses: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut outcome = Outcome::Done;
    for (label, folder) in folders {
        if !labels.names().contains(&label) {
            let (folder, table) = (folder.display(), arguments.table.display());
            return Err(Usage(format!("{folder}: {label:?} is no label of {table}")).into());
        }
        let images = Images::from(folder);
        let answered =
            pictures::answer_each(global, &coca, &images, Format::Text, |_, _, picture| {
                for best in labels.classify(picture, 1)? {
                    *guesses.entry((label.clone(), best.label)).or_default() += 1;
                }
                Ok(())
            })?;
        if let Outcome::SomeFailed = answered {
            outcome = Outcome::SomeFailed;
        }
    }
    let answer = Answer::of(&guesses);
    match arguments.format {
        ReportFormat::Json => output::print_json_report(&answer)?,
        ReportFormat::Text => output::print_report(answer.lines())?,
    }
    Ok(outcome)
}

impl Answer {
    /// Counts of pictures by their label and the label that they got.
    fn of(guesses: &BTreeMap<(String, String), usize>) -> Self {
        let share = |right: usize, of: usize| right as f64 / of.max(1) as f64;
        let mut by_label: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut confusions = Vec::new();
        for ((label, guess), &pictures) in guesses {
            let (right, all) = by_label.entry(label).or_default();
            *all += pictures;
            if label == guess {
                *right += pictures;
            } else {
                let (label, taken_for) = (label.clone(), guess.clone());
                confusions.push(Confusion { label, taken_for, pictures });
            }
        }
        confusions.sort_by_key(|confusion| Reverse(confusion.pictures));
        let right = by_label.values().map(|(right, _)| right).sum();
        let pictures = by_label.values().map(|(_, all)| all).sum();
        let labels = by_label.into_iter().map(|(label, (right, pictures))| {
            let accuracy = share(right, pictures);
            LabelAccuracy { label: label.to_owned(), pictures, accuracy }
        });
        let labels = labels.collect();
        Self { pictures, accuracy: share(right, pictures), labels, confusions }
    }

    fn lines(&self) -> Vec<String> {
        let right = 100.0 * self.accuracy;
        let mut lines = vec![format!("{} pictures, right {right:.1} %", self.pictures)];
        lines.extend(self.labels.iter().map(|LabelAccuracy { label, pictures, accuracy }| {
            format!("  {accuracy:.3}  {pictures:>4}  {label}")
        }));
        lines.extend(self.confusions.iter().map(|Confusion { label, taken_for, pictures }| {
            format!("{label} is taken for {taken_for} in {pictures} pictures")
        }));
        lines
    }
}

//! `coca similar`: pictures that are nearly the same.

use std::path::PathBuf;

use coca_edge::index::{Index, SimilarGroup};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    Global, Outcome,
    numbers::between,
    output::{self, Format},
    search::open_index,
};

/// Find pictures that are nearly the same: bursts, copies, crops
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The index [default: the nearest .coca, from the current folder upwards]
    #[arg(long, value_name = "FOLDER")]
    index: Option<PathBuf>,
    /// The cosine from which on two pictures belong together
    #[arg(long, value_name = "COS", default_value_t = 0.95, value_parser = between(-1.0_f32, 1.0))]
    threshold: f32,
    /// Leave out what lies side by side: only pictures of different folders join
    #[arg(long)]
    across_folders: bool,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Group {
    pictures: Vec<String>,
    cosine: f64,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let index = open_index(global, arguments.index.as_deref())?;
    for group in index.similar(arguments.threshold, arguments.across_folders)? {
        let group = Group::new(&index, &group);
        match arguments.format {
            Format::Jsonl => output::print_json(&ProgressBar::hidden(), &group)?,
            Format::Text => output::print_report(group.lines())?,
        }
    }
    Ok(Outcome::Done)
}

impl Group {
    fn new(index: &Index, group: &SimilarGroup) -> Self {
        let file = |picture| index.file(picture).to_string_lossy().into_owned();
        Self { pictures: group.pictures.iter().map(file).collect(), cosine: group.cosine }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let pictures = self.pictures.iter().map(|picture| format!("  {picture}"));
        std::iter::once(format!("{:.3}", self.cosine)).chain(pictures)
    }
}

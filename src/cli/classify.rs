//! `coca classify`: which labels fit a picture.

use std::{fmt::Write, path::PathBuf};

use coca_edge::{Coca, LabelScore, Labels};
use serde::Serialize;

use super::{
    Global, Outcome, Usage,
    labels::{self, TemplateChoice},
    output::{self, Format},
    pictures::{self, Images},
};

/// Say which labels fit a picture
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    labels: LabelChoice,
    #[command(flatten)]
    templates: TemplateChoice,
    /// How many labels to give, best first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = at_least_one)]
    top_k: usize,
    /// Leave out labels that score less, 0 to 1
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = score)]
    threshold: f32,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct LabelChoice {
    /// Labels to choose from, separated by commas
    #[arg(long, value_name = "A,B,C")]
    labels: Option<String>,
    /// A text file with one label a line
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// A table that `coca labels build` made
    #[arg(long, value_name = "TABLE", conflicts_with = "templates")]
    table: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    source: &'a str,
    labels: Vec<LabelScore>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let labels = choose_labels(global, &coca, arguments)?;
    let format = arguments.format;
    pictures::for_each(global, &coca, &arguments.images.images, |bar, source, picture| {
        let picture = match picture {
            Ok(picture) => picture,
            Err(error) => return output::report(bar, format, source, error),
        };
        let mut best = labels.classify(picture, arguments.top_k)?;
        best.retain(|label| label.score >= arguments.threshold);
        let answer = Answer { source, labels: best };
        match format {
            Format::Jsonl => output::print_json(bar, &answer),
            Format::Text => output::print(bar, &answer.text()),
        }
    })
}

fn choose_labels(global: &Global, coca: &Coca, arguments: &Arguments) -> anyhow::Result<Labels> {
    let choice = &arguments.labels;
    if let Some(table) = &choice.table {
        return Ok(coca.load_labels(table)?);
    }
    let names = match (&choice.labels, &choice.labels_file) {
        (Some(list), _) => split(list)?,
        (None, Some(file)) => labels::read_list(file)?,
        (None, None) => return Err(coca_edge::Error::NoLabels.into()),
    };
    labels::build_labels(global, coca, names, &arguments.templates)
}

fn split(list: &str) -> anyhow::Result<Vec<String>> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Usage(format!("--labels {list:?}: expected a,b,c")).into());
    }
    Ok(names)
}

impl Answer<'_> {
    fn text(&self) -> String {
        let mut text = self.source.to_owned();
        for LabelScore { label, score } in &self.labels {
            let _ = write!(text, "\n  {score:.3}  {label}");
        }
        text
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a number of at least 1".to_owned())
}

fn score(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|score| (0.0..=1.0).contains(score));
    score.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

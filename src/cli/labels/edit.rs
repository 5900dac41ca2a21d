//! `coca labels list`, `add` and `remove`.

use std::path::PathBuf;

use coca_edge::Teacher;
use indicatif::ProgressBar;
use serde::Serialize;

use super::check_taught;
use crate::cli::{
    Global, Outcome, messages,
    output::{self, Format},
    pictures,
};

#[derive(clap::Args)]
pub(super) struct List {
    /// The table
    table: PathBuf,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(clap::Args)]
pub(super) struct Add {
    /// The table
    table: PathBuf,
    /// The label, which may be new
    label: String,
    /// Pictures of it: files, folders (every picture in them, sorted) or - for standard input
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Remove {
    /// The table
    table: PathBuf,
    /// The label
    label: String,
}

#[derive(Serialize)]
struct Line<'a> {
    label: &'a str,
    /// Whether it stands for everything else.
    none: bool,
    pictures: &'a [&'a str],
}

pub(super) fn list(global: &Global, arguments: &List) -> anyhow::Result<Outcome> {
    let labels = global.open_model()?.load_labels(&arguments.table)?;
    let pictures = labels.pictures();
    for label in labels.names() {
        let pictures = pictures.get(label.as_str()).map_or(&[][..], Vec::as_slice);
        let none = labels.none() == Some(label);
        let bar = ProgressBar::hidden();
        match arguments.format {
            Format::Jsonl => output::print_json(&bar, &Line { label, none, pictures })?,
            Format::Text => output::print(&bar, [format!("{:>4}  {label}", pictures.len())])?,
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn add(global: &Global, arguments: &Add) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let labels = coca.load_labels(&arguments.table)?;
    let (method, none) = (labels.method(), labels.none().map(str::to_owned));
    let mut teacher = Teacher::new(&coca, labels);
    let label = arguments.label.as_str();
    if none.as_deref() != Some(label) {
        check_taught(&teacher, [label], &coca)?;
    }
    let outcome = pictures::embed_each(global, &coca, &arguments.images, 1, |source, picture| {
        match none.as_deref() == Some(label) {
            true => teacher.add_none(label, source, picture),
            false => teacher.add(label, source, picture),
        }
    })?;
    let (labels, report) = teacher.fit(method)?;
    labels.save(&arguments.table)?;
    let (now, names) = (100.0 * report.accuracy, 100.0 * report.names_alone);
    if !global.quiet {
        messages::say(format_args!("right {now:.1} %, by the names alone {names:.1} %"));
    }
    Ok(outcome)
}

pub(super) fn remove(global: &Global, arguments: &Remove) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let labels = coca.load_labels(&arguments.table)?;
    let method = labels.method();
    let mut teacher = Teacher::new(&coca, labels);
    teacher.remove(&arguments.label)?;
    let labels = match teacher.has_pictures() {
        true => teacher.fit(method)?.0,
        false => teacher.names_alone().clone(),
    };
    labels.save(&arguments.table)?;
    Ok(Outcome::Done)
}

//! `coca teach`: labels from a few pictures of each.

use std::path::PathBuf;

use clap::ValueEnum;
use coca_edge::{Coca, Teacher, tasks::Method, text::ListItem};

use super::{
    Global, Outcome, Usage,
    label_folders::label_folders,
    labels::{NONE, check_taught, distinct, read_list, split, without_repeats},
    numbers::between,
    output::{self, ReportFormat},
    pictures, teaching_report,
};

/// Teach labels with a few pictures of each
///
/// DIR has a folder for each label, named after it. The result is a label table for classify, watch and search. A folder
/// named none, or --none DIR, holds pictures of anything else.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A folder with a folder of pictures for each label
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where to write the table
    #[arg(long, short, value_name = "TABLE")]
    output: PathBuf,
    #[command(flatten)]
    base: Base,
    /// Pictures of anything else: a folder
    #[arg(long, value_name = "DIR")]
    none: Option<PathBuf>,
    /// How pictures are learnt from
    #[arg(long, default_value = "auto")]
    method: MethodChoice,
    /// Learn from the mean of so many views of each picture: mirrored, enlarged
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = between(1_u16, 32))]
    views: u16,
    /// How to print the report
    #[arg(long, default_value = "text")]
    report: ReportFormat,
}

/// Labels beside those of the folders.
#[derive(clap::Args)]
#[group(multiple = false)]
struct Base {
    /// A table whose labels, and pictures if it was taught, are kept
    #[arg(long, value_name = "TABLE")]
    base: Option<PathBuf>,
    /// Further labels by their names alone, separated by commas
    #[arg(long, value_name = "A,B,C")]
    labels: Option<String>,
    /// A text file with further labels, one a line
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodChoice {
    /// The best one known: gda
    Auto,
    /// Gaussian discriminant analysis
    Gda,
    /// Tip-Adapter's cache of pictures
    Tip,
    /// The nearest mean
    Prototype,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let folders = label_folders(&arguments.folder)?;
    let coca = global.open_model()?;
    let mut teacher = arguments.base.teacher(&coca)?;
    let names = folders.iter().map(|(label, _)| label.as_str());
    check_taught(&teacher, names.filter(|name| *name != NONE), &coca)?;
    let mut outcome = Outcome::Done;
    let none = arguments.none.iter().map(|folder| (NONE.to_owned(), folder.clone()));
    for (label, folder) in folders.into_iter().chain(none) {
        let views = arguments.views.into();
        let add = |source: &str, picture: coca_edge::Embedding| match label == NONE {
            true => teacher.add_none(NONE, source, picture),
            false => teacher.add(&label, source, picture),
        };
        if let Outcome::SomeFailed = pictures::embed_each(global, &coca, &[folder], views, add)? {
            outcome = Outcome::SomeFailed;
        }
    }
    let (labels, report) = teacher.fit(arguments.method.to_library())?;
    labels.save(&arguments.output)?;
    match arguments.report {
        ReportFormat::Json => output::print_json_report(&report)?,
        ReportFormat::Text => output::print_report(teaching_report::lines(&report))?,
    }
    Ok(outcome)
}

impl Base {
    fn teacher(&self, coca: &Coca) -> anyhow::Result<Teacher> {
        let names = match self {
            Self { base: Some(table), .. } => {
                return Ok(Teacher::new(coca, coca.load_labels(table)?));
            }
            Self { labels: Some(list), .. } => split(list)?,
            Self { labels_file: Some(file), .. } => read_list(file, ListItem::Label)?,
            Self { .. } => return Ok(Teacher::empty(coca)),
        };
        let names =
            distinct(without_repeats(names, ListItem::Label), coca, &coca.default_template()?)?;
        if names.iter().any(|name| name == NONE) {
            let way_out = "teach it with pictures, in a folder of that name or --none DIR";
            return Err(Usage(format!("{NONE}: stands for everything else: {way_out}")).into());
        }
        Ok(Teacher::new(coca, coca.labels(names)?))
    }
}

impl MethodChoice {
    fn to_library(self) -> Method {
        match self {
            Self::Auto => Method::Auto,
            Self::Gda => Method::Gda,
            Self::Tip => Method::Tip,
            Self::Prototype => Method::Prototype,
        }
    }
}

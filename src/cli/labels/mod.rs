//! `coca labels`, and the options that choose labels.

mod check;
mod edit;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use coca_edge::{
    Coca, Labels, Teacher, Templates,
    tasks::{LabelCheck, everyday_names},
    text::{self, ListItem},
};

use super::{Global, Outcome, Usage, messages, output, progress};

/// Make, list, change and check label tables
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Compute the embeddings of a list of labels and save them
    Build(Build),
    /// Print a table's labels and the number of pictures that taught each
    List(edit::List),
    /// Teach a label with further pictures
    Add(edit::Add),
    /// Remove a label and its pictures
    Remove(edit::Remove),
    /// Compare a table with pictures whose labels are known
    Check(check::Check),
}

#[derive(clap::Args)]
struct Build {
    /// A text file with one label a line
    #[arg(long, value_name = "FILE")]
    labels_file: PathBuf,
    /// Where to write the table
    #[arg(long, short, value_name = "TABLE")]
    output: PathBuf,
    #[command(flatten)]
    templates: TemplateChoice,
}

/// Where labels come from.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(super) struct LabelChoice {
    /// Labels to choose from, separated by commas [default: a list of everyday things]
    #[arg(long, value_name = "A,B,C")]
    labels: Option<String>,
    /// A text file with one label a line
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// A table that `coca labels build` or `coca teach` made
    #[arg(long, value_name = "TABLE", conflicts_with = "templates")]
    table: Option<PathBuf>,
}

/// Choice of templates.
#[derive(clap::Args)]
pub(super) struct TemplateChoice {
    /// Sentences to put each label into: simple (7), imagenet (80), or a file with one a line and {}
    /// where the label goes [default: the model's own]
    #[arg(long, value_name = "simple|imagenet|FILE")]
    templates: Option<String>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.action {
        Action::Build(arguments) => build(global, arguments),
        Action::List(arguments) => edit::list(global, arguments),
        Action::Add(arguments) => edit::add(global, arguments),
        Action::Remove(arguments) => edit::remove(global, arguments),
        Action::Check(arguments) => check::run(global, arguments),
    }
}

fn build(global: &Global, build: &Build) -> anyhow::Result<Outcome> {
    output::refuse_input(&build.output, [build.labels_file.as_path()])?;
    let coca = global.open_model()?;
    let names = read_list(&build.labels_file, ListItem::Label)?;
    let labels = build_labels(global, &coca, names, &build.templates)?;
    labels.save(&build.output)?;
    if !global.quiet {
        messages::say(format_args!(
            "{}: {} labels × {} templates, for {}",
            build.output.display(),
            labels.names().len(),
            labels.templates().len(),
            coca.bundle().config().name
        ));
    }
    Ok(Outcome::Done)
}

/// Name of the label for everything else, unless the user gives it another.
pub(super) const NONE: &str = "none";

/// The label for everything else.
#[derive(clap::Args)]
pub(super) struct NoneChoice {
    /// A label for everything that is none of the others, and its name [default name: none]. Without it, some label always
    /// wins: scores are shares
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = NONE)]
    none: Option<String>,
}

impl NoneChoice {
    /// Its name, if there is to be one.
    pub(super) fn name(&self) -> anyhow::Result<Option<&str>> {
        let Some(name) = &self.none else { return Ok(None) };
        if Path::new(name).exists() {
            let way_out = "put --none behind the pictures, or write --none=NAME";
            return Err(Usage(format!("--none {name}: this is a file: {way_out}")).into());
        }
        Ok(Some(name))
    }

    /// Adds it to `labels`, unless they have been taught one.
    pub(super) fn add_to(&self, labels: Labels, coca: &Coca) -> anyhow::Result<Labels> {
        match self.name()? {
            Some(name) if labels.none() != Some(name) => {
                Ok(labels.with_none(name, coca.cohort()?).context("--none")?)
            }
            _ => Ok(labels),
        }
    }
}

impl LabelChoice {
    /// Whether the user chose none, so that everyday things are the labels.
    pub(super) fn is_built_in(&self) -> bool {
        self.labels.is_none() && self.labels_file.is_none() && self.table.is_none()
    }

    /// The labels with their embeddings: those that the user gave, else everyday things.
    pub(super) fn labels(
        &self,
        global: &Global,
        coca: &Coca,
        templates: &TemplateChoice,
    ) -> anyhow::Result<Labels> {
        let names = match self {
            Self { table: Some(table), .. } => return Ok(coca.load_labels(table)?),
            Self { labels: Some(list), .. } => split(list)?,
            Self { labels_file: Some(file), .. } => read_list(file, ListItem::Label)?,
            Self { .. } if templates.templates.is_none() => return everyday_labels(global, coca),
            Self { .. } => everyday_names().map(str::to_owned).collect(),
        };
        build_labels(global, coca, names, templates)
    }
}

pub(super) fn split(list: &str) -> anyhow::Result<Vec<String>> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Usage(format!("--labels {list:?}: expected a,b,c")).into());
    }
    if let Some(name) = names.iter().find(|name| names.len() > 1 && name.contains([';', '|', '\t']))
    {
        log::warn!("{name}: one label: labels are separated by commas");
    }
    Ok(names)
}

/// Computes the embeddings of everyday things, with a bar, unless the program holds them.
fn everyday_labels(global: &Global, coca: &Coca) -> anyhow::Result<Labels> {
    let bar = progress::bar(global, everyday_names().count(), "labels");
    let labels = coca.everyday_labels(|done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(labels)
}

/// The labels in a file, one a line, each in the model's template.
pub(super) fn from_file(global: &Global, coca: &Coca, file: &Path) -> anyhow::Result<Labels> {
    build_labels(
        global,
        coca,
        read_list(file, ListItem::Label)?,
        &TemplateChoice { templates: None },
    )
}

/// Computes the embeddings of `names`, with a bar.
fn build_labels(
    global: &Global,
    coca: &Coca,
    names: Vec<String>,
    choice: &TemplateChoice,
) -> anyhow::Result<Labels> {
    let templates = choice.templates(coca)?;
    let names = checked(without_repeats(names, ListItem::Label), coca, &templates)?;
    let bar = progress::bar(global, names.len() * templates.len(), "labels");
    let labels = coca.labels_with(names, &templates, |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(labels)
}

/// The labels without those that are the same to the model; says so, and questions lists that look wrong.
fn checked(names: Vec<String>, coca: &Coca, templates: &Templates) -> anyhow::Result<Vec<String>> {
    if let [only] = names.as_slice() {
        let separator = only.chars().find(|c| matches!(c, ';' | '|' | '/' | '\t'));
        let advice = match separator {
            Some(_) => "labels are separated by commas",
            None => "name what else may be seen, separated by commas",
        };
        log::warn!("{only}: without --none, one label alone always scores 1: {advice}");
    }
    distinct(names, coca, templates)
}

/// The labels without those that are the same to the model, as it sees them in `templates`; says so, and which are cut.
pub(super) fn distinct(
    names: Vec<String>,
    coca: &Coca,
    templates: &Templates,
) -> anyhow::Result<Vec<String>> {
    let LabelCheck { names, same, cut } = coca.check_labels(names, templates)?;
    for (name, first) in same {
        log::warn!("{name}: the same to the model as {first}; {first} is used");
    }
    for text in cut {
        warn_cut(&text, coca);
    }
    Ok(names)
}

/// As [`distinct`], for texts that stand by themselves.
pub(super) fn distinct_texts(texts: Vec<String>, coca: &Coca) -> anyhow::Result<Vec<String>> {
    distinct(texts, coca, &Templates::single("{}")?)
}

/// Makes sure that the model can tell labels that are to be taught from each other and from the others; says which are cut.
pub(super) fn check_taught<'a>(
    teacher: &Teacher,
    names: impl IntoIterator<Item = &'a str>,
    coca: &Coca,
) -> anyhow::Result<()> {
    for name in teacher.check_names(names)? {
        warn_cut(&name, coca);
    }
    Ok(())
}

/// Says so if the model sees only the beginning of a text.
pub(super) fn warn_if_cut(text: &str, coca: &Coca) -> anyhow::Result<()> {
    if coca.text_tokens(text)?.is_cut() {
        warn_cut(text, coca);
    }
    Ok(())
}

/// Says that the model sees only the beginning of a text.
fn warn_cut(text: &str, coca: &Coca) {
    let limit = coca.bundle().config().text.context_length;
    log::warn!("{text}: longer than the model's {limit} tokens: it sees only the beginning");
}

/// The labels or texts in a file, one a line; says so where a line looks like a comment.
pub(super) fn read_list(path: &Path, item: ListItem) -> anyhow::Result<Vec<String>> {
    let texts = text::read_list(path, item)?;
    if let Some(text) = texts.iter().find(|text| text.starts_with('#')) {
        let path = path.display();
        log::warn!("{path}: {text}: a {item} like the others: there are no comments");
    }
    Ok(texts)
}

/// A label or text that stands twice would share its score between its two places.
pub(super) fn without_repeats(names: Vec<String>, item: ListItem) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .filter(|name| {
            let new = seen.insert(name.clone());
            if !new {
                log::warn!("{name}: this {item} stands more than once; it is used once");
            }
            new
        })
        .collect()
}

impl TemplateChoice {
    pub(super) fn templates(&self, coca: &Coca) -> anyhow::Result<Templates> {
        match self.templates.as_deref() {
            None => Ok(coca.default_template()?),
            Some(name) => Templates::named(name).with_context(|| {
                format!("--templates {name}: expected simple, imagenet or a file of templates")
            }),
        }
    }
}

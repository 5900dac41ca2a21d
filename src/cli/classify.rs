//! `coca classify`: labels of pictures.

use coca_edge::ScoredLabel;
use serde::Serialize;

use super::{
    Global, Outcome,
    labels::{LabelChoice, NoneChoice, TemplateChoice},
    messages,
    numbers::{at_least, between},
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
    #[command(flatten)]
    none: NoneChoice,
    /// How many labels to give, best first
    #[arg(long, short = 'k', value_name = "K", default_value_t = 5, value_parser = at_least(1_usize))]
    top_k: usize,
    /// Leave out labels that score less, 0 to 1
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = between(0.0_f32, 1.0))]
    threshold: f32,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Answer<'a> {
    source: &'a str,
    labels: Vec<ScoredLabel>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let labels = arguments.labels.labels(global, &coca, &arguments.templates)?;
    let labels = arguments.none.add_to(labels, &coca)?;
    let names = labels.names().len();
    if arguments.format == Format::Text && labels.none().is_none() && names > 1 && !global.quiet {
        messages::say("scores are shares among the labels: --none adds one for everything else");
    }
    let format = arguments.format;
    pictures::answer_each(global, &coca, &arguments.images, format, |bar, source, picture| {
        let mut best = labels.classify(picture, arguments.top_k)?;
        best.retain(|label| label.score >= arguments.threshold);
        let answer = Answer { source, labels: best };
        match format {
            Format::Jsonl => output::print_json(bar, &answer),
            Format::Text => output::print(bar, answer.lines()),
        }
    })
}

impl Answer<'_> {
    fn lines(&self) -> impl Iterator<Item = String> {
        let labels = self.labels.iter();
        let labels =
            labels.map(|ScoredLabel { label, score, .. }| format!("  {score:.3}  {label}"));
        std::iter::once(self.source.to_owned()).chain(labels)
    }
}

//! `coca score`: how well texts fit pictures.

use std::path::PathBuf;

use clap::ValueEnum;
use coca_edge::{
    ScoredText,
    tasks::{Evidence, ScoreOptions},
    text::ListItem,
};
use serde::Serialize;

use super::{
    Global, Outcome,
    labels::{distinct_texts, read_list, without_repeats},
    numbers::between,
    output::{self, Format},
    pictures::{self, Images},
};

/// Say how well texts fit a picture, by their likelihood as captions and by their meaning
///
/// A score is a text's share among the texts given. Cosine, log-probability and prior stand beside it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    /// A text; may be given more than once
    #[arg(long, value_name = "T", required_unless_present = "texts_file")]
    text: Vec<String>,
    /// A text file with one text a line
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    texts_file: Option<PathBuf>,
    /// What scores are made of [default: both, or contrastive for a model without a decoder]
    #[arg(long)]
    by: Option<By>,
    /// How much of a text's own prior is taken off its log-probability, 0 to 1 or a little more
    #[arg(long, value_name = "A", default_value_t = 1.0, value_parser = between(0.0_f32, 10.0))]
    alpha: f32,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// Likelihood and cosine
    Both,
    /// The likelihood as a caption
    Caption,
    /// The cosine of text and picture
    Contrastive,
}

#[derive(Serialize)]
struct Answer<'a> {
    source: &'a str,
    scores: Vec<ScoredText>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let texts = match &arguments.texts_file {
        Some(file) => read_list(file, ListItem::Text)?,
        None => arguments.text.clone(),
    };
    let options = ScoreOptions { by: arguments.by.map(By::to_library), alpha: arguments.alpha };
    if options.by.is_none() && !coca.bundle().has_decoder() {
        let name = &coca.bundle().config().name;
        log::warn!("{name}: this model has no decoder: texts are scored by cosine alone");
    }
    let texts = distinct_texts(without_repeats(texts, ListItem::Text), &coca)?;
    let scorer = coca.text_scorer(texts, options)?;
    let format = arguments.format;
    pictures::answer_each(global, &coca, &arguments.images, format, |bar, source, picture| {
        let answer = Answer { source, scores: scorer.score(picture)? };
        match format {
            Format::Jsonl => output::print_json(bar, &answer),
            Format::Text => output::print(bar, answer.lines()),
        }
    })
}

impl Answer<'_> {
    /// Best first, unlike in JSON, where texts keep their order.
    fn lines(&self) -> impl Iterator<Item = String> {
        let mut best: Vec<&ScoredText> = self.scores.iter().collect();
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        let lines = best.into_iter().map(|scored| {
            let ScoredText { text, score, cosine, log_prob, prior, .. } = scored;
            let likelihood = log_prob
                .zip(*prior)
                .map(|(log_prob, prior)| format!(", log P {log_prob:.2}, prior {prior:.2}"));
            let likelihood = likelihood.unwrap_or_default();
            format!("  {score:.3}  {text}  (cosine {cosine:.3}{likelihood})")
        });
        std::iter::once(self.source.to_owned()).chain(lines)
    }
}

impl By {
    fn to_library(self) -> Evidence {
        match self {
            Self::Both => Evidence::Both,
            Self::Caption => Evidence::Caption,
            Self::Contrastive => Evidence::Contrastive,
        }
    }
}

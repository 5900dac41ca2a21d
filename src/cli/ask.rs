//! `coca ask`: answers to questions about pictures.

use coca_edge::Answer;
use serde::Serialize;

use super::{
    Global, Outcome,
    labels::{distinct_texts, warn_if_cut},
    output::{self, Format},
    pictures::{self, Images},
};

/// Answer a question about a picture
///
/// The question and each answer become a statement that could be a caption; the statements are scored. Understood are
/// questions for yes or no (is there a …, is the … open), a colour, a number, an activity, a place, a person or a thing;
/// any other needs --answers.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The question, in English
    question: String,
    #[command(flatten)]
    images: Images,
    /// Answers to choose from, separated by commas [default: those that the question implies]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    answers: Vec<String>,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    question: &'a str,
    #[serde(flatten)]
    answer: Answer,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let answers = arguments.answers.iter().map(|answer| answer.trim().to_owned());
    let answers: Vec<String> = answers.filter(|answer| !answer.is_empty()).collect();
    if !coca.bundle().has_decoder() {
        let name = &coca.bundle().config().name;
        log::warn!("{name}: this model has no decoder: answers are chosen by cosine alone");
    }
    let question = arguments.question.as_str();
    let answers = distinct_texts(answers, &coca)?;
    let asker = coca.asker(question, &answers)?;
    for statement in asker.statements() {
        warn_if_cut(statement, &coca)?;
    }
    log::info!("statements: {}", asker.statements().join("; "));
    let format = arguments.format;
    pictures::answer_each(global, &coca, &arguments.images, format, |bar, source, picture| {
        let answer = asker.ask(picture)?;
        match format {
            Format::Jsonl => output::print_json(bar, &Line { source, question, answer }),
            Format::Text => {
                let score = answer.scores.first().map_or(0.0, |best| best.score);
                output::print(bar, [format!("{source}: {}  ({score:.2})", answer.answer)])
            }
        }
    })
}

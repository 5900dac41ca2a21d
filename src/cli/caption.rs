//! `coca caption`: captions of pictures.

use clap::ValueEnum;
use coca_edge::{CaptionOptions, Error, generate};
use serde::Serialize;

use super::{
    Global, Outcome, Usage,
    numbers::{at_least, finite},
    output::{self, Format},
    pictures::{self, Images},
};

/// Write a sentence about a picture
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    options: Options,
    /// What the caption begins with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prompt: String,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
}

/// Options of the search; those left out follow the model.
#[derive(Default, clap::Args)]
struct Options {
    /// How to search for words [default: the model's]
    #[arg(long)]
    search: Option<Search>,
    /// Beams of a beam search
    #[arg(long, value_name = "N", value_parser = at_least(1_usize))]
    beams: Option<usize>,
    /// Groups that the beams of --search openclip are in
    #[arg(long, value_name = "N", value_parser = at_least(1_usize))]
    beam_groups: Option<usize>,
    /// The most tokens, start token and prompt included
    #[arg(long, value_name = "N", value_parser = at_least(1_usize))]
    max_tokens: Option<usize>,
    /// The fewest tokens, start token and prompt included
    #[arg(long, value_name = "N", value_parser = at_least(0_usize))]
    min_tokens: Option<usize>,
    /// Above 1: tokens that the caption already has score less
    #[arg(long, value_name = "P", value_parser = finite)]
    repetition_penalty: Option<f32>,
    /// The power of the length that a beam's score is divided by
    #[arg(long, value_name = "P", value_parser = finite)]
    length_penalty: Option<f32>,
    /// No run of N tokens occurs twice; 0: no such rule
    #[arg(long, value_name = "N", value_parser = at_least(0_usize))]
    no_repeat_ngram: Option<usize>,
    /// Divides the logits before --search sample draws
    #[arg(long, value_name = "T", value_parser = finite)]
    temperature: Option<f32>,
    /// --search sample draws among the K likeliest tokens; 0: among all
    #[arg(long, value_name = "K", value_parser = at_least(0_usize))]
    top_k: Option<usize>,
    /// --search sample draws among the likeliest tokens that add up to P
    #[arg(long, value_name = "P", value_parser = finite)]
    top_p: Option<f32>,
    /// Where --search sample starts its random numbers
    #[arg(long, value_name = "N", value_parser = at_least(0_u64))]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Search {
    /// open_clip 2.24 to 3.3's beam search, which adds up raw logits
    #[value(name = "openclip")]
    OpenClip,
    /// The usual beam search, which adds up log-probabilities
    LogProb,
    /// The likeliest token at each step
    Greedy,
    /// A token drawn by its probability at each step
    Sample,
}

#[derive(Serialize)]
struct Answer<'a> {
    source: &'a str,
    caption: &'a str,
    tokens: &'a [u32],
    score: f32,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let options = arguments.options.to_library();
    let settings =
        coca.caption_settings(&options).map_err(|error| arguments.options.named(error))?;
    arguments.options.refuse_without_effect(settings.search)?;
    coca.check_memory_for_captions()?;
    let format = arguments.format;
    pictures::answer_each(global, &coca, &arguments.images, format, |bar, source, picture| {
        let caption = coca
            .caption_from(picture, &arguments.prompt, &options)
            .map_err(|error| arguments.options.named(error))?;
        let (text, tokens) = (caption.text.as_str(), caption.tokens.as_slice());
        match format {
            Format::Jsonl => output::print_json(
                bar,
                &Answer { source, caption: text, tokens, score: caption.score },
            ),
            Format::Text => output::print(bar, [format!("{source}: {text}")]),
        }
    })
}

impl Options {
    /// Refuses options that the search does not look at.
    fn refuse_without_effect(&self, search: coca_edge::Search) -> Result<(), Usage> {
        use coca_edge::Search::{LogProb, OpenClip, Sample};
        let beams: &[_] = &[OpenClip, LogProb];
        let options: [(&str, bool, &[coca_edge::Search], &str); 6] = [
            ("--beams", self.beams.is_some(), beams, "--search log-prob or openclip"),
            ("--beam-groups", self.beam_groups.is_some(), &[OpenClip], "--search openclip"),
            ("--seed", self.seed.is_some(), &[Sample], "--search sample"),
            ("--temperature", self.temperature.is_some(), &[Sample], "--search sample"),
            ("--top-k", self.top_k.is_some(), &[Sample], "--search sample"),
            ("--top-p", self.top_p.is_some(), &[Sample], "--search sample"),
        ];
        match options.into_iter().find(|(_, is_given, of, _)| *is_given && !of.contains(&search)) {
            Some((option, _, _, needed)) => Err(Usage(format!("{option} needs {needed}"))),
            None => Ok(()),
        }
    }

    /// The error with the option that it is about, which need not be one that was given.
    fn named(&self, error: Error) -> anyhow::Error {
        let Error::Options(error) = error else { return error.into() };
        let option = match &error {
            generate::Error::OutOfRange { option: "min_tokens", found, .. }
                if self.min_tokens.is_none() =>
            {
                let expected = format!("expected more than --min-tokens, which is {found} here");
                return Usage(format!("--max-tokens: {expected}: give both")).into();
            }
            generate::Error::OutOfRange { option: "beam_groups", found, .. }
                if self.beam_groups.is_none() =>
            {
                let expected =
                    format!("expected a multiple of --beam-groups, which is {found} here");
                return Usage(format!("--beams: {expected}: give both")).into();
            }
            generate::Error::OutOfRange { option, .. } => option.replace('_', "-"),
            generate::Error::PromptTooLong { max_tokens, .. } => {
                let longest = format!("--max-tokens, which is {max_tokens}");
                return Usage(format!("--prompt: as many tokens as {longest}, or more")).into();
            }
            _ => return Error::Options(error.clone()).into(),
        };
        anyhow::Error::new(Error::Options(error)).context(format!("--{option}"))
    }

    fn to_library(&self) -> CaptionOptions {
        CaptionOptions {
            search: self.search.map(Search::to_library),
            beams: self.beams,
            beam_groups: self.beam_groups,
            max_tokens: self.max_tokens,
            min_tokens: self.min_tokens,
            repetition_penalty: self.repetition_penalty,
            length_penalty: self.length_penalty,
            no_repeat_ngram: self.no_repeat_ngram,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
            ..CaptionOptions::default()
        }
    }
}

impl Search {
    fn to_library(self) -> coca_edge::Search {
        match self {
            Self::OpenClip => coca_edge::Search::OpenClip,
            Self::LogProb => coca_edge::Search::LogProb,
            Self::Greedy => coca_edge::Search::Greedy,
            Self::Sample => coca_edge::Search::Sample,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_an_option_that_was_not_given_names_the_one_that_was() {
        let error = generate::Error::OutOfRange {
            option: "beam_groups",
            expected: "a divisor of beams, which is 5".to_owned(),
            found: "3".to_owned(),
        };
        let given = Options { beams: Some(5), ..Options::default() };
        let said = given.named(error.clone().into()).to_string();
        assert_eq!(
            said,
            "--beams: expected a multiple of --beam-groups, which is 3 here: give both"
        );
        let given = Options { beam_groups: Some(3), ..Options::default() };
        assert_eq!(given.named(error.into()).to_string(), "--beam-groups");
    }
}

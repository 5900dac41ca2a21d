//! Options of a caption search.
//!
//! They are listed once. [`CaptionSettings`] gives each a value and is also the `caption` section of a
//! bundle's `coca.json`; [`CaptionOptions`] overrides some of them for one caption.

use std::collections::BTreeSet;

use coca_text::Vocabulary;
use serde::{Deserialize, Serialize};

use super::Error;

/// The decoding strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// The beam search of open_clip 2.24 to 3.3: it adds up raw logits and runs in groups. What the
    /// released captions were made with, hence the default.
    #[default]
    OpenClip,
    /// The beam search of Hugging Face transformers, and of open_clip since 4.0: it adds up
    /// log-probabilities, in one group whatever `beam_groups` says.
    LogProb,
    /// The likeliest token at each step: open_clip's `generation_type="top_k"` with `top_k=1`.
    Greedy,
    /// A random token at each step, drawn by its probability after `top_k`, `top_p` and `temperature`.
    /// The same seed gives the same caption on every platform, for the same logits.
    Sample,
}

/// Declares the settings, their overrides and the step from one to the other from one list.
macro_rules! caption_options {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {
        /// Every option of a caption search, with its value.
        ///
        /// [`Default`] is what open_clip's `generate` does when it is told nothing. This is also the
        /// `caption` section of `coca.json`, where every key may be left out.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct CaptionSettings {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for CaptionSettings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The options of one caption; what is not set follows the model's bundle.
        ///
        /// ```
        /// use coca_model::{CaptionOptions, Search, generate::CaptionSettings};
        ///
        /// let options = CaptionOptions::default().search(Search::Sample).temperature(0.7).seed(1);
        /// let settings = CaptionSettings::default().with(&options);
        /// assert_eq!((settings.search, settings.max_tokens), (Search::Sample, 30));
        /// ```
        ///
        /// A prompt, given beside the options, is honoured by every search, as open_clip does since
        /// 4.0; before, its beam search ignored prompts. Without one there is no difference.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct CaptionOptions {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl CaptionOptions {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = Some($name);
                    self
                }
            )*
        }

        impl CaptionSettings {
            /// Replaces the settings that `options` sets.
            #[must_use]
            pub fn with(mut self, options: &CaptionOptions) -> Self {
                $(
                    if let Some(value) = &options.$name {
                        self.$name = value.clone();
                    }
                )*
                self
            }
        }
    };
}

caption_options! {
    /// The decoding strategy.
    search: Search = Search::default();
    /// Beams of both beam searches: 1 to 256.
    beams: usize = 6;
    /// Groups of the `OpenClip` search, each a beam search of its own with `beams / beam_groups` beams:
    /// 1 to `beams`, and a divisor of it. Other searches ignore it.
    beam_groups: usize = 3;
    /// Maximum length in tokens, start token, prompt and end token included: from one more than start
    /// token and prompt, to one more than the model's context length.
    max_tokens: usize = 30;
    /// Minimum number of tokens before the end token, start token and prompt included: less than
    /// `max_tokens`.
    min_tokens: usize = 5;
    /// Divides the positive and multiplies the negative scores of tokens already in the caption, the
    /// start token and the prompt included: above 0; 1 is no penalty.
    repetition_penalty: f32 = 1.0;
    /// The power of the length by which both beam searches divide a caption's score; 1 in open_clip.
    /// `OpenClip` counts every token, `LogProb` those it generated.
    length_penalty: f32 = 1.0;
    /// No sequence of this many tokens occurs twice; 0 is no such rule.
    no_repeat_ngram: usize = 0;
    /// The only tokens that may occur twice, by their ids; empty is no such rule.
    once_except: BTreeSet<u32> = BTreeSet::new();
    /// Tokens that are never generated, by their ids; the end token can't be among them.
    suppress: BTreeSet<u32> = BTreeSet::new();
    /// `Sample` divides the logits by this after `top_k` and `top_p`, as open_clip does: above 0.
    temperature: f32 = 1.0;
    /// `Sample` draws among this many of the likeliest tokens; 0 is all.
    top_k: usize = 0;
    /// `Sample` draws among the fewest likeliest tokens whose probabilities add up to this: above 0,
    /// at most 1; 1 is all.
    top_p: f32 = 1.0;
    /// Seed of the random numbers of `Sample`.
    seed: u64 = 0;
}

impl CaptionSettings {
    /// The defaults, with `max_tokens` lowered to what a model of this context length can write.
    #[must_use]
    pub fn for_context(context_length: usize) -> Self {
        let defaults = Self::default();
        let max_tokens = defaults.max_tokens.min(max_length(context_length));
        let min_tokens = defaults.min_tokens.min(max_tokens.saturating_sub(1));
        Self { max_tokens, min_tokens, ..defaults }
    }

    /// Checks every setting against its range and the model's vocabulary.
    ///
    /// # Errors
    ///
    /// Names the first setting that is out of its range, and the range.
    pub fn validate(&self, vocabulary: &Vocabulary) -> Result<(), Error> {
        let max_length = max_length(vocabulary.context_length);
        check("beams", self.beams, (1..=256).contains(&self.beams), "1 to 256")?;
        if self.search == Search::OpenClip {
            self.check_beam_groups()?;
        }
        check(
            "max_tokens",
            self.max_tokens,
            (2..=max_length).contains(&self.max_tokens),
            &format!("2 to {max_length}"),
        )?;
        check(
            "min_tokens",
            self.min_tokens,
            self.min_tokens < self.max_tokens,
            &format!("less than max_tokens, which is {}", self.max_tokens),
        )?;
        let above_zero = |value: f32| value > 0.0 && value.is_finite();
        check(
            "repetition_penalty",
            self.repetition_penalty,
            above_zero(self.repetition_penalty),
            "a number above 0",
        )?;
        check(
            "length_penalty",
            self.length_penalty,
            self.length_penalty.is_finite(),
            "a finite number",
        )?;
        check("temperature", self.temperature, above_zero(self.temperature), "a number above 0")?;
        check(
            "top_p",
            self.top_p,
            self.top_p > 0.0 && self.top_p <= 1.0,
            "a number above 0 and at most 1",
        )?;
        check_ids("once_except", &self.once_except, vocabulary)?;
        check_ids("suppress", &self.suppress, vocabulary)?;
        check(
            "suppress",
            vocabulary.end_id,
            !self.suppress.contains(&vocabulary.end_id),
            "no end token, without which a caption can't end",
        )
    }

    fn check_beam_groups(&self) -> Result<(), Error> {
        check(
            "beam_groups",
            self.beam_groups,
            self.beam_groups > 0 && self.beams.is_multiple_of(self.beam_groups),
            &format!("a divisor of beams, which is {}", self.beams),
        )
    }
}

/// Maximum length of a caption: the decoder reads every token but the last.
fn max_length(context_length: usize) -> usize {
    context_length + 1
}

fn check(
    option: &'static str,
    found: impl ToString,
    fits: bool,
    expected: &str,
) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::OutOfRange { option, expected: expected.to_owned(), found: found.to_string() })
}

fn check_ids(
    option: &'static str,
    ids: &BTreeSet<u32>,
    vocabulary: &Vocabulary,
) -> Result<(), Error> {
    let Some(&largest) = ids.last() else {
        return Ok(());
    };
    check(
        option,
        largest,
        (largest as usize) < vocabulary.size,
        &format!("ids below the vocabulary's size, which is {}", vocabulary.size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: Vocabulary =
        Vocabulary { size: 37, context_length: 76, start_id: 35, end_id: 36, pad_id: 0 };

    fn error(options: CaptionOptions) -> String {
        let settings = CaptionSettings::default().with(&options);
        match settings.validate(&VOCABULARY) {
            Ok(()) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_defaults_are_valid_and_those_of_open_clip() {
        let settings = CaptionSettings::default();
        assert_eq!(settings.validate(&VOCABULARY), Ok(()));
        assert_eq!((settings.beams, settings.beam_groups), (6, 3));
        assert_eq!((settings.min_tokens, settings.max_tokens), (5, 30));
    }

    #[test]
    fn a_short_context_asks_for_short_captions() {
        for context_length in [1, 3, 14, 76] {
            let vocabulary = Vocabulary { context_length, ..VOCABULARY };
            let settings = CaptionSettings::for_context(context_length);
            assert_eq!(settings.validate(&vocabulary), Ok(()));
        }
        assert_eq!(CaptionSettings::for_context(14).max_tokens, 15);
        assert_eq!(CaptionSettings::for_context(76), CaptionSettings::default());
    }

    #[test]
    fn what_is_not_set_follows_the_bundle() {
        let bundle: CaptionSettings =
            serde_json::from_str(r#"{"search": "log_prob", "beams": 4}"#).unwrap();
        let settings = bundle.with(&CaptionOptions::default().beams(2));
        assert_eq!(settings.search, Search::LogProb);
        assert_eq!(settings.beams, 2);
        assert_eq!(settings.max_tokens, 30);
    }

    #[test]
    fn settings_survive_a_round_trip_through_json() {
        let settings = CaptionSettings { once_except: [3, 1].into(), ..CaptionSettings::default() };
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<CaptionSettings>(&json).unwrap(), settings);
    }

    #[test]
    fn an_unknown_key_in_the_bundle_is_an_error_that_names_it() {
        let error = serde_json::from_str::<CaptionSettings>(r#"{"beam": 4}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `beam`"), "{error}");
    }

    #[test]
    fn errors_name_the_option_its_range_and_its_value() {
        let options = CaptionOptions::default;
        let cases = [
            (options().beams(0), "beams: expected 1 to 256; found 0"),
            (options().beams(4), "beam_groups: expected a divisor of beams, which is 4; found 3"),
            (
                options().beam_groups(0),
                "beam_groups: expected a divisor of beams, which is 6; found 0",
            ),
            (options().max_tokens(78), "max_tokens: expected 2 to 77; found 78"),
            (
                options().min_tokens(30),
                "min_tokens: expected less than max_tokens, which is 30; found 30",
            ),
            (
                options().repetition_penalty(0.0),
                "repetition_penalty: expected a number above 0; found 0",
            ),
            (
                options().length_penalty(f32::NAN),
                "length_penalty: expected a finite number; found NaN",
            ),
            (
                options().temperature(f32::INFINITY),
                "temperature: expected a number above 0; found inf",
            ),
            (options().top_p(1.5), "top_p: expected a number above 0 and at most 1; found 1.5"),
            (
                options().once_except([37].into()),
                "once_except: expected ids below the vocabulary's size, which is 37; found 37",
            ),
            (
                options().suppress([36].into()),
                "suppress: expected no end token, without which a caption can't end; found 36",
            ),
        ];
        for (options, message) in cases {
            assert_eq!(error(options), format!("caption option {message}"));
        }
    }

    #[test]
    fn groups_concern_the_open_clip_search_only() {
        assert_eq!(error(CaptionOptions::default().search(Search::LogProb).beams(4)), "no error");
    }
}

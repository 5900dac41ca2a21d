//! Captions: the searches that turn a decoder's logits into words.
//!
//! A search drives a [`StepDecoder`] and knows nothing of the model behind it: it runs the prompt once, then
//! goes on with one token a step for each of its beams. What it looks for is in [`CaptionSettings`].

mod beam;
mod cache;
mod candidates;
mod decoder;
mod hypotheses;
mod processors;
mod sampling;
mod softmax;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod synthetic;

use beam::BeamSearch;
pub use coca_text::Vocabulary;
pub(crate) use decoder::{CachedDecoder, CrossKv};
use processors::Processors;

pub use crate::bundle::{CaptionOptions, CaptionOptionsError, CaptionSettings, Search};

/// One caption being decoded: the cached step that every search drives.
pub trait StepDecoder {
    /// Why a step can fail.
    type Error;

    /// Runs `prompt` (start token first) once, as one row; returns the logits `[V]` after its last token.
    ///
    /// # Errors
    ///
    /// When the model can't be run.
    fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Self::Error>;

    /// Makes a new batch, whose row `r` continues row `parents[r]` of the last one with `tokens[r]`;
    /// returns the logits after these tokens, `[B, V]` row after row.
    ///
    /// `parents` may name a row many times or never, and may have more or fewer entries than there were
    /// rows.
    ///
    /// # Errors
    ///
    /// When the model can't be run.
    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Self::Error>;
}

/// A caption, as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The start token, the prompt and the caption; the end token last, unless `max_tokens` cut it off.
    pub tokens: Vec<u32>,
    /// What the search itself compares captions by.
    ///
    /// `OpenClip`: the sum of raw logits, divided by the number of all tokens. `LogProb`: the sum of
    /// log-probabilities, divided by the number of generated tokens. `Greedy` and `Sample`: the mean
    /// log-probability that the model itself, before any processor, gives the generated tokens.
    pub score: f32,
}

/// A caption search whose settings have been checked.
#[derive(Clone, Debug)]
pub struct CaptionSearch<'a> {
    settings: &'a CaptionSettings,
    vocabulary: Vocabulary,
    /// The start token and the prompt.
    prompt: Vec<u32>,
}

impl<'a> CaptionSearch<'a> {
    /// Prepares a search for the words that go on from `prompt`: the ids of its tokens without start and
    /// end token, none for a whole caption.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, or the prompt as long as `max_tokens`.
    pub fn new(
        settings: &'a CaptionSettings,
        vocabulary: Vocabulary,
        prompt: &[u32],
    ) -> Result<Self, CaptionOptionsError> {
        settings.validate(&vocabulary)?;
        let prompt: Vec<u32> = [&[vocabulary.start_id], prompt].concat();
        if prompt.len() >= settings.max_tokens {
            return Err(CaptionOptionsError::PromptTooLong {
                max_tokens: settings.max_tokens,
                found: prompt.len(),
            });
        }
        Ok(Self { settings, vocabulary, prompt })
    }

    /// Searches for one caption.
    ///
    /// # Errors
    ///
    /// Those of the decoder.
    pub fn run<D: StepDecoder>(&self, decoder: &mut D) -> Result<Decoded, D::Error> {
        match self.settings.search {
            Search::OpenClip => BeamSearch::open_clip(self).run(decoder),
            Search::LogProb => BeamSearch::log_prob(self).run(decoder),
            Search::Greedy => sampling::greedy(self, decoder),
            Search::Sample => sampling::sample(self, decoder),
        }
    }

    fn processors(&self) -> Processors<'_> {
        Processors::new(self.settings, self.vocabulary.end_id)
    }
}

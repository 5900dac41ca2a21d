//! Text generation: beam searches, greedy search and sampling over a decoder's logits.
//!
//! ```text
//! StepDecoder ── logits [B, V] ──▶ processors ──▶ beam search, greedy, sampling ── parents, tokens ─┐
//!      ▲                                                                                          │
//!      └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A [`CaptionSearch`] drives a [`StepDecoder`] and knows nothing of the model behind it: it runs the
//! prompt once, then one token a step for each beam. [`CaptionSettings`] choose the strategy.
//!
//! ```
//! use coca_model::generate::{CaptionSearch, CaptionSettings, Search, StepDecoder, Vocabulary};
//!
//! /// A language model that counts: after token n comes n + 1.
//! struct Counter;
//!
//! impl StepDecoder for Counter {
//!     type Error = std::convert::Infallible;
//!
//!     fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Self::Error> {
//!         self.step(&[0], &prompt[prompt.len() - 1..])
//!     }
//!
//!     fn step(&mut self, _parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Self::Error> {
//!         let logits = |&last| (0..10).map(move |token| f32::from(u8::from(token == last + 1)));
//!         Ok(tokens.iter().flat_map(logits).collect())
//!     }
//! }
//!
//! let vocabulary = Vocabulary { size: 10, context_length: 20, start_id: 1, end_id: 9, pad_id: 0 };
//! let settings = CaptionSettings { search: Search::Greedy, ..CaptionSettings::for_context(20) };
//! let search = CaptionSearch::new(&settings, vocabulary, &[2, 3])?;
//! assert_eq!(search.run(&mut Counter)?.tokens, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beam;
mod candidates;
mod error;
mod hypotheses;
mod likelihood;
mod processors;
mod sampling;
mod settings;
mod softmax;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod synthetic;

use beam::BeamSearch;
pub use coca_text::Vocabulary;
pub use error::Error;
pub use likelihood::log_probabilities;
use processors::Processors;
pub use settings::{CaptionOptions, CaptionSettings, Search};

/// A causal decoder with a KV cache, run one step at a time.
pub trait StepDecoder {
    /// Error of a step.
    type Error;

    /// Runs `prompt`, start token first, as one row; returns the logits `[V]` after its last token.
    ///
    /// # Errors
    /// When the model cannot be run.
    fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Self::Error>;

    /// Continues row `parents[r]` of the last batch with `tokens[r]`, as row `r` of a new batch; returns
    /// the logits after these tokens, `[B, V]` in row-major order.
    ///
    /// `parents` may name a row many times or never, and may have more or fewer entries than there were
    /// rows.
    ///
    /// # Errors
    /// When the model cannot be run.
    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Self::Error>;
}

/// A caption as token ids, and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The start token, the prompt and the caption; the end token last, unless `max_tokens` cut it off.
    pub tokens: Vec<u32>,
    /// Score by which the search compares captions.
    ///
    /// `OpenClip`: the sum of raw logits, divided by the number of all tokens. `LogProb`: the sum of
    /// log-probabilities, divided by the number of generated tokens. `Greedy` and `Sample`: the mean
    /// log-probability that the model itself, before any processor, gives the generated tokens.
    pub score: f32,
}

/// A caption search with checked settings.
#[derive(Clone, Debug)]
pub struct CaptionSearch<'a> {
    settings: &'a CaptionSettings,
    vocabulary: Vocabulary,
    /// The start token and the prompt.
    prompt: Vec<u32>,
}

impl<'a> CaptionSearch<'a> {
    /// Prepares a search for the continuation of `prompt`: token ids without start and end token, empty
    /// for a whole caption.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a setting, [`Error::PromptTooLong`] for a prompt that reaches `max_tokens`.
    pub fn new(
        settings: &'a CaptionSettings,
        vocabulary: Vocabulary,
        prompt: &[u32],
    ) -> Result<Self, Error> {
        settings.validate(&vocabulary)?;
        let prompt: Vec<u32> = [&[vocabulary.start_id], prompt].concat();
        if prompt.len() >= settings.max_tokens {
            return Err(Error::PromptTooLong {
                max_tokens: settings.max_tokens,
                found: prompt.len(),
            });
        }
        Ok(Self { settings, vocabulary, prompt })
    }

    /// Searches for one caption.
    ///
    /// # Errors
    /// Those of the decoder.
    ///
    /// # Panics
    /// When the decoder returns other than `[B, V]` logits.
    pub fn run<D: StepDecoder>(&self, decoder: &mut D) -> Result<Decoded, D::Error> {
        match self.settings.search {
            Search::OpenClip => BeamSearch::open_clip(self).run(decoder),
            Search::LogProb => BeamSearch::log_prob(self).run(decoder),
            Search::Greedy => sampling::greedy(self, decoder),
            Search::Sample => sampling::sample(self, decoder),
        }
    }

    /// Runs the prompt.
    fn prefill<D: StepDecoder>(&self, decoder: &mut D) -> Result<Vec<f32>, D::Error> {
        let logits = decoder.prefill(&self.prompt)?;
        self.check(&logits, 1);
        Ok(logits)
    }

    /// Runs one step.
    fn step<D: StepDecoder>(
        &self,
        decoder: &mut D,
        parents: &[usize],
        tokens: &[u32],
    ) -> Result<Vec<f32>, D::Error> {
        let logits = decoder.step(parents, tokens)?;
        self.check(&logits, tokens.len());
        Ok(logits)
    }

    /// Rows cut from logits of another width would look like captions.
    fn check(&self, logits: &[f32], rows: usize) {
        let expected = rows * self.vocabulary.size;
        assert_eq!(logits.len(), expected, "a decoder returns one logit a row and token id");
    }

    fn processors(&self) -> Processors<'_> {
        Processors::new(self.settings, self.vocabulary.end_id)
    }
}

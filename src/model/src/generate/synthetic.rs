//! A made-up language model for tests, the same as in `tests/golden/search/make.py`: its logits are
//! hashes of the tokens so far.

use std::convert::Infallible;

use super::{CaptionSearch, CaptionSettings, Decoded, StepDecoder, Vocabulary};

pub(super) const VOCABULARY: Vocabulary =
    Vocabulary { size: 37, context_length: 76, start_id: 35, end_id: 36, pad_id: 0 };

#[derive(Clone, Copy, Debug)]
pub(super) struct SyntheticModel {
    pub(super) seed: u32,
    /// Number of last tokens that the logits depend on; 0 is all.
    pub(super) memory: usize,
    /// Whether logits are small integers, so that many are equal.
    pub(super) coarse: bool,
    pub(super) vocabulary: Vocabulary,
}

impl SyntheticModel {
    /// The logits `[V]` of the token that follows `tokens`.
    pub(super) fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let remembered = match self.memory {
            0 => tokens,
            n => &tokens[tokens.len().saturating_sub(n)..],
        };
        let hash = remembered.iter().fold(mix(0, self.seed), |hash, &token| mix(hash, token));
        let mut logits: Vec<f32> = (0..self.vocabulary.size as u32)
            .map(|token| (mix(hash, token) >> 16) as f32)
            .map(
                |bits| {
                    if self.coarse { (bits / 8192.0).floor() - 4.0 } else { bits / 4096.0 - 8.0 }
                },
            )
            .collect();
        logits[self.vocabulary.end_id as usize] += 0.25 * tokens.len() as f32 - 2.0;
        logits
    }

    /// Runs a search with checked settings.
    pub(super) fn caption(self, settings: &CaptionSettings, prompt: &[u32]) -> Decoded {
        let search = CaptionSearch::new(settings, self.vocabulary, prompt).expect("valid settings");
        let mut decoder = SyntheticDecoder::new(self);
        let Ok(decoded) = search.run(&mut decoder);
        decoded
    }
}

fn mix(hash: u32, value: u32) -> u32 {
    let hash = (hash ^ value).wrapping_mul(0x9E37_79B1);
    let hash = (hash ^ hash >> 15).wrapping_mul(0x85EB_CA77);
    hash ^ hash >> 13
}

/// Keeps the tokens of every row, as a KV cache keeps their keys and values.
pub(super) struct SyntheticDecoder {
    model: SyntheticModel,
    rows: Vec<Vec<u32>>,
}

impl SyntheticDecoder {
    pub(super) fn new(model: SyntheticModel) -> Self {
        Self { model, rows: Vec::new() }
    }
}

impl StepDecoder for SyntheticDecoder {
    type Error = Infallible;

    fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Infallible> {
        self.rows = vec![prompt.to_vec()];
        Ok(self.model.logits(prompt))
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Infallible> {
        assert_eq!(parents.len(), tokens.len());
        let continued = parents.iter().zip(tokens);
        self.rows = continued
            .map(|(&parent, &token)| [self.rows[parent].as_slice(), &[token]].concat())
            .collect();
        Ok(self.rows.iter().flat_map(|row| self.model.logits(row)).collect())
    }
}

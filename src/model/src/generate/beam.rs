//! Beam search, as open_clip 3.3 releases it and as Hugging Face transformers runs it.
//!
//! Both are transformers' algorithm and differ in three things: what they add up, how many beams there
//! are, and which tokens count as a caption's length.
//!
//! Each step takes the best `2 × width` continuations of all beams. An end token among the first `width`
//! of them finishes a hypothesis, one further down is dropped, and the first `width` other tokens make
//! the next beams. The search is over when there are `width` hypotheses and the best continuation,
//! at its present length, is no better than the worst of them; or at `max_tokens`, when the unfinished
//! beams become hypotheses too.

use super::{
    CaptionSearch, Decoded, StepDecoder,
    candidates::{Candidate, Candidates},
    hypotheses::{Hypotheses, Hypothesis},
    processors::Processors,
    softmax::log_softmax,
};

/// A beam search, ready to run.
pub(super) struct BeamSearch<'a> {
    search: &'a CaptionSearch<'a>,
    processors: Processors<'a>,
    width: usize,
    add_log_probabilities: bool,
    /// Number of tokens at the beginning that do not count towards the length.
    uncounted: usize,
}

/// An unfinished caption.
struct Beam {
    /// Its row in the last batch, before its newest token.
    parent: usize,
    tokens: Vec<u32>,
    /// The sum of its tokens' scores.
    score: f32,
}

impl<'a> BeamSearch<'a> {
    /// `_generate_beamsearch` of open_clip 3.3: it adds up raw logits and counts every token.
    ///
    /// Only one of the groups is run. open_clip's groups know nothing of each other (it has no diversity
    /// penalty) and begin alike, so all of them make the same beams, stop at the same step and hold the
    /// same hypotheses: 6 beams in 3 groups is a search with 2 beams, done three times. The best
    /// hypothesis of all groups, or the last of equally good ones, is that of the last group alone, and
    /// so of any.
    pub(super) fn open_clip(search: &'a CaptionSearch<'a>) -> Self {
        let settings = search.settings;
        Self {
            search,
            processors: search.processors(),
            width: settings.beams / settings.beam_groups,
            add_log_probabilities: false,
            uncounted: 0,
        }
    }

    /// `generate(num_beams=…, early_stopping=False)` of transformers 4.46: it adds up log-probabilities,
    /// as the processors changed them, and counts the generated tokens with the end token.
    pub(super) fn log_prob(search: &'a CaptionSearch<'a>) -> Self {
        Self {
            search,
            processors: search.processors(),
            width: search.settings.beams,
            add_log_probabilities: true,
            uncounted: search.prompt.len(),
        }
    }

    pub(super) fn run<D: StepDecoder>(&self, decoder: &mut D) -> Result<Decoded, D::Error> {
        let mut finished = Hypotheses::new(self.width);
        let mut beams = vec![Beam { parent: 0, tokens: self.search.prompt.clone(), score: 0.0 }];
        let mut logits = self.search.prefill(decoder)?;
        for length in self.search.prompt.len() + 1.. {
            let candidates = self.candidates(&beams, &mut logits);
            let next = self.finish_or_continue(&beams, &candidates, length, &mut finished);
            let attainable = candidates.first().map(|best| self.score(best.score, length));
            let settled = attainable.is_some_and(|score| finished.are_settled(score));
            let every_token_but_the_end_is_forbidden = next.is_empty();
            if settled || every_token_but_the_end_is_forbidden {
                break;
            }
            beams = next;
            if length == self.search.settings.max_tokens {
                for beam in &beams {
                    finished.add(self.cut_off(beam));
                }
                break;
            }
            let parents: Vec<usize> = beams.iter().map(|beam| beam.parent).collect();
            let newest: Vec<u32> =
                beams.iter().map(|beam| beam.tokens[beam.tokens.len() - 1]).collect();
            logits = self.search.step(decoder, &parents, &newest)?;
        }
        // There is no hypothesis only where not even the end was allowed.
        let best = finished.into_best().unwrap_or_else(|| self.cut_off(&beams[0]));
        Ok(Decoded { tokens: best.tokens, score: best.score as f32 })
    }

    /// The best `2 × width` continuations of all beams, best first. Overwrites the logits `[B, V]`.
    fn candidates(&self, beams: &[Beam], logits: &mut [f32]) -> Vec<Candidate> {
        let rows = logits.chunks_exact_mut(self.search.vocabulary.size);
        let mut candidates = Candidates::new(2 * self.width);
        for (index, (beam, row)) in beams.iter().zip(rows).enumerate() {
            if self.add_log_probabilities {
                log_softmax(row);
            }
            self.processors.apply(&beam.tokens, row);
            candidates.offer(index, beam.score, row);
        }
        candidates.into_sorted()
    }

    /// Adds the hypotheses that end here, `length` tokens long with their end token, and returns the
    /// next beams.
    fn finish_or_continue(
        &self,
        beams: &[Beam],
        candidates: &[Candidate],
        length: usize,
        finished: &mut Hypotheses,
    ) -> Vec<Beam> {
        let mut next = Vec::with_capacity(self.width);
        for (rank, candidate) in candidates.iter().enumerate() {
            let ends = candidate.token == self.search.vocabulary.end_id;
            if ends && rank >= self.width {
                continue;
            }
            let mut tokens = beams[candidate.beam].tokens.clone();
            tokens.push(candidate.token);
            if ends {
                let score = self.score(candidate.score, length);
                finished.add(Hypothesis { tokens, score });
                continue;
            }
            next.push(Beam { parent: candidate.beam, tokens, score: candidate.score });
            if next.len() == self.width {
                break;
            }
        }
        next
    }

    /// A hypothesis that has no end token.
    fn cut_off(&self, beam: &Beam) -> Hypothesis {
        Hypothesis { tokens: beam.tokens.clone(), score: self.score(beam.score, beam.tokens.len()) }
    }

    /// The score of a caption of `length` tokens.
    fn score(&self, sum: f32, length: usize) -> f64 {
        let counted = length.saturating_sub(self.uncounted).max(1) as f64;
        f64::from(sum) / counted.powf(f64::from(self.search.settings.length_penalty))
    }
}

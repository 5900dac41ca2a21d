//! The best continuations of all beams, found without sorting the vocabulary.

/// One continuation of one beam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The beam it continues: its row in the last batch.
    pub(super) beam: usize,
    /// The token it adds.
    pub(super) token: u32,
    /// The score of the continued beam.
    pub(super) score: f32,
}

/// The `limit` best candidates offered so far, best first.
///
/// Of equal scores the one offered first, that is of the lower beam and token, stays ahead; PyTorch's
/// `topk` leaves that order open. Scores of -inf (forbidden tokens) and NaN are no candidates.
pub(super) struct Candidates {
    limit: usize,
    best: Vec<Candidate>,
}

impl Candidates {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, best: Vec::new() }
    }

    /// Offers every token of a row: `beam_score` plus its entry in `token_scores` `[V]`.
    pub(super) fn offer(&mut self, beam: usize, beam_score: f32, token_scores: &[f32]) {
        // Few chunks hold a score above the threshold, and testing a whole chunk is vectorised.
        const CHUNK: usize = 64;
        for (chunk, first_token) in token_scores.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let threshold = self.threshold();
            let any_above =
                chunk.iter().fold(false, |any, score| any | (score + beam_score > threshold));
            if any_above {
                for (token, score) in (first_token..).zip(chunk) {
                    self.insert(Candidate { beam, token, score: score + beam_score });
                }
            }
        }
    }

    /// The candidates, best first.
    pub(super) fn into_sorted(self) -> Vec<Candidate> {
        self.best
    }

    /// The score that a candidate must exceed to be kept.
    fn threshold(&self) -> f32 {
        match self.best.last() {
            Some(worst) if self.best.len() == self.limit => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }

    fn insert(&mut self, candidate: Candidate) {
        if candidate.score > self.threshold() {
            self.best.truncate(self.limit - 1);
            let place = self.best.partition_point(|kept| kept.score >= candidate.score);
            self.best.insert(place, candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_candidates_are_those_of_a_stable_sort(
            rows in prop::collection::vec(prop::collection::vec(-4i8..4, 150), 1..4),
            limit in 1usize..12,
        ) {
            // Small integers, so that many scores are equal.
            let rows: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().map(|&x| f32::from(x)).collect()).collect();

            let mut candidates = Candidates::new(limit);
            let mut all = Vec::new();
            for (beam, row) in rows.iter().enumerate() {
                let beam_score = -(beam as f32);
                candidates.offer(beam, beam_score, row);
                all.extend((0..).zip(row).map(|(token, score)| Candidate {
                    beam,
                    token,
                    score: score + beam_score,
                }));
            }
            all.sort_by(|a, b| b.score.total_cmp(&a.score));
            all.truncate(limit);
            prop_assert_eq!(candidates.into_sorted(), all);
        }
    }

    #[test]
    fn forbidden_tokens_and_nan_are_no_candidates() {
        let mut candidates = Candidates::new(4);
        candidates.offer(0, 0.0, &[f32::NEG_INFINITY, 1.0, f32::NAN]);
        let tokens: Vec<u32> = candidates.into_sorted().iter().map(|c| c.token).collect();
        assert_eq!(tokens, [1]);
    }
}

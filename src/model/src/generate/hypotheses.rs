//! The finished captions of a beam search, as `BeamHypotheses` of transformers 4.46 keeps them.

/// A caption that a beam search may return.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hypothesis {
    /// Start token first, end token last if it was reached.
    pub(super) tokens: Vec<u32>,
    /// The sum of its tokens' scores, divided by its length to the power of the length penalty.
    pub(super) score: f64,
}

/// The best `limit` hypotheses, in the order in which they were added.
pub(super) struct Hypotheses {
    limit: usize,
    kept: Vec<Hypothesis>,
}

impl Hypotheses {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::new() }
    }

    /// Adds a hypothesis, unless there are `limit` of them and all are at least as good. Of several
    /// worst ones the oldest makes room.
    pub(super) fn add(&mut self, hypothesis: Hypothesis) {
        if self.kept.len() < self.limit {
            self.kept.push(hypothesis);
        } else if let Some((worst, score)) = self.worst()
            && hypothesis.score > score
        {
            self.kept.remove(worst);
            self.kept.push(hypothesis);
        }
    }

    /// Whether there are `limit` hypotheses and none is worse than `attainable`, the score that the
    /// best unfinished beam has at its present length (transformers' `early_stopping=False`).
    pub(super) fn are_settled(&self, attainable: f64) -> bool {
        self.kept.len() == self.limit
            && self.worst().is_some_and(|(_, worst_score)| worst_score >= attainable)
    }

    /// The best hypothesis; of equal ones the last that was added.
    pub(super) fn into_best(self) -> Option<Hypothesis> {
        self.kept.into_iter().max_by(|a, b| a.score.total_cmp(&b.score))
    }

    fn worst(&self) -> Option<(usize, f64)> {
        let scores = self.kept.iter().map(|hypothesis| hypothesis.score);
        scores.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hypotheses(limit: usize, scored: &[(u32, f64)]) -> Hypotheses {
        let mut hypotheses = Hypotheses::new(limit);
        for &(token, score) in scored {
            let tokens = vec![token];
            hypotheses.add(Hypothesis { tokens, score });
        }
        hypotheses
    }

    fn tokens(hypotheses: Hypotheses) -> Vec<u32> {
        hypotheses.kept.iter().flat_map(|h| h.tokens.clone()).collect()
    }

    #[test]
    fn the_oldest_of_the_worst_makes_room() {
        assert_eq!(tokens(hypotheses(2, &[(1, 0.5), (2, 0.5), (3, 0.7)])), [2, 3]);
    }

    #[test]
    fn a_hypothesis_no_better_than_the_worst_is_not_added() {
        assert_eq!(tokens(hypotheses(2, &[(1, 0.5), (2, 0.6), (3, 0.5)])), [1, 2]);
    }

    #[test]
    fn of_equally_good_hypotheses_the_last_is_best() {
        let best = hypotheses(3, &[(1, 0.5), (2, 0.5), (3, 0.1)]).into_best();
        assert_eq!(best.map(|h| h.tokens), Some(vec![2]));
    }

    #[test]
    fn hypotheses_are_settled_once_no_beam_can_beat_the_worst() {
        assert!(!hypotheses(2, &[(1, 0.9)]).are_settled(0.1));
        assert!(!hypotheses(2, &[(1, 0.9), (2, 0.3)]).are_settled(0.4));
        assert!(hypotheses(2, &[(1, 0.9), (2, 0.3)]).are_settled(0.3));
    }
}

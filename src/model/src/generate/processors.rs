//! Logits processors: penalties and bans that apply before a search sees the scores.
//!
//! They work on logits and log-probabilities alike, in place, and touch only the tokens they concern.
//! Their order does not matter: a forbidden score is -inf, which the repetition penalty leaves as it is.

use super::CaptionSettings;

/// The rules of one search.
pub(super) struct Processors<'a> {
    settings: &'a CaptionSettings,
    end_id: u32,
}

impl<'a> Processors<'a> {
    pub(super) fn new(settings: &'a CaptionSettings, end_id: u32) -> Self {
        Self { settings, end_id }
    }

    /// Applies the rules to the `scores` `[V]` of the token that follows `tokens`.
    pub(super) fn apply(&self, tokens: &[u32], scores: &mut [f32]) {
        if tokens.len() < self.settings.min_tokens {
            forbid(scores, self.end_id);
        }
        for &token in &self.settings.suppress {
            forbid(scores, token);
        }
        self.forbid_repeated_ngrams(tokens, scores);
        self.penalise_repeated_tokens(tokens, scores);
    }

    fn forbid_repeated_ngrams(&self, tokens: &[u32], scores: &mut [f32]) {
        let n = self.settings.no_repeat_ngram;
        if n == 0 || n > tokens.len() {
            return;
        }
        let (_, unfinished) = tokens.split_at(tokens.len() + 1 - n);
        for ngram in tokens.windows(n) {
            if let Some((&last, start)) = ngram.split_last()
                && start == unfinished
            {
                forbid(scores, last);
            }
        }
    }

    fn penalise_repeated_tokens(&self, tokens: &[u32], scores: &mut [f32]) {
        let CaptionSettings { once_except, repetition_penalty, .. } = self.settings;
        for (position, &token) in tokens.iter().enumerate() {
            if tokens.iter().take(position).any(|&earlier| earlier == token) {
                continue;
            }
            if !once_except.is_empty() && !once_except.contains(&token) {
                forbid(scores, token);
            }
            if let Some(score) = scores.get_mut(token as usize) {
                *score = if *score < 0.0 {
                    *score * repetition_penalty
                } else {
                    *score / repetition_penalty
                };
            }
        }
    }
}

fn forbid(scores: &mut [f32], token: u32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: f32 = f32::NEG_INFINITY;

    fn processed(settings: CaptionSettings, tokens: &[u32]) -> [f32; 4] {
        let mut scores = [1.0, -1.0, 2.0, -2.0];
        let settings = CaptionSettings { min_tokens: settings.min_tokens.min(4), ..settings };
        Processors::new(&settings, 3).apply(tokens, &mut scores);
        scores
    }

    fn without_minimum() -> CaptionSettings {
        CaptionSettings { min_tokens: 0, ..CaptionSettings::default() }
    }

    #[test]
    fn the_end_is_forbidden_until_there_are_min_tokens() {
        let settings = CaptionSettings { min_tokens: 3, ..CaptionSettings::default() };
        assert_eq!(processed(settings.clone(), &[0, 1])[3], FORBIDDEN);
        assert_eq!(processed(settings, &[0, 1, 2])[3], -2.0);
    }

    #[test]
    fn the_repetition_penalty_divides_positive_and_multiplies_negative_scores_once() {
        let settings = CaptionSettings { repetition_penalty: 2.0, ..without_minimum() };
        assert_eq!(processed(settings, &[0, 1, 0, 1]), [0.5, -2.0, 2.0, -2.0]);
    }

    #[test]
    fn suppressed_tokens_are_forbidden() {
        let settings = CaptionSettings { suppress: [0, 2].into(), ..without_minimum() };
        assert_eq!(processed(settings, &[1]), [FORBIDDEN, -1.0, FORBIDDEN, -2.0]);
    }

    #[test]
    fn the_token_that_would_repeat_an_ngram_is_forbidden() {
        let pairs = CaptionSettings { no_repeat_ngram: 2, ..without_minimum() };
        assert_eq!(processed(pairs.clone(), &[0, 1, 0]), [1.0, FORBIDDEN, 2.0, -2.0]);
        assert_eq!(processed(pairs, &[1]), [1.0, -1.0, 2.0, -2.0]);

        let single = CaptionSettings { no_repeat_ngram: 1, ..without_minimum() };
        assert_eq!(processed(single, &[0, 1]), [FORBIDDEN, FORBIDDEN, 2.0, -2.0]);
    }

    #[test]
    fn only_listed_tokens_may_occur_twice() {
        let settings = CaptionSettings { once_except: [1].into(), ..without_minimum() };
        assert_eq!(processed(settings, &[0, 1]), [FORBIDDEN, -1.0, 2.0, -2.0]);
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_passed_over() {
        let settings = CaptionSettings { suppress: [9].into(), ..without_minimum() };
        assert_eq!(processed(settings, &[7]), [1.0, -1.0, 2.0, -2.0]);
    }
}

//! Greedy search and sampling.
//!
//! The loop is that of open_clip 3.3's `generate` with `top_k` or `top_p`. Two of its habits are not
//! obvious: the last place before `max_tokens` always takes the end token, and a generated pad token
//! (in CLIP's vocabulary also the word piece "!") ends a caption as the end token does.

use std::{cmp::Ordering, collections::BinaryHeap};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    CaptionSearch, CaptionSettings, Decoded, StepDecoder,
    candidates::Candidates,
    softmax::{LogSoftmax, exp},
};

/// Takes the likeliest token at each step, the lowest id of equally likely ones.
pub(super) fn greedy<D: StepDecoder>(
    search: &CaptionSearch,
    decoder: &mut D,
) -> Result<Decoded, D::Error> {
    decode(search, decoder, |logits| {
        let mut likeliest = Candidates::new(1);
        likeliest.offer(0, 0.0, logits);
        likeliest.into_sorted().first().map(|likeliest| likeliest.token)
    })
}

/// Draws each token by its probability after `top_k`, `top_p` and `temperature`.
///
/// The random numbers are xoshiro256++'s, a fixed algorithm, and all arithmetic up to the choice is
/// the same on every platform.
pub(super) fn sample<D: StepDecoder>(
    search: &CaptionSearch,
    decoder: &mut D,
) -> Result<Decoded, D::Error> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(search.settings.seed);
    decode(search, decoder, |logits| draw(&weights(logits, search.settings), random.random()))
}

/// Decodes with `choose`, which picks a token by the processed logits `[V]`; where it finds none that is
/// allowed, the caption ends.
fn decode<D: StepDecoder>(
    search: &CaptionSearch,
    decoder: &mut D,
    mut choose: impl FnMut(&[f32]) -> Option<u32>,
) -> Result<Decoded, D::Error> {
    let end = search.vocabulary.end_id;
    let processors = search.processors();
    let mut tokens = search.prompt.clone();
    let mut log_probability = 0.0;
    let mut logits = search.prefill(decoder)?;
    let mut processed = Vec::new();
    loop {
        let token = if tokens.len() + 1 == search.settings.max_tokens {
            end
        } else {
            processed.clone_from(&logits);
            processors.apply(&tokens, &mut processed);
            choose(&processed).unwrap_or(end)
        };
        log_probability += LogSoftmax::of(&logits).log_probability(logits[token as usize]);
        tokens.push(token);
        if token == end || token == search.vocabulary.pad_id {
            break;
        }
        logits = search.step(decoder, &[0], &[token])?;
    }
    let generated = tokens.len() - search.prompt.len();
    Ok(Decoded { tokens, score: log_probability / generated as f32 })
}

/// A token that may come next, ordered by its logit; of equal ones the lower id is the greater.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Choice {
    logit: f32,
    token: u32,
}

impl Eq for Choice {}

impl Ord for Choice {
    fn cmp(&self, other: &Self) -> Ordering {
        self.logit.total_cmp(&other.logit).then(other.token.cmp(&self.token))
    }
}

impl PartialOrd for Choice {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn allowed(logits: &[f32]) -> impl Iterator<Item = Choice> {
    (0..)
        .zip(logits)
        .map(|(token, &logit)| Choice { logit, token })
        .filter(|choice| choice.logit > f32::NEG_INFINITY)
}

/// The tokens to draw from, each with a weight in proportion to its probability.
pub(super) fn weights(logits: &[f32], settings: &CaptionSettings) -> Vec<(u32, f32)> {
    let mut choices: Vec<Choice> = allowed(logits).collect();
    if settings.top_k > 0 {
        keep_top_k(&mut choices, settings.top_k);
    }
    if settings.top_p < 1.0 {
        choices = top_p(choices, settings.top_p);
    }
    let max = max_logit(&choices);
    choices
        .iter()
        .map(|choice| (choice.token, exp((choice.logit - max) / settings.temperature)))
        .collect()
}

/// Keeps the `k` likeliest choices, and those as likely as the last of them, as transformers'
/// `TopKLogitsWarper` does.
fn keep_top_k(choices: &mut Vec<Choice>, k: usize) {
    if k < choices.len() {
        let mut logits: Vec<f32> = choices.iter().map(|choice| choice.logit).collect();
        let (_, &mut least, _) = logits.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        choices.retain(|choice| choice.logit >= least);
    }
}

/// The fewest likeliest choices that make up the share `p` of the probability, as transformers'
/// `TopPLogitsWarper` keeps them; likeliest first.
fn top_p(mut choices: Vec<Choice>, p: f32) -> Vec<Choice> {
    let max = max_logit(&choices);
    let weight = |choice: &Choice| f64::from(exp(choice.logit - max));
    let total: f64 = choices.iter().map(weight).sum();
    let wanted = total * f64::from(p);

    // A choice below its equal part of what may be dropped is dropped in any case.
    let equal_part = (total - wanted) / choices.len() as f64;
    choices.retain(|choice| weight(choice) >= equal_part);

    let mut likeliest_first = BinaryHeap::from(choices);
    let mut reached = 0.0;
    let mut kept = Vec::new();
    while reached < wanted
        && let Some(choice) = likeliest_first.pop()
    {
        reached += weight(&choice);
        kept.push(choice);
    }
    kept
}

fn max_logit(choices: &[Choice]) -> f32 {
    let logits = choices.iter().map(|choice| choice.logit);
    logits.fold(f32::NEG_INFINITY, f32::max)
}

/// The token that `at`, from 0 to 1 exclusive, falls on when the weights lie end to end.
fn draw(weights: &[(u32, f32)], at: f64) -> Option<u32> {
    let total: f64 = weights.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let mut left = at * total;
    for (token, weight) in weights {
        left -= f64::from(*weight);
        if left < 0.0 {
            return Some(*token);
        }
    }
    weights.last().map(|(token, _)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(logits: &[f32], settings: CaptionSettings) -> Vec<u32> {
        let weights = weights(logits, &settings);
        weights.into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn forbidden_tokens_are_not_drawn() {
        let logits = [1.0, f32::NEG_INFINITY, 2.0];
        assert_eq!(kept(&logits, CaptionSettings::default()), [0, 2]);
    }

    #[test]
    fn top_k_keeps_what_is_as_likely_as_the_last() {
        let settings = CaptionSettings { top_k: 2, ..CaptionSettings::default() };
        assert_eq!(kept(&[1.0, 3.0, 2.0, 2.0], settings), [1, 2, 3]);
    }

    #[test]
    fn top_p_keeps_the_likeliest_token_however_small_it_is() {
        let settings = CaptionSettings { top_p: 1e-30, ..CaptionSettings::default() };
        assert_eq!(kept(&[1.0, 1.1, 1.0], settings), [1]);
    }

    #[test]
    fn a_draw_falls_on_tokens_in_proportion_to_their_weights() {
        let weights = [(7, 1.0), (8, 2.0), (9, 1.0)];
        let drawn = [0.0, 0.24, 0.25, 0.74, 0.75, 0.999].map(|at| draw(&weights, at));
        assert_eq!(drawn, [7, 7, 8, 8, 9, 9].map(Some));
        assert_eq!(draw(&[], 0.5), None);
    }

    #[test]
    fn the_random_numbers_of_a_seed_never_change() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
        let drawn: [f64; 3] = std::array::from_fn(|_| random.random());
        assert_eq!(
            drawn,
            [0.324_575_268_031_406_7, 0.382_239_296_511_673_43, 0.359_617_207_647_355_3]
        );
    }
}

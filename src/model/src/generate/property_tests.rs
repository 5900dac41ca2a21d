//! Properties of every model and every setting.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    CaptionSearch, CaptionSettings, Error, Search, StepDecoder, Vocabulary,
    softmax::log_softmax,
    synthetic::{SyntheticModel, VOCABULARY},
};

const SEARCHES: [Search; 4] = [Search::OpenClip, Search::LogProb, Search::Greedy, Search::Sample];

/// A vocabulary without a pad token, which ends captions in greedy search and sampling alone.
const WITHOUT_PAD: Vocabulary = Vocabulary { pad_id: VOCABULARY.end_id, ..VOCABULARY };

prop_compose! {
    fn models()(seed: u32, memory in 0usize..3, coarse: bool) -> SyntheticModel {
        SyntheticModel { seed, memory, coarse, vocabulary: WITHOUT_PAD }
    }
}

prop_compose! {
    /// Settings of any search, short enough that captions often reach `max_tokens`.
    fn settings()(
        search in prop::sample::select(&SEARCHES),
        groups in prop::sample::select(&[(6, 3), (4, 1), (2, 2), (1, 1)]),
        (min_tokens, max_tokens) in (0usize..8, 9usize..25),
        repetition_penalty in 0.5f32..2.0,
        (seed, top_k) in (any::<u64>(), 0usize..10),
        top_p in 0.1f32..=1.0,
    ) -> CaptionSettings {
        let (beams, beam_groups) = groups;
        CaptionSettings {
            search, beams, beam_groups, min_tokens, max_tokens, repetition_penalty, seed, top_k, top_p,
            ..CaptionSettings::default()
        }
    }
}

/// The tokens a caption consists of, without its end.
fn words(tokens: &[u32]) -> &[u32] {
    tokens.strip_suffix(&[VOCABULARY.end_id]).unwrap_or(tokens)
}

/// The sum of the log-probabilities that the model gives the tokens after the first.
fn log_probability(model: &SyntheticModel, tokens: &[u32]) -> f32 {
    let each = (1..tokens.len()).map(|place| {
        let mut scores = model.logits(&tokens[..place]);
        log_softmax(&mut scores);
        scores[tokens[place] as usize]
    });
    each.sum()
}

proptest! {
    #[test]
    fn a_caption_begins_with_the_prompt_and_keeps_to_min_and_max_tokens(
        model in models(),
        settings in settings(),
        prompt in prop::collection::vec(1u32..35, 0..5),
    ) {
        let tokens = model.caption(&settings, &prompt).tokens;
        prop_assert_eq!(tokens[0], VOCABULARY.start_id);
        prop_assert!(tokens[1..].starts_with(&prompt));
        prop_assert!(tokens.len() <= settings.max_tokens);
        prop_assert!(!words(&tokens).contains(&VOCABULARY.end_id));
        if tokens.ends_with(&[VOCABULARY.end_id]) {
            prop_assert!(words(&tokens).len() >= settings.min_tokens);
        } else {
            prop_assert_eq!(tokens.len(), settings.max_tokens);
        }
    }

    #[test]
    fn the_same_settings_give_the_same_caption(model in models(), settings in settings()) {
        prop_assert_eq!(model.caption(&settings, &[]), model.caption(&settings, &[]));
    }

    #[test]
    fn no_ngram_repeats(model in models(), settings in settings(), n in 1usize..4) {
        let settings = CaptionSettings { no_repeat_ngram: n, ..settings };
        let tokens = model.caption(&settings, &[]).tokens;
        let distinct: BTreeSet<&[u32]> = tokens.windows(n).collect();
        prop_assert_eq!(distinct.len(), tokens.windows(n).count());
    }

    #[test]
    fn only_the_listed_tokens_repeat(
        model in models(),
        settings in settings(),
        once_except in prop::collection::btree_set(0u32..35, 1..10),
    ) {
        let settings = CaptionSettings { once_except, ..settings };
        let tokens = model.caption(&settings, &[]).tokens;
        let mut seen = BTreeSet::new();
        for token in tokens {
            prop_assert!(seen.insert(token) || settings.once_except.contains(&token));
        }
    }

    #[test]
    fn suppressed_tokens_do_not_occur(
        model in models(),
        settings in settings(),
        suppress in prop::collection::btree_set(0u32..35, 1..30),
    ) {
        let settings = CaptionSettings { suppress, ..settings };
        let tokens = model.caption(&settings, &[]).tokens;
        prop_assert!(tokens.iter().all(|token| !settings.suppress.contains(token)));
    }

    #[test]
    fn greedy_search_is_log_prob_search_with_one_beam(model in models(), min_tokens in 0usize..10) {
        let greedy = CaptionSettings { search: Search::Greedy, min_tokens, ..CaptionSettings::default() };
        let one_beam = CaptionSettings { search: Search::LogProb, beams: 1, ..greedy.clone() };
        let greedy = model.caption(&greedy, &[]);
        let one_beam = model.caption(&one_beam, &[]);
        if greedy.tokens.len() < 30 {
            prop_assert!((greedy.score - one_beam.score).abs() < 1e-4);
            prop_assert_eq!(greedy.tokens, one_beam.tokens);
        } else {
            // Only greedy search puts the end in the last place by force.
            prop_assert_eq!(&greedy.tokens[..29], &one_beam.tokens[..29]);
        }
    }

    #[test]
    fn sampling_among_one_token_is_greedy_search(mut model in models(), seed: u64) {
        model.coarse = false;
        let greedy = CaptionSettings { search: Search::Greedy, ..CaptionSettings::default() };
        let sample = CaptionSettings { search: Search::Sample, top_k: 1, seed, ..greedy.clone() };
        let greedy = model.caption(&greedy, &[]);
        // Equally likely tokens are drawn from, whatever `top_k` is.
        prop_assume!(!has_equally_likely_tokens(&model, &greedy.tokens));
        prop_assert_eq!(greedy, model.caption(&sample, &[]));
    }

    #[test]
    fn a_log_prob_score_is_the_captions_log_probability_over_its_length(
        model in models(),
        beams in 1usize..6,
        length_penalty in -1.0f32..2.0,
    ) {
        let settings = CaptionSettings {
            search: Search::LogProb, beams, length_penalty, ..CaptionSettings::default()
        };
        let found = model.caption(&settings, &[]);
        let generated = (found.tokens.len() - 1) as f32;
        let expected = log_probability(&model, &found.tokens) / generated.powf(length_penalty);
        prop_assert!((found.score - expected).abs() < 1e-4 * expected.abs().max(1.0));
    }

    #[test]
    fn a_beam_as_wide_as_the_tree_finds_the_best_of_all_captions(mut model in models()) {
        model.vocabulary = Vocabulary { size: 5, start_id: 3, end_id: 4, pad_id: 4, ..VOCABULARY };
        let settings = CaptionSettings {
            search: Search::LogProb, beams: 256, min_tokens: 0, max_tokens: 4, ..CaptionSettings::default()
        };
        let found = model.caption(&settings, &[]);

        let mut unfinished = vec![vec![3]];
        let mut best = f32::NEG_INFINITY;
        for length in 1..4 {
            let mut longer = Vec::new();
            for (tokens, next) in unfinished.iter().flat_map(|t| (0..5).map(move |next| (t, next))) {
                let tokens = [tokens.as_slice(), &[next]].concat();
                if next == 4 || length == 3 {
                    best = best.max(log_probability(&model, &tokens) / length as f32);
                } else {
                    longer.push(tokens);
                }
            }
            unfinished = longer;
        }
        prop_assert!((found.score - best).abs() < 1e-4, "{} instead of {best}", found.score);
    }

    #[test]
    fn groups_find_what_one_of_them_finds(model in models(), width in 1usize..4, groups in 1usize..4) {
        let grouped = CaptionSettings {
            beams: width * groups, beam_groups: groups, ..CaptionSettings::default()
        };
        let one = CaptionSettings { beams: width, beam_groups: 1, ..CaptionSettings::default() };
        prop_assert_eq!(model.caption(&grouped, &[]), model.caption(&one, &[]));
    }
}

fn has_equally_likely_tokens(model: &SyntheticModel, tokens: &[u32]) -> bool {
    (1..tokens.len()).any(|place| {
        let logits = model.logits(&tokens[..place]);
        let distinct: BTreeSet<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
        distinct.len() < logits.len()
    })
}

#[test]
fn other_seeds_give_other_samples() {
    let model = SyntheticModel { seed: 1, memory: 0, coarse: false, vocabulary: VOCABULARY };
    let samples: BTreeSet<Vec<u32>> = (0..20)
        .map(|seed| CaptionSettings {
            search: Search::Sample,
            seed,
            temperature: 2.0,
            ..CaptionSettings::default()
        })
        .map(|settings| model.caption(&settings, &[]).tokens)
        .collect();
    assert!(samples.len() > 15, "{} different samples", samples.len());
}

#[test]
fn a_search_that_may_only_end_ends() {
    for search in SEARCHES {
        let settings = CaptionSettings {
            search,
            min_tokens: 0,
            suppress: (0..36).collect(),
            ..CaptionSettings::default()
        };
        let model = SyntheticModel { seed: 1, memory: 0, coarse: false, vocabulary: VOCABULARY };
        assert_eq!(model.caption(&settings, &[]).tokens, [35, 36], "{search:?}");
    }
}

#[test]
fn logits_that_are_no_numbers_end_a_search() {
    struct Broken;
    impl StepDecoder for Broken {
        type Error = std::convert::Infallible;
        fn prefill(&mut self, _: &[u32]) -> Result<Vec<f32>, Self::Error> {
            Ok(vec![f32::NAN; 37])
        }
        fn step(&mut self, parents: &[usize], _: &[u32]) -> Result<Vec<f32>, Self::Error> {
            Ok(vec![f32::NAN; 37 * parents.len()])
        }
    }
    for search in SEARCHES {
        let settings = CaptionSettings { search, ..CaptionSettings::default() };
        let search = CaptionSearch::new(&settings, VOCABULARY, &[7]).unwrap();
        let Ok(found) = search.run(&mut Broken);
        assert!(found.tokens.starts_with(&[35, 7]));
        assert!(found.tokens.len() <= 3);
    }
}

#[test]
fn a_prompt_that_leaves_no_room_is_an_error() {
    let settings = CaptionSettings { max_tokens: 6, ..CaptionSettings::default() };
    let error = CaptionSearch::new(&settings, VOCABULARY, &[1; 5]).unwrap_err();
    assert!(matches!(error, Error::PromptTooLong { max_tokens: 6, found: 6 }));
    assert!(CaptionSearch::new(&settings, VOCABULARY, &[1; 4]).is_ok());
}

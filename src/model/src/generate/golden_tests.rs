//! Replays what open_clip 3.3.0 and transformers 4.46.3 found with the synthetic model
//! (`tests/golden/search/make.py`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    CaptionSettings, Search, sampling,
    synthetic::{SyntheticModel, VOCABULARY},
};

#[derive(Deserialize)]
struct Golden {
    searches: Vec<SearchCase>,
    sampling: Vec<SamplingCase>,
}

#[derive(Deserialize)]
struct SearchCase {
    model: (u32, usize, u8),
    #[serde(default)]
    prompt: Vec<u32>,
    settings: CaptionSettings,
    tokens: Vec<u32>,
    score: f32,
}

#[derive(Deserialize)]
struct SamplingCase {
    model: (u32, usize, u8),
    prompt: Vec<u32>,
    settings: CaptionSettings,
    probabilities: BTreeMap<u32, f32>,
}

fn golden() -> Golden {
    let cases = include_str!("../../../../tests/golden/search/cases.json");
    serde_json::from_str(cases).expect("cases.json is as make.py writes it")
}

fn model((seed, memory, coarse): (u32, usize, u8)) -> SyntheticModel {
    SyntheticModel { seed, memory, coarse: coarse == 1, vocabulary: VOCABULARY }
}

fn replay(search: Search) {
    let cases = golden().searches.into_iter().filter(|case| case.settings.search == search);
    let mut replayed = 0;
    for case in cases {
        let found = model(case.model).caption(&case.settings, &case.prompt);
        let described = format!("{:?} {:?} {:?}", case.model, case.prompt, case.settings);
        assert_eq!(found.tokens, case.tokens, "{described}");
        let difference = (found.score - case.score).abs();
        assert!(
            difference <= 1e-4 * case.score.abs().max(1.0),
            "score {} instead of {}: {described}",
            found.score,
            case.score
        );
        replayed += 1;
    }
    assert!(replayed >= 80, "only {replayed} cases for {search:?}");
}

#[test]
fn the_open_clip_search_finds_what_open_clip_finds() {
    replay(Search::OpenClip);
}

#[test]
fn the_log_prob_search_finds_what_transformers_beam_search_finds() {
    replay(Search::LogProb);
}

#[test]
fn the_greedy_search_finds_what_open_clip_finds_with_top_k_1() {
    replay(Search::Greedy);
}

#[test]
fn sampling_draws_from_the_probabilities_of_open_clip() {
    for case in golden().sampling {
        let tokens = [&[VOCABULARY.start_id], case.prompt.as_slice()].concat();
        let logits = model(case.model).logits(&tokens);
        let weights = sampling::weights(&logits, &case.settings);
        let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
        let found: BTreeMap<u32, f32> = weights
            .into_iter()
            .map(|(token, weight)| (token, weight / total))
            .filter(|(_, probability)| *probability > 1e-7)
            .collect();

        let described = format!("{:?} {:?} {:?}", case.model, case.prompt, case.settings);
        assert!(found.keys().eq(case.probabilities.keys()), "{described}");
        for (found, expected) in found.values().zip(case.probabilities.values()) {
            assert!((found - expected).abs() < 1e-5, "{described}");
        }
    }
}

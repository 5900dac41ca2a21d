//! Decoders that break their contract.

use std::convert::Infallible;

use super::{CaptionSearch, CaptionSettings, Search, StepDecoder, synthetic::VOCABULARY};

/// Returns one logit too few.
struct Narrow;

impl StepDecoder for Narrow {
    type Error = Infallible;

    fn prefill(&mut self, _: &[u32]) -> Result<Vec<f32>, Infallible> {
        Ok(vec![0.0; VOCABULARY.size - 1])
    }

    fn step(&mut self, _: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Infallible> {
        Ok(vec![0.0; tokens.len() * (VOCABULARY.size - 1)])
    }
}

fn run(search: Search) {
    let settings = CaptionSettings { search, ..CaptionSettings::default() };
    let search = CaptionSearch::new(&settings, VOCABULARY, &[]).expect("valid settings");
    let Ok(_) = search.run(&mut Narrow);
}

#[test]
#[should_panic(expected = "one logit a row and token id")]
fn logits_of_another_vocabulary_are_no_beams() {
    run(Search::OpenClip);
}

#[test]
#[should_panic(expected = "one logit a row and token id")]
fn logits_of_another_vocabulary_are_not_sampled_from() {
    run(Search::Sample);
}

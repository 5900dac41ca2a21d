//! A second order of the best, by the decoder.

use coca_edge::{
    Coca,
    index::Hit,
    tasks::{Evidence, ScoreOptions},
    vision::{self, Limits},
};

use crate::cli::messages;

/// Puts the first `count` of `hits` in the order of how much likelier `text` is with the picture than without, and of their cosines;
/// pictures that cannot be read come last among them.
pub(super) fn rerank(
    coca: &Coca,
    text: &str,
    hits: &mut [Hit],
    count: usize,
) -> anyhow::Result<()> {
    let options = ScoreOptions { by: Some(Evidence::Both), ..ScoreOptions::default() };
    let scorer = coca.text_scorer([text], options)?;
    let count = count.min(hits.len());
    let first = &mut hits[..count];
    let mut ranked = Vec::new();
    for hit in first.iter() {
        let detail = coca.preprocessor().detail();
        let evidence = match vision::open(&hit.file, &Limits::of_process(1), detail) {
            Ok(image) => {
                scorer.score(&coca.encode_image(image)?)?.first().map(|text| text.evidence)
            }
            Err(error) => {
                messages::fail(format_args!("{}: {error}", hit.file.display()));
                None
            }
        };
        ranked.push((evidence.unwrap_or(f32::NEG_INFINITY), hit.clone()));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (place, (_, hit)) in first.iter_mut().zip(ranked) {
        *place = hit;
    }
    Ok(())
}

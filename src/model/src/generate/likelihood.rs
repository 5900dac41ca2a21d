//! The likelihood of given token sequences.

use super::{StepDecoder, softmax::LogSoftmax};

/// The log-probability of each of `texts` under `decoder`: the sum, over the tokens after the first, of
/// log softmax of the logits in front of them. The first token, which all have in common, is the start token.
///
/// Texts run together as the rows of a batch, and a common beginning is run once: a row is a prefix, not a text.
/// `decoder` must not have run anything before.
///
/// ```
/// use coca_model::generate::{StepDecoder, log_probabilities};
///
/// /// A language model to which all of 4 tokens are equally likely.
/// struct Uniform;
///
/// impl StepDecoder for Uniform {
///     type Error = std::convert::Infallible;
///
///     fn prefill(&mut self, _prompt: &[u32]) -> Result<Vec<f32>, Self::Error> {
///         Ok(vec![0.0; 4])
///     }
///
///     fn step(&mut self, _parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Self::Error> {
///         Ok(vec![0.0; 4 * tokens.len()])
///     }
/// }
///
/// let found = log_probabilities(&mut Uniform, &[&[0, 1, 3], &[0, 1, 2, 3]])?;
/// assert!((found[0] - 2.0 * 0.25_f32.ln()).abs() < 1e-6);
/// assert!((found[1] - 3.0 * 0.25_f32.ln()).abs() < 1e-6);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
///
/// # Errors
/// Those of the decoder.
///
/// # Panics
/// When a text is empty, two begin with different tokens, or a token is outside of the decoder's vocabulary.
pub fn log_probabilities<D: StepDecoder>(
    decoder: &mut D,
    texts: &[&[u32]],
) -> Result<Vec<f32>, D::Error> {
    let mut sums = vec![0.0; texts.len()];
    let Some(first) = texts.first() else { return Ok(sums) };
    let start = first[0];
    assert!(texts.iter().all(|text| text[0] == start), "all texts begin with the start token");

    let mut order: Vec<usize> = (0..texts.len()).filter(|&i| texts[i].len() > 1).collect();
    order.sort_by_key(|&i| texts[i]);
    if order.is_empty() {
        return Ok(sums);
    }
    let mut logits = decoder.prefill(&[start])?;
    let mut rows = vec![order];
    for length in 1.. {
        let width = logits.len() / rows.len();
        for (row, logits) in rows.iter().zip(logits.chunks(width)) {
            let softmax = LogSoftmax::of(logits);
            for &i in row {
                sums[i] += softmax.log_probability(logits[texts[i][length] as usize]);
            }
        }
        let (parents, longer) = continuations(&rows, texts, length);
        if longer.is_empty() {
            break;
        }
        let tokens: Vec<u32> = longer.iter().map(|row| texts[row[0]][length]).collect();
        logits = decoder.step(&parents, &tokens)?;
        rows = longer;
    }
    Ok(sums)
}

/// The prefixes of `length + 1` tokens that some text goes on after, each with its texts, and the rows of `rows` that
/// they continue. The texts of a row are sorted.
fn continuations(
    rows: &[Vec<usize>],
    texts: &[&[u32]],
    length: usize,
) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut parents = Vec::new();
    let mut longer = Vec::new();
    for (parent, row) in rows.iter().enumerate() {
        for same in row.chunk_by(|&a, &b| texts[a][length] == texts[b][length]) {
            let unfinished: Vec<usize> =
                same.iter().copied().filter(|&i| texts[i].len() > length + 1).collect();
            if !unfinished.is_empty() {
                parents.push(parent);
                longer.push(unfinished);
            }
        }
    }
    (parents, longer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generate::synthetic::{SyntheticDecoder, SyntheticModel, VOCABULARY};

    const MODEL: SyntheticModel =
        SyntheticModel { seed: 3, memory: 3, coarse: false, vocabulary: VOCABULARY };

    /// The sum over all tokens, each from the logits of all tokens before it.
    fn expected(text: &[u32]) -> f32 {
        let step = |end: usize| {
            let logits = MODEL.logits(&text[..end]);
            let exact: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            f64::from(logits[text[end] as usize]) - exact.ln()
        };
        (1..text.len()).map(step).sum::<f64>() as f32
    }

    fn text() -> impl Strategy<Value = Vec<u32>> {
        // Few different tokens, so that texts often begin alike, repeat each other and end inside one another.
        prop::collection::vec(0_u32..3, 0..7)
            .prop_map(|tokens| [&[VOCABULARY.start_id], tokens.as_slice()].concat())
    }

    proptest! {
        #[test]
        fn a_text_scores_in_company_as_it_does_alone(texts in prop::collection::vec(text(), 0..9)) {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let found = log_probabilities(&mut SyntheticDecoder::new(MODEL), &texts).unwrap();
            prop_assert_eq!(found.len(), texts.len());
            for (text, found) in texts.iter().zip(found) {
                prop_assert!((found - expected(text)).abs() < 1e-3, "{found} of {text:?}");
            }
        }
    }

    #[test]
    fn a_common_beginning_runs_once() {
        struct Counting(SyntheticDecoder, Vec<usize>);
        impl StepDecoder for Counting {
            type Error = std::convert::Infallible;
            fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Self::Error> {
                self.0.prefill(prompt)
            }
            fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Self::Error> {
                self.1.push(tokens.len());
                self.0.step(parents, tokens)
            }
        }
        let mut decoder = Counting(SyntheticDecoder::new(MODEL), Vec::new());
        let start = VOCABULARY.start_id;
        let texts: [&[u32]; 3] = [&[start, 4, 5, 1, 9], &[start, 4, 5, 2, 9], &[start, 4, 5, 9]];
        log_probabilities(&mut decoder, &texts).unwrap();
        assert_eq!(decoder.1, [1, 1, 2]);
    }
}

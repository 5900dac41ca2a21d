//! The caption decoder of a model, run step by step with its KV cache.

mod cache;

use cache::KvCache;
use coca_engine::{Graph, Input, SharedTensor};
use ndarray::{Array1, Array2, Array3, ArrayD};

use super::{Error, output::checked_output};
use crate::{
    bundle::{Config, Dimensions},
    generate::StepDecoder,
};

/// Added to an attention score that must not count.
const MASKED: f32 = -1e9;

/// Inputs of the decoder in front of the caches: ids, positions, two masks.
const OWN_INPUTS: usize = 4;

const PART: &str = "caption_decoder.onnx";

/// Cross-attention keys and values of one image: `cross_key.0, cross_value.0, …`, each `[1, T, W]`, in the
/// layout that the decoder reads.
///
/// Computed once, and shared by every beam and step.
#[derive(Debug, Clone)]
pub struct CrossKv(Vec<SharedTensor>);

impl CrossKv {
    /// Runs the part `cross_kv` on one image's tokens `[1, T, D]`, for the part `decoder`.
    ///
    /// # Errors
    /// [`Error::Engine`] when the tokens are not those that the part reads.
    pub fn compute(
        cross_kv: &Graph,
        decoder: &Graph,
        dimensions: &Dimensions,
        image_tokens: ArrayD<f32>,
    ) -> Result<Self, Error> {
        let tensors = cross_kv.run(vec![Input::F32(image_tokens)])?;
        let first = OWN_INPUTS + 2 * layers(dimensions);
        let lay_out = |(i, tensor)| decoder.shared_input(first + i, tensor);
        Ok(Self(tensors.into_iter().enumerate().map(lay_out).collect::<Result<_, _>>()?))
    }
}

/// Layers that have a cache.
fn layers(dimensions: &Dimensions) -> usize {
    dimensions.unimodal_layers + dimensions.multimodal_layers
}

/// The decoder of one caption: a graph, an image's cross-attention keys and values, and a KV cache.
///
/// Any search of [`generate`](crate::generate) can drive it. A clone goes on from the same tokens.
#[derive(Clone)]
pub struct CaptionDecoder<'a> {
    graph: &'a Graph,
    cross: &'a CrossKv,
    cache: KvCache,
    pad_id: u32,
    vocabulary_size: usize,
}

impl<'a> CaptionDecoder<'a> {
    /// A decoder with an empty cache. `graph` is the part `caption_decoder.onnx` of the bundle that `config`
    /// describes.
    #[must_use]
    pub fn new(graph: &'a Graph, cross: &'a CrossKv, config: &Config) -> Self {
        let dimensions = &config.dimensions;
        Self {
            graph,
            cross,
            cache: KvCache::empty(layers(dimensions), dimensions.decoder_width),
            pad_id: config.text.pad_id,
            vocabulary_size: config.text.vocab_size as usize,
        }
    }

    /// Appends `tokens[r]` to row r of the cache; gives the logits `[B, V]` after each row's last token.
    fn run(&mut self, tokens: &[&[u32]]) -> Result<Vec<f32>, Error> {
        let (batch, new) = (tokens.len(), tokens.first().map_or(0, |row| row.len()));
        let past = self.cache.past();
        let ids = Array2::from_shape_fn((batch, new), |(b, s)| i64::from(tokens[b][s]));
        let positions = Array1::from_shape_fn(new, |s| (past + s) as i64);
        let causal =
            Array2::from_shape_fn(
                (new, past + new),
                |(s, k)| if k > past + s { MASKED } else { 0.0 },
            );
        let mut inputs = vec![
            ids.into(),
            positions.into(),
            self.text_mask(tokens, &causal).into(),
            causal.into(),
        ];
        inputs.extend(self.cache.inputs(self.graph, OWN_INPUTS));
        inputs.extend(self.cross.0.iter().map(|tensor| Input::Shared(tensor.clone())));
        if self.graph.takes_slot_mapping() {
            inputs.push(self.cache.slots());
        }
        let mut outputs = self.graph.run(inputs)?;
        let rows = outputs.split_off(1);
        let logits = checked_output(PART, outputs.pop(), &[batch, self.vocabulary_size])?;
        self.cache.append(&rows, tokens)?;
        Ok(logits)
    }

    /// The unimodal layers' mask `[B, S, P+S]`: causal, and closed to the key after a pad id.
    ///
    /// open_clip pads the valid flags on the left (`_build_additive_mask`), so a pad id hides not its
    /// own key but the next one.
    fn text_mask(&self, tokens: &[&[u32]], causal: &Array2<f32>) -> Array3<f32> {
        let (new, keys) = causal.dim();
        Array3::from_shape_fn((tokens.len(), new, keys), |(b, s, k)| {
            let past = &self.cache.ids()[b];
            let before = k.checked_sub(1).map(|j| match past.get(j) {
                Some(&id) => id,
                None => tokens[b][j - past.len()],
            });
            if before == Some(self.pad_id) { MASKED } else { causal[(s, k)] }
        })
    }
}

impl StepDecoder for CaptionDecoder<'_> {
    type Error = Error;

    fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, Error> {
        self.run(&[prompt])
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Vec<f32>, Error> {
        self.cache.reorder(parents);
        let rows: Vec<&[u32]> = tokens.iter().map(std::slice::from_ref).collect();
        self.run(&rows)
    }
}

#[cfg(test)]
#[cfg(feature = "pocket")]
mod tests {
    use std::sync::LazyLock;

    use coca_engine::{Arithmetic, Engine};
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::Bundle;

    struct Model {
        graph: Graph,
        cross: CrossKv,
        config: Config,
    }

    static POCKET: LazyLock<Model> = LazyLock::new(|| {
        // In int8, a last bit of difference may round to another step.
        let bundle = Bundle::pocket().unwrap().compute_in(Arithmetic::F32).unwrap();
        let config = bundle.config().clone();
        let dimensions = config.dimensions;
        let shape = (1, dimensions.image_tokens, dimensions.image_width);
        let tokens = Array3::from_shape_fn(shape, |(_, t, d)| ((t * 31 + d * 17) as f32).sin());
        let engine = Engine::new().unwrap();
        let graph = bundle.load_caption_decoder(&engine).unwrap();
        let cross_kv = bundle.load_cross_kv(&engine).unwrap();
        let cross = CrossKv::compute(&cross_kv, &graph, &dimensions, tokens.into_dyn());
        Model { graph, cross: cross.unwrap(), config }
    });

    impl Model {
        fn decoder(&self) -> CaptionDecoder<'_> {
            CaptionDecoder::new(&self.graph, &self.cross, &self.config)
        }

        /// The logits after the last of `tokens`, computed from all of them at once.
        fn recomputed(&self, tokens: &[u32]) -> Vec<f32> {
            self.decoder().prefill(tokens).unwrap()
        }
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// Token ids, the pad id (which hides the next key) more often than chance would have it.
    fn ids(tokens: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
        let id = prop_oneof![1 => Just(POCKET.config.text.pad_id), 6 => 0..POCKET.config.text.vocab_size];
        prop::collection::vec(id, tokens)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn cached_decoding_equals_full_recomputation(ids in ids(2..14), prompt in 1_usize..6) {
            let prompt = prompt.min(ids.len() - 1);
            let mut decoder = POCKET.decoder();
            decoder.prefill(&ids[..prompt]).unwrap();
            for end in prompt + 1..=ids.len() {
                let cached = decoder.step(&[0], &[ids[end - 1]]).unwrap();
                let difference = worst(&cached, &POCKET.recomputed(&ids[..end]));
                prop_assert!(difference < 2e-3, "{difference} after {end} tokens");
            }
        }

        #[test]
        fn beams_answer_as_if_each_ran_alone(
            prompt in ids(1..4), first in ids(3..4), second in ids(3..4), parents in prop::collection::vec(0_usize..3, 3),
        ) {
            let mut decoder = POCKET.decoder();
            decoder.prefill(&prompt).unwrap();
            decoder.step(&[0, 0, 0], &first).unwrap();
            let together = decoder.step(&parents, &second).unwrap();
            for (row, logits) in together.chunks(POCKET.config.text.vocab_size as usize).enumerate() {
                let mut alone = prompt.clone();
                alone.extend([first[parents[row]], second[row]]);
                let difference = worst(logits, &POCKET.recomputed(&alone));
                prop_assert!(difference < 2e-3, "{difference} in row {row}");
            }
        }
    }
}

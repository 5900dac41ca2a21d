//! `text_encoder.onnx`: open_clip's `TextTransformer` with its class token.

use coca_onnx::{
    builder::{GraphBuilder, Value},
    pb::TensorProto,
};

use super::{
    Error, WeightFile,
    blocks::{Block, Heads},
    encode,
};
use crate::open_clip::{Architecture, CoCaWeights};

/// Added to masked attention scores.
const MASKED: f32 = -1e9;

/// Weights that the text encoder and the caption decoder share: embeddings and the unimodal layers.
pub struct TextTower {
    pub(super) tokens: TensorProto,
    pub(super) positions: TensorProto,
    pub(super) blocks: Vec<Block>,
    pub(super) heads: Heads,
}

impl TextTower {
    /// Stores the shared weights.
    ///
    /// # Errors
    /// When the checkpoint is damaged or the weights cannot be written.
    pub fn store(
        weights: &CoCaWeights,
        architecture: &Architecture,
        file: &mut WeightFile,
    ) -> Result<Self, Error> {
        let (weights, layers) = (&weights.text, &architecture.text.layers);
        Ok(Self {
            tokens: file.table(&weights.token_embedding)?,
            positions: file.vector(&weights.positional_embedding)?,
            blocks: Block::store_all(file, &weights.blocks, layers, architecture.activation)?,
            heads: Heads { count: layers.heads, width: layers.width },
        })
    }
}

/// `input_ids [N,L]` → `text_embedding [N,E]`, for any L from 1 to the context length.
///
/// The class token stands at the last position whatever L is, so that a text needs no more padding
/// than the one pad that open_clip's mask lets it see.
///
/// # Errors
/// When the checkpoint is damaged or the weights cannot be written.
pub fn text_encoder(
    weights: &CoCaWeights,
    architecture: &Architecture,
    tower: &TextTower,
    file: &mut WeightFile,
) -> Result<Vec<u8>, Error> {
    let weights = &weights.text;
    let context = architecture.text.context_length;
    let width = tower.heads.width;
    let mut class = weights.positional_embedding.rows(context..context + 1).values()?;
    class
        .iter_mut()
        .zip(weights.cls_emb.values()?)
        .for_each(|(position, token)| *position += token);
    let class = file.computed(weights.cls_emb.key(), &[1, width], class)?;
    let causal =
        file.computed("causal_mask", &[context + 1, context + 1], causal_mask(context + 1))?;
    let ln_final = super::blocks::LayerNorm::store(file, &weights.ln_final)?;
    let projection = file.table(&weights.text_projection)?;

    let mut graph = GraphBuilder::new("text_encoder");
    let ids = graph.input_i64("input_ids", &["N".into(), "L".into()]);
    let shape = graph.op("Shape", &[&ids]);
    let length = graph.slice(&shape, 1, 2, 0);
    let tokens = graph.lookup(&tower.tokens, &ids);
    let tokens = graph.pad(&tokens, &[0, 0, 0], &[0, 1, 0]);
    let positions = graph.weight(&tower.positions);
    let positions = graph.slice_until(&positions, 0, &length, 0);
    let class = graph.weight(&class);
    let positions = graph.concat(&[&positions, &class], 0);
    let mut x = graph.op("Add", &[&tokens, &positions]);
    let causal = graph.weight(&causal);
    let mask = mask(&mut graph, &ids, &length, &causal);
    for (i, block) in tower.blocks.iter().enumerate() {
        // Nothing reads the other rows of the last block.
        x = match i + 1 == tower.blocks.len() {
            false => block.apply(&mut graph, &x, Some(&mask)),
            true => block.apply_to_last_row(&mut graph, &x, &mask),
        };
    }
    let class = graph.pick(&x, -1, 1);
    let class = ln_final.apply(&mut graph, &class);
    let projection = graph.weight(&projection);
    let embedding = graph.op("MatMul", &[&class, &projection]);
    let embedding = graph.l2_normalize(&embedding);
    graph.output("text_embedding", &embedding, &["N".into(), architecture.embedding.into()]);
    Ok(encode(graph))
}

/// Causal, and closed to the key after a pad id `[N, 1, L+1, L+1]`.
///
/// `_build_additive_mask` pads the valid flags on the left, so a pad hides not its own key but the next
/// one: released weights are trained with that.
fn mask(graph: &mut GraphBuilder, ids: &Value, length: &Value, causal: &Value) -> Value {
    let (pad, one, masked) = (graph.index(0), graph.index(1), graph.constant(MASKED));
    let pads = graph.op("Equal", &[ids, &pad]);
    let pads = graph.cast_to_f32(&pads);
    let hidden = graph.op("Mul", &[&pads, &masked]);
    let hidden = graph.pad(&hidden, &[0, 1], &[0, 0]);
    let hidden = graph.unsqueeze(&hidden, &[1, 2]);
    let rows = graph.op("Add", &[length, &one]);
    let causal = graph.slice_until(causal, 0, &rows, 0);
    let causal = graph.slice_until(&causal, 0, &rows, 1);
    graph.op("Add", &[&hidden, &causal])
}

fn causal_mask(rows: usize) -> Vec<f32> {
    let open = |row: usize, key: usize| if key > row { MASKED } else { 0.0 };
    (0..rows).flat_map(|row| (0..rows).map(move |key| open(row, key))).collect()
}

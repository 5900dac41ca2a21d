//! `text_encoder.onnx`: open_clip's `TextTransformer`, with the class token of a CoCa or without, as in a CLIP.

use coca_onnx::{
    builder::{GraphBuilder, TO_END, Value},
    pb::TensorProto,
};

use super::{
    Error, WeightFile,
    blocks::{Block, LayerNorm},
    encode,
};
use crate::{
    checkpoint::Tensor,
    open_clip::{Architecture, TextWeights},
};

/// Added to masked attention scores.
const MASKED: f32 = -1e9;

/// Weights that the text encoder and the caption decoder share: embeddings and the unimodal layers.
pub struct TextTower {
    pub(super) tokens: TensorProto,
    pub(super) positions: TensorProto,
    pub(super) blocks: Vec<Block>,
}

impl TextTower {
    /// Stores the shared weights.
    ///
    /// # Errors
    /// When the checkpoint is damaged or the weights cannot be written.
    pub fn store(
        weights: &TextWeights,
        architecture: &Architecture,
        file: &mut WeightFile,
    ) -> Result<Self, Error> {
        let layers = &architecture.text.layers;
        Ok(Self {
            tokens: file.table(&weights.token_embedding)?,
            positions: file.vector(&weights.positional_embedding)?,
            blocks: Block::store_all(file, &weights.blocks, layers, architecture.activation)?,
        })
    }
}

/// `input_ids [N,L]` → `text_embedding [N,E]`, for any L from 1 to the context length.
///
/// The embedding is that of the class token, or without one that of the first `end_id`, which every text must have.
///
/// # Errors
/// When the checkpoint is damaged or the weights cannot be written.
pub fn text_encoder(
    weights: &TextWeights,
    architecture: &Architecture,
    tower: &TextTower,
    end_id: u32,
    file: &mut WeightFile,
) -> Result<Vec<u8>, Error> {
    let mut graph = GraphBuilder::new("text_encoder");
    let ids = graph.input_i64("input_ids", &["N".into(), "L".into()]);
    let shape = graph.op("Shape", &[&ids]);
    let length = graph.slice(&shape, 1, 2, 0);
    let ids = Ids { ids, length };
    let row = match &weights.cls_emb {
        Some(class) => {
            let class = ClassToken::store(class, &weights.positional_embedding, file)?;
            class.row(&mut graph, &ids, tower, file)?
        }
        None => row_of_end(&mut graph, &ids, tower, end_id, file)?,
    };
    let ln_final = LayerNorm::store(file, &weights.ln_final)?;
    let projection = file.table(&weights.text_projection)?;
    let row = ln_final.apply(&mut graph, &row);
    let projection = graph.weight(&projection);
    let embedding = graph.op("MatMul", &[&row, &projection]);
    let embedding = graph.l2_normalize(&embedding);
    graph.output("text_embedding", &embedding, &["N".into(), architecture.embedding.into()]);
    Ok(encode(graph))
}

/// Token ids `[N, L]` and L as a tensor `[1]`.
struct Ids {
    ids: Value,
    length: Value,
}

/// The class token as a row with its position added, `[1, D]`.
///
/// It stands at the last position whatever L is, so that a text needs no more padding than the one pad that open_clip's
/// mask lets it see.
struct ClassToken {
    row: TensorProto,
    /// The position, which is the context length in token ids.
    position: usize,
}

impl ClassToken {
    fn store(token: &Tensor, positions: &Tensor, file: &mut WeightFile) -> Result<Self, Error> {
        let (position, width) = (positions.shape()[0] - 1, token.len());
        let mut row = positions.rows(position..position + 1).values()?;
        row.iter_mut().zip(token.values()?).for_each(|(position, token)| *position += token);
        Ok(Self { row: file.computed(token.key(), &[1, width], row)?, position })
    }

    /// The class token's row `[N, D]` behind the last block.
    fn row(
        &self,
        graph: &mut GraphBuilder,
        ids: &Ids,
        tower: &TextTower,
        file: &mut WeightFile,
    ) -> Result<Value, Error> {
        let causal = causal_mask(file, self.position + 1)?;
        let tokens = graph.lookup(&tower.tokens, &ids.ids);
        let tokens = graph.pad(&tokens, &[0, 0, 0], &[0, 1, 0]);
        let positions = graph.weight(&tower.positions);
        let positions = graph.slice_until(&positions, 0, &ids.length, 0);
        let class = graph.weight(&self.row);
        let positions = graph.concat(&[&positions, &class], 0);
        let mut x = graph.op("Add", &[&tokens, &positions]);
        let mask = mask_with_class(graph, ids, &causal);
        for (i, block) in tower.blocks.iter().enumerate() {
            // Nothing reads the other rows of the last block.
            x = match i + 1 == tower.blocks.len() {
                false => block.apply(graph, &x, Some(&mask)),
                true => {
                    let mask = graph.slice(&mask, -1, TO_END, 2);
                    block.apply_to_rows(graph, &x, Some(&mask), |graph, rows| {
                        graph.slice(rows, -1, TO_END, 1)
                    })
                }
            };
        }
        Ok(graph.pick(&x, -1, 1))
    }
}

/// The row `[N, D]` of the first `end_id` behind the last block. The mask is causal: what stands behind a text's end
/// token does not change it.
fn row_of_end(
    graph: &mut GraphBuilder,
    ids: &Ids,
    tower: &TextTower,
    end_id: u32,
    file: &mut WeightFile,
) -> Result<Value, Error> {
    let context = tower.positions.dims[0] as usize;
    let causal = causal_mask(file, context)?;
    let tokens = graph.lookup(&tower.tokens, &ids.ids);
    let positions = graph.weight(&tower.positions);
    let positions = graph.slice_until(&positions, 0, &ids.length, 0);
    let mut x = graph.op("Add", &[&tokens, &positions]);
    let causal = graph.weight(&causal);
    let mask = graph.slice_until(&causal, 0, &ids.length, 0);
    let mask = graph.slice_until(&mask, 0, &ids.length, 1);
    let end = graph.index(i64::from(end_id));
    let end = graph.op("Equal", &[&ids.ids, &end]);
    let end = graph.cast_to_f32(&end);
    let end = graph.first_largest(&end, 1);
    for (i, block) in tower.blocks.iter().enumerate() {
        x = match i + 1 == tower.blocks.len() {
            false => block.apply(graph, &x, Some(&mask)),
            true => {
                let mask = graph.op("Gather", &[&mask, &end]);
                let mask = graph.unsqueeze(&mask, &[1]);
                let at = graph.unsqueeze(&end, &[2]);
                block.apply_to_rows(graph, &x, Some(&mask), |graph, rows| {
                    graph.gather_in_batch(rows, &at)
                })
            }
        };
    }
    Ok(graph.pick(&x, 0, 1))
}

/// Causal, and closed to the key after a pad id `[N, 1, L+1, L+1]`.
///
/// `_build_additive_mask` pads the valid flags on the left, so a pad hides not its own key but the next
/// one: released weights are trained with that.
fn mask_with_class(graph: &mut GraphBuilder, ids: &Ids, causal: &TensorProto) -> Value {
    let causal = graph.weight(causal);
    let (pad, one, masked) = (graph.index(0), graph.index(1), graph.constant(MASKED));
    let pads = graph.op("Equal", &[&ids.ids, &pad]);
    let pads = graph.cast_to_f32(&pads);
    let hidden = graph.op("Mul", &[&pads, &masked]);
    let hidden = graph.pad(&hidden, &[0, 1], &[0, 0]);
    let hidden = graph.unsqueeze(&hidden, &[1, 2]);
    let rows = graph.op("Add", &[&ids.length, &one]);
    let causal = graph.slice_until(&causal, 0, &rows, 0);
    let causal = graph.slice_until(&causal, 0, &rows, 1);
    graph.op("Add", &[&hidden, &causal])
}

/// `[rows, rows]`: each row is open to itself and those before it.
fn causal_mask(file: &mut WeightFile, rows: usize) -> Result<TensorProto, Error> {
    let open = |row: usize, key: usize| if key > row { MASKED } else { 0.0 };
    let mask = (0..rows).flat_map(|row| (0..rows).map(move |key| open(row, key))).collect();
    file.computed("causal_mask", &[rows, rows], mask)
}

//! `cross_kv.onnx` and `caption_decoder.onnx`: open_clip's `MultimodalTransformer` on top of the unimodal layers.

use coca_onnx::{builder::GraphBuilder, value_info::Dim};

use super::{
    Error, TextTower, WeightFile,
    blocks::{Block, CrossBlock, KeysAndValues, LayerNorm, Linear},
    encode,
};
use crate::open_clip::{Architecture, DecoderWeights, Layers, Projections};

/// Past and new rows together, as ONNX writes a sum of dimensions.
const PAST_AND_NEW: &str = "P + S";

/// `image_tokens [N,T,D]`, whose T and D are given, → `cross_key.j`, `cross_value.j` `[N,T,W]` of each multimodal layer j.
///
/// # Errors
/// When the checkpoint is damaged or the weights cannot be written.
pub fn cross_kv(
    weights: &DecoderWeights,
    layers: &Layers,
    [count, token_width]: [usize; 2],
    file: &mut WeightFile,
) -> Result<Vec<u8>, Error> {
    let width = layers.width;
    let mut graph = GraphBuilder::new("cross_kv");
    let tokens = graph.input_f32("image_tokens", &["N".into(), count.into(), token_width.into()]);
    for (j, cross) in weights.cross_attn.iter().enumerate() {
        let norm = LayerNorm::store(file, &cross.ln_1_kv)?;
        let Projections { name, keys, values, .. } = &cross.block.projections;
        let name = format!("{name}.kv_proj");
        let linear = Linear::store_stacked(file, &name, &[keys, values], None)?;
        let normed = norm.apply(&mut graph, &tokens);
        let joined = linear.apply(&mut graph, &normed);
        let [keys, values] = graph.split(&joined, width);
        for (half, value) in [("key", keys), ("value", values)] {
            let dims = ["N".into(), count.into(), width.into()];
            graph.output(&format!("cross_{half}.{j}"), &value, &dims);
        }
    }
    Ok(encode(graph))
}

/// One cached step, with the inputs and outputs of [`coca_model::bundle::Bundle::load_caption_decoder`].
///
/// # Errors
/// When the checkpoint is damaged or the weights cannot be written.
pub fn caption_decoder(
    weights: &DecoderWeights,
    layers: &Layers,
    architecture: &Architecture,
    tower: &TextTower,
    file: &mut WeightFile,
) -> Result<Vec<u8>, Error> {
    let blocks = Block::store_all(file, &weights.blocks, layers, architecture.activation)?;
    let cross_blocks = weights
        .cross_attn
        .iter()
        .map(|cross| CrossBlock::store(file, &cross.block, layers, architecture.activation))
        .collect::<Result<Vec<_>, _>>()?;
    let ln_final = LayerNorm::store(file, &weights.ln_final)?;
    let head = file.table(&weights.text_projection)?;

    let width = layers.width;
    let mut graph = GraphBuilder::new("caption_decoder");
    let ids = graph.input_i64("input_ids", &["B".into(), "S".into()]);
    let position = graph.input_i64("position", &["S".into()]);
    let text_mask = graph.input_f32("text_mask", &["B".into(), "S".into(), PAST_AND_NEW.into()]);
    let causal_mask = graph.input_f32("causal_mask", &["S".into(), PAST_AND_NEW.into()]);
    let row = || ["B".into(), "P".into(), width.into()];
    let layers = tower.blocks.len() + blocks.len();
    let pasts: Vec<_> = (0..layers).map(|i| inputs(&mut graph, "past", i, row())).collect();
    let (unimodal, multimodal) = pasts.split_at(tower.blocks.len());
    let [tokens, _] = architecture.image_tokens();
    let row = || [1.into(), tokens.into(), width.into()];
    let crosses: Vec<_> =
        (0..blocks.len()).map(|j| inputs(&mut graph, "cross", j, row())).collect();

    let embedded = graph.lookup(&tower.tokens, &ids);
    let positions = graph.lookup(&tower.positions, &position);
    let mut x = graph.op("Add", &[&embedded, &positions]);
    let text_mask = graph.unsqueeze(&text_mask, &[1]);
    let mut new = Vec::with_capacity(layers);
    for (block, past) in tower.blocks.iter().zip(unimodal) {
        let (rows, own) = block.apply_cached(&mut graph, &x, past, &text_mask);
        x = rows;
        new.push(own);
    }
    let pairs = blocks.iter().zip(&cross_blocks);
    for ((block, cross_block), (past, cross)) in pairs.zip(multimodal.iter().zip(&crosses)) {
        let (rows, own) = block.apply_cached(&mut graph, &x, past, &causal_mask);
        x = cross_block.apply(&mut graph, &rows, cross);
        new.push(own);
    }
    let last = graph.pick(&x, -1, 1);
    let last = ln_final.apply(&mut graph, &last);
    let head = graph.weight(&head);
    let logits = graph.op("MatMul", &[&last, &head]);
    graph.output("logits", &logits, &["B".into(), architecture.text.vocabulary.into()]);
    for (i, own) in new.iter().enumerate() {
        let dims = || ["B".into(), "S".into(), width.into()];
        graph.output(&format!("new_key.{i}"), &own.keys, &dims());
        graph.output(&format!("new_value.{i}"), &own.values, &dims());
    }
    Ok(encode(graph))
}

/// The inputs `kind_key.i` and `kind_value.i`.
fn inputs(graph: &mut GraphBuilder, kind: &str, i: usize, dims: [Dim; 3]) -> KeysAndValues {
    KeysAndValues {
        keys: graph.input_f32(&format!("{kind}_key.{i}"), &dims),
        values: graph.input_f32(&format!("{kind}_value.{i}"), &dims),
    }
}

//! `image_encoder.onnx`: open_clip's `VisionTransformer`, with its attentional pooler if it has one.

use coca_onnx::{
    builder::{GraphBuilder, TO_END, Value},
    pb::TensorProto,
};

use super::{
    Error, WeightFile,
    blocks::{Block, Heads, LayerNorm, Linear},
    encode,
};
use crate::open_clip::{Architecture, LayerNorm as NormWeights, PoolerWeights, VisionWeights};

/// `pixel_values [N,3,H,W]` → `image_embedding [N,E]` and, if a decoder reads them, `image_tokens [N,T,D]`.
///
/// # Errors
/// When the checkpoint is damaged or the weights cannot be written.
pub fn image_encoder(
    weights: &VisionWeights,
    architecture: &Architecture,
    file: &mut WeightFile,
) -> Result<Vec<u8>, Error> {
    let vision = &architecture.vision;
    let has_decoder = architecture.decoder.is_some();
    let width = vision.layers.width;
    let patch = file.table(&weights.conv1)?;
    let mut positions = weights.positional_embedding.values()?;
    // The class token is a row of zeros in front of the patches; what it is stands in its position.
    positions.iter_mut().zip(weights.class_embedding.values()?).for_each(|(p, class)| *p += class);
    let positions = file.computed(
        weights.positional_embedding.key(),
        &[vision.patches() + 1, width],
        positions,
    )?;
    let ln_pre = LayerNorm::store(file, &weights.ln_pre)?;
    let blocks = Block::store_all(file, &weights.blocks, &vision.layers, architecture.activation)?;
    let pooler = match (&weights.pooler, vision.pooler) {
        (Some(pooler), Some(shape)) => {
            let heads = Heads { count: shape.heads, width: architecture.embedding };
            Some(Pooler::store(file, pooler, heads)?)
        }
        _ => None,
    };
    let ln_post = LayerNorm::store(file, &weights.ln_post)?;
    let proj = file.table(&weights.proj)?;

    let mut graph = GraphBuilder::new("image_encoder");
    let [height, image_width] = vision.image;
    let pixels =
        graph.input_f32("pixel_values", &["N".into(), 3.into(), height.into(), image_width.into()]);
    let patch = graph.weight(&patch);
    let x = graph.conv(&pixels, &patch, vision.patch);
    let x = graph.reshape(&x, &[0, width as i64, -1]);
    let x = graph.transpose(&x, &[0, 2, 1]);
    let x = graph.pad(&x, &[0, 1, 0], &[0, 0, 0]);
    let positions = graph.weight(&positions);
    let x = graph.op("Add", &[&x, &positions]);
    let mut x = ln_pre.apply(&mut graph, &x);
    for (i, block) in blocks.iter().enumerate() {
        // Without a decoder nothing reads the other rows of the last block.
        x = match has_decoder || i + 1 < blocks.len() {
            true => block.apply(&mut graph, &x, None),
            false => {
                block.apply_to_rows(&mut graph, &x, None, |graph, rows| graph.slice(rows, 0, 1, 1))
            }
        };
    }
    if let Some(pooler) = pooler {
        x = pooler.apply(&mut graph, &x);
    }
    let x = ln_post.apply(&mut graph, &x);
    let first = graph.pick(&x, 0, 1);
    let proj = graph.weight(&proj);
    let embedding = graph.op("MatMul", &[&first, &proj]);
    let embedding = graph.l2_normalize(&embedding);
    graph.output("image_embedding", &embedding, &["N".into(), architecture.embedding.into()]);
    if has_decoder {
        let tokens = graph.slice(&x, 1, TO_END, 1);
        let [count, token_width] = architecture.image_tokens();
        graph.output("image_tokens", &tokens, &["N".into(), count.into(), token_width.into()]);
    }
    Ok(encode(graph))
}

/// Attention of learnt queries to the rows of the last block.
///
/// The queries do not depend on the image: they are normalised, projected, scaled and split into heads once.
struct Pooler {
    queries: TensorProto,
    ln_k: LayerNorm,
    keys_and_values: Linear,
    out: Linear,
    heads: Heads,
}

impl Pooler {
    fn store(file: &mut WeightFile, weights: &PoolerWeights, heads: Heads) -> Result<Self, Error> {
        let bias = weights.in_proj_bias.values()?;
        let (query_bias, other_bias) = bias.split_at(heads.width);
        let queries = folded_queries(weights, heads, query_bias)?;
        let shape = [1, heads.count, weights.query.shape()[0], heads.width / heads.count];
        Ok(Self {
            queries: file.computed(weights.query.key(), &shape, queries)?,
            ln_k: LayerNorm::store(file, &weights.ln_k)?,
            keys_and_values: Linear::store_parts(
                file,
                "visual.attn_pool.attn.kv_proj_weight",
                &[&weights.k_proj, &weights.v_proj],
                "visual.attn_pool.attn.kv_proj_bias",
                other_bias.to_vec(),
                None,
            )?,
            out: Linear::store(file, &weights.out_proj, None)?,
            heads,
        })
    }

    fn apply(&self, graph: &mut GraphBuilder, x: &Value) -> Value {
        let x = self.ln_k.apply(graph, x);
        let joined = self.keys_and_values.apply(graph, &x);
        let [keys, values] = graph.split(&joined, self.heads.width);
        let queries = graph.weight(&self.queries);
        let mixed = self.heads.attend(graph, &queries, &keys, &values, None);
        self.out.apply(graph, &mixed)
    }
}

/// `(ln_q(query) @ q_proj + bias) * scale` in the order `[head, query, number]`, computed in double precision.
fn folded_queries(weights: &PoolerWeights, heads: Heads, bias: &[f32]) -> Result<Vec<f32>, Error> {
    let width = heads.width;
    let queries = normalized(&weights.query.values()?, &weights.ln_q)?;
    let matrix = weights.q_proj.values()?;
    let projected: Vec<Vec<f32>> = queries
        .chunks(width)
        .map(|query| {
            let outputs = matrix.chunks(width).zip(bias);
            let dot =
                |row: &[f32]| query.iter().zip(row).map(|(q, &w)| q * f64::from(w)).sum::<f64>();
            outputs
                .map(|(row, &b)| ((dot(row) + f64::from(b)) * f64::from(heads.scale())) as f32)
                .collect()
        })
        .collect();
    let size = width / heads.count;
    let by_head = (0..heads.count).flat_map(|head| projected.iter().map(move |row| (head, row)));
    Ok(by_head.flat_map(|(head, row)| row.iter().skip(head * size).take(size).copied()).collect())
}

/// A layer norm over rows, as torch computes it.
fn normalized(rows: &[f32], norm: &NormWeights) -> Result<Vec<f64>, Error> {
    let (weight, bias) = (norm.weight.values()?, norm.bias.values()?);
    let mut normalized = Vec::with_capacity(rows.len());
    for row in rows.chunks(weight.len()) {
        let count = row.len() as f64;
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        let factor = (variance + 1e-5).sqrt().recip();
        let affine = row.iter().zip(weight.iter().zip(&bias));
        normalized
            .extend(affine.map(|(&v, (&w, &b))| {
                (f64::from(v) - mean) * factor * f64::from(w) + f64::from(b)
            }));
    }
    Ok(normalized)
}

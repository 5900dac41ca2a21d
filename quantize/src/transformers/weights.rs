//! The tensors of a `CLIPModel` under transformers' keys.

use crate::{
    checkpoint::{Checkpoint, Error},
    open_clip::{
        Architecture, Block, LayerNorm, Layers, Linear, Mlp, Projections, TextWeights,
        VisionWeights, Weights,
    },
};

/// Takes every tensor of the architecture, and checks that none is left over.
///
/// # Errors
/// When a tensor is missing, has another shape, or has no place in the architecture.
pub fn take_weights(
    mut checkpoint: Checkpoint,
    architecture: &Architecture,
) -> Result<Weights, Error> {
    let source = &mut checkpoint;
    let weights = Weights {
        vision: vision(source, architecture)?,
        text: text(source, architecture)?,
        decoder: None,
        logit_scale: source.take_logarithm("logit_scale")?,
    };
    checkpoint.finish()?;
    Ok(weights)
}

fn vision(source: &mut Checkpoint, architecture: &Architecture) -> Result<VisionWeights, Error> {
    let vision = &architecture.vision;
    let width = vision.layers.width;
    let embeddings = "vision_model.embeddings";
    Ok(VisionWeights {
        class_embedding: source.take(&format!("{embeddings}.class_embedding"), &[width])?,
        positional_embedding: source.take(
            &format!("{embeddings}.position_embedding.weight"),
            &[vision.patches() + 1, width],
        )?,
        conv1: source.take(
            &format!("{embeddings}.patch_embedding.weight"),
            &[width, 3, vision.patch[0], vision.patch[1]],
        )?,
        // Spelt like this in transformers.
        ln_pre: LayerNorm::take(source, "vision_model.pre_layrnorm", width)?,
        blocks: blocks(source, "vision_model", &vision.layers)?,
        pooler: None,
        ln_post: LayerNorm::take(source, "vision_model.post_layernorm", width)?,
        proj: source
            .take("visual_projection.weight", &[architecture.embedding, width])?
            .transposed(),
    })
}

fn text(source: &mut Checkpoint, architecture: &Architecture) -> Result<TextWeights, Error> {
    let text = &architecture.text;
    let width = text.layers.width;
    let embeddings = "text_model.embeddings";
    Ok(TextWeights {
        token_embedding: source
            .take(&format!("{embeddings}.token_embedding.weight"), &[text.vocabulary, width])?,
        positional_embedding: source.take(
            &format!("{embeddings}.position_embedding.weight"),
            &[text.context_length, width],
        )?,
        cls_emb: None,
        blocks: blocks(source, "text_model", &text.layers)?,
        ln_final: LayerNorm::take(source, "text_model.final_layer_norm", width)?,
        text_projection: source
            .take("text_projection.weight", &[architecture.embedding, width])?
            .transposed(),
    })
}

fn blocks(source: &mut Checkpoint, tower: &str, layers: &Layers) -> Result<Vec<Block>, Error> {
    (0..layers.count)
        .map(|i| block(source, &format!("{tower}.encoder.layers.{i}"), layers))
        .collect()
}

fn block(source: &mut Checkpoint, name: &str, layers: &Layers) -> Result<Block, Error> {
    let (width, mlp_width) = (layers.width, layers.mlp_width);
    let mut projection =
        |part: &str| Linear::take(source, &format!("{name}.self_attn.{part}_proj"), width, width);
    let projections = Projections {
        name: format!("{name}.self_attn"),
        queries: projection("q")?,
        keys: projection("k")?,
        values: projection("v")?,
    };
    let out_proj = projection("out")?;
    Ok(Block {
        ln_1: LayerNorm::take(source, &format!("{name}.layer_norm1"), width)?,
        projections,
        out_proj,
        ls_1: None,
        ln_2: LayerNorm::take(source, &format!("{name}.layer_norm2"), width)?,
        mlp: Mlp {
            c_fc: Linear::take(source, &format!("{name}.mlp.fc1"), mlp_width, width)?,
            c_proj: Linear::take(source, &format!("{name}.mlp.fc2"), width, mlp_width)?,
            ls_2: None,
        },
    })
}

//! The tensors of a model under open_clip's keys, with checked shapes and elements not read yet.

use std::ops::Range;

use super::{Architecture, Layers};
use crate::checkpoint::{Checkpoint, Error, Tensor};

/// All tensors of a model.
pub struct Weights {
    /// `visual.*`
    pub vision: VisionWeights,
    /// `text.*`; in most CLIPs without that prefix.
    pub text: TextWeights,
    /// `text_decoder.*`; `None` for a CLIP.
    pub decoder: Option<DecoderWeights>,
    /// `logit_scale`: the logarithm of the factor of cosines in training.
    pub logit_scale: f32,
}

/// `visual.*`
pub struct VisionWeights {
    /// `[W]`
    pub class_embedding: Tensor,
    /// `[patches + 1, W]`
    pub positional_embedding: Tensor,
    /// The patch embedding `[W, 3, p, p]`, without a bias.
    pub conv1: Tensor,
    /// Norm in front of the blocks `[W]`.
    pub ln_pre: LayerNorm,
    /// From the first to the last.
    pub blocks: Vec<Block>,
    /// The attentional pooler, if there is one.
    pub pooler: Option<PoolerWeights>,
    /// Norm behind the blocks or the pooler.
    pub ln_post: LayerNorm,
    /// `[in, E]`
    pub proj: Tensor,
}

/// `visual.attn_pool.*`
pub struct PoolerWeights {
    /// `[queries, E]`
    pub query: Tensor,
    /// Norm of the queries `[E]`.
    pub ln_q: LayerNorm,
    /// Norm of the rows attended to `[W]`.
    pub ln_k: LayerNorm,
    /// `[E, E]`
    pub q_proj: Tensor,
    /// `[E, W]`
    pub k_proj: Tensor,
    /// `[E, W]`
    pub v_proj: Tensor,
    /// `[3E]`
    pub in_proj_bias: Tensor,
    /// Output projection of the attention.
    pub out_proj: Linear,
}

/// `text.*`
pub struct TextWeights {
    /// `[V, D]`
    pub token_embedding: Tensor,
    /// `[context, D]`, and a row more for a class token.
    pub positional_embedding: Tensor,
    /// The class token `[D]` of a CoCa.
    pub cls_emb: Option<Tensor>,
    /// From the first to the last.
    pub blocks: Vec<Block>,
    /// Norm behind the blocks `[D]`.
    pub ln_final: LayerNorm,
    /// `[D, E]`
    pub text_projection: Tensor,
}

/// `text_decoder.*`
pub struct DecoderWeights {
    /// From the first to the last.
    pub blocks: Vec<Block>,
    /// One behind each of [`DecoderWeights::blocks`].
    pub cross_attn: Vec<CrossBlock>,
    /// Norm behind the blocks `[D]`.
    pub ln_final: LayerNorm,
    /// The head `[D, V]`.
    pub text_projection: Tensor,
}

/// A transformer block, `ResidualAttentionBlock` in open_clip.
pub struct Block {
    /// Norm in front of the attention.
    pub ln_1: LayerNorm,
    /// Projections to queries, keys and values.
    pub projections: Projections,
    /// Output projection of the attention.
    pub out_proj: Linear,
    /// The layer scale `[D]` of the attention branch.
    pub ls_1: Option<Tensor>,
    /// Norm in front of the MLP.
    pub ln_2: LayerNorm,
    /// The MLP.
    pub mlp: Mlp,
}

/// The projections of an attention's input, `[D, D]` each: parts of one layer in open_clip, three layers in
/// transformers.
pub struct Projections {
    /// Name of the attention.
    pub name: String,
    /// To queries.
    pub queries: Linear,
    /// To keys.
    pub keys: Linear,
    /// To values.
    pub values: Linear,
}

/// The MLP of a block.
pub struct Mlp {
    /// Layer from `D` to the hidden width.
    pub c_fc: Linear,
    /// Layer from the hidden width to `D`.
    pub c_proj: Linear,
    /// The layer scale `[D]` of this branch.
    pub ls_2: Option<Tensor>,
}

/// A cross-attention block: its keys and values are projections of the image tokens.
pub struct CrossBlock {
    /// The tensors that every block has.
    pub block: Block,
    /// Norm of the image tokens.
    pub ln_1_kv: LayerNorm,
}

/// Layer norm.
pub struct LayerNorm {
    /// Gamma `[D]`.
    pub weight: Tensor,
    /// Beta `[D]`.
    pub bias: Tensor,
}

/// Linear layer, as torch stores it.
pub struct Linear {
    /// `[out, in]`
    pub weight: Tensor,
    /// `[out]`
    pub bias: Tensor,
}

impl Weights {
    /// Takes every tensor of the architecture, and checks that none is left over.
    ///
    /// # Errors
    /// When a tensor is missing, has another shape, or has no place in the architecture.
    pub fn take(mut checkpoint: Checkpoint, architecture: &Architecture) -> Result<Self, Error> {
        let source = &mut checkpoint;
        let weights = Self {
            vision: VisionWeights::take(source, architecture)?,
            text: TextWeights::take(source, architecture)?,
            decoder: architecture
                .decoder
                .map(|layers| DecoderWeights::take(source, layers, architecture.text.vocabulary))
                .transpose()?,
            logit_scale: source.take_logarithm("logit_scale")?,
        };
        checkpoint.finish()?;
        Ok(weights)
    }
}

impl VisionWeights {
    fn take(source: &mut Checkpoint, architecture: &Architecture) -> Result<Self, Error> {
        let vision = &architecture.vision;
        let (width, embedding) = (vision.layers.width, architecture.embedding);
        let pooled = if vision.pooler.is_some() { embedding } else { width };
        let queries = vision.pooler.map(|pooler| pooler.queries);
        Ok(Self {
            class_embedding: source.take("visual.class_embedding", &[width])?,
            positional_embedding: source
                .take("visual.positional_embedding", &[vision.patches() + 1, width])?,
            conv1: source
                .take("visual.conv1.weight", &[width, 3, vision.patch[0], vision.patch[1]])?,
            ln_pre: LayerNorm::take(source, "visual.ln_pre", width)?,
            blocks: Block::take_all(source, "visual.transformer.resblocks", &vision.layers)?,
            pooler: queries
                .map(|q| PoolerWeights::take(source, q, embedding, width))
                .transpose()?,
            ln_post: LayerNorm::take(source, "visual.ln_post", pooled)?,
            proj: source.take("visual.proj", &[pooled, embedding])?,
        })
    }
}

impl PoolerWeights {
    fn take(
        source: &mut Checkpoint,
        queries: usize,
        embedding: usize,
        width: usize,
    ) -> Result<Self, Error> {
        // torch's MultiheadAttention keeps one matrix where queries and keys are of the same width.
        let [q_proj, k_proj, v_proj] = if embedding == width {
            let joined =
                source.take("visual.attn_pool.attn.in_proj_weight", &[3 * width, width])?;
            [0, 1, 2].map(|part| joined.rows(part * width..(part + 1) * width))
        } else {
            [
                source.take("visual.attn_pool.attn.q_proj_weight", &[embedding, embedding])?,
                source.take("visual.attn_pool.attn.k_proj_weight", &[embedding, width])?,
                source.take("visual.attn_pool.attn.v_proj_weight", &[embedding, width])?,
            ]
        };
        Ok(Self {
            query: source.take("visual.attn_pool.query", &[queries, embedding])?,
            ln_q: LayerNorm::take(source, "visual.attn_pool.ln_q", embedding)?,
            ln_k: LayerNorm::take(source, "visual.attn_pool.ln_k", width)?,
            q_proj,
            k_proj,
            v_proj,
            in_proj_bias: source.take("visual.attn_pool.attn.in_proj_bias", &[3 * embedding])?,
            out_proj: Linear::take(source, "visual.attn_pool.attn.out_proj", embedding, embedding)?,
        })
    }
}

impl TextWeights {
    fn take(source: &mut Checkpoint, architecture: &Architecture) -> Result<Self, Error> {
        let text = &architecture.text;
        let width = text.layers.width;
        let has_class_token = architecture.decoder.is_some();
        // open_clip's `CLIP` keeps the tower's tensors at the top, its `CustomTextCLIP` and `CoCa` do not.
        let is_at_top = !has_class_token && source.contains("token_embedding.weight");
        let key = |name: &str| if is_at_top { name.to_owned() } else { format!("text.{name}") };
        let positions = text.context_length + usize::from(has_class_token);
        Ok(Self {
            token_embedding: source
                .take(&key("token_embedding.weight"), &[text.vocabulary, width])?,
            positional_embedding: source.take(&key("positional_embedding"), &[positions, width])?,
            cls_emb: has_class_token.then(|| source.take(&key("cls_emb"), &[width])).transpose()?,
            blocks: Block::take_all(source, &key("transformer.resblocks"), &text.layers)?,
            ln_final: LayerNorm::take(source, &key("ln_final"), width)?,
            text_projection: source
                .take(&key("text_projection"), &[width, architecture.embedding])?,
        })
    }
}

impl DecoderWeights {
    fn take(source: &mut Checkpoint, layers: Layers, vocabulary: usize) -> Result<Self, Error> {
        let cross_attn = (0..layers.count)
            .map(|i| {
                let name = format!("text_decoder.cross_attn.{i}");
                Ok(CrossBlock {
                    block: Block::take(source, &name, &layers)?,
                    ln_1_kv: LayerNorm::take(source, &format!("{name}.ln_1_kv"), layers.width)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            blocks: Block::take_all(source, "text_decoder.resblocks", &layers)?,
            cross_attn,
            ln_final: LayerNorm::take(source, "text_decoder.ln_final", layers.width)?,
            text_projection: source
                .take("text_decoder.text_projection", &[layers.width, vocabulary])?,
        })
    }
}

impl Block {
    fn take_all(source: &mut Checkpoint, name: &str, layers: &Layers) -> Result<Vec<Self>, Error> {
        (0..layers.count).map(|i| Self::take(source, &format!("{name}.{i}"), layers)).collect()
    }

    fn take(source: &mut Checkpoint, name: &str, layers: &Layers) -> Result<Self, Error> {
        let width = layers.width;
        let mut scale = |branch: &str| {
            let key = format!("{name}.{branch}.gamma");
            layers.layer_scale.then(|| source.take(&key, &[width])).transpose()
        };
        let (ls_1, ls_2) = (scale("ls_1")?, scale("ls_2")?);
        Ok(Self {
            ln_1: LayerNorm::take(source, &format!("{name}.ln_1"), width)?,
            projections: Projections::take(source, format!("{name}.attn"), width)?,
            out_proj: Linear::take(source, &format!("{name}.attn.out_proj"), width, width)?,
            ls_1,
            ln_2: LayerNorm::take(source, &format!("{name}.ln_2"), width)?,
            mlp: Mlp {
                c_fc: Linear::take(source, &format!("{name}.mlp.c_fc"), layers.mlp_width, width)?,
                c_proj: Linear::take(
                    source,
                    &format!("{name}.mlp.c_proj"),
                    width,
                    layers.mlp_width,
                )?,
                ls_2,
            },
        })
    }
}

impl Projections {
    fn take(source: &mut Checkpoint, name: String, width: usize) -> Result<Self, Error> {
        let joined = Linear {
            weight: source.take(&format!("{name}.in_proj_weight"), &[3 * width, width])?,
            bias: source.take(&format!("{name}.in_proj_bias"), &[3 * width])?,
        };
        let [queries, keys, values] =
            [0, 1, 2].map(|part| joined.rows(part * width..(part + 1) * width));
        Ok(Self { name, queries, keys, values })
    }
}

impl LayerNorm {
    pub(crate) fn take(source: &mut Checkpoint, name: &str, width: usize) -> Result<Self, Error> {
        Ok(Self {
            weight: source.take(&format!("{name}.weight"), &[width])?,
            bias: source.take(&format!("{name}.bias"), &[width])?,
        })
    }
}

impl Linear {
    /// The layer with the output features `range` only.
    fn rows(&self, range: Range<usize>) -> Self {
        Self { weight: self.weight.rows(range.clone()), bias: self.bias.rows(range) }
    }

    pub(crate) fn take(
        source: &mut Checkpoint,
        name: &str,
        out: usize,
        r#in: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            weight: source.take(&format!("{name}.weight"), &[out, r#in])?,
            bias: source.take(&format!("{name}.bias"), &[out])?,
        })
    }
}

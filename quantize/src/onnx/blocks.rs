//! Building blocks of all parts: norms, linear layers, attention, MLPs, transformer blocks.
//!
//! Each type holds stored weights and can be part of several graphs: the unimodal layers are part of two.

use coca_onnx::{
    builder::{GraphBuilder, Value},
    pb::TensorProto,
};

use super::{Error, WeightFile};
use crate::{
    checkpoint::Tensor,
    open_clip::{self, Activation, Layers},
};

/// A normalisation over the last axis.
pub(super) struct LayerNorm {
    weight: TensorProto,
    bias: TensorProto,
}

impl LayerNorm {
    pub(super) fn store(file: &mut WeightFile, norm: &open_clip::LayerNorm) -> Result<Self, Error> {
        Ok(Self { weight: file.vector(&norm.weight)?, bias: file.vector(&norm.bias)? })
    }

    pub(super) fn apply(&self, graph: &mut GraphBuilder, x: &Value) -> Value {
        let (weight, bias) = (graph.weight(&self.weight), graph.weight(&self.bias));
        graph.layer_norm(x, &weight, &bias)
    }
}

/// A matrix product and a bias.
pub(super) struct Linear {
    weight: TensorProto,
    bias: TensorProto,
}

impl Linear {
    /// Stores a layer whose output i is multiplied with `scale[i]`.
    pub(super) fn store(
        file: &mut WeightFile,
        linear: &open_clip::Linear,
        scale: Option<&[f32]>,
    ) -> Result<Self, Error> {
        Self::store_parts(
            file,
            linear.weight.key(),
            &[&linear.weight],
            linear.bias.key(),
            linear.bias.values()?,
            scale,
        )
    }

    /// Stores layers that read the same input as one, `name_weight` and `name_bias`.
    pub(super) fn store_stacked(
        file: &mut WeightFile,
        name: &str,
        layers: &[&open_clip::Linear],
        scale: Option<&[f32]>,
    ) -> Result<Self, Error> {
        let weights: Vec<&Tensor> = layers.iter().map(|layer| &layer.weight).collect();
        let mut bias = Vec::new();
        for layer in layers {
            bias.extend(layer.bias.values()?);
        }
        let [weight_name, bias_name] = ["weight", "bias"].map(|part| format!("{name}_{part}"));
        Self::store_parts(file, &weight_name, &weights, &bias_name, bias, scale)
    }

    /// Stores matrices that stand one below the other as one layer.
    pub(super) fn store_parts(
        file: &mut WeightFile,
        weight_name: &str,
        weights: &[&Tensor],
        bias_name: &str,
        mut bias: Vec<f32>,
        scale: Option<&[f32]>,
    ) -> Result<Self, Error> {
        let weight = file.transposed(weight_name, weights, scale)?;
        if let Some(scale) = scale {
            bias.iter_mut().zip(scale).for_each(|(v, factor)| *v *= factor);
        }
        Ok(Self { weight, bias: file.computed(bias_name, &[bias.len()], bias)? })
    }

    pub(super) fn apply(&self, graph: &mut GraphBuilder, x: &Value) -> Value {
        let (weight, bias) = (graph.weight(&self.weight), graph.weight(&self.bias));
        let product = graph.op("MatMul", &[x, &weight]);
        graph.op("Add", &[&product, &bias])
    }
}

/// The two layers at the end of a block.
struct Mlp {
    fc: Linear,
    activation: Activation,
    proj: Linear,
}

impl Mlp {
    fn store(
        file: &mut WeightFile,
        mlp: &open_clip::Mlp,
        activation: Activation,
    ) -> Result<Self, Error> {
        let scale = layer_scale(mlp.ls_2.as_ref())?;
        Ok(Self {
            fc: Linear::store(file, &mlp.c_fc, None)?,
            activation,
            proj: Linear::store(file, &mlp.c_proj, scale.as_deref())?,
        })
    }

    fn apply(&self, graph: &mut GraphBuilder, x: &Value) -> Value {
        let hidden = self.fc.apply(graph, x);
        let hidden = match self.activation {
            Activation::Gelu => gelu(graph, &hidden),
            Activation::QuickGelu => quick_gelu(graph, &hidden),
        };
        self.proj.apply(graph, &hidden)
    }
}

fn gelu(graph: &mut GraphBuilder, x: &Value) -> Value {
    let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|v| graph.constant(v));
    let scaled = graph.op("Div", &[x, &root]);
    let erf = graph.op("Erf", &[&scaled]);
    let shifted = graph.op("Add", &[&erf, &one]);
    let product = graph.op("Mul", &[x, &shifted]);
    graph.op("Mul", &[&product, &half])
}

fn quick_gelu(graph: &mut GraphBuilder, x: &Value) -> Value {
    let factor = graph.constant(1.702);
    let scaled = graph.op("Mul", &[x, &factor]);
    let gate = graph.op("Sigmoid", &[&scaled]);
    graph.op("Mul", &[x, &gate])
}

/// A layer scale costs nothing: it is multiplied into the layer in front of it.
fn layer_scale(gamma: Option<&Tensor>) -> Result<Option<Vec<f32>>, Error> {
    Ok(gamma.map(Tensor::values).transpose()?)
}

/// Heads of equal width that share a row.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) count: usize,
    /// Of the whole row.
    pub(super) width: usize,
}

impl Heads {
    /// Factor of the attention scores: one over the square root of a head's width.
    pub(super) fn scale(self) -> f32 {
        ((self.width / self.count) as f32).sqrt().recip()
    }

    /// `[B, rows, width]` → `[B, count, rows, width / count]`
    pub(super) fn split(self, graph: &mut GraphBuilder, x: &Value) -> Value {
        self.separate(graph, x, &[0, 2, 1, 3])
    }

    /// The same with the last two axes exchanged, as keys are needed.
    fn split_keys(self, graph: &mut GraphBuilder, x: &Value) -> Value {
        self.separate(graph, x, &[0, 2, 3, 1])
    }

    fn separate(self, graph: &mut GraphBuilder, x: &Value, order: &[i64]) -> Value {
        let shape = [0, 0, self.count as i64, (self.width / self.count) as i64];
        let x = graph.reshape(x, &shape);
        graph.transpose(&x, order)
    }

    /// Attention `[B, rows, width]`. Queries are scaled and split already, keys and values `[B, rows, width]` are not.
    pub(super) fn attend(
        self,
        graph: &mut GraphBuilder,
        queries: &Value,
        keys: &Value,
        values: &Value,
        mask: Option<&Value>,
    ) -> Value {
        let (keys, values) = (self.split_keys(graph, keys), self.split(graph, values));
        let mut scores = graph.op("MatMul", &[queries, &keys]);
        if let Some(mask) = mask {
            scores = graph.op("Add", &[&scores, mask]);
        }
        let shares = graph.softmax(&scores);
        let mixed = graph.op("MatMul", &[&shares, &values]);
        let rows = graph.transpose(&mixed, &[0, 2, 1, 3]);
        graph.reshape(&rows, &[0, 0, self.width as i64])
    }
}

/// A transformer block with self-attention.
pub(super) struct Block {
    ln_1: LayerNorm,
    qkv: Linear,
    rest: AfterAttention,
    heads: Heads,
}

/// Keys and values of some rows, `[B, rows, width]` each.
pub(super) struct KeysAndValues {
    pub(super) keys: Value,
    pub(super) values: Value,
}

impl Block {
    pub(super) fn store_all(
        file: &mut WeightFile,
        blocks: &[open_clip::Block],
        layers: &Layers,
        activation: Activation,
    ) -> Result<Vec<Self>, Error> {
        blocks.iter().map(|block| Self::store(file, block, layers, activation)).collect()
    }

    fn store(
        file: &mut WeightFile,
        block: &open_clip::Block,
        layers: &Layers,
        activation: Activation,
    ) -> Result<Self, Error> {
        let heads = Heads { count: layers.heads, width: layers.width };
        let queries = std::iter::repeat_n(heads.scale(), layers.width);
        let scale: Vec<f32> = queries.chain(std::iter::repeat_n(1.0, 2 * layers.width)).collect();
        Ok(Self {
            ln_1: LayerNorm::store(file, &block.ln_1)?,
            qkv: Linear::store_stacked(
                file,
                &format!("{}.in_proj", block.projections.name),
                &[&block.projections.queries, &block.projections.keys, &block.projections.values],
                Some(&scale),
            )?,
            rest: AfterAttention::store(file, block, activation)?,
            heads,
        })
    }

    /// Every row attends to every row that `mask`, `[B, 1, rows, rows]` or wider, leaves open.
    pub(super) fn apply(&self, graph: &mut GraphBuilder, x: &Value, mask: Option<&Value>) -> Value {
        let [queries, keys, values] = self.qkv(graph, x);
        let queries = self.heads.split(graph, &queries);
        let mixed = self.heads.attend(graph, &queries, &keys, &values, mask);
        self.rest.apply(graph, x, &mixed)
    }

    /// Some rows only, which still attend to all: those that `pick` takes out of `[B, rows, width]`. `mask` has no
    /// others.
    pub(super) fn apply_to_rows(
        &self,
        graph: &mut GraphBuilder,
        x: &Value,
        mask: Option<&Value>,
        pick: impl Fn(&mut GraphBuilder, &Value) -> Value,
    ) -> Value {
        let [queries, keys, values] = self.qkv(graph, x);
        let queries = pick(graph, &queries);
        let queries = self.heads.split(graph, &queries);
        let mixed = self.heads.attend(graph, &queries, &keys, &values, mask);
        let x = pick(graph, x);
        self.rest.apply(graph, &x, &mixed)
    }

    /// Causal attention of the rows `x` to the cache and themselves; returns their output, keys and values.
    pub(super) fn apply_cached(
        &self,
        graph: &mut GraphBuilder,
        x: &Value,
        past: &KeysAndValues,
        mask: &Value,
    ) -> (Value, KeysAndValues) {
        let [queries, keys, values] = self.qkv(graph, x);
        let queries = self.heads.split(graph, &queries);
        let all_keys = graph.concat(&[&past.keys, &keys], 1);
        let all_values = graph.concat(&[&past.values, &values], 1);
        let mixed = self.heads.attend(graph, &queries, &all_keys, &all_values, Some(mask));
        (self.rest.apply(graph, x, &mixed), KeysAndValues { keys, values })
    }

    fn qkv(&self, graph: &mut GraphBuilder, x: &Value) -> [Value; 3] {
        let x = self.ln_1.apply(graph, x);
        let joined = self.qkv.apply(graph, &x);
        graph.split(&joined, self.heads.width)
    }
}

/// A transformer block whose keys and values come from the image tokens.
pub(super) struct CrossBlock {
    ln_1: LayerNorm,
    queries: Linear,
    rest: AfterAttention,
    heads: Heads,
}

impl CrossBlock {
    pub(super) fn store(
        file: &mut WeightFile,
        block: &open_clip::Block,
        layers: &Layers,
        activation: Activation,
    ) -> Result<Self, Error> {
        let heads = Heads { count: layers.heads, width: layers.width };
        let scale = vec![heads.scale(); layers.width];
        Ok(Self {
            ln_1: LayerNorm::store(file, &block.ln_1)?,
            queries: Linear::store(file, &block.projections.queries, Some(&scale))?,
            rest: AfterAttention::store(file, block, activation)?,
            heads,
        })
    }

    /// `cross` has one row of the batch, which all share.
    pub(super) fn apply(
        &self,
        graph: &mut GraphBuilder,
        x: &Value,
        cross: &KeysAndValues,
    ) -> Value {
        let normed = self.ln_1.apply(graph, x);
        let queries = self.queries.apply(graph, &normed);
        let queries = self.heads.split(graph, &queries);
        let mixed = self.heads.attend(graph, &queries, &cross.keys, &cross.values, None);
        self.rest.apply(graph, x, &mixed)
    }
}

/// The part of every block behind the attention: output projection, residual, MLP.
struct AfterAttention {
    out: Linear,
    ln_2: LayerNorm,
    mlp: Mlp,
}

impl AfterAttention {
    fn store(
        file: &mut WeightFile,
        block: &open_clip::Block,
        activation: Activation,
    ) -> Result<Self, Error> {
        let scale = layer_scale(block.ls_1.as_ref())?;
        Ok(Self {
            out: Linear::store(file, &block.out_proj, scale.as_deref())?,
            ln_2: LayerNorm::store(file, &block.ln_2)?,
            mlp: Mlp::store(file, &block.mlp, activation)?,
        })
    }

    fn apply(&self, graph: &mut GraphBuilder, x: &Value, mixed: &Value) -> Value {
        let branch = self.out.apply(graph, mixed);
        let x = graph.op("Add", &[x, &branch]);
        let normed = self.ln_2.apply(graph, &x);
        let branch = self.mlp.apply(graph, &normed);
        graph.op("Add", &[&x, &branch])
    }
}

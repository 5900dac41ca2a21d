//! Regions of static int8 layers: everything between `QuantizeLinear` and `DequantizeLinear` that the kernels compute in
//! codes becomes one operator.
//!
//! ```text
//! codes       Q and DQ nodes, their scale and zero point
//! layer       DQ → Conv or Add → Clip or Relu → Q, with conditions that are told where they fail
//! passes      layers that run as one: expand → depthwise → project → residual
//! regions     passes that one operator holds, with no other node between them
//! operator    images, inputs and outputs of a region
//! means       outputs of which the graph reads mean and variance alone
//! ```
//!
//! Where everything is computed in f32, `unrounded` keeps of `QuantizeLinear` only that it clamps.

mod codes;
mod layer;
mod means;
mod operator;
mod parameters;
mod passes;
mod regions;
mod shape;
mod unrounded;

use super::Rewriter;

impl Rewriter<'_> {
    /// Puts an operator in the place of every region. Layers that are no part of one stay as they are.
    pub(super) fn fuse_integer_regions(&mut self) {
        let layers = self.quantized_layers();
        let passes = passes::passes(self, &layers);
        let regions = regions::regions(self, &layers, &passes);
        let mut layers: Vec<_> = layers.into_iter().map(Some).collect();
        let mut passes: Vec<_> = passes.into_iter().map(Some).collect();
        for region in regions {
            let passes = region.into_iter().filter_map(|at| passes[at].take());
            let members = passes
                .map(|pass| pass.members.into_iter().filter_map(|at| layers[at].take()).collect());
            self.put_region(members.collect());
        }
        self.weights.release();
    }
}

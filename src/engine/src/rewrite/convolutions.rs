//! Convolutions, whose pictures are laid out anew: channels last, `[N, H, W, C]`.
//!
//! ONNX has them first. Each fused convolution is followed by a `Transpose` back to that, and reads through it where the
//! convolution in front is fused too, so that between them none is left.

use coca_kernels::{Conv2d, DepthwiseFilters};
use coca_onnx::{Convolution, Elements, NodeId, Spatial, StoredWeight, builder};

use super::{
    Rewriter, is_transpose,
    linear::Chain,
    miss::{Miss, OrMiss, Rule, ensure},
    packing::pack,
    transpose,
};
use crate::fused;

/// `[N, C, H, W]` → `[N, H, W, C]`
const CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];
/// `[N, H, W, C]` → `[N, C, H, W]`
const CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

impl Rewriter<'_> {
    /// Fuses Conv → activation → residual: dense convolutions, and those with a filter for each channel.
    pub(super) fn fuse_convolution(&mut self, id: NodeId) -> Rule {
        let node = self.graph.node(id).or_other()?;
        let conv = Convolution::of(node).or_other()?;
        // Another rule has told why it runs in no region.
        (!self.is_quantized(conv.input)).then_some(()).or_other()?;
        let stored = self.constants().weight(conv.weight).or_near("its weight is no constant")?;
        let [outputs, channels, height, width] = stored.dims[..] else {
            return Err(Miss::Near("it has other than two spatial axes"));
        };
        let spatial = conv.spatial().or_near("its padding depends on the size of its input")?;
        ensure(spatial.is_dense(), "its kernel is dilated")?;
        let window = window(spatial, [height, width]);
        let bias = self.constants().optional_floats(node, 2).or_near("its bias is no constant")?;
        let is_fitting = bias.as_ref().is_none_or(|bias| bias.len() == outputs);
        ensure(is_fitting, "its bias has not one element an output")?;
        let mut chain = Chain::new(id, node.output.first().or_other()?, bias);
        self.follow_activation(&mut chain);
        let input = conv.input.to_owned();
        match (conv.groups, channels) {
            (1, _) => self.put_dense(chain, &input, stored.dims[0], window, id),
            (groups, 1) if groups == outputs => {
                let (values, bias) = (stored.to_f32(), chain.bias.as_deref());
                let memory = self.engine.weight_memory();
                let filters = DepthwiseFilters::pack(memory, &values, bias, outputs, window);
                let filters = filters.or_near("its filters cannot be packed")?;
                let activation = chain.activation;
                let operator = fused::DepthwiseConvolution { filters, activation };
                let inputs = vec![self.channels_last(&input)];
                self.put_convolution(chain, inputs, outputs, operator);
                Ok(())
            }
            _ => Err(Miss::Near("its groups are of several channels")),
        }
    }

    fn put_dense(
        &mut self,
        mut chain: Chain,
        input: &str,
        outputs: usize,
        window: Conv2d,
        id: NodeId,
    ) -> Rule {
        let weight = self.graph.node(id).and_then(|node| node.input.get(1)).or_other()?;
        let stored = self.constants().weight(weight).or_other()?;
        let name = stored.tensor.name.clone();
        let matrix = kernel_matrix(stored, window).or_near("its weight has no scale an output")?;
        let weights = pack(&matrix, self.engine, true, self.int8);
        let weights = weights.or_near("its weight cannot be packed")?;
        if self.adds_convolution(&chain) {
            self.follow_residual(&mut chain);
        }
        let mut inputs = vec![self.channels_last(input)];
        inputs.extend(chain.residual.as_ref().map(|residual| self.channels_last(residual)));
        let linear = chain.linear(&name, None, weights);
        self.put_convolution(chain, inputs, outputs, fused::Convolution { linear, window });
        Ok(())
    }

    /// Whether the sum that reads the chain alone adds what a fused convolution made.
    fn adds_convolution(&self, chain: &Chain) -> bool {
        let other = self.residual(chain).and_then(|(_, other, _)| self.graph.producer(other));
        other.is_some_and(|(_, producer)| is_transpose(producer, &CHANNELS_FIRST))
    }

    /// Puts `operator` where the chain ends, and its result as ONNX has it behind.
    fn put_convolution(
        &mut self,
        chain: Chain,
        inputs: Vec<String>,
        channels: usize,
        operator: impl fused::FusedOperator + 'static,
    ) {
        let result = self.derived("channels last of", &chain.output);
        self.replace(chain.end, inputs, result.clone(), operator);
        self.graph.add(transpose(&result, &chain.output, &CHANNELS_FIRST));
        self.channels_last.insert(result, channels);
    }

    /// The name of a tensor `[N, C, H, W]` with its channels last.
    fn channels_last(&mut self, name: &str) -> String {
        let (_, producer) = self.graph.producer(name).unzip();
        let source = producer.filter(|node| is_transpose(node, &CHANNELS_FIRST));
        if let Some(source) = source.and_then(|node| node.input.first()) {
            return source.clone();
        }
        let last = self.derived("channels last of", name);
        if self.graph.producer(&last).is_none() {
            self.graph.add(transpose(name, &last, &CHANNELS_LAST));
        }
        last
    }

    /// Replaces Transpose `[N, C, H, W]` → Reshape `[N, C, cells]` → Transpose `[N, cells, C]` by one Reshape.
    pub(super) fn flatten_channels_last(&mut self, id: NodeId) -> Rule {
        let last = self.graph.node(id).filter(|node| is_transpose(node, &[0, 2, 1])).or_other()?;
        let flattened = last.input.first().or_other()?;
        let reshape = self.graph.produced_by("Reshape", flattened).or_other()?;
        let shape = self.shape(reshape).or_other()?;
        let (_, first) = reshape.input.first().and_then(|n| self.graph.producer(n)).or_other()?;
        is_transpose(first, &CHANNELS_FIRST).then_some(()).or_other()?;
        let source = first.input.first().or_other()?.clone();
        let &channels = self.channels_last.get(&source).or_other()?;
        self.flattens(&shape, channels, &source).then_some(()).or_other()?;
        let output = last.output.first().or_other()?.clone();
        let cells = self.derived("shape of cells", &output);
        let sizes = [0, -1, channels as i64];
        self.graph.add_initializer(builder::i64_tensor(&cells, &[3], &sizes));
        let reshape = builder::node("Reshape", &[&source, &cells], &output, Vec::new());
        self.graph.replace(id, reshape);
        Ok(())
    }
}

/// The window that moves over an image as `spatial` says.
pub(super) fn window(spatial: Spatial<2>, size: [usize; 2]) -> Conv2d {
    let Spatial { strides, pads_begin, pads_end, .. } = spatial;
    Conv2d { size, strides, pads_begin, pads_end }
}

/// A kernel `[outputs, channels, height, width]` as a matrix `[outputs, height × width × channels]`.
fn kernel_matrix(stored: StoredWeight<'_>, window: Conv2d) -> Option<StoredWeight<'_>> {
    let (outputs, channels) = (stored.dims[0], stored.dims[1]);
    let taps = window.size[0] * window.size[1];
    if let Elements::Int8 { axis, .. } = &stored.elements {
        (*axis == 0).then_some(())?;
    }
    let size = stored.elements.size();
    let mut bytes = Vec::with_capacity(stored.bytes.len());
    for filter in stored.bytes.chunks_exact((channels * taps * size).max(1)) {
        for (tap, channel) in (0..taps).flat_map(|p| (0..channels).map(move |c| (p, c))) {
            bytes.extend_from_slice(&filter[(channel * taps + tap) * size..][..size]);
        }
    }
    Some(StoredWeight { bytes: bytes.into(), dims: vec![outputs, channels * taps], ..stored })
}

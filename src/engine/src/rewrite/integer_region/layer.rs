//! One layer in codes: `DequantizeLinear` → `Conv` or `Add` → activation → `QuantizeLinear`.

use std::collections::HashMap;

use coca_kernels::{
    Activation, Conv2d,
    static_int8::{DepthwiseLayer, Patches, PointwiseLayer, Quantization, StemLayer},
};
use coca_onnx::{Convolution, NodeId};

use super::{
    super::{
        Rewriter,
        convolutions::window,
        miss::{Miss, OrMiss, Rule, ensure},
    },
    codes::Codes,
    parameters::{self, Parameters},
    shape::ImageShape,
};

/// A layer from codes to codes.
pub(super) struct Layer {
    /// The node that computes it.
    pub(super) node: NodeId,
    /// Its inputs: one image, or the two of a sum.
    pub(super) inputs: Vec<LayerInput>,
    pub(super) output: Codes,
    pub(super) channels: usize,
    pub(super) kind: Kind,
}

/// Codes that a layer reads.
#[derive(Debug, Clone)]
pub(super) struct LayerInput {
    pub(super) codes: Codes,
    pub(super) channels: usize,
}

/// The operation of a layer.
pub(super) enum Kind {
    Pointwise(PointwiseLayer),
    Depthwise(DepthwiseLayer),
    Dense {
        patches: Patches,
        layer: PointwiseLayer,
        /// The same as a stem, if it is of a stem's shape.
        stem: Option<StemLayer>,
    },
    Sum,
}

impl Rewriter<'_> {
    /// The layer that a `Conv` computes.
    pub(super) fn quantized_convolution(
        &self,
        id: NodeId,
        shapes: &HashMap<String, ImageShape>,
    ) -> Result<Layer, Miss> {
        let node = self.graph.node(id).or_other()?;
        let conv = Convolution::of(node).or_other()?;
        let codes = self.codes_of(conv.input)?;
        let weight = self.constants().weight(conv.weight);
        let weight = weight.or_near("its weight is no constant of int8 without zero points")?;
        let [outputs, of_group, height, width] = weight.dims[..] else {
            return Err(Miss::Near("it has other than two spatial axes"));
        };
        let spatial = conv.spatial().or_near("its padding depends on the size of its input")?;
        ensure(spatial.is_dense(), "its kernel is dilated")?;
        let window = window(spatial, [height, width]);
        let bias = self.added(conv.bias)?;
        let output = self.requantized(node.output.first().or_other()?)?;
        let parameters = Parameters::new(&weight, bias, codes.quantization, output.quantization)?;
        let kind = match (conv.groups, of_group) {
            (1, _) => self.dense(parameters, of_group, window, codes.quantization)?,
            (groups, 1) if groups == outputs => {
                let shape = shapes.get(conv.input).cloned();
                let shape = shape.unwrap_or_else(|| ImageShape::unknown(conv.input));
                self.depthwise(&parameters, window, &shape)?
            }
            _ => return Err(Miss::Near("its groups are of several channels")),
        };
        let channels = of_group * conv.groups;
        let inputs = vec![LayerInput { codes, channels }];
        Ok(Layer { node: id, inputs, output, channels: outputs, kind })
    }

    fn dense(
        &self,
        parameters: Parameters,
        channels: usize,
        window: Conv2d,
        input: Quantization,
    ) -> Result<Kind, Miss> {
        let (memory, cpu) = (self.engine.weight_memory(), self.engine.cpu());
        let taps = window.size[0] * window.size[1];
        let parameters = parameters.taps_first(channels);
        let layer = PointwiseLayer::pack(memory, cpu, taps * channels, &parameters.borrow());
        let layer = layer.map_err(parameters::miss)?;
        if window.is_pointwise() {
            return Ok(Kind::Pointwise(layer));
        }
        let is_stem = window.size == [StemLayer::SIZE; 2]
            && window.strides == [StemLayer::STRIDE; 2]
            && channels == 3;
        let stem = is_stem.then(|| StemLayer::pack(memory, cpu, &parameters.borrow()));
        let stem = stem.transpose().map_err(parameters::miss)?;
        Ok(Kind::Dense { patches: Patches { window, zero_point: input.zero_point }, layer, stem })
    }

    fn depthwise(
        &self,
        parameters: &Parameters,
        window: Conv2d,
        input: &ImageShape,
    ) -> Result<Kind, Miss> {
        let Conv2d { size: [size, width], strides: [stride, across], pads_begin, .. } = window;
        ensure(size == width && stride == across, "its filters or strides are not square")?;
        let is_fitting = input.size.is_divided_by(window);
        ensure(
            is_fitting,
            "its padding makes another size than the input's divided by the stride",
        )?;
        let (memory, cpu) = (self.engine.weight_memory(), self.engine.cpu());
        let parameters = parameters.borrow();
        let layer = DepthwiseLayer::pack(memory, cpu, size, stride, pads_begin, &parameters);
        Ok(Kind::Depthwise(layer.map_err(parameters::miss)?))
    }

    /// The layer that an `Add` of two images computes.
    pub(super) fn quantized_sum(
        &self,
        id: NodeId,
        shapes: &HashMap<String, ImageShape>,
    ) -> Result<Layer, Miss> {
        let node = self.graph.node(id).or_other()?;
        let [a, b] = &node.input[..] else { return Err(Miss::Other) };
        let codes = [self.codes_of(a)?, self.codes_of(b)?];
        let output = self.requantized(node.output.first().or_other()?)?;
        let (a_shape, b_shape) = shapes.get(a).zip(shapes.get(b)).or_near("it adds no images")?;
        let channels = a_shape.channels.or_near("the channels of what it adds are not known")?;
        ensure(b_shape.channels == Some(channels), "it adds images of other channels")?;
        ensure(a_shape.size.is(&b_shape.size), "it adds images of other or unknown sizes")?;
        let inputs = codes.into_iter().map(|codes| LayerInput { codes, channels });
        Ok(Layer { node: id, inputs: inputs.collect(), output, channels, kind: Kind::Sum })
    }

    /// The codes that become of a layer's result, which nothing else reads, behind an activation that they contain.
    fn requantized(&self, result: &str) -> Result<Codes, Miss> {
        let (mut result, mut bounds) = (result, None);
        if let Some((activation, end)) = self.activation(result) {
            let Activation::Clamp { low, high } = activation else {
                return Err(Miss::Near("its activation is no clamp"));
            };
            bounds = Some([low, high]);
            result = self.graph.node(end).and_then(|node| node.output.first()).or_other()?;
        }
        let (end, _) =
            self.graph.only_consumer(result).or_near("its result is not only quantized")?;
        let codes = self.codes_made_by(end)?;
        let is_contained = bounds.is_none_or(|bounds| {
            bounds.map(|bound| codes.quantization.code(bound)) == [u8::MIN, u8::MAX]
        });
        ensure(is_contained, "its activation cuts off what its codes can say")?;
        Ok(codes)
    }

    /// The elements of a bias, in f32 or dequantised from 32-bit integers.
    fn added(&self, bias: Option<&str>) -> Result<Option<Vec<f64>>, Miss> {
        let Some(name) = bias else { return Ok(None) };
        if let Some(elements) = self.constants().dequantized_integers32(name) {
            return Ok(Some(elements));
        }
        let elements = self.constants().floats(name).or_near("its bias is no constant")?;
        Ok(Some(elements.into_iter().map(f64::from).collect()))
    }

    /// Notes why nodes with codes around them are no layers in codes.
    pub(super) fn quantized_layers(&mut self) -> Vec<Layer> {
        let shapes = self.image_shapes();
        let mut layers: Vec<Layer> = Vec::new();
        self.apply("Conv", |rewriter, id| -> Rule {
            layers.push(rewriter.quantized_convolution(id, &shapes)?);
            Ok(())
        });
        self.apply("Add", |rewriter, id| -> Rule {
            layers.push(rewriter.quantized_sum(id, &shapes)?);
            Ok(())
        });
        layers.sort_by_key(|layer| layer.node);
        layers
    }
}

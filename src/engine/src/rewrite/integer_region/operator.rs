//! The operator of a region: its images, its inputs and outputs, and its steps.

use std::collections::{BTreeSet, HashMap};

use coca_kernels::static_int8::{DepthwiseLayer, Patches, PointwiseLayer, Residual};
use coca_onnx::{Consumer, NodeId, builder, pb::tensor_proto::DataType, value_info};

use super::{
    super::Rewriter,
    codes::Codes,
    layer::{Kind, Layer, LayerInput},
};
use crate::{
    fused::{
        Form, ImageId, IntegerRegion, Memories, Operation, OutputForm, Picture, PictureId, Project,
        RegionInput, RegionOutput, Step, StepSource,
    },
    layout::Layout,
};

impl Rewriter<'_> {
    /// Puts one operator in the place of `passes`, each of layers that run as one.
    pub(super) fn put_region(&mut self, passes: Vec<Vec<Layer>>) {
        let sources = self.sources(passes.iter().flatten());
        let nodes: BTreeSet<NodeId> = passes.iter().flatten().map(|layer| layer.node).collect();
        let mut region = Region::default();
        let mut made: Vec<Codes> = Vec::new();
        for pass in passes {
            made.extend(pass.last().map(|layer| layer.output.clone()));
            region.add(pass);
        }
        let inputs = region.inputs.iter().map(|input| sources[&input.name].clone());
        let inputs: Vec<String> = inputs.collect();
        self.take_codes_of_pixels(&mut region, &inputs, &nodes);
        let name = self.derived("integer region", self.operators.len());
        let mut readers: Vec<(String, Vec<NodeId>)> = Vec::new();
        for codes in made {
            let (image, quantization) = (region.images[&codes.name], codes.quantization);
            for (form, made) in self.read_in_forms(&codes, region.channels[image], &nodes) {
                region.outputs.push(RegionOutput { image, quantization, form });
                readers.push((format!("{name} output {}", readers.len()), made));
            }
        }
        let outputs = readers.iter().map(|(name, _)| name.clone()).collect();
        let node = self.fused_node(inputs, outputs, region.finish());
        self.graph.add(node);
        for (output, made) in readers {
            made.into_iter().for_each(|id| self.read_instead(id, &output, &nodes));
        }
    }

    /// Makes the graph's inputs that only stems of the region read inputs of codes, `[N, H, W, 3]`.
    fn take_codes_of_pixels(
        &mut self,
        region: &mut Region,
        sources: &[String],
        nodes: &BTreeSet<NodeId>,
    ) {
        for (input, source) in region.inputs.iter_mut().zip(sources) {
            let is_for_stems = input.image.is_none() && self.is_only_quantized_for(source, nodes);
            let found = self.graph.input(source);
            let codes = found.filter(|_| is_for_stems);
            let codes =
                codes.and_then(|info| value_info::reordered(info, DataType::Uint8, &[0, 2, 3, 1]));
            if let Some(codes) = codes {
                self.graph.set_input(codes);
                self.layouts.insert(source.clone(), Layout::PixelCodes(input.quantization));
                input.form = Form::Codes;
            }
        }
    }

    /// Whether a tensor is quantised once, and `nodes` alone read its codes.
    fn is_only_quantized_for(&self, source: &str, nodes: &BTreeSet<NodeId>) -> bool {
        let quantize = self.graph.only_consumed_by("QuantizeLinear", source);
        let Some(codes) = quantize.and_then(|(_, node)| node.output.first()) else { return false };
        let is_for_nodes = |value: &String| {
            !self.graph.is_read_elsewhere(value)
                && self.graph.consumers(value).all(|(reader, _)| nodes.contains(&reader.node))
        };
        !self.graph.is_read_elsewhere(codes)
            && self.graph.consumers(codes).all(|(_, node)| node.output.iter().all(is_for_nodes))
    }

    /// The f32 tensors that the codes which layers read are made of, by the names of the codes. What an earlier region has
    /// made is read as it is.
    fn sources<'l>(&self, layers: impl Iterator<Item = &'l Layer>) -> HashMap<String, String> {
        let nodes = layers.filter_map(|layer| Some((layer, self.graph.node(layer.node)?)));
        let read = nodes.flat_map(|(layer, node)| layer.inputs.iter().zip(&node.input));
        let source = |value| self.quantized_from(value).unwrap_or(value).to_owned();
        read.map(|(input, value)| (input.codes.name.clone(), source(value))).collect()
    }

    /// The forms in which others than `nodes` read codes, and the nodes that make each of them.
    fn read_in_forms(
        &self,
        codes: &Codes,
        channels: usize,
        nodes: &BTreeSet<NodeId>,
    ) -> Vec<(OutputForm, Vec<NodeId>)> {
        let mut made: Vec<(OutputForm, Vec<NodeId>)> = Vec::new();
        let mut add = |form, node| match made.iter_mut().find(|(other, _)| *other == form) {
            Some((_, nodes)) => nodes.push(node),
            None => made.push((form, vec![node])),
        };
        for dequantizer in self.read_outside(codes, nodes) {
            if let Some(mean) = self.mean_of(dequantizer) {
                add(OutputForm::Means, mean);
            } else if let Some(moments) = self.moments_of(dequantizer, channels, nodes) {
                add(OutputForm::RowMeans, moments.mean);
                add(OutputForm::RowVariances, moments.variance);
            } else {
                add(OutputForm::Planes, dequantizer);
            }
        }
        made
    }

    /// The nodes that dequantise codes for others than `nodes`.
    fn read_outside(&self, codes: &Codes, nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let dequantizers = self.graph.consumers(&codes.name).filter(|(_, node)| {
            node.output.first().is_some_and(|value| {
                self.graph.is_read_elsewhere(value)
                    || self.graph.consumers(value).any(|(c, _)| !nodes.contains(&c.node))
            })
        });
        dequantizers.map(|(consumer, _)| consumer.node).collect()
    }

    /// Makes everything but `nodes` that reads the result of the node `made` read `output`.
    fn read_instead(&mut self, made: NodeId, output: &str, nodes: &BTreeSet<NodeId>) {
        let node = self.graph.node(made);
        let Some(value) = node.and_then(|node| node.output.first()).cloned() else { return };
        if self.graph.is_read_elsewhere(&value) {
            let identity = builder::node("Identity", &[output], &value, Vec::new());
            return self.graph.replace(made, identity);
        }
        let readers = self.graph.consumers(&value).map(|(consumer, _)| consumer);
        let readers: Vec<Consumer> = readers.filter(|c| !nodes.contains(&c.node)).collect();
        for reader in readers {
            self.graph.reconnect(reader, output);
        }
    }
}

/// A region in the making.
#[derive(Default)]
struct Region {
    inputs: Vec<RegionInput>,
    pictures: Vec<Picture>,
    steps: Vec<Step>,
    outputs: Vec<RegionOutput>,
    channels: Vec<usize>,
    /// Images by the names of their codes.
    images: HashMap<String, ImageId>,
}

impl Region {
    fn finish(self) -> IntegerRegion {
        let Self { inputs, pictures, steps, outputs, channels, .. } = self;
        IntegerRegion { inputs, pictures, steps, outputs, channels, memories: Memories::default() }
    }

    /// Adds the step that layers are together.
    fn add(&mut self, pass: Vec<Layer>) {
        let Some(last) = pass.last() else { return };
        let (codes, channels) = (last.output.name.clone(), last.channels);
        #[expect(clippy::expect_used, reason = "an invariant of `passes`")]
        let operation = self.operation(pass).expect("layers that run as one");
        let output = self.new_image(codes, channels);
        self.steps.push(Step { operation, output });
    }

    fn operation(&mut self, pass: Vec<Layer>) -> Option<Operation> {
        let mut layers = pass.into_iter().peekable();
        let is_alone = |next: Option<&Layer>| next.is_none_or(|n| matches!(n.kind, Kind::Sum));
        let first = layers.next()?;
        let source = match first.kind {
            Kind::Sum => return self.sum(&first),
            Kind::Pointwise(layer) if is_alone(layers.peek()) => {
                let input = self.image(first.inputs.first()?);
                let project = self.project(layer, &first.output, layers.next());
                return Some(Operation::Pointwise { input, project });
            }
            Kind::Pointwise(layer) => StepSource::Expand(layer, self.image(first.inputs.first()?)),
            Kind::Dense { patches, stem: Some(stem), .. } if layers.peek().is_some() => {
                StepSource::Stem(stem, self.picture(first.inputs.first()?, patches))
            }
            Kind::Dense { patches, layer, .. } => {
                let input = self.image(first.inputs.first()?);
                return Some(Operation::Dense { input, patches, layer });
            }
            Kind::Depthwise(depthwise) => {
                let source = StepSource::Image(self.image(first.inputs.first()?));
                return Some(self.bottleneck(source, depthwise, layers));
            }
        };
        let Kind::Depthwise(depthwise) = layers.next()?.kind else { return None };
        Some(self.bottleneck(source, depthwise, layers))
    }

    fn bottleneck(
        &mut self,
        source: StepSource,
        depthwise: DepthwiseLayer,
        mut rest: impl Iterator<Item = Layer>,
    ) -> Operation {
        let project = rest.next().and_then(|project| match project.kind {
            Kind::Pointwise(layer) => Some(self.project(layer, &project.output, rest.next())),
            _ => None,
        });
        Operation::Bottleneck { source, depthwise, project }
    }

    /// A layer that makes the codes `own`, and the sum that follows it.
    fn project(&mut self, layer: PointwiseLayer, own: &Codes, sum: Option<Layer>) -> Project {
        let residual = sum.and_then(|sum| {
            let other = sum.inputs.iter().find(|input| input.codes.name != own.name)?;
            Some((residual(own, &other.codes, &sum.output), self.image(other)))
        });
        Project { layer, residual }
    }

    fn sum(&mut self, layer: &Layer) -> Option<Operation> {
        let [own, other] = &layer.inputs[..] else { return None };
        Some(Operation::Sum {
            own: self.image(own),
            own_zero_point: own.codes.quantization.zero_point,
            other: self.image(other),
            residual: residual(&own.codes, &other.codes, &layer.output),
        })
    }

    /// The image of codes that a layer reads: one that a step makes, or that of an input.
    fn image(&mut self, read: &LayerInput) -> ImageId {
        if let Some(&image) = self.images.get(&read.codes.name) {
            return image;
        }
        let image = self.new_image(read.codes.name.clone(), read.channels);
        let input = self.input(read);
        self.inputs[input].image = Some(image);
        image
    }

    /// The picture that a stem reads.
    fn picture(&mut self, read: &LayerInput, patches: Patches) -> PictureId {
        let input = self.input(read);
        self.pictures.push(Picture { input, pads: patches.window.pads_begin });
        self.pictures.len() - 1
    }

    /// The input that is quantised to codes.
    fn input(&mut self, read: &LayerInput) -> usize {
        let found = self.inputs.iter().position(|input| input.name == read.codes.name);
        found.unwrap_or_else(|| {
            self.inputs.push(RegionInput {
                name: read.codes.name.clone(),
                quantization: read.codes.quantization,
                channels: read.channels,
                image: None,
                form: Form::Planes,
            });
            self.inputs.len() - 1
        })
    }

    fn new_image(&mut self, codes: String, channels: usize) -> ImageId {
        self.channels.push(channels);
        self.images.insert(codes, self.channels.len() - 1);
        self.channels.len() - 1
    }
}

/// The sum of `own` and `other` in the scale of `sum`.
fn residual(own: &Codes, other: &Codes, sum: &Codes) -> Residual {
    let (own, other, sum) = (own.quantization, other.quantization, sum.quantization);
    Residual {
        own_multiplier: own.scale / sum.scale,
        other_multiplier: other.scale / sum.scale,
        other_zero_point: other.zero_point,
        zero_point: sum.zero_point,
    }
}

//! The sizes of images within a graph, as far as the file tells them.

use std::collections::HashMap;

use coca_kernels::Conv2d;
use coca_onnx::{Convolution, operator, pb::NodeProto, value_info};

use super::super::{Rewriter, convolutions::window};

/// Channels and size of a tensor `[N, C, H, W]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageShape {
    /// `None` if the file does not tell.
    pub(super) channels: Option<usize>,
    pub(super) size: ImageSize,
}

/// Height and width, relative to those of a tensor in front.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageSize {
    of: String,
    /// The windows between, but for those that keep the size.
    windows: Vec<Conv2d>,
    known: Option<[usize; 2]>,
}

impl ImageShape {
    /// A tensor of which nothing is known.
    pub(super) fn unknown(name: &str) -> Self {
        let size = ImageSize { of: name.to_owned(), windows: Vec::new(), known: None };
        Self { channels: None, size }
    }
}

impl ImageSize {
    /// The size that a moving window makes of it.
    fn through(&self, window: Conv2d) -> Self {
        let mut size = self.clone();
        size.known = size.known.map(|known| window.outputs(known));
        if !keeps_size(window) {
            size.windows.push(window);
        }
        size
    }

    /// Whether two sizes are the same, whatever the sizes of the graph's inputs, and of images of one batch.
    pub(super) fn is(&self, other: &Self) -> bool {
        let is_known = self.known.is_some() && self.known == other.known;
        self.of == other.of && (is_known || self.windows == other.windows)
    }

    /// Whether a window makes the size divided by its strides, rounded up.
    pub(super) fn is_divided_by(&self, window: Conv2d) -> bool {
        let axis = |axis: usize| {
            let padding = window.pads_begin[axis] + window.pads_end[axis];
            padding + 1 == window.size[axis]
                || self.known.is_some_and(|known| {
                    window.outputs(known)[axis] == known[axis].div_ceil(window.strides[axis])
                })
        };
        axis(0) && axis(1)
    }
}

fn keeps_size(window: Conv2d) -> bool {
    let padded = |axis: usize| window.pads_begin[axis] + window.pads_end[axis] + 1;
    window.strides == [1, 1] && [0, 1].map(padded) == window.size
}

impl Rewriter<'_> {
    /// The shapes of the graph's images, by name.
    pub(super) fn image_shapes(&self) -> HashMap<String, ImageShape> {
        let mut shapes = HashMap::new();
        let graph = self.graph.graph();
        for info in graph.input.iter().chain(&graph.value_info) {
            if let Some([_, channels, height, width]) = value_info::sizes(info).as_deref() {
                let size = ImageSize {
                    known: height.zip(*width).map(|(height, width)| [height, width]),
                    ..ImageShape::unknown(&info.name).size
                };
                shapes.insert(info.name.clone(), ImageShape { channels: *channels, size });
            }
        }
        for (_, node) in self.graph.nodes() {
            if let (Some(shape), Some(output)) =
                (self.shape_made(node, &shapes), node.output.first())
            {
                shapes.insert(output.clone(), shape);
            }
        }
        shapes
    }

    /// The shape of a node's output, if it is an image whose size follows from that of the input.
    fn shape_made(
        &self,
        node: &NodeProto,
        shapes: &HashMap<String, ImageShape>,
    ) -> Option<ImageShape> {
        let input = |at: usize| shapes.get(node.input.get(at)?);
        match operator(node)? {
            "QuantizeLinear" | "DequantizeLinear" | "Identity" | "Relu" | "LeakyRelu" | "Clip"
            | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Tanh" | "Gelu" | "Neg" | "Abs" => {
                input(0).cloned()
            }
            "Add" => input(0).filter(|&shape| Some(shape) == input(1)).cloned(),
            "Conv" => {
                let conv = Convolution::of(node)?;
                let weight = self.constants().weight(conv.weight)?;
                let &[outputs, _, height, width] = &weight.dims[..] else { return None };
                let window = window(conv.spatial().filter(|s| s.is_dense())?, [height, width]);
                let unknown = || ImageShape::unknown(conv.input);
                let input = shapes.get(conv.input).cloned().unwrap_or_else(unknown);
                Some(ImageShape { channels: Some(outputs), size: input.size.through(window) })
            }
            _ => None,
        }
    }
}

//! Steps of a region: layers that run as one pass over images of codes.

use coca_kernels::static_int8::{DepthwiseLayer, Patches, PointwiseLayer, Residual, StemLayer};
use tract_onnx::tract_hir::internal::*;

/// An image of codes that steps read and write, by its place among those of the region.
pub(crate) type ImageId = usize;

/// A picture that a stem reads, by its place among those of the region.
pub(crate) type PictureId = usize;

/// Layers that run as one pass, and the image that comes of them.
pub(crate) struct Step {
    pub(crate) operation: Operation,
    pub(crate) output: ImageId,
}

/// The operation of a step.
#[expect(clippy::large_enum_variant, reason = "most steps of a network are of the largest")]
pub(crate) enum Operation {
    /// An inverted residual: expand → depthwise → project → residual, or a part of it that ends with the depthwise layer.
    Bottleneck { source: StepSource, depthwise: DepthwiseLayer, project: Option<Project> },
    /// A pointwise convolution.
    Pointwise { input: ImageId, project: Project },
    /// Any other dense convolution, by the patches under its filters.
    Dense { input: ImageId, patches: Patches, layer: PointwiseLayer },
    /// A sum of two images.
    Sum { own: ImageId, own_zero_point: u8, other: ImageId, residual: Residual },
}

/// The source of a bottleneck's depthwise layer.
pub(crate) enum StepSource {
    Stem(StemLayer, PictureId),
    Expand(PointwiseLayer, ImageId),
    Image(ImageId),
}

/// A pointwise layer, and the image that is added to it.
pub(crate) struct Project {
    pub(crate) layer: PointwiseLayer,
    pub(crate) residual: Option<(Residual, ImageId)>,
}

/// Height and width.
pub(super) type Size = [TDim; 2];

impl Step {
    /// The size of the step's image, where those of `images` and `pictures` are known.
    pub(super) fn size(&self, images: &[Size], pictures: &[Size]) -> Size {
        match &self.operation {
            Operation::Bottleneck { source, depthwise, .. } => {
                let read = match source {
                    StepSource::Stem(_, picture) => strided(&pictures[*picture], StemLayer::STRIDE),
                    StepSource::Expand(_, image) | StepSource::Image(image) => {
                        images[*image].clone()
                    }
                };
                strided(&read, depthwise.stride())
            }
            Operation::Dense { input, patches, .. } => {
                let window = patches.window;
                [0, 1].map(|axis| {
                    let padding = (window.pads_begin[axis] + window.pads_end[axis]) as i64;
                    let steps = images[*input][axis].clone() + padding - window.size[axis] as i64;
                    steps / window.strides[axis] + 1
                })
            }
            Operation::Pointwise { input, .. } | Operation::Sum { own: input, .. } => {
                images[*input].clone()
            }
        }
    }

    /// The images that the step reads.
    pub(super) fn inputs(&self) -> impl Iterator<Item = ImageId> {
        let residual = |project: &Project| project.residual.as_ref().map(|&(_, image)| image);
        let (first, second) = match &self.operation {
            Operation::Bottleneck { source, project, .. } => {
                let first = match source {
                    StepSource::Stem(..) => None,
                    StepSource::Expand(_, image) | StepSource::Image(image) => Some(*image),
                };
                (first, project.as_ref().and_then(residual))
            }
            Operation::Pointwise { input, project } => (Some(*input), residual(project)),
            Operation::Dense { input, .. } => (Some(*input), None),
            Operation::Sum { own, other, .. } => (Some(*own), Some(*other)),
        };
        first.into_iter().chain(second)
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.operation {
            Operation::Bottleneck { .. } => "inverted residual",
            Operation::Pointwise { .. } => "pointwise convolution",
            Operation::Dense { .. } => "convolution",
            Operation::Sum { .. } => "sum",
        };
        write!(f, "{kind} {}", self.output)
    }
}

fn strided(size: &Size, stride: usize) -> Size {
    [0, 1].map(|axis| (size[axis].clone() + (stride as i64 - 1)) / stride)
}

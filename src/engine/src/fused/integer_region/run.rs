//! Running a step.

use coca_kernels::static_int8::{
    Bottleneck, CodeImage, Pointwise, PointwiseLayer, Residual, Source, Sum,
};
use tract_onnx::tract_hir::internal::*;

use super::{
    memory::{Images, Memory},
    step::{Operation, Project, Step, StepSource},
};
use crate::Engine;

impl Step {
    /// Computes the step on the images of `memory`.
    pub(super) fn run(&self, engine: &Engine, memory: &mut Memory) -> TractResult<()> {
        let mut output = memory.images.take(self.output)?;
        let done = self.run_into(engine, memory, &mut output);
        memory.images.put(self.output, output);
        done.with_context(|| format!("{self:?} does not fit its images"))
    }

    /// `None` if images and layers do not fit each other.
    fn run_into(&self, engine: &Engine, memory: &mut Memory, output: &mut CodeImage) -> Option<()> {
        let (cpu, pool) = (engine.cpu(), engine.pool());
        let Memory { images, pictures, patches, scratch, .. } = memory;
        match &self.operation {
            Operation::Bottleneck { source, depthwise, project } => {
                let source = match source {
                    StepSource::Stem(layer, picture) => Source::Stem(layer, &pictures[*picture]),
                    StepSource::Expand(layer, image) => Source::Expand(layer, images.get(*image)?),
                    StepSource::Image(image) => Source::Image(images.get(*image)?),
                };
                let bottleneck = match project {
                    None => Bottleneck::without_project(cpu, source, depthwise, scratch, output)?,
                    Some(project) => {
                        let (layer, residual) = project.with_images(images)?;
                        Bottleneck::new(cpu, source, depthwise, layer, residual, scratch, output)?
                    }
                };
                bottleneck.run(pool);
            }
            Operation::Pointwise { input, project } => {
                let (layer, residual) = project.with_images(images)?;
                Pointwise::new(cpu, layer, images.get(*input)?, residual, output)?.run(pool);
            }
            Operation::Dense { input, patches: window, layer } => {
                let patches = patches.get_mut(&self.output)?;
                window.write(images.get(*input)?, patches)?;
                Pointwise::new(cpu, layer, patches, None, output)?.run(pool);
            }
            Operation::Sum { own, own_zero_point, other, residual } => {
                let own = (images.get(*own)?, *own_zero_point);
                Sum::new(cpu, residual, own, images.get(*other)?, output)?.run();
            }
        }
        Some(())
    }
}

/// A pointwise layer, and what is added to it.
type PointwiseAndResidual<'a> = (&'a PointwiseLayer, Option<(&'a Residual, &'a CodeImage)>);

impl Project {
    /// The layer with the image that is added to it; `None` if that one is being written.
    fn with_images<'a>(&'a self, images: &'a Images) -> Option<PointwiseAndResidual<'a>> {
        let residual = match &self.residual {
            Some((residual, image)) => Some((residual, images.get(*image)?)),
            None => None,
        };
        Some((&self.layer, residual))
    }
}

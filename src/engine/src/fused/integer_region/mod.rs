//! A region of static int8 layers: f32 in, codes between, f32 out.
//!
//! ```text
//! f32 [N, C, H, W] ── QuantizeLinear ──▶ image ── step ──▶ image ── step ──▶ image ── DequantizeLinear ──▶ f32
//!                                                            └── DequantizeLinear ── mean, variance ──▶ f32 [N, C, 1, 1]
//! ```

mod memory;
mod run;
mod step;

use std::sync::{Mutex, PoisonError};

use coca_kernels::static_int8::{PixelLines, Quantization};
use memory::Memory;
pub(crate) use step::{ImageId, Operation, PictureId, Project, Step, StepSource};
use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, NotFinite, numbers};
use crate::Engine;

/// Steps over images of codes, `[N, C, H, W]` of f32 in, the same or means and variances over height and width out.
#[derive(Debug)]
pub(crate) struct IntegerRegion {
    pub(crate) inputs: Vec<RegionInput>,
    pub(crate) pictures: Vec<Picture>,
    /// In an order in which each image is written before it is read.
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<RegionOutput>,
    /// The channels of every image.
    pub(crate) channels: Vec<usize>,
    pub(crate) memories: Memories,
}

/// An input, and the image that its codes go to; `None` if only stems read it.
#[derive(Debug)]
pub(crate) struct RegionInput {
    /// The tensor's name, for errors.
    pub(crate) name: String,
    pub(crate) quantization: Quantization,
    pub(crate) channels: usize,
    pub(crate) image: Option<ImageId>,
    pub(crate) form: Form,
}

/// The form of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// f32 `[N, C, H, W]`
    Planes,
    /// Codes of a picture, `[N, H, W, 3]`, for stems alone.
    Codes,
}

impl Form {
    /// The axes of channels, lines and columns.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Planes => [1, 2, 3],
            Self::Codes => [3, 1, 2],
        }
    }
}

/// The lines of an input that a stem reads.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Which of the inputs.
    pub(crate) input: usize,
    /// Lines above and columns before it.
    pub(crate) pads: [usize; 2],
}

/// An image that leaves the region.
#[derive(Debug)]
pub(crate) struct RegionOutput {
    pub(crate) image: ImageId,
    pub(crate) quantization: Quantization,
    pub(crate) form: OutputForm,
}

/// The form of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// f32 `[N, C, H, W]`
    Planes,
    /// Each channel's mean, f32 `[N, C, 1, 1]`.
    Means,
    /// The same, f32 `[N, C, 1]`.
    RowMeans,
    /// Each channel's mean squared difference from its mean, f32 `[N, C, 1]`.
    RowVariances,
}

impl OutputForm {
    /// The axes behind the channels, of an image of this height and width.
    fn size<D: From<usize>>(self, image: [D; 2]) -> TVec<D> {
        match self {
            Self::Planes => image.into_iter().collect(),
            Self::Means => tvec![1.into(), 1.into()],
            Self::RowMeans | Self::RowVariances => tvec![1.into()],
        }
    }
}

/// Memories that no run uses at the moment; runs at once take one each.
#[derive(Default)]
pub(crate) struct Memories(Mutex<Vec<Memory>>);

impl std::fmt::Debug for Memories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memories")
    }
}

impl Memories {
    fn take(&self, inputs: &[[usize; 2]]) -> Option<Memory> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().filter(|memory| memory.inputs == inputs)
    }

    fn put(&self, memory: Memory) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

impl IntegerRegion {
    /// The sizes of all images and of all pictures, from those of the inputs.
    fn sizes(&self, inputs: &[step::Size]) -> (Vec<step::Size>, Vec<step::Size>) {
        let nothing: step::Size = [0.to_dim(), 0.to_dim()];
        let mut images = vec![nothing; self.channels.len()];
        for (input, size) in self.inputs.iter().zip(inputs) {
            if let Some(image) = input.image {
                images[image].clone_from(size);
            }
        }
        let pictures: Vec<_> = self.pictures.iter().map(|p| inputs[p.input].clone()).collect();
        for step in &self.steps {
            images[step.output] = step.size(&images, &pictures);
        }
        (images, pictures)
    }

    /// Writes the codes `[H, W, 3]` of an input to the pictures that stems read.
    fn write_pictures(&self, input: usize, codes: &[u8], pictures: &mut [PixelLines]) {
        for (picture, lines) in self.pictures.iter().zip(pictures) {
            if picture.input == input {
                let line = (codes.len() / lines.size()[0].max(1)).max(1);
                for (at, codes) in codes.chunks_exact(line).enumerate() {
                    lines.write_codes(at, codes);
                }
            }
        }
    }

    /// Quantises image `at` of the batch, runs all steps and writes the outputs.
    fn run_image(
        &self,
        engine: &Engine,
        memory: &mut Memory,
        inputs: &[TValue],
        at: usize,
        outputs: &mut [Tensor],
    ) -> TractResult<()> {
        let cpu = engine.cpu();
        for (i, (input, tensor)) in self.inputs.iter().zip(inputs).enumerate() {
            let length = input.channels * memory.inputs[i].iter().product::<usize>();
            if input.form == Form::Codes {
                let codes = &numbers::<u8>(tensor)?[at * length..][..length];
                self.write_pictures(i, codes, &mut memory.pictures);
                continue;
            }
            let planes = &numbers(tensor)?[at * length..][..length];
            let mut finite = true;
            if let Some(image) = input.image {
                let image = memory.images.get_mut(image).context("an image is missing")?;
                finite &= input.quantization.quantize(cpu, planes, image);
            }
            for (picture, lines) in self.pictures.iter().zip(&mut memory.pictures) {
                if picture.input == i {
                    finite &= input.quantization.quantize_pixels(cpu, planes, lines);
                }
            }
            if !finite {
                return Err(NotFinite { layer: input.name.clone() }.into());
            }
        }
        for step in &self.steps {
            step.run(engine, memory)?;
        }
        for (output, tensor) in self.outputs.iter().zip(outputs) {
            let image = memory.images.get(output.image).context("an image is missing")?;
            let length =
                image.channels() * output.form.size(image.size()).iter().product::<usize>();
            let mut view = tensor.to_plain_array_view_mut::<f32>()?;
            let elements = view.as_slice_mut().context("a new tensor with gaps")?;
            let elements = &mut elements[at * length..][..length];
            match output.form {
                OutputForm::Planes => output.quantization.dequantize(cpu, image, elements),
                OutputForm::Means | OutputForm::RowMeans => {
                    output.quantization.dequantize_means(cpu, image, elements);
                }
                OutputForm::RowVariances => {
                    output.quantization.dequantize_variances(cpu, image, elements);
                }
            }
        }
        Ok(())
    }
}

impl FusedOperator for IntegerRegion {
    fn name(&self) -> &'static str {
        "FusedIntegerRegion"
    }

    fn outputs(&self) -> usize {
        self.outputs.len()
    }

    fn output_shapes(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TVec<TDim>>> {
        let mut sizes = Vec::with_capacity(inputs.len());
        for (input, shape) in self.inputs.iter().zip(inputs) {
            ensure!(shape.len() == 4, "an image has four axes");
            let [channels, height, width] = input.form.axes().map(|axis| &shape[axis]);
            if let Ok(channels) = channels.to_usize() {
                ensure!(channels == input.channels, "{channels} channels for {}", input.channels);
            }
            sizes.push([height.clone(), width.clone()]);
        }
        let (images, _) = self.sizes(&sizes);
        let shape = |output: &RegionOutput| {
            let mut shape = tvec![inputs[0][0].clone(), self.channels[output.image].to_dim()];
            shape.extend(output.form.size(images[output.image].clone()));
            shape
        };
        Ok(self.outputs.iter().map(shape).collect())
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<TVec<Tensor>> {
        let mut sizes = Vec::with_capacity(inputs.len());
        let batch = inputs.first().and_then(|input| input.shape().first()).copied();
        let batch = batch.context("a region without inputs")?;
        for (input, tensor) in self.inputs.iter().zip(inputs) {
            let shape = tensor.shape();
            ensure!(shape.len() == 4, "an image has four axes");
            let [channels, height, width] = input.form.axes().map(|axis| shape[axis]);
            ensure!(channels == input.channels, "{channels} channels for {}", input.channels);
            ensure!(shape[0] == batch, "batches of {batch} and {}", shape[0]);
            sizes.push([height, width]);
        }
        let memory = self.memories.take(&sizes);
        let mut memory = memory.map_or_else(|| Memory::new(self, engine, &sizes), Ok)?;
        let mut outputs = TVec::new();
        for output in &self.outputs {
            let image = memory.images.get(output.image).context("an image is missing")?;
            let mut shape: TVec<usize> = tvec![batch, image.channels()];
            shape.extend(output.form.size(image.size()));
            outputs.push(engine.buffers().take(&shape)?);
        }
        for at in 0..batch {
            self.run_image(engine, &mut memory, inputs, at, &mut outputs)?;
        }
        self.memories.put(memory);
        Ok(outputs)
    }
}

//! The images of a region while it runs.

use std::collections::BTreeMap;

use coca_kernels::static_int8::{CodeImage, PixelLines, Scratch};
use tract_onnx::tract_hir::internal::*;

use super::{
    IntegerRegion,
    step::{ImageId, Operation, Size},
};
use crate::Engine;

/// Images, pictures and scratch memory for one size of the region's inputs.
pub(super) struct Memory {
    /// The sizes of the inputs that it is for.
    pub(super) inputs: Vec<[usize; 2]>,
    pub(super) images: Images,
    pub(super) pictures: Vec<PixelLines>,
    /// Patches of the dense convolution that makes an image.
    pub(super) patches: BTreeMap<ImageId, CodeImage>,
    pub(super) scratch: Scratch,
}

/// The images of a region; some of them share memory, one after the other.
pub(super) struct Images {
    /// For each image of the region, its place among those stored.
    places: Vec<usize>,
    /// `None` while a step writes to it.
    stored: Vec<Option<CodeImage>>,
}

impl Images {
    pub(super) fn get(&self, image: ImageId) -> Option<&CodeImage> {
        self.stored[self.places[image]].as_ref()
    }

    pub(super) fn get_mut(&mut self, image: ImageId) -> Option<&mut CodeImage> {
        self.stored[self.places[image]].as_mut()
    }

    /// Takes out the image that a step writes.
    pub(super) fn take(&mut self, image: ImageId) -> TractResult<CodeImage> {
        let image = self.stored[self.places[image]].take();
        image.context("an image that is being written")
    }

    pub(super) fn put(&mut self, id: ImageId, image: CodeImage) {
        self.stored[self.places[id]] = Some(image);
    }
}

impl Memory {
    /// Memory for `region` with inputs of these heights and widths.
    pub(super) fn new(
        region: &IntegerRegion,
        engine: &Engine,
        inputs: &[[usize; 2]],
    ) -> TractResult<Self> {
        let sizes: Vec<Size> = inputs.iter().map(|size| size.map(|side| side.to_dim())).collect();
        let (images, pictures) = region.sizes(&sizes);
        let known = |size: &Size| Ok([size[0].to_usize()?, size[1].to_usize()?]);
        let images: Vec<[usize; 2]> = images.iter().map(known).collect::<TractResult<_>>()?;
        let cpu = engine.cpu();
        let pictures = region.pictures.iter().zip(&pictures).map(|(picture, size)| {
            let padding = region.inputs[picture.input].quantization.zero_point;
            Ok(PixelLines::new(cpu, known(size)?, picture.pads, padding))
        });
        let mut patches = BTreeMap::new();
        for step in &region.steps {
            if let Operation::Dense { layer, .. } = &step.operation {
                let image = CodeImage::new(cpu, images[step.output], layer.inputs());
                patches.insert(step.output, image);
            }
        }
        Ok(Self {
            inputs: inputs.to_vec(),
            pictures: pictures.collect::<TractResult<_>>()?,
            images: Images::new(region, engine, &images),
            patches,
            scratch: Scratch::default(),
        })
    }
}

impl Images {
    /// Images of these sizes. One whose last reader has run lends its memory to the next of its size.
    fn new(region: &IntegerRegion, engine: &Engine, sizes: &[[usize; 2]]) -> Self {
        let mut last_read = vec![0; sizes.len()];
        for (at, step) in region.steps.iter().enumerate() {
            step.inputs().for_each(|image| last_read[image] = at);
        }
        region.outputs.iter().for_each(|output| last_read[output.image] = region.steps.len());
        let mut images = Self { places: vec![0; sizes.len()], stored: Vec::new() };
        let mut free: BTreeMap<([usize; 2], usize), Vec<usize>> = BTreeMap::new();
        let mut place = |image: ImageId, free: &mut BTreeMap<_, Vec<usize>>| {
            let shape = (sizes[image], region.channels[image]);
            let found = free.get_mut(&shape).and_then(Vec::pop);
            images.places[image] = found.unwrap_or_else(|| {
                images.stored.push(Some(CodeImage::new(engine.cpu(), shape.0, shape.1)));
                images.stored.len() - 1
            });
            images.places[image]
        };
        for image in region.inputs.iter().filter_map(|input| input.image) {
            place(image, &mut free);
        }
        // Images of inputs are not among them: they are all written before the first step.
        let mut places: BTreeMap<ImageId, usize> = BTreeMap::new();
        for (at, step) in region.steps.iter().enumerate() {
            places.insert(step.output, place(step.output, &mut free));
            for image in step.inputs().filter(|&image| last_read[image] == at) {
                if let Some(place) = places.remove(&image) {
                    free.entry((sizes[image], region.channels[image])).or_default().push(place);
                }
            }
        }
        images
    }
}

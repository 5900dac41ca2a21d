//! An inverted residual in one pass: expand, depthwise, project and residual, sixteen channels at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    depthwise::DepthwisePanel,
    image::{CodeImage, PixelLines},
    packed::{DepthwiseLayer, PointwiseLayer, StemLayer},
    pointwise::{Blocks, Projection},
    quads::{QuadPanel, QuadShape, QuadSource},
    residual::Residual,
};
use crate::{
    codes::{Codes, Tiled},
    disjoint::DisjointMut,
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::LANES,
    pool::Pool,
    work_queue::WorkQueue,
};

/// What the depthwise layer of a bottleneck reads.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A stem's channels, computed from a picture.
    Stem(&'a StemLayer, &'a PixelLines),
    /// Expanded channels of an image.
    Expand(&'a PointwiseLayer, &'a CodeImage),
    /// An image as it is.
    Image(&'a CodeImage),
}

/// Memory that bottlenecks use one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Quads of a panel, for each thread that has worked so far.
    quads: Mutex<Vec<Vec<u8>>>,
    /// What the depthwise layer makes, `[channels / 16][pixel][16]`, and pixels that tiles read behind the last.
    convolved: Vec<u8>,
}

/// One bottleneck: source → depthwise → project, with a residual added if there is one. It may end with the depthwise
/// layer.
pub struct Bottleneck<'a> {
    cpu: Cpu,
    source: Source<'a>,
    depthwise: &'a DepthwiseLayer,
    project: Option<Project<'a>>,
    scratch: &'a mut Scratch,
    output: &'a mut CodeImage,
    /// Height and width of what the depthwise layer reads.
    size: [usize; 2],
}

/// The last layer of a bottleneck, and what is added to it.
type Project<'a> = (&'a PointwiseLayer, Option<(&'a Residual, &'a CodeImage)>);

impl<'a> Bottleneck<'a> {
    /// Prepares a bottleneck whose image is written to `output`. `None` if sizes or channels do not fit each other.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        source: Source<'a>,
        depthwise: &'a DepthwiseLayer,
        project: &'a PointwiseLayer,
        residual: Option<(&'a Residual, &'a CodeImage)>,
        scratch: &'a mut Scratch,
        output: &'a mut CodeImage,
    ) -> Option<Self> {
        let fits = project.inputs == depthwise.channels
            && output.channels() == project.outputs
            && residual.is_none_or(|(_, image)| image.has_shape_of(output));
        let project = fits.then_some((project, residual))?;
        Self::checked(cpu, source, depthwise, Some(project), scratch, output)
    }

    /// Prepares what ends with the depthwise layer, whose image is written to `output`.
    #[must_use]
    pub fn without_project(
        cpu: Cpu,
        source: Source<'a>,
        depthwise: &'a DepthwiseLayer,
        scratch: &'a mut Scratch,
        output: &'a mut CodeImage,
    ) -> Option<Self> {
        let fits = output.channels() == depthwise.channels;
        fits.then(|| Self::checked(cpu, source, depthwise, None, scratch, output))?
    }

    fn checked(
        cpu: Cpu,
        source: Source<'a>,
        depthwise: &'a DepthwiseLayer,
        project: Option<Project<'a>>,
        scratch: &'a mut Scratch,
        output: &'a mut CodeImage,
    ) -> Option<Self> {
        let (size, channels) = source.made()?;
        let strided = |axis: usize| size[axis].div_ceil(depthwise.stride);
        let fits = channels == depthwise.channels
            && output.size() == [strided(0), strided(1)]
            && output.pixels() > 0;
        fits.then_some(Self { cpu, source, depthwise, project, scratch, output, size })
    }

    /// Computes it on the threads of `pool`: panels of expanded channels first, strips of the output then.
    pub fn run(self, pool: Option<&Pool>) {
        let (vectors, block) =
            (self.depthwise.channels.div_ceil(LANES), self.output.pixels() * LANES);
        let shape = QuadShape::new(self.depthwise, self.size, self.output.size());
        let convolved = match self.project {
            Some(_) => {
                let needed = vectors * block + GUARD;
                if self.scratch.convolved.len() < needed {
                    self.scratch.convolved.resize(needed, 0);
                }
                &mut self.scratch.convolved[..]
            }
            None => self.output.blocks_mut(),
        };
        let panels = Panels {
            source: self.source,
            depthwise: self.depthwise,
            shape,
            quads: &self.scratch.quads,
            convolved: DisjointMut::new(convolved),
            queue: WorkQueue::new(vectors, 1),
        };
        Pool::broadcast(pool, || self.cpu.run(&panels));
        let Some((project, residual)) = self.project else { return };
        let source = Blocks { start: self.scratch.convolved.as_ptr(), stride: block };
        let projection = Projection::new(project, source, residual, self.output);
        Pool::broadcast(pool, || self.cpu.run(&projection));
    }
}

impl Source<'_> {
    /// Size and channels of what the depthwise layer reads; `None` if the source does not fit its layer.
    fn made(&self) -> Option<([usize; 2], usize)> {
        match self {
            Source::Stem(layer, lines) => {
                let size = lines.size().map(|side| side.div_ceil(StemLayer::STRIDE));
                let read = (size[0].checked_sub(1)?) * StemLayer::STRIDE + StemLayer::SIZE;
                (read <= lines.lines() && lines.pads().iter().all(|&pad| pad < StemLayer::SIZE))
                    .then_some((size, layer.outputs))
            }
            Source::Expand(layer, image) => {
                (layer.inputs == image.channels()).then_some((image.size(), layer.outputs))
            }
            Source::Image(image) => Some((image.size(), image.channels())),
        }
    }

    fn for_quads(&self) -> QuadSource<'_> {
        match *self {
            Source::Stem(layer, lines) => QuadSource::Stem(layer, lines),
            Source::Expand(layer, image) => QuadSource::Expand(layer, image),
            Source::Image(image) => QuadSource::Image(image),
        }
    }
}

/// Bytes behind the last pixel that a tile may read.
const GUARD: usize = 16 * LANES;

/// The expanded channels of a bottleneck, panel by panel, which any number of threads work on.
struct Panels<'a> {
    source: Source<'a>,
    depthwise: &'a DepthwiseLayer,
    shape: QuadShape,
    quads: &'a Mutex<Vec<Vec<u8>>>,
    convolved: DisjointMut<'a, u8>,
    queue: WorkQueue,
}

impl Operation for &Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        isa.codes().with_tiles(self);
    }
}

impl Tiled for &Panels<'_> {
    #[inline(always)]
    fn run<I: Codes, const M: usize>(self, isa: I) {
        let mut quads = lock(self.quads).pop().unwrap_or_default();
        let padding = self.depthwise.input_zero_point ^ I::FLIP;
        quads.clear();
        quads.resize(self.shape.panel_bytes(), padding);
        while let Some(panels) = self.queue.take() {
            for vector in panels {
                self.panel::<I, M>(isa, vector, &mut quads, padding);
            }
        }
        lock(self.quads).push(quads);
    }
}

impl Panels<'_> {
    #[inline(always)]
    fn panel<I: Codes, const M: usize>(
        &self,
        isa: I,
        vector: usize,
        quads: &mut [u8],
        padding: u8,
    ) {
        let shape = self.shape;
        let block = shape.output[0] * shape.output[1] * LANES;
        QuadPanel { shape, vector, quads, padding }.fill::<I, M>(isa, self.source.for_quads());
        // SAFETY: a panel is taken once, and its block is written only with it.
        let output = unsafe { self.convolved.slice_mut(vector * block, block) };
        DepthwisePanel { layer: self.depthwise, shape, vector, quads, output }.run::<I, M>(isa);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Buffers are whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

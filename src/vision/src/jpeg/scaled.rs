//! Planes of a scaled-down baseline JPEG, decoded into buffers that last.

use super::{
    header::{Component, Header},
    huffman::BitReader,
    idct::{self, Transform, ZIGZAG},
    known_tables::KnownTables,
};

/// The most pixels of a camera's frame: what announces more would take the memory of a small board.
pub(crate) const MAX_FRAME_PIXELS: usize = 50_000_000;

/// Decodes JPEG files to planes; tables and buffers last from one file to the next.
#[derive(Default)]
pub(crate) struct ScaledDecoder {
    known: KnownTables,
    samples: [Vec<u8>; 3],
}

/// Outcome of decoding a file.
pub(crate) enum Scaled<'a> {
    /// Y, Cb and Cr, or the first alone for grey.
    Planes([Option<ScaledPlane<'a>>; 3]),
    /// Not a baseline JPEG in grey or YCbCr.
    Unsupported,
    /// Cut off or garbled.
    Damaged,
}

/// A plane of samples, with gaps between the rows.
#[derive(Clone, Copy)]
pub(crate) struct ScaledPlane<'a> {
    pub(crate) samples: &'a [u8],
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) stride: usize,
}

impl<'a> ScaledPlane<'a> {
    pub(super) fn row(&self, row: usize) -> &'a [u8] {
        let first = row * self.stride;
        &self.samples[first..first + self.width]
    }
}

impl ScaledDecoder {
    /// Decodes at the smallest scale that leaves at least `least` columns and rows, if any does. Of more than
    /// [`MAX_FRAME_PIXELS`] pixels nothing is decoded.
    pub(crate) fn decode_covering(&mut self, file: &[u8], least: (usize, usize)) -> Scaled<'_> {
        self.decode(file, |width, height| {
            if width * height > MAX_FRAME_PIXELS {
                return None;
            }
            let covers = |scale: &usize| width / scale >= least.0 && height / scale >= least.1;
            [8, 4, 2].into_iter().find(covers).or(Some(1))
        })
    }

    /// Decodes to 1/scale of the size, rounded up; `scale` gets the columns and rows and gives 1, 2, 4 or 8, or none.
    ///
    /// All planes are of one size, but at scale 1 those of chroma are as they are stored.
    pub(super) fn decode(
        &mut self,
        file: &[u8],
        scale: impl FnOnce(usize, usize) -> Option<usize>,
    ) -> Scaled<'_> {
        let Some(header) = Header::parse(file, &mut self.known) else {
            return Scaled::Unsupported;
        };
        let Some(scale) = scale(header.width, header.height) else { return Scaled::Unsupported };
        let side = 8 / scale.clamp(1, 8);
        let Some(mut scan) = Scan::new(&header, side, &mut self.samples) else {
            return Scaled::Unsupported;
        };
        if scan.decode().is_none() {
            return Scaled::Damaged;
        }
        Scaled::Planes(scan.planes.map(|plane| plane.map(Plane::into_scaled)))
    }
}

/// The one scan of a baseline file.
struct Scan<'a, 'b> {
    reader: BitReader<'a>,
    planes: [Option<Plane<'a, 'b>>; 3],
    mcus: (usize, usize),
    restart_interval: usize,
    mcus_until_restart: usize,
}

/// A component's samples.
struct Plane<'a, 'b> {
    component: &'a Component,
    transform: Transform,
    /// Samples that one block makes across and down.
    block: (usize, usize),
    /// The last coefficient, in zigzag order, that counts.
    last: usize,
    /// The previous block's first coefficient, before dequantisation.
    dc: i32,
    size: (usize, usize),
    stride: usize,
    samples: &'b mut [u8],
}

impl<'a, 'b> Scan<'a, 'b> {
    /// `side` is how many samples a block makes where it is not subsampled.
    fn new(header: &'a Header, side: usize, buffers: &'b mut [Vec<u8>; 3]) -> Option<Self> {
        let components = header.components.iter().flatten();
        let largest = components.fold((1, 1), |(x, y), c| (x.max(c.across), y.max(c.down)));
        let mcus = (header.width.div_ceil(8 * largest.0), header.height.div_ceil(8 * largest.1));
        let mut planes = [const { None }; 3];
        for ((component, samples), plane) in
            header.components.iter().flatten().zip(buffers).zip(&mut planes)
        {
            let (across, down) = (component.across, component.down);
            let block = if side == 8 {
                (8, 8)
            } else {
                (side * largest.0 / across, side * largest.1 / down)
            };
            let stride = mcus.0 * across * block.0;
            samples.resize(stride * mcus.1 * down * block.1, 0);
            let size = |full: usize, count: usize, most: usize, block: usize| {
                (full * count * block).div_ceil(8 * most)
            };
            *plane = Some(Plane {
                component,
                transform: idct::transform(block.0, block.1)?,
                block,
                last: ZIGZAG.iter().rposition(|&place| is_within(place, block))?,
                dc: 0,
                size: (
                    size(header.width, across, largest.0, block.0),
                    size(header.height, down, largest.1, block.1),
                ),
                stride,
                samples,
            });
        }
        Some(Self {
            reader: BitReader::new(header.scan),
            planes,
            mcus,
            restart_interval: header.restart_interval,
            mcus_until_restart: header.restart_interval,
        })
    }

    fn decode(&mut self) -> Option<()> {
        for down in 0..self.mcus.1 {
            for across in 0..self.mcus.0 {
                self.restart_if_due()?;
                for plane in self.planes.iter_mut().flatten() {
                    plane.decode_mcu(&mut self.reader, across, down)?;
                }
            }
            if self.reader.is_overrun() {
                return None;
            }
        }
        Some(())
    }

    fn restart_if_due(&mut self) -> Option<()> {
        if self.restart_interval == 0 {
            return Some(());
        }
        if self.mcus_until_restart == 0 {
            self.reader.restart()?;
            self.planes.iter_mut().flatten().for_each(|plane| plane.dc = 0);
            self.mcus_until_restart = self.restart_interval;
        }
        self.mcus_until_restart -= 1;
        Some(())
    }
}

impl<'b> Plane<'_, 'b> {
    fn into_scaled(self) -> ScaledPlane<'b> {
        let (width, height) = self.size;
        ScaledPlane { samples: self.samples, width, height, stride: self.stride }
    }

    #[inline]
    fn decode_mcu(&mut self, reader: &mut BitReader, across: usize, down: usize) -> Option<()> {
        let Component { across: columns, down: rows, .. } = *self.component;
        for row in 0..rows {
            let top = (down * rows + row) * self.block.1 * self.stride;
            for column in 0..columns {
                self.decode_block(reader, top + (across * columns + column) * self.block.0)?;
            }
        }
        Some(())
    }

    #[inline]
    fn decode_block(&mut self, reader: &mut BitReader, at: usize) -> Option<()> {
        let (component, block, stride) = (self.component, self.block, self.stride);
        self.dc = self.dc.wrapping_add(component.dc.difference(reader)?);
        let dc = self.dc as f32 * f32::from(component.steps[0]);

        let mut coefficients = [0.0; 64];
        let mut is_flat = true;
        component.ac.block(reader, self.last, |n, value| {
            let place = ZIGZAG[n];
            if is_within(place, block) {
                coefficients[usize::from(place)] = value as f32 * f32::from(component.steps[n]);
                is_flat = false;
            }
        })?;

        let out = self.samples.get_mut(at..)?;
        if is_flat {
            let sample = (dc / 8.0 + 128.5) as u8;
            out.chunks_mut(stride).take(block.1).for_each(|row| row[..block.0].fill(sample));
        } else {
            coefficients[0] = dc;
            (self.transform)(&coefficients, out, stride);
        }
        Some(())
    }
}

/// Whether a place in the block is among its lowest `columns` × `rows` frequencies.
fn is_within(place: u8, (columns, rows): (usize, usize)) -> bool {
    usize::from(place % 8) < columns && usize::from(place / 8) < rows
}

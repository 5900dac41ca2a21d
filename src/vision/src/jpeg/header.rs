//! The segments of a JPEG file before its first scan: sizes, tables, component layout (ITU-T T.81, annex B).

use std::sync::Arc;

use super::{
    huffman::{AcTable, DcTable},
    known_tables::KnownTables,
};

/// Most tables of a file: building one takes as long as decoding many blocks.
const MAX_TABLES: usize = 64;

/// A baseline picture with one scan, ready to be decoded.
pub(super) struct Header<'a> {
    /// Columns of the full picture.
    pub(super) width: usize,
    /// Rows of the full picture.
    pub(super) height: usize,
    /// One component (grey) or three (Y, Cb, Cr).
    pub(super) components: [Option<Component>; 3],
    /// MCUs between two restart markers; 0 for none.
    pub(super) restart_interval: usize,
    /// The entropy-coded bytes, to the end of the file.
    pub(super) scan: &'a [u8],
}

/// A colour plane and the tables it is coded with.
pub(super) struct Component {
    /// Blocks across in one MCU.
    pub(super) across: usize,
    /// Blocks down in one MCU.
    pub(super) down: usize,
    /// Quantisation steps in zigzag order.
    pub(super) steps: [u16; 64],
    pub(super) dc: Arc<DcTable>,
    pub(super) ac: Arc<AcTable>,
}

/// Tables defined by the segments read so far.
struct Tables<'k> {
    steps: [Option<[u16; 64]>; 4],
    dc: [Option<Arc<DcTable>>; 4],
    ac: [Option<Arc<AcTable>>; 4],
    restart_interval: usize,
    /// Tables defined so far, those that were replaced included.
    defined: usize,
    known: &'k mut KnownTables,
}

impl<'a> Header<'a> {
    /// Reads up to the first scan. `None` for everything but a baseline grey or YCbCr picture in one scan.
    pub(super) fn parse(file: &'a [u8], known: &mut KnownTables) -> Option<Self> {
        let mut rest = file.strip_prefix(&[0xFF, 0xD8])?;
        let mut tables = Tables {
            steps: Default::default(),
            dc: Default::default(),
            ac: Default::default(),
            restart_interval: 0,
            defined: 0,
            known,
        };
        let mut frame = None;
        loop {
            let (marker, segment);
            (marker, segment, rest) = next_segment(rest)?;
            match marker {
                // Baseline, and extended sequential, which differs only in how many tables it may use.
                0xC0 | 0xC1 if frame.is_none() => frame = Some(parse_frame(segment)?),
                0xC4 => tables.define_huffman(segment)?,
                0xDB => tables.define_quantisation(segment)?,
                0xDD => tables.restart_interval = usize::from(u16_at(segment, 0)?),
                0xDA => {
                    let (width, height, components) = frame?;
                    return Some(Self {
                        width,
                        height,
                        components: tables.assign(components, segment)?,
                        restart_interval: tables.restart_interval,
                        scan: rest,
                    });
                }
                // Adobe's transform 0 means RGB.
                0xEE if segment.starts_with(b"Adobe") && segment.get(11) != Some(&1) => {
                    return None;
                }
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }
}

/// The marker's code, the segment's content, and what follows.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let bytes = bytes.strip_prefix(&[0xFF])?;
    let fill = bytes.iter().take_while(|&&byte| byte == 0xFF).count();
    let (&marker, bytes) = bytes.get(fill..)?.split_first()?;
    let (segment, rest) = bytes.split_at_checked(usize::from(u16_at(bytes, 0)?))?;
    Some((marker, segment.get(2..)?, rest))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// A component as the frame header describes it: id, blocks across, blocks down, quantisation table.
type Layout = (u8, usize, usize, usize);

type Layouts = [Option<Layout>; 3];

fn parse_frame(segment: &[u8]) -> Option<(usize, usize, Layouts)> {
    let (&[8, h0, h1, w0, w1, count], layouts) = segment.split_first_chunk()? else { return None };
    let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
    if width == 0 || height == 0 || layouts.len() != 3 * usize::from(count) {
        return None;
    }
    let mut layouts = layouts.as_chunks().0.iter().map(|&[id, sampling, quantisation]| {
        (id, usize::from(sampling >> 4), usize::from(sampling & 15), usize::from(quantisation))
    });
    let layouts = match [layouts.next(), layouts.next(), layouts.next(), layouts.next()] {
        // A scan of one component has one block an MCU, whatever the frame says.
        [Some((id, _, _, quantisation)), None, ..] => [Some((id, 1, 1, quantisation)), None, None],
        [
            y @ Some((id, 1 | 2, 1 | 2, _)),
            cb @ Some((_, 1, 1, _)),
            cr @ Some((_, 1, 1, _)),
            None,
        ] if id != b'R' => [y, cb, cr],
        _ => return None,
    };
    Some((usize::from(width), usize::from(height), layouts))
}

impl Tables<'_> {
    fn count(&mut self) -> Option<()> {
        self.defined += 1;
        (self.defined <= MAX_TABLES).then_some(())
    }

    fn define_quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&info, rest)) = segment.split_first() {
            self.count()?;
            let wide = info >> 4 != 0;
            let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
            let mut steps = [0; 64];
            for (i, step) in steps.iter_mut().enumerate() {
                *step = if wide { u16_at(values, 2 * i)? } else { u16::from(*values.get(i)?) };
            }
            *self.steps.get_mut(usize::from(info & 15))? = Some(steps);
            segment = rest;
        }
        Some(())
    }

    fn define_huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&info, rest)) = segment.split_first() {
            self.count()?;
            let symbols: usize = rest.get(..16)?.iter().map(|&count| usize::from(count)).sum();
            let (table, rest) = rest.split_at_checked(16 + symbols)?;
            let slot = usize::from(info & 15);
            match info >> 4 {
                0 => *self.dc.get_mut(slot)? = Some(self.known.dc(table)?),
                1 => *self.ac.get_mut(slot)? = Some(self.known.ac(table)?),
                _ => return None,
            }
            segment = rest;
        }
        Some(())
    }

    /// Gives every component of the frame the tables that the scan header names.
    ///
    /// A camera may leave out the Huffman tables that the standard gives as examples.
    fn assign(&mut self, layouts: Layouts, scan: &[u8]) -> Option<[Option<Component>; 3]> {
        let (&count, scan) = scan.split_first()?;
        let (selectors, spectral) = scan.split_at_checked(2 * usize::from(count))?;
        if usize::from(count) != layouts.iter().flatten().count() || spectral != [0, 63, 0] {
            return None;
        }
        let mut components = [const { None }; 3];
        for ((layout, selector), component) in
            layouts.into_iter().flatten().zip(selectors.as_chunks().0).zip(&mut components)
        {
            let ((id, across, down, quantisation), [selected, slots]) = (layout, *selector);
            (id == selected).then_some(())?;
            let (dc, ac) = (usize::from(slots >> 4), usize::from(slots & 15));
            *component = Some(Component {
                across,
                down,
                steps: (*self.steps.get(quantisation)?)?,
                dc: self.dc.get(dc)?.clone().or_else(|| self.known.usual_dc(dc))?,
                ac: self.ac.get(ac)?.clone().or_else(|| self.known.usual_ac(ac))?,
            });
        }
        Some(components)
    }
}

//! The segments of a JPEG file before its first scan: sizes, tables, component layout (ITU-T T.81, annex B).

use super::huffman::{AcTable, DcTable};

/// A baseline picture with one scan, ready to be decoded.
pub(super) struct Header<'a> {
    /// Columns of the full picture.
    pub(super) width: usize,
    /// Rows of the full picture.
    pub(super) height: usize,
    /// One component (grey) or three (Y, Cb, Cr).
    pub(super) components: Vec<Component>,
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
    pub(super) dc: DcTable,
    pub(super) ac: AcTable,
}

/// What the segments read so far have defined.
#[derive(Default)]
struct Tables {
    steps: [Option<[u16; 64]>; 4],
    dc: [Option<DcTable>; 4],
    ac: [Option<AcTable>; 4],
    restart_interval: usize,
}

impl<'a> Header<'a> {
    /// Reads up to the first scan. `None` for everything but a baseline grey or YCbCr picture in one scan.
    pub(super) fn parse(file: &'a [u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(&[0xFF, 0xD8])?;
        let mut tables = Tables::default();
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

fn parse_frame(segment: &[u8]) -> Option<(usize, usize, Vec<Layout>)> {
    let (&[8, h0, h1, w0, w1, count], layouts) = segment.split_first_chunk()? else { return None };
    let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
    if width == 0 || height == 0 || layouts.len() != 3 * usize::from(count) {
        return None;
    }
    let mut layouts: Vec<Layout> = layouts
        .chunks_exact(3)
        .map(|c| (c[0], usize::from(c[1] >> 4), usize::from(c[1] & 15), usize::from(c[2])))
        .collect();
    match &mut layouts[..] {
        // A scan of one component has one block an MCU, whatever the frame says.
        [grey] => (grey.1, grey.2) = (1, 1),
        [(id, 1 | 2, 1 | 2, _), (_, 1, 1, _), (_, 1, 1, _)] if *id != b'R' => {}
        _ => return None,
    }
    Some((usize::from(width), usize::from(height), layouts))
}

impl Tables {
    fn define_quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&info, rest)) = segment.split_first() {
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
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(symbols)?;
            let slot = usize::from(info & 15);
            match info >> 4 {
                0 => *self.dc.get_mut(slot)? = Some(DcTable::new(counts, symbols)?),
                1 => *self.ac.get_mut(slot)? = Some(AcTable::new(counts, symbols)?),
                _ => return None,
            }
            segment = rest;
        }
        Some(())
    }

    /// Gives every component of the frame the tables that the scan header names.
    fn assign(&self, layouts: Vec<Layout>, scan: &[u8]) -> Option<Vec<Component>> {
        let (&count, scan) = scan.split_first()?;
        let (selectors, spectral) = scan.split_at_checked(2 * usize::from(count))?;
        if usize::from(count) != layouts.len() || spectral != [0, 63, 0] {
            return None;
        }
        layouts
            .into_iter()
            .zip(selectors.chunks_exact(2))
            .map(|((id, across, down, quantisation), selector)| {
                (id == selector[0]).then_some(())?;
                Some(Component {
                    across,
                    down,
                    steps: (*self.steps.get(quantisation)?)?,
                    dc: self.dc.get(usize::from(selector[1] >> 4))?.clone()?,
                    ac: self.ac.get(usize::from(selector[1] & 15))?.clone()?,
                })
            })
            .collect()
    }
}

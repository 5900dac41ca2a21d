//! The work that decoding a JPEG file asks for, told before any of it is done.
//!
//! A scan of a few bytes may go over all blocks of a picture, and a file may hold thousands of them, as it may hold
//! thousands of tables: bytes and pixels alone bound no work.

use crate::Error;

/// Most components of a picture: those of CMYK.
const MAX_COMPONENTS: u64 = 4;
/// Most scans of a progressive file: such files have about ten, hand-made scripts a few dozen.
const MAX_SCANS: u64 = 100;
/// Most Huffman and quantisation tables for each scan, and for the file.
const MAX_TABLES_PER_SCAN: u64 = 8;

/// Makes sure that a file of `pixels` pixels has no more scans than files of its kind have, that their components are no
/// more than `max_scanned` samples in all allow, though each may be there once, and no more tables than they can use.
pub(crate) fn check(file: &[u8], pixels: u64, max_scanned: u64) -> Result<(), Error> {
    let Work { is_progressive, scans, components, tables } = Work::of(file);
    // A component of a sequential file stands in one scan.
    let max_scans = if is_progressive { MAX_SCANS } else { MAX_COMPONENTS };
    at_most("scans", max_scans, scans)?;
    let max_components = (max_scanned / pixels.max(1)).max(MAX_COMPONENTS);
    at_most("components of scans", max_components, components)?;
    at_most("tables", MAX_TABLES_PER_SCAN * (scans + 1), tables)
}

fn at_most(what: &'static str, limit: u64, found: u64) -> Result<(), Error> {
    if found > limit { Err(Error::TooMuchWork { what, found, limit }) } else { Ok(()) }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    is_progressive: bool,
    scans: u64,
    /// Components of all scans together.
    components: u64,
    tables: u64,
}

impl Work {
    /// Counts as far as the file can be followed: decoders follow it no further.
    fn of(file: &[u8]) -> Self {
        let mut work = Self::default();
        let mut rest = file.get(2..).unwrap_or_default();
        while let Some(start) = rest.iter().position(|&byte| byte == 0xFF) {
            rest = &rest[start + 1..];
            let Some(&marker) = rest.first() else { break };
            match marker {
                0xD9 => break,
                // Data of a scan, markers without a segment, and filling.
                0x00 | 0x01 | 0xD0..=0xD8 | 0xFF => continue,
                _ => {}
            }
            let length = match rest.get(1..3) {
                Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
                _ => break,
            };
            let (segment, behind) = rest.split_at_checked(1 + length).unwrap_or((rest, &[]));
            let content = segment.get(3..).unwrap_or_default();
            match marker {
                0xC2 | 0xC6 | 0xCA | 0xCE => work.is_progressive = true,
                0xDA => {
                    work.scans += 1;
                    work.components += content.first().copied().map_or(0, u64::from);
                }
                0xC4 => work.tables += huffman_tables(content),
                0xDB => work.tables += (content.len() as u64).div_ceil(65),
                _ => {}
            }
            rest = behind;
        }
        work
    }
}

/// Number of tables in a segment: each is 17 bytes and its symbols.
fn huffman_tables(mut content: &[u8]) -> u64 {
    let mut tables = 0;
    while let Some(counts) = content.get(1..17) {
        tables += 1;
        let symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
        content = content.get(17 + symbols..).unwrap_or_default();
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    #[test]
    fn scans_and_tables_of_sound_files_are_counted_and_allowed() {
        for (name, scans, components) in
            [("420.jpg", 1, 3), ("restarts.jpg", 1, 3), ("progressive.jpg", 10, 14)]
        {
            let file = golden(name);
            let work = Work::of(&file);
            assert_eq!((work.scans, work.components), (scans, components), "{name}");
            assert_eq!(work.is_progressive, name == "progressive.jpg");
            assert!(check(&file, 97 * 61, u64::MAX).is_ok(), "{name}");
        }
    }

    #[test]
    fn thousands_of_tables_are_refused() {
        // 342 bytes of empty tables.
        let file = [&[0xFF, 0xD8, 0xFF, 0xC4, 1, 86][..], &[0; 20 * 17]].concat();
        assert_eq!(Work::of(&file).tables, 20);
        assert!(matches!(
            check(&file, 1, u64::MAX),
            Err(Error::TooMuchWork { what: "tables", .. })
        ));
    }

    #[test]
    fn a_large_picture_may_have_fewer_scans_than_a_small_one() {
        let file = golden("progressive.jpg");
        assert!(check(&file, 1_000_000, 14_000_000).is_ok());
        assert!(matches!(
            check(&file, 1_000_000, 13_000_000),
            Err(Error::TooMuchWork { what: "components of scans", found: 14, limit: 13 })
        ));
    }

    #[test]
    fn a_sequential_file_has_no_more_scans_than_components() {
        let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0];
        let file = |scans| [&[0xFF, 0xD8][..], &scan.repeat(scans)].concat();
        assert!(check(&file(4), 1, u64::MAX).is_ok());
        assert!(matches!(
            check(&file(5), 1, u64::MAX),
            Err(Error::TooMuchWork { what: "scans", found: 5, limit: 4 })
        ));
    }
}

//! The work that decoding a JPEG file asks for, told before any of it is done.
//!
//! A scan of a few bytes may go over all blocks of a picture, and a file may hold thousands of them, as it may hold
//! thousands of tables: bytes and pixels alone bound no work.

use crate::Error;

/// Most scans: a progressive file has about ten, hand-made scripts a few dozen.
const MAX_SCANS: u64 = 100;
/// Most Huffman and quantisation tables for each scan, and for the file.
const MAX_TABLES_PER_SCAN: u64 = 8;

/// Makes sure that a file of `pixels` pixels has no more scans than `max_scanned` pixels in all of them allow, though
/// one is always allowed, and no more tables than they can use.
pub(crate) fn check(file: &[u8], pixels: u64, max_scanned: u64) -> Result<(), Error> {
    let Work { scans, tables } = Work::of(file);
    let limit = (max_scanned / pixels.max(1)).clamp(1, MAX_SCANS);
    // Three components of a baseline file may have a scan each.
    let limit = limit.max(3);
    if scans > limit {
        return Err(Error::TooMuchWork { what: "scans", found: scans, limit });
    }
    let limit = MAX_TABLES_PER_SCAN * (scans + 1);
    if tables > limit {
        return Err(Error::TooMuchWork { what: "tables", found: tables, limit });
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    scans: u64,
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
                0xDA => work.scans += 1,
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
        for (name, scans) in [("420.jpg", 1), ("restarts.jpg", 1), ("progressive.jpg", 10)] {
            let file = golden(name);
            assert_eq!(Work::of(&file).scans, scans, "{name}");
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
        assert!(check(&file, 1_000_000, 10_000_000).is_ok());
        assert!(matches!(
            check(&file, 1_000_000, 9_000_000),
            Err(Error::TooMuchWork { what: "scans", found: 10, limit: 9 })
        ));
    }
}

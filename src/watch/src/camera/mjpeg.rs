//! JPEG files one after the other, as pipes and network cameras send them.

use std::io::{self, Read};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// The largest frame; what is longer is no JPEG stream.
const LARGEST: usize = 64 << 20;

/// Cuts a stream into JPEG files. What stands between them, as the borders of multipart do, is passed over.
#[derive(Default)]
pub(super) struct MjpegReader {
    pending: Vec<u8>,
    /// How far `pending` is known, and what follows there.
    at: usize,
    is_in_scan: bool,
}

enum Step {
    NeedMore,
    /// The file ends here.
    End(usize),
    /// Not a JPEG file.
    Garbage,
}

impl MjpegReader {
    /// Puts the next file into `file`; `false` at the end of the stream. A file that another one interrupts comes cut off.
    pub(super) fn next(&mut self, stream: &mut impl Read, file: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            match self.step() {
                Step::End(end) => {
                    file.clear();
                    file.extend_from_slice(&self.pending[..end]);
                    self.discard(end);
                    return Ok(true);
                }
                Step::Garbage => self.discard(self.next_start()),
                Step::NeedMore => {
                    if self.pending.len() > LARGEST {
                        self.discard(self.pending.len());
                    }
                    let known = self.pending.len();
                    self.pending.resize(known + CHUNK, 0);
                    let read = loop {
                        match stream.read(&mut self.pending[known..]) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            read => break read,
                        }
                    };
                    self.pending.truncate(known + *read.as_ref().unwrap_or(&0));
                    if read? == 0 {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Bytes of an unfinished file.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    fn discard(&mut self, count: usize) {
        self.pending.drain(..count);
        (self.at, self.is_in_scan) = (0, false);
    }

    /// Where a JPEG file may begin, after the first byte.
    fn next_start(&self) -> usize {
        let rest = self.pending.get(1..).unwrap_or_default();
        let start = rest.windows(3).position(|bytes| bytes == [0xFF, 0xD8, 0xFF]);
        1 + start.unwrap_or(rest.len().saturating_sub(2))
    }

    /// Walks over the segments as far as they are there.
    fn step(&mut self) -> Step {
        if self.at == 0 {
            match self.pending.get(..3) {
                None => return Step::NeedMore,
                Some([0xFF, 0xD8, 0xFF]) => self.at = 2,
                Some(_) => return Step::Garbage,
            }
        }
        loop {
            let rest = &self.pending[self.at.min(self.pending.len())..];
            if self.is_in_scan {
                match rest.iter().position(|&byte| byte == 0xFF) {
                    None => self.at += rest.len(),
                    Some(at) => self.at += at,
                }
            }
            let rest = &self.pending[self.at.min(self.pending.len())..];
            let (Some(&prefix), Some(&marker)) = (rest.first(), rest.get(1)) else {
                return Step::NeedMore;
            };
            match (prefix, marker) {
                (0xFF, 0xD9) => return Step::End(self.at + 2),
                (0xFF, 0xD8) => return Step::End(self.at),
                (0xFF, 0xFF) => self.at += 1,
                (0xFF, 0x00) if !self.is_in_scan => return Step::Garbage,
                (0xFF, 0x00 | 0x01 | 0xD0..=0xD7) => self.at += 2,
                (0xFF, _) => {
                    let (Some(&high), Some(&low)) = (rest.get(2), rest.get(3)) else {
                        return Step::NeedMore;
                    };
                    self.at += 2 + usize::from(u16::from_be_bytes([high, low]));
                    self.is_in_scan = marker == 0xDA;
                }
                _ => return Step::Garbage,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out a few bytes at a time.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn files(stream: &[u8], drip: usize) -> Vec<Vec<u8>> {
        let (mut reader, mut stream) = (MjpegReader::default(), Dripping(stream, drip));
        let (mut files, mut file) = (Vec::new(), Vec::new());
        while reader.next(&mut stream, &mut file).unwrap() {
            files.push(file.clone());
        }
        files
    }

    fn jpeg(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    #[test]
    fn files_of_every_kind_come_out_as_they_went_in() {
        let expected = ["420.jpg", "progressive.jpg", "restarts.jpg", "grey.jpg"].map(jpeg);
        for drip in [1, 7, 100_000] {
            assert_eq!(files(&expected.concat(), drip), expected);
        }
    }

    #[test]
    fn what_stands_between_files_is_passed_over() {
        let (a, b) = (jpeg("420.jpg"), jpeg("444.jpg"));
        let stream =
            [b"--x\r\nContent-Type: image/jpeg\r\n\r\n", &a[..], b"\r\n--x\r\n\xFF\xD8\r\n", &b];
        assert_eq!(files(&stream.concat(), 11), [a, b]);
    }

    #[test]
    fn a_file_that_is_cut_off_by_the_next_one_does_not_swallow_it() {
        let (a, b) = (jpeg("420.jpg"), jpeg("444.jpg"));
        let cut = &a[..a.len() - 100];
        assert_eq!(files(&[cut, &b].concat(), 1000), [cut, &b[..]]);
    }

    #[test]
    fn a_file_is_found_without_waiting_for_the_next_one() {
        let file = jpeg("420.jpg");
        let (mut reader, mut found) = (MjpegReader::default(), Vec::new());
        assert!(reader.next(&mut &file[..], &mut found).unwrap());
        assert_eq!((found, reader.pending()), (file, 0));
    }

    proptest! {
        #[test]
        fn any_noise_ends(noise in prop::collection::vec(
            prop::sample::select(vec![0xFF_u8, 0xD8, 0xD9, 0xDA, 0xC4, 0, 4, 77]), 0..400)
        ) {
            let count: usize = files(&noise, 13).iter().map(Vec::len).sum();
            prop_assert!(count <= noise.len());
        }
    }
}

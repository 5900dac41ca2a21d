//! JPEG files one after the other, as pipes and network cameras send them.

use std::io::{self, Read};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Largest file: a longer one is no JPEG stream.
const MAX_FILE_BYTES: usize = 64 << 20;
/// Start of image, and the first byte of the marker behind it.
const START: [u8; 3] = [0xFF, 0xD8, 0xFF];

/// Starts that turn out to be none before what they reached over is given up: each costs a walk over the same bytes.
const MAX_FALSE_STARTS: u32 = 64;

/// Cuts a stream into JPEG files. Bytes between them, such as boundaries of multipart, are skipped.
///
/// Work and memory are bounded whatever comes: a byte is walked over [`MAX_FALSE_STARTS`] times at most.
#[derive(Default)]
pub(super) struct MjpegReader {
    buffer: Vec<u8>,
    /// Position in `buffer` behind what was given out or skipped.
    begin: usize,
    /// Bytes of what is pending whose structure is known; a segment may reach beyond what has come.
    at: usize,
    /// Whether entropy-coded data follows at `at`, rather than a marker.
    is_in_scan: bool,
    /// Starts since the last file that turned out to be none.
    false_starts: u32,
}

/// Outcome of [`MjpegReader::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A file. One that the start of another interrupts comes as far as it went.
    File,
    /// The stream ended in the middle of a file.
    CutOff,
    /// The stream ended behind the last file.
    End,
}

enum Step {
    NeedMore,
    /// The file ends before this position.
    End(usize),
    /// Not a JPEG file.
    Garbage,
}

impl MjpegReader {
    /// Puts the next file into `file`.
    pub(super) fn next(&mut self, stream: &mut impl Read, file: &mut Vec<u8>) -> io::Result<Next> {
        loop {
            match self.step() {
                Step::End(end) => {
                    file.clear();
                    file.extend_from_slice(&self.pending()[..end]);
                    self.discard(end);
                    self.false_starts = 0;
                    return Ok(Next::File);
                }
                Step::Garbage if self.at == 0 => self.discard(self.garbage()),
                Step::Garbage => self.discard_false_start(self.garbage()),
                Step::NeedMore => {
                    if self.pending().len() > MAX_FILE_BYTES {
                        self.discard(self.pending().len());
                    }
                    if self.read_chunk(stream)? > 0 {
                        continue;
                    }
                    match self.next_file() {
                        // The length of a segment reaches beyond the end of the stream: these bytes may only have
                        // looked like a start, and hide a file that is whole.
                        Some(start) if self.at > self.pending().len() => {
                            self.discard_false_start(start);
                        }
                        _ => return Ok(self.end()),
                    }
                }
            }
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.begin..]
    }

    /// Appends what one read gives to `buffer`; returns the number of bytes.
    fn read_chunk(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        // What is moved is no longer than what was skipped, so that every byte is moved once.
        if 2 * self.begin >= self.buffer.len() {
            self.buffer.drain(..self.begin);
            self.begin = 0;
        }
        let known = self.buffer.len();
        self.buffer.resize(known + CHUNK_BYTES, 0);
        let read = loop {
            match stream.read(&mut self.buffer[known..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let count = if let Ok(count) = read { count } else { 0 };
        self.buffer.truncate(known + count);
        read
    }

    /// The outcome at the end of the stream. Only what began as a file was cut off: boundaries, line ends and padding
    /// are none.
    fn end(&mut self) -> Next {
        let is_file = self.pending().starts_with(&START);
        self.discard(self.pending().len());
        if is_file { Next::CutOff } else { Next::End }
    }

    fn discard(&mut self, count: usize) {
        self.begin += count;
        (self.at, self.is_in_scan) = (0, false);
    }

    /// Skips what looked like a file, up to the next start in it, or all that it reached over if that happens too often.
    fn discard_false_start(&mut self, next: usize) {
        self.false_starts += 1;
        if self.false_starts < MAX_FALSE_STARTS {
            self.discard(next);
        } else {
            self.false_starts = 0;
            self.discard(self.at.min(self.pending().len()).max(next));
        }
    }

    /// Position of the next start, after the first byte.
    fn next_file(&self) -> Option<usize> {
        let start = self.pending().windows(START.len()).skip(1).position(|bytes| bytes == START);
        start.map(|start| start + 1)
    }

    /// Number of bytes that belong to no file. The last two may be the beginning of a start.
    fn garbage(&self) -> usize {
        let all = self.pending().len().saturating_sub(START.len() - 1);
        self.next_file().unwrap_or(all.max(1))
    }

    /// What has come behind the bytes whose structure is known.
    fn unknown(&self) -> &[u8] {
        let pending = self.pending();
        &pending[self.at.min(pending.len())..]
    }

    /// Walks over the segments as far as they are there.
    fn step(&mut self) -> Step {
        if self.at == 0 {
            match self.pending().get(..START.len()) {
                None => return Step::NeedMore,
                Some(bytes) if bytes == START => self.at = 2,
                Some(_) => return Step::Garbage,
            }
        }
        loop {
            if self.is_in_scan {
                let rest = self.unknown();
                self.at += rest.iter().position(|&byte| byte == 0xFF).unwrap_or(rest.len());
            }
            let rest = self.unknown();
            let (Some(&prefix), Some(&marker)) = (rest.first(), rest.get(1)) else {
                return Step::NeedMore;
            };
            match (prefix, marker) {
                (0xFF, 0xD9) => return Step::End(self.at + 2),
                // Two bytes are no file.
                (0xFF, 0xD8) if self.at == 2 => return Step::Garbage,
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
        while reader.next(&mut stream, &mut file).unwrap() == Next::File {
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
    fn a_start_twice_is_one_file() {
        let file = jpeg("420.jpg");
        assert_eq!(
            files(&[b"\xFF\xD8", &file[..], b"\xFF\xD8\xFF\xD8\xFF"].concat(), 1000),
            [file]
        );
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
        assert_eq!(reader.next(&mut &file[..], &mut found).unwrap(), Next::File);
        assert_eq!((found, reader.pending().len()), (file, 0));
    }

    /// Outcomes of reading the whole stream.
    fn outcomes(stream: &[u8]) -> Vec<Next> {
        let (mut reader, mut stream, mut file) = (MjpegReader::default(), stream, Vec::new());
        let mut outcomes = Vec::new();
        while outcomes.last() != Some(&Next::End) {
            outcomes.push(reader.next(&mut stream, &mut file).unwrap());
        }
        outcomes
    }

    #[test]
    fn bytes_behind_the_last_file_are_no_file_that_is_cut_off() {
        let file = jpeg("420.jpg");
        let tails: [&[u8]; 6] =
            [b"\n", b"\r\n--x--\r\n", &[0; 300], &[0xFF; 3], b"\xFF", b"\r\n\xFF\xD8"];
        for tail in tails {
            let stream = [&file[..], tail].concat();
            assert_eq!(outcomes(&stream), [Next::File, Next::End], "{tail:?}");
        }
    }

    #[test]
    fn a_file_that_the_end_cuts_off_is_told_once() {
        let file = jpeg("420.jpg");
        for length in [3, 20, 40, file.len() - 1] {
            let stream = [&file[..], &file[..length]].concat();
            assert_eq!(outcomes(&stream), [Next::File, Next::CutOff, Next::End], "{length}");
        }
    }

    #[test]
    fn bytes_that_look_like_a_start_hide_no_file() {
        let file = jpeg("420.jpg");
        // A segment of 65,535 bytes, which would cover the whole file.
        let stream = [b"\xFF\xD8\xFF\xE1\xFF\xFF", &file[..]].concat();
        assert_eq!(files(&stream, 1000), [file]);
    }

    #[test]
    fn millions_of_nested_starts_cost_no_more_than_their_length() {
        let file = jpeg("420.jpg");
        for (nested, tail) in [
            // Each covers the next 65,534 bytes.
            (&b"\xFF\xD8\xFF\xE1\xFF\xFE\0\0"[..], &b""[..]),
            (b"\xFF\xD8\xFF\xE1\xFF\xF8\0\0", b""),
            // Each leads to the same scan, which ends in garbage.
            (b"\xFF\xD8\xFF\xE1\xFF\xFC\xFF\xDA\0\x02", b"\xFF\xE1\0\x02\0"),
        ] {
            let mut stream = nested.repeat(400_000);
            stream.extend(tail);
            // A segment may reach over the first of them.
            stream.extend(file.repeat(40));
            assert!(files(&stream, 1 << 20).last() == Some(&file), "{nested:x?}");
        }
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

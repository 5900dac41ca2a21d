//! A camera's answer: its head, and its body without chunks.

use std::io::{self, BufRead, Read};

use crate::camera::Error;

/// Bytes of an answer's head.
const MAX_HEAD_BYTES: u64 = 16 << 10;
/// Bytes of the line in front of a chunk.
const MAX_CHUNK_LINE_BYTES: u64 = 1 << 10;

/// Status and headers of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads up to the empty line; `name` is for messages. Small cameras are not strict, so neither is this.
    pub(super) fn read(answer: &mut impl BufRead, name: &str) -> Result<Self, Error> {
        let malformed = |expected, line: &str| {
            let found = format!("{:?}", line.chars().take(100).collect::<String>());
            Error::Protocol { source_name: name.to_owned(), expected, found }
        };
        let mut answer = answer.take(MAX_HEAD_BYTES);
        let mut next_line = || {
            let mut line = Vec::new();
            answer.read_until(b'\n', &mut line).map_err(Error::io(name))?;
            Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
        };
        let first = next_line()?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        let Some(status) = status.and_then(|status| status.parse().ok()) else {
            return Err(malformed("an HTTP answer", &first));
        };
        let mut head = Self { status, headers: Vec::new() };
        loop {
            let line = next_line()?;
            match line.split_once(':') {
                Some((name, value)) => {
                    head.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
                }
                None if line.is_empty() => return Ok(head),
                None => return Err(malformed("an HTTP header", &line)),
            }
        }
    }

    /// The last value of a header, named in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Every value of a header, named in lower case.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether the body comes in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// A body without the framing of chunks: small cameras send them whatever version is asked for.
pub(super) struct Body<R> {
    answer: R,
    /// Bytes left of the present chunk, if there are chunks.
    chunk: Option<u64>,
    line: Vec<u8>,
}

impl<R: BufRead> Body<R> {
    pub(super) fn new(answer: R, is_chunked: bool) -> Self {
        Self { answer, chunk: is_chunked.then_some(0), line: Vec::new() }
    }

    /// The size of the next chunk, 0 at the end.
    fn next_chunk(&mut self) -> io::Result<u64> {
        loop {
            self.line.clear();
            let mut answer = (&mut self.answer).take(MAX_CHUNK_LINE_BYTES);
            if answer.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(0);
            }
            let line = self.line.trim_ascii();
            // An empty line ends the chunk before.
            if line.is_empty() {
                continue;
            }
            return chunk_size(line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "not the size of a chunk")
            });
        }
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(mut left) = self.chunk else { return self.answer.read(out) };
        if left == 0 {
            left = self.next_chunk()?;
        }
        let count = (&mut self.answer).take(left).read(out)?;
        self.chunk = Some(left - count as u64);
        Ok(count)
    }
}

/// The size in a line `1F4;extension`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?;
    u64::from_str_radix(str::from_utf8(digits).ok()?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case() {
        let text =
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\nwww-authenticate:Digest x\n\n";
        let head = Head::read(&mut &text[..], "cam").unwrap();
        assert_eq!(head.status, 401);
        assert_eq!(head.all("www-authenticate").collect::<Vec<_>>(), ["Basic", "Digest x"]);
        assert!(!head.is_chunked());
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (text, expected) in [
            ("", "an HTTP answer"),
            ("RTSP/1.0 200 OK\r\n\r\n", "an HTTP answer"),
            ("HTTP/1.1 what\r\n\r\n", "an HTTP answer"),
            ("HTTP/1.1 200 OK\r\nno header\r\n\r\n", "an HTTP header"),
        ] {
            match Head::read(&mut text.as_bytes(), "cam") {
                Err(Error::Protocol { expected: found, .. }) => assert_eq!(found, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), is_good in any::<bool>()) {
            let mut answer = if is_good { b"HTTP/1.0 200 OK\r\n".to_vec() } else { Vec::new() };
            answer.extend(bytes);
            let _ = Head::read(&mut &answer[..], "cam");
        }

        #[test]
        fn any_chunks_end(bytes in "[0-9a-f;\r\n ]{0,80}") {
            let mut out = Vec::new();
            let _ = Body::new(bytes.as_bytes(), true).read_to_end(&mut out);
            prop_assert!(out.len() <= bytes.len());
        }
    }
}

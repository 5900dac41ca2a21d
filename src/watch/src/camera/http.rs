//! MJPEG over HTTP, as network cameras send it: `multipart/x-mixed-replace`.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;

use super::{
    Error, Frame, StreamFormat,
    pipe::Frames,
    source::{FrameSource, Interrupt, Read},
};

/// How long connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer in front of the pictures.
const LONGEST_HEADER: u64 = 16 << 10;
/// The longest line in front of a chunk.
const LONGEST_CHUNK_LINE: u64 = 1 << 10;

/// A connection that pictures come in on.
pub(super) struct MjpegStream {
    frames: Frames<Body>,
    connection: TcpStream,
}

/// `http://[USER:PASSWORD@]HOST[:PORT][/PATH]`, taken apart.
struct Address<'a> {
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn parse(address: &'a str) -> Option<Self> {
        let rest = address.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let is_sound = !host.is_empty() && !address.contains(|c: char| c.is_control() || c == ' ');
        is_sound.then_some(Self { user, host, path: if path.is_empty() { "/" } else { path } })
    }

    /// What the camera wants to know of its user: a line of the request.
    fn authorization(&self) -> String {
        let Some(user) = self.user else { return String::new() };
        let secret: Vec<u8> = percent_decode_str(user).collect();
        format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(secret))
    }
}

/// The address as it may be shown: without user and password.
pub(super) fn shown(address: &str) -> String {
    match Address::parse(address) {
        Some(Address { user: Some(user), .. }) => address.replacen(&format!("{user}@"), "", 1),
        _ => address.to_owned(),
    }
}

impl MjpegStream {
    /// Connects to `http://[USER:PASSWORD@]HOST[:PORT][/PATH]`.
    pub(super) fn connect(address: &str) -> Result<Self, Error> {
        let name = shown(address);
        let parts = Address::parse(address).ok_or_else(|| Error::Spec {
            spec: name.clone(),
            expected: "expected http://HOST:PORT/PATH".to_owned(),
        })?;
        let connection = connect(parts.host).map_err(Error::io(&name))?;
        connection.set_read_timeout(Some(PATIENCE)).map_err(Error::io(&name))?;
        // Version 1.0 keeps the answer of most servers free of chunks.
        write!(
            &connection,
            "GET {} HTTP/1.0\r\nHost: {}\r\n{}Accept: multipart/x-mixed-replace\r\n\r\n",
            parts.path,
            parts.host,
            parts.authorization()
        )
        .map_err(Error::io(&name))?;
        let mut answer = BufReader::new(connection.try_clone().map_err(Error::io(&name))?);
        let is_chunked = read_header(&mut answer, &name)?;
        let body = Body { answer, chunk: is_chunked.then_some(0), line: Vec::new() };
        Ok(Self { frames: Frames::new(body, name, StreamFormat::Mjpeg), connection })
    }
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut last = io::ErrorKind::NotFound.into();
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads up to the empty line, and makes sure that pictures follow; tells whether they come in chunks.
fn read_header(answer: &mut impl BufRead, name: &str) -> Result<bool, Error> {
    let mut header = answer.take(LONGEST_HEADER);
    let mut next_line = || {
        let mut line = Vec::new();
        header.read_until(b'\n', &mut line).map_err(Error::io(name))?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    };
    let wrong = |expected, found: String| {
        Err(Error::Protocol { source_name: name.to_owned(), expected, found })
    };
    let status = next_line()?;
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return wrong("HTTP status 200", format!("{status:?}"));
    }
    let (mut kind, mut is_chunked) = (String::new(), false);
    loop {
        let line = next_line()?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                kind = value.trim().to_ascii_lowercase();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding") => {
                is_chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
            Some(_) => {}
            None if line.is_empty() => break,
            None => return wrong("an HTTP header", format!("{line:?}")),
        }
    }
    if kind.starts_with("multipart/") {
        Ok(is_chunked)
    } else {
        wrong("multipart/x-mixed-replace", kind)
    }
}

/// What follows the header, freed of the borders of chunks: small cameras send them whatever version is asked for.
struct Body {
    answer: BufReader<TcpStream>,
    /// Bytes left of the present chunk, if there are chunks.
    chunk: Option<u64>,
    line: Vec<u8>,
}

impl io::Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(mut left) = self.chunk else { return self.answer.read(out) };
        if left == 0 {
            left = self.next_chunk()?;
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let count = self.answer.read(&mut out[..most])?;
        self.chunk = Some(left - count as u64);
        Ok(count)
    }
}

impl Body {
    /// The size of the next chunk, 0 at the end.
    fn next_chunk(&mut self) -> io::Result<u64> {
        loop {
            self.line.clear();
            let mut answer = (&mut self.answer).take(LONGEST_CHUNK_LINE);
            if answer.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(0);
            }
            let line = self.line.trim_ascii();
            // An empty line ends the chunk before.
            if line.is_empty() {
                continue;
            }
            let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let size =
                str::from_utf8(digits).ok().map(|digits| u64::from_str_radix(digits.trim(), 16));
            return match size {
                Some(Ok(size)) => Ok(size),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not the size of a chunk")),
            };
        }
    }
}

impl FrameSource for MjpegStream {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        match self.frames.read(frame)? {
            // A camera does not come to an end: its server was restarted, perhaps.
            Read::End => Err(Error::Protocol {
                source_name: self.frames.name().to_owned(),
                expected: "the next picture",
                found: "the end of the connection".to_owned(),
            }),
            read => Ok(read),
        }
    }

    fn interrupt(&self) -> Interrupt {
        match self.connection.try_clone() {
            Ok(connection) => Box::new(move || drop(connection.shutdown(Shutdown::Both))),
            Err(_) => Box::new(|| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let address = "http://viewer:p%40ss@10.0.0.3:81/stream?fps=5";
        let parts = Address::parse(address).unwrap();
        assert_eq!((parts.host, parts.path), ("10.0.0.3:81", "/stream?fps=5"));
        assert_eq!(parts.authorization(), "Authorization: Basic dmlld2VyOnBAc3M=\r\n");
        assert_eq!(shown(address), "http://10.0.0.3:81/stream?fps=5");
        assert_eq!(shown("http://10.0.0.3/a@b"), "http://10.0.0.3/a@b");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for address in ["http://", "http:///path", "http://a b/", "http://user@/", "ftp://a"] {
            assert!(Address::parse(address).is_none(), "{address}");
        }
    }
}

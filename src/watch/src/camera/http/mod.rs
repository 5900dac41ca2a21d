//! MJPEG over HTTP, as network cameras send it: `multipart/x-mixed-replace`.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read as _, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;

use super::{
    Error, Frame, FrameSource, Interrupt, Read, SourceSettings, StreamFormat, frames::Frames,
    source_kind::SourceKind,
};

/// Time for connecting, and for each read.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of the answer's head.
const MAX_HEAD_BYTES: u64 = 16 << 10;
/// Bytes of the line in front of a chunk.
const MAX_CHUNK_LINE_BYTES: u64 = 1 << 10;

/// A network camera: `http://[USER:PASSWORD@]HOST[:PORT][/PATH]`.
///
/// User and password are neither in the [`Display`](fmt::Display) nor in the [`Debug`] text.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSpec {
    address: String,
}

impl SourceKind for HttpSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        text.starts_with("http://").then(|| Ok(Self { address: text.to_owned() }))
    }

    fn open(&self, _settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(Box::new(MjpegStream::connect(&self.address)?))
    }
}

impl fmt::Display for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.address))
    }
}

impl fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpSpec").field(&shown(&self.address)).finish()
    }
}

/// A connection that pictures come in on.
struct MjpegStream {
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

    /// The request's header line with user and password (Basic authentication); empty without them.
    fn authorization(&self) -> String {
        let Some(user) = self.user else { return String::new() };
        let secret: Vec<u8> = percent_decode_str(user).collect();
        format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(secret))
    }
}

/// The address as it may be shown: without user and password.
fn shown(address: &str) -> String {
    match Address::parse(address) {
        Some(Address { user: Some(user), .. }) => address.replacen(&format!("{user}@"), "", 1),
        _ => address.to_owned(),
    }
}

impl MjpegStream {
    /// Connects to `http://[USER:PASSWORD@]HOST[:PORT][/PATH]`.
    fn connect(address: &str) -> Result<Self, Error> {
        let name = shown(address);
        let parts = Address::parse(address).ok_or_else(|| Error::Spec {
            spec: name.clone(),
            expected: "expected http://HOST:PORT/PATH".to_owned(),
        })?;
        let connection = connect(parts.host).map_err(Error::io(&name))?;
        connection.set_read_timeout(Some(TIMEOUT)).map_err(Error::io(&name))?;
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
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads up to the empty line, and makes sure that pictures follow; tells whether they come in chunks.
fn read_header(answer: &mut impl BufRead, name: &str) -> Result<bool, Error> {
    let mut header = answer.take(MAX_HEAD_BYTES);
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

/// The body without the framing of chunks: small cameras send them whatever version is asked for.
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
        let count = (&mut self.answer).take(left).read(out)?;
        self.chunk = Some(left - count as u64);
        Ok(count)
    }
}

impl Body {
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

/// The size in a line `1F4;extension`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?;
    u64::from_str_radix(str::from_utf8(digits).ok()?.trim(), 16).ok()
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
            // The wait then ends with its timeout.
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
        let spec = HttpSpec::parse(address).unwrap().unwrap();
        assert!(!format!("{spec} {spec:?}").contains("p%40ss"));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for address in ["http://", "http:///path", "http://a b/", "http://user@/", "ftp://a"] {
            assert!(Address::parse(address).is_none(), "{address}");
        }
    }
}

//! MJPEG over HTTP, as network cameras send it: `multipart/x-mixed-replace`.

use std::{
    io::{BufRead, BufReader, Read as _, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::{
    Error, Frame, StreamFormat,
    pipe::Frames,
    source::{FrameSource, Interrupt, Read},
};

/// How long connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer in front of the pictures.
const LONGEST_HEADER: u64 = 16 << 10;

/// A connection that pictures come in on.
pub(super) struct MjpegStream {
    frames: Frames<BufReader<TcpStream>>,
    connection: TcpStream,
}

impl MjpegStream {
    /// Connects to `http://HOST[:PORT][/PATH]`.
    pub(super) fn connect(address: &str) -> Result<Self, Error> {
        let refuse = || Error::Spec {
            spec: address.to_owned(),
            expected: "expected http://HOST:PORT/PATH".to_owned(),
        };
        let rest = address.strip_prefix("http://").ok_or_else(refuse)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || address.contains(|c: char| c.is_control() || c == ' ') {
            return Err(refuse());
        }
        let connection = connect(host).map_err(Error::io(address))?;
        connection.set_read_timeout(Some(PATIENCE)).map_err(Error::io(address))?;
        // Version 1.0 keeps the answer free of chunks.
        let path = if path.is_empty() { "/" } else { path };
        write!(
            &connection,
            "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: multipart/x-mixed-replace\r\n\r\n"
        )
        .map_err(Error::io(address))?;
        let mut answer = BufReader::new(connection.try_clone().map_err(Error::io(address))?);
        read_header(&mut answer, address)?;
        let frames = Frames::new(answer, address.to_owned(), StreamFormat::Mjpeg);
        Ok(Self { frames, connection })
    }
}

fn connect(host: &str) -> std::io::Result<TcpStream> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut last = std::io::ErrorKind::NotFound.into();
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads up to the empty line, and makes sure that pictures follow.
fn read_header(answer: &mut impl BufRead, address: &str) -> Result<(), Error> {
    let mut header = answer.take(LONGEST_HEADER);
    let mut next_line = || {
        let mut line = Vec::new();
        header.read_until(b'\n', &mut line).map_err(Error::io(address))?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    };
    let wrong = |expected, found: String| {
        Err(Error::Protocol { source_name: address.to_owned(), expected, found })
    };
    let status = next_line()?;
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return wrong("HTTP status 200", format!("{status:?}"));
    }
    let mut kind = String::new();
    loop {
        let line = next_line()?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                kind = value.trim().to_ascii_lowercase();
            }
            Some(_) => {}
            None if line.is_empty() => break,
            None => return wrong("an HTTP header", format!("{line:?}")),
        }
    }
    if kind.starts_with("multipart/") { Ok(()) } else { wrong("multipart/x-mixed-replace", kind) }
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

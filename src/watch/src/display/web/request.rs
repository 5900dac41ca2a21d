//! One HTTP/1 request, read within bounds.

use std::io::{self, Read};

use percent_encoding::percent_decode_str;

use super::response::Refusal;

/// Bytes of the request line and the headers.
const MOST_HEAD: usize = 8 << 10;
const MOST_HEADERS: usize = 48;
/// Bytes of a body.
const MOST_BODY: usize = 64 << 10;

/// Headers that decide something here: two of one kind are a trick.
const DECISIVE: [&str; 6] =
    ["authorization", "content-length", "content-type", "host", "origin", "transfer-encoding"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Without the query.
    pub(super) path: String,
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the peer wants to ask again on the same connection.
    pub(super) keep_alive: bool,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query, decoded.
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let value =
            self.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
        Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    }
}

/// What came of reading a request.
#[derive(Debug)]
pub(super) enum Reading {
    Request(Request),
    Refused(Refusal),
    /// The peer went away or kept silent.
    Over,
}

/// Reads the next request; `buffer` holds what came after the one before it.
pub(super) fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Reading {
    let (mut request, head) = loop {
        match parse(buffer) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) if buffer.len() >= MOST_HEAD => {
                return Reading::Refused(Refusal::new(431, "the headers are too long"));
            }
            Ok(None) => {}
            Err(refusal) => return Reading::Refused(refusal),
        }
        let room = MOST_HEAD - buffer.len();
        match more(stream, buffer, room) {
            Ok(0) => return Reading::Over,
            Ok(_) => {}
            Err(_) if buffer.is_empty() => return Reading::Over,
            Err(error) => return too_slow(&error),
        }
    };
    let length = match body_length(&request) {
        Ok(length) => length,
        Err(refusal) => return Reading::Refused(refusal),
    };
    while buffer.len() < head + length {
        let room = head + length - buffer.len();
        match more(stream, buffer, room) {
            Ok(0) => return Reading::Over,
            Ok(_) => {}
            Err(error) => return too_slow(&error),
        }
    }
    request.body = buffer[head..head + length].to_vec();
    buffer.drain(..head + length);
    Reading::Request(request)
}

fn more(stream: &mut impl Read, buffer: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let mut bytes = [0; 4096];
    let room = room.min(bytes.len());
    let count = stream.read(&mut bytes[..room])?;
    buffer.extend_from_slice(&bytes[..count]);
    Ok(count)
}

fn too_slow(error: &io::Error) -> Reading {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Reading::Refused(Refusal::new(408, "the request took too long"))
        }
        _ => Reading::Over,
    }
}

/// The request without its body, and where its head ends; `None` while there is more to come.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "there are too many headers"));
        }
        Err(_) => return Err(Refusal::new(400, "this is not HTTP")),
    };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => return Err(Refusal::new(405, "only GET, HEAD and POST are answered")),
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
    if let Some(name) =
        DECISIVE.iter().find(|d| headers.iter().filter(|(n, _)| n == *d).count() > 1)
    {
        return Err(Refusal::new(400, format!("there are two {name} headers")));
    }
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: false,
    };
    let close = request.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
    request.keep_alive = parsed.version == Some(1) && !close;
    Ok(Some((request, head)))
}

fn header(header: &httparse::Header<'_>) -> Result<(String, String), Refusal> {
    match std::str::from_utf8(header.value) {
        Ok(value) => Ok((header.name.to_ascii_lowercase(), value.trim().to_owned())),
        Err(_) => Err(Refusal::new(400, format!("the header {} is not text", header.name))),
    }
}

fn body_length(request: &Request) -> Result<usize, Refusal> {
    if request.header("transfer-encoding").is_some() {
        return Err(Refusal::new(501, "a body must come in one piece, with its content-length"));
    }
    match request.header("content-length") {
        None if request.method == Method::Post => {
            Err(Refusal::new(411, "a POST needs a content-length"))
        }
        None => Ok(0),
        Some(text) => match text.parse() {
            Ok(length) if length <= MOST_BODY && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(length)
            }
            Ok(_) => Err(Refusal::new(413, format!("a body may have {MOST_BODY} bytes at most"))),
            Err(_) => Err(Refusal::new(400, "the content-length is not a number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> u16 {
        match read(&mut text.as_bytes(), &mut Vec::new()) {
            Reading::Refused(refusal) => refusal.status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_requests_on_one_connection_are_both_read() {
        let bytes = b"POST /labels?token=a%20b&c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let (mut stream, mut buffer) = (&bytes[..], Vec::new());
        let Reading::Request(first) = read(&mut stream, &mut buffer) else { panic!() };
        assert_eq!((first.method, first.path.as_str()), (Method::Post, "/labels"));
        assert_eq!(first.query("token").as_deref(), Some("a b"));
        assert_eq!((first.query("toke"), first.query("c")), (None, None));
        assert_eq!((first.header("host"), &first.body[..]), (Some("x"), &b"abc"[..]));
        let Reading::Request(second) = read(&mut stream, &mut buffer) else { panic!() };
        assert!(second.method == Method::Get && second.keep_alive);
        assert!(matches!(read(&mut stream, &mut buffer), Reading::Over));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_status() {
        assert_eq!(refusal("BREW / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(refusal("\x16\x03\x01 hello\r\n\r\n"), 400);
        assert_eq!(refusal("POST / HTTP/1.1\r\n\r\n"), 411);
        assert_eq!(refusal("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"), 413);
        assert_eq!(refusal("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
        assert_eq!(refusal("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400);
        assert_eq!(refusal(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000))), 431);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(49))), 431);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_request_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut buffer = Vec::new();
            let _ = read(&mut &bytes[..], &mut buffer);
            prop_assert!(buffer.len() <= bytes.len());
        }
    }
}

//! HTTP/1 requests, read within bounds.

use std::io::{self, Read};

use percent_encoding::percent_decode_str;

use super::HttpError;

/// Bytes of the request line and the headers.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// Header lines.
const MAX_HEADERS: usize = 48;
/// Bytes of a body.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 4096;

/// Headers that must not repeat (request smuggling).
const UNIQUE_HEADERS: [&str; 6] =
    ["authorization", "content-length", "content-type", "host", "origin", "transfer-encoding"];

/// A request's method; others are refused with 405.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
}

/// A parsed request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The target's path, without the query.
    pub(crate) path: String,
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the client keeps the connection open for another request.
    pub(crate) keep_alive: bool,
}

impl Request {
    /// The value of the header `name` (in lower case), without blanks around it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `key` in the query, percent-decoded; `+` is a blank.
    pub(crate) fn query(&self, key: &str) -> Option<String> {
        let value =
            self.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
        Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    }
}

/// Outcome of [`read`].
#[derive(Debug)]
pub(crate) enum Reading {
    Request(Request),
    Refused(HttpError),
    /// The client closed the connection or sent nothing in time: nobody waits for an answer.
    Closed,
}

/// Reads the next request. `buffer` keeps the bytes that came behind it for the next call.
pub(crate) fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Reading {
    let (mut request, head) = loop {
        match parse(buffer) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) if buffer.len() >= MAX_HEAD_BYTES => {
                return Reading::Refused(HttpError::new(431, "the headers are too long"));
            }
            Ok(None) => {}
            Err(error) => return Reading::Refused(error),
        }
        let max = MAX_HEAD_BYTES - buffer.len();
        match read_chunk(stream, buffer, max) {
            Ok(0) => return Reading::Closed,
            Ok(_) => {}
            Err(_) if buffer.is_empty() => return Reading::Closed,
            Err(error) => return interrupted(&error),
        }
    };
    let length = match body_length(&request) {
        Ok(length) => length,
        Err(error) => return Reading::Refused(error),
    };
    while buffer.len() < head + length {
        let max = head + length - buffer.len();
        match read_chunk(stream, buffer, max) {
            Ok(0) => return Reading::Closed,
            Ok(_) => {}
            Err(error) => return interrupted(&error),
        }
    }
    request.body = buffer[head..head + length].to_vec();
    buffer.drain(..head + length);
    Reading::Request(request)
}

/// Appends what one read gives, at most `max` bytes, to `buffer`.
fn read_chunk(stream: &mut impl Read, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let mut bytes = [0; CHUNK_BYTES];
    let max = max.min(CHUNK_BYTES);
    let count = stream.read(&mut bytes[..max])?;
    buffer.extend_from_slice(&bytes[..count]);
    Ok(count)
}

/// The answer to a request that broke off: 408 if the client was too slow, none if it is gone.
fn interrupted(error: &io::Error) -> Reading {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Reading::Refused(HttpError::new(408, "the request took too long"))
        }
        _ => Reading::Closed,
    }
}

/// The request without its body and the length of its head; `None` while the head is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(HttpError::new(431, "there are too many headers"));
        }
        Err(_) => return Err(HttpError::new(400, "this is not HTTP")),
    };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => return Err(HttpError::new(405, "only GET, HEAD and POST are answered")),
    };
    let Some(target) = parsed.path else { return Err(HttpError::new(400, "this is not HTTP")) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
    let repeats = |name: &&&str| headers.iter().filter(|(n, _)| n == **name).count() > 1;
    if let Some(name) = UNIQUE_HEADERS.iter().find(repeats) {
        return Err(HttpError::new(400, format!("there are two {name} headers")));
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

/// Name in lower case, and value.
fn header(header: &httparse::Header<'_>) -> Result<(String, String), HttpError> {
    match std::str::from_utf8(header.value) {
        Ok(value) => Ok((header.name.to_ascii_lowercase(), value.trim().to_owned())),
        Err(_) => Err(HttpError::new(400, format!("the header {} is not text", header.name))),
    }
}

/// Bytes of the body that follows.
fn body_length(request: &Request) -> Result<usize, HttpError> {
    if request.header("transfer-encoding").is_some() {
        return Err(HttpError::new(501, "a body must come in one piece, with its content-length"));
    }
    match request.header("content-length") {
        None if request.method == Method::Post => {
            Err(HttpError::new(411, "a POST needs a content-length"))
        }
        None => Ok(0),
        Some(text) => match text.parse() {
            Ok(length) if length <= MAX_BODY_BYTES && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(length)
            }
            Ok(_) => {
                Err(HttpError::new(413, format!("a body may have {MAX_BODY_BYTES} bytes at most")))
            }
            Err(_) => Err(HttpError::new(400, "the content-length is not a number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status_of(text: &str) -> u16 {
        match read(&mut text.as_bytes(), &mut Vec::new()) {
            Reading::Refused(error) => error.status,
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
        assert!(matches!(read(&mut stream, &mut buffer), Reading::Closed));
    }

    #[test]
    fn requests_out_of_bounds_are_refused_with_their_status() {
        assert_eq!(status_of("BREW / HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(status_of("\x16\x03\x01 hello\r\n\r\n"), 400);
        assert_eq!(status_of("POST / HTTP/1.1\r\n\r\n"), 411);
        assert_eq!(status_of("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"), 413);
        assert_eq!(status_of("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
        assert_eq!(status_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
        assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400);
        assert_eq!(status_of(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000))), 431);
        assert_eq!(status_of(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(49))), 431);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_request_an_error_or_a_closed_connection(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut buffer = Vec::new();
            read(&mut &bytes[..], &mut buffer);
            prop_assert!(buffer.len() <= bytes.len());
        }
    }
}

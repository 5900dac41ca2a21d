//! HTTP/1 answers.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

use super::TimedStream;

/// Headers of every answer: nothing is cached, embedded in other pages, or referred to from elsewhere.
const SECURITY_HEADERS: &str = "Cache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n";

/// A request that is refused: a status, and a sentence for the client.
#[derive(Debug)]
pub(crate) struct HttpError {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl HttpError {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// A body of known length with its status and media type.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    content_type: &'static str,
    body: Cow<'static, [u8]>,
}

/// Writes a body, within the deadlines that it sets itself.
pub(crate) type WriteBody = Box<dyn FnOnce(&mut TimedStream) -> io::Result<()>>;

/// A [`Handler`](super::Handler)'s answer.
pub(crate) enum Reply {
    /// A body of known length; the connection may serve further requests.
    Response(Response),
    /// A body without a length, written by `write` until it returns; then the connection is closed.
    Stream { content_type: &'static str, write: WriteBody },
}

impl Response {
    /// Status 200.
    pub(crate) fn new(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status: 200, content_type, body: body.into() }
    }

    /// Status 200 and plain text.
    pub(crate) fn text(text: String) -> Self {
        Self::new("text/plain; charset=utf-8", text.into_bytes())
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Writes the answer; its body only if `with_body`. `headers` are further header lines, each ending in CR LF.
    pub(super) fn write(
        &self,
        stream: &mut impl Write,
        headers: &str,
        with_body: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut bytes = head(self.status, self.content_type, headers, keep_alive).into_bytes();
        write!(bytes, "Content-Length: {}\r\n\r\n", self.body.len())?;
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        stream.write_all(&bytes)
    }
}

impl From<HttpError> for Response {
    fn from(error: HttpError) -> Self {
        Self::text(format!("{}\n", error.reason)).with_status(error.status)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// The status line and headers, up to the body's length and the empty line.
pub(super) fn head(status: u16, content_type: &str, headers: &str, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status));
    // Writing to a String cannot fail.
    let _ = write!(head, "Content-Type: {content_type}\r\nConnection: {connection}\r\n");
    head.push_str(headers);
    head.push_str(SECURITY_HEADERS);
    head.push_str(match status {
        401 => "WWW-Authenticate: Bearer\r\n",
        405 => "Allow: GET, HEAD, POST\r\n",
        503 => "Retry-After: 2\r\n",
        _ => "",
    });
    head
}

/// A status in words; empty if it is none that is answered here.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "",
    }
}

//! One HTTP/1 answer.

use std::io::{self, Write};

use super::page;

/// What every answer says: nothing is kept, nothing comes from or goes to elsewhere.
const ALWAYS: &str = "Cache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n";

/// A request that is not granted, and a sentence that says why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: std::borrow::Cow<'static, [u8]>,
}

impl Response {
    pub(super) fn new(
        content_type: &'static str,
        body: impl Into<std::borrow::Cow<'static, [u8]>>,
    ) -> Self {
        Self { status: 200, content_type, body: body.into() }
    }

    pub(super) fn text(text: String) -> Self {
        Self::new("text/plain; charset=utf-8", text.into_bytes())
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Writes the answer; its body only if `with_body`.
    pub(super) fn write(
        &self,
        stream: &mut impl Write,
        with_body: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut bytes = head(self.status, self.content_type, keep_alive);
        bytes.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = bytes.into_bytes();
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        stream.write_all(&bytes)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Self::text(format!("{}\n", refusal.reason)).with_status(refusal.status)
    }
}

/// The status line and the headers, but for the body's length and the empty line after them.
pub(super) fn head(status: u16, content_type: &str, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let more = match status {
        401 => "WWW-Authenticate: Bearer\r\n",
        405 => "Allow: GET, HEAD, POST\r\n",
        503 => "Retry-After: 2\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nConnection: {connection}\r\n\
         Content-Security-Policy: {}\r\n{ALWAYS}{more}",
        reason_phrase(status),
        page::content_security_policy(),
    )
}

fn reason_phrase(status: u16) -> &'static str {
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

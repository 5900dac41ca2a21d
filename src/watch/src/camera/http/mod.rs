//! MJPEG over HTTP, as network cameras send it: `multipart/x-mixed-replace`.
//!
//! ```text
//! Address ── request ──▶ Head ─┬─ 200 ──▶ Body ──▶ Frames
//!    ▲                         ├─ 3xx ──▶ redirect on the same host
//!    └─────────────────────────┴─ 401 ──▶ Challenge: Digest, else Basic
//! ```

mod address;
mod answer;
mod login;
mod received;

use std::{
    fmt,
    io::{self, BufReader, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

pub(crate) use self::received::read_answer;
use self::{
    address::{Address, Redirect, without_scheme},
    answer::{Body, Head},
    login::Challenge,
};
use super::{
    Error, Frame, FrameSource, Interrupt, Read, SourceSettings, StreamFormat, frames::Frames,
    source_kind::SourceKind,
};
use crate::{http::TimedStream, redact};

/// Time for connecting, for a whole head, and for each read of the body.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Redirects that are followed one after the other.
const MAX_REDIRECTS: usize = 4;
/// Bytes of the buffer in front of the body.
const BUFFER_BYTES: usize = 64 << 10;

/// A network camera: `http://[USER:PASSWORD@]HOST[:PORT][/PATH]`.
///
/// User and password are neither in the [`Display`](fmt::Display) nor in the [`Debug`] text.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// As it was written.
    text: Box<str>,
    address: Box<Address>,
}

impl SourceKind for HttpSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        without_scheme(text)?;
        Some(match Address::parse(text) {
            Some(address) => Ok(Self { text: text.into(), address: Box::new(address) }),
            None => Err(Error::Spec {
                spec: redact(text).into(),
                expected: "expected http://[USER:PASSWORD@]HOST[:PORT]/PATH, other characters than letters and \
                           digits in user and password written as %40 for @"
                    .to_owned(),
            }),
        })
    }

    fn open(&self, _settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(Box::new(MjpegStream::connect(&self.address)?))
    }
}

impl fmt::Display for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.text))
    }
}

impl fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpSpec").field(&redact(&self.text)).finish()
    }
}

/// A connection that pictures come in on.
struct MjpegStream {
    frames: Frames<Body<BufReader<Answer>>>,
    connection: TcpStream,
}

/// The bytes of an answer: the whole head has one deadline, each read of the body its own.
struct Answer {
    stream: TimedStream,
    is_body: bool,
}

impl io::Read for Answer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_body {
            self.stream.allow(TIMEOUT);
        }
        self.stream.read(out)
    }
}

/// A connection on which a request was answered.
struct Answered {
    head: Head,
    answer: BufReader<Answer>,
    connection: TcpStream,
}

impl MjpegStream {
    /// Connects, follows redirects on the same host, and logs in if the camera asks for it.
    fn connect(address: &Address) -> Result<Self, Error> {
        let mut address = address.clone();
        let mut authorization = None;
        let (mut redirects, mut attempts) = (0, 0);
        loop {
            let name = shown(&address);
            let answered = request(&address, authorization.as_deref(), &name)?;
            let head = &answered.head;
            match (head.status, &address.user) {
                (200, _) => return Self::new(answered, name),
                (301 | 302 | 303 | 307 | 308, _) if redirects < MAX_REDIRECTS => {
                    redirects += 1;
                    let location = head.header("location").unwrap_or_default();
                    match address.redirect(location) {
                        Redirect::SameHost(to) => {
                            log::warn!("{name}: redirected to {}", shown(&to));
                            (address, authorization, attempts) = (to, None, 0);
                        }
                        Redirect::Elsewhere(to) => {
                            return Err(Error::Redirected {
                                source_name: name,
                                to: redact(&to).into(),
                            });
                        }
                    }
                }
                (401, Some(user)) => {
                    let challenge = Challenge::strongest(head.all("www-authenticate"));
                    let Some(challenge) = challenge else { return Err(unknown_login(name)) };
                    let may_answer = match attempts {
                        0 => true,
                        1 => challenge.is_stale(),
                        _ => false,
                    };
                    if !may_answer {
                        return Err(refused(name, 401, true));
                    }
                    attempts += 1;
                    authorization = Some(challenge.answer(user, &address.path));
                }
                (status, user) => return Err(refused(name, status, user.is_some())),
            }
        }
    }

    fn new(
        Answered { head, mut answer, connection }: Answered,
        name: String,
    ) -> Result<Self, Error> {
        let kind = head.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if !kind.starts_with("multipart/") {
            return Err(Error::Protocol {
                source_name: name,
                expected: "multipart/x-mixed-replace",
                found: described(kind),
            });
        }
        answer.get_mut().is_body = true;
        let body = Body::new(answer, head.is_chunked());
        Ok(Self { frames: Frames::new(body, name, StreamFormat::Mjpeg), connection })
    }
}

/// A type of content that is no stream, and the way out.
fn described(kind: String) -> String {
    match kind.split(';').next().unwrap_or_default() {
        "" => "no type of content".to_owned(),
        "text/html" => format!("{kind}, a page: the camera's manual names the path of its stream"),
        "image/jpeg" => {
            format!("{kind}, one picture: the camera's manual names the path of its stream")
        }
        _ => kind,
    }
}

/// The address as it may be shown: without user, password, and parameters that sound like secrets.
fn shown(address: &Address) -> String {
    redact(&address.to_string()).into_owned()
}

/// Sends a request on a new connection and reads the answer's head.
fn request(address: &Address, authorization: Option<&str>, name: &str) -> Result<Answered, Error> {
    let connection = connect(&address.host_and_port()).map_err(Error::io(name))?;
    let mut stream = TimedStream::new(connection.try_clone().map_err(Error::io(name))?);
    stream.allow(TIMEOUT);
    let authorization = match authorization {
        Some(answer) => format!("Authorization: {answer}\r\n"),
        None => String::new(),
    };
    // Version 1.0 keeps the answer of most servers free of chunks.
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\n{authorization}Accept: multipart/x-mixed-replace\r\n\r\n",
        address.path, address.host
    );
    stream.write_all(request.as_bytes()).map_err(Error::io(name))?;
    let mut answer = BufReader::with_capacity(BUFFER_BYTES, Answer { stream, is_body: false });
    let head = Head::read(&mut answer, name)?;
    Ok(Answered { head, answer, connection })
}

/// Connects to one of the host's addresses within [`TIMEOUT`].
fn connect(host: &str) -> io::Result<TcpStream> {
    let end = Instant::now() + TIMEOUT;
    let mut last = io::ErrorKind::NotFound.into();
    for address in host.to_socket_addrs()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unknown_login(source_name: String) -> Error {
    let advice = "it asks for another login than Basic or Digest, which alone are known here: see the camera's settings";
    Error::Refused { source_name, status: 401, advice }
}

/// The error of an answer other than 200.
fn refused(source_name: String, status: u16, has_user: bool) -> Error {
    let advice = match status {
        401 if has_user => {
            "user or password is wrong; it is tried again rarely, so that no account is locked"
        }
        401 => "it asks for a user and a password: http://USER:PASSWORD@HOST/PATH",
        403 => "this user, or this machine, may not see the stream: see the camera's settings",
        404 => "there is no stream at this path: the camera's manual names it",
        status => {
            return Error::Protocol {
                source_name,
                expected: "HTTP status 200",
                found: format!("status {status}"),
            };
        }
    };
    Error::Refused { source_name, status, advice }
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
    fn a_password_is_never_shown() {
        for text in [
            "http://viewer:hush@10.0.0.3:81/stream?fps=5",
            "http://viewer:hu/hush@10.0.0.3/",
            "http://10.0.0.3/video.cgi?user=viewer&pwd=hush",
            "http://viewer:hush hush@10.0.0.3/",
        ] {
            let shown = match HttpSpec::parse(text).unwrap() {
                Ok(spec) => format!("{spec} {spec:?} {}", shown(&spec.address)),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}

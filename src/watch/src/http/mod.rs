//! A small HTTP/1.1 server that bounds what a client can take.
//!
//! ```text
//!                 displaces          within request_time     free slot?          within answer_time
//! TcpListener ──▶ Waiting::enter ──▶ thread: request::read ──▶ Handler::admit ──▶ Handler::answer ──▶ Reply
//!                 the oldest                 │ HttpError          │ none, HttpError                   ├─ Response
//!                                            └──▶ 4xx             └──▶ 503, 4xx, closed               └─ Stream
//! ```
//!
//! This module knows nothing of cameras, displays or pages: a [`Handler`] is given a parsed [`Request`] and returns a
//! [`Reply`]. Parsing ([`request::read`]) takes any [`Read`](std::io::Read) and is tested with arbitrary bytes.
//!
//! No crate fits: the small servers that are kept up bound neither time nor connections, and those that do bring an
//! asynchronous runtime, too much for a page that a few people look at. The grammar of HTTP is httparse's.

mod request;
mod response;
mod server;
mod slots;
mod stream;
mod waiting;

pub(crate) use request::{Method, Reading, Request, read as read_request};
pub(crate) use response::{HttpError, Reply, Response, reason_phrase};
pub(crate) use server::{Handler, Limits, Server};
pub(crate) use slots::Slots;
pub(crate) use stream::TimedStream;

//! Connections: a thread for each, and not many of them.
//!
//! No crate fits: the small servers that are kept up bound neither time nor connections, and those that do bring an asynchronous
//! runtime, too much for a page that a few people look at. HTTP itself is httparse's.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    events,
    request::{self, Method, Reading},
    response::{Refusal, Response},
    site::{Answer, Site},
    slots::Slots,
    stream::TimedStream,
};

/// Enough for a request and its answer, also in a debug build.
const STACK: usize = 512 << 10;

/// What one client, or many, may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connections: usize,
    /// Streams of events: fewer than connections, so that the rest of the site stays within reach.
    pub(super) viewers: usize,
    /// For a client to send a whole request, silence between two requests included.
    pub(super) request_time: Duration,
    /// For a client to take a whole answer.
    pub(super) answer_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 48,
            viewers: 16,
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(10),
        }
    }
}

/// Answers connections until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        listener: TcpListener,
        site: Arc<Site>,
        limits: Limits,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = thread::Builder::new()
            .name("coca-web".to_owned())
            .spawn(move || accept(&listener, &site, limits, &seen))?;
        Ok(Self { address, stopped, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // The thread waits for a connection: here is one.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let woken = TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, site: &Arc<Site>, limits: Limits, stopped: &AtomicBool) {
    let connections = Slots::new(limits.connections);
    loop {
        let accepted = listener.accept();
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly too many open files: others close theirs in time.
                log::debug!("web: a connection failed: {error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(slot) = connections.take() else {
            refuse(stream);
            continue;
        };
        let site = Arc::clone(site);
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            serve(stream, &site, limits);
            drop(slot);
        });
        if let Err(error) = started {
            log::warn!("web: the system refuses another thread: {error}");
        }
    }
}

/// Says that there are too many connections, without waiting for anybody.
fn refuse(stream: TcpStream) {
    let mut stream = TimedStream::new(stream);
    stream.allow(Duration::from_millis(100));
    let refusal = Refusal::new(503, "too many connections; try again");
    let _ = Response::from(refusal).write(&mut stream, true, false);
}

/// Answers the requests of one connection. A client that goes away in the middle is nothing to report.
fn serve(stream: TcpStream, site: &Site, limits: Limits) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimedStream::new(stream);
    let mut buffer = Vec::new();
    loop {
        stream.allow(limits.request_time);
        let (response, with_body, keep_alive) = match request::read(&mut stream, &mut buffer) {
            Reading::Over => return,
            Reading::Refused(refusal) => (refusal.into(), true, false),
            Reading::Request(request) => match site.answer(&request) {
                Answer::Response(response) => {
                    (response, request.method != Method::Head, request.keep_alive)
                }
                Answer::Events(_slot) => {
                    stream.allow(limits.answer_time);
                    let _ = events::stream(&mut stream, &site.live);
                    return;
                }
            },
        };
        stream.allow(limits.answer_time);
        if response.write(&mut stream, with_body, keep_alive).is_err() {
            return;
        }
        if !keep_alive {
            return stream.finish();
        }
    }
}

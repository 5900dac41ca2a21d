//! Connections: a thread for each, and a bounded number of them.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    HttpError, Method, Reply, Request, Response, Slots, TimedStream,
    request::{self, Reading},
    response::head,
    slots::Slot,
    waiting::{Place, Waiting},
};

/// Bytes of a connection thread's stack: enough for a request and its answer, also in a debug build.
const STACK_BYTES: usize = 512 << 10;
/// Time after which a connection that was accepted in vain is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for a client to take the refusal of its connection.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);
/// Time for the connection that wakes the accepting thread.
const WAKE_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers requests. Connections call it at the same time.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Refuses a request of a client that may not have an answer.
    fn admit(&self, request: &Request) -> Result<(), HttpError>;

    /// The reply to `request`, which was admitted, of a client at `address`.
    fn answer(&self, request: &Request, address: IpAddr) -> Reply;

    /// Header lines of every answer, refusals included, each ending in CR LF.
    fn headers(&self) -> &str {
        ""
    }
}

/// Bounds on what clients can take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that a request was admitted on; one address gets half of them.
    pub(crate) connections: usize,
    /// Connections that none was admitted on yet: of more, those that are silent longest are cut.
    pub(crate) waiting: usize,
    /// Time for a client to send a whole request, silence between two requests included.
    pub(crate) request_time: Duration,
    /// Time for a client to take a whole answer.
    pub(crate) answer_time: Duration,
}

impl Default for Limits {
    /// 48 connections and 32 that wait, 10 s each way.
    fn default() -> Self {
        Self {
            connections: 48,
            waiting: 32,
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(10),
        }
    }
}

/// A server that accepts connections until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers what `listener` accepts with `handler`.
    pub(crate) fn start(
        listener: TcpListener,
        handler: Arc<impl Handler>,
        limits: Limits,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = thread::Builder::new()
            .name("coca-web".to_owned())
            .spawn(move || accept(&listener, &handler, limits, &seen))?;
        Ok(Self { address, stopped, thread: Some(thread) })
    }

    /// The listener's address, with the port that was found if 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // `accept` returns with this connection, and the thread sees that it is to stop.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let woken = TcpStream::connect_timeout(&address, WAKE_TIMEOUT).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    handler: &Arc<impl Handler>,
    limits: Limits,
    stopped: &AtomicBool,
) {
    let admitted = Slots::new(limits.connections);
    let waiting = Waiting::new(limits.waiting);
    loop {
        let accepted = listener.accept();
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly too many open files: other connections close theirs in time.
                log::debug!("web: a connection failed: {error}");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let Ok(place) = waiting.enter(&stream) else {
            refuse(stream, handler.headers());
            continue;
        };
        let (handler, admitted) = (Arc::clone(handler), admitted.clone());
        let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let client = Client { address: peer.ip(), place: Some(place), slot: None, admitted };
            // A client that goes away in the middle is nothing to report.
            let _ = serve(TimedStream::new(stream), &*handler, limits, client);
        });
        if let Err(error) = started {
            log::warn!("web: the system refuses another thread: {error}");
        }
    }
}

/// Answers 503 without waiting for a request.
fn refuse(stream: TcpStream, headers: &str) {
    let mut stream = TimedStream::new(stream);
    stream.allow(REFUSAL_TIMEOUT);
    // The connection is closed in any case.
    let _ = Response::from(too_many()).write(&mut stream, headers, true, false);
}

fn too_many() -> HttpError {
    HttpError::new(503, "too many connections; try again")
}

/// The other end of a connection: it has a place until its first request is admitted, and a slot from then on.
struct Client {
    address: IpAddr,
    place: Option<Place>,
    slot: Option<Slot>,
    /// Where its slot is taken.
    admitted: Slots,
}

impl Client {
    fn admit(&mut self) -> Result<(), HttpError> {
        self.place = None;
        if self.slot.is_none() {
            self.slot = Some(self.admitted.take(self.address).ok_or_else(too_many)?);
        }
        Ok(())
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(
    mut stream: TimedStream,
    handler: &impl Handler,
    limits: Limits,
    mut client: Client,
) -> io::Result<()> {
    stream.send_at_once()?;
    let headers = handler.headers();
    let mut buffer = Vec::new();
    loop {
        stream.allow(limits.request_time);
        let (reply, with_body, keep_alive) = match request::read(&mut stream, &mut buffer) {
            Reading::Closed => return Ok(()),
            Reading::Refused(error) => (Reply::Response(error.into()), true, false),
            Reading::Request(request) => {
                let with_body = request.method != Method::Head;
                match handler.admit(&request).and_then(|()| client.admit()) {
                    Err(error) => (Reply::Response(error.into()), with_body, false),
                    Ok(()) => {
                        (handler.answer(&request, client.address), with_body, request.keep_alive)
                    }
                }
            }
        };
        stream.allow(limits.answer_time);
        match reply {
            Reply::Response(response) => {
                response.write(&mut stream, headers, with_body, keep_alive)?;
            }
            Reply::Stream { content_type, write } => {
                let head = head(200, content_type, headers, false);
                // A proxy that gathers what a stream writes would hand it on too late, or never.
                stream.write_all(format!("{head}X-Accel-Buffering: no\r\n\r\n").as_bytes())?;
                return if with_body { write(&mut stream) } else { Ok(()) };
            }
        }
        if !keep_alive {
            stream.finish();
            return Ok(());
        }
    }
}

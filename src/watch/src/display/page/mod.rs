//! The live page for any browser: `web:127.0.0.1:8080`.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page: picture, labels, captions, rates; loads nothing else |
//! | `/snapshot.jpg` | the newest picture, without labels |
//! | `/events` | server-sent events, each a JSON object: status, labels, new captions |
//! | `/metrics` | Prometheus's text format |
//! | `/healthz` | 200 while frames come, 503 after 30 seconds without |
//! | `POST /labels` | `{"labels": ["cat", "dog"]}`: replaces the labels to look for |
//! | `POST /caption` | asks for a caption of the next frame |
//!
//! ```text
//! Display::show ──▶ Live ◀── Routes ◀── http::Server ◀── browser
//!                                └── Request ──▶ the watch
//! ```
//!
//! The page polls the picture rather than streaming it: each viewer gets as many as its network carries, and a phone that
//! wakes up goes on where it was. A picture is encoded once however many viewers there are, and only if there is one.

mod access;
mod events;
mod html;
mod labels;
mod live;
mod metrics;
mod received;
mod routes;
#[cfg(test)]
mod tests;
mod token;
mod web_spec;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc::Sender},
};

pub(crate) use self::received::answer_requests;
pub use self::{access::own_name, token::Token, web_spec::WebSpec};
use self::{live::Live, routes::Routes};
use super::{Display, Error, Request, View};
use crate::http;

/// Bounds on what viewers can take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    http: http::Limits,
    /// Streams of events: fewer than connections, so that the other paths stay within reach.
    viewers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { http: http::Limits::default(), viewers: 16 }
    }
}

/// A web page that is served until this is dropped.
///
/// ```
/// use coca_watch::display::{Display, DisplaySpec, View, Web};
///
/// let DisplaySpec::Web(spec) = "web:127.0.0.1:0?token=secret".parse()? else { unreachable!() };
/// let (sender, requests) = std::sync::mpsc::channel();
/// let mut page = Web::listen(&spec, sender)?;
/// page.show(&View::default())?;
/// println!("http://{}/?token=secret", page.address());
/// # Ok::<(), coca_watch::display::Error>(())
/// ```
#[derive(Debug)]
pub struct Web {
    name: String,
    live: Arc<Live>,
    server: http::Server,
}

impl Web {
    /// Serves the page at `spec`'s address. Its viewers' requests go to `requests`.
    ///
    /// # Errors
    /// [`Error::Listen`] if the address is taken or not this machine's.
    pub fn listen(spec: &WebSpec, requests: Sender<Request>) -> Result<Self, Error> {
        Self::listen_within(spec, requests, Limits::default())
    }

    fn listen_within(
        spec: &WebSpec,
        requests: Sender<Request>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: spec.address, source };
        let listener = TcpListener::bind(spec.address).map_err(failed)?;
        let live = Arc::new(Live::default());
        let viewers = http::Slots::new(limits.viewers);
        let routes = Routes::new(Arc::clone(&live), spec, requests, viewers);
        let server =
            http::Server::start(listener, Arc::new(routes), limits.http).map_err(failed)?;
        let name = format!("web:{}", server.address());
        if !spec.address.ip().is_loopback() && spec.token.is_none() {
            log::warn!(
                "{name}: everybody on the network can see the camera and change its labels: add ?token=SECRET"
            );
        }
        Ok(Self { name, live, server })
    }

    /// The page's address, with the port that was found if the spec's is 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

impl Display for Web {
    fn name(&self) -> &str {
        &self.name
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        self.live.show(view);
        Ok(())
    }

    fn set_vocabulary(&mut self, labels: &[String]) {
        self.live.set_vocabulary(labels);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.live.close();
    }
}

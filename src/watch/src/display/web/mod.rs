//! A page for any browser in reach: `web:127.0.0.1:8080`.
//!
//! | path | |
//! |---|---|
//! | `/` | the page: picture, labels, captions, rates; everything it needs is in it |
//! | `/snapshot.jpg` | the newest picture, without labels |
//! | `/events` | server-sent events, each a JSON object: status, labels, new captions |
//! | `/metrics` | Prometheus's text format |
//! | `/healthz` | 200 while frames come, 503 after 30 seconds without |
//! | `POST /labels` | `{"labels": ["cat", "dog"]}`: look for these from now on |
//! | `POST /caption` | write a caption now |
//!
//! The picture is fetched again and again rather than streamed: each viewer gets as many as its network carries, and a phone that
//! wakes up goes on where it was. A picture is encoded once, and only if somebody looks.

mod access;
mod events;
mod labels;
mod live;
mod metrics;
mod page;
mod request;
mod response;
mod server;
mod site;
mod slots;
mod spec;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc::Sender},
};

pub use spec::{Token, WebSpec};

use self::{
    access::Access,
    live::Live,
    server::{Limits, Server},
    site::Site,
    slots::Slots,
};
use super::{Display, Error, Request, View};

/// A web page that is served until this is dropped.
///
/// ```
/// use coca_watch::display::{Display, DisplaySpec, View, Web};
///
/// let DisplaySpec::Web(spec) = "web:127.0.0.1:0?token=secret".parse()? else { unreachable!() };
/// let (asked, requests) = std::sync::mpsc::channel();
/// let mut page = Web::listen(&spec, asked)?;
/// page.show(&View::default())?;
/// println!("http://{}/?token=secret", page.address());
/// # Ok::<(), coca_watch::display::Error>(())
/// ```
#[derive(Debug)]
pub struct Web {
    name: String,
    site: Arc<Site>,
    server: Server,
}

impl Web {
    /// Serves the page at `spec`'s address. What viewers ask for goes to `requests`.
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
        let site = Arc::new(Site {
            live: Live::default(),
            access: Access::new(spec),
            requests,
            viewers: Slots::new(limits.viewers),
        });
        let server = Server::start(listener, Arc::clone(&site), limits).map_err(failed)?;
        let name = format!("web:{}", server.address());
        if !spec.address.ip().is_loopback() && spec.token.is_none() {
            log::warn!(
                "{name}: everybody on the network can see the camera and change its labels: add ?token=SECRET"
            );
        }
        Ok(Self { name, site, server })
    }

    /// Where the page is, with the port that was found if the spec's is 0.
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
        self.site.live.show(view);
        Ok(())
    }

    fn set_vocabulary(&mut self, labels: &[String]) {
        self.site.live.set_vocabulary(labels);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.site.live.close();
    }
}

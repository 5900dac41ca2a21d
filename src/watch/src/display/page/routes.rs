//! Routes.

use std::{
    net::IpAddr,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use serde_json::json;

use super::{WebSpec, access::Access, events, html, labels, live::Live, metrics};
use crate::{
    display,
    http::{Handler, HttpError, Method, Reply, Request, Response, Slots},
};

/// Time without a new frame after which `/healthz` answers 503.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// The handler of the page's requests.
#[derive(Debug)]
pub(super) struct Routes {
    live: Arc<Live>,
    access: Access,
    /// Whether viewers may replace the labels.
    is_editable: bool,
    requests: Sender<display::Request>,
    /// One for each stream of events.
    viewers: Slots,
}

impl Handler for Routes {
    fn admit(&self, request: &Request) -> Result<(), HttpError> {
        self.access.check(request)
    }

    fn answer(&self, request: &Request, address: IpAddr) -> Reply {
        self.route(request, address).unwrap_or_else(|error| Reply::Response(error.into()))
    }

    fn headers(&self) -> &str {
        html::security_policy_header()
    }
}

impl Routes {
    pub(super) fn new(
        live: Arc<Live>,
        spec: &WebSpec,
        requests: Sender<display::Request>,
        viewers: Slots,
    ) -> Self {
        Self { live, access: Access::new(spec), is_editable: spec.is_editable(), requests, viewers }
    }

    fn route(&self, request: &Request, address: IpAddr) -> Result<Reply, HttpError> {
        let is_post = request.method == Method::Post;
        let response = match (is_post, request.path.as_str()) {
            (false, "/") => Response::new("text/html; charset=utf-8", html::PAGE.as_bytes()),
            (false, "/snapshot.jpg") => self.snapshot()?,
            (false, "/events") => return self.events(address),
            (false, "/metrics") => Response::new(
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::text(&self.live.newest(), self.viewers.taken()).into_bytes(),
            ),
            (false, "/healthz") => self.health()?,
            (true, "/labels") => self.set_labels(&request.body)?,
            (true, "/caption") => {
                self.send(display::Request::Caption)?;
                accepted(&json!({"caption": "asked for"}))
            }
            (false, "/labels" | "/caption") => {
                return Err(HttpError::new(405, "this path takes a POST"));
            }
            (true, "/" | "/snapshot.jpg" | "/events" | "/metrics" | "/healthz") => {
                return Err(HttpError::new(405, "this path takes a GET"));
            }
            _ => return Err(HttpError::new(404, "there is nothing at this path")),
        };
        Ok(response.into())
    }

    fn snapshot(&self) -> Result<Response, HttpError> {
        match self.live.snapshot() {
            None => Err(HttpError::new(503, "there is no picture yet")),
            Some(Ok(jpeg)) => Ok(Response::new("image/jpeg", jpeg.to_vec())),
            Some(Err(error)) => {
                Err(HttpError::new(503, format!("the picture cannot be encoded: {error}")))
            }
        }
    }

    fn events(&self, address: IpAddr) -> Result<Reply, HttpError> {
        let too_many = || HttpError::new(503, "too many viewers; close a page");
        let slot = self.viewers.take(address).ok_or_else(too_many)?;
        let (live, is_editable) = (Arc::clone(&self.live), self.is_editable);
        let write = move |stream: &mut _| {
            let _slot = slot;
            events::write(stream, &live, is_editable)
        };
        Ok(Reply::Stream { content_type: "text/event-stream", write: Box::new(write) })
    }

    fn health(&self) -> Result<Response, HttpError> {
        let silence = self.live.newest().advanced.elapsed();
        if silence > SILENCE_TIMEOUT {
            let seconds = silence.as_secs();
            return Err(HttpError::new(503, format!("no new frame for {seconds} s")));
        }
        Ok(Response::text("ok\n".to_owned()))
    }

    fn set_labels(&self, body: &[u8]) -> Result<Response, HttpError> {
        if !self.is_editable {
            let reason = "labels run commands here, so editing them needs a token: start coca watch with --token";
            return Err(HttpError::new(403, reason));
        }
        let labels = labels::parse(body)?;
        self.send(display::Request::Labels(labels.clone()))?;
        self.live.set_vocabulary(&labels);
        Ok(accepted(&json!({ "labels": labels })))
    }

    fn send(&self, request: display::Request) -> Result<(), HttpError> {
        self.requests
            .send(request)
            .map_err(|_| HttpError::new(503, "nothing takes requests at the moment"))
    }
}

fn accepted(value: &serde_json::Value) -> Response {
    Response::new("application/json", value.to_string().into_bytes()).with_status(202)
}

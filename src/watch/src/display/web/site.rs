//! What is to be had at which path.

use std::{sync::mpsc::Sender, time::Duration};

use serde_json::json;

use super::{
    access::Access,
    labels,
    live::Live,
    metrics,
    page::PAGE,
    request::{Method, Request},
    response::{Refusal, Response},
    slots::{Slot, Slots},
};
use crate::display;

/// A camera without a new frame for so long is not well.
const SILENCE: Duration = Duration::from_secs(30);

/// Everything that is served.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) live: Live,
    pub(super) access: Access,
    pub(super) requests: Sender<display::Request>,
    /// One for each stream of events.
    pub(super) viewers: Slots,
}

/// What a request gets.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Response),
    /// The stream of events, for as long as the slot is held.
    Events(Slot),
}

impl Site {
    pub(super) fn answer(&self, request: &Request) -> Answer {
        match self.route(request) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Response(refusal.into()),
        }
    }

    fn route(&self, request: &Request) -> Result<Answer, Refusal> {
        self.access.check(request)?;
        let posted = request.method == Method::Post;
        let response = match (posted, request.path.as_str()) {
            (false, "/") => Response::new("text/html; charset=utf-8", PAGE.as_bytes()),
            (false, "/snapshot.jpg") => self.snapshot()?,
            (false, "/events") => {
                let too_many = || Refusal::new(503, "too many viewers; close a page");
                return self.viewers.take().ok_or_else(too_many).map(Answer::Events);
            }
            (false, "/metrics") => Response::new(
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::text(&self.live.newest(), self.viewers.taken()).into_bytes(),
            ),
            (false, "/healthz") => self.health()?,
            (true, "/labels") => self.labels(&request.body)?,
            (true, "/caption") => {
                self.ask(display::Request::Caption)?;
                accepted(&json!({"caption": "asked for"}))
            }
            (false, "/labels" | "/caption") => {
                return Err(Refusal::new(405, "this path takes a POST"));
            }
            (true, "/" | "/snapshot.jpg" | "/events" | "/metrics" | "/healthz") => {
                return Err(Refusal::new(405, "this path takes a GET"));
            }
            _ => return Err(Refusal::new(404, "there is nothing at this path")),
        };
        Ok(Answer::Response(response))
    }

    fn snapshot(&self) -> Result<Response, Refusal> {
        match self.live.snapshot() {
            None => Err(Refusal::new(503, "there is no picture yet")),
            Some(Ok(jpeg)) => Ok(Response::new("image/jpeg", jpeg.to_vec())),
            Some(Err(error)) => {
                Err(Refusal::new(503, format!("the picture cannot be encoded: {error}")))
            }
        }
    }

    fn health(&self) -> Result<Response, Refusal> {
        let silence = self.live.newest().advanced.elapsed();
        if silence > SILENCE {
            let seconds = silence.as_secs();
            return Err(Refusal::new(503, format!("no new frame for {seconds} s")));
        }
        Ok(Response::text("ok\n".to_owned()))
    }

    fn labels(&self, body: &[u8]) -> Result<Response, Refusal> {
        let labels = labels::read(body)?;
        self.ask(display::Request::Labels(labels.clone()))?;
        self.live.set_vocabulary(&labels);
        Ok(accepted(&json!({ "labels": labels })))
    }

    fn ask(&self, request: display::Request) -> Result<(), Refusal> {
        self.requests
            .send(request)
            .map_err(|_| Refusal::new(503, "nothing takes requests at the moment"))
    }
}

fn accepted(value: &serde_json::Value) -> Response {
    Response::new("application/json", value.to_string().into_bytes()).with_status(202)
}

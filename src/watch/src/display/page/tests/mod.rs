//! The page's server over loopback.

mod bounds;
mod endpoints;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::{Duration, SystemTime},
};

use image::{Rgb, RgbImage};

use super::{Limits, Web};
use crate::{
    FrameCaption, TrackedLabel,
    display::{Display, DisplaySpec, Request, Status, View, WebSpec},
};

struct Page {
    web: Web,
    requests: Receiver<Request>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn page(options: &str, limits: Limits) -> Page {
    let spec: DisplaySpec = format!("web:127.0.0.1:0?{options}").parse().unwrap();
    let DisplaySpec::Web(spec) = spec else { panic!() };
    let (asked, requests) = channel();
    Page { web: Web::listen_within(&spec, asked, limits).unwrap(), requests }
}

fn open_page() -> Page {
    page("", Limits::default())
}

impl Page {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.web.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends `bytes` and reads until the server closes.
    fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        answer(&mut stream)
    }

    /// A request with `headers` besides `Host` and `Connection`.
    fn ask(&self, line: &str, headers: &str, body: &str) -> Answer {
        let length = match body {
            "" => String::new(),
            body => format!("Content-Length: {}\r\n", body.len()),
        };
        self.send(
            format!(
                "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}{length}\r\n{body}",
                self.web.address()
            )
            .as_bytes(),
        )
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", "")
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("Content-Type: application/json\r\n{headers}");
        self.ask(&format!("POST {path}"), &headers, body)
    }
}

fn answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

fn view(frame: u64) -> View {
    View {
        picture: Some(Arc::new(RgbImage::from_pixel(32, 24, Rgb([200, 30, 30])))),
        labels: vec![TrackedLabel { label: "cat".into(), score: 0.75, active: true }],
        caption: Some(FrameCaption {
            text: "a cat on a sofa".into(),
            frame,
            latency_ms: 800.0,
            captured_at: SystemTime::UNIX_EPOCH,
        }),
        status: Status {
            source: "test".into(),
            frame,
            frames_per_second: 9.5,
            ..Status::default()
        },
    }
}

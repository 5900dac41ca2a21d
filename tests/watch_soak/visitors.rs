//! Visitors of the page: they look, listen, edit the labels, ask for captions, say half of what they want, and go.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::random::Random;

const VISITORS: u64 = 6;
/// Longest pause between two visits.
const PAUSE_MS: u64 = 2_000;

pub(crate) struct Visits(Arc<AtomicU64>);

impl Visits {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts visitors of the page at `address`, who come until this process ends.
pub(crate) fn start(address: &str) -> Visits {
    let count = Arc::new(AtomicU64::new(0));
    for visitor in 0..VISITORS {
        let (count, address) = (Arc::clone(&count), address.to_owned());
        thread::spawn(move || {
            let mut random = Random::new(1000 + visitor);
            loop {
                // A page that has no place left refuses, and the page is gone in the end.
                let _ = visit(&address, &mut random);
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(random.below(PAUSE_MS)));
            }
        });
    }
    Visits(count)
}

fn visit(address: &str, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let labels = format!(r#"{{"labels": ["cat", "dog", "label {}"]}}"#, random.below(1_000_000));
    match random.below(8) {
        0 => request(&mut stream, "GET /", ""),
        1 => request(&mut stream, "GET /snapshot.jpg", ""),
        2 => request(&mut stream, "GET /metrics", ""),
        3 => request(&mut stream, "POST /labels", &labels),
        4 => request(&mut stream, "POST /caption", "{}"),
        5 => request(&mut stream, "POST /labels", &"[".repeat(5_000)),
        6 => stream.write_all(b"GET /snapshot.jpg HTTP/1.1\r\nHost: loc"),
        _ => return listen(&mut stream, random),
    }?;
    io::copy(&mut stream.take(1 << 20), &mut io::sink()).map(drop)
}

fn request(stream: &mut TcpStream, what: &str, body: &str) -> io::Result<()> {
    write!(
        stream,
        "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads events for a while, and goes without a word.
fn listen(stream: &mut TcpStream, random: &mut Random) -> io::Result<()> {
    write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut bytes = [0; 4096];
    for _ in 0..random.below(200) {
        if stream.read(&mut bytes)? == 0 {
            break;
        }
    }
    Ok(())
}

//! A network camera that fails now and then.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::random::Random;

/// Time from one frame to the next.
const INTERVAL: Duration = Duration::from_millis(50);
/// Longer than a source may say nothing.
const STALL: Duration = Duration::from_secs(8);

pub(crate) struct Camera {
    pub(crate) address: String,
    connections: Arc<AtomicU64>,
}

impl Camera {
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Starts a camera on a port of this machine. It serves for ever.
pub(crate) fn start() -> Camera {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos");
    let photos = ["cat", "coffee", "rocket"]
        .map(|name| std::fs::read(photos.join(name).with_extension("jpg")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        let photos = Arc::new(photos);
        for stream in listener.incoming() {
            let (photos, number) = (Arc::clone(&photos), counted.fetch_add(1, Ordering::Relaxed));
            thread::spawn(move || {
                // The program may have gone on.
                let _ = serve(stream.unwrap(), &*photos, &mut Random::new(number));
            });
        }
    });
    Camera { address, connections }
}

/// Good frames for some seconds, now and then a damaged one, and then an end of one kind or another.
fn serve(mut stream: TcpStream, photos: &[Vec<u8>], random: &mut Random) -> io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?).lines();
    while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let ending = random.below(7);
    if ending == 0 {
        return stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n",
    )?;
    for _ in 0..40 + random.below(200) {
        let photo = &photos[random.below(photos.len() as u64) as usize];
        match random.below(40) {
            0 => part(&mut stream, &noise(random, 20_000))?,
            1 => part(&mut stream, &photo[..photo.len() / 2])?,
            2 => stream.write_all(&noise(random, 3_000))?,
            _ => part(&mut stream, photo)?,
        }
        thread::sleep(INTERVAL);
    }
    match ending {
        1 => stream.write_all(b"--x--\r\n"),
        // Cut within a frame.
        2 => stream
            .write_all(format!("--x\r\nContent-Length: {}\r\n\r\n", photos[0].len()).as_bytes())
            .and_then(|()| stream.write_all(&photos[0][..5_000])),
        3 => {
            thread::sleep(STALL);
            Ok(())
        }
        // A head that trickles.
        4 => (0..).try_for_each(|_| {
            thread::sleep(Duration::from_millis(300));
            stream.write_all(b"-")
        }),
        // Noise without an end.
        5 => (0..2_000).try_for_each(|_| stream.write_all(&noise(random, 10_000))),
        _ => Ok(()),
    }
}

fn part(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    write!(stream, "--x\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.below(256) as u8).collect()
}

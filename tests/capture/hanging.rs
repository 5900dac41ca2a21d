//! Sources that neither give frames nor end: every reader of them ends, and there are never many.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::net::UnixListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use coca_edge::camera::{Capture, Error, Frame, FrameSource, Read, Taken};

use crate::{POLICY, SOON, capture, refusal, wait_until};

/// Hangs for ever, and counts how many do.
struct Hanging(Arc<AtomicUsize>);

impl FrameSource for Hanging {
    fn read(&mut self, _: &mut Frame) -> Result<Read, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        loop {
            thread::park();
        }
    }
}

#[test]
fn a_source_whose_readers_hang_is_not_opened_without_end() {
    let readers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&readers);
    let open = move || Ok(Box::new(Hanging(Arc::clone(&counted))) as _);
    let capture = Capture::start("script", POLICY, open).unwrap();
    wait_until("the ceiling is told", || {
        capture
            .status()
            .trouble
            .is_some_and(|trouble| trouble.contains("2 attempts to read it hang"))
    });
    let reopened = capture.counters().reopened;
    thread::sleep(6 * POLICY.max_pause);
    assert_eq!((readers.load(Ordering::Relaxed), capture.counters().reopened), (2, reopened));
}

/// Ends once the peer's connection is closed, which happens when the reader of it ends.
fn trickling_camera(beginning: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, counted) = (connection.unwrap(), Arc::clone(&counted));
            thread::spawn(move || {
                let mut sent = connection.write_all(beginning);
                while sent.is_ok() {
                    thread::sleep(Duration::from_millis(20));
                    sent = connection.write_all(b"x");
                }
                counted.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    (address, closed)
}

#[test]
fn the_reader_of_a_stream_that_trickles_ends() {
    let head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n";
    let (address, closed) = trickling_camera(head);
    let _capture = capture(&address);
    wait_until("abandoned readers end", || closed.load(Ordering::Relaxed) >= 3);
}

#[test]
fn the_reader_of_a_head_that_trickles_ends() {
    let (address, closed) = trickling_camera(b"HTTP/1.0 200 OK\r\nX: ");
    let _capture = capture(&address);
    wait_until("a reader ends by its deadline", || closed.load(Ordering::Relaxed) >= 1);
}

#[test]
fn a_command_whose_child_keeps_the_pipe_open_is_left_behind() {
    // A session of its own: the kill of the process group does not reach it.
    if Command::new("setsid").arg("true").status().is_err() {
        return;
    }
    let capture = capture("cmd:setsid sleep 5");
    wait_until("it is opened more often than readers may hang", || capture.counters().reopened > 4);
}

#[test]
fn a_fifo_or_device_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    if !Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
        return;
    }
    let error = refusal(fifo.to_str().unwrap());
    assert!(
        error.is_final() && error.to_string().contains("a FIFO, not a picture: expected cmd:cat "),
        "{error}"
    );
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let error = refusal(socket.to_str().unwrap()).to_string();
    assert!(error.contains("a device or socket, not a picture"), "{error}");
    assert!(
        refusal("tests/photos")
            .to_string()
            .contains("a folder, not a picture: expected dir:tests/photos")
    );

    // A picture that becomes one.
    let picture = folder.path().join("picture.png");
    image::RgbImage::new(8, 8).save(&picture).unwrap();
    let capture = capture(picture.to_str().unwrap());
    let mut frame = Frame::default();
    assert_eq!(capture.take(&mut frame, SOON).unwrap(), Taken::Frame);
    fs::rename(&fifo, &picture).unwrap();
    wait_until("it is told", || {
        capture.status().trouble.is_some_and(|trouble| trouble.contains("a FIFO"))
    });
}

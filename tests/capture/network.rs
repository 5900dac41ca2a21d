//! Network cameras: streams, redirects, logins, refusals.

use std::{
    io::{Read as _, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::{SOON, capture, next, photo, refusal};

/// A camera that gives one answer to each connection, and the heads of the requests that it got. Connections stay open.
fn camera(answers: Vec<Vec<u8>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (heads, requests) = channel();
    thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        for answer in answers {
            let mut connection = listener.accept().unwrap().0;
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && connection.read_exact(&mut byte).is_ok() {
                head.extend(byte);
            }
            heads.send(String::from_utf8(head).unwrap()).unwrap();
            // The client may be satisfied with less.
            let _ = connection.write_all(&answer);
            open.push(connection);
        }
        drop(heads);
        thread::sleep(SOON);
    });
    (address, requests)
}

fn mjpeg_answer(files: &[&[u8]]) -> Vec<u8> {
    let mut answer =
        b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n".to_vec();
    for file in files {
        answer.extend(format!("--x\r\nContent-Length: {}\r\n\r\n", file.len()).bytes());
        answer.extend_from_slice(file);
        answer.extend(b"\r\n");
    }
    answer
}

#[test]
fn reconnects_to_a_network_camera_that_stalls() {
    let (cat, coffee) =
        (std::fs::read(photo("cat.jpg")).unwrap(), std::fs::read(photo("coffee.jpg")).unwrap());
    let answers = vec![mjpeg_answer(&[&cat]), mjpeg_answer(&[&coffee])];
    let (address, requests) = camera(answers);
    let capture = capture(&format!("http://{address}/stream"));
    assert_eq!(next(&capture).bytes, cat);
    assert_eq!(next(&capture).bytes, coffee);
    assert_eq!(capture.counters().reopened, 1);
    for request in requests.try_iter() {
        assert!(request.starts_with("GET /stream HTTP/1.0\r\n"), "{request}");
    }
}

#[test]
fn reads_a_chunked_answer_of_a_network_camera() {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
    answer.extend(b"Content-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n");
    for chunk in [&b"--x\r\nContent-Type: image/jpeg\r\n\r\n"[..], &cat[..1000], &cat[1000..]] {
        answer.extend(format!("{:X};part=1\r\n", chunk.len()).bytes());
        answer.extend_from_slice(chunk);
        answer.extend(b"\r\n");
    }
    let (address, requests) = camera(vec![answer]);
    assert_eq!(next(&capture(&format!("http://{address}/stream"))).bytes, cat);
    assert!(requests.recv().unwrap().starts_with("GET /stream HTTP/1.0\r\n"));
}

fn answer(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes()
}

#[test]
fn what_is_no_stream_is_answered_with_what_is_wrong() {
    for (status, headers, expected) in [
        ("404 Not Found", "", "no stream at this path"),
        ("403 Forbidden", "", "may not see the stream"),
        ("401 Unauthorized", "WWW-Authenticate: Basic\r\n", "http://USER:PASSWORD@HOST/PATH"),
        ("500 Oops", "", "HTTP status 200 was expected, found status 500"),
        (
            "200 OK",
            "Content-Type: text/html\r\n",
            "multipart/x-mixed-replace was expected, found text/html",
        ),
    ] {
        let (address, _requests) = camera(vec![answer(status, headers)]);
        let error = refusal(&format!("http://{address}/video?pwd=hush"));
        let sentence = error.to_string();
        assert!(sentence.contains(expected) && !sentence.contains("hush"), "{sentence}");
        let is_login = status.starts_with("401") || status.starts_with("403");
        assert_eq!(error.is_refusal(), is_login, "{sentence}");
    }
}

#[test]
fn logs_in_by_digest_without_ever_sending_the_password() {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let challenge = "WWW-Authenticate: Basic realm=\"cam\"\r\n\
                     WWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\", qop=\"auth\"\r\n";
    let (address, requests) =
        camera(vec![answer("401 Unauthorized", challenge), mjpeg_answer(&[&cat])]);
    let capture = capture(&format!("http://viewer:hush@{address}/stream?x=1"));
    assert_eq!(next(&capture).bytes, cat);
    assert!(!requests.recv().unwrap().contains("Authorization"));
    let second = requests.recv().unwrap();
    assert!(second.contains("Authorization: Digest username=\"viewer\""), "{second}");
    assert!(second.contains("uri=\"/stream?x=1\"") && !second.contains("hush"), "{second}");
}

#[test]
fn logs_in_by_basic_where_nothing_better_is_offered() {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let basic = answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"cam\"\r\n");
    let (address, requests) = camera(vec![basic, mjpeg_answer(&[&cat])]);
    let capture = capture(&format!("http://viewer:p%40ss@{address}?action=stream"));
    assert_eq!(next(&capture).bytes, cat);
    assert!(requests.recv().unwrap().starts_with("GET /?action=stream HTTP/1.0\r\n"));
    assert!(requests.recv().unwrap().contains("Authorization: Basic dmlld2VyOnBAc3M=\r\n"));
}

#[test]
fn a_wrong_password_is_tried_once_and_told() {
    let challenge = || answer("401 Unauthorized", "WWW-Authenticate: Digest realm=a, nonce=b\r\n");
    let (address, requests) = camera(vec![challenge(), challenge()]);
    let error = refusal(&format!("http://viewer:hush@{address}/"));
    assert!(
        error.is_refusal() && error.to_string().contains("user or password is wrong"),
        "{error}"
    );
    assert!(!error.to_string().contains("hush"));
    assert_eq!(requests.iter().count(), 2);
}

#[test]
fn a_redirect_on_the_same_host_is_followed_and_another_host_is_named() {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let moved = answer("302 Found", "Location: /live/stream\r\n");
    let (address, requests) = camera(vec![moved, mjpeg_answer(&[&cat])]);
    assert_eq!(next(&capture(&format!("http://{address}/"))).bytes, cat);
    assert!(requests.recv().unwrap().starts_with("GET / "));
    assert!(requests.recv().unwrap().starts_with("GET /live/stream "));

    let away = answer("301 Moved", "Location: https://u:hush@elsewhere.example/a?token=hush\r\n");
    let (address, requests) = camera(vec![away]);
    let error = refusal(&format!("http://viewer:hush@{address}/")).to_string();
    assert!(
        error.contains("redirects to https://elsewhere.example/a") && !error.contains("hush"),
        "{error}"
    );
    assert_eq!(requests.iter().count(), 1);

    let ring = answer("302 Found", "Location: /\r\n");
    let (address, _requests) = camera(vec![ring; 9]);
    assert!(refusal(&format!("http://{address}/")).to_string().contains("status 302"));
}

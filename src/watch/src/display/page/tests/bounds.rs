//! Access, and bounds on what one client can take from the others.

use std::{io::ErrorKind, thread, time::Instant};

use super::*;
use crate::{display::Token, http};

const PATHS: [&str; 5] = ["/", "/snapshot.jpg", "/events", "/metrics", "/healthz"];

/// Limits that a test can wait for.
fn tight() -> Limits {
    Limits {
        http: http::Limits {
            connections: 3,
            waiting: 3,
            request_time: Duration::from_millis(300),
            answer_time: Duration::from_millis(300),
        },
        viewers: 2,
    }
}

#[test]
fn with_a_token_every_path_needs_it() {
    let page = page("token=correct%20horse", Limits::default());
    for path in PATHS {
        assert_eq!(page.get(path).status, 401, "{path}");
        assert_eq!(page.get(&format!("{path}?token=wrong")).status, 401, "{path}");
    }
    assert_eq!(page.post("/caption", "", "{}").status, 401);
    assert_eq!(page.get("/nothing").status, 401);
    assert_eq!(page.get("/healthz?token=correct+horse").status, 200);
    assert_eq!(page.get("/healthz?token=correct%20horse").status, 200);
    let bearer = "Authorization: Bearer correct horse\r\n";
    assert_eq!(page.ask("GET /healthz", bearer, "").status, 200);
    assert_eq!(page.post("/caption", bearer, "{}").status, 202);
    assert_eq!(page.ask("GET /healthz", "Authorization: Basic correct horse\r\n", "").status, 401);
}

#[test]
fn a_foreign_host_name_is_refused() {
    let page = page("host=cam.example", Limits::default());
    let get = |host: &str| {
        page.send(format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{host}\r\n").as_bytes())
            .status
    };
    assert_eq!(get("Host: evil.example\r\n"), 403);
    assert_eq!(get("Host: evil.example:8080\r\n"), 403);
    assert_eq!(get(""), 400);
    assert_eq!(get("Host: cam.example\r\n"), 200);
    assert_eq!(get("Host: localhost:8080\r\n"), 200);
}

#[test]
fn a_post_from_another_page_is_refused() {
    let page = open_page();
    let own = format!("Origin: http://{}\r\n", page.web.address());
    assert_eq!(page.post("/caption", &own, "{}").status, 202);
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(page.post("/caption", headers, "{}").status, 403, "{headers}");
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(page.ask("POST /caption", form, "a=b").status, 415);
    assert_eq!(page.requests.try_iter().count(), 1);
}

#[test]
fn a_body_that_is_too_large_is_refused_while_it_is_still_being_sent() {
    let body = "x".repeat(200_000);
    let answer = open_page().post("/labels", "", &body);
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("65536 bytes"), "{}", answer.text());
}

#[test]
fn a_client_that_sends_too_slowly_is_cut_off() {
    let page = page("", tight());
    let mut stream = page.connect();
    let began = Instant::now();
    // A byte now and then buys no time.
    let mut sender = stream.try_clone().unwrap();
    let drip = thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: yyyyyyyyyyyyyyyyy" {
            if sender.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(answer(&mut stream).status, 408);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drip.join().unwrap();
}

#[test]
fn a_client_that_takes_its_answer_too_slowly_is_cut_off() {
    let mut page = page("", tight());
    let noise = RgbImage::from_fn(1280, 1280, |x, y| {
        let mixed = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761).to_be_bytes();
        Rgb([mixed[0], mixed[1], mixed[2]])
    });
    page.web.show(&View { picture: Some(Arc::new(noise)), ..view(1) }).unwrap();
    assert_eq!(page.get("/snapshot.jpg").status, 200);
    let mut stream = page.connect();
    let request = format!("GET /snapshot.jpg HTTP/1.1\r\nHost: {}\r\n\r\n", page.web.address());
    // More answers than the buffers between the two hold.
    let mut sent = 0;
    while sent < 200 && stream.write_all(request.as_bytes()).is_ok() {
        sent += 1;
    }
    thread::sleep(Duration::from_millis(900));
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let cut = end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
    let answers = bytes.windows(9).filter(|w| w == b"HTTP/1.1 ").count();
    assert!(cut && answers < 200, "{answers} answers");
    assert_eq!(page.get("/healthz").status, 200, "others are served");
}

#[test]
fn silent_connections_without_the_token_keep_nobody_out() {
    let page = page("token=secret", Limits::default());
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(page.connect());
        // One that is refused is closed, and takes no slot.
        assert_eq!(page.get("/healthz").status, 401);
        assert_eq!(page.get("/healthz?token=secret").status, 200);
    }
}

#[test]
fn a_connection_too_many_gets_503_and_a_slot_becomes_free_again() {
    let page = page("", tight());
    // One address has half of three slots, rounded up.
    let kept: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = page.connect();
            let host = page.web.address();
            write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        })
        .collect();
    assert_eq!(page.get("/healthz").status, 503);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(page.get("/healthz").status, 200, "silent connections were cut off");
    drop(kept);
}

#[test]
fn labels_that_run_commands_are_edited_with_a_token_alone() {
    let body = r#"{"labels": ["cat"]}"#;
    for (token, labels_act, status) in
        [(None, false, 202), (None, true, 403), (Token::new("secret"), true, 202)]
    {
        let spec = WebSpec { address: ([127, 0, 0, 1], 0).into(), token, host: None, labels_act };
        let (asked, requests) = channel();
        let page = Page { web: Web::listen(&spec, asked).unwrap(), requests };
        let answer = page.post("/labels", "Authorization: Bearer secret\r\n", body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(page.requests.try_iter().count(), usize::from(status == 202));
    }
}

#[test]
fn viewers_leave_room_for_the_rest_of_the_site() {
    let page =
        page("", Limits { http: http::Limits { connections: 12, ..tight().http }, viewers: 4 });
    let watch = || {
        let mut stream = page.connect();
        let host = page.web.address();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream
    };
    let mut viewers = [watch(), watch()];
    for viewer in &mut viewers {
        viewer.read_exact(&mut [0; 12]).unwrap();
    }
    assert_eq!(answer(&mut watch()).status, 503);
    assert!(page.get("/metrics").text().contains("\ncoca_viewers 2\n"));
}

#[test]
fn a_taken_port_is_named() {
    let page = open_page();
    let address = page.web.address();
    let spec = WebSpec { address, token: None, host: None, labels_act: false };
    let error = Web::listen(&spec, channel().0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("web:{address}: cannot listen: ")), "{error}");
}

#[test]
fn the_display_ends_at_once_although_viewers_look() {
    let page = open_page();
    let mut viewer = page.connect();
    write!(viewer, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", page.web.address()).unwrap();
    viewer.read_exact(&mut [0; 12]).unwrap();
    let began = Instant::now();
    drop(page);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

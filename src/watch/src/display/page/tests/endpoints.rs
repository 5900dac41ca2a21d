//! The answer of each path.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::*;

/// Opens the stream of events; answers its lines.
fn events(page: &Page) -> impl Iterator<Item = Value> + use<> {
    let mut stream = page.connect();
    let host = page.web.address();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
}

#[test]
fn the_page_is_served_with_a_policy_that_lets_in_nothing_else() {
    let answer = open_page().get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("<!doctype html>"));
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "Content-Security-Policy: default-src 'none'; ",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
    ] {
        assert!(answer.head.contains(header), "{header} is not in {}", answer.head);
    }
    assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let answer = open_page().ask("HEAD /", "", "");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert!(!answer.head.contains("Content-Length: 0"), "{}", answer.head);
    let events = open_page().ask("HEAD /events", "", "");
    assert_eq!((events.status, events.body.len()), (200, 0));
    assert!(events.head.contains("X-Accel-Buffering: no"), "{}", events.head);
}

#[test]
fn the_snapshot_is_the_newest_picture_as_a_jpeg() {
    let mut page = open_page();
    assert_eq!(page.get("/snapshot.jpg").status, 503);
    page.web.show(&view(1)).unwrap();
    let answer = page.get("/snapshot.jpg");
    assert_eq!(answer.status, 200);
    let picture = image::load_from_memory(&answer.body).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (32, 24));
    let pixel = picture.get_pixel(16, 12).0;
    assert!(pixel[0] > 190 && pixel[1] < 40, "{pixel:?}");
}

#[test]
fn events_tell_a_viewer_what_there_is_and_then_what_changes() {
    let mut page = open_page();
    page.web.show(&view(1)).unwrap();
    let mut events = events(&page);
    let first = events.next().unwrap();
    assert_eq!((&first["frame"], &first["labels"][0]["label"]), (&1.into(), &"cat".into()));
    assert_eq!(first["captions"][0]["text"], "a cat on a sofa");
    page.web.show(&view(2)).unwrap();
    let second = events.next().unwrap();
    assert_eq!((&second["frame"], &second["captions"][0]["frame"]), (&2.into(), &2.into()));
    drop(page);
    assert!(events.next().is_none(), "the stream ends with the display");
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let mut page = open_page();
    page.web.show(&view(7)).unwrap();
    let answer = page.get("/metrics");
    assert!(answer.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", answer.head);
    for line in ["coca_frame 7", "coca_frames_per_second 9.5", "coca_label_active{label=\"cat\"} 1"]
    {
        assert!(answer.text().lines().any(|found| found == line), "{}", answer.text());
    }
    for line in answer.text().lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("coca_") && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn a_camera_that_delivers_is_healthy() {
    let answer = open_page().get("/healthz");
    assert_eq!((answer.status, answer.text()), (200, "ok\n"));
}

#[test]
fn sent_labels_reach_the_program_and_all_viewers() {
    let page = open_page();
    let answer = page.post("/labels", "", r#"{"labels": ["cat", " dog ", "cat"]}"#);
    assert_eq!((answer.status, answer.text()), (202, r#"{"labels":["cat","dog"]}"#));
    let wanted = Request::Labels(vec!["cat".into(), "dog".into()]);
    assert_eq!(page.requests.try_recv().unwrap(), wanted);
    assert_eq!(events(&page).next().unwrap()["vocabulary"], serde_json::json!(["cat", "dog"]));
    assert_eq!(page.post("/labels", "", r#"{"labels": []}"#).status, 422);
    assert!(page.requests.try_recv().is_err());
}

#[test]
fn a_caption_can_be_asked_for() {
    let page = open_page();
    assert_eq!(page.post("/caption", "", "{}").status, 202);
    assert_eq!(page.requests.try_recv().unwrap(), Request::Caption);
    let Page { web, requests } = page;
    drop(requests);
    let page = Page { web, requests: channel().1 };
    assert_eq!(page.post("/caption", "", "{}").status, 503);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let page = open_page();
    assert_eq!(page.get("/../etc/passwd").status, 404);
    assert_eq!(page.get("/caption").status, 405);
    assert_eq!(page.post("/", "", "{}").status, 405);
    assert_eq!(page.post("/nothing", "", "{}").status, 404);
    assert_eq!(page.ask("DELETE /labels", "", "").status, 405);
}

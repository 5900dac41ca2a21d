//! The web page, as a browser asks.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::{command_for, signal, start, start_pattern, wait_until};

/// What the web page at `port` answers.
fn ask(port: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer sesame\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn labels_are_edited_through_the_page_without_a_restart() {
    let web = ["--display", "web:127.0.0.1:0", "--token", "sesame", "--caption-on", "request"];
    let (mut child, mut reports) = start_pattern(&web);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = said.by_ref().map(Result::unwrap).find(|line| line.contains("web:127.0.0.1:"));
    let port = told.unwrap().rsplit(':').next().unwrap().to_owned();
    reports.next().unwrap();
    assert!(ask(&port, "POST /labels", r#"{"labels": ["zebra", "cat"]}"#).contains(" 202 "));
    let report = reports.find(|report| report["labels"].as_array().unwrap().len() == 2).unwrap();
    assert!(report["labels"].to_string().contains("zebra"), "{report}");
    assert!(ask(&port, "POST /caption", "{}").contains(" 202 "));
    assert!(reports.any(|report| !report["caption"].is_null()));
    assert!(ask(&port, "GET /healthz", "").ends_with("ok\n"));
    // The line above is printed before the page hears of the caption.
    for name in ["frames_labelled_total", "resident_memory_bytes", "captions_total"] {
        wait_until(&format!("{name} above 0"), || {
            let metrics = ask(&port, "GET /metrics", "");
            let line = metrics.lines().find(|line| line.starts_with(&format!("coca_{name} ")));
            line.is_some_and(|line| !line.ends_with(" 0"))
        });
    }
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_token_from_a_credentials_file_closes_the_page_to_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("coca-watch"), "COCA_TOKEN=sesame\n").unwrap();
    let mut command =
        command_for("test", &["--display", "web:127.0.0.1:0", "--caption-on", "never"]);
    command.env("CREDENTIALS_DIRECTORY", folder.path());
    let mut child = start(command);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = said.by_ref().map(Result::unwrap).find(|line| line.contains("web:127.0.0.1:"));
    let port = told.unwrap().rsplit(':').next().unwrap().to_owned();
    assert!(ask(&port, "GET /metrics", "").starts_with("HTTP/1.1 200"));
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

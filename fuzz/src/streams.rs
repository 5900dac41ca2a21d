//! Streams of pipes and connections: pictures one after the other, requests, answers.

use coca_watch::fuzzing;

use crate::{Seeds, Target, scratch::read_all};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "mjpeg_stream",
        run: |bytes| assert!(fuzzing::read_stream(bytes) <= bytes.len()),
        seeds: streams,
        words: MULTIPART_WORDS,
        memory: 16 << 20,
        is_slow: false,
    },
    Target {
        name: "http_answer",
        run: |bytes| assert!(fuzzing::read_answer(bytes) <= bytes.len()),
        seeds: answers,
        words: MULTIPART_WORDS,
        memory: 16 << 20,
        is_slow: false,
    },
    Target {
        name: "http_request",
        run: |bytes| assert!(fuzzing::answer_requests(bytes) <= bytes.len()),
        seeds: || Ok(REQUESTS.map(Into::into).to_vec()),
        words: &[
            "GET ",
            "HEAD ",
            "POST ",
            "HTTP/1.0\r\n",
            "HTTP/1.1\r\n",
            "\r\n\r\n",
            "\n\n",
            "Host: localhost\r\n",
            "Content-Length: ",
            "Transfer-Encoding: chunked\r\n",
            "Connection: keep-alive\r\n",
            "Origin: http://",
            "Authorization: Bearer ",
            "?token=",
            "%00",
            "%FF",
            "/events",
            "/healthz",
            "{\"labels\":[\"cat\"]}",
            "\\u0000",
            "é",
            "\u{202e}",
        ],
        memory: 16 << 20,
        is_slow: false,
    },
];

const MULTIPART_WORDS: &[&str] = &[
    "\r\n--frame\r\n",
    "Content-Type: image/jpeg\r\n",
    "Content-Length: ",
    "\r\n\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 401 Unauthorized\r\n",
    "HTTP/1.1 302 Found\r\n",
    "Location: ",
    "Location: //",
    "Location: http://camera/",
    "Transfer-Encoding: chunked\r\n",
    "WWW-Authenticate: Digest ",
    "algorithm=SHA-256,",
    "qop=\"auth,auth-int\",",
    "realm=\"",
    "nonce=\"",
    "\\\"",
    "0\r\n",
    "ffffffffffffffff\r\n",
    "10000\r\n",
    ";",
];

fn streams() -> Seeds {
    let pictures = read_all("tests/golden/vision", &["420.jpg", "progressive.jpg", "grey.jpg"])?;
    let part = |picture: &Vec<u8>| {
        let head = format!(
            "\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        [head.as_bytes(), picture.as_slice()].concat()
    };
    // Starts of pictures inside each other, as long as they may be.
    let nested = b"\xFF\xD8\xFF\xE1\xFF\xFE\0\0".repeat(64);
    let multipart = pictures.iter().flat_map(part).collect();
    Ok(vec![pictures.concat(), multipart, [nested.as_slice(), &pictures[2]].concat()])
}

fn answers() -> Seeds {
    let multipart = &streams()?[1];
    let (first, second) = multipart.split_at(multipart.len() / 2);
    let mut chunked = Vec::new();
    for piece in [first, second] {
        chunked.extend(format!("{:x};a=b\r\n", piece.len()).into_bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let kind = "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n";
    let whole = format!("HTTP/1.0 200 OK\r\nServer: camera\r\n{kind}\r\n").into_bytes();
    let in_chunks =
        format!("HTTP/1.1 200 OK\r\n{kind}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let login = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"camera\"\r\n\
        WWW-Authenticate: Digest realm=\"camera \\\"1\\\"\", nonce=\"abc\", opaque=\"x\", qop=\"auth\", algorithm=MD5\r\n\
        Content-Length: 0\r\n\r\n";
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://camera:80/live?channel=1#top\r\n\r\n";
    Ok(vec![
        [&whole, multipart.as_slice()].concat(),
        [in_chunks, chunked].concat(),
        login.into(),
        redirect.into(),
    ])
}

const REQUESTS: [&str; 4] = [
    "GET /?token=a%20b HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n\
     HEAD /snapshot.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "POST /labels HTTP/1.1\r\nHost: [::1]:8080\r\nOrigin: http://[::1]:8080\r\nSec-Fetch-Site: same-origin\r\n\
     Content-Type: application/json; charset=utf-8\r\nContent-Length: 32\r\n\r\n\
     {\"labels\": [\"cat\", \" red  fox \"]}",
    "POST /caption HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\nContent-Type: application/json\r\n\
     Content-Length: 0\r\n\r\nGET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "GET /events HTTP/1.1\r\nHost: localhost.\r\nLast-Event-ID: 7\r\n\r\n",
];

//! A hub id is fetched once, resumed if it broke off, and needs no network the second time.
//!
//! The hub is a server on this machine: `HF_ENDPOINT` points there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex, mpsc},
    thread,
};

/// A CoCa of open_clip.
const MODEL: &str = "laion/CoCa-tiny";
/// A CLIP of transformers.
const CLIP: &str = "wkcn/TinyCLIP-tiny";

/// The file that a request is for.
fn requested(path: &str) -> Option<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    [(MODEL, "open_clip/plain"), (CLIP, "transformers/tinyclip")].into_iter().find_map(
        |(model, folder)| {
            let name = path.strip_prefix(&format!("/{model}/resolve/main/"))?;
            Some(golden.join(folder).join(name))
        },
    )
}

/// A hub with two models, which breaks its first long answer off in the middle.
struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    stop: mpsc::Sender<()>,
    server: Option<thread::JoinHandle<()>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel();
        let log = Arc::clone(&requests);
        let server = thread::spawn(move || {
            let mut broken = false;
            for stream in listener.incoming() {
                if stopped.try_recv().is_ok() {
                    return;
                }
                answer(&mut stream.unwrap(), &log, &mut broken);
            }
        });
        Self { endpoint, requests, stop, server: Some(server) }
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.stop.send(()).unwrap();
            let _ = TcpStream::connect(self.endpoint.trim_start_matches("http://"));
            server.join().unwrap();
        }
    }
}

/// One request of one connection, answered as the hub does: ranges, a commit and an etag.
fn answer(stream: &mut TcpStream, log: &Mutex<Vec<String>>, broken: &mut bool) {
    let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let Some(request) = lines.first() else { return };
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let range = lines
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    log.lock().unwrap().push(format!("{path} {}", range.clone().unwrap_or_default()));
    let Some(bytes) = requested(&path).and_then(|file| fs::read(file).ok()) else {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        return;
    };
    let range = range.unwrap_or_default();
    let (start, end) = range.split_once('-').unwrap_or_default();
    let start: usize = start.parse().unwrap_or(0);
    let end: usize = end.parse().map_or(bytes.len(), |last: usize| last + 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\
         ETag: \"{}\"\r\nX-Repo-Commit: 0123abc\r\nConnection: close\r\n\r\n",
        end - start,
        end - 1,
        bytes.len(),
        path.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    let breaks = !*broken && end - start > 100_000;
    *broken |= breaks;
    let end = if breaks { start + 50_000 } else { end };
    // The client may hang up.
    let _ = stream.write_all(&bytes[start..end]);
}

fn import(home: &Path, endpoint: &str, id: &str, out: &str) -> Output {
    import_with(home, endpoint, &[id, out])
}

fn import_with(home: &Path, endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
        .arg("import")
        .args(arguments)
        .current_dir(home)
        .env("HF_HOME", home.join("hub"))
        .env("HF_ENDPOINT", endpoint)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_hub_id_is_fetched_resumed_and_then_used_offline() {
    let home = tempfile::tempdir().unwrap();
    let mut hub = Hub::start();

    let output = import(home.path(), &hub.endpoint, MODEL, "first");
    assert!(output.status.success(), "{}", stderr(&output));
    let requests = hub.requests.lock().unwrap().clone();
    let resumed = format!("/{MODEL}/resolve/main/open_clip_pytorch_model.bin 50000-");
    assert!(requests.contains(&resumed), "{requests:?}");

    let output = import(home.path(), &hub.endpoint, "laion/no-such-model", "second");
    assert_eq!(output.status.code(), Some(1));
    let expected = "coca-quantize: laion/no-such-model: no such file or folder here, and not to be had from the hub: \
                    it has no such model or file\n";
    assert_eq!(stderr(&output), expected);
    assert!(!home.path().join("second").exists());

    hub.stop();
    let output = import(home.path(), &hub.endpoint, MODEL, "third");
    assert!(output.status.success(), "{}", stderr(&output));
    let config =
        |folder: &str| fs::read_to_string(home.path().join(folder).join("coca.json")).unwrap();
    assert_eq!(config("first"), config("third"));
    assert!(config("first").contains("https://huggingface.co/laion/CoCa-tiny"));
    assert!(config("first").contains("\"licence\": \"MIT\""));
}

#[test]
fn a_clip_of_transformers_is_fetched_and_then_used_offline() {
    let home = tempfile::tempdir().unwrap();
    let mut hub = Hub::start();
    let output = import(home.path(), &hub.endpoint, CLIP, "first");
    assert!(output.status.success(), "{}", stderr(&output));
    hub.stop();
    let output = import(home.path(), &hub.endpoint, CLIP, "second");
    assert!(output.status.success(), "{}", stderr(&output));
    let [first, second] = ["first", "second"]
        .map(|folder| fs::read_to_string(home.path().join(folder).join("coca.json")).unwrap());
    assert_eq!(first, second);
    assert!(first.contains("\"licence\": \"unknown"), "{first}");
}

#[test]
fn one_command_leads_from_a_hub_id_to_an_int8_model_without_another_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos");
    let arguments = [MODEL, "out", "--to", "int8", "--calibrate", photos.to_str().unwrap()];
    let output = import_with(home.path(), &hub.endpoint, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let config = fs::read_to_string(home.path().join("out/coca.json")).unwrap();
    assert!(config.contains("\"precision\": \"int8\""), "{config}");
    let mut left: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["hub", "out"]);
}

#[test]
fn without_a_network_a_hub_id_is_an_error_of_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    let output = import(home.path(), "http://127.0.0.1:9", MODEL, "out");
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with(&format!(
            "coca-quantize: {MODEL}: no such file or folder here, and not to be"
        )),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    let files = "download open_clip_config.json and open_clip_model.safetensors or open_clip_pytorch_model.bin from \
                 https://huggingface.co/laion/CoCa-tiny/tree/main into a folder; copy the folder here and import it";
    assert!(message.contains(files), "{message}");
    assert_eq!(
        fs::read_dir(home.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name() != "hub")
            .count(),
        0
    );
}

//! `coca` killed at any moment leaves the older file or the new one, whole, and what it leaves beside it goes with the next
//! run.
//!
//! The long run: `cargo test --release --workspace --test killed -- --ignored --nocapture`.
#![cfg(all(target_os = "linux", feature = "cli"))]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod killing;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coca_edge::{
    Coca,
    index::{Error, Index, Query},
};
use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use killing::{FEW, MANY, kill_at_many_moments};
use tempfile::TempDir;

const PHOTOS: [&str; 4] = ["cat.jpg", "coffee.jpg", "photographer.jpg", "rocket.jpg"];

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos").join(name)
}

/// A folder with the smallest model of `tests/golden` in it, and a folder `out` for what is killed.
struct Workplace {
    folder: TempDir,
    coca: Coca,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/open_clip/pooler");
        let options = Options { storage: Storage::F32, config: None, progress: false };
        let model = folder.path().join("model");
        import(golden.to_str().unwrap(), &model, &options, &|_| ()).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        Self { coca: Coca::open(&model).unwrap(), folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
        command.current_dir(self.folder.path()).args(["--model", "model", "--quiet"]);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) {
        assert!(self.command(arguments).output().unwrap().status.success());
    }

    /// The labels of the table `out/table`, whose checksum is right.
    fn labels(&self) -> Vec<String> {
        self.coca.load_labels(self.at("out/table")).unwrap().names().to_vec()
    }

    /// Two commands write the same file in the folder `out` by turns, the second first.
    fn kill(&self, kills: u32, commands: [&[&str]; 2], check: impl FnMut()) {
        self.run(commands[1]);
        let command = |round| self.command(commands[round as usize % 2]);
        kill_at_many_moments(kills, &self.at("out"), command, check);
    }
}

fn kill_labels_build(kills: u32) {
    let place = Workplace::new();
    let lists = [&["cat", "dog"][..], &["cup of coffee", "rocket", "house"]];
    fs::write(place.at("a"), lists[0].join("\n")).unwrap();
    fs::write(place.at("b"), lists[1].join("\n")).unwrap();
    let commands =
        ["a", "b"].map(|list| ["labels", "build", "--labels-file", list, "-o", "out/table"]);
    place.kill(kills, commands.each_ref().map(|command| &command[..]), || {
        assert!(lists.contains(&&*place.labels().iter().map(String::as_str).collect::<Vec<_>>()));
    });
}

fn kill_labels_add(kills: u32) {
    let place = Workplace::new();
    fs::write(place.at("list"), "cat\ndog").unwrap();
    place.run(&["labels", "build", "--labels-file", "list", "-o", "table"]);
    let photo = photo("coffee.jpg");
    let command = |_| {
        fs::copy(place.at("table"), place.at("out/table")).unwrap();
        place.command(&["labels", "add", "out/table", "cup", photo.to_str().unwrap()])
    };
    kill_at_many_moments(kills, &place.at("out"), command, || {
        assert!(["cat dog", "cat dog cup"].contains(&&*place.labels().join(" ")));
    });
}

fn kill_teach(kills: u32) {
    let place = Workplace::new();
    let lists = ["cat cup", "cup rocket"];
    for list in lists {
        for label in list.split(' ') {
            let folder = place.at(list).join(label);
            fs::create_dir_all(&folder).unwrap();
            let name = if label == "cup" { "coffee.jpg" } else { &format!("{label}.jpg") };
            fs::copy(photo(name), folder.join(name)).unwrap();
        }
    }
    let commands = lists.map(|list| ["teach", list, "-o", "out/table"]);
    place.kill(kills, commands.each_ref().map(|command| &command[..]), || {
        assert!(lists.contains(&&*place.labels().join(" ")));
    });
}

fn kill_embed(kills: u32) {
    let place = Workplace::new();
    let commands = ["cat", "dog"]
        .map(|text| ["embed", "--text", text, "--format", "npy", "-o", "out/embedding.npy"]);
    let commands = commands.each_ref().map(|command| &command[..]);
    let read = || fs::read(place.at("out/embedding.npy")).unwrap();
    let expected = commands.map(|command| {
        place.run(command);
        read()
    });
    place.kill(kills, commands, || assert!(expected.contains(&read())));
}

fn kill_png(kills: u32) {
    let place = Workplace::new();
    let sizes = [(160, 120), (320, 240)];
    let displays = sizes.map(|(width, height)| format!("png:out/now.png?size={width}x{height}"));
    let usual =
        ["watch", "--source", "test", "--fps", "60", "--labels", "cat,dog", "--frames", "8"];
    let commands =
        displays.each_ref().map(|display| [&usual[..], &["--display", display]].concat());
    place.kill(kills, commands.each_ref().map(Vec::as_slice), || {
        let picture = image::open(place.at("out/now.png")).unwrap();
        assert!(sizes.contains(&(picture.width(), picture.height())));
    });
}

fn kill_index(kills: u32) {
    let place = Workplace::new();
    fs::create_dir(place.at("photos")).unwrap();
    PHOTOS.iter().for_each(|name| drop(fs::copy(photo(name), place.at("photos").join(name))));
    let command = |round| {
        // Most begin anew, some go on. One that was killed early has made no folder.
        if round % 3 > 0 && place.at("out").exists() {
            fs::remove_dir_all(place.at("out")).unwrap();
        }
        place.command(&["index", "photos", "--index", "out"])
    };
    let mut most = 0;
    kill_at_many_moments(kills, &place.at("out"), command, || {
        let index = match Index::open(place.at("out")) {
            Err(Error::NotAnIndex { .. }) => return,
            index => index.unwrap(),
        };
        let pictures = index.pictures().unwrap();
        most = most.max(pictures.len());
        for picture in pictures {
            let photo = image::open(place.at(&picture.path)).unwrap();
            let encoded = place.coca.encode_image(photo).unwrap();
            let query = Query::near(encoded.embedding().clone()).top_k(1);
            assert_eq!(index.search(&query).unwrap().hits[0].picture.path, picture.path);
        }
    });
    assert_eq!(most, PHOTOS.len());
}

#[test]
fn a_killed_labels_build_leaves_the_older_table_or_the_new_one() {
    kill_labels_build(FEW);
}

#[test]
fn a_killed_labels_add_leaves_the_older_table_or_the_new_one() {
    kill_labels_add(FEW);
}

#[test]
fn a_killed_teach_leaves_the_older_table_or_the_new_one() {
    kill_teach(FEW);
}

#[test]
fn a_killed_embed_leaves_the_older_file_or_the_new_one() {
    kill_embed(FEW);
}

#[test]
fn a_killed_watch_leaves_a_whole_picture() {
    kill_png(FEW);
}

#[test]
fn a_killed_index_leaves_none_or_one_that_finds_what_is_in_it() {
    kill_index(FEW);
}

#[test]
#[ignore = "takes minutes"]
fn hundreds_of_kills_leave_the_older_file_or_the_new_one() {
    for kill in [kill_labels_build, kill_labels_add, kill_teach, kill_embed, kill_png, kill_index] {
        kill(MANY);
    }
}

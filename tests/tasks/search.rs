//! `coca index`, `coca search` and `coca similar`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use coca_edge::{
    Coca,
    index::{IndexWriter, Picture},
};
use serde_json::Value;

use crate::command::{photo, stderr};

/// A folder with the four photos of the tests, two of them in a subfolder.
struct Photos(tempfile::TempDir);

impl Photos {
    fn new() -> Self {
        let photos = Self(tempfile::tempdir().unwrap());
        fs::create_dir(photos.path("trip")).unwrap();
        for (from, to) in [
            ("cat.jpg", "cat.jpg"),
            ("coffee.jpg", "coffee.jpg"),
            ("photographer.jpg", "trip/photographer.jpg"),
            ("rocket.jpg", "trip/rocket.jpg"),
        ] {
            fs::copy(photo(from), photos.path(to)).unwrap();
        }
        photos
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `coca` in the folder.
    fn coca(&self, arguments: &[&str]) -> Output {
        coca_in(self.0.path(), arguments)
    }

    /// The messages of `coca index`.
    fn index(&self, arguments: &[&str]) -> String {
        let output = self.coca(&[&["index", "."], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    }

    /// The paths that a search gives, without a cut.
    fn found(&self, arguments: &[&str]) -> Vec<String> {
        let all = ["search", "--min-z", "-9", "--format", "paths"];
        let output = self.coca(&[&all, arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).lines().map(str::to_owned).collect()
    }
}

fn coca_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coca")).args(arguments).current_dir(folder).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn finds_pictures_by_words_from_any_folder_below_the_index() {
    let photos = Photos::new();
    assert!(photos.index(&[]).contains("4 encoded"), "the first run");
    assert!(photos.path(".coca/index.redb").is_file());
    assert_eq!(photos.found(&["a cat", "--top-k", "1"]), ["cat.jpg"]);
    assert_eq!(
        photos.found(&["a", "man", "with", "a", "camera", "--top-k", "1"]),
        ["trip/photographer.jpg"]
    );
    let below =
        coca_in(&photos.path("trip"), &["search", "a cat", "--top-k", "1", "--min-z", "-9"]);
    assert!(stdout(&below).contains("  ../cat.jpg"), "{}", stdout(&below));
}

#[test]
fn a_line_of_json_has_the_keys_that_other_programs_rely_on() {
    let photos = Photos::new();
    fs::write(photos.path("labels.txt"), "cat\ncup of coffee\nrocket\ncamera\n").unwrap();
    photos.index(&["--captions", "--labels-file", "labels.txt"]);
    let output = photos.coca(&["search", "a cat", "--min-z", "-9", "--format", "jsonl"]);
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 4);
    let cat = &lines[0];
    assert_eq!(cat["source"], "cat.jpg");
    assert!(cat["score"].as_f64().unwrap() > lines[1]["score"].as_f64().unwrap(), "{cat}");
    assert!(cat["z"].is_number() && cat["camera"].is_null(), "{cat}");
    assert_eq!(cat["labels"][0], "cat");
    assert!(cat["caption"].as_str().unwrap().contains("cat"), "{cat}");
    assert!(cat["time"].as_str().unwrap().ends_with('Z'), "{cat}");
    assert_eq!(photos.found(&["thing", "--label", "cup of coffee"]), ["coffee.jpg"]);
    assert_eq!(photos.found(&["cats", "--by", "caption"]), ["cat.jpg"]);
    assert_eq!(photos.found(&["a cat", "--by", "both", "--top-k", "1"]), ["cat.jpg"]);
    let reranked = photos.found(&["a cat on a laptop", "--rerank", "4", "--top-k", "2"]);
    assert!(reranked.len() == 2 && reranked[0] == "cat.jpg", "{reranked:?}");
}

#[test]
fn conditions_leave_pictures_out() {
    let photos = Photos::new();
    photos.index(&[]);
    let mut trip = photos.found(&["a cat", "--path", "trip/*"]);
    trip.sort();
    assert_eq!(trip, ["trip/photographer.jpg", "trip/rocket.jpg"]);
    assert_eq!(photos.found(&["a cat", "--after", "1970-01-02"]).len(), 4);
    let output = photos.coca(&["search", "a cat", "--before", "1970-01-02", "--min-z", "-9"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((stdout(&output), stderr(&output).trim_end()), ("", "nothing like that"));
}

#[test]
fn says_what_is_nearest_when_nothing_stands_out() {
    let photos = Photos::new();
    photos.index(&[]);
    let output = photos.coca(&["search", "cat", "--format", "paths"]);
    assert_eq!(stdout(&output), "cat.jpg\n", "what fits no better than other words is left out");
    let output = photos.coca(&["search", "a cat", "--min-z", "9"]);
    assert_eq!(output.status.code(), Some(1), "as grep does");
    assert_eq!(stdout(&output), "");
    let message = stderr(&output);
    assert!(message.contains("nothing like that: the nearest is cat.jpg"), "{message}");
}

#[test]
fn a_picture_finds_others_and_not_itself() {
    let photos = Photos::new();
    photos.index(&[]);
    let others = photos.found(&["--image", "cat.jpg"]);
    assert!(others.len() == 3 && !others.contains(&"cat.jpg".to_owned()), "{others:?}");
    let found = photos.found(&["./cat.jpg + a cup of coffee", "--top-k", "1"]);
    assert_eq!(found, ["coffee.jpg"]);
    let found = photos.found(&["a cat", "--not", "a cat on a laptop", "--not", "a cat"]);
    assert_ne!(found[0], "cat.jpg");
}

#[test]
fn what_is_unchanged_or_moved_is_not_encoded_again() {
    let photos = Photos::new();
    photos.index(&[]);
    assert_eq!(photos.index(&[]), "", "nothing to say");
    fs::rename(photos.path("cat.jpg"), photos.path("trip/tom.jpg")).unwrap();
    fs::copy(photos.path("coffee.jpg"), photos.path("copy.jpg")).unwrap();
    fs::copy(photos.path("trip/rocket.jpg"), photos.path("trip/photographer.jpg")).unwrap();
    let report = photos.index(&[]);
    assert!(report.contains("0 encoded, 3 moved or copied, 2 unchanged"), "{report}");
    assert_eq!(photos.found(&["a cat", "--top-k", "1"]), ["trip/tom.jpg"]);
    assert_eq!(photos.found(&["a cat"]).len(), 5);
}

#[test]
fn a_changed_picture_is_encoded_again_and_a_removed_one_is_pruned_when_asked() {
    let photos = Photos::new();
    photos.index(&[]);
    image::RgbImage::from_pixel(90, 90, image::Rgb([200, 30, 30]))
        .save(photos.path("cat.jpg"))
        .unwrap();
    let report = photos.index(&[]);
    assert!(report.contains("1 encoded, 0 moved or copied, 3 unchanged"), "{report}");
    fs::remove_file(photos.path("coffee.jpg")).unwrap();
    photos.index(&[]);
    assert_eq!(photos.found(&["a cat"]).len(), 4, "a disk that is not there is not forgotten");
    assert!(photos.index(&["--prune"]).contains("1 gone"));
    assert_eq!(photos.found(&["a cat"]).len(), 3);
}

#[test]
fn pruning_thousands_of_pictures_gives_back_their_room() {
    let photos = Photos::new();
    let coca = Coca::pocket().unwrap();
    let mut writer = IndexWriter::open_for(photos.path(".coca"), &coca).unwrap();
    let embedding = coca.encode_text("a cat").unwrap();
    for i in 0..5000 {
        let picture = Picture { path: format!("gone/{i}.jpg"), ..Picture::default() };
        writer.add(picture, &embedding).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    assert!(
        photos.index(&["--prune"]).contains("4 encoded, 0 moved or copied, 0 unchanged, 5000 gone")
    );
    assert!(!photos.path(".coca/codes-0").exists());
    let width = embedding.as_slice().len() as u64;
    assert_eq!(fs::metadata(photos.path(".coca/vectors-1")).unwrap().len(), 4 * 4 * width);
    assert_eq!(photos.found(&["a cat"]).len(), 4);
    assert_eq!(photos.found(&["a cat", "--top-k", "1"]), ["cat.jpg"]);
    assert_eq!(photos.index(&["--prune"]), "", "nothing to say");
}

#[test]
fn a_file_that_is_no_picture_is_reported_and_the_others_are_indexed() {
    let photos = Photos::new();
    fs::write(photos.path("broken.jpg"), "no picture").unwrap();
    fs::write(photos.path(".hidden.jpg"), "no picture").unwrap();
    fs::create_dir(photos.path("skip")).unwrap();
    fs::write(photos.path("skip/broken.png"), "no picture").unwrap();
    let output = photos.coca(&["index", ".", "--exclude", "skip"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("broken.jpg: not a picture"), "{message}");
    assert!(message.contains("4 encoded") && message.contains("1 failed"), "{message}");
    assert_eq!(photos.found(&["a cat"]).len(), 4);
}

#[test]
fn an_index_may_stand_elsewhere() {
    let (photos, elsewhere) = (Photos::new(), tempfile::tempdir().unwrap());
    let index = elsewhere.path().join("photos.index");
    let index = index.to_str().unwrap();
    photos.index(&["--index", index]);
    assert!(!photos.path(".coca").exists());
    let found = photos.found(&["a cat", "--top-k", "1", "--index", index]);
    assert_eq!(Path::new(&found[0]), photos.path("cat.jpg").canonicalize().unwrap());
}

#[test]
fn groups_copies_and_may_look_across_folders_alone() {
    let photos = Photos::new();
    fs::copy(photos.path("cat.jpg"), photos.path("cat2.jpg")).unwrap();
    fs::copy(photos.path("trip/rocket.jpg"), photos.path("rocket.jpg")).unwrap();
    photos.index(&[]);
    let groups = |arguments: &[&str]| -> Vec<Value> {
        let output = photos.coca(&[&["similar", "--format", "jsonl"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        json_lines(&output)
    };
    assert_eq!(groups(&[]).len(), 2);
    let across = groups(&["--across-folders"]);
    assert_eq!(across.len(), 1);
    let mut pictures: Vec<&str> =
        across[0]["pictures"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    pictures.sort_unstable();
    assert_eq!(pictures, ["rocket.jpg", "trip/rocket.jpg"]);
    assert!(across[0]["cosine"].as_f64().unwrap() > 0.9999);
}

#[test]
fn a_contact_sheet_holds_its_pictures() {
    let photos = Photos::new();
    photos.index(&[]);
    let search = ["search", "<b>a cat", "--min-z", "-9", "--format", "html"];
    let output = photos.coca(&search);
    let page = stdout(&output);
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,/9j/").count(), 4);
    assert!(page.contains("&lt;b&gt;a cat") && !page.contains("<b>a cat"), "escaped");
    assert!(page.contains("cat.jpg") && page.contains("href=\"file:///"));
}

#[test]
fn queries_and_indexes_that_make_no_sense_are_refused_with_the_way_out() {
    let photos = Photos::new();
    let says = |code: i32, arguments: &[&str], part: &str| {
        let output = photos.coca(arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
    };
    says(2, &["search", "a cat"], "make one with `coca index PATH`");
    says(1, &["search", "a cat", "--index", "trip"], "make one with `coca index PATH`");
    says(2, &["index", "cat.jpg"], "expected a folder, or --index FOLDER");
    says(1, &["index", "no such folder"], "no such folder");
    says(1, &["index", ".", "--index", "cat.jpg"], "cat.jpg: not a folder");
    fs::create_dir(photos.path("rest")).unwrap();
    fs::write(photos.path("rest/codes-0"), "of an index").unwrap();
    says(1, &["index", ".", "--index", "rest"], "holds codes-0 but no index.redb");
    photos.index(&[]);
    says(2, &["search"], "expected words or --image");
    says(2, &["search", "a cat +"], "is missing");
    says(2, &["search", "a cat", "--path", "a["], "not a pattern");
    says(2, &["search", "a cat", "--after", "yesterday"], "expected 2026-11-23");
    says(2, &["search", "--image", "cat.jpg", "--by", "caption"], "the query has none");
}

//! `coca teach`, and `coca labels` on what it makes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{answered, coca, json, lines, photo, refused, stderr},
    pictures::write_pictures,
};

const KINDS: [&str; 3] = ["wovel", "brint", "stroz"];

struct Taught {
    folder: TempDir,
    report: Value,
}

impl Taught {
    /// Three labels of made-up names, of `count` pictures each.
    fn with(count: u32, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (kind, label) in (0..).zip(KINDS) {
            write_pictures(&folder.path().join("in").join(label), kind, 0, count);
            write_pictures(&folder.path().join("new").join(label), kind, 50, 2);
        }
        let (input, table) = (path(folder.path(), "in"), path(folder.path(), "t.table"));
        let arguments = ["teach", &input, "-o", &table, "--report", "json", "--quiet"];
        let report = json(&[&arguments[..], more].concat());
        Self { folder, report }
    }

    fn path(&self, name: &str) -> String {
        path(self.folder.path(), name)
    }

    fn table(&self) -> String {
        self.path("t.table")
    }

    fn check(&self) -> Value {
        let check = ["labels", "check", &self.table(), &self.path("new"), "--format", "json"];
        json(&check)
    }
}

fn path(folder: &Path, name: &str) -> String {
    let path: PathBuf = folder.join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_taught_table_is_a_label_table() {
    let taught = Taught::with(4, &[]);
    assert_eq!(taught.report["labels"].as_array().unwrap().len(), 3);
    assert!(taught.report["accuracy"].as_f64() >= taught.report["names_alone"].as_f64());
    let picture = taught.path("new/brint/50.png");
    let arguments = ["classify", &picture, "--table", &taught.table(), "--format", "jsonl"];
    let answer = lines(&arguments).remove(0);
    let labels = answer["labels"].as_array().unwrap();
    assert_eq!(labels.len(), 3, "{answer}");
    assert_eq!(labels[0]["label"], "brint", "{answer}");
    let sum: f64 = labels.iter().map(|label| label["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    assert_eq!(taught.check()["accuracy"], 1.0, "{}", taught.check());
}

#[test]
fn every_method_and_views_teach() {
    for more in
        [["--method", "tip"], ["--method", "prototype"], ["--method", "gda"], ["--views", "3"]]
    {
        let taught = Taught::with(2, &more);
        assert!(taught.check()["accuracy"].as_f64().unwrap() > 0.6, "{more:?} {}", taught.check());
    }
}

#[test]
fn a_folder_named_none_teaches_what_is_none_of_the_labels() {
    let others = tempfile::tempdir().unwrap();
    for name in ["cat.jpg", "coffee.jpg", "rocket.jpg"] {
        std::fs::copy(photo(name), others.path().join(name)).unwrap();
    }
    let taught = Taught::with(4, &["--none", others.path().to_str().unwrap()]);
    assert_eq!(taught.report["none"]["pictures"], 3, "{}", taught.report);
    let classify = |picture: &str| {
        let arguments = ["classify", picture, "--table", &taught.table(), "--format", "jsonl"];
        lines(&arguments).remove(0)["labels"][0].clone()
    };
    let best = classify(&photo("photographer.jpg"));
    assert_eq!(best["label"], "none", "{best}");
    assert!(best.get("cosine").is_none(), "{best}");
    assert_eq!(classify(&taught.path("new/wovel/51.png"))["label"], "wovel");
}

#[test]
fn labels_are_listed_added_to_and_removed() {
    let taught = Taught::with(2, &["--labels", "cat,dog"]);
    let table = taught.table();
    let list = || {
        let lines = lines(&["labels", "list", &table, "--format", "jsonl"]);
        let count = |line: &Value| line["pictures"].as_array().unwrap().len();
        let entry = |line: &Value| (line["label"].as_str().unwrap().to_owned(), count(line));
        lines.iter().map(entry).collect::<Vec<_>>()
    };
    let named = |list: Vec<(String, usize)>| {
        list.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(named(list()), "cat 0, dog 0, brint 2, stroz 2, wovel 2");
    answered(&["labels", "add", &table, "brint", &taught.path("new/brint")]);
    answered(&["labels", "add", &table, "rocket", &photo("rocket.jpg"), "--quiet"]);
    answered(&["labels", "remove", &table, "dog"]);
    assert_eq!(named(list()), "cat 0, brint 4, stroz 2, wovel 2, rocket 1");
    assert!(answered(&["labels", "list", &table]).contains("   4  brint"));
    let sentence = refused(&["labels", "remove", &table, "dog"]);
    assert!(sentence.contains("\"dog\"") && sentence.contains("brint"), "{sentence}");
}

#[test]
fn a_label_that_the_model_cannot_tell_from_another_is_refused() {
    let taught = Taught::with(1, &[]);
    let (input, table) = (taught.path("new"), taught.table());
    let added = refused(&["labels", "add", &table, "Wovel", &photo("cat.jpg")]);
    let base = refused(&["teach", &input, "-o", &table, "--labels", "cat,WOVEL"]);
    for (sentence, label) in [(added, "wovel"), (base, "WOVEL")] {
        let expected = format!("the same to the model as the label {label:?}");
        assert!(sentence.contains(&expected), "{sentence}");
    }
}

#[test]
fn a_base_table_keeps_its_pictures() {
    let taught = Taught::with(2, &[]);
    let (input, output) = (taught.path("new"), taught.path("more.table"));
    let arguments = ["teach", &input, "-o", &output, "--base", &taught.table(), "--report", "json"];
    assert_eq!(json(&arguments)["pictures"], 12);
}

#[test]
fn the_report_is_for_people_unless_json_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, label) in (0..).zip(KINDS) {
        write_pictures(&folder.path().join(label), kind, 0, 2 + 5 * kind);
    }
    let table = path(folder.path(), "t.table");
    let text = answered(&["teach", folder.path().to_str().unwrap(), "-o", &table]);
    assert!(text.contains("by the names alone"), "{text}");
    assert!(text.contains("wovel") && text.contains("times the pictures of another"), "{text}");
}

#[test]
fn an_unreadable_picture_is_reported_and_the_others_teach() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, label) in (0..2).zip(KINDS) {
        write_pictures(&folder.path().join(label), kind, 0, 2);
    }
    std::fs::write(folder.path().join("wovel/x.jpg"), "no picture").unwrap();
    let table = path(folder.path(), "t.table");
    let output = coca(&["teach", folder.path().to_str().unwrap(), "-o", &table]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("x.jpg: not a picture"), "{}", stderr(&output));
    assert!(Path::new(&table).is_file());
}

#[test]
fn what_is_no_folder_of_labels_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = path(folder.path(), "t.table");
    let sentence = refused(&["teach", folder.path().to_str().unwrap(), "-o", &table]);
    assert!(sentence.contains("expected a folder of pictures for each label"), "{sentence}");
    let taught = Taught::with(1, &[]);
    let unknown = taught.path("in2/foreign");
    write_pictures(Path::new(&unknown), 1, 0, 1);
    let check = refused(&["labels", "check", &taught.table(), &taught.path("in2")]);
    assert!(check.contains("\"foreign\" is no label"), "{check}");
}

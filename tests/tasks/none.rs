//! `--none`: scores that can say that nothing fits.

use serde_json::Value;

use crate::command::{answered, coca, lines, photo, refused, stderr};

fn classify(picture: &str, more: &[&str]) -> Vec<Value> {
    let photo = photo(picture);
    let arguments = ["classify", &photo, "--labels", "rocket,horse,bus", "--format", "jsonl"];
    let mut answer = lines(&[&arguments[..], more].concat()).remove(0);
    answer["labels"].take().as_array().unwrap().clone()
}

#[test]
fn without_it_something_wins_and_with_it_none_does_where_nothing_fits() {
    assert_eq!(classify("cat.jpg", &[]).len(), 3);
    let labels = classify("cat.jpg", &["--none"]);
    assert_eq!(labels[0]["label"], "none", "{labels:?}");
    assert_eq!(labels.len(), 4);
    let photo = photo("cat.jpg");
    let fitting = ["classify", &photo, "--labels", "cat,horse,bus", "--none", "--format", "jsonl"];
    assert_eq!(lines(&fitting)[0]["labels"][0]["label"], "cat");
}

#[test]
fn it_may_have_another_name() {
    let labels = classify("cat.jpg", &["--none", "something else"]);
    assert_eq!(labels[0]["label"], "something else");
}

#[test]
fn every_other_label_has_its_cosine() {
    for label in classify("cat.jpg", &["--none"]) {
        let has_cosine = label["cosine"].as_f64().is_some_and(|cosine| cosine.abs() <= 1.0);
        assert_eq!(has_cosine, label["label"] != "none", "{label}");
    }
}

#[test]
fn a_picture_is_not_taken_for_its_name() {
    let photo = photo("cat.jpg");
    let sentence = refused(&["classify", "--none", &photo, &photo, "--labels", "cat"]);
    assert!(sentence.contains("write --none=NAME"), "{sentence}");
}

#[test]
fn a_label_of_its_name_is_refused() {
    let photo = photo("cat.jpg");
    let sentence = refused(&["classify", &photo, "--labels", "cat,none", "--none"]);
    assert!(sentence.contains("there is such a label already"), "{sentence}");
}

#[test]
fn text_says_once_that_scores_are_shares() {
    let photo = photo("cat.jpg");
    let output = coca(&["classify", &photo, &photo, "--labels", "cat,dog"]);
    assert_eq!(stderr(&output).matches("shares").count(), 1, "{}", stderr(&output));
    let output = coca(&["classify", &photo, "--labels", "cat,dog", "--none"]);
    assert_eq!(stderr(&output), "");
    assert!(answered(&["classify", &photo, "--labels", "cat,dog", "--quiet"]).contains("cat"));
}

#[test]
fn a_trigger_on_labels_of_ones_own_brings_it_unless_it_is_declined() {
    let photo = photo("cat.jpg");
    let watch = |more: &[&str]| {
        let arguments = [
            "watch",
            "--source",
            &photo,
            "--labels",
            "rocket,horse",
            "--frames",
            "1",
            "--format",
            "jsonl",
            "--caption-on",
            "never",
            "--quiet",
        ];
        let report = lines(&[&arguments[..], more].concat()).remove(0);
        report["labels"].as_array().unwrap().len()
    };
    assert_eq!(watch(&[]), 2);
    assert_eq!(watch(&["--none"]), 3);
    assert_eq!(watch(&["--on-label", "rocket=true"]), 3);
    assert_eq!(watch(&["--on-label", "rocket=true", "--no-none"]), 2);
}

//! `coca score`

use coca_edge::{Coca, Engine, Error, tasks::Evidence, tasks::ScoreOptions};
use serde_json::Value;

use crate::command::{answered, coca, lines, photo, refused, stderr};

const TEXTS: [&str; 4] = ["--text", "a cat on a sofa", "--text", "a rocket in the sky"];

fn scores(more: &[&str]) -> Vec<Value> {
    let photo = photo("cat.jpg");
    let arguments = [&["score", photo.as_str(), "--format", "jsonl"], &TEXTS[..], more].concat();
    lines(&arguments).remove(0)["scores"].as_array().unwrap().clone()
}

#[test]
fn the_fitting_text_scores_most_with_every_kind_of_evidence() {
    for by in ["both", "caption", "contrastive"] {
        let scores = scores(&["--by", by]);
        let of = |i: usize| scores[i]["score"].as_f64().unwrap();
        assert_eq!(scores[0]["text"], "a cat on a sofa");
        assert!(of(0) > of(1), "{scores:?}");
        assert!((of(0) + of(1) - 1.0).abs() < 1e-5, "{scores:?}");
        assert!(scores[0]["cosine"].as_f64().unwrap() > scores[1]["cosine"].as_f64().unwrap());
    }
}

#[test]
fn likelihoods_stand_beside_their_priors_unless_the_decoder_is_not_asked() {
    let with = scores(&["--by", "both"]);
    assert!(with[0]["log_prob"].as_f64().unwrap() < 0.0, "{with:?}");
    assert!(with[0]["prior"].as_f64().unwrap() < 0.0, "{with:?}");
    assert!(with[0]["tokens"].as_u64().unwrap() >= 6, "{with:?}");
    let without = scores(&["--by", "contrastive"]);
    assert!(without[0].get("log_prob").is_none() && without[0].get("prior").is_none());
}

#[test]
fn alpha_takes_the_prior_off() {
    let coca = Coca::pocket_with(&Engine::builder().threads(1).build().unwrap()).unwrap();
    let image = coca.encode_image(image::open(photo("cat.jpg")).unwrap()).unwrap();
    for alpha in [0.0, 0.5, 1.0] {
        let options = ScoreOptions { by: Some(Evidence::Caption), alpha };
        let scored = coca.text_scorer(["a cat", "a dog"], options).unwrap().score(&image).unwrap();
        for text in scored {
            let expected = text.log_prob.unwrap() - alpha * text.prior.unwrap();
            assert!((text.evidence - expected).abs() < 1e-5, "{text:?}");
        }
    }
}

#[test]
fn a_text_scores_the_same_in_a_long_list_as_alone() {
    let coca = Coca::pocket_with(&Engine::builder().threads(1).build().unwrap()).unwrap();
    let image = coca.encode_image(image::open(photo("cat.jpg")).unwrap()).unwrap();
    let things = ["cat", "dog", "man", "woman", "bus", "bird", "horse", "pizza"];
    let texts: Vec<String> = things
        .iter()
        .flat_map(|a| things.iter().map(move |b| format!("a {a} and a {b} outside")))
        .collect();
    let together = coca.log_probabilities(&image, &texts).unwrap();
    for (text, together) in texts.iter().zip(together).step_by(13) {
        let alone = coca.log_probabilities(&image, &[text]).unwrap()[0];
        assert!((alone - together).abs() < 0.02, "{alone} and {together} for {text}");
    }
}

#[test]
fn texts_come_from_a_file_too_and_in_text_form_best_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.txt");
    std::fs::write(&file, "a rocket in the sky\n\na cat on a sofa\n").unwrap();
    let photo = photo("cat.jpg");
    let text = answered(&["score", &photo, "--texts-file", file.to_str().unwrap()]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], photo);
    assert!(lines[1].contains("a cat on a sofa") && lines[1].contains("log P"), "{text}");
}

#[test]
fn refuses_no_text_and_an_alpha_out_of_its_range() {
    let photo = photo("cat.jpg");
    assert!(refused(&["score", &photo]).contains("--text"));
    let sentence = refused(&["score", &photo, "--text", "a cat", "--alpha=-1"]);
    assert!(sentence.contains("expected a number from 0 to 10"), "{sentence}");
}

#[test]
fn an_empty_list_of_texts_is_refused() {
    let coca = Coca::pocket_with(&Engine::builder().threads(1).build().unwrap()).unwrap();
    let none = coca.text_scorer(Vec::<String>::new(), ScoreOptions::default());
    assert!(matches!(none.err(), Some(Error::NoLabels)));
}

#[test]
fn texts_that_are_the_same_to_the_model_share_no_score_and_cut_ones_are_told() {
    let photo = photo("cat.jpg");
    let long = "very ".repeat(90) + "long";
    let texts = ["--text", "cat", "--text", "Cat", "--text", "dog", "--text", long.as_str()];
    let arguments = [&["score", photo.as_str(), "--format", "jsonl"], &texts[..]].concat();
    let said = stderr(&coca(&arguments));
    assert!(said.contains("Cat: the same to the model as cat"), "{said}");
    assert!(said.contains("longer than the model's"), "{said}");
    let scores = lines(&arguments).remove(0)["scores"].as_array().unwrap().clone();
    assert_eq!(scores.len(), 3);
    assert!(scores[0]["score"].as_f64().unwrap() > 0.9, "{scores:?}");
}

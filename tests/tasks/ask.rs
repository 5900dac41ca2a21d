//! `coca ask`

use serde_json::Value;

use crate::command::{answered, lines, photo, refused};

fn ask(question: &str, picture: &str, more: &[&str]) -> Value {
    let photo = photo(picture);
    lines(&[&["ask", question, photo.as_str(), "--format", "jsonl"], more].concat()).remove(0)
}

#[test]
fn answers_yes_or_no() {
    for (question, picture, expected) in [
        ("Is there a cat?", "cat.jpg", "yes"),
        ("Is there a rocket?", "cat.jpg", "no"),
        ("is this a cat?", "cat.jpg", "yes"),
        ("do you see a horse?", "coffee.jpg", "no"),
    ] {
        let answer = ask(question, picture, &[]);
        assert_eq!(answer["answer"], expected, "{answer}");
        assert_eq!(answer["question"], question);
        let scores = answer["scores"].as_array().unwrap();
        assert_eq!(scores[0]["answer"], expected);
        let sum: f64 = scores.iter().map(|score| score["score"].as_f64().unwrap()).sum();
        assert!(scores.len() == 2 && (sum - 1.0).abs() < 1e-5, "{answer}");
    }
}

#[test]
fn answers_that_are_the_same_to_the_model_share_no_score() {
    let answer = ask("What animal is this?", "cat.jpg", &["--answers", "cat,Cat,dog"]);
    assert_eq!(answer["scores"].as_array().unwrap().len(), 2, "{answer}");
    assert!(answer["scores"][0]["score"].as_f64().unwrap() > 0.9, "{answer}");
}

#[test]
fn chooses_among_answers_and_says_which_is_best_first() {
    let answer = ask("What animal is this?", "cat.jpg", &["--answers", "dog, cat,horse"]);
    assert_eq!(answer["answer"], "cat", "{answer}");
    let scores = answer["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 3);
    let values: Vec<f64> = scores.iter().map(|score| score["score"].as_f64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{answer}");
}

#[test]
fn knows_colours_when_a_question_is_for_one() {
    let answer = ask("What colour is the cat?", "cat.jpg", &[]);
    assert_eq!(answer["scores"].as_array().unwrap().len(), 11, "{answer}");
}

#[test]
fn text_is_a_line_for_each_picture() {
    let (cat, rocket) = (photo("cat.jpg"), photo("rocket.jpg"));
    let text = answered(&["ask", "is there a cat?", &cat, &rocket]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("cat.jpg: yes") && lines[1].contains("rocket.jpg: no"), "{text}");
}

#[test]
fn a_question_that_implies_no_answers_needs_them() {
    let sentence = refused(&["ask", "why is that so?", &photo("cat.jpg")]);
    assert!(sentence.contains("--answers a,b,c"), "{sentence}");
}

//! A CLIP, which has no decoder, as a user meets it.

use std::path::Path;

use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use serde_json::Value;

use crate::{
    command::{answered, coca, json, lines, photo, refused, stderr},
    pictures::write_pictures,
};

/// A folder with a small CLIP of random weights, and the model's path.
fn clip() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/open_clip/clip-32");
    let out = folder.path().join("clip-32");
    let options = Options { storage: Storage::F32, config: None, progress: false };
    import(golden.to_str().unwrap(), &out, &options, &|_| ()).unwrap();
    let model = out.to_str().unwrap().to_owned();
    (folder, model)
}

#[test]
fn it_labels_embeds_and_tells_what_it_can_do() {
    let (_folder, model) = clip();
    let cat = photo("cat.jpg");
    let classify = ["classify", &cat, "--labels", "cat,dog", "--model", &model];
    let answer = lines(&[&classify[..], &["--format", "jsonl"]].concat()).remove(0);
    let scores = answer["labels"].as_array().unwrap().iter();
    let sum: f64 = scores.map(|label| label["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{answer}");
    let text = lines(&["embed", "--text", "a cat", "--model", &model, "--format", "jsonl"]);
    assert_eq!(text[0]["embedding"].as_array().unwrap().len(), 20);
    let info = json(&["info", "--model", &model, "--format", "json"]);
    assert_eq!((&info["architecture"], &info["captions"]), (&"clip".into(), &false.into()));
    let info = answered(&["info", "--model", &model]);
    assert!(info.contains("clip-32 (clip): labels, search (no decoder: no captions)"), "{info}");
}

#[test]
fn it_searches_and_is_taught() {
    let (folder, model) = clip();
    let [input, index, table] = ["in", "index", "t.table"]
        .map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    for (kind, label) in (0..).zip(["wovel", "brint"]) {
        write_pictures(&folder.path().join("in").join(label), kind, 0, 4);
    }
    answered(&["index", &input, "--index", &index, "--model", &model]);
    let search = ["search", "a cat", "--index", &index, "--model", &model, "--min-z", "-9"];
    let found = answered(&[&search[..], &["--format", "paths"]].concat());
    assert_eq!(found.lines().count(), 8, "{found}");
    answered(&["teach", &input, "-o", &table, "--model", &model]);
    let picture = format!("{input}/brint/0.png");
    let classify = ["classify", &picture, "--table", &table, "--model", &model];
    let answer = lines(&[&classify[..], &["--format", "jsonl"]].concat()).remove(0);
    assert_eq!(answer["labels"].as_array().unwrap().len(), 2, "{answer}");
}

#[test]
fn what_needs_a_decoder_is_refused_in_one_sentence_with_a_way_out() {
    let (folder, model) = clip();
    let cat = photo("cat.jpg");
    let index = folder.path().join("index");
    let commands: [&[&str]; 5] = [
        &["caption", &cat],
        &["score", &cat, "--text", "a cat", "--by", "caption"],
        &["index", &cat, "--index", index.to_str().unwrap(), "--captions"],
        &["watch", "--source", "test", "--frames", "1", "--labels", "a,b", "--caption-every", "1"],
        &["bench", "--part", "caption"],
    ];
    for command in commands {
        let said = refused(&[command, &["--model", &model]].concat());
        let expected = "coca: clip-32: this model has no decoder: it labels and embeds, but cannot caption: leave \
                        out --model for the one inside the program, which has one; classify, search, teach and score \
                        --by contrastive need none\n";
        assert_eq!(said, expected, "{command:?}");
    }
}

#[test]
fn what_a_decoder_only_improves_is_answered_by_cosine_and_says_so() {
    let (_folder, model) = clip();
    let cat = photo("cat.jpg");
    let commands: [&[&str]; 2] =
        [&["score", &cat, "--text", "a cat"], &["ask", "is there a cat?", &cat]];
    for command in commands {
        let output = coca(&[command, &["--model", &model, "--format", "jsonl"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("this model has no decoder: "), "{}", stderr(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(answer["scores"][0].get("log_prob").is_none(), "{answer}");
    }
}

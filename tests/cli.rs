//! The command `coca` as a user meets it: its outputs, its errors and its exit status.
#![cfg(all(feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use coca_edge::vision::{self, Detail, Limits};
use serde_json::Value;

const LABELS: &str = "cat,dog,cup of coffee,rocket";

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos").join(name)
}

fn coca<I, S>(arguments: I) -> Output
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    Command::new(env!("CARGO_BIN_EXE_coca")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn classify(image: &Path) -> Output {
    let image = image.to_str().unwrap();
    coca(["classify", image, "--labels", LABELS, "--format", "jsonl"])
}

#[test]
fn captions_a_photo_with_a_sentence() {
    let output = coca(["caption".into(), photo("cat.jpg")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (source, caption) = stdout(&output).trim_end().rsplit_once(": ").unwrap();
    assert_eq!(Path::new(source), photo("cat.jpg"));
    assert!(caption.split(' ').count() >= 4, "{caption}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn caption_tokens_begin_with_the_start_token_and_stay_within_max_tokens() {
    let image = photo("coffee.jpg");
    let arguments = ["caption", image.to_str().unwrap(), "--max-tokens", "7", "--format", "jsonl"];
    let answer = lines(&coca(arguments)).remove(0);
    let tokens = answer["tokens"].as_array().unwrap();
    let info: Value = serde_json::from_str(stdout(&coca(["info", "--format", "json"]))).unwrap();
    assert_eq!(tokens[0], info["start_id"]);
    assert!((2..=7).contains(&tokens.len()), "{answer}");
    assert!(answer["score"].is_number() && answer["caption"].is_string(), "{answer}");
}

#[test]
fn a_prompt_begins_the_caption() {
    let image = photo("cat.jpg");
    for search in ["log-prob", "openclip", "greedy", "sample"] {
        let arguments = ["caption", image.to_str().unwrap(), "--prompt", "a photo of"];
        let output = coca(arguments.iter().chain(&["--search", search, "--format", "jsonl"]));
        let answer = lines(&output).remove(0);
        assert!(answer["caption"].as_str().unwrap().starts_with("a photo of "), "{answer}");
    }
}

#[test]
fn samples_the_same_caption_from_the_same_seed() {
    let image = photo("rocket.jpg");
    let sample = |seed: &str| {
        let arguments = ["caption", image.to_str().unwrap(), "--search", "sample", "--seed", seed];
        stdout(&coca(arguments)).to_owned()
    };
    assert_eq!(sample("5"), sample("5"));
    assert!((0..6).any(|seed| sample(&seed.to_string()) != sample("5")));
}

#[test]
fn label_scores_come_best_first_and_sum_to_one() {
    for (file, expected) in [("cat.jpg", "cat"), ("coffee.jpg", "cup of coffee")] {
        let output = classify(&photo(file));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let answer = lines(&output).remove(0);
        let labels = answer["labels"].as_array().unwrap();
        let scores: Vec<f64> = labels.iter().map(|l| l["score"].as_f64().unwrap()).collect();
        assert_eq!(labels[0]["label"], expected);
        assert!(scores.is_sorted_by(|a, b| a >= b), "{answer}");
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{answer}");
    }
}

#[test]
fn classifies_among_everyday_things_without_labels() {
    let image = photo("cat.jpg");
    let answer = lines(&coca(["classify", image.to_str().unwrap(), "--format", "jsonl"])).remove(0);
    assert_eq!(answer["labels"].as_array().unwrap().len(), 5, "{answer}");
    assert!(answer["labels"][0]["label"].as_str().unwrap().contains("cat"), "{answer}");
}

#[test]
fn top_k_and_threshold_leave_labels_out() {
    let image = photo("cat.jpg");
    let arguments = ["classify", image.to_str().unwrap(), "--labels", LABELS, "--format", "jsonl"];
    let count = |more: &[&str]| {
        let answer = lines(&coca(arguments.iter().chain(more))).remove(0);
        answer["labels"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--top-k", "2"]), 2);
    assert_eq!(count(&["--threshold", "1"]), 0);
}

#[test]
fn a_table_gives_the_scores_of_the_labels_it_was_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let (list, table) = (folder.path().join("labels.txt"), folder.path().join("labels.table"));
    std::fs::write(&list, LABELS.replace(',', "\n") + "\n\n").unwrap();
    let (list, table) = (list.to_str().unwrap(), table.to_str().unwrap());
    let built = coca(["labels", "build", "--labels-file", list, "-o", table]);
    assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
    let image = photo("cat.jpg");
    let arguments = ["classify", image.to_str().unwrap(), "--table", table, "--format", "jsonl"];
    let (from_table, from_list) = (lines(&coca(arguments)), lines(&classify(&image)));
    for (a, b) in std::iter::zip(
        from_table[0]["labels"].as_array().unwrap(),
        from_list[0]["labels"].as_array().unwrap(),
    ) {
        assert_eq!(a["label"], b["label"]);
        assert!((a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap()).abs() < 0.01);
    }
}

#[test]
fn reports_an_unreadable_image_and_answers_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(photo("cat.jpg"), folder.path().join("a.jpg")).unwrap();
    std::fs::write(folder.path().join("b.jpg"), "no picture").unwrap();
    std::fs::copy(photo("coffee.jpg"), folder.path().join("c.JPG")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
    let output = classify(folder.path());
    assert_eq!(output.status.code(), Some(1));
    let answers = lines(&output);
    assert_eq!(answers.len(), 3);
    assert!(answers[0]["labels"].is_array() && answers[2]["labels"].is_array());
    let error = answers[1]["error"].as_str().unwrap();
    assert!(error.starts_with(answers[1]["source"].as_str().unwrap()), "{error}");
    assert!(error.contains("b.jpg: not a picture"), "{error}");
}

#[test]
fn reports_a_missing_file_and_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in [folder.path().to_path_buf(), folder.path().join("none.jpg")] {
        let output = classify(&name);
        assert_eq!(output.status.code(), Some(1));
        let error = lines(&output).remove(0)["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(name.to_str().unwrap()), "{error}");
    }
}

#[test]
fn reads_an_image_from_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coca"))
        .args(["classify", "-", "--labels", LABELS, "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let picture = std::fs::read(photo("cat.jpg")).unwrap();
    child.stdin.take().unwrap().write_all(&picture).unwrap();
    let answer = lines(&child.wait_with_output().unwrap()).remove(0);
    assert_eq!((&answer["source"], &answer["labels"][0]["label"]), (&"-".into(), &"cat".into()));
}

#[test]
fn gives_the_same_label_to_every_format_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let picture = vision::open(photo("cat.jpg"), &Limits::default(), Detail::Full).unwrap();
    for ending in ["png", "webp", "bmp", "gif"] {
        let path = folder.path().join(format!("cat.{ending}"));
        picture.rgb().save(&path).unwrap();
        assert_eq!(lines(&classify(&path))[0]["labels"][0]["label"], "cat", "{ending}");
    }
}

#[test]
fn embeddings_have_length_one_as_json_and_as_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.npy");
    let answer = lines(&coca(["embed", "--text", "a cat"])).remove(0);
    let values: Vec<f64> =
        answer["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(answer["text"], "a cat");
    assert!((values.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-4);
    let (image, output) = (photo("cat.jpg"), file.to_str().unwrap().to_owned());
    let arguments = ["embed", image.to_str().unwrap(), "--format", "npy", "--output", &output];
    assert_eq!(coca(arguments).status.code(), Some(0));
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY"));
    let shape = format!("(1, {})", values.len());
    assert!(String::from_utf8_lossy(&bytes[..128]).contains(&shape));
}

#[test]
fn wrong_usage_exits_with_two_and_says_what_was_expected() {
    let image = photo("cat.jpg");
    let image = image.to_str().unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["classify", image, "--labels", "a", "--labels-file", "b"], "--labels-file"),
        (&["classify", image, "--labels", " , "], "a,b,c"),
        (&["classify", image, "--labels", "a", "--threshold", "2"], "0 to 1"),
        (&["caption", image, "--beams", "0"], "beams"),
        (&["caption", image, "--max-tokens", "4", "--min-tokens", "9"], "min_tokens"),
        (&["watch", "--source", "test", "--display", "web:0", "--token", ""], "expected a secret"),
    ];
    for (arguments, expected) in cases {
        let output = coca(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn names_a_folder_that_holds_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let output = coca(["--model", folder.path().to_str().unwrap(), "info"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("coca.json"), "{}", stderr(&output));
}

#[test]
fn info_reports_the_precision_kernel_and_threads_in_use() {
    let output = coca(["--threads", "1", "info", "--format", "json"]);
    let info: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&info["threads"], &info["precision"]), (&1.into(), &"int8".into()));
    for key in ["name", "kernel", "cpu_features", "stored_precision", "fingerprint"] {
        assert!(!info[key].is_null(), "{key}");
    }
    let products = |operators: &Value| {
        let names = operators.as_object().unwrap().keys();
        names.filter(|name| name.contains("MatMul") || name.contains("EinSum")).count()
    };
    for part in info["parts"].as_array().unwrap() {
        let (fused, tract) = (&part["fused"], &part["tract"]);
        assert!(fused["FusedLinear"].as_u64().unwrap() > 0, "{part}");
        // The trunk of the embedded model's image encoder is convolutions, and its text encoder picks a
        // row by a product without weights: those run on tract.
        let decodes = ["cross_kv.onnx", "caption_decoder.onnx"].map(Value::from);
        assert!(!decodes.contains(&part["part"]) || products(tract) == 0, "{part}");
    }
}

#[test]
fn every_forced_instruction_set_gives_the_same_answer() {
    let image = photo("cat.jpg");
    let answer = |set: &str| {
        Command::new(env!("CARGO_BIN_EXE_coca"))
            .args(["caption", "--format", "jsonl", image.to_str().unwrap()])
            .env("COCA_CPU", set)
            .output()
            .unwrap()
    };
    let best = answer("");
    assert!(best.status.success());
    for set in ["scalar", "avx2", "avx-vnni", "avx512-vnni", "neon", "dotprod", "i8mm"] {
        let output = answer(set);
        if output.status.success() {
            assert_eq!(stdout(&output), stdout(&best), "{set}");
        } else {
            assert!(stderr(&output).contains("this CPU lacks it"), "{}", stderr(&output));
        }
    }
    assert!(stderr(&answer("sse9")).contains("sse9"));
}

#[test]
fn bench_prints_its_documented_keys() {
    let output = coca(["--threads", "1", "bench", "--part", "step", "--format", "json"]);
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    for key in ["part", "median_ms", "min_ms", "runs", "threads", "precision", "kernel", "rss_mb"] {
        assert!(!answer[key].is_null(), "{key}");
    }
}

#[test]
fn bench_prints_the_time_of_each_operator_on_request() {
    let command = ["--threads", "1", "bench", "--part", "text", "--profile", "--format", "json"];
    let output = coca(command);
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    let operators = answer["profile"].as_array().unwrap();
    let linear = operators.iter().find(|row| row["operator"] == "FusedLinear").unwrap();
    assert!(linear["count"].as_u64() > Some(0) && linear["total_ms"].as_f64() > Some(0.0));
    let shares: f64 = operators.iter().filter_map(|row| row["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
}

#[test]
fn without_rules_everything_runs_on_tract() {
    let info = |rules: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
        command.args(["info", "--format", "json"]).env("COCA_RULES", rules).output().unwrap()
    };
    let output = info("off");
    let described: Value = serde_json::from_str(stdout(&output)).unwrap();
    for part in described["parts"].as_array().unwrap() {
        assert_eq!(part["fused"].as_object().unwrap().len(), 0, "{part}");
    }
    assert!(stderr(&info("no")).contains("COCA_RULES=no: expected on or off"));
}

#[test]
fn a_closed_standard_output_is_no_error() {
    for arguments in [
        &["embed", "--text", "a", "--text", "b"][..],
        &["info"],
        &["--threads", "1", "bench", "--part", "step"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coca"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{arguments:?}");
    }
}

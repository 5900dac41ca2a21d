//! The command `coca` as a newcomer uses it: what is questioned, said or refused, and how.
#![cfg(all(unix, feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const CAT: &str = "tests/photos/cat.jpg";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

fn coca(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What is said when a photo is classified among these labels.
fn said_of(labels: &str) -> String {
    let output = coca(&["classify", CAT, "--labels", labels]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stderr(&output).to_owned()
}

#[test]
fn labels_that_are_the_same_to_the_model_are_used_once_and_told() {
    let output = coca(&["classify", CAT, "--labels", "Cat,cat,dog"]);
    assert!(stderr(&output).contains("cat: the same to the model as Cat; Cat is used"));
    assert_eq!(stdout(&output).lines().count(), 3, "{}", stdout(&output));
    let long = "very ".repeat(200);
    let said = said_of(&format!("{long}a,{long}b,dog"));
    assert!(said.contains("the same to the model as") && said.contains("sees only the beginning"));
    let said = said_of("cat,dog");
    assert!(!said.contains("the same") && !said.contains("alone"), "{said}");
}

#[test]
fn one_label_alone_is_questioned() {
    assert!(said_of("cat;dog").contains("labels are separated by commas"));
    assert!(said_of("cat").contains("one label alone always scores 1"));
}

#[test]
fn a_text_that_is_cut_is_said_to_be() {
    let output = coca(&["embed", "--text", &"word ".repeat(300), "--text", "a cat"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output).matches("sees only the beginning").count(), 1);
}

#[test]
fn options_without_effect_are_refused() {
    for (arguments, expected) in [
        (&["--seed", "3"][..], "--seed needs --search sample"),
        (&["--temperature", "0.5"], "--temperature needs --search sample"),
        (&["--search", "greedy", "--beams", "3"], "--beams needs --search log-prob or openclip"),
        (&["--search", "log-prob", "--beam-groups", "3"], "--beam-groups needs --search openclip"),
    ] {
        let output = coca(&[&["caption", CAT], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_folder_is_its_pictures_and_those_in_its_subfolders() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("2025/may")).unwrap();
    for name in ["2025/may/a.jpg", "b.jpg", "._b.jpg"] {
        fs::copy(CAT, folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("IMG_1.HEIC"), "\0\0\0\x18ftypheic").unwrap();
    let path = folder.path().to_str().unwrap();
    let output = coca(&["embed", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(stderr(&output).contains("1 .heic"), "{}", stderr(&output));
    assert_eq!(stdout(&coca(&["embed", path, "--no-recursive"])).lines().count(), 1);
    let heic = coca(&["embed", folder.path().join("IMG_1.HEIC").to_str().unwrap()]);
    assert!(stdout(&heic).contains("a HEIC file, as phones take them"), "{}", stdout(&heic));
    let made = tempfile::tempdir().unwrap();
    let output = coca(&["index", path, "--index", made.path().join("index").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 .heic"), "{}", stderr(&output));
}

#[test]
fn endless_files_are_read_no_further_than_they_may_be() {
    for arguments in [
        &["classify", "/dev/zero"][..],
        &["classify", CAT, "--labels-file", "/dev/zero"],
        &["classify", CAT, "--templates", "/dev/zero", "--labels", "a,b"],
        &["embed", "/dev/zero"],
    ] {
        let started = Instant::now();
        assert_eq!(coca(arguments).status.code(), Some(1), "{arguments:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{arguments:?}");
    }
}

#[test]
fn secrets_in_arguments_that_are_refused_are_not_repeated() {
    for arguments in [
        &["watch", "--source", "http://u:hush hush@cam/"][..],
        &["watch", "--source", "ftp://u:hush@cam/"],
        &["watch", "--source", "rtsp://u:hush@cam/live"],
        &["watch", "--display", "web:8080?tokn=hush"],
        &["watch", "--display", "https://u:hush@cam"],
        &["watch", "http://u:hush@cam/"],
        &["watch", "--token=hush", "--nonsense"],
        &["watch", "--on-label", "curl --password hush 'http://u:hush@cam"],
    ] {
        let output = coca(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    }
}

#[test]
fn secrets_reach_no_program_that_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let source = format!("cmd:sh -c 'env > {}; exec cat {CAT}'", seen.display());
    let output = command(&["watch", "--labels", "cat,dog", "--caption-on", "never"])
        .env("COCA_TOKEN", "hush")
        .env("COCA_SOURCE", source)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("hush") && !seen.contains("COCA_SOURCE"));
}

#[test]
fn a_watch_in_the_background_of_a_terminal_is_not_stopped() {
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let coca = env!("CARGO_BIN_EXE_coca");
    let (out_path, log) = (out.display(), folder.path().join("log"));
    let script = format!(
        "{coca} watch --source test --labels cat,dog --caption-on request --frames 30 > {out_path} 2> {} & wait",
        log.display()
    );
    let mut terminal = Command::new("script")
        .args(["-qfec", &format!("bash --norc -ic '{script}'"), "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    while lines() < 30 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = lines();
    drop(terminal.stdin.take());
    let _ = terminal.kill();
    let _ = terminal.wait();
    assert!(found >= 30, "{found} lines: {}", fs::read_to_string(log).unwrap_or_default());
}

#[test]
fn help_begins_with_the_options_of_the_command_itself() {
    let output = coca(&["classify", "--help"]);
    let help = stdout(&output);
    let (own, common) = (help.find("--top-k").unwrap(), help.find("--model").unwrap());
    assert!(own < common && help.contains("Common options:"), "{help}");
}

#[test]
fn a_shell_pipeline_as_a_command_is_refused_with_the_way_out() {
    let output =
        coca(&["watch", "--source", "cmd:cat film.mjpeg | head -c 100", "--labels", "a,b"]);
    assert!(stderr(&output).contains("cmd:sh -c '…'"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_page_is_printed_as_an_address() {
    let output = coca(&[
        "watch",
        "--source",
        "test",
        "--labels",
        "cat,dog",
        "--caption-on",
        "never",
        "--frames",
        "1",
        "--display",
        "web:127.0.0.1:0",
    ]);
    assert!(stderr(&output).contains("the page: http://127.0.0.1:"), "{}", stderr(&output));
}

#[test]
fn a_credentials_file_goes_before_the_environment_and_reaches_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let source = format!("cmd:sh -c 'env > {}; exec cat {CAT}'", seen.display());
    let credentials = format!("# of this test\nCOCA_SOURCE={source}\nCOCA_TOKEN=hush\n");
    fs::write(folder.path().join("coca-watch"), credentials).unwrap();
    let watch = |arguments: &[&str]| {
        let usual = ["watch", "--labels", "cat,dog", "--caption-on", "never"];
        let mut command = command(&[&usual, arguments].concat());
        command.env("CREDENTIALS_DIRECTORY", folder.path()).env("COCA_SOURCE", "no-such-camera");
        command
    };
    let output = watch(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).matches("frame 1").count(), 1, "{}", stdout(&output));
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("hush") && !seen.contains("CREDENTIALS"));

    let output = watch(&["--source", "no-such-picture.jpg"]).output().unwrap();
    assert!(stderr(&output).contains("no-such-picture.jpg: nothing is there"));

    fs::write(folder.path().join("coca-watch"), "COCA_SOURCE=test\nhush\n").unwrap();
    let output = watch(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("coca-watch: line 2: expected COCA_SOURCE=…") && !said.contains("hush"));
}

#[test]
fn the_packaged_service_has_its_secrets_from_a_credentials_file() {
    let service = include_str!("../packaging/coca-watch.service");
    assert!(service.contains("LoadCredential=coca-watch:/etc/coca-edge/credentials\n"));
    let command = service.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(!command.contains("TOKEN") && !command.contains("SOURCE"), "{command}");
    assert!(!include_str!("../packaging/watch.conf").contains("TOKEN"));
    assert!(
        include_str!("../Cargo.toml")
            .contains("\"packaging/credentials\", \"etc/coca-edge/\", \"640\"")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_that_is_cut_while_it_is_in_use_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (model, fifo) = (folder.path().join("model"), folder.path().join("later.jpg"));
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir("models/pocket").unwrap() {
        let file = file.unwrap();
        if file.path().is_file() {
            fs::copy(file.path(), model.join(file.file_name())).unwrap();
        }
    }
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let arguments = ["--model", model.to_str().unwrap(), "caption", CAT, fifo.to_str().unwrap()];
    let mut child =
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with(CAT), "{first}");
    for weights in ["decoder.bin", "text.bin"] {
        fs::File::options().write(true).open(model.join(weights)).unwrap().set_len(0).unwrap();
    }
    fs::copy(CAT, &fifo).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{:?}: {}", output.status, stderr(&output));
    let said =
        "coca: a file of the model or the index was cut while it was in use, or its disk went away";
    assert_eq!(stderr(&output).trim_end(), said);
}

#[test]
fn numbers_out_of_range_are_answered_with_the_range_and_nothing_else() {
    for (arguments, expected) in [
        (&["classify", CAT, "--threshold", "-0.5"][..], "from 0 to 1"),
        (&["classify", CAT, "-k", "-1"], "at least 1"),
        (&["caption", CAT, "--beams", "-2"], "at least 1"),
        (&["similar", "--threshold", "-2"], "from -1 to 1"),
        (&["classify", CAT, "--threads", "two"], "from 1 to 1024"),
        (&["watch", "--frames", "0"], "at least 1"),
        (&["watch", "--smoothing", "1"], "from 0 to less than 1"),
        (&["watch", "--every", "x"], "at least 1"),
    ] {
        let output = coca(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.starts_with("coca: invalid value") && said.contains(expected), "{said}");
        assert!(!said.contains("tip:") && !said.contains("digit"), "{said}");
    }
}

#[test]
fn k_is_short_for_top_k_and_an_unknown_option_is_no_value() {
    let output = coca(&["classify", CAT, "--labels", "cat,dog,cup", "-k", "2"]);
    assert_eq!(stdout(&output).lines().count(), 3, "{}", stderr(&output));
    let output = coca(&["caption", CAT, "-j"]);
    let said = stderr(&output);
    assert!(said.contains("unexpected argument '-j'") && !said.contains("as a value"), "{said}");
}

#[test]
fn options_of_captions_that_do_not_go_together_name_what_was_given() {
    for (arguments, expected) in [
        (&["--max-tokens", "3"][..], "--max-tokens: expected more than --min-tokens, which is 6"),
        (&["--search", "openclip", "--beams", "5", "--beam-groups", "3"], "--beam-groups: "),
        (&["--prompt", &"word ".repeat(140)], "--prompt: as many tokens as --max-tokens"),
    ] {
        let output = coca(&[&["caption", CAT], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn what_is_no_model_no_table_and_no_list_is_told_with_the_way_out() {
    for (arguments, expected) in [
        (&["--model", "tests/golden/open_clip/plain", "info"][..], "coca-quantize import"),
        (&["classify", CAT, "--table", "src/model/everyday.txt"], "--labels-file"),
        (&["classify", CAT, "--labels-file", CAT], "expected one label a line in UTF-8"),
    ] {
        let output = coca(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn lists_of_labels_that_look_wrong_are_questioned() {
    assert!(said_of("cat;dog,bird").contains("labels are separated by commas"));
    assert!(said_of("cat dog").contains("separated by commas"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("labels.txt");
    fs::write(&file, "# pets\ncat\ndog\n").unwrap();
    let output = coca(&["classify", CAT, "--labels-file", file.to_str().unwrap()]);
    assert!(stderr(&output).contains("# pets: a label like the others"), "{}", stderr(&output));
}

#[test]
fn a_word_that_is_no_source_is_answered_with_the_source_that_it_may_mean() {
    for (source, expected) in [
        ("10.0.0.7/stream", "http://10.0.0.7/stream"),
        ("0", "/dev/video0"),
        ("webcam", "camera:webcam"),
        ("tests/photos", "dir:tests/photos"),
        ("no/such/picture.jpg", "the path of a picture"),
    ] {
        let output = coca(&["watch", "--source", source, "--labels", "cat,dog"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stderr(&output).lines().last().unwrap();
        assert!(
            said.contains(expected) && said.matches(&format!("{source}: ")).count() == 1,
            "{said}"
        );
    }
}

#[test]
fn a_source_that_gives_nothing_is_an_error() {
    let output = command(&["watch", "--source", "-", "--labels", "cat,dog"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ended without a frame"), "{}", stderr(&output));
}

#[test]
fn displays_that_cannot_be_opened_say_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let png = format!("png:{}", folder.path().join("none/now.png").display());
    let usual = ["watch", "--source", "test", "--labels", "cat,dog", "--caption-on", "never"];
    let output = coca(&[&usual[..], &["--frames", "5", "--fps", "20", "--display", &png]].concat());
    assert!(stderr(&output).contains("its folder must be there"), "{}", stderr(&output));
    let output = coca(&[&usual[..], &["--display", "fb:/dev/fb77"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no such framebuffer here"), "{}", stderr(&output));
}

#[test]
fn every_error_begins_with_the_name_of_the_program() {
    for arguments in [
        &["classify", "--nonsense"][..],
        &["classify", "no-such.jpg", "--labels", "cat,dog"],
        &["--model", "/none", "info"],
    ] {
        let output = coca(arguments);
        let said = stderr(&output);
        assert!(said.lines().any(|line| line.starts_with("coca: ")), "{said}");
        assert!(!said.contains("error:"), "{said}");
    }
}

#[test]
fn more_messages_tell_the_model_and_what_computes() {
    let output = coca(&["-v", "--threads", "1", "classify", CAT, "--labels", "cat,dog"]);
    let said = stderr(&output);
    assert!(said.contains("computed in int8 with ") && said.contains(" on 1 threads"), "{said}");
    let short = coca(&["info"]);
    let long = coca(&["-v", "info"]);
    assert!(stdout(&short).lines().all(|line| !line.contains(" × Fused")));
    assert!(stdout(&long).lines().any(|line| line.contains(" × FusedLinear")), "{}", stdout(&long));
}

#[test]
fn a_stream_that_ffmpeg_reads_is_answered_with_a_line_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let (ffmpeg, seen) = (folder.path().join("ffmpeg"), folder.path().join("seen"));
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\ncat {CAT}\n", seen.display());
    fs::write(&ffmpeg, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&ffmpeg).status().unwrap().success());
    for address in [
        "rtsp://cam:554/live?channel=1&sub=2",
        "rtsp://viewer:hush@cam/live",
        "https://cam/stream?a='b'",
        "film of $5 \"at\" 'home'.mp4",
    ] {
        let refused = coca(&["watch", "--source", address]);
        assert_eq!(refused.status.code(), Some(2));
        let said = stderr(&refused);
        let (_, line) = said.split_once("try --source ").unwrap();
        let line = line.lines().next().unwrap();
        let line = line.split(", with the secrets").next().unwrap();
        let line = line.replace("USER:PASSWORD", "viewer:hush");
        let script = format!(
            "exec \"$0\" watch --labels cat,dog --caption-on never --frames 1 --source {line}"
        );
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_coca")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PATH", path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stderr(&output));
        let seen = fs::read_to_string(&seen).unwrap();
        assert!(seen.lines().any(|word| word == address), "{line}: {seen}");
    }
}

#[test]
fn a_broken_picture_in_a_folder_is_told_once_however_often_it_comes_round() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(CAT, folder.path().join("a.jpg")).unwrap();
    fs::write(folder.path().join("b.jpg"), "no picture").unwrap();
    let source = format!("dir:{}?fps=50", folder.path().display());
    let arguments = ["--labels", "cat,dog", "--caption-on", "never", "--frames", "4"];
    let output = coca(&[&["watch", "--source", &source], &arguments[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("not a picture").count(), 1, "{}", stderr(&output));
}

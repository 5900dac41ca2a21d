//! A signal ends an import without leaving anything of it behind.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs::{self, File},
    io::{BufReader, Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// As many tokens as are allowed, so that the import takes a while.
const VOCABULARY: usize = 1 << 20;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip/pooler").join(file)
}

/// The small checkpoint with a vocabulary of zeros. The file has holes in their place: it takes no room on the disk.
fn large_checkpoint(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(golden("open_clip_config.json")).unwrap()).unwrap();
    for tower in ["text_cfg", "multimodal_cfg"] {
        config["model_cfg"][tower]["vocab_size"] = json!(VOCABULARY);
    }
    fs::write(folder.join("open_clip_config.json"), config.to_string()).unwrap();

    let mut small = BufReader::new(File::open(golden("open_clip_model.safetensors")).unwrap());
    let mut length = [0; 8];
    small.read_exact(&mut length).unwrap();
    let mut header = vec![0; u64::from_le_bytes(length) as usize];
    small.read_exact(&mut header).unwrap();
    let mut data = Vec::new();
    small.read_to_end(&mut data).unwrap();

    let mut table: Value = serde_json::from_slice(&header).unwrap();
    let mut end = data.len();
    for (key, shape) in [
        ("text.token_embedding.weight", [VOCABULARY, 24]),
        ("text_decoder.text_projection", [24, VOCABULARY]),
    ] {
        let start = end;
        end += 4 * shape[0] * shape[1];
        table[key] = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
    }
    // Every byte must belong to a tensor: what the two small ones leave unused gets names that the import ignores.
    let old: Value = serde_json::from_slice(&header).unwrap();
    for key in ["text.token_embedding.weight", "text_decoder.text_projection"] {
        table[format!("{key}.attn_mask")] = old[key].clone();
    }
    let header = table.to_string();
    let mut large = File::create(folder.join("open_clip_model.safetensors")).unwrap();
    large.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    large.write_all(header.as_bytes()).unwrap();
    large.write_all(&data).unwrap();
    let position = large.stream_position().unwrap();
    large.set_len(position + (end - data.len()) as u64).unwrap();
}

/// Starts an import into `out`, and sends `signal` once the folder `parent` has a folder in it that is being written.
fn interrupted(checkpoint: &Path, out: &Path, signal: &str) -> ExitStatus {
    let import = Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
        .args(["import".as_ref(), checkpoint, out])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut import = wait_for(import, || hidden(out.parent().unwrap()) > 0);
    let kill = format!("kill -{signal} {}", import.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    import.wait().unwrap()
}

fn wait_for(mut child: Child, condition: impl Fn() -> bool) -> Child {
    let start = Instant::now();
    while !condition() {
        assert!(child.try_wait().unwrap().is_none(), "ended before it wrote anything");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing written after a minute");
        thread::sleep(Duration::from_millis(1));
    }
    child
}

/// How many entries of `folder` have a name that begins with a full stop.
fn hidden(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count()
}

#[test]
fn ctrl_c_removes_the_half_written_model_and_the_folders_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    large_checkpoint(&checkpoint);
    let status = interrupted(&checkpoint, &folder.path().join("new/models/out"), "INT");
    assert_eq!(status.signal(), Some(2), "{status}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [checkpoint]);
}

#[test]
fn a_terminated_import_leaves_the_older_model_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let [checkpoint, models] = ["checkpoint", "models"].map(|name| folder.path().join(name));
    large_checkpoint(&checkpoint);
    let out = models.join("out");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("coca.json"), "the older model").unwrap();
    let status = interrupted(&checkpoint, &out, "TERM");
    assert_eq!(status.signal(), Some(15), "{status}");
    assert_eq!(hidden(&models), 0);
    assert_eq!(fs::read_to_string(out.join("coca.json")).unwrap(), "the older model");
}

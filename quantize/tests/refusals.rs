//! What cannot be imported is refused in one sentence, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
    open_clip::NAMED,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name)
}

/// Numbers of a tensor, its type and shape.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// A copy of the small checkpoint with a pooler, to be spoilt.
struct Checkpoint {
    folder: TempDir,
}

impl Checkpoint {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        for file in ["open_clip_config.json", "open_clip_model.safetensors"] {
            fs::copy(golden("pooler").join(file), folder.path().join("in").join(file)).unwrap();
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    fn config(self, spoil: impl FnOnce(&mut Value)) -> Self {
        let path = self.file("open_clip_config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        spoil(&mut config);
        fs::write(path, config.to_string()).unwrap();
        self
    }

    fn tensors(self, spoil: impl FnOnce(&mut BTreeMap<String, Stored>)) -> Self {
        let path = self.file("open_clip_model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap().tensors();
        let mut tensors: BTreeMap<String, Stored> = read
            .into_iter()
            .map(|(k, t)| (k, (t.dtype(), t.shape().to_vec(), t.data().to_vec())))
            .collect();
        spoil(&mut tensors);
        let views = tensors.iter().map(|(k, (dtype, shape, data))| {
            (k, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
        self
    }

    fn import(&self, config: Option<&str>) -> Result<(), String> {
        self.import_from("in", config)
    }

    /// Imports; a failure must leave no trace.
    fn import_from(&self, checkpoint: &str, config: Option<&str>) -> Result<(), String> {
        let options =
            Options { storage: Storage::F32, config: config.map(str::to_owned), progress: false };
        let checkpoint = self.folder.path().join(checkpoint);
        let out = self.folder.path().join("out");
        let before = entries(self.folder.path());
        import(checkpoint.to_str().unwrap(), &out, &options, &|_| ()).map(|_| ()).map_err(|e| {
            assert_eq!(entries(self.folder.path()), before, "something was left behind");
            let folder = format!("{}/", self.folder.path().display());
            e.to_string().replace(&folder, "")
        })
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

const WEIGHTS: &str = "in/open_clip_model.safetensors";
const CONFIG: &str = "in/open_clip_config.json";

#[test]
fn an_unspoilt_copy_is_imported_and_replaces_an_older_model() {
    let checkpoint = Checkpoint::new();
    for _ in 0..2 {
        checkpoint.import(None).unwrap();
        coca_model::Coca::open(checkpoint.folder.path().join("out")).unwrap();
        assert_eq!(entries(checkpoint.folder.path()).len(), 2);
    }
}

#[test]
fn the_command_names_the_options_that_its_library_does_not_know() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.get_mut("visual.proj").unwrap().2[40..44].copy_from_slice(&1e6_f32.to_le_bytes())
    });
    let cases: [(&[&str], &str); 4] = [
        (
            &["import", WEIGHTS, "out"],
            "in/open_clip_model.safetensors: a file of weights alone needs --config NAME: coca_ViT-B-32, \
             coca_ViT-L-14, coca_base, ViT-S-32, ViT-S-32-alt, ",
        ),
        (
            &["import", WEIGHTS, "out", "--config", "coca_huge"],
            "--config coca_huge: expected one of coca_ViT-B-32, coca_ViT-L-14, coca_base, ViT-S-32, ViT-S-32-alt, ",
        ),
        (
            &["import", "in", "out", "--to", "f16"],
            "visual.proj: expected numbers up to 65504, found 1000000: use --to f32",
        ),
        (
            &["int8", "model", "out", "--keep-f32", "visual.prok"],
            "--keep-f32 visual.prok: no layer has such a name; the nearest are visual.proj, ",
        ),
    ];
    let options = Options { storage: Storage::F32, config: None, progress: false };
    let folder = checkpoint.folder.path();
    import(folder.join("in").to_str().unwrap(), &folder.join("model"), &options, &|_| ()).unwrap();
    for (arguments, expected) in cases {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(&format!("coca-quantize: {expected}")), "{said}");
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    }
}

#[test]
fn calibration_without_int8_is_wrong_usage() {
    let checkpoint = Checkpoint::new();
    for arguments in [&["--calibrate", "photos"][..], &["--to", "f16", "--dtype", "f16"]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
            .args(["import", "in", "out"])
            .args(arguments)
            .current_dir(checkpoint.folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    assert_eq!(entries(checkpoint.folder.path()).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_that_cannot_be_written_loses_no_model() {
    for to in ["f32", "int8"] {
        let checkpoint = Checkpoint::new();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
            .args(["import", "in", "out", "--to", to])
            .current_dir(checkpoint.folder.path())
            .stderr(full)
            .status()
            .unwrap();
        assert!(status.success(), "{to}: {status}");
        coca_model::Coca::open(checkpoint.folder.path().join("out")).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    for arguments in [&["--help"][..], &["--version"], &["import", "--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
            .args(arguments)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be written"));
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let checkpoint = Checkpoint::new().tensors(|t| drop(t.remove("visual.attn_pool.ln_k.bias")));
    let expected =
        "the checkpoint has no visual.attn_pool.ln_k.bias, which this architecture needs";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn a_model_of_another_family_is_told_by_its_tensors() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.retain(|key, _| !key.starts_with("text"));
        let (dtype, data) = (Dtype::F32, vec![0; 4]);
        t.insert("transformer.resblocks.0.ln_1.bias".to_owned(), (dtype, vec![1], data));
    });
    let error = checkpoint.import(None).unwrap_err();
    let expected = "the checkpoint has no text.token_embedding.weight, which this architecture needs: of its 57 \
                    tensors transformer.resblocks.0.ln_1.bias is the nearest; it looks like a CLIP of open_clip, \
                    which has no caption decoder";
    assert_eq!(error, format!("{WEIGHTS}: {expected}"));
    let checkpoint = Checkpoint::new().tensors(|t| {
        *t = std::mem::take(t).into_iter().map(|(k, v)| (format!("encoder.{k}"), v)).collect();
    });
    let error = checkpoint.import(None).unwrap_err();
    assert!(error.contains("tensors encoder.visual.class_embedding is the nearest"), "{error}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.get_mut("text.text_projection").unwrap().1 = vec![12, 48];
    });
    let expected = "text.text_projection: expected 24×24, found 12×48";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn tensors_that_the_configuration_has_no_place_for_are_refused() {
    let checkpoint =
        Checkpoint::new().config(|c| c["model_cfg"]["vision_cfg"]["layers"] = json!(2));
    let expected = "visual.transformer.resblocks.2.attn.in_proj_bias has no place in the architecture that the \
                    configuration describes (11 more like it)";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn masks_that_old_versions_stored_are_no_reason_to_refuse() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.insert("text.attn_mask".to_owned(), (Dtype::BOOL, vec![4], vec![0; 4]));
        t.insert("logit_bias".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    });
    checkpoint.import(None).unwrap();
}

#[test]
fn logit_scale_may_have_either_shape() {
    let checkpoint = Checkpoint::new().tensors(|t| t.get_mut("logit_scale").unwrap().1 = vec![1]);
    checkpoint.import(None).unwrap();
}

#[test]
fn a_logit_scale_whose_exponential_is_not_finite_is_refused() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.get_mut("logit_scale").unwrap().2.copy_from_slice(&1000_f32.to_le_bytes());
    });
    let expected = "logit_scale: expected a logarithm between -87 and 88, found 1000";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn the_prefixes_of_wrappers_leave_no_trace_in_the_model() {
    let hashes = |checkpoint: &Checkpoint| {
        checkpoint.import(None).unwrap();
        coca_model::bundle::Bundle::open(checkpoint.folder.path().join("out"))
            .unwrap()
            .config()
            .files
            .values()
            .map(|file| file.sha256.clone())
            .collect::<Vec<_>>()
    };
    let plain = hashes(&Checkpoint::new());
    for prefix in ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."] {
        let prefixed = Checkpoint::new().tensors(|t| {
            *t = std::mem::take(t).into_iter().map(|(k, v)| (format!("{prefix}{k}"), v)).collect();
        });
        assert_eq!(hashes(&prefixed), plain, "{prefix}");
    }
}

#[test]
fn one_tensor_under_two_names_that_differ_in_wrappers_is_refused() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.insert("module.visual.proj".to_owned(), t["visual.proj"].clone());
    });
    let expected = "expected one tensor visual.proj, found two: module.visual.proj and visual.proj";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn folders_that_were_made_for_a_model_vanish_with_it() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.get_mut("visual.proj").unwrap().2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let folder = checkpoint.folder.path();
    let before = entries(folder);
    let options = Options { storage: Storage::F32, config: None, progress: false };
    for out in ["new/newer/out", "in/new/out"] {
        import(folder.join("in").to_str().unwrap(), &folder.join(out), &options, &|_| ())
            .unwrap_err();
        assert_eq!(entries(folder), before);
        assert_eq!(entries(&folder.join("in")).len(), 2);
    }
}

#[test]
fn a_git_lfs_pointer_is_told_from_a_broken_file() {
    let checkpoint = Checkpoint::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 1014311388\n";
    fs::write(checkpoint.file("open_clip_model.safetensors"), pointer).unwrap();
    let error = checkpoint.import(None).unwrap_err();
    assert!(error.contains("found a Git LFS pointer"), "{error}");
}

#[test]
fn the_command_says_a_cause_once() {
    let checkpoint = Checkpoint::new().config(|c| c["model_cfg"]["embed_dim"] = json!(0));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
        .arg("import")
        .args([checkpoint.folder.path().join("in"), checkpoint.folder.path().join("out")])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("expected a number from 1 to 16384, found 0").count(), 1, "{said}");
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    for (key, number) in
        [("text_decoder.text_projection", f32::NAN), ("visual.proj", f32::INFINITY)]
    {
        let checkpoint = Checkpoint::new()
            .tensors(|t| t.get_mut(key).unwrap().2[40..44].copy_from_slice(&number.to_le_bytes()));
        let expected = "expected finite numbers, found NaN or infinity: the checkpoint is damaged";
        assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {key}: {expected}"));
    }
}

#[test]
fn integers_are_refused() {
    let checkpoint =
        Checkpoint::new().tensors(|t| t.get_mut("visual.proj").unwrap().0 = Dtype::I32);
    let expected = "visual.proj: expected numbers of type f64, f32, f16 or bf16, found I32";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn a_file_that_is_cut_off_is_refused_wherever_it_is_cut() {
    for (name, file) in
        [("pooler", "open_clip_model.safetensors"), ("plain", "open_clip_pytorch_model.bin")]
    {
        let whole = fs::read(golden(name).join(file)).unwrap();
        for part in [0.0, 0.00001, 0.0005, 0.01, 0.5, 0.99, 0.999_999] {
            let checkpoint = Checkpoint::new();
            fs::remove_file(checkpoint.file("open_clip_model.safetensors")).unwrap();
            let length = (whole.len() as f64 * part) as usize;
            fs::write(checkpoint.file(file), &whole[..length]).unwrap();
            let error = checkpoint.import(None).unwrap_err();
            assert!(error.starts_with(&format!("in/{file}: expected a")), "{length}: {error}");
        }
    }
}

#[test]
fn something_else_than_a_checkpoint_is_refused() {
    let checkpoint = Checkpoint::new();
    // The first bytes of a pickle of the time before torch wrote zips.
    let old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    fs::write(checkpoint.file("open_clip_model.safetensors"), old).unwrap();
    let expected = "expected a checkpoint (safetensors or a torch zip), found neither: it may be cut off, or saved by \
                    a torch older than 1.6";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{WEIGHTS}: {expected}"));
}

#[test]
fn models_of_other_families_are_refused_by_the_key_that_tells() {
    type Spoil = fn(&mut Value);
    let cases: [(Spoil, &str); 18] = [
        (
            |m| m["text_cfg"]["context_length"] = json!(1),
            "text_cfg.context_length: expected a number from 2 to 4096, found 1",
        ),
        (
            |m| {
                m["vision_cfg"]["image_size"] = json!(2048);
                m["vision_cfg"]["patch_size"] = json!(4);
            },
            "vision_cfg.patch_size: expected a size that makes at most 65536 patches, found 262144",
        ),
        (
            |m| m["text_cfg"]["hf_model_name"] = json!("roberta-base"),
            "text_cfg.hf_model_name: expected open_clip's own text tower (one from Hugging Face, as RoBERTa, is not \
             supported), found \"roberta-base\"",
        ),
        (
            |m| drop(m.as_object_mut().unwrap().remove("multimodal_cfg")),
            "text_cfg.embed_cls: expected false (without multimodal_cfg this is a CLIP, which has no class token), \
             found true",
        ),
        (
            |m| m["vision_cfg"]["timm_model_name"] = json!("convnext_base"),
            "vision_cfg.timm_model_name: expected open_clip's own vision transformer (a tower of timm is not \
             supported), found \"convnext_base\"",
        ),
        (
            |m| m["vision_cfg"]["timm_model_name"] = json!("vit_base_patch16_siglip_224"),
            "vision_cfg.timm_model_name: expected open_clip's own vision transformer (a SigLIP is not supported), \
             found \"vit_base_patch16_siglip_224\"",
        ),
        (
            |m| {
                m.as_object_mut().unwrap().remove("multimodal_cfg");
                m["text_cfg"]["embed_cls"] = json!(false);
            },
            "vision_cfg.attentional_pool: expected false (without multimodal_cfg this is a CLIP, whose image embedding \
             is that of the class token), found true",
        ),
        (
            |m| m["vision_cfg"]["layers"] = json!([3, 4, 6, 3]),
            "vision_cfg.layers: expected one number of layers (a ResNet is not supported), found [3,4,6,3]",
        ),
        (
            |m| m["vision_cfg"]["no_ln_pre"] = json!(true),
            "vision_cfg.no_ln_pre: expected nothing (this is not supported), found true",
        ),
        (
            |m| m["vision_cfg"]["pool_type"] = json!("avg"),
            "vision_cfg.pool_type: expected \"tok\", found \"avg\"",
        ),
        (
            |m| m["vision_cfg"]["attentional_pool"] = json!("cascade"),
            "vision_cfg.attentional_pool: expected true or false, found \"cascade\"",
        ),
        (
            |m| m["text_cfg"]["qk_norm"] = json!(true),
            "text_cfg.qk_norm: expected nothing (this is not supported), found true",
        ),
        (
            |m| m["text_cfg"]["embed_cls"] = json!(false),
            "text_cfg.embed_cls: expected true (the class token that every CoCa has), found false",
        ),
        (
            |m| m["text_cfg"]["heads"] = json!(7),
            "text_cfg.width: expected a width that its heads divide evenly, found \"24 for 7 heads\"",
        ),
        (
            |m| m["multimodal_cfg"]["width"] = json!(48),
            "multimodal_cfg.width: expected 24, as text_cfg.width, found 48",
        ),
        (
            |m| m["embed_dim"] = json!(0),
            "model_cfg.embed_dim: expected a number from 1 to 16384, found 0",
        ),
        (
            |m| m["vision_cfg"]["patch_size"] = json!(41),
            "vision_cfg.patch_size: expected no more than image_size, found [41,41]",
        ),
        (
            |m| m["vision_cfg"]["rope"] = json!(true),
            "vision_cfg.rope: expected a configuration without this key (it is unknown here), found true",
        ),
    ];
    for (spoil, expected) in cases {
        let checkpoint = Checkpoint::new().config(|c| spoil(&mut c["model_cfg"]));
        assert_eq!(checkpoint.import(None).unwrap_err(), format!("{CONFIG}: {expected}"));
    }
}

#[test]
fn a_vocabulary_too_small_for_every_byte_is_refused() {
    let checkpoint =
        Checkpoint::new().config(|c| c["model_cfg"]["text_cfg"]["vocab_size"] = json!(513));
    let expected = "text_cfg.vocab_size: expected a number from 514 to 1048576, found 513";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{CONFIG}: {expected}"));
}

#[test]
fn pictures_that_cannot_be_prepared_are_refused() {
    let checkpoint =
        Checkpoint::new().config(|c| c["preprocess_cfg"]["resize_mode"] = json!("stretch"));
    let expected =
        "preprocess_cfg.resize_mode: expected one of shortest, longest, squash, found \"stretch\"";
    assert_eq!(checkpoint.import(None).unwrap_err(), format!("{CONFIG}: {expected}"));
}

#[test]
fn a_normalisation_that_coca_would_refuse_is_refused_at_once() {
    for (key, value, expected) in [
        ("std", json!([0.0, 1.0, 1.0]), "expected three numbers above 0, found [0.0, 1.0, 1.0]"),
        ("mean", json!([0.0, 1e39, 1.0]), "expected three finite numbers, found [0.0, inf, 1.0]"),
    ] {
        let checkpoint = Checkpoint::new().config(|c| c["preprocess_cfg"][key] = value);
        let expected = format!("{CONFIG}: preprocess_cfg.{key}: {expected}");
        assert_eq!(checkpoint.import(None).unwrap_err(), expected);
    }
}

#[test]
fn a_configuration_that_is_not_json_is_refused() {
    let checkpoint = Checkpoint::new();
    fs::write(checkpoint.file("open_clip_config.json"), "{").unwrap();
    let error = checkpoint.import(None).unwrap_err();
    assert!(
        error.starts_with(&format!("{CONFIG}: open_clip_config.json: expected JSON, found ")),
        "{error}"
    );
}

#[test]
fn a_folder_that_lacks_a_file_is_refused_with_the_names_of_the_files() {
    let checkpoint = Checkpoint::new();
    fs::remove_file(checkpoint.file("open_clip_model.safetensors")).unwrap();
    let expected = "in: expected a folder with open_clip_model.safetensors or open_clip_pytorch_model.bin in it";
    assert_eq!(checkpoint.import(None).unwrap_err(), expected);
    fs::remove_file(checkpoint.file("open_clip_config.json")).unwrap();
    assert_eq!(
        checkpoint.import(None).unwrap_err(),
        "in: expected a folder with open_clip_config.json or config.json in it"
    );
}

#[test]
fn a_file_of_weights_needs_a_configuration_that_is_known() {
    let checkpoint = Checkpoint::new();
    let names = NAMED.join(", ");
    assert!(names.starts_with("coca_ViT-B-32, coca_ViT-L-14, coca_base, ViT-S-32, "), "{names}");
    let expected = format!(
        "{WEIGHTS}: a file of weights alone needs a configuration: {names}, or a path to an open_clip_config.json"
    );
    assert_eq!(checkpoint.import_from(WEIGHTS, None).unwrap_err(), expected);
    let expected = format!(
        "coca_huge: expected one of {names} or a path to an open_clip_config.json, found neither"
    );
    assert_eq!(checkpoint.import_from(WEIGHTS, Some("coca_huge")).unwrap_err(), expected);
    let error = checkpoint.import_from(WEIGHTS, Some("coca_ViT-B-32")).unwrap_err();
    assert_eq!(error, format!("{WEIGHTS}: visual.class_embedding: expected 768, found 30"));
    let config = checkpoint.file("open_clip_config.json");
    checkpoint.import_from(WEIGHTS, config.to_str()).unwrap();
}

#[test]
fn a_target_that_is_no_model_is_left_alone() {
    let checkpoint = Checkpoint::new();
    let out = checkpoint.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("holiday.jpg"), "picture").unwrap();
    let expected = "out: exists and is no model: choose another folder";
    assert_eq!(checkpoint.import(None).unwrap_err(), expected);
    assert_eq!(fs::read(out.join("holiday.jpg")).unwrap(), b"picture");
}

#[test]
fn a_folder_that_holds_more_than_its_model_is_left_alone() {
    for listing in ["{}", "not JSON", r#"{"files": {"text.bin": {}}}"#] {
        let checkpoint = Checkpoint::new();
        let out = checkpoint.folder.path().join("out");
        fs::create_dir_all(out.join("photos")).unwrap();
        fs::write(out.join("coca.json"), listing).unwrap();
        fs::write(out.join("photos/cat.jpg"), "picture").unwrap();
        let refusal = |entry: &str| {
            format!(
                "out: holds {entry}, which is no part of the model there and would be removed with it: choose \
                 another folder"
            )
        };
        assert_eq!(checkpoint.import(None).unwrap_err(), refusal("photos"));
        assert_eq!(fs::read(out.join("photos/cat.jpg")).unwrap(), b"picture");
        fs::remove_dir_all(out.join("photos")).unwrap();
        fs::write(out.join("thesis.txt"), "thesis").unwrap();
        assert_eq!(checkpoint.import(None).unwrap_err(), refusal("thesis.txt"));
        assert_eq!(fs::read(out.join("thesis.txt")).unwrap(), b"thesis");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_to_a_model_still_points_there_when_the_model_is_replaced() {
    let checkpoint = Checkpoint::new();
    checkpoint.import(None).unwrap();
    let [out, real] = ["out", "real"].map(|name| checkpoint.folder.path().join(name));
    fs::rename(&out, &real).unwrap();
    fs::remove_file(real.join("tokenizer.json")).unwrap();
    std::os::unix::fs::symlink(&real, &out).unwrap();
    checkpoint.import(None).unwrap();
    assert!(out.is_symlink());
    assert!(real.join("tokenizer.json").is_file());
}

#[cfg(unix)]
#[test]
fn folders_and_files_follow_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for (umask, folder_mode, file_mode) in [("022", 0o755, 0o644), ("027", 0o750, 0o640)] {
        let checkpoint = Checkpoint::new();
        let out = checkpoint.folder.path().join("models/out");
        let status = Command::new("sh")
            .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
            .args([env!("CARGO_BIN_EXE_coca-quantize"), "--quiet", "import"])
            .args([&checkpoint.folder.path().join("in"), &out])
            .status()
            .unwrap();
        assert!(status.success());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(out.parent().unwrap()), mode(&out)], [folder_mode; 2]);
        assert!(entries(&out).iter().all(|file| mode(file) == file_mode), "{umask}");
    }
}

#[test]
fn numbers_that_do_not_fit_16_bits_are_refused_when_16_bits_are_asked_for() {
    let checkpoint = Checkpoint::new().tensors(|t| {
        t.get_mut("visual.proj").unwrap().2[40..44].copy_from_slice(&1e6_f32.to_le_bytes())
    });
    let options = Options { storage: Storage::F16, config: None, progress: false };
    let folder = checkpoint.folder.path();
    let error = import(folder.join("in").to_str().unwrap(), &folder.join("out"), &options, &|_| ())
        .unwrap_err();
    assert_eq!(error.to_string(), "visual.proj: expected numbers up to 65504, found 1000000");
}

#[test]
fn a_folder_that_is_named_from_inside_is_refused_by_its_name_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    fs::create_dir(&inside).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca-quantize"));
    command.arg("import").arg(golden("pooler")).arg(".").current_dir(&inside);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let outside = inside.canonicalize().unwrap();
    assert!(said.contains(&format!("name it from outside: {}", outside.display())), "{said}");
    assert_eq!((entries(&inside).len(), entries(folder.path()).len()), (0, 1));
}

//! Label tables: what is written, read and refused.

use half::f16;
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::{
    Embedding, Error, Labels,
    taught::{Classifier, Method, NONE, Shot, Taught},
};
use crate::bundle::{Fingerprint, hexadecimal};

const MODEL: Fingerprint = Fingerprint([7; 32]);

fn labels() -> Labels {
    let names = ["a cat", "ein Hund, \"groß\""].map(str::to_owned).to_vec();
    let templates = vec!["a photo of {}.".to_owned(), "{}".to_owned()];
    Labels::new(names, templates, array![[0.6, 0.8, 0.0], [0.0, -1.0, 0.0]], 100.0, MODEL).unwrap()
}

fn load(bytes: &[u8], model: Fingerprint) -> Result<Labels, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.table");
    std::fs::write(&path, bytes).unwrap();
    Labels::load(&path, model, 100.0)
}

/// `labels` as format 1 stored them.
fn in_f16(labels: &Labels) -> Vec<u8> {
    let bytes = labels.to_bytes().unwrap();
    let mut metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    let data: Vec<u8> =
        labels.embeddings().iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
    metadata.insert("format".to_owned(), "coca-labels-1".to_owned());
    metadata.insert("sha256".to_owned(), hexadecimal(&Sha256::digest(&data)));
    let shape = labels.embeddings().shape().to_vec();
    let tensor = TensorView::new(Dtype::F16, shape, &data).unwrap();
    safetensors::serialize([("embeddings", tensor)], Some(metadata)).unwrap()
}

fn assert_same_but_for(back: &Labels, tolerance: f32) {
    assert_eq!((back.names(), back.templates()), (labels().names(), labels().templates()));
    let off = back.embeddings() - labels().embeddings();
    let worst = off.fold(0_f32, |worst, off| worst.max(off.abs()));
    assert!(worst <= tolerance, "{worst}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_table_and_a_device_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (table, link) = (folder.path().join("table"), folder.path().join("link"));
    std::os::unix::fs::symlink(&table, &link).unwrap();
    labels().save(&link).unwrap();
    assert!(link.is_symlink() && table.is_file());
    labels().save("/dev/null").unwrap();
    assert!(!std::path::Path::new("/dev/null").is_file());
}

#[test]
fn a_saved_table_comes_back_with_its_labels_templates_and_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.table");
    labels().save(&path).unwrap();
    assert_same_but_for(&Labels::load(&path, MODEL, 100.0).unwrap(), 0.0);
}

#[test]
fn a_table_of_the_first_format_is_still_read() {
    assert_same_but_for(&load(&in_f16(&labels()), MODEL).unwrap(), 1e-3);
}

#[test]
fn a_format_that_holds_other_numbers_than_it_says_is_refused() {
    let mut bytes = in_f16(&labels());
    let at = bytes.windows(13).position(|w| w == b"coca-labels-1").unwrap();
    bytes[at + 12] = b'2';
    let error = load(&bytes, MODEL).unwrap_err().to_string();
    assert!(error.contains("expected F32 [labels, embedding], found F16 [2, 3]"), "{error}");
}

#[test]
fn a_table_of_another_model_is_refused() {
    let error = load(&labels().to_bytes().unwrap(), Fingerprint([8; 32])).unwrap_err();
    assert!(error.to_string().contains("made with another model"), "{error}");
}

#[test]
fn a_table_that_does_not_say_which_model_made_it_is_no_table() {
    let bytes = labels().to_bytes().unwrap();
    let mut metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    metadata.remove("model");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let bytes = safetensors::serialize(tensors.iter(), Some(metadata)).unwrap();
    let error = load(&bytes, MODEL).unwrap_err();
    assert!(
        matches!(&error, Error::NotATable { reason, .. } if reason.starts_with("model: missing"))
    );
}

#[test]
fn an_altered_table_is_refused() {
    let mut bytes = labels().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(load(&bytes, MODEL).unwrap_err().to_string().contains("sha256"));
}

#[test]
fn a_table_that_cannot_be_written_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    assert!(labels().save(folder.path().join("no/such/folder.table")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_table_or_an_error(cut in 0_usize..400, at in 0_usize..400, value: u8) {
        let mut bytes = labels().to_bytes().unwrap();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(cut.max(at));
        let _ = load(&bytes, MODEL);
    }
}

/// The contents of a table of these labels.
pub(super) fn saved_and_loaded(labels: &Labels) -> Labels {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.table");
    labels.save(&path).unwrap();
    Labels::load(&path, labels.model(), labels.logit_scale()).unwrap()
}

fn taught() -> Labels {
    let shot = |label, source: &str, embedding: [f32; 3]| Shot {
        label,
        source: source.to_owned(),
        embedding: embedding.to_vec(),
    };
    let classifier = Classifier::Linear {
        weights: array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        bias: Array1::from(vec![0.5, -0.5]),
    };
    let shots = vec![shot(0, "a.jpg", [1.0, 0.0, 0.0]), shot(NONE, "\"x\"/ü.jpg", [0.0, 1.0, 0.0])];
    let mut labels = labels();
    labels.taught = Some(Taught { shots, method: Method::Gda, uses_names: true, classifier });
    labels
}

#[test]
fn a_taught_table_comes_back_with_pictures_and_classifier() {
    assert_eq!(saved_and_loaded(&taught()), taught());
}

#[test]
fn a_table_that_no_picture_taught_is_of_the_format_that_older_programs_read() {
    let bytes = labels().to_bytes().unwrap();
    assert!(bytes.windows(13).any(|window| window == b"coca-labels-2"));
    let bytes = taught().to_bytes().unwrap();
    assert!(bytes.windows(13).any(|window| window == b"coca-labels-3"));
}

#[test]
fn an_altered_picture_or_classifier_is_refused() {
    let bytes = taught().to_bytes().unwrap();
    let data = bytes.len()
        - SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(_, t)| t.data().len())
            .sum::<usize>();
    for at in data..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let error = load(&altered, MODEL).unwrap_err().to_string();
        assert!(error.contains("sha256"), "{error}");
    }
}

#[test]
fn a_picture_of_a_label_that_there_is_not_is_refused() {
    let mut labels = taught();
    labels.taught.as_mut().unwrap().shots[0].label = 2;
    let error = load(&labels.to_bytes().unwrap(), MODEL).unwrap_err().to_string();
    assert!(error.contains("expected labels below 2, found 2"), "{error}");
}

#[test]
fn a_classifier_of_another_shape_is_refused() {
    let mut labels = taught();
    let classifier =
        Classifier::Linear { weights: array![[1.0, 2.0, 3.0]], bias: array![0.5, 0.5] };
    labels.taught.as_mut().unwrap().classifier = classifier;
    let error = load(&labels.to_bytes().unwrap(), MODEL).unwrap_err().to_string();
    assert!(error.contains("weights: expected F32 [2, 3], found F32 [1, 3]"), "{error}");
}

#[test]
fn a_classifier_whose_answers_are_no_numbers_is_an_error() {
    let mut labels = taught();
    let weights = Array2::from_elem((2, 3), 3e38);
    let classifier = Classifier::Linear { weights, bias: array![0.0, 0.0] };
    labels.taught.as_mut().unwrap().classifier = classifier;
    let labels = load(&labels.to_bytes().unwrap(), MODEL).unwrap();
    let image = Embedding::from_elements(vec![1.0; 3], MODEL).unwrap();
    assert!(matches!(labels.classify(&image, 1), Err(Error::NotFinite { .. })));
}

#[test]
fn rows_that_are_no_embeddings_are_refused() {
    let mut labels = taught();
    labels.taught.as_mut().unwrap().shots[1].embedding = vec![0.0, 3.0, 0.0];
    let error = load(&labels.to_bytes().unwrap(), MODEL).unwrap_err().to_string();
    assert!(error.contains("shots: expected rows of length 1, found 3"), "{error}");
}

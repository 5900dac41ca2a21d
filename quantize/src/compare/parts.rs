//! Runs every part of both models on the same inputs, the reference's, so that each layer's noise arose in its part.

use std::collections::BTreeMap;

use coca_engine::Input;
use coca_text::Tokenizer;
use coca_vision::Pixels;
use ndarray::{Array1, Array2, Array3, ArrayD};

use super::{
    error::Error,
    layers::{LayerNoise, Layers},
    model::Files,
    options::Progress,
    pictures::Sample,
    probe::Probe,
};

/// Label sentences that the text encoder runs on.
const SENTENCES: usize = 32;

/// Added to masked attention scores, as `coca` does.
const MASKED: f32 = -1e9;

/// The reference's tensors of one run, by name.
type Tensors = BTreeMap<String, ArrayD<f32>>;

pub(super) fn compare(
    files: &[Files; 2],
    samples: &[Sample],
    sentences: &[String],
    progress: &mut dyn FnMut(Progress),
) -> Result<Layers, Error> {
    let mut layers =
        Layers { pictures: samples.len(), compared: 0, unmatched: Vec::new(), worst: Vec::new() };
    let captions = samples.iter().any(|sample| sample.caption.is_some());
    let total = if captions { 4 } else { 2 };
    let mut step = |done| progress(Progress { doing: "layers", done, total });
    step(0);
    let tokens = image_encoder(files, samples, captions, &mut layers)?;
    step(1);
    text_encoder(files, sentences, &mut layers)?;
    if captions {
        step(2);
        let cross = cross_kv(files, tokens, &mut layers)?;
        step(3);
        caption_decoder(files, samples, cross, &mut layers)?;
    }
    layers.compared = layers.worst.len();
    layers.worst.sort_by(|a, b| b.arising.total_cmp(&a.arising));
    Ok(layers)
}

/// Returns the reference's image tokens `[1, T, D]` of each sample.
fn image_encoder(
    files: &[Files; 2],
    samples: &[Sample],
    captions: bool,
    layers: &mut Layers,
) -> Result<Vec<ArrayD<f32>>, Error> {
    let inputs = ["pixel_values".to_owned()];
    let wanted: &[String] = if captions { &["image_tokens".to_owned()] } else { &[] };
    let mut probe = Probe::prepare(files, "image_encoder.onnx", &inputs, wanted, true)?;
    let mut tokens = Vec::new();
    for pixels in samples.iter().map(|sample| sample.pixels.clone()) {
        let pixels = Pixels::into_array(pixels).into();
        let mut tensors = probe.run(files, vec![pixels])?;
        if captions {
            tokens.push(take(&mut tensors, probe.part(), "image_tokens")?);
        }
    }
    layers.take(probe);
    Ok(tokens)
}

fn text_encoder(
    files: &[Files; 2],
    sentences: &[String],
    layers: &mut Layers,
) -> Result<(), Error> {
    let tokenizer = files[0].tokenizer()?;
    let mut probe =
        Probe::prepare(files, "text_encoder.onnx", &["input_ids".to_owned()], &[], false)?;
    for sentence in sentences.iter().take(SENTENCES) {
        let ids = tokenizer.encode(sentence).map_err(|e| files[0].task_failed(e.into()))?;
        probe.run(files, vec![tokenizer.batch(&[ids]).into()])?;
    }
    layers.take(probe);
    Ok(())
}

/// Returns the reference's cross-attention keys and values of each sample.
fn cross_kv(
    files: &[Files; 2],
    tokens: Vec<ArrayD<f32>>,
    layers: &mut Layers,
) -> Result<Vec<Tensors>, Error> {
    let wanted = pairs("cross", files[0].bundle.config().dimensions.multimodal_layers);
    let inputs = ["image_tokens".to_owned()];
    let mut probe = Probe::prepare(files, "cross_kv.onnx", &inputs, &wanted, false)?;
    let mut cross = Vec::new();
    for tokens in tokens {
        cross.push(probe.run(files, vec![tokens.into()])?);
    }
    layers.take(probe);
    Ok(cross)
}

/// Runs the decoder over the reference's captions, all tokens of one at once.
fn caption_decoder(
    files: &[Files; 2],
    samples: &[Sample],
    cross: Vec<Tensors>,
    layers: &mut Layers,
) -> Result<(), Error> {
    let sizes = files[0].bundle.config().dimensions;
    let past = pairs("past", sizes.unimodal_layers + sizes.multimodal_layers);
    let cross_names = pairs("cross", sizes.multimodal_layers);
    let mut inputs: Vec<String> =
        ["input_ids", "position", "text_mask", "causal_mask"].map(str::to_owned).into();
    inputs.extend(past.iter().chain(&cross_names).cloned());
    let mut probe = Probe::prepare(files, "caption_decoder.onnx", &inputs, &[], false)?;
    for (sample, mut cross) in samples.iter().zip(cross) {
        let Some(tokens) = &sample.caption else { continue };
        let mut inputs = beginning(tokens);
        let empty = Array3::<f32>::zeros((1, 0, sizes.decoder_width));
        inputs.extend(past.iter().map(|_| Input::from(empty.clone())));
        for name in &cross_names {
            inputs.push(Input::F32(take(&mut cross, "cross_kv.onnx", name)?));
        }
        probe.run(files, inputs)?;
    }
    layers.take(probe);
    Ok(())
}

/// `input_ids [1,S]`, `position [S]`, `text_mask [1,S,S]` and `causal_mask [S,S]` of a caption without a past.
fn beginning(tokens: &[u32]) -> Vec<Input> {
    let count = tokens.len();
    let causal = Array2::from_shape_fn((count, count), |(s, k)| if k > s { MASKED } else { 0.0 });
    vec![
        Array2::from_shape_fn((1, count), |(_, s)| i64::from(tokens[s])).into(),
        Array1::from_shape_fn(count, |s| s as i64).into(),
        causal.clone().insert_axis(ndarray::Axis(0)).into(),
        causal.into(),
    ]
}

/// Takes a tensor out of those of a run of `part`.
fn take(tensors: &mut Tensors, part: &'static str, name: &str) -> Result<ArrayD<f32>, Error> {
    let missing = || Error::MissingTensor { part, tensor: name.to_owned() };
    tensors.remove(name).ok_or_else(missing)
}

/// `kind_key.0, kind_value.0, kind_key.1, …`
fn pairs(kind: &str, layers: usize) -> Vec<String> {
    (0..layers).flat_map(|i| ["key", "value"].map(|half| format!("{kind}_{half}.{i}"))).collect()
}

impl Layers {
    fn take(&mut self, probe: Probe) {
        let part = probe.part();
        self.unmatched.extend(probe.unmatched.iter().map(|name| format!("{part}: {name}")));
        self.worst.extend::<Vec<LayerNoise>>(probe.into_layers().collect());
    }
}

impl Files {
    fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let json = self.read("tokenizer.json")?;
        Tokenizer::new((*json).as_ref(), self.bundle.config().text.clone())
            .map_err(|e| self.task_failed(e.into()))
    }

    fn task_failed(&self, source: coca_model::Error) -> Error {
        Error::Model { path: self.path.clone(), source: Box::new(source) }
    }
}

//! Runs a model so that its layers read what they will: pictures, the model's own captions, labels.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use coca_edge::{
    Bundle, CaptionOptions, Coca, Search,
    engine::Input,
    tasks::{PictureReader, sources},
    text::{TokenIds, Tokenizer},
};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD};

use super::{
    super::{
        Error, Progress,
        part::Part,
        source::{SourceFiles, TensorId},
    },
    MOST_PICTURES,
    inputs::LayerInput,
    runner::{Collected, Runner},
    samples::MOST_ROWS,
};

/// Labels that the text encoder reads besides captions.
const LABELS: [&str; 12] = [
    "cat",
    "dog",
    "person",
    "car",
    "bicycle",
    "tree",
    "house",
    "airplane",
    "pizza",
    "red flower",
    "people at a table",
    "street with traffic lights at night",
];
/// Added to an attention score that must not count.
const MASKED: f32 = -1e9;
/// The decoder reads captions up to each third: its head sees the last token of each only.
const THIRDS: usize = 3;

/// A picture, and what the model says about it.
struct Example {
    pixels: Array4<f32>,
    caption: Option<Caption>,
}

struct Caption {
    text: String,
    ids: Vec<u32>,
}

/// What runs need of a bundle.
pub(in super::super) struct Model<'a> {
    pub(in super::super) folder: &'a Path,
    pub(in super::super) bundle: &'a Bundle,
    pub(in super::super) parts: &'a [Part],
    pub(in super::super) files: &'a SourceFiles<'a>,
}

/// Rows of every input, and how many pictures they come from.
pub(super) fn run(
    model: &Model,
    inputs: &BTreeMap<TensorId, Vec<LayerInput>>,
    pictures: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(Collected, usize), Error> {
    let wanted: BTreeSet<&LayerInput> = inputs.values().flatten().collect();
    let examples = examples(model, pictures, progress)?;
    let mut collected = Collected::new();
    let tokens = run_image_encoder(model, &wanted, &examples, &mut collected, progress)?;
    run_decoder(model, &wanted, &examples, &tokens, &mut collected, progress)?;
    run_text_encoder(model, &wanted, &examples, &mut collected, progress)?;
    Ok((collected, examples.len()))
}

/// Pictures of a folder, evenly chosen, with the model's own captions.
fn examples(
    model: &Model,
    folder: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Example>, Error> {
    let coca = Coca::open(model.folder)?;
    let all = sources(&[folder.to_owned()]);
    let step = all.len().div_ceil(MOST_PICTURES).max(1);
    let chosen: Vec<_> = all.into_iter().step_by(step).collect();
    let total = chosen.len() as u64;
    let options = greedy(model.bundle);
    let (mut examples, mut unreadable) = (Vec::new(), None);
    for (done, (_, pixels)) in PictureReader::start(chosen, coca.preprocessor().clone()).enumerate()
    {
        progress(Progress { doing: "captioning", done: done as u64, total });
        let pixels = match pixels {
            Ok(pixels) => pixels,
            // One broken picture among many is no reason to stop; none that can be read is.
            Err(error) => {
                unreadable.get_or_insert(error);
                continue;
            }
        };
        let kept = pixels.view().to_owned();
        let caption = match model.bundle.captions() {
            true => Some(coca.caption(&coca.encode_pixels(pixels)?, &options)?),
            false => None,
        };
        let caption = caption.map(|caption| Caption { text: caption.text, ids: caption.tokens });
        examples.push(Example { pixels: kept, caption });
    }
    match unreadable {
        Some(error) if examples.is_empty() => Err(Error::Picture(error)),
        _ => Ok(examples),
    }
}

/// The likeliest words, as many as the bundle's own settings allow and its context has room for.
fn greedy(bundle: &Bundle) -> CaptionOptions {
    let settings = bundle.config().caption.clone().unwrap_or_default();
    let most = settings.max_tokens.min(bundle.config().text.context_length + 1);
    CaptionOptions::default()
        .search(Search::Greedy)
        .max_tokens(most)
        .min_tokens(settings.min_tokens.min(most.saturating_sub(1)))
}

fn runner(
    model: &Model,
    part: &str,
    wanted: &BTreeSet<&LayerInput>,
) -> Result<Option<Runner>, Error> {
    let part = model.parts.iter().find(|found| found.name == part);
    part.map(|part| Runner::new(part, model.files, wanted)).transpose()
}

/// Gives the image tokens of each picture, if the model has any.
fn run_image_encoder(
    model: &Model,
    wanted: &BTreeSet<&LayerInput>,
    examples: &[Example],
    collected: &mut Collected,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Option<ArrayD<f32>>>, Error> {
    let Some(encoder) = runner(model, "image_encoder.onnx", wanted)? else {
        return Ok(Vec::new());
    };
    let rows = MOST_ROWS.div_ceil(examples.len().max(1));
    let mut tokens = Vec::new();
    for (done, example) in examples.iter().enumerate() {
        let (done, total) = (done as u64, examples.len() as u64);
        progress(Progress { doing: "reading pictures", done, total });
        let pixels = HashMap::from([("pixel_values".to_owned(), example.pixels.clone().into())]);
        tokens.push(encoder.run(pixels, rows, collected)?.remove("image_tokens"));
    }
    Ok(tokens)
}

fn run_decoder(
    model: &Model,
    wanted: &BTreeSet<&LayerInput>,
    examples: &[Example],
    tokens: &[Option<ArrayD<f32>>],
    collected: &mut Collected,
    progress: &dyn Fn(Progress),
) -> Result<(), Error> {
    let cross_kv = runner(model, "cross_kv.onnx", wanted)?;
    let decoder = runner(model, "caption_decoder.onnx", wanted)?;
    let Some((cross_kv, decoder)) = cross_kv.zip(decoder) else { return Ok(()) };
    let rows = MOST_ROWS.div_ceil(examples.len().max(1));
    for (done, (example, tokens)) in examples.iter().zip(tokens).enumerate() {
        let (done, total) = (done as u64, examples.len() as u64);
        progress(Progress { doing: "reading captions", done, total });
        let Some((caption, tokens)) = example.caption.as_ref().zip(tokens.as_ref()) else {
            continue;
        };
        let tokens = HashMap::from([("image_tokens".to_owned(), tokens.clone().into())]);
        let cross = cross_kv.run(tokens, rows, collected)?;
        for third in 1..=THIRDS {
            let length = (caption.ids.len() * third).div_ceil(THIRDS);
            let inputs = first_step(model.bundle, &caption.ids[..length], &cross);
            decoder.run(inputs, rows.div_ceil(THIRDS), collected)?;
        }
    }
    Ok(())
}

/// All of a caption in one step, with nothing in the cache.
fn first_step(
    bundle: &Bundle,
    ids: &[u32],
    cross: &HashMap<String, ArrayD<f32>>,
) -> HashMap<String, Input> {
    let (pad, sizes) = (bundle.config().text.pad_id, &bundle.config().dimensions);
    let count = ids.len();
    let causal = Array2::from_shape_fn((count, count), |(s, k)| if k > s { MASKED } else { 0.0 });
    let hidden = |k: usize| k.checked_sub(1).is_some_and(|before| ids[before] == pad);
    let text =
        Array3::from_shape_fn(
            (1, count, count),
            |(_, s, k)| {
                if hidden(k) { MASKED } else { causal[(s, k)] }
            },
        );
    let mut inputs: HashMap<String, Input> = HashMap::from([
        (
            "input_ids".to_owned(),
            Array2::from_shape_fn((1, count), |(_, s)| i64::from(ids[s])).into(),
        ),
        ("position".to_owned(), Array1::from_iter((0..count).map(|s| s as i64)).into()),
        ("text_mask".to_owned(), text.into()),
        ("causal_mask".to_owned(), causal.into()),
    ]);
    for layer in 0..sizes.unimodal_layers + sizes.multimodal_layers {
        for kind in ["past_key", "past_value"] {
            let nothing = Array3::<f32>::zeros((1, 0, sizes.decoder_width));
            inputs.insert(format!("{kind}.{layer}"), nothing.into());
        }
    }
    inputs.extend(cross.iter().map(|(name, value)| (name.clone(), value.clone().into())));
    inputs
}

fn run_text_encoder(
    model: &Model,
    wanted: &BTreeSet<&LayerInput>,
    examples: &[Example],
    collected: &mut Collected,
    progress: &dyn Fn(Progress),
) -> Result<(), Error> {
    let Some(encoder) = runner(model, "text_encoder.onnx", wanted)? else { return Ok(()) };
    let config = model.bundle.config();
    let json = model.bundle.read("tokenizer.json", "reading texts")?;
    let tokenizer =
        Tokenizer::new((*json).as_ref(), config.text.clone()).map_err(coca_edge::Error::from)?;
    let captions = examples.iter().flat_map(|example| &example.caption).map(|c| c.text.clone());
    let labels = LABELS.iter().map(|label| config.template.replace("{}", label));
    let texts: Vec<String> = captions.chain(labels).collect();
    for (done, text) in texts.iter().enumerate() {
        let (done, total) = (done as u64, texts.len() as u64);
        progress(Progress { doing: "reading texts", done, total });
        let ids: TokenIds = tokenizer.encode(text).map_err(coca_edge::Error::from)?;
        let inputs = HashMap::from([("input_ids".to_owned(), tokenizer.batch(&[ids]).into())]);
        encoder.run(inputs, MOST_ROWS.div_ceil(texts.len()), collected)?;
    }
    Ok(())
}

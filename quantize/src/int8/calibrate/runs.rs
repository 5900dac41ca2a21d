//! Runs a model on sample inputs: images, the captions that it writes of them, labels.
//!
//! The parts are loaded one after the other, to have few of them in memory at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use coca_engine::{Engine, Input};
use coca_model::{bundle::Config, generate::CaptionSettings};
use coca_text::Tokenizer;
use ndarray::{Array1, Array2, Array3, ArrayD, Axis};

use super::{
    super::{
        IMAGE_ENCODER,
        error::Error,
        origin::Origin,
        part::Part,
        pictures::Pictures,
        progress::Progress,
        source::{SourceFiles, TensorId},
    },
    inputs::LayerInput,
    projection::{self, Projection},
    runner::{Collected, Runner},
    samples::MAX_ROWS,
};

/// Images that the model runs on; from a larger folder they are taken at even distances.
pub const MAX_PICTURES: usize = 24;
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
/// Output of the decoder.
const LOGITS: &str = "logits";
/// Added to masked attention scores.
const MASKED: f32 = -1e9;
/// The model, and its parsed parts and files of weights.
pub(in super::super) struct Model<'a> {
    pub(in super::super) engine: &'a Engine,
    pub(in super::super) origin: &'a Origin,
    pub(in super::super) parts: &'a [Part],
    pub(in super::super) files: &'a SourceFiles<'a>,
}

/// Samples of every input, and the number of images that they come from.
pub(super) fn run(
    model: &Model,
    inputs: &BTreeMap<TensorId, Vec<LayerInput>>,
    pictures: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(Collected, usize), Error> {
    let mut runs = Runs {
        model,
        wanted: inputs.values().flatten().collect(),
        collected: Collected::new(),
        progress,
    };
    let tokens = runs.encode_pictures(pictures)?;
    let captions = runs.write_captions(&tokens)?;
    runs.read_texts(&captions)?;
    Ok((runs.collected, tokens.len()))
}

struct Runs<'a> {
    model: &'a Model<'a>,
    wanted: BTreeSet<&'a LayerInput>,
    collected: Collected,
    progress: &'a dyn Fn(Progress<'_>),
}

impl Runs<'_> {
    fn runner(&self, name: &str) -> Result<Runner, Error> {
        Runner::new(self.part(name)?, self.model.origin, self.model.engine, &self.wanted)
    }

    fn part(&self, name: &str) -> Result<&Part, Error> {
        let part = self.model.parts.iter().find(|part| part.name == name);
        part.ok_or_else(|| Error::MissingFile { name: name.to_owned() })
    }

    fn decoder(&self) -> Result<Decoder, Error> {
        let part = self.part("caption_decoder.onnx")?;
        let Some(projection) = Projection::take(part, LOGITS)? else {
            return Ok(Decoder { runner: self.runner(&part.name)?, projection: None });
        };
        let Model { origin, engine, files, .. } = self.model;
        let runner = Runner::new(&projection.rest, origin, engine, &self.wanted)?;
        let weight = projection.read(files)?;
        Ok(Decoder { runner, projection: Some((projection.input, weight)) })
    }

    fn tell(&self, doing: &str, done: usize, total: usize) {
        (self.progress)(Progress { doing, done: done as u64, total: total as u64 });
    }

    /// The image tokens of some images of `folder`, each `None` where the model has no decoder.
    fn encode_pictures(&mut self, folder: &Path) -> Result<Vec<Option<ArrayD<f32>>>, Error> {
        let pictures = Pictures::new(folder, self.model.origin.config().image.clone())?;
        let (mut encoder, mut tokens) = (None, Vec::new());
        pictures.each(MAX_PICTURES, |pixels, done, total| {
            self.tell("reading pictures", done, total);
            let encoder = match &encoder {
                Some(encoder) => encoder,
                None => encoder.insert(self.runner(IMAGE_ENCODER)?),
            };
            let inputs = HashMap::from([("pixel_values".to_owned(), pixels.into())]);
            let mut outputs = encoder.run(inputs, MAX_ROWS.div_ceil(total), &mut self.collected)?;
            let has_decoder = self.model.origin.config().caption.is_some();
            let found = has_decoder.then(|| encoder.take(&mut outputs, "image_tokens"));
            tokens.push(found.transpose()?);
            Ok(())
        })?;
        Ok(tokens)
    }

    /// A caption for the tokens of each image.
    fn write_captions(&mut self, tokens: &[Option<ArrayD<f32>>]) -> Result<Vec<Vec<u32>>, Error> {
        let config = self.model.origin.config();
        let Some(settings) = &config.caption else { return Ok(Vec::new()) };
        let tokens: Vec<_> = tokens.iter().flatten().collect();
        let rows = MAX_ROWS.div_ceil(tokens.len().max(1));
        let cross_kv = self.runner("cross_kv.onnx")?;
        let decoder = self.decoder()?;
        let mut captions = Vec::new();
        for (done, &tokens) in tokens.iter().enumerate() {
            self.tell("captioning", done, MAX_PICTURES);
            let inputs = HashMap::from([("image_tokens".to_owned(), tokens.clone().into())]);
            let cross = cross_kv.run(inputs, rows, &mut self.collected)?;
            let caption = Caption::new(config, settings, cross);
            captions.push(caption.write(&decoder, rows, &mut self.collected)?);
        }
        Ok(captions)
    }

    fn read_texts(&mut self, captions: &[Vec<u32>]) -> Result<(), Error> {
        let encoder = self.runner("text_encoder.onnx")?;
        let config = self.model.origin.config();
        let json = self.model.origin.read("tokenizer.json")?;
        let tokenizer =
            Tokenizer::new(&json, config.text.clone()).map_err(coca_model::Error::from)?;
        let captions = captions.iter().map(|ids| tokenizer.decode(ids));
        let labels = LABELS.iter().map(|label| Ok(config.template.replace("{}", label)));
        let texts = captions.chain(labels).collect::<Result<Vec<String>, _>>();
        let texts = texts.map_err(coca_model::Error::from)?;
        for (done, text) in texts.iter().enumerate() {
            self.tell("reading texts", done, texts.len());
            let ids = tokenizer.encode(text).map_err(coca_model::Error::from)?;
            let inputs = HashMap::from([("input_ids".to_owned(), tokenizer.batch(&[ids]).into())]);
            encoder.run(inputs, MAX_ROWS.div_ceil(texts.len()), &mut self.collected)?;
        }
        Ok(())
    }
}

/// The decoder, with the layer that makes the logits by itself where it can be.
struct Decoder {
    runner: Runner,
    /// The tensor that this layer reads, and its weight `[W, V]`.
    projection: Option<(String, Array2<f32>)>,
}

impl Decoder {
    /// The logits `[V]` of the last token.
    fn logits(&self, outputs: &mut HashMap<String, ArrayD<f32>>) -> Result<ArrayD<f32>, Error> {
        let Some((input, weight)) = &self.projection else {
            return self.runner.take(outputs, LOGITS);
        };
        let x = self.runner.take(outputs, input)?;
        projection::last_row(&x, weight).ok_or_else(|| {
            let expected = format!("rows of {}", weight.nrows());
            self.runner.tensor_error(input, &expected, &format!("{:?}", x.shape()))
        })
    }
}

/// A caption that is being written. Each step takes the likeliest token that it lacks, so that no model, however poor,
/// repeats one for ever.
struct Caption<'a> {
    config: &'a Config,
    settings: &'a CaptionSettings,
    ids: Vec<u32>,
    /// `past_key.0`, `past_value.0` and so on, each `[1, P, W]`.
    past: Vec<(String, ArrayD<f32>)>,
    cross: HashMap<String, ArrayD<f32>>,
}

impl<'a> Caption<'a> {
    fn new(
        config: &'a Config,
        settings: &'a CaptionSettings,
        cross: HashMap<String, ArrayD<f32>>,
    ) -> Self {
        let sizes = &config.dimensions;
        let layers = 0..sizes.unimodal_layers + sizes.multimodal_layers;
        let names = layers.flat_map(|i| ["key", "value"].map(|half| format!("{half}.{i}")));
        let nothing = Array3::zeros((1, 0, sizes.decoder_width)).into_dyn();
        let past = names.map(|name| (name, nothing.clone())).collect();
        Self { config, settings, ids: vec![config.text.start_id], past, cross }
    }

    /// Writes as many tokens as the settings and the context length allow, and keeps at most `rows` rows of every
    /// layer's input.
    fn write(
        mut self,
        decoder: &Decoder,
        rows: usize,
        collected: &mut Collected,
    ) -> Result<Vec<u32>, Error> {
        let (config, settings) = (self.config, self.settings);
        let max = settings.max_tokens.min(config.text.context_length + 1);
        // The first step is like no other, and the same for every image.
        let every = max.div_ceil(rows.max(1)).max(2);
        while self.ids.len() < max && self.ids.last() != Some(&config.text.end_id) {
            let kept = usize::from(self.ids.len().is_multiple_of(every));
            let mut outputs = decoder.runner.run(self.inputs(), kept, collected)?;
            for (name, past) in &mut self.past {
                let output = format!("new_{name}");
                let new = decoder.runner.take(&mut outputs, &output)?;
                past.append(Axis(1), new.view()).map_err(|_| {
                    let expected = format!("a step for the cache {:?}", past.shape());
                    decoder.runner.tensor_error(&output, &expected, &format!("{:?}", new.shape()))
                })?;
            }
            let early = self.ids.len() < settings.min_tokens;
            let barred = |id: u32| self.ids.contains(&id) || (early && id == config.text.end_id);
            let logits = decoder.logits(&mut outputs)?;
            let next = (0..).zip(&logits).filter(|(id, _)| !barred(*id));
            let Some((next, _)) = next.max_by(|(_, a), (_, b)| a.total_cmp(b)) else { break };
            self.ids.push(next);
        }
        Ok(self.ids)
    }

    /// The last token, with everything before it in the cache.
    fn inputs(&self) -> HashMap<String, Input> {
        let pad = self.config.text.pad_id;
        let last = self.ids.len() - 1;
        let hidden = |k: usize| k.checked_sub(1).is_some_and(|before| self.ids[before] == pad);
        let text = |(_, _, k)| if hidden(k) { MASKED } else { 0.0 };
        let id = self.ids[last];
        let mut inputs: HashMap<String, Input> = HashMap::from([
            ("input_ids".to_owned(), ndarray::arr2(&[[i64::from(id)]]).into()),
            ("position".to_owned(), Array1::from_elem(1, last as i64).into()),
            ("text_mask".to_owned(), Array3::from_shape_fn((1, 1, last + 1), text).into()),
            ("causal_mask".to_owned(), ndarray::Array2::<f32>::zeros((1, last + 1)).into()),
        ]);
        let past = self.past.iter();
        inputs.extend(past.map(|(name, rows)| (format!("past_{name}"), rows.clone().into())));
        let cross = self.cross.iter();
        inputs.extend(cross.map(|(name, rows)| (name.clone(), rows.clone().into())));
        inputs
    }
}

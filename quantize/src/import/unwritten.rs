//! A checkpoint as a bundle that is not on the disk: graphs, and weights that are made when they are read.

use std::path::Path;

use coca_model::{
    bundle::{Config, Dimensions, FORMAT, Precision},
    generate::CaptionSettings,
};

use super::{error::Error, model::Model, source::Source};
use crate::{
    bundle_writer::BundleWriter,
    onnx::{self, Storage, TextTower, WeightFile},
    open_clip::Architecture,
};

/// The files of a bundle.
pub(crate) struct UnwrittenBundle {
    /// `coca.json` without the list of files.
    pub(crate) config: Config,
    /// Graphs by file name, in the order in which they are written.
    graphs: Vec<(&'static str, Vec<u8>)>,
    pub(crate) weight_files: Vec<WeightFile>,
    /// `tokenizer.json`.
    tokenizer: Vec<u8>,
}

impl UnwrittenBundle {
    /// Builds the graphs. Of the checkpoint only the table of tensors and small tensors are read.
    pub(super) fn new(source: &Source, storage: Storage) -> Result<Self, Error> {
        let model = Model::read(source)?;
        let Model { architecture, ref weights, .. } = model;
        let [mut vision, mut text, mut decoder] =
            ["vision.bin", "text.bin", "decoder.bin"].map(|name| WeightFile::new(name, storage));
        let image_encoder = onnx::image_encoder(&weights.vision, architecture, &mut vision)?;
        let tower = TextTower::store(&weights.text, architecture, &mut text)?;
        let end_id = model.text.end_id;
        let text_encoder =
            onnx::text_encoder(&weights.text, architecture, &tower, end_id, &mut text)?;
        let mut graphs =
            vec![("image_encoder.onnx", image_encoder), ("text_encoder.onnx", text_encoder)];
        let mut weight_files = vec![vision, text];
        if let Some((weights, layers)) = weights.decoder.as_ref().zip(architecture.decoder) {
            let tokens = architecture.image_tokens();
            let cross_kv = onnx::cross_kv(weights, &layers, tokens, &mut decoder)?;
            let step = onnx::caption_decoder(weights, &layers, architecture, &tower, &mut decoder)?;
            graphs.extend([("cross_kv.onnx", cross_kv), ("caption_decoder.onnx", step)]);
            weight_files.push(decoder);
        }
        let config = describe(source, &model, storage);
        Ok(Self { config, graphs, weight_files, tokenizer: model.tokenizer })
    }

    /// Name and length of every file but `coca.json`.
    pub(crate) fn files(&self) -> Vec<(&str, u64)> {
        let weights = self.weight_files.iter().map(|file| (file.name(), file.len() as u64));
        let others = self.others().map(|(name, bytes)| (name, bytes.len() as u64));
        weights.chain(others).collect()
    }

    /// The file `name`; `None` if it is neither a graph nor the tokenizer.
    pub(crate) fn read(&self, name: &str) -> Option<&[u8]> {
        self.others().find(|(other, _)| *other == name).map(|(_, bytes)| bytes)
    }

    /// The graphs and the tokenizer.
    fn others(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let graphs = self.graphs.iter().map(|(name, graph)| (*name, graph.as_slice()));
        graphs.chain([("tokenizer.json", self.tokenizer.as_slice())])
    }

    /// Writes the bundle `out`; `step` is called with the name of each file before it is written.
    pub(super) fn write(self, out: &Path, step: &dyn Fn(&str)) -> Result<Config, Error> {
        let mut bundle = BundleWriter::create(out)?;
        for weights in &self.weight_files {
            step(weights.name());
            let mut file = bundle.start(weights.name())?;
            weights.write(&mut file)?;
            bundle.add(file)?;
        }
        for (name, bytes) in self.others() {
            step(name);
            bundle.add_bytes(name, bytes)?;
        }
        Ok(bundle.finish(self.config)?)
    }
}

/// `coca.json` without the list of files.
fn describe(source: &Source, model: &Model, storage: Storage) -> Config {
    let context_length = model.text.context_length;
    let decoder = model.architecture.decoder;
    Config {
        format: FORMAT,
        name: source.name.clone(),
        architecture: if decoder.is_some() { "coca" } else { "clip" }.to_owned(),
        precision: match storage {
            Storage::F32 => Precision::F32,
            Storage::F16 => Precision::F16,
        },
        licence: source.licence.clone(),
        source: source.origin.clone(),
        image: model.pixels.clone(),
        text: model.text.clone(),
        dimensions: dimensions(model.architecture),
        logit_scale: model.logit_scale,
        template: "a photo of a {}.".to_owned(),
        caption: decoder.map(|_| CaptionSettings::for_context(context_length)),
        files: Default::default(),
    }
}

/// Those of what a decoder reads are 0 where there is none.
fn dimensions(architecture: &Architecture) -> Dimensions {
    let decoder = architecture.decoder;
    let [image_tokens, image_width] = decoder.map_or([0, 0], |_| architecture.image_tokens());
    Dimensions {
        embedding: architecture.embedding,
        image_tokens,
        image_width,
        decoder_width: decoder.map_or(0, |decoder| decoder.width),
        unimodal_layers: architecture.text.layers.count,
        multimodal_layers: decoder.map_or(0, |decoder| decoder.count),
    }
}

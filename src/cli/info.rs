//! `coca info`: the model, and what it really runs on.

use clap::ValueEnum;
use coca_edge::{
    Coca,
    bundle::{Config, Precision},
    engine,
};
use serde::Serialize;

use super::{Global, Outcome};

/// Describe the model, its precision, the CPU features found, the kernels and threads really used
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Serialize)]
struct Info<'a> {
    name: &'a str,
    architecture: &'a str,
    licence: &'a str,
    source: &'a str,
    fingerprint: String,
    stored_precision: Precision,
    precision: Precision,
    captions: bool,
    image: [u32; 2],
    context_length: usize,
    vocabulary: u32,
    start_id: u32,
    end_id: u32,
    embedding: usize,
    image_tokens: usize,
    template: &'a str,
    bytes: u64,
    cpu_features: Vec<&'static str>,
    kernel: String,
    threads: usize,
    version: &'static str,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let config = coca.bundle().config();
    let fingerprint = coca.bundle().fingerprint().to_string();
    let info = Info::new(config, fingerprint, kernel_names(&coca)?);
    match arguments.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&info)?),
        Format::Text => print!("{}", info.text()),
    }
    Ok(Outcome::Done)
}

/// The kernels that the image encoder really runs on.
pub(super) fn kernel_names(coca: &Coca) -> anyhow::Result<String> {
    let names: Vec<String> = coca.load_image_encoder()?.into_iter().collect();
    Ok(format!("tract {}", names.join(" ")))
}

impl<'a> Info<'a> {
    fn new(config: &'a Config, fingerprint: String, kernel: String) -> Self {
        Self {
            name: &config.name,
            architecture: &config.architecture,
            licence: &config.licence,
            source: &config.source,
            fingerprint,
            stored_precision: config.precision,
            precision: Precision::F32,
            captions: config.caption.is_some(),
            image: [config.image.width, config.image.height],
            context_length: config.text.context_length,
            vocabulary: config.text.vocab_size,
            start_id: config.text.start_id,
            end_id: config.text.end_id,
            embedding: config.dimensions.embedding,
            image_tokens: config.dimensions.image_tokens,
            template: &config.template,
            bytes: config.files.values().map(|file| file.bytes).sum(),
            cpu_features: engine::cpu_features(),
            kernel,
            threads: engine::threads(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn text(&self) -> String {
        let captions = if self.captions { "labels, captions" } else { "labels (no decoder)" };
        let megabytes = self.bytes as f64 / 1e6;
        let rows = [
            ("model", format!("{} ({}): {captions}", self.name, self.architecture)),
            ("licence", self.licence.to_owned()),
            ("source", self.source.to_owned()),
            ("fingerprint", self.fingerprint.clone()),
            ("size", format!("{megabytes:.1} MB, stored as {}", self.stored_precision)),
            (
                "picture",
                format!("{}×{}, {} tokens", self.image[0], self.image[1], self.image_tokens),
            ),
            ("text", format!("{} tokens at most, of {}", self.context_length, self.vocabulary)),
            ("embedding", self.embedding.to_string()),
            ("template", self.template.to_owned()),
            ("computes in", self.precision.to_string()),
            ("kernels", self.kernel.clone()),
            ("CPU features", self.cpu_features.join(" ")),
            ("threads", self.threads.to_string()),
            ("coca", self.version.to_owned()),
        ];
        rows.map(|(key, value)| format!("{key:<13} {value}\n")).concat()
    }
}

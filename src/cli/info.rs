//! `coca info`: the model, its precision, kernels and threads.

use std::collections::BTreeMap;

use coca_edge::{
    Coca,
    bundle::{Config, Precision},
    engine::{Arithmetic, Execution, Unfused},
};
use serde::Serialize;

use super::{
    Global, Outcome,
    output::{self, ReportFormat},
};

/// Describe the model, its precision, the CPU features found, the kernels and threads really used
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, default_value = "text")]
    format: ReportFormat,
}

#[derive(Serialize)]
struct Info<'a> {
    name: &'a str,
    architecture: &'a str,
    licence: &'a str,
    source: &'a str,
    fingerprint: String,
    stored_precision: Precision,
    precision: Arithmetic,
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
    kernel: &'static str,
    parts: Vec<Part>,
    threads: usize,
    version: &'static str,
}

/// Operators of a part of the model.
#[derive(Serialize)]
struct Part {
    part: &'static str,
    /// Fused operators, by name.
    fused: BTreeMap<String, usize>,
    /// Operators that no rule recognised, by name.
    tract: BTreeMap<String, usize>,
    /// Operators that begin like a pattern that a rule recognises.
    #[serde(skip)]
    unfused: Vec<Unfused>,
}

impl From<(&'static str, Execution)> for Part {
    fn from((part, execution): (&'static str, Execution)) -> Self {
        let Execution { fused, tract, unfused, .. } = execution;
        Self { part, fused, tract, unfused }
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = global.open_model()?;
    let kernel = coca.engine().cpu().instruction_set().name();
    let parts = coca.load_all()?.into_iter().map(Part::from).collect();
    let info = Info::new(&coca, kernel, parts);
    match arguments.format {
        ReportFormat::Json => output::print_json_report(&info)?,
        ReportFormat::Text => output::print_report(info.lines(global.verbose > 0))?,
    }
    Ok(Outcome::Done)
}

impl Part {
    fn lines(&self, is_verbose: bool) -> Vec<String> {
        let total = |operators: &BTreeMap<String, usize>| operators.values().sum::<usize>();
        let (part, fused, tract) = (self.part, total(&self.fused), total(&self.tract));
        let mut lines = vec![format!("{part}: {fused} operators fused, {tract} on tract")];
        if !is_verbose {
            return lines;
        }
        for (title, operators) in [("fused", &self.fused), ("on tract", &self.tract)] {
            lines.extend(
                operators.iter().map(|(name, count)| format!("  {title:<9} {count:>3} × {name}")),
            );
        }
        lines.extend(self.unfused.iter().map(|Unfused { operator, node, reason }| {
            format!("  not fused {operator} {node}: {reason}")
        }));
        lines
    }
}

impl<'a> Info<'a> {
    fn new(coca: &'a Coca, kernel: &'static str, parts: Vec<Part>) -> Self {
        let config: &Config = coca.bundle().config();
        Self {
            name: &config.name,
            architecture: &config.architecture,
            licence: &config.licence,
            source: &config.source,
            fingerprint: coca.bundle().fingerprint().to_string(),
            stored_precision: config.precision,
            precision: coca.bundle().arithmetic(),
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
            cpu_features: coca_edge::host::cpu_features(),
            kernel,
            parts,
            threads: coca.engine().threads(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// `224×224, 255 tokens`; without the tokens where no decoder reads any.
    fn picture(&self) -> String {
        let [width, height] = self.image;
        match self.image_tokens {
            0 => format!("{width}×{height}"),
            tokens => format!("{width}×{height}, {tokens} tokens"),
        }
    }

    /// For people; with every operator, and why no rule took what looks like a pattern, if `is_verbose`.
    fn lines(&self, is_verbose: bool) -> Vec<String> {
        let tasks = match self.captions {
            true => "labels, search, captions",
            false => "labels, search (no decoder: no captions)",
        };
        let megabytes = self.bytes as f64 / 1e6;
        let rows = [
            ("model", format!("{} ({}): {tasks}", self.name, self.architecture)),
            ("licence", self.licence.to_owned()),
            ("source", self.source.to_owned()),
            ("fingerprint", self.fingerprint.clone()),
            ("size", format!("{megabytes:.1} MB, stored as {}", self.stored_precision)),
            ("picture", self.picture()),
            ("text", format!("{} tokens at most, of {}", self.context_length, self.vocabulary)),
            ("embedding", self.embedding.to_string()),
            ("template", self.template.to_owned()),
            ("computes in", self.precision.to_string()),
            ("kernels", self.kernel.to_owned()),
            ("CPU features", self.cpu_features.join(" ")),
            ("threads", self.threads.to_string()),
            ("coca", self.version.to_owned()),
        ];
        let rows = rows.into_iter().map(|(key, value)| format!("{key:<13} {value}"));
        rows.chain(self.parts.iter().flat_map(|part| part.lines(is_verbose))).collect()
    }
}

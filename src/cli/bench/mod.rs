//! `coca bench`: times a part of the model on made-up input.

mod profile;
mod timing;
mod workload;

use std::time::Duration;

use clap::ValueEnum;
use coca_edge::{Coca, Engine, engine::Arithmetic};
use serde::Serialize;

use self::profile::Profile;
use super::{
    Global, Outcome,
    numbers::{at_least, between},
    output::{self, ReportFormat},
};

/// Time a part of the model on made-up input
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The part to time [default: every one that the model has]
    #[arg(long)]
    part: Option<Part>,
    /// Rows of a step, beams of a caption
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = between(1_u16, 256))]
    beams: u16,
    /// Tokens in the cache before a step
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least(1_u16))]
    past: u16,
    /// Tokens of the label that text runs, start and end included
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least(2_u16))]
    tokens: u16,
    /// The length of the caption
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least(2_u16))]
    max_tokens: u16,
    /// Tell the time of each operator too
    #[arg(long)]
    profile: bool,
    /// How to print it
    #[arg(long, default_value = "text")]
    format: ReportFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Image,
    Text,
    CrossKv,
    Step,
    Caption,
}

#[derive(Serialize)]
struct Answer {
    part: String,
    median_ms: f64,
    min_ms: f64,
    runs: usize,
    threads: usize,
    precision: Arithmetic,
    kernel: &'static str,
    rss_mb: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// Time spent on a part.
const BUDGET: Duration = Duration::from_secs(3);

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let coca = match arguments.profile {
        true => global.open_model_with(Engine::builder().profile())?,
        false => global.open_model()?,
    };
    let all: &[Part] = match coca.bundle().has_decoder() {
        true => Part::value_variants(),
        false => &[Part::Image, Part::Text],
    };
    let parts = arguments.part.as_ref().map_or(all, std::slice::from_ref);
    for part in parts {
        let answer = time(&coca, *part, arguments)?;
        match arguments.format {
            ReportFormat::Json => output::print_report([output::json(&answer)?])?,
            ReportFormat::Text => output::print_report(answer.text().lines())?,
        }
    }
    Ok(Outcome::Done)
}

fn time(coca: &Coca, part: Part, arguments: &Arguments) -> anyhow::Result<Answer> {
    let timing = workload::time(coca, part, arguments, BUDGET)?;
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    Ok(Answer {
        part: part.to_possible_value().map_or_else(String::new, |part| part.get_name().into()),
        median_ms: milliseconds(timing.median()),
        min_ms: milliseconds(timing.min()),
        runs: timing.runs(),
        threads: coca.engine().threads(),
        precision: coca.bundle().arithmetic(),
        kernel: coca.engine().cpu().instruction_set().name(),
        rss_mb: coca_edge::host::resident_memory().map(|bytes| bytes / 1_000_000),
        profile: arguments.profile.then(|| Profile::new(coca.engine().take_profile())),
    })
}

impl Answer {
    fn text(&self) -> String {
        let memory = self.rss_mb.map(|mb| format!(", {mb} MB resident")).unwrap_or_default();
        let line = format!(
            "{}: median {:.3} ms, min {:.3} ms, {} runs, {} threads, {}, {}{memory}",
            self.part,
            self.median_ms,
            self.min_ms,
            self.runs,
            self.threads,
            self.precision,
            self.kernel
        );
        match &self.profile {
            Some(profile) => format!("{line}\n{profile}"),
            None => line,
        }
    }
}

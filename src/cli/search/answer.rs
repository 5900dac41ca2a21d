//! Printing what was found.

use clap::ValueEnum;
use coca_edge::index::Hit;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{contact_sheet, time};
use crate::cli::output;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: score, z, path, caption
    Text,
    /// A JSON object a line
    Jsonl,
    /// A path a line, for other programs
    Paths,
    /// A page with thumbnails
    Html,
}

#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    score: f64,
    z: Option<f64>,
    /// Among everyday words, where these decide what is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    time: String,
    camera: Option<&'a str>,
    labels: &'a [String],
    caption: Option<&'a str>,
}

/// Prints the pictures that were found by the query `title`.
pub(super) fn print(format: Format, title: &str, hits: &[Hit]) -> anyhow::Result<()> {
    if format == Format::Html {
        return output::print_exactly(&contact_sheet::page(title, hits));
    }
    for hit in hits {
        let source = hit.file.to_string_lossy();
        match format {
            Format::Jsonl => output::print_json(&ProgressBar::hidden(), &line(hit, &source))?,
            Format::Paths => output::print_exactly(&source)?,
            Format::Text | Format::Html => output::print_report([text(hit, &source)])?,
        }
    }
    Ok(())
}

fn line<'a>(hit: &'a Hit, source: &'a str) -> Line<'a> {
    Line {
        source,
        score: hit.score,
        z: hit.z,
        share: hit.share,
        time: time::format(hit.picture.time()),
        camera: hit.picture.camera.as_deref(),
        labels: &hit.picture.labels,
        caption: hit.picture.caption.as_deref(),
    }
}

fn text(hit: &Hit, source: &str) -> String {
    let z = hit.z.map(|z| format!("  z {z:.1}")).unwrap_or_default();
    let labels = hit.picture.labels.join(", ");
    let more = [labels.as_str(), hit.picture.caption.as_deref().unwrap_or_default()];
    let more = more.into_iter().filter(|text| !text.is_empty()).map(|text| format!("  {text}"));
    format!("{:.3}{z}  {source}{}", hit.score, more.collect::<String>())
}

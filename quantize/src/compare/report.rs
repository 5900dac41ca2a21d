//! The report of a comparison, as text and as JSON.

use std::{collections::BTreeMap, fmt};

use coca_model::bundle::Precision;
use indicatif::DecimalBytes;
use serde::Serialize;

use super::{
    agreement::{CaptionAgreement, CosineAgreement, Failed, LabelAgreement},
    labels::SameLabel,
    layers::Layers,
    model::Files,
    speed::{Speed, Times},
    verdict::Verdict,
};

/// Layers that the text shows.
const SHOWN: usize = 10;

/// Results of a comparison. [`fmt::Display`] prints a line for each measure; as JSON its keys are the fields' names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The reference.
    pub a: ModelReport,
    /// The model in question.
    pub b: ModelReport,
    /// Images that both models answered.
    pub pictures: usize,
    /// Images that cannot be read.
    pub failed: Vec<Failed>,
    /// Cosines between the two models' embeddings of each image.
    pub image_embedding: CosineAgreement,
    /// Agreement of the labels that they choose.
    pub labels: LabelAgreement,
    /// Labels of the list that both models see another label in; they are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub same_labels: Vec<SameLabel>,
    /// Cosines between the two models' embeddings of each label.
    pub text_embedding: CosineAgreement,
    /// Agreement of the captions that they write; absent where one of them cannot.
    pub captions: Option<CaptionAgreement>,
    /// The layers where the differences arise.
    pub layers: Layers,
    /// Their speed.
    pub speed: Speed,
}

/// One of the two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Element type of its weights.
    pub precision: Precision,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of each file.
    pub files: BTreeMap<String, u64>,
}

impl ModelReport {
    pub(super) fn of(model: &Files) -> Self {
        let config = model.bundle.config();
        let files: BTreeMap<String, u64> =
            config.files.iter().map(|(name, file)| (name.clone(), file.bytes)).collect();
        Self {
            path: model.path.display().to_string(),
            name: config.name.clone(),
            precision: config.precision,
            bytes: files.values().sum(),
            files,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, model) in [("A", &self.a), ("B", &self.b)] {
            line(f, letter, format_args!("{}: {} as {}", model.path, model.name, model.precision))?;
        }
        self.pictures(f)?;
        self.layers(f)?;
        self.sizes(f)?;
        self.speed(f)?;
        line(f, "verdict", format_args!("{}", self.verdict()))
    }
}

impl Report {
    /// Agreement of the image and text embeddings in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of([&self.image_embedding, &self.text_embedding])
    }

    fn pictures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed.len();
        line(f, "pictures", format_args!("{}, {failed} could not be read", self.pictures))?;
        for failed in &self.failed {
            line(f, "", format_args!("{}", failed.error))?;
        }
        cosines(f, "image embedding", &self.image_embedding)?;
        cosines(f, "text embedding", &self.text_embedding)?;
        let labels = &self.labels;
        let (source, difference) =
            (&labels.largest_score_difference_source, labels.largest_score_difference);
        line(
            f,
            "labels",
            format_args!(
                "of {}, best one the same for {}; largest score difference {difference:.4} ({source})",
                labels.count,
                Percent(labels.top1_agreement)
            ),
        )?;
        for SameLabel { label, same_as } in &self.same_labels {
            line(f, "", format_args!("{label} is left out: the same to the models as {same_as}"))?;
        }
        let Some(captions) = &self.captions else {
            return line(f, "captions", format_args!("not compared: not both models caption"));
        };
        let (identical, f1) = (Percent(captions.identical), captions.token_f1);
        line(f, "captions", format_args!("{identical} identical, token F1 {f1:.4}"))?;
        for differing in &captions.differing {
            line(f, "", format_args!("{}", differing.source))?;
            line(f, "", format_args!("  A {}", differing.a))?;
            line(f, "", format_args!("  B {}", differing.b))?;
        }
        Ok(())
    }

    fn layers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layers { pictures, compared, unmatched, worst } = &self.layers;
        let without = unmatched.len();
        let noisy = worst.iter().filter(|layer| layer.snr_db.is_finite());
        let most =
            if noisy.clone().next().is_some() { "most noise arises in" } else { "none differs" };
        line(
            f,
            "layers",
            format_args!(
                "{compared} compared on {pictures} pictures, {without} without a counterpart; {most}"
            ),
        )?;
        for layer in noisy.take(SHOWN) {
            line(
                f,
                "",
                format_args!(
                    "{:5.1} dB, {} before  {}: {}",
                    layer.snr_db,
                    Decibels(layer.input_snr_db),
                    layer.part,
                    layer.layer
                ),
            )?;
        }
        Ok(())
    }

    fn sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.a.bytes, self.b.bytes);
        let share = Percent(b as f64 / a.max(1) as f64);
        let [total_a, total_b] = [a, b].map(DecimalBytes);
        line(f, "size", format_args!("{total_a} → {total_b}, {share}"))?;
        let mut names: Vec<&String> = self.a.files.keys().chain(self.b.files.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let bytes = |model: &ModelReport| match model.files.get(name) {
                Some(&bytes) => DecimalBytes(bytes).to_string(),
                None => "none".to_owned(),
            };
            line(f, "", format_args!("{} → {}  {name}", bytes(&self.a), bytes(&self.b)))?;
        }
        Ok(())
    }

    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = |name, times: &Times| {
            let Times { a_ms, b_ms, ratio, runs } = times;
            let threads = self.speed.threads;
            line(
                f,
                name,
                format_args!(
                    "{a_ms:.1} ms → {b_ms:.1} ms, {ratio:.2}× as fast ({runs} runs of each, {threads} threads)"
                ),
            )
        };
        times("image, median", &self.speed.image)?;
        self.speed.caption.as_ref().map_or(Ok(()), |caption| times("caption, median", caption))
    }
}

fn cosines(f: &mut fmt::Formatter<'_>, name: &str, found: &CosineAgreement) -> fmt::Result {
    let CosineAgreement { mean, worst, worst_name } = found;
    line(f, name, format_args!("cosine mean {mean:.5}, worst {worst:.5} ({worst_name})"))
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{name:<16} {value}")
}

/// A signal-to-noise ratio in 8 columns.
struct Decibels(f64);

impl fmt::Display for Decibels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_finite() {
            true => write!(f, "{:5.1} dB", self.0),
            false => f.write_str("no noise"),
        }
    }
}

/// A share from 0 to 1.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", 100.0 * self.0)
    }
}

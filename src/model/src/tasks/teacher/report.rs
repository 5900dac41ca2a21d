//! Report of teaching.

use serde::Serialize;

use super::{fit::Fit, none_fit::NoneFit};
use crate::{
    tasks::{
        Labels,
        softmax::softmax,
        taught::{NONE, Shot},
    },
    teach::{best, same_moments},
};

/// Cosine from which on two pictures of a label show one moment.
const SAME_MOMENT: f64 = 0.98;

/// Ratio of the largest number of pictures to the smallest that is worth a remark.
const IMBALANCE: f64 = 3.0;

/// Share of false alarms that [`Report::threshold`] allows.
const FALSE_ALARMS: f64 = 0.05;

/// Result of teaching: accuracies by leave-one-out, and what could be better about the pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Number of pictures, and accuracy, of each label.
    pub labels: Vec<LabelReport>,
    /// Number of pictures of all labels.
    pub pictures: usize,
    /// Share of the pictures that the names alone label right.
    pub names_alone: f64,
    /// Share of the pictures that the taught labels label right, each when it is left out.
    pub accuracy: f64,
    /// Whether the names count.
    pub uses_names: bool,
    /// Whether the pictures count; if not, teaching did not help, and the names stand alone.
    pub uses_pictures: bool,
    /// Labels that are taken for others, the most frequent first.
    pub confusions: Vec<Confusion>,
    /// Groups of pictures of one moment, of which one teaches as much as all.
    pub same_moment: Vec<SameMoment>,
    /// The largest number of pictures of a label by the smallest, where that is above 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<f64>,
    /// A score with few false alarms above it; absent where every score is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The label for everything else, where pictures taught it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<NoneReport>,
}

/// A label's part of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// The label.
    pub label: String,
    /// Its pictures.
    pub pictures: usize,
    /// Share of them that are labelled right when they are left out; absent without pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// Pictures of one label that are taken for another when they are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// Their label.
    pub label: String,
    /// The label that they get.
    pub taken_for: String,
    /// Their number.
    pub pictures: usize,
    /// Whether they are a quarter of the label's pictures or more: the two labels collide.
    pub collide: bool,
}

/// Pictures of one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SameMoment {
    /// Their label.
    pub label: String,
    /// Where they came from.
    pub pictures: Vec<String>,
}

/// A threshold for scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// The score.
    pub score: f32,
    /// The share of pictures that get a wrong label at or above it: of those of anything else, where there are any, else
    /// of the labels' when they are left out.
    pub false_alarms: f64,
}

/// Recognition of pictures of anything else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoneReport {
    /// Name of the label for everything else.
    pub label: String,
    /// Its pictures.
    pub pictures: usize,
    /// Share of them that are recognised.
    pub recall: f64,
    /// Share of the labels' pictures that are taken for something else when they are left out.
    pub lost: f64,
}

pub(super) fn report(labels: &Labels, shots: &[Shot], fit: &Fit, none: Option<&NoneFit>) -> Report {
    let names = labels.named();
    let guesses: Vec<usize> = fit.left_out.rows().into_iter().map(best).collect();
    let own: Vec<&Shot> = shots.iter().filter(|shot| shot.label != NONE).collect();
    let counts = fit.shots.counts();
    let name = |i: usize| names[i].clone();
    let source = |&i: &usize| own[i].source.clone();
    let moments = same_moments(&fit.shots, SAME_MOMENT).into_iter().map(|group| SameMoment {
        label: name(fit.shots.labels()[group[0]]),
        pictures: group.iter().map(source).collect(),
    });
    Report {
        labels: label_reports(names, fit, &guesses),
        pictures: own.len(),
        names_alone: fit.names_alone,
        accuracy: fit.accuracy,
        uses_names: fit.uses_names,
        uses_pictures: fit.uses_pictures(),
        confusions: confusions(names, fit, &guesses),
        same_moment: moments.collect(),
        imbalance: imbalance(&counts),
        threshold: threshold(labels, shots, fit, &guesses),
        none: none.map(|none| NoneReport {
            label: none.name.clone(),
            pictures: shots.len() - own.len(),
            recall: none.recall,
            lost: none.lost,
        }),
    }
}

fn label_reports(names: &[String], fit: &Fit, guesses: &[usize]) -> Vec<LabelReport> {
    let mut right = vec![0_usize; names.len()];
    for (&label, _) in
        fit.shots.labels().iter().zip(guesses).filter(|(label, guess)| label == guess)
    {
        right[label] += 1;
    }
    let counts = fit.shots.counts();
    let reports = names.iter().zip(counts).zip(right);
    reports
        .map(|((label, pictures), right)| LabelReport {
            label: label.clone(),
            pictures,
            accuracy: (pictures > 0).then(|| right as f64 / pictures as f64),
        })
        .collect()
}

fn confusions(names: &[String], fit: &Fit, guesses: &[usize]) -> Vec<Confusion> {
    let mut pairs = std::collections::BTreeMap::new();
    for (&label, &guess) in fit.shots.labels().iter().zip(guesses) {
        if label != guess {
            *pairs.entry((label, guess)).or_insert(0_usize) += 1;
        }
    }
    let counts = fit.shots.counts();
    let mut confusions: Vec<Confusion> = pairs
        .into_iter()
        .map(|((label, guess), pictures)| Confusion {
            label: names[label].clone(),
            taken_for: names[guess].clone(),
            pictures,
            collide: pictures > 1 && 4 * pictures >= counts[label],
        })
        .collect();
    confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.pictures));
    confusions
}

fn imbalance(counts: &[usize]) -> Option<f64> {
    let with_pictures = || counts.iter().copied().filter(|&count| count > 0);
    let ratio = with_pictures().max()? as f64 / with_pictures().min()? as f64;
    (ratio > IMBALANCE).then_some(ratio)
}

/// The score that few pictures reach with a wrong label.
fn threshold(labels: &Labels, shots: &[Shot], fit: &Fit, guesses: &[usize]) -> Option<Threshold> {
    let others: Vec<&Shot> = shots.iter().filter(|shot| shot.label == NONE).collect();
    let (mut wrong, total) = if others.is_empty() {
        let rows = fit.left_out.rows().into_iter().zip(fit.shots.labels()).zip(guesses);
        let wrong = rows.filter(|((_, label), guess)| label != guess);
        let best = wrong.map(|((row, _), _)| largest_score(row.iter().map(|&x| x as f32)));
        (best.collect::<Vec<f32>>(), guesses.len())
    } else {
        let scores = others.iter().map(|shot| {
            let image = ndarray::aview1(&shot.embedding);
            let names = labels.embeddings().dot(&image) * labels.logit_scale();
            let logits = fit.classifier.logits(shots, fit.uses_names, image, names);
            largest_score(logits.into_iter())
        });
        (scores.collect(), others.len())
    };
    wrong.sort_by(f32::total_cmp);
    let allowed = (FALSE_ALARMS * total as f64) as usize;
    let Some(last) = wrong.len().checked_sub(allowed + 1).map(|i| wrong[i]) else {
        return Some(Threshold { score: 0.0, false_alarms: wrong.len() as f64 / total as f64 });
    };
    let score = last.next_up();
    let above = wrong.iter().filter(|&&s| s >= score).count();
    (score <= 1.0).then_some(Threshold { score, false_alarms: above as f64 / total as f64 })
}

fn largest_score(logits: impl Iterator<Item = f32>) -> f32 {
    softmax(&logits.collect::<Vec<_>>()).into_iter().fold(0.0, f32::max)
}

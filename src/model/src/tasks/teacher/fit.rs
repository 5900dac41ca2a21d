//! The classifier of labels with names and pictures.

use ndarray::{Array1, Array2};

use crate::{
    tasks::{
        Labels, Method,
        taught::{Classifier, NONE, Shot},
    },
    teach::{Anchors, Cache, Gaussian, Prior, Prototypes, Shots, accuracy, calibrate, mix},
};

/// Pictures that a label's name counts for: of 1, 2, 4, 16 and 64, the best for 2 to 4 pictures of each of 100 labels.
const NAME_SHOTS: f64 = 1.0;

/// Share of pictures that names must label right to be kept beside pictures that do as well without them.
const NAMES_SAY_SOMETHING: f64 = 0.5;

/// A fitted classifier, and what leave-one-out says of it.
pub(super) struct Fit {
    /// The labels' pictures, those of none of them apart.
    pub(super) shots: Shots,
    pub(super) anchors: Anchors,
    pub(super) classifier: Classifier,
    pub(super) uses_names: bool,
    /// Logits `[n, labels]` of each picture when it is left out.
    pub(super) left_out: Array2<f64>,
    /// Share of pictures that names alone label right.
    pub(super) names_alone: f64,
    pub(super) accuracy: f64,
}

impl Fit {
    pub(super) fn of(labels: &Labels, all_shots: &[Shot], method: Method, prior: &Prior) -> Self {
        let shots = shots(all_shots, labels.named().len());
        let texts = labels.embeddings().mapv(f64::from);
        let names = shots.embeddings().dot(&texts.t()) * f64::from(labels.logit_scale());

        let with_names = anchors(&shots, &texts, NAME_SHOTS);
        let both = Pictures::fit(&shots, &with_names, method, prior);
        let mix = mix(&names, &both.left_out, shots.labels());

        let without_names = anchors(&shots, &texts, 0.0);
        let alone = both.with_anchors(&shots, &without_names);
        let alone_accuracy = accuracy(&alone.left_out, shots.labels());

        let singles = shots.counts().iter().all(|&count| count <= 1);
        let pictures_win = alone_accuracy > mix.accuracy.max(mix.names)
            || (mix.names < NAMES_SAY_SOMETHING && (singles || alone_accuracy >= mix.accuracy));
        if pictures_win {
            let calibrated = if singles { &both } else { &alone };
            let weight = calibrate(&calibrated.left_out, shots.labels());
            return Self {
                shots,
                anchors: without_names,
                classifier: alone.fitted.classifier(weight, None),
                uses_names: false,
                left_out: &alone.left_out * weight,
                names_alone: mix.names,
                accuracy: alone_accuracy,
            };
        }
        // A cache's table has no place for a factor of both.
        let scale = if matches!(both.fitted, Fitted::Cache) { 1.0 } else { mix.scale };
        let scaled = &texts * (scale * f64::from(labels.logit_scale()));
        let classifier = match mix.weight > 0.0 {
            true => both.fitted.classifier(scale * mix.weight, Some(&scaled)),
            false => Classifier::Names,
        };
        // Without a label's only picture, its name is left.
        let left_out = match singles {
            true => names,
            false => (names + &(&both.left_out * mix.weight)) * scale,
        };
        Self {
            shots,
            anchors: with_names,
            classifier,
            uses_names: true,
            left_out,
            names_alone: mix.names,
            accuracy: mix.accuracy,
        }
    }

    /// Whether pictures changed anything.
    pub(super) fn uses_pictures(&self) -> bool {
        self.classifier != Classifier::Names
    }
}

/// The labels' pictures, in double precision.
fn shots(shots: &[Shot], labels: usize) -> Shots {
    let own: Vec<&Shot> = shots.iter().filter(|shot| shot.label != NONE).collect();
    let width = own.first().map_or(0, |shot| shot.embedding.len());
    let element = |(i, e): (usize, usize)| f64::from(own[i].embedding[e]);
    let embeddings = Array2::from_shape_fn((own.len(), width), element);
    Shots::new(embeddings, own.iter().map(|shot| shot.label).collect(), labels)
}

/// The places where each label's pictures are expected by its name: its text embedding, moved by the mean difference of
/// the pictures there are from their names. A label without pictures always counts its name.
fn anchors(shots: &Shots, texts: &Array2<f64>, weight: f64) -> Anchors {
    let mut gap: Array1<f64> = shots.mean();
    for &label in shots.labels() {
        gap.scaled_add(-1.0 / shots.labels().len() as f64, &texts.row(label));
    }
    let weight = |&count: &usize| if count == 0 { NAME_SHOTS } else { weight };
    Anchors { means: texts + &gap, weights: shots.counts().iter().map(weight).collect() }
}

/// A classifier of pictures, and its logits of the shots that are left out.
struct Pictures {
    fitted: Fitted,
    left_out: Array2<f64>,
}

enum Fitted {
    Gaussian(Gaussian),
    Prototypes(Prototypes),
    Cache,
}

impl Pictures {
    fn fit(shots: &Shots, anchors: &Anchors, method: Method, prior: &Prior) -> Self {
        match method {
            Method::Auto | Method::Gda => {
                Self::gaussian(Gaussian::fit(shots, anchors, prior), shots)
            }
            Method::Prototype => Self::prototypes(shots, anchors),
            Method::Tip => {
                Self { fitted: Fitted::Cache, left_out: Cache::fit(shots).leave_one_out() }
            }
        }
    }

    /// The same kind of classifier of the same shots.
    fn with_anchors(&self, shots: &Shots, anchors: &Anchors) -> Self {
        match &self.fitted {
            Fitted::Gaussian(fit) => Self::gaussian(fit.with_anchors(anchors), shots),
            Fitted::Prototypes(_) => Self::prototypes(shots, anchors),
            Fitted::Cache => Self { fitted: Fitted::Cache, left_out: self.left_out.clone() },
        }
    }

    fn gaussian(fit: Gaussian, shots: &Shots) -> Self {
        let left_out = fit.leave_one_out(shots);
        Self { fitted: Fitted::Gaussian(fit), left_out }
    }

    fn prototypes(shots: &Shots, anchors: &Anchors) -> Self {
        let fit = Prototypes::fit(shots, anchors);
        let left_out = fit.leave_one_out(shots);
        Self { fitted: Fitted::Prototypes(fit), left_out }
    }
}

impl Fitted {
    /// `names` are the names' embeddings times the logit scale, `[labels, E]`, if they count.
    fn classifier(&self, weight: f64, names: Option<&Array2<f64>>) -> Classifier {
        let rows = match self {
            Self::Gaussian(fit) => fit.weights(),
            Self::Prototypes(fit) => fit.prototypes(),
            Self::Cache => return Classifier::Cache { weight: weight as f32 },
        };
        let mut weights = rows * weight;
        if let Some(names) = names {
            weights += names;
        }
        let bias = Array1::zeros(weights.nrows());
        Classifier::Linear { weights: weights.mapv(|x| x as f32), bias }
    }
}

//! Calibration: the model runs on images, and the inputs of its layers decide how their weights are rounded.
//!
//! 1. [`runs`]: the model captions some images and reads labels; [`samples`] keeps rows of every layer's input.
//! 2. [`smoothing`]: outlier channels move from a norm's output into the weights of the layers that read it.
//! 3. [`noise`]: each layer's 8-bit product is compared with the exact one; a layer with too much noise keeps its weight.
//! 4. [`bias`]: the mean error of a layer's output is subtracted from its bias.

mod bias;
mod groups;
mod inputs;
mod noise;
mod projection;
mod runner;
mod runs;
mod samples;
mod smoothing;

use std::{collections::BTreeMap, path::Path};

use coca_onnx::pb::TensorProto;
use ndarray::{Array1, Array2, Axis};

pub use self::runs::MAX_PICTURES;
pub(super) use self::runs::Model;
use self::{inputs::LayerInput, runner::Collected, samples::Samples};
use super::{
    decibels::Noise,
    error::Error,
    part::Part,
    plan::{Plan, Smoothing, Treatment},
    progress::Progress,
    source::{self, TensorId},
    uses::Reason,
    weight::Source,
};

/// Decibels of signal above the noise of rounding below which a layer keeps its weight. Noise of a hundredth of the signal's
/// power, unhindered on its way to the embedding, costs a cosine of 0.005: what a whole int8 model may lose.
/// `models/train/noise_floor.py` shows how much of it arrives.
pub const FLOOR: f64 = 20.0;

/// Results of a calibration.
#[derive(Debug, Clone)]
pub struct Calibrated {
    /// Images that the model ran on.
    pub pictures: usize,
    /// Norms whose outliers were moved into the layers behind them, and all norms where that is possible.
    pub smoothed: [usize; 2],
    /// Biases that were corrected by the mean error of rounding.
    pub biases: usize,
    /// Signal-to-noise ratio of each int8 layer in decibels, the worst first. Layers that no image and no text ran are
    /// missing.
    pub layers: Vec<(String, f64)>,
}

/// Runs `model` on images of `folder`, and enters smoothing, kept weights and bias corrections into `plan`.
pub(super) fn calibrate(
    model: &Model,
    plan: &mut Plan,
    folder: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Calibrated, Error> {
    let inputs = inputs::of_layers(model.parts, plan)?;
    let (samples, pictures) = runs::run(model, &inputs, folder, progress)?;
    let layers = Layers { model, inputs: &inputs, samples: &samples };
    let groups = groups::find(model.parts, plan)?;
    let mut smoothed = 0;
    for (done, group) in groups.iter().enumerate() {
        let (done, total) = (done as u64, groups.len() as u64);
        progress(Progress { doing: "smoothing", done, total });
        if let Some(factors) = smoothing::best_factors(group, &layers, plan)? {
            group.smooth(plan, &factors);
            smoothed += 1;
        }
    }
    let measured = measure(&layers, plan, progress)?;
    let biases = bias::correct(&layers, plan)?;
    Ok(Calibrated { pictures, smoothed: [smoothed, groups.len()], biases, layers: measured })
}

/// Keeps the weights of layers below [`FLOOR`]; returns the ratios of the others, the worst first.
fn measure(
    layers: &Layers,
    plan: &mut Plan,
    progress: &dyn Fn(Progress),
) -> Result<Vec<(String, f64)>, Error> {
    let mut measured = Vec::new();
    for (done, id) in layers.inputs.keys().enumerate() {
        let (done, total) = (done as u64, layers.inputs.len() as u64);
        progress(Progress { doing: "measuring", done, total });
        let noise = layers.noise(id, plan)?;
        let Some(weight) = plan.weights.get_mut(id) else { continue };
        match noise.decibels() {
            Some(decibels) if decibels < FLOOR => {
                weight.treatment = Treatment::F16(Reason::Noisy(decibels));
            }
            Some(decibels) => measured.push((weight.name.clone(), decibels)),
            None => (),
        }
    }
    measured.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(measured)
}

/// Layers with samples of their inputs.
struct Layers<'a> {
    model: &'a Model<'a>,
    inputs: &'a BTreeMap<TensorId, Vec<LayerInput>>,
    samples: &'a Collected,
}

impl Layers<'_> {
    /// A layer's weight `[in, out]`, smoothed as `plan` says.
    fn matrix(&self, id: &TensorId, plan: &Plan) -> Result<Array2<f32>, Error> {
        let planned = plan.weights.get(id);
        let form = planned.and_then(|weight| weight.form);
        let Some(((part, tensor), form)) = self.tensor(id).zip(form) else {
            return Err(Error::Tensor {
                part: id.file.clone(),
                tensor: planned.map_or_else(String::new, |weight| weight.name.clone()),
                expected: "the weight of a layer".to_owned(),
                found: "none".to_owned(),
            });
        };
        let source = Source { files: self.model.files, part: &part.name, home: None, tensor };
        samples::matrix(source.values(plan, id)?, &tensor.dims, form).map_err(|mismatch| {
            Error::Tensor {
                part: part.name.clone(),
                tensor: tensor.name.clone(),
                expected: mismatch.expected,
                found: mismatch.found,
            }
        })
    }

    fn tensor(&self, id: &TensorId) -> Option<(&Part, &TensorProto)> {
        let parts = self.model.parts.iter();
        let mut matrices = parts.flat_map(|part| part.matrices().map(move |tensor| (part, tensor)));
        matrices
            .find(|(part, tensor)| source::id(&part.name, tensor).is_ok_and(|found| found == *id))
    }

    /// Signal and noise of a layer's 8-bit product, over all samples.
    fn noise(&self, id: &TensorId, plan: &Plan) -> Result<Noise, Error> {
        let weight = self.matrix(id, plan)?;
        let mut noise = Noise::default();
        for samples in self.read(id) {
            let rows = smoothed(samples.rows().to_owned(), id, plan);
            noise += noise::of_product(rows.view(), weight.view());
        }
        Ok(noise)
    }

    /// The mean `[in]` of all rows that a layer read, smoothed as `plan` says; `None` if it read none.
    fn mean(&self, id: &TensorId, plan: &Plan) -> Option<Array1<f32>> {
        let count: usize = self.read(id).map(|samples| samples.count).sum();
        let sum = self.read(id).map(|samples| samples.sum().to_owned()).reduce(|a, b| a + b)?;
        let mean = (sum / count.max(1) as f64).mapv(|v| v as f32).insert_axis(Axis(0));
        Some(smoothed(mean, id, plan).remove_axis(Axis(0)))
    }

    /// The samples of a layer's inputs.
    fn read(&self, id: &TensorId) -> impl Iterator<Item = &Samples> {
        let inputs = self.inputs.get(id).into_iter().flatten();
        inputs.filter_map(|input| self.samples.get(input))
    }
}

/// Rows of a layer's input, smoothed as `plan` says.
fn smoothed(mut rows: Array2<f32>, id: &TensorId, plan: &Plan) -> Array2<f32> {
    if let Some(Smoothing::Layer(factors)) = plan.smoothing.get(id) {
        smoothing::divide(&mut rows, factors);
    }
    rows
}

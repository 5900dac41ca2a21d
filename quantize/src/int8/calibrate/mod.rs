//! `--calibrate`: the model runs on pictures, and what its layers read decides how they are rounded.
//!
//! 1. [`runs`]: the model captions some pictures and reads labels; [`samples`] keeps rows of every layer's input.
//! 2. [`smoothing`]: outlier channels move from a norm's output into the weights of the layers that read it.
//! 3. [`noise`]: each layer's 8-bit product is compared with the exact one; too noisy a layer keeps its weight.
//! 4. [`bias`]: what rounding adds to a layer's output on average is taken off its bias.

mod bias;
mod groups;
mod inputs;
mod noise;
mod runner;
mod runs;
mod samples;
mod smoothing;

use std::{collections::BTreeMap, path::Path};

use ndarray::{Array1, Array2, Axis};
use tract_onnx::pb::TensorProto;

pub(super) use self::runs::Model;
use self::{inputs::LayerInput, noise::Noise, runner::Collected, samples::Samples};
use super::{
    Error, Progress, Reason,
    part::Part,
    plan::{Plan, Smoothing, Treatment},
    source::{self, TensorId},
    weight::Source,
};

/// The most pictures that are looked at; of a larger folder every so many are taken.
pub const MOST_PICTURES: usize = 24;

/// Decibels of signal above the noise of rounding below which a layer keeps its weight. Noise of a hundredth of the signal's
/// power, unhindered on its way to the embedding, costs a cosine of 0.005: what a whole int8 model may lose.
/// `models/train/noise_floor.py` shows how much of it arrives.
pub const FLOOR: f64 = 20.0;

/// What running the model on pictures showed.
#[derive(Debug, Clone)]
pub struct Calibrated {
    /// Pictures that were looked at.
    pub pictures: usize,
    /// Norms whose outliers were moved into the layers behind them, of all where that is possible.
    pub smoothed: [usize; 2],
    /// Biases that take off what rounding adds on average.
    pub biases: usize,
    /// Each int8 layer's signal above the noise of rounding, in decibels, the worst first. Layers that no picture and
    /// no text ever ran are missing.
    pub layers: Vec<(String, f64)>,
}

/// Runs `model` on pictures of `folder`, and writes into `plan` what to smooth and what to keep.
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

/// Keeps the layers whose noise is too near their signal; gives the others'.
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

/// Layers with rows of what they read.
struct Layers<'a> {
    model: &'a Model<'a>,
    inputs: &'a BTreeMap<TensorId, Vec<LayerInput>>,
    samples: &'a Collected,
}

impl Layers<'_> {
    /// A layer's weight `[in, out]`, smoothed as `plan` says.
    fn matrix(&self, id: &TensorId, plan: &Plan) -> Result<Array2<f32>, Error> {
        let form = plan.weights.get(id).and_then(|weight| weight.form);
        let Some(((part, tensor), form)) = self.tensor(id).zip(form) else {
            return Ok(Array2::zeros((0, 0)));
        };
        let source = Source { files: self.model.files, part: &part.name, tensor };
        Ok(samples::matrix(source.values(plan, id)?, &tensor.dims, form))
    }

    fn tensor(&self, id: &TensorId) -> Option<(&Part, &TensorProto)> {
        let tensors = self
            .model
            .parts
            .iter()
            .flat_map(|part| part.graph.initializer.iter().map(move |tensor| (part, tensor)));
        let mut matrices = tensors.filter(|(_, tensor)| tensor.dims.len() >= 2);
        matrices
            .find(|(part, tensor)| source::id(&part.name, tensor).is_ok_and(|found| found == *id))
    }

    /// How a layer's 8-bit product differs from the exact one, over everything it read.
    fn noise(&self, id: &TensorId, plan: &Plan) -> Result<Noise, Error> {
        let weight = self.matrix(id, plan)?;
        let mut noise = Noise::default();
        for samples in self.read(id) {
            let rows = smoothed(samples.rows().to_owned(), id, plan);
            noise += noise::of_product(rows.view(), weight.view());
        }
        Ok(noise)
    }

    /// The mean of all rows that a layer read, smoothed as `plan` says; nothing if it read none.
    fn mean(&self, id: &TensorId, plan: &Plan) -> Option<Array1<f32>> {
        let count: usize = self.read(id).map(|samples| samples.count).sum();
        let sum = self.read(id).map(|samples| samples.sum().to_owned()).reduce(|a, b| a + b)?;
        let mean = (sum / count.max(1) as f64).mapv(|v| v as f32).insert_axis(Axis(0));
        Some(smoothed(mean, id, plan).remove_axis(Axis(0)))
    }

    /// What was kept of all that a layer read.
    fn read(&self, id: &TensorId) -> impl Iterator<Item = &Samples> {
        let inputs = self.inputs.get(id).into_iter().flatten();
        inputs.filter_map(|input| self.samples.get(input))
    }
}

/// Rows of a layer's input, divided as `plan` says.
fn smoothed(mut rows: Array2<f32>, id: &TensorId, plan: &Plan) -> Array2<f32> {
    if let Some(Smoothing::Layer(factors)) = plan.smoothing.get(id) {
        smoothing::divide(&mut rows, factors);
    }
    rows
}

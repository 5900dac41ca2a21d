//! The treatment of each weight. A weight that several parts share gets one treatment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use coca_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::{
    convolutions::Region,
    error::Error,
    keep::Keep,
    part::Part,
    source::{self, TensorId},
    uses::{Form, Reason},
};

/// Element type of a weight in the new bundle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Treatment {
    /// As 8-bit integers.
    Int8(Form),
    /// As 16-bit floating point.
    F16(Reason),
    /// As it is.
    Keep(Reason),
}

/// A weight of two or more dimensions.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) name: String,
    /// The parts that read it.
    pub(super) parts: BTreeSet<String>,
    /// The form that its layers read, if it can be int8 at all.
    pub(super) form: Option<Form>,
    pub(super) treatment: Treatment,
    /// Whether the source stores it in 16 bits.
    pub(super) f16: bool,
}

impl Planned {
    /// Why it is not int8.
    pub(super) fn reason(&self) -> Option<&Reason> {
        match &self.treatment {
            Treatment::Int8(_) => None,
            Treatment::F16(reason) | Treatment::Keep(reason) => Some(reason),
        }
    }
}

/// Smoothing factors of a tensor, one for each input channel of the layers it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Smoothing {
    /// Factors that the gamma or beta of a norm is divided by.
    Norm(Arc<[f32]>),
    /// Factors that the weight of a layer is multiplied by.
    Layer(Arc<[f32]>),
}

/// The treatment of all weights of all parts.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) weights: BTreeMap<TensorId, Planned>,
    pub(super) smoothing: BTreeMap<TensorId, Smoothing>,
    /// Values to subtract from biases.
    pub(super) shifts: BTreeMap<TensorId, Vec<f32>>,
    /// Weights that are int8 already.
    pub(super) int8_before: usize,
}

impl Plan {
    /// Every layer that can be becomes int8, but for those that `keep` names. The convolutions of the region of a part
    /// are another matter.
    pub(super) fn of(
        parts: &[Part],
        keep: &Keep,
        region: Option<(&str, &Region)>,
    ) -> Result<Self, Error> {
        let mut plan = Self::default();
        for part in parts {
            let region = region.filter(|(name, _)| *name == part.name).map(|(_, region)| region);
            let elsewhere = region.map(Region::weights).unwrap_or_default();
            let kept = region.map(Region::kept_weights).unwrap_or_default();
            for tensor in part.matrices() {
                let name = tensor.name.as_str();
                if elsewhere.contains(name) {
                    continue;
                }
                if source::is_float(tensor) {
                    let Some(uses) = part.uses(tensor) else { continue };
                    let id = source::id(&part.name, tensor)?;
                    let asked = kept.contains(name).then_some(Err(Reason::Asked));
                    plan.add(id, tensor, &part.name, asked.unwrap_or_else(|| uses.form.clone()));
                } else if tensor.data_type == DataType::Int8 as i32 {
                    plan.int8_before += 1;
                }
            }
        }
        let layers = || plan.weights.values().filter(|w| matches!(w.treatment, Treatment::Int8(_)));
        let nodes = region.into_iter().flat_map(|(_, region)| region.names());
        keep.check(layers().map(|weight| weight.name.as_str()), nodes)?;
        for weight in plan.weights.values_mut().filter(|weight| keep.matches(&weight.name)) {
            weight.treatment = Treatment::Keep(Reason::Asked);
        }
        Ok(plan)
    }

    fn add(&mut self, id: TensorId, tensor: &TensorProto, part: &str, form: Result<Form, Reason>) {
        let known = form.as_ref().ok().copied();
        let treatment = form.map_or_else(Treatment::Keep, Treatment::Int8);
        let weight = self.weights.entry(id).or_insert_with(|| Planned {
            name: tensor.name.clone(),
            parts: BTreeSet::new(),
            form: known,
            treatment: treatment.clone(),
            f16: tensor.data_type == DataType::Float16 as i32,
        });
        weight.parts.insert(part.to_owned());
        weight.form = weight.form.zip(known).and_then(|(a, b)| a.and(b));
        weight.treatment = match (&weight.treatment, treatment) {
            (Treatment::Int8(a), Treatment::Int8(b)) => {
                a.and(b).map_or(Treatment::Keep(Reason::SeveralForms), Treatment::Int8)
            }
            (Treatment::Int8(_), kept) => kept,
            (kept, _) => kept.clone(),
        };
    }

    /// Weights that become int8.
    pub(super) fn layers(&self) -> usize {
        self.weights.values().filter(|w| matches!(w.treatment, Treatment::Int8(_))).count()
    }
}

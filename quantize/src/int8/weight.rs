//! One weight: read, smoothed, shifted, rounded and stored.

use std::borrow::Cow;

use half::{f16, slice::HalfFloatSliceExt};
use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::{
    Error,
    plan::{Plan, Smoothing, Treatment},
    rounding::{Channels, Int8},
    source::{self, SourceFiles, TensorId},
    store::{Store, Stored},
    uses::Form,
};

/// A tensor of the bundle that is read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) files: &'a SourceFiles<'a>,
    pub(super) part: &'a str,
    pub(super) tensor: &'a TensorProto,
}

impl Source<'_> {
    /// The numbers, smoothed and shifted if `plan` says so.
    pub(super) fn values(&self, plan: &Plan, id: &TensorId) -> Result<Vec<f32>, Error> {
        let mut values = self.files.values(self.part, self.tensor)?;
        match plan.smoothing.get(id) {
            Some(Smoothing::Norm(factors)) => {
                values.iter_mut().zip(factors.iter()).for_each(|(value, factor)| *value /= factor);
            }
            Some(Smoothing::Layer(factors)) => {
                multiply_inputs(&mut values, self.tensor, plan, id, factors);
            }
            None => (),
        }
        if let Some(shift) = plan.shifts.get(id) {
            values.iter_mut().zip(shift).for_each(|(value, shift)| *value -= shift);
        }
        Ok(values)
    }
}

/// Multiplies each input channel of a matrix with its factor.
fn multiply_inputs(
    values: &mut [f32],
    matrix: &TensorProto,
    plan: &Plan,
    id: &TensorId,
    factors: &[f32],
) {
    let form = plan.weights.get(id).and_then(|planned| planned.form);
    let inputs_last = matches!(form, Some(Form::Transposed | Form::Rows));
    let columns = matrix.dims.last().and_then(|&size| usize::try_from(size).ok()).unwrap_or(1);
    for (row, values) in values.chunks_mut(columns.max(1)).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value *= factors[if inputs_last { column } else { row }];
        }
    }
}

/// Stores a tensor as `plan` says: as integers, scales and zero points called `names`, or under its own name.
pub(super) fn store(
    source: &Source,
    plan: &Plan,
    id: TensorId,
    names: &[String; 3],
    store: &mut Store,
) -> Result<Vec<TensorProto>, Error> {
    let tensor = source.tensor;
    let changed = plan.smoothing.contains_key(&id) || plan.shifts.contains_key(&id);
    let stored = match plan.weights.get(&id).map(|planned| &planned.treatment) {
        Some(Treatment::Int8(form)) => int8(&source.values(plan, &id)?, &tensor.dims, *form, names),
        Some(Treatment::F16(_)) => vec![f16(&source.values(plan, &id)?, tensor)],
        _ if changed => {
            let values = source.values(plan, &id)?;
            vec![Stored::f32(tensor.name.clone(), &tensor.dims, &values)]
        }
        _ if source::is_external(tensor) => vec![Stored::raw(
            tensor.name.clone(),
            DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined),
            &tensor.dims,
            source.files.bytes(source.part, tensor)?,
        )],
        _ => return Ok(vec![tensor.clone()]),
    };
    store.put(id, stored)
}

fn int8(values: &[f32], dims: &[i64], form: Form, names: &[String; 3]) -> Vec<Stored<'static>> {
    let size =
        |axis: usize| dims.get(axis).and_then(|&size| usize::try_from(size).ok()).unwrap_or(0);
    let rounded = match form {
        Form::Columns => Int8::round(values, size(1), Channels::Last),
        Form::Transposed => Int8::round(values, size(0), Channels::First).transposed(size(1)),
        Form::Rows | Form::Kernel | Form::Table | Form::Tied => {
            Int8::round(values, size(0), Channels::First)
        }
    };
    let dims = match form {
        Form::Transposed => &[dims[1], dims[0]],
        _ => dims,
    };
    let [weight, scale, zero] = names.clone();
    let channels = rounded.scales.len() as i64;
    let integers = Stored::int8(weight, dims, &rounded.integers);
    if form == Form::Table {
        return vec![integers, Stored::f32(scale, &[channels, 1], &rounded.scales)];
    }
    vec![
        integers,
        Stored::f32(scale, &[channels], &rounded.scales),
        Stored::int8(zero, &[channels], &vec![0; rounded.scales.len()]),
    ]
}

/// In 16 bits, or as it is if a number is too large for them: the graph widens either.
fn f16(values: &[f32], tensor: &TensorProto) -> Stored<'static> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    if halves.iter().any(|half| !half.is_finite()) {
        return Stored::f32(tensor.name.clone(), &tensor.dims, values);
    }
    let bytes: Cow<[u8]> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    Stored::raw(tensor.name.clone(), DataType::Float16, &tensor.dims, bytes)
}

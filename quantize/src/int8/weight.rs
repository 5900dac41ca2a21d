//! The path of a weight: it is read, smoothed, shifted, rounded and stored.

use std::borrow::Cow;

use coca_onnx::{
    is_external,
    pb::{TensorProto, tensor_proto::DataType},
};
use half::{f16, slice::HalfFloatSliceExt};

use super::{
    error::Error,
    plan::{Plan, Smoothing, Treatment},
    rounding::{Channels, Int8},
    source::{SourceFiles, TensorId},
    store::{Store, Stored},
    uses::Form,
};
use crate::onnx::external_data::INLINE_BELOW;

/// A tensor of the source.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) files: &'a SourceFiles<'a>,
    pub(super) part: &'a str,
    /// The file of weights that other tensors of the part stand in.
    pub(super) home: Option<&'a str>,
    pub(super) tensor: &'a TensorProto,
}

impl Source<'_> {
    /// The elements, smoothed and shifted as `plan` says.
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

/// Multiplies each input channel of a matrix by its factor.
fn multiply_inputs(
    values: &mut [f32],
    matrix: &TensorProto,
    plan: &Plan,
    id: &TensorId,
    factors: &[f32],
) {
    let form = plan.weights.get(id).and_then(|planned| planned.form);
    let inputs_last = matches!(form, Some(Form::Transposed | Form::Rows));
    let columns = size(matrix, matrix.dims.len() - 1);
    for (row, values) in values.chunks_mut(columns.max(1)).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value *= factors[if inputs_last { column } else { row }];
        }
    }
}

/// The size of an axis of a tensor that was read: its elements were counted, so it fits.
fn size(tensor: &TensorProto, axis: usize) -> usize {
    tensor.dims[axis].cast_unsigned() as usize
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
        Some(Treatment::Int8(form)) => int8(&source.values(plan, &id)?, tensor, *form, names),
        Some(Treatment::F16(_)) => vec![f16(&source.values(plan, &id)?, tensor)],
        _ if changed => {
            let values = source.values(plan, &id)?;
            vec![Stored::f32(tensor.name.clone(), &tensor.dims, &values)]
        }
        _ if is_external(tensor) || tensor.raw_data.len() >= INLINE_BELOW => {
            let kind = DataType::try_from(tensor.data_type).map_err(|_| Error::Tensor {
                part: source.part.to_owned(),
                tensor: tensor.name.clone(),
                expected: "a data type of ONNX".to_owned(),
                found: tensor.data_type.to_string(),
            })?;
            let bytes = source.files.bytes(source.part, tensor)?;
            vec![Stored::raw(tensor.name.clone(), kind, &tensor.dims, bytes)]
        }
        _ => return Ok(vec![tensor.clone()]),
    };
    store.put(id, source.home, stored)
}

fn int8(
    values: &[f32],
    tensor: &TensorProto,
    form: Form,
    names: &[String; 3],
) -> Vec<Stored<'static>> {
    let (dims, size) = (&tensor.dims, |axis: usize| size(tensor, axis));
    let rounded = match form {
        Form::Columns => Int8::round(values, size(1), Channels::Last),
        Form::Transposed => Int8::round(values, size(0), Channels::First).transposed(size(1)),
        Form::Rows | Form::Kernel | Form::Table | Form::Tied => {
            Int8::round(values, size(0), Channels::First)
        }
    };
    let dims = match form {
        Form::Transposed => &[dims[1], dims[0]],
        _ => &dims[..],
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

/// The tensor in 16 bits, or in 32 if an element is too large for 16: the graph widens either.
fn f16(values: &[f32], tensor: &TensorProto) -> Stored<'static> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    if halves.iter().any(|half| !half.is_finite()) {
        return Stored::f32(tensor.name.clone(), &tensor.dims, values);
    }
    let bytes: Cow<[u8]> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    Stored::raw(tensor.name.clone(), DataType::Float16, &tensor.dims, bytes)
}

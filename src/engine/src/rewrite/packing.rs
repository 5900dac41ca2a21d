//! Stored weights, packed for the kernels.

use coca_kernels::{F32Weights, Int8Weights, Matrix, PackError, Weights};
use coca_onnx::{Elements, StoredWeight};

use crate::Engine;

/// The weights of a linear layer from `[inputs, outputs]`, or `[outputs, inputs]` if `outputs_first`, as the graph uses
/// them. int8 stays int8 if `keep_int8`, and if each scale belongs to an output.
pub(super) fn pack(
    stored: &StoredWeight<'_>,
    engine: &Engine,
    outputs_first: bool,
    keep_int8: bool,
) -> Result<Weights, PackError> {
    let memory = engine.weight_memory();
    let [first, second] = stored.dims[..] else { return Err(PackError::Sizes) };
    let outputs_first = outputs_first != stored.transposed;
    let (inputs, outputs) = if outputs_first { (second, first) } else { (first, second) };
    if let Elements::Int8 { scales, axis } = &stored.elements
        && keep_int8
        && *axis == usize::from(!outputs_first)
    {
        let values: &[i8] = bytemuck::cast_slice(&stored.bytes);
        let matrix = order(outputs_first, values);
        return Int8Weights::pack(memory, engine.cpu(), matrix, inputs, scales).map(Weights::Int8);
    }
    let values = stored.to_f32();
    F32Weights::pack(memory, order(outputs_first, &values), inputs, outputs).map(Weights::F32)
}

fn order<T>(outputs_first: bool, values: &[T]) -> Matrix<'_, T> {
    if outputs_first { Matrix::OutputsFirst(values) } else { Matrix::InputsFirst(values) }
}

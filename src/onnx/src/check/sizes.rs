//! Sizes of tensors: those that the file states, and those that constants make.

use std::collections::BTreeMap;

use tract_onnx::pb::{
    NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
    tensor_shape_proto::dimension::Value,
};

use super::{Constant, MAX_AXES, MAX_SIZE, MAX_WINDOW, at_most, check_name, in_node};
use crate::{Error, operator, tensor_bytes, value_info};

/// Most elements of a tensor whose shape the file states.
const MAX_ELEMENTS: i64 = 1 << 31;
/// Most elements that constants may ask an operator for: 1 GiB of f32.
const MAX_RESULT: i64 = 1 << 28;
/// Bytes of an axis's name, which may be an expression.
const MAX_DIMENSION_BYTES: usize = 256;
/// Brackets inside each other in such an expression: parsing it takes time that doubles with each.
const MAX_BRACKETS: usize = 3;
/// Operators and brackets of such an expression.
const MAX_TERMS: usize = 32;

/// Refuses a tensor of too many axes or elements.
pub(super) fn check_tensor(tensor: &TensorProto) -> Result<(), Error> {
    check_name(&tensor.name)?;
    at_most("axes of a tensor", MAX_AXES, tensor.dims.len())?;
    check_shape(&tensor.name, &tensor.dims)
}

/// Refuses an input or output of too many axes or elements, or whose axes have names that take long to read.
pub(super) fn check_value(info: &ValueInfoProto) -> Result<(), Error> {
    check_name(&info.name)?;
    let dimensions = value_info::shape(info).map_or(&[][..], |shape| &shape.dim);
    at_most("axes of a tensor", MAX_AXES, dimensions.len())?;
    let mut sizes = Vec::with_capacity(dimensions.len());
    for dimension in dimensions {
        match &dimension.value {
            // Some exporters write -1 for a size that they do not know.
            Some(Value::DimValue(size)) if *size >= 0 => sizes.push(*size),
            Some(Value::DimParam(name)) => check_dimension(&info.name, name)?,
            _ => {}
        }
    }
    check_shape(&info.name, &sizes)
}

fn check_shape(tensor: &str, sizes: &[i64]) -> Result<(), Error> {
    let is_size = |size: &i64| (0..=MAX_SIZE).contains(size);
    // A shape with a zero in it has no elements, whatever else it says.
    let count = sizes.iter().try_fold(1_i64, |count, &size| count.checked_mul(size.max(1)));
    if sizes.iter().all(is_size) && count.is_some_and(|count| count <= MAX_ELEMENTS) {
        return Ok(());
    }
    Err(Error::Tensor {
        tensor: tensor.to_owned(),
        expected: format!("at most {MAX_ELEMENTS} elements"),
        found: format!("the shape {sizes:?}"),
    })
}

fn check_dimension(tensor: &str, name: &str) -> Result<(), Error> {
    let (mut depth, mut deepest, mut terms) = (0_usize, 0, 0);
    for character in name.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        terms += usize::from("(+-*/,#".contains(character));
    }
    if name.len() <= MAX_DIMENSION_BYTES && deepest <= MAX_BRACKETS && terms <= MAX_TERMS {
        return Ok(());
    }
    Err(Error::Tensor {
        tensor: tensor.to_owned(),
        expected: format!(
            "names of axes of at most {MAX_DIMENSION_BYTES} bytes and {MAX_TERMS} terms"
        ),
        found: format!("{} bytes, {terms} terms", name.len()),
    })
}

/// Refuses a node that constants ask for a result of too many elements.
pub(super) fn check_results<'g>(
    node: &NodeProto,
    constant: impl Fn(&str) -> Option<Constant<'g>>,
) -> Result<(), Error> {
    let integers = |input: usize| integers(constant(node.input.get(input)?)?);
    let count = match operator(node) {
        Some("ConstantOfShape") => integers(0).and_then(|sizes| product(&sizes)),
        Some("Expand" | "Tile" | "OneHot") => integers(1).and_then(|sizes| product(&sizes)),
        Some("Resize") => integers(3).and_then(|sizes| product(&sizes)),
        Some("Range") => steps(integers(0), integers(1), integers(2)),
        Some("Pad") => match integers(1) {
            Some(pads) if pads.iter().any(|pad| pad.saturating_abs() > MAX_WINDOW) => {
                let expected = format!("pads of at most {MAX_WINDOW}");
                return Err(in_node(node, expected, format!("{pads:?}")));
            }
            _ => None,
        },
        _ => None,
    };
    match count {
        Some(count) if count > MAX_RESULT => {
            let expected = format!("a result of at most {MAX_RESULT} elements");
            Err(in_node(node, expected, count.to_string()))
        }
        _ => Ok(()),
    }
}

/// The elements of a result of these sizes; those that are not known yet count as 1.
fn product(sizes: &[i64]) -> Option<i64> {
    Some(sizes.iter().fold(1_i64, |count, &size| count.saturating_mul(size.max(1))))
}

/// The elements from `start` to `end` in steps of `step`, where all three are known.
fn steps(start: Option<Vec<i64>>, end: Option<Vec<i64>>, step: Option<Vec<i64>>) -> Option<i64> {
    let first = |values: Option<Vec<i64>>| values?.first().copied();
    let (start, end, step) = (first(start)?, first(end)?, first(step)?);
    (step != 0).then(|| end.saturating_sub(start).saturating_abs() / step.saturating_abs())
}

/// The integers of a constant; `None` for those of another type, or in another file.
fn integers(constant: Constant<'_>) -> Option<Vec<i64>> {
    // More sizes than there may be axes are beyond every limit.
    const TOO_MANY: i64 = i64::MAX;
    let tensor = match constant {
        Constant::Tensor(tensor) => tensor,
        Constant::Integers(integers) if integers.len() > 2 * MAX_AXES => {
            return Some(vec![TOO_MANY]);
        }
        Constant::Integers(integers) => return Some(integers.to_vec()),
    };
    let stored = tensor.raw_data.len() / 4 + tensor.int32_data.len() + tensor.int64_data.len();
    if stored > 4 * MAX_AXES {
        return Some(vec![TOO_MANY]);
    }
    let no_files = BTreeMap::new();
    let bytes = tensor_bytes(tensor, &no_files).ok()?;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int64 => {
            Some(bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
        }
        DataType::Int32 => {
            let values = bytes.as_chunks().0.iter();
            Some(values.map(|&bytes| i32::from_le_bytes(bytes).into()).collect())
        }
        _ => None,
    }
}

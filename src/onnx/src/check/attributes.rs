//! Attributes of the standard operators, in the ranges that make sense. Those of others are left to who runs them.

use std::ops::RangeInclusive;

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::{MAX_AXES, MAX_SIZE, MAX_WINDOW, at_most, in_node};
use crate::{Error, operator};

/// Attributes that hold any number of values, none included.
const LISTS: [&str; 9] = [
    "strides",
    "dilations",
    "kernel_shape",
    "pads",
    "output_padding",
    "axes",
    "perm",
    "split",
    "output_shape",
];

/// Refuses attributes that are out of their range.
pub(super) fn check(node: &NodeProto) -> Result<(), Error> {
    let Some(operator) = operator(node) else { return Ok(()) };
    node.attribute.iter().try_for_each(|attribute| match range(operator, &attribute.name) {
        Some(range) => check_values(node, attribute, &range),
        None => Ok(()),
    })
}

/// The values that an attribute may have, if all that has them means the same.
fn range(operator: &str, attribute: &str) -> Option<RangeInclusive<i64>> {
    Some(match attribute {
        "strides" | "dilations" | "kernel_shape" => 1..=MAX_WINDOW,
        // Below 0 this one crops.
        "pads" if operator == "Pad" => -MAX_WINDOW..=MAX_WINDOW,
        "pads" | "output_padding" => 0..=MAX_WINDOW,
        "axis" | "axes" => -(MAX_AXES as i64)..=MAX_AXES as i64,
        "perm" | "batch_dims" => 0..=MAX_AXES as i64,
        "size" if operator == "LRN" => 1..=MAX_WINDOW,
        "group" | "blocksize" | "num_outputs" => 1..=MAX_SIZE,
        "split" | "output_shape" => 0..=MAX_SIZE,
        _ => return None,
    })
}

fn check_values(
    node: &NodeProto,
    attribute: &AttributeProto,
    range: &RangeInclusive<i64>,
) -> Result<(), Error> {
    if attribute.name != "split" {
        at_most("values of an attribute", 2 * MAX_AXES, attribute.ints.len())?;
    }
    let is_list = LISTS.contains(&attribute.name.as_str());
    let single = (!is_list).then_some(attribute.i);
    let mut values = attribute.ints.iter().copied().chain(single);
    if let Some(value) = values.find(|value| !range.contains(value)) {
        let (name, first, last) = (&attribute.name, range.start(), range.end());
        return Err(in_node(node, format!("{name} from {first} to {last}"), value.to_string()));
    }
    if attribute.name == "perm" && !is_permutation(&attribute.ints) {
        let found = format!("{:?}", attribute.ints);
        return Err(in_node(node, "perm with every axis once".to_owned(), found));
    }
    let taps = attribute.ints.iter().fold(1_i64, |taps, &size| taps.saturating_mul(size));
    if attribute.name == "kernel_shape" && taps > MAX_WINDOW {
        return Err(in_node(
            node,
            format!("a kernel of at most {MAX_WINDOW} taps"),
            taps.to_string(),
        ));
    }
    Ok(())
}

/// Whether `axes` are 0 up to their number, in any order. tract never ends at others.
fn is_permutation(axes: &[i64]) -> bool {
    (0..axes.len() as i64).all(|axis| axes.contains(&axis))
}

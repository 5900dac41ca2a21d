//! Axes that tract counts up to however far below the first one they lie, checked when the rank of the input is known.

use std::collections::HashMap;

use coca_onnx::{
    attribute, operator,
    pb::{GraphProto, NodeProto},
};
use tract_onnx::{
    prelude::{InferenceModel, TVec, TractError, TractResult, TypedModel},
    tract_hir::{
        internal::{Expansion, InferenceResult, OutletId, Solver, StaticName, TensorProxy},
        ops::expandable::expand,
    },
};

/// Puts the check in front of the operators of `model` that need it; `graph` is what it was made of.
pub(crate) fn check_axes(model: &mut InferenceModel, graph: &GraphProto) {
    let axes = graph.node.iter().filter_map(|node| Some((node.name.as_str(), axis(node)?)));
    let axes: HashMap<&str, Axis> = axes.collect();
    for node in &mut model.nodes {
        if let Some(&axis) = axes.get(node.name.as_str())
            && let Some(operator) = node.op_as::<Box<dyn Expansion>>()
        {
            node.op = expand(CheckedAxis { operator: operator.clone(), axis });
        }
    }
}

/// The axis of an operator that needs the check.
fn axis(node: &NodeProto) -> Option<Axis> {
    let added = match operator(node)? {
        "LayerNormalization" => 0,
        "OneHot" => 1,
        _ => return None,
    };
    Some(Axis { stated: attribute::integer(node, "axis", -1), added })
}

#[derive(Debug, Clone, Copy)]
struct Axis {
    stated: i64,
    /// The axes that the operator's result has more than its input.
    added: i64,
}

#[derive(Debug, Clone)]
struct CheckedAxis {
    operator: Box<dyn Expansion>,
    axis: Axis,
}

impl Expansion for CheckedAxis {
    fn name(&self) -> StaticName {
        self.operator.name()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.operator.nboutputs()
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        self.operator.wire(prefix, model, inputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let Some(input) = inputs.first() else {
            return Err(TractError::msg("it has no input"));
        };
        s.given(&input.rank, move |s, rank| {
            let Axis { stated, added } = self.axis;
            let axes = rank + added;
            if !(-axes..axes).contains(&stated) {
                let message = format!("the axis {stated} of a tensor of {axes} axes");
                return Err(TractError::msg(message));
            }
            self.operator.rules(s, inputs, outputs)
        })
    }
}

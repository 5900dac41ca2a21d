//! The tensors that int8 layers read.

use std::collections::BTreeMap;

use coca_onnx::{
    Convolution, attribute,
    pb::{NodeProto, TensorProto},
};

use super::super::{
    error::Error,
    part::Part,
    plan::{Plan, Treatment},
    source::{self, TensorId},
    uses::Form,
};

/// The tensor that a layer reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LayerInput {
    pub(super) part: String,
    /// Its name.
    pub(super) value: String,
    /// The window of a convolution; absent for a linear layer.
    pub(super) window: Option<Window>,
}

/// The window of a two-dimensional convolution, height first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) pads_begin: [usize; 2],
    pub(super) pads_end: [usize; 2],
    pub(super) dilations: [usize; 2],
}

impl Window {
    /// A convolution's window; `None` for one in groups, of one or three dimensions, or with padding that depends on the
    /// image: such a layer is not measured.
    fn of(node: &NodeProto, kernel: &TensorProto) -> Option<Self> {
        let convolution = Convolution::of(node).filter(|convolution| convolution.groups == 1)?;
        let spatial = convolution.spatial::<2>()?;
        let [_, _, height, width] = kernel.dims[..] else { return None };
        Some(Self {
            kernel: [usize::try_from(height).ok()?, usize::try_from(width).ok()?],
            strides: spatial.strides,
            pads_begin: spatial.pads_begin,
            pads_end: spatial.pads_end,
            dilations: spatial.dilations,
        })
    }

    /// Output positions for an image of that height and width.
    pub(super) fn positions(&self, image: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let extent = self.dilations[axis] * self.kernel[axis].saturating_sub(1) + 1;
            let padded = self.pads_begin[axis] + image[axis] + self.pads_end[axis];
            padded.checked_sub(extent).map_or(0, |rest| rest / self.strides[axis] + 1)
        })
    }
}

/// The inputs of every layer that becomes int8, by its weight.
pub(super) fn of_layers(
    parts: &[Part],
    plan: &Plan,
) -> Result<BTreeMap<TensorId, Vec<LayerInput>>, Error> {
    let mut inputs: BTreeMap<TensorId, Vec<LayerInput>> = BTreeMap::new();
    for part in parts {
        for Layer { id, weight, form, node } in int8_layers(part, plan)? {
            let window = Window::of(node, weight);
            let seen = form != Form::Kernel || window.is_some();
            let transposed = attribute::integer(node, "transA", 0) != 0;
            if let Some(value) = node.input.first().filter(|_| seen && !transposed) {
                let window = window.filter(|_| form == Form::Kernel);
                let input = LayerInput { part: part.name.clone(), value: value.clone(), window };
                inputs.entry(id).or_default().push(input);
            }
        }
    }
    Ok(inputs)
}

/// A node that computes with a weight that becomes int8.
pub(super) struct Layer<'a> {
    /// Identity of the weight.
    pub(super) id: TensorId,
    pub(super) weight: &'a TensorProto,
    pub(super) form: Form,
    pub(super) node: &'a NodeProto,
}

/// The layers of a part that become int8. Lookups, whose inputs are ids, are not among them.
pub(super) fn int8_layers<'a>(part: &'a Part, plan: &Plan) -> Result<Vec<Layer<'a>>, Error> {
    let mut layers = Vec::new();
    for weight in part.matrices() {
        let id = source::id(&part.name, weight)?;
        let treatment = plan.weights.get(&id).map(|planned| &planned.treatment);
        let Some(&Treatment::Int8(form)) = treatment else { continue };
        let uses = part.uses(weight).into_iter().flat_map(|uses| &uses.nodes);
        let nodes = uses.filter_map(|use_| part.index().node(use_.consumer.node));
        layers.extend(nodes.filter(|node| node.op_type != "Gather").map(|node| Layer {
            id: id.clone(),
            weight,
            form,
            node,
        }));
    }
    Ok(layers)
}

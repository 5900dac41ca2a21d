//! Which tensors the int8 layers read.

use std::collections::BTreeMap;

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::super::{
    Error,
    part::{Part, Wiring, attribute},
    plan::{Plan, Treatment},
    source::{self, TensorId},
    uses::{Form, Uses},
};

/// What a layer reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LayerInput {
    pub(super) part: String,
    /// The tensor.
    pub(super) value: String,
    /// For a convolution.
    pub(super) window: Option<Window>,
}

/// What a convolution sees of a picture at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    /// Above and on the left.
    pub(super) pads: [usize; 2],
    /// On both sides together.
    pub(super) places_pads: [usize; 2],
    pub(super) dilations: [usize; 2],
}

impl Window {
    /// A convolution's window; nothing for one in groups or of one or three dimensions.
    fn of(node: &NodeProto, kernel: &TensorProto) -> Option<Self> {
        let grouped = attribute(node, "group").is_some_and(|group| group.i > 1);
        let automatic = attribute(node, "auto_pad").is_some_and(|pad| pad.s != b"NOTSET");
        let pads = pairs::<4>(attribute(node, "pads"), 0)?;
        if grouped || automatic || kernel.dims.len() != 4 {
            return None;
        }
        Some(Self {
            kernel: [2, 3].map(|axis| usize::try_from(kernel.dims[axis]).unwrap_or(0)),
            strides: pairs(attribute(node, "strides"), 1)?,
            pads: [pads[0], pads[1]],
            places_pads: [pads[0] + pads[2], pads[1] + pads[3]],
            dilations: pairs(attribute(node, "dilations"), 1)?,
        })
    }

    /// How many places it has on a picture of that height and width.
    pub(super) fn places(&self, picture: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let wide = self.dilations[axis] * self.kernel[axis].saturating_sub(1) + 1;
            let room = (picture[axis] + self.places_pads[axis]).checked_sub(wide);
            room.map_or(0, |room| room / self.strides[axis].max(1) + 1)
        })
    }
}

fn pairs<const N: usize>(attribute: Option<&AttributeProto>, default: usize) -> Option<[usize; N]> {
    let Some(attribute) = attribute else { return Some([default; N]) };
    let numbers: Vec<usize> =
        attribute.ints.iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// The tensors that every layer to become int8 reads.
pub(super) fn of_layers(
    parts: &[Part],
    plan: &Plan,
) -> Result<BTreeMap<TensorId, Vec<LayerInput>>, Error> {
    let mut inputs: BTreeMap<TensorId, Vec<LayerInput>> = BTreeMap::new();
    for part in parts {
        for Layer { id, weight, form, node } in int8_layers(part, &Wiring::of(&part.graph), plan)? {
            let window = Window::of(node, weight);
            let seen = form != Form::Kernel || window.is_some();
            let transposed = attribute(node, "transA").is_some_and(|a| a.i != 0);
            if let Some(value) = node.input.first().filter(|_| seen && !transposed) {
                let window = window.filter(|_| form == Form::Kernel);
                let input = LayerInput { part: part.name.clone(), value: value.clone(), window };
                inputs.entry(id).or_default().push(input);
            }
        }
    }
    Ok(inputs)
}

/// A node that computes with a weight to become int8.
pub(super) struct Layer<'a> {
    /// The weight's.
    pub(super) id: TensorId,
    pub(super) weight: &'a TensorProto,
    pub(super) form: Form,
    pub(super) node: &'a NodeProto,
}

/// The layers of a part that become int8. Lookups, which read ids, are not among them.
pub(super) fn int8_layers<'a>(
    part: &'a Part,
    wiring: &Wiring,
    plan: &Plan,
) -> Result<Vec<Layer<'a>>, Error> {
    let mut layers = Vec::new();
    for weight in part.graph.initializer.iter().filter(|tensor| tensor.dims.len() >= 2) {
        let id = source::id(&part.name, weight)?;
        let treatment = plan.weights.get(&id).map(|planned| &planned.treatment);
        let Some(&Treatment::Int8(form)) = treatment else { continue };
        let uses = Uses::of(weight, part, wiring).nodes;
        let nodes = uses.iter().map(|use_| &part.graph.node[use_.reader.node]);
        layers.extend(nodes.filter(|node| node.op_type != "Gather").map(|node| Layer {
            id: id.clone(),
            weight,
            form,
            node,
        }));
    }
    Ok(layers)
}

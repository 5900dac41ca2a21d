//! The region of a graph that runs on codes: its convolutions, activations and residual sums.

use std::collections::BTreeSet;

use coca_onnx::{
    Constants, Convolution, ExternalFiles, GraphIndex, operator,
    pb::{GraphProto, NodeProto},
};

use super::super::{keep::Keep, uses::is_patch_embedding};

/// Convolutions and sums whose inputs and outputs become codes, in the order of the graph.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Region {
    pub(super) steps: Vec<Step>,
    /// Tensors that steps read and other nodes make, each at the step that reads it first.
    pub(super) inputs: Vec<Input>,
    /// Convolutions and sums that a pattern keeps as they are.
    pub(super) kept: Vec<Kept>,
}

/// A tensor that enters the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    /// The position of the first step that reads it.
    pub(super) step: usize,
}

/// A node that stays in floating point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) node: String,
    /// The name of its stored weight; empty for a sum.
    pub(super) weight: String,
}

/// A convolution or a sum, with the activation behind it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The node's name.
    pub(super) node: String,
    pub(super) operation: Operation,
    /// The activations that it reads.
    pub(super) inputs: Vec<String>,
    /// The node's output.
    pub(super) linear: String,
    /// The activation's output; [`Step::linear`] where there is none.
    pub(super) output: String,
    /// Whether one node alone reads the output.
    pub(super) is_read_once: bool,
    pub(super) bounds: Bounds,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Convolution(Filters),
    Sum,
}

/// The weight `[outputs, inputs / groups, height, width]` and the bias of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filters {
    /// The name of the stored weight.
    pub(super) name: String,
    /// The name of the stored bias, if nothing else reads it.
    pub(super) bias_name: Option<String>,
    pub(super) dims: [usize; 4],
    pub(super) groups: usize,
    pub(super) values: Vec<f32>,
    /// One for each output, zeros for a convolution without.
    pub(super) bias: Vec<f32>,
}

impl Filters {
    /// Elements of one output's filter.
    pub(super) fn size(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// Whether every channel is convolved alone, into one output.
    pub(super) fn is_depthwise(&self) -> bool {
        self.dims[1] == 1 && self.groups == self.dims[0]
    }

    /// The input channel that element `at` of the weight multiplies.
    pub(super) fn input_channel(&self, at: usize) -> usize {
        let (output, tap) = (at / self.size(), at % self.size());
        let outputs_a_group = self.dims[0] / self.groups;
        output / outputs_a_group * self.dims[1] + tap / (self.dims[2] * self.dims[3])
    }
}

/// The range that an activation clips its input to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) low: f32,
    pub(super) high: f32,
}

impl Bounds {
    /// No activation.
    pub(super) const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
}

impl Region {
    /// The region of a graph whose weights stand in `files`, without the convolutions that `keep` names.
    pub(in super::super) fn find<F: ExternalFiles + ?Sized>(
        index: &GraphIndex<GraphProto>,
        files: &F,
        keep: &Keep,
    ) -> Self {
        let constants = Constants::new(index, files);
        let (mut region, mut made) = (Self::default(), BTreeSet::new());
        for (_, node) in index.nodes() {
            let step = match operator(node) {
                Some("Conv") => convolution(node, index, constants),
                Some("Add") => sum(node, index, constants, &made),
                _ => None,
            };
            let Some(step) = step else { continue };
            if keep.matches_node(&step.node, step.weight()) {
                let weight = step.weight().to_owned();
                region.kept.push(Kept { node: step.node, weight });
                continue;
            }
            made.insert(step.output.clone());
            region.push(step, &made);
        }
        region
    }

    fn push(&mut self, step: Step, made: &BTreeSet<String>) {
        for name in &step.inputs {
            if !made.contains(name) && self.inputs.iter().all(|input| input.name != *name) {
                self.inputs.push(Input { name: name.clone(), step: self.steps.len() });
            }
        }
        self.steps.push(step);
    }

    /// Whether it has no convolution.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.convolutions().next().is_none()
    }

    /// The filters of its convolutions.
    pub(super) fn convolutions(&self) -> impl Iterator<Item = (&Step, &Filters)> {
        self.steps.iter().filter_map(|step| Some((step, step.filters()?)))
    }

    /// The outputs of its steps.
    pub(super) fn outputs(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.output.as_str()).collect()
    }

    /// The stored weights that become codes.
    pub(in super::super) fn weights(&self) -> BTreeSet<&str> {
        self.convolutions().map(|(_, filters)| filters.name.as_str()).collect()
    }

    /// The stored weights of the convolutions that a pattern keeps.
    pub(in super::super) fn kept_weights(&self) -> BTreeSet<&str> {
        self.kept.iter().map(|kept| kept.weight.as_str()).filter(|name| !name.is_empty()).collect()
    }

    /// Names that a pattern may mean: of nodes and of their weights.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = [&str; 2]> + Clone {
        let steps = self.steps.iter().map(|step| [step.node.as_str(), step.weight()]);
        steps.chain(self.kept.iter().map(|kept| [kept.node.as_str(), kept.weight.as_str()]))
    }
}

impl Step {
    /// The name of its stored weight; empty for a sum.
    fn weight(&self) -> &str {
        self.filters().map_or("", |filters| &filters.name)
    }

    /// The filters of a convolution; `None` for a sum.
    pub(super) fn filters(&self) -> Option<&Filters> {
        match &self.operation {
            Operation::Convolution(filters) => Some(filters),
            Operation::Sum => None,
        }
    }

    /// As [`Step::filters`], to be changed.
    pub(super) fn filters_mut(&mut self) -> Option<&mut Filters> {
        match &mut self.operation {
            Operation::Convolution(filters) => Some(filters),
            Operation::Sum => None,
        }
    }
}

/// The step of a `Conv` over two axes with a constant weight of its own. Patches that lie side by side are a linear layer.
fn convolution<F: ExternalFiles + ?Sized>(
    node: &NodeProto,
    index: &GraphIndex<GraphProto>,
    constants: Constants<'_, GraphProto, F>,
) -> Option<Step> {
    let found = Convolution::of(node)?;
    index.produced_by("DequantizeLinear", found.input).is_none().then_some(())?;
    is_read_once(found.weight, index).then_some(())?;
    let stored = constants.weight(found.weight)?;
    let &dims = <&[usize; 4]>::try_from(&stored.dims[..]).ok()?;
    let fits = found.groups > 0 && dims[0] % found.groups == 0 && !stored.transposed;
    (fits && !is_patch_embedding(stored.tensor, node)).then_some(())?;
    let stated = constants.optional_floats(node, 2)?;
    let bias = stated.unwrap_or_else(|| vec![0.0; dims[0]]);
    let values = stored.to_f32();
    let is_finite = values.iter().chain(&bias).all(|value| value.is_finite());
    (is_finite && bias.len() == dims[0]).then_some(())?;
    let bias_name = found.bias.filter(|name| is_read_once(name, index)).map(str::to_owned);
    let name = stored.tensor.name.clone();
    let filters = Filters { name, bias_name, dims, groups: found.groups, values, bias };
    let inputs = vec![found.input.to_owned()];
    step(node, Operation::Convolution(filters), inputs, index, constants)
}

/// The step of an `Add` of two tensors that steps make.
fn sum<F: ExternalFiles + ?Sized>(
    node: &NodeProto,
    index: &GraphIndex<GraphProto>,
    constants: Constants<'_, GraphProto, F>,
    made: &BTreeSet<String>,
) -> Option<Step> {
    let is_inside = node.input.len() == 2 && node.input.iter().all(|name| made.contains(name));
    is_inside.then_some(())?;
    step(node, Operation::Sum, node.input.clone(), index, constants)
}

fn step<F: ExternalFiles + ?Sized>(
    node: &NodeProto,
    operation: Operation,
    inputs: Vec<String>,
    index: &GraphIndex<GraphProto>,
    constants: Constants<'_, GraphProto, F>,
) -> Option<Step> {
    let linear = node.output.first()?.clone();
    let (output, bounds) =
        activation(&linear, index, constants).unwrap_or_else(|| (linear.clone(), Bounds::NONE));
    let is_read_once = index.only_consumer(&output).is_some();
    Some(Step { node: node.name.clone(), operation, inputs, linear, output, is_read_once, bounds })
}

/// The output and the bounds of the `Relu` or `Clip` that alone reads `linear`.
fn activation<F: ExternalFiles + ?Sized>(
    linear: &str,
    index: &GraphIndex<GraphProto>,
    constants: Constants<'_, GraphProto, F>,
) -> Option<(String, Bounds)> {
    let (_, node) = index.only_consumer(linear)?;
    let bound = |input: usize, default: f32| match node.input.get(input) {
        Some(name) if !name.is_empty() => constants.scalar(name),
        _ => Some(default),
    };
    let bounds = match operator(node)? {
        "Relu" => Bounds { low: 0.0, ..Bounds::NONE },
        "Clip" => Bounds { low: bound(1, Bounds::NONE.low)?, high: bound(2, Bounds::NONE.high)? },
        _ => return None,
    };
    (bounds.low <= 0.0 && bounds.high > 0.0)
        .then(|| Some((node.output.first()?.clone(), bounds)))?
}

/// Whether a constant, and whatever it is made of, is read for one node alone.
fn is_read_once(name: &str, index: &GraphIndex<GraphProto>) -> bool {
    let made_of = index.producer(name).and_then(|(_, node)| node.input.first());
    index.only_consumer(name).is_some() && made_of.is_none_or(|inner| is_read_once(inner, index))
}

#[cfg(test)]
mod tests {
    use super::{super::test_graph, *};

    #[test]
    fn convolutions_activations_and_the_sum_of_two_of_them_are_inside() {
        let region = test_graph::region(&test_graph::graph(), &[]);
        assert_eq!((region.steps.len(), region.convolutions().count()), (8, 7));
        let [input] = &region.inputs[..] else { panic!("one input: {:?}", region.inputs) };
        assert_eq!((input.name.as_str(), input.step), ("x", 0));
        let clipped = region.steps.iter().filter(|step| step.bounds.high == 6.0).count();
        assert_eq!(clipped, 4);
        assert!(matches!(region.steps[7].operation, Operation::Sum));
    }

    #[test]
    fn a_kept_convolution_leaves_two_regions_that_read_each_their_own_input() {
        let region = test_graph::region(&test_graph::graph(), &["weight 126 12"]);
        let kept: Vec<_> = region.kept.iter().map(|kept| kept.weight.as_str()).collect();
        assert_eq!((kept, region.convolutions().count()), (vec!["weight 126 12"], 6));
        let inputs: Vec<_> = region.inputs.iter().map(|input| input.step).collect();
        assert_eq!(inputs, [0, 4]);
    }

    #[test]
    fn a_grouped_filter_reads_the_channels_of_its_group() {
        let filters = |dims: [usize; 4], groups| Filters {
            name: String::new(),
            bias_name: None,
            dims,
            groups,
            values: vec![0.0; dims.iter().product()],
            bias: vec![0.0; dims[0]],
        };
        let grouped = filters([4, 3, 1, 1], 2);
        let channels: Vec<_> = (0..12).map(|at| grouped.input_channel(at)).collect();
        assert_eq!(channels, [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        let depthwise = filters([2, 1, 1, 2], 2);
        let channels: Vec<_> = (0..4).map(|at| depthwise.input_channel(at)).collect();
        assert_eq!((channels, depthwise.is_depthwise()), (vec![0, 0, 1, 1], true));
    }
}

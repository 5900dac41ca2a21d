//! A graph in tract's hands: typed, optimised, and run. What tract panics at is an error that names the node.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use coca_host::catch_panic;
use coca_onnx::pb::{ModelProto, NodeProto};
use tract_core::{model::TypedNode, plan::eval};
use tract_onnx::{
    prelude::{
        Framework, InferenceModelExt, IntoRunnable, TValue, TVec, TractError, TractResult,
        TypedModel, TypedRunnableModel,
    },
    tract_hir::ops::expandable::expand,
};

use crate::{
    Engine, Rules,
    checked_axis::check_axes,
    culprit::{culprit, replace_weights_by_inputs},
    error::{chain, one_line},
    fused::{Fused, FusedOperator},
    profile::Profiler,
    top_k::TopK,
};

/// Most bytes of a tensor inside a graph: no picture or text that is computed with here needs a hundredth of it.
const MAX_TENSOR_BYTES: u64 = 1 << 32;

/// The fused operators of a graph, by the names of the nodes that stand for them.
pub(crate) type Operators = HashMap<String, Arc<dyn FusedOperator>>;

/// A graph that is ready to run.
pub(crate) struct Plan(Arc<TypedRunnableModel>);

impl Plan {
    /// Types and optimises a graph, with `operators` in the place of the nodes that stand for them.
    ///
    /// # Errors
    /// Why tract cannot run it, with the node.
    pub(crate) fn new(
        mut graph: ModelProto,
        operators: &Operators,
        engine: &Engine,
    ) -> Result<Self, String> {
        match catch_panic(|| prepare(&mut graph, operators, engine)) {
            Ok(plan) => plan.map(Self).map_err(|error| chain(&error)),
            Err(panic) => {
                replace_weights_by_inputs(&mut graph);
                let panics = |graph: &mut ModelProto| {
                    catch_panic(|| prepare(graph, operators, engine).map(drop)).is_err()
                };
                let at = culprit(&graph, panics).map(|node| title(node, operators));
                Err(panicked(at.as_deref().unwrap_or("the graph"), &panic))
            }
        }
    }

    /// Runs it, each operator under the eyes of `profiler`.
    pub(crate) fn run(
        &self,
        inputs: TVec<TValue>,
        profiler: Option<&Profiler>,
    ) -> TractResult<TVec<TValue>> {
        let at = Cell::new(None);
        let run = || {
            self.0.spawn()?.run_plan_with_eval(inputs, |context, state, node, inputs| {
                at.set(Some(node.id));
                let eval = || eval(context, state, node, inputs);
                match profiler {
                    None => eval(),
                    Some(profiler) => profiler.time(&node.op.name(), eval),
                }
            })
        };
        catch_panic(run).unwrap_or_else(|panic| {
            let node = at.get().and_then(|at| self.0.model().nodes().get(at));
            let title = node.map(typed_title);
            Err(TractError::msg(panicked(title.as_deref().unwrap_or("the graph"), &panic)))
        })
    }

    /// The name of each operator that runs, and whether it is a fused one.
    pub(crate) fn operators(&self) -> impl Iterator<Item = (String, bool)> {
        let nodes = self.0.model().nodes().iter();
        let operators = nodes.map(|node| {
            let is_fused = node.op_is::<Fused>() || node.op_is::<TopK>();
            (node.op.name().into_owned(), is_fused)
        });
        operators.filter(|(name, _)| !matches!(name.as_str(), "Source" | "Const"))
    }
}

/// Says that something panicked. The lines behind the first of a panic's message are for who mends it.
pub(crate) fn panicked(who: &str, panic: &str) -> String {
    one_line(&format!("{who} stopped with a panic: {}", panic.lines().next().unwrap_or_default()))
}

fn prepare(
    graph: &mut ModelProto,
    operators: &Operators,
    engine: &Engine,
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx().model_for_proto_model(graph)?;
    if let Some(graph) = &graph.graph {
        check_axes(&mut model, graph);
    }
    // tract has copies of its own. What is left is for finding a node that panics.
    replace_weights_by_inputs(graph);
    for node in &mut model.nodes {
        if let Some(operator) = operators.get(&node.name) {
            node.op = expand(Fused::new(operator.clone(), engine));
        }
    }
    let model = model.into_typed()?;
    check_sizes(&model)?;
    check_constants(&model)?;
    let mut model = model.into_optimized()?;
    if engine.rules() == Rules::On {
        TopK::put_into(&mut model);
    }
    model.into_runnable()
}

/// Refuses to compute with constants that have no elements: tract reads the first of them. `Resize` may leave its regions empty.
fn check_constants(model: &TypedModel) -> TractResult<()> {
    for output in model.nodes().iter().flat_map(|node| &node.outputs) {
        let Some(constant) = &output.fact.konst else { continue };
        if constant.len() > 0 || !constant.datum_type().is_float() {
            continue;
        }
        let mut successors = output.successors.iter().map(|inlet| &model.nodes()[inlet.node]);
        if let Some(node) = successors.find(|node| node.op.name() != "Resize") {
            let title = typed_title(node);
            return Err(TractError::msg(format!("{title} takes a constant without elements")));
        }
    }
    Ok(())
}

/// Refuses tensors of sizes that no memory holds. Sizes that a run decides count as 1.
fn check_sizes(model: &TypedModel) -> TractResult<()> {
    for node in model.nodes() {
        for output in &node.outputs {
            let sizes = output.fact.shape.iter().map(|size| size.to_i64().unwrap_or(1).max(0));
            let bytes = sizes.fold(output.fact.datum_type.size_of() as u64, |bytes, size| {
                bytes.saturating_mul(size.unsigned_abs())
            });
            if bytes > MAX_TENSOR_BYTES {
                let (title, shape) = (typed_title(node), &output.fact.shape);
                return Err(TractError::msg(format!(
                    "{title} makes {shape:?}, more than {MAX_TENSOR_BYTES} bytes"
                )));
            }
        }
    }
    Ok(())
}

/// A node of tract's graph, for messages.
fn typed_title(node: &TypedNode) -> String {
    format!("the node {} ({})", node.name, node.op.name())
}

fn title(node: &NodeProto, operators: &Operators) -> String {
    let fused = operators.get(&node.name).map(|operator| operator.name());
    let operator = fused.unwrap_or(&node.op_type);
    let output = node.output.first().filter(|_| node.name.is_empty() || fused.is_some());
    format!("the node {} ({operator})", output.unwrap_or(&node.name))
}

//! Names of a graph's tensors.

use std::collections::HashSet;

use coca_onnx::pb::GraphProto;

/// The names that are taken.
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Those of the inputs, the weights and whatever nodes make.
    pub(super) fn of(graph: &GraphProto) -> Self {
        let made = graph.node.iter().flat_map(|node| &node.output);
        let inputs = graph.input.iter().map(|input| &input.name);
        let weights = graph.initializer.iter().map(|tensor| &tensor.name);
        Self(made.chain(inputs).chain(weights).cloned().collect())
    }

    /// `name`, or one like it that no tensor has.
    pub(super) fn free(&self, name: String) -> String {
        let mut free = name;
        while self.0.contains(&free) {
            free.push('_');
        }
        free
    }

    /// As [`Names::free`], for a tensor that has the name from now on.
    pub(super) fn take(&mut self, name: String) -> String {
        let free = self.free(name);
        self.0.insert(free.clone());
        free
    }
}

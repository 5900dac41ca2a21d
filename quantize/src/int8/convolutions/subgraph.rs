//! A graph, or a piece of it, that the engine runs with any of its tensors as inputs and outputs.

use std::collections::BTreeSet;

use coca_engine::{Arithmetic, Engine, Graph, Onnx, Rules, Weights};
use coca_onnx::{
    GraphIndex, Model, Opset,
    pb::{GraphProto, ModelProto, tensor_proto::DataType},
    value_info,
};
use ndarray::ArrayD;

use super::super::{error::Error, origin::Origin, part::Part};

/// The engine and the weights that graphs of a part run with.
pub(super) struct Runtime<'a> {
    engine: Engine,
    /// The part's file name.
    part: &'a str,
    /// The part without its graph.
    rest: &'a ModelProto,
    weights: Weights,
}

impl<'a> Runtime<'a> {
    /// Opens the files of weights that `part` refers to.
    pub(super) fn new(engine: &Engine, origin: &Origin, part: &'a Part) -> Result<Self, Error> {
        let (engine, weights) = (engine.clone(), Weights::new());
        let mut runtime = Self { engine, part: &part.name, rest: part.rest(), weights };
        for file in coca_onnx::external_files(part.graph()) {
            runtime.weights = runtime.weights.with(&file, origin.weights_of(&file, part.graph())?);
        }
        Ok(runtime)
    }

    /// For graphs whose weights stand in themselves.
    #[cfg(test)]
    pub(super) fn of_graph(engine: &Engine, part: &'a str, rest: &'a ModelProto) -> Self {
        Self { engine: engine.clone(), part, rest, weights: Weights::new() }
    }

    /// Runs every node as ONNX defines it, and slowly.
    pub(super) fn as_written(&self) -> Result<Self, Error> {
        let builder = Engine::builder().threads(self.engine.threads()).rules(Rules::Off);
        let engine = builder.build().map_err(coca_model::Error::from)?;
        Ok(Self { engine, weights: self.weights.clone(), ..*self })
    }

    /// The part with another graph.
    fn model(&self, graph: GraphProto) -> Result<Model, Error> {
        Model::from_proto(ModelProto { graph: Some(graph), ..self.rest.clone() })
            .map_err(|source| Error::Onnx { part: self.part.to_owned(), source })
    }

    /// Prepares the piece that computes `outputs` of the tensors `inputs` of these shapes, which may be any of `graph`.
    /// Everything is computed in f32; unless it is [`as_written`](Self::as_written), activations are not rounded to codes.
    pub(super) fn prepare(
        &self,
        mut graph: GraphProto,
        inputs: &[(&str, &[usize])],
        outputs: &[&str],
    ) -> Result<Subgraph, Error> {
        let described = inputs.iter().map(|(name, shape)| {
            let dims: Vec<_> = shape.iter().map(|&size| size.into()).collect();
            value_info::tensor(name, DataType::Float, &dims)
        });
        graph.input = described.collect();
        let wanted: BTreeSet<&str> = outputs.iter().copied().collect();
        let described =
            wanted.iter().map(|name| value_info::tensor_of_any_shape(name, DataType::Float));
        graph.output = described.collect();
        // What makes the inputs, and what nothing reads any more, is no part of the piece.
        let mut index = GraphIndex::new(graph, Opset::of(self.rest));
        index.remove_unused();
        let onnx = Onnx::new(self.part, self.model(index.into_graph())?);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let inputs: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
        let (inputs, outputs) = (names(&inputs), names(outputs));
        let arithmetic = Arithmetic::F32;
        let graph =
            Graph::prepare(onnx, &self.weights, &inputs, &outputs, arithmetic, &self.engine)
                .map_err(coca_model::Error::from)?;
        Ok(Subgraph(graph))
    }
}

/// A piece of a graph, ready to run.
pub(super) struct Subgraph(Graph);

impl Subgraph {
    /// The outputs in the order asked for.
    pub(super) fn run(&self, inputs: Vec<ArrayD<f32>>) -> Result<Vec<ArrayD<f32>>, Error> {
        let inputs = inputs.into_iter().map(Into::into).collect();
        Ok(self.0.run(inputs).map_err(coca_model::Error::from)?)
    }

    /// The only output.
    pub(super) fn run_one(&self, inputs: Vec<ArrayD<f32>>) -> Result<ArrayD<f32>, Error> {
        Ok(self.run(inputs)?.swap_remove(0))
    }
}

//! A part that runs on sample inputs and returns the inputs of its layers too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coca_engine::{Arithmetic, Engine, Graph, Input, Onnx, Weights};
use coca_onnx::{pb::tensor_proto::DataType, value_info};
use ndarray::ArrayD;

use super::{
    super::{error::Error, origin::Origin, part::Part},
    inputs::LayerInput,
    samples::Samples,
};

/// Samples of layers' inputs.
pub(super) type Collected = BTreeMap<LayerInput, Samples>;

/// A part, ready to run.
pub(super) struct Runner {
    part: String,
    graph: Graph,
    inputs: Vec<String>,
    outputs: Vec<String>,
    wanted: Vec<LayerInput>,
}

impl Runner {
    /// Loads `part` of `origin` with those of the `wanted` tensors that it computes as further outputs.
    pub(super) fn new(
        part: &Part,
        origin: &Origin,
        engine: &Engine,
        wanted: &BTreeSet<&LayerInput>,
    ) -> Result<Self, Error> {
        let weights: BTreeSet<&str> =
            part.graph().initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = part.graph().input.iter().map(|input| input.name.clone());
        let inputs: Vec<String> = inputs.filter(|name| !weights.contains(name.as_str())).collect();
        let wanted: Vec<LayerInput> =
            wanted.iter().filter(|w| w.part == part.name).map(|&w| w.clone()).collect();
        let values: BTreeSet<&String> = wanted.iter().map(|input| &input.value).collect();
        let mut described = part.graph().output.clone();
        for value in values.into_iter().filter(|value| !inputs.contains(value)) {
            if described.iter().all(|output| output.name != *value) {
                described.push(value_info::tensor_of_any_shape(value, DataType::Float));
            }
        }
        let outputs: Vec<String> = described.iter().map(|output| output.name.clone()).collect();
        let onnx = Onnx::parse(&part.name, &part.encode_with_outputs(described))
            .map_err(coca_model::Error::from)?;
        let one_picture = inputs.iter().any(|name| name == "pixel_values");
        let onnx = if one_picture { onnx.with_size("N", 1) } else { onnx };
        let mut weights = Weights::new();
        for file in onnx.weight_files() {
            weights = weights.with(&file, origin.weights_of(&file, part.graph())?);
        }
        let graph = Graph::prepare(onnx, &weights, &inputs, &outputs, Arithmetic::F32, engine)
            .map_err(coca_model::Error::from)?;
        Ok(Self { part: part.name.clone(), graph, inputs, outputs, wanted })
    }

    /// Runs the part on `inputs`, keeps at most `rows` rows of each layer's input, and returns all outputs by name.
    pub(super) fn run(
        &self,
        mut inputs: HashMap<String, Input>,
        rows: usize,
        collected: &mut Collected,
    ) -> Result<HashMap<String, ArrayD<f32>>, Error> {
        let mut values: HashMap<String, ArrayD<f32>> = HashMap::new();
        for (name, input) in &inputs {
            if let Input::F32(array) = input
                && self.wanted.iter().any(|wanted| wanted.value == *name)
            {
                values.insert(name.clone(), array.clone());
            }
        }
        let ordered = self.inputs.iter().map(|name| {
            inputs.remove(name).ok_or_else(|| self.tensor_error(name, "an input", "none to give"))
        });
        let ordered = ordered.collect::<Result<_, _>>()?;
        let found = self.graph.run(ordered).map_err(coca_model::Error::from)?;
        values.extend(self.outputs.iter().cloned().zip(found));
        for wanted in self.wanted.iter().filter(|_| rows > 0) {
            let name = &wanted.value;
            let value = values.get(name);
            let value = value.ok_or_else(|| self.tensor_error(name, "a 32-bit tensor", "none"))?;
            let samples = collected.entry(wanted.clone()).or_insert_with(Samples::new);
            samples
                .add(value, wanted.window.as_ref(), rows)
                .map_err(|mismatch| self.tensor_error(name, &mismatch.expected, &mismatch.found))?;
        }
        Ok(values)
    }

    /// Takes the output `name` out of the `outputs` of a run.
    pub(super) fn take(
        &self,
        outputs: &mut HashMap<String, ArrayD<f32>>,
        name: &str,
    ) -> Result<ArrayD<f32>, Error> {
        outputs.remove(name).ok_or_else(|| self.tensor_error(name, "an output", "none"))
    }

    /// The error that a tensor of this part is not what it must be.
    pub(super) fn tensor_error(&self, tensor: &str, expected: &str, found: &str) -> Error {
        Error::Tensor {
            part: self.part.clone(),
            tensor: tensor.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

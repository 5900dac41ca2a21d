//! A part that also gives what its layers read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coca_engine::{Arithmetic, Graph, Input, Onnx, Weights};
use ndarray::ArrayD;
use tract_onnx::pb::{
    TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType,
    type_proto::{Tensor, Value},
};

use super::{
    super::{Error, part::Part},
    Model,
    inputs::LayerInput,
    samples::Samples,
};

/// Rows of what layers read.
pub(super) type Collected = BTreeMap<LayerInput, Samples>;

/// A part, ready to run.
pub(super) struct Runner {
    graph: Graph,
    inputs: Vec<String>,
    outputs: Vec<String>,
    wanted: Vec<LayerInput>,
}

impl Runner {
    /// Loads `part` of `model` so that it gives those of `wanted` that are its own, besides its outputs.
    pub(super) fn new(
        part: &Part,
        model: &Model,
        wanted: &BTreeSet<&LayerInput>,
    ) -> Result<Self, Error> {
        let weights: BTreeSet<&str> =
            part.graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = part.graph.input.iter().map(|input| input.name.clone());
        let inputs: Vec<String> = inputs.filter(|name| !weights.contains(name.as_str())).collect();
        let wanted: Vec<LayerInput> =
            wanted.iter().filter(|w| w.part == part.name).map(|&w| w.clone()).collect();
        let values: BTreeSet<&String> = wanted.iter().map(|input| &input.value).collect();
        let mut described = part.graph.output.clone();
        for value in values.into_iter().filter(|value| !inputs.contains(value)) {
            if described.iter().all(|output| output.name != *value) {
                described.push(numbers(value));
            }
        }
        let outputs: Vec<String> = described.iter().map(|output| output.name.clone()).collect();
        let onnx = Onnx::parse(&part.name, &part.encode_with_outputs(described))
            .map_err(coca_model::Error::from)?;
        let one_picture = inputs.iter().any(|name| name == "pixel_values");
        let onnx = if one_picture { onnx.with_size("N", 1) } else { onnx };
        let mut weights = Weights::new();
        for file in onnx.weight_files() {
            weights = weights.with(&file, model.bundle.read(&file, "calibrating")?);
        }
        let graph =
            Graph::prepare(onnx, &weights, &inputs, &outputs, Arithmetic::F32, model.engine)
                .map_err(coca_model::Error::from)?;
        Ok(Self { graph, inputs, outputs, wanted })
    }

    /// Runs the part on `inputs`, keeps at most `rows` rows of what each layer reads, and gives all outputs by name.
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
        let ordered = self.inputs.iter().filter_map(|name| inputs.remove(name)).collect();
        let found = self.graph.run(ordered).map_err(coca_model::Error::from)?;
        values.extend(self.outputs.iter().cloned().zip(found));
        for wanted in self.wanted.iter().filter(|_| rows > 0) {
            if let Some(value) = values.get(&wanted.value) {
                let samples = collected.entry(wanted.clone()).or_insert_with(Samples::new);
                samples.add(value, wanted.window.as_ref(), rows);
            }
        }
        Ok(values)
    }
}

/// An output of 32-bit numbers in a shape not told.
fn numbers(name: &str) -> ValueInfoProto {
    let shape: Option<TensorShapeProto> = None;
    let tensor = Tensor { elem_type: DataType::Float as i32, shape };
    let kind = TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

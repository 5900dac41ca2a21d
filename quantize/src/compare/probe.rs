//! One part of both models, with the inputs and outputs of its layers as further outputs.

use std::collections::{BTreeMap, BTreeSet};

use coca_engine::{self as engine, Graph, Input, Onnx, Weights};
use coca_model::bundle;
use coca_onnx::{Model, pb::ValueInfoProto};
use ndarray::ArrayD;

use super::{
    error::Error,
    layers::{LayerNoise, Pair, pairs},
    model::Files,
    noise::Noise,
};

/// A part of both models.
pub(super) struct Probe {
    part: &'static str,
    layers: Vec<(Pair, Noise, Noise)>,
    sides: [Side; 2],
    pub(super) unmatched: Vec<String>,
}

/// The part in one of the models.
struct Side {
    graph: Graph,
    tensors: Vec<String>,
}

impl Probe {
    /// Prepares the file `part` of both models with `inputs`. The reference also returns the tensors `wanted`, and both
    /// run with one picture where `single` says so, as the image encoder does everywhere.
    pub(super) fn prepare(
        files: &[Files; 2],
        part: &'static str,
        inputs: &[String],
        wanted: &[String],
        single: bool,
    ) -> Result<Self, Error> {
        let [a, b] = [parse(&files[0], part)?, parse(&files[1], part)?];
        let (pairs, unmatched) = pairs(&a.index(), &b.index());
        let tensors = |side: usize, wanted: &[String]| -> Vec<String> {
            let inputs = pairs.iter().flat_map(|pair| &pair.inputs).map(|names| &names[side]);
            let outputs = pairs.iter().map(|pair| &pair.outputs[side]);
            let all: BTreeSet<&String> = wanted.iter().chain(inputs).chain(outputs).collect();
            all.into_iter().cloned().collect()
        };
        let [tensors_a, tensors_b] = [tensors(0, wanted), tensors(1, &[])];
        let sides = [
            Side::prepare(&files[0], part, a, inputs, tensors_a, single)?,
            Side::prepare(&files[1], part, b, inputs, tensors_b, single)?,
        ];
        let layers = pairs.into_iter().map(|pair| (pair, Noise::default(), Noise::default()));
        Ok(Self { part, layers: layers.collect(), sides, unmatched })
    }

    /// The part's file.
    pub(super) fn part(&self) -> &'static str {
        self.part
    }

    /// Runs the part of both models on the same `inputs`; returns the reference's tensors by name.
    pub(super) fn run(
        &mut self,
        files: &[Files; 2],
        inputs: Vec<Input>,
    ) -> Result<BTreeMap<String, ArrayD<f32>>, Error> {
        let a = self.sides[0].run(&files[0], inputs.clone())?;
        let b = self.sides[1].run(&files[1], inputs)?;
        for (pair, output, input) in &mut self.layers {
            let [out_a, out_b] = &pair.outputs;
            add(output, self.part, &pair.name, [&a, &b], [out_a, out_b])?;
            if let Some([in_a, in_b]) = &pair.inputs {
                add(input, self.part, &pair.name, [&a, &b], [in_a, in_b])?;
            }
        }
        Ok(a)
    }

    /// Noise of each layer over all runs.
    pub(super) fn into_layers(self) -> impl Iterator<Item = LayerNoise> {
        let part = self.part;
        let layers = self.layers.into_iter();
        layers.map(move |(pair, output, input)| LayerNoise::new(part, pair.name, output, input))
    }
}

fn add(
    noise: &mut Noise,
    part: &'static str,
    layer: &str,
    [a, b]: [&BTreeMap<String, ArrayD<f32>>; 2],
    [name_a, name_b]: [&String; 2],
) -> Result<(), Error> {
    let missing = |name: &String| Error::MissingTensor { part, tensor: name.clone() };
    let a = a.get(name_a).ok_or_else(|| missing(name_a))?;
    let b = b.get(name_b).ok_or_else(|| missing(name_b))?;
    if a.shape() != b.shape() {
        let (expected, found) = (a.shape().to_vec(), b.shape().to_vec());
        return Err(Error::LayerShape { part, layer: layer.to_owned(), expected, found });
    }
    noise.add(a, b);
    Ok(())
}

impl Side {
    fn prepare(
        files: &Files,
        part: &'static str,
        mut model: Model,
        inputs: &[String],
        tensors: Vec<String>,
        single: bool,
    ) -> Result<Self, Error> {
        let outputs = &model.graph().output;
        let known: BTreeSet<&String> = outputs.iter().map(|output| &output.name).collect();
        let added: Vec<ValueInfoProto> = tensors
            .iter()
            .filter(|name| !known.contains(name))
            .map(|name| ValueInfoProto { name: name.clone(), ..Default::default() })
            .collect();
        model.graph_mut().output.extend(added);
        let onnx = Onnx::parse(part, &model.encode()).map_err(|e| files.failed(e))?;
        let mut weights = Weights::new();
        for file in onnx.weight_files() {
            weights = weights.with(&file, files.read(&file)?);
        }
        let onnx = if single { onnx.with_size("N", 1) } else { onnx };
        let Files { bundle, engine, .. } = files;
        let graph = Graph::prepare(onnx, &weights, inputs, &tensors, bundle.arithmetic(), engine)
            .map_err(|e| files.failed(e))?;
        Ok(Self { graph, tensors })
    }

    fn run(
        &self,
        files: &Files,
        inputs: Vec<Input>,
    ) -> Result<BTreeMap<String, ArrayD<f32>>, Error> {
        let outputs = self.graph.run(inputs).map_err(|e| files.failed(e))?;
        Ok(self.tensors.iter().cloned().zip(outputs).collect())
    }
}

fn parse(files: &Files, part: &'static str) -> Result<Model, Error> {
    let bytes = files.read(part)?;
    Model::parse((*bytes).as_ref()).map_err(|source| Error::Onnx {
        path: files.path.clone(),
        part,
        source,
    })
}

impl Files {
    pub(super) fn read(&self, name: &str) -> Result<bundle::CheckedBytes, Error> {
        self.bundle.read(name, "comparing layers").map_err(Error::Bundle)
    }

    pub(super) fn failed(&self, source: engine::Error) -> Error {
        Error::Part { path: self.path.clone(), source: Box::new(source) }
    }
}

//! Bias correction in sequence: one layer after the other is run on the codes that the layers before it make, and the
//! mean error of its output is subtracted from its bias.
//!
//! Each layer runs by itself, on what the ones before it made of a few pictures, so that all of them together cost
//! little more than one pass.

use std::collections::{BTreeMap, BTreeSet};

use coca_onnx::{GraphIndex, Opset, pb::GraphProto};
use ndarray::ArrayD;

use super::{
    super::{error::Error, progress::Progress},
    qdq::{self, Codes, Quantized},
    ranges::Quantization,
    region::Region,
    statistics::Channels,
    subgraph::{Runtime, Subgraph},
};

/// A region whose biases are corrected.
pub(super) struct Correction<'a> {
    pub(super) runtime: &'a Runtime<'a>,
    /// The part's graph, and the version of its operators.
    pub(super) graph: &'a GraphProto,
    pub(super) opset: Opset,
    /// The name of the graph's input.
    pub(super) pixels: &'a str,
    pub(super) pictures: &'a [ArrayD<f32>],
    /// The channels of the convolutions' outputs in floating point, for the same pictures.
    pub(super) exact: &'a BTreeMap<String, Channels>,
    pub(super) codes: &'a Codes,
}

/// An activation of every picture, as codes.
struct Stored {
    quantization: Quantization,
    pictures: Vec<ArrayD<u8>>,
}

/// A tensor of the region, in the order in which they are made.
struct Stage {
    /// The position of the step that makes it; `None` for an input of the region.
    step: Option<usize>,
    /// The activation's name.
    activation: String,
    /// Its dequantised tensor.
    value: String,
    /// The tensors that it is made of, stored or given.
    inputs: Vec<String>,
}

impl Correction<'_> {
    /// Corrects the biases of `region`; gives their number.
    pub(super) fn run(
        &self,
        region: &mut Region,
        progress: &dyn Fn(Progress),
    ) -> Result<usize, Error> {
        let stages = self.stages(region);
        let (mut stored, mut corrected) = (BTreeMap::new(), 0);
        for (done, stage) in stages.iter().enumerate() {
            let (done_stages, total) = (done as u64, stages.len() as u64);
            progress(Progress { doing: "correcting biases", done: done_stages, total });
            if let Some(step) = stage.step
                && region.steps[step].filters().is_some()
            {
                self.correct(region, step, stage, &stored)?;
                corrected += 1;
            }
            let quantized = self.quantized(region);
            let made = self.store(quantized.graph, stage, &stored)?;
            stored.insert(stage.value.clone(), made);
            let rest = &stages[done + 1..];
            stored.retain(|name, _| rest.iter().any(|stage| stage.inputs.contains(name)));
        }
        Ok(corrected)
    }

    fn quantized(&self, region: &Region) -> Quantized {
        qdq::quantized(self.graph, self.opset, region, self.codes)
    }

    fn stages(&self, region: &Region) -> Vec<Stage> {
        let quantized = self.quantized(region);
        let index = GraphIndex::new(&quantized.graph, self.opset);
        let mut given = BTreeSet::from([self.pixels.to_owned()]);
        let mut stages = Vec::new();
        let mut push = |step, activation: &str, value: &str| {
            let inputs = cut(&index, value, &given);
            given.insert(value.to_owned());
            let (activation, value) = (activation.to_owned(), value.to_owned());
            stages.push(Stage { step, activation, value, inputs });
        };
        for (at, step) in region.steps.iter().enumerate() {
            for input in region.inputs.iter().filter(|input| input.step == at) {
                push(None, &input.name, &quantized.inputs[&input.name]);
            }
            push(Some(at), &step.output, &step.output);
        }
        stages
    }

    /// Subtracts the mean error of a convolution's output from its bias.
    fn correct(
        &self,
        region: &mut Region,
        step: usize,
        stage: &Stage,
        stored: &BTreeMap<String, Stored>,
    ) -> Result<(), Error> {
        let quantized = self.quantized(region);
        let name = region.steps[step].linear.clone();
        let piece = self.piece(quantized.graph, stage, &quantized.linear[&name], stored)?;
        let mut found = Channels::default();
        for picture in 0..self.pictures.len() {
            found.add(&piece.run_one(self.inputs(stage, stored, picture))?);
        }
        let exact = self.exact[&name].means();
        if let Some(filters) = region.steps[step].filters_mut() {
            for ((bias, found), exact) in filters.bias.iter_mut().zip(found.means()).zip(exact) {
                *bias -= (found - exact) as f32;
            }
        }
        Ok(())
    }

    /// Runs a stage on all pictures.
    fn store(
        &self,
        graph: GraphProto,
        stage: &Stage,
        stored: &BTreeMap<String, Stored>,
    ) -> Result<Stored, Error> {
        let quantization = self.codes.activations[&stage.activation];
        let piece = self.piece(graph, stage, &stage.value, stored)?;
        let mut pictures = Vec::with_capacity(self.pictures.len());
        for picture in 0..self.pictures.len() {
            let value = piece.run_one(self.inputs(stage, stored, picture))?;
            pictures.push(value.mapv(|value| quantization.code(value)));
        }
        Ok(Stored { quantization, pictures })
    }

    /// The piece that makes the tensor `output` of a stage's inputs.
    fn piece(
        &self,
        graph: GraphProto,
        stage: &Stage,
        output: &str,
        stored: &BTreeMap<String, Stored>,
    ) -> Result<Subgraph, Error> {
        let shape = |name: &str| match stored.get(name) {
            Some(stored) => stored.pictures[0].shape(),
            None => self.pictures[0].shape(),
        };
        let inputs: Vec<_> = stage.inputs.iter().map(|name| (name.as_str(), shape(name))).collect();
        self.runtime.prepare(graph, &inputs, &[output])
    }

    fn inputs(
        &self,
        stage: &Stage,
        stored: &BTreeMap<String, Stored>,
        picture: usize,
    ) -> Vec<ArrayD<f32>> {
        let input = |name: &String| match stored.get(name) {
            Some(stored) => stored.value(picture),
            None => self.pictures[picture].clone(),
        };
        stage.inputs.iter().map(input).collect()
    }
}

impl Stored {
    fn value(&self, picture: usize) -> ArrayD<f32> {
        self.pictures[picture].mapv(|code| self.quantization.value(code))
    }
}

/// Those of the `given` tensors that `wanted` is made of.
fn cut(index: &GraphIndex<&GraphProto>, wanted: &str, given: &BTreeSet<String>) -> Vec<String> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::from([wanted]));
    let mut open = vec![wanted];
    while let Some(name) = open.pop() {
        let node = index.producer(name).map(|(_, node)| node);
        for input in node.into_iter().flat_map(|node| &node.input) {
            if given.contains(input) {
                found.insert(input.clone());
            } else if seen.insert(input) {
                open.push(input);
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use coca_engine::Engine;
    use coca_onnx::builder::OPSET;

    use super::{
        super::{
            ranges::Histogram,
            region::Bounds,
            test_graph::{self, INPUT},
            weights,
        },
        *,
    };

    /// Codes for all that the region reads and makes, filters in fewer steps than 8 bits have.
    fn coarse_codes(region: &Region, seen: &BTreeMap<String, Channels>) -> Codes {
        let mut codes = Codes::default();
        for (name, channels) in seen {
            let [low, high] = channels.range();
            codes.activations.insert(name.clone(), Histogram::new(low, high).best(Bounds::NONE));
        }
        for (step, filters) in region.convolutions() {
            let input = &step.inputs[0];
            let energies: Vec<f64> = seen[input].energies().collect();
            let scale = codes.activations[input].scale;
            let mut rounded = weights::round(filters, scale, &energies);
            rounded.integers.iter_mut().for_each(|integer| *integer = *integer / 20 * 20);
            codes.filters.insert(step.linear.clone(), rounded);
        }
        codes
    }

    #[test]
    fn the_means_of_all_outputs_are_the_exact_ones_afterwards() {
        let (graph, pictures) = (test_graph::graph(), test_graph::pictures(4));
        let mut region = test_graph::region(&graph, &[]);
        let linear: Vec<_> = region.convolutions().map(|(step, _)| step.linear.clone()).collect();
        let linear: Vec<&str> = linear.iter().map(String::as_str).collect();
        let results: Vec<_> = region.steps.iter().map(|step| step.output.clone()).collect();
        let results: Vec<&str> = results.iter().map(String::as_str).collect();
        let exact_linear = test_graph::exact(&graph, &region, &linear);
        let exact = Channels::of_outputs(&exact_linear, &linear, &pictures).unwrap();
        let exact_results = test_graph::exact(&graph, &region, &results);
        let mut seen = Channels::of_outputs(&exact_results, &results, &pictures).unwrap();
        for picture in &pictures {
            seen.entry("x".to_owned()).or_default().add(picture);
        }
        let codes = coarse_codes(&region, &seen);
        let (engine, rest) =
            (Engine::builder().threads(1).build().unwrap(), test_graph::rest(OPSET));
        let runtime = Runtime::of_graph(&engine, "part.onnx", &rest);
        let as_written = runtime.as_written().unwrap();
        let worst = |region: &Region| {
            let quantized = qdq::quantized(&graph, OPSET, region, &codes);
            let names: Vec<&str> =
                linear.iter().map(|&name| quantized.linear[name].as_str()).collect();
            let piece = as_written.prepare(quantized.graph, &[("x", &INPUT)], &names).unwrap();
            let found = Channels::of_outputs(&piece, &names, &pictures).unwrap();
            let pairs = linear.iter().zip(&names);
            let off = pairs.flat_map(|(&linear, &name)| {
                let means = exact[linear].means().zip(found[name].means());
                means.map(|(exact, found)| (exact - found).abs()).collect::<Vec<_>>()
            });
            off.fold(0.0, f64::max)
        };
        let before = worst(&region);
        let correction = Correction {
            runtime: &runtime,
            graph: &graph,
            opset: OPSET,
            pixels: "x",
            pictures: &pictures,
            exact: &exact,
            codes: &codes,
        };
        assert_eq!(correction.run(&mut region, &|_| ()).unwrap(), 7);
        let after = worst(&region);
        assert!(before > 0.05 && after < 1e-3, "{before} became {after}");
    }
}

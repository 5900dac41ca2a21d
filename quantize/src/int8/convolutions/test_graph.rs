//! A small network of inverted residuals for tests, and its region.

use std::collections::BTreeMap;

use coca_engine::Engine;
use coca_onnx::{
    GraphIndex, Opset,
    attribute::{of_integer, of_integers},
    builder::{GraphBuilder, OPSET, Value, f32_tensor},
    pb::{GraphProto, ModelProto, OperatorSetIdProto},
};
use ndarray::{Array, ArrayD, IxDyn};

use super::{
    super::keep::Keep,
    qdq,
    region::Region,
    subgraph::{Runtime, Subgraph},
};

pub(super) const INPUT: [usize; 4] = [1, 3, 12, 14];

/// Numbers from -1 to 1 without a pattern.
pub(super) fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let fraction = |i: usize| ((i + 7919 * seed) as f64 * 0.618_033_988_75).fract();
    (1..=count).map(|i| (2.0 * fraction(i) - 1.0) as f32).collect()
}

pub(super) fn pictures(count: usize) -> Vec<ArrayD<f32>> {
    let picture = |seed| {
        let values = numbers(INPUT.iter().product(), seed);
        Array::from_vec(values).into_shape_with_order(IxDyn(&INPUT)).unwrap()
    };
    (0..count).map(picture).collect()
}

struct Network(GraphBuilder);

impl Network {
    /// A convolution whose channels differ in loudness, and a ReLU6.
    fn conv(
        &mut self,
        x: &Value,
        dims: [usize; 4],
        stride: i64,
        groups: i64,
        clips: bool,
    ) -> Value {
        let [outputs, inputs, kernel, _] = dims;
        let size = inputs * kernel * kernel;
        let seed = 10 * outputs + inputs + kernel;
        let loudness =
            |output: usize| 4.0 / (size as f32).sqrt() / f32::powi(2.0, output as i32 % 4);
        let weight = numbers(outputs * size, seed).into_iter().enumerate();
        let weight: Vec<f32> = weight.map(|(at, w)| w * loudness(at / size)).collect();
        let name = format!("weight {seed} {groups}");
        let weight = self.0.weight(&f32_tensor(&name, &dims.map(|size| size as i64), &weight));
        let bias = numbers(outputs, seed + 1);
        let bias =
            self.0.weight(&f32_tensor(&format!("bias {seed} {groups}"), &[outputs as i64], &bias));
        let pad = kernel as i64 / 2;
        let attributes = vec![
            of_integer("group", groups),
            of_integers("pads", &[pad; 4]),
            of_integers("strides", &[stride; 2]),
        ];
        let y = self.0.node("Conv", &[x, &weight, &bias], attributes);
        if !clips {
            return y;
        }
        let (zero, six) = (self.0.constant(0.0), self.0.constant(6.0));
        self.0.op("Clip", &[&y, &zero, &six])
    }
}

/// Stem, depthwise, project; expand, depthwise, project and sum: six convolutions.
pub(super) fn graph() -> GraphProto {
    let mut network = Network(GraphBuilder::new("network"));
    let x = network.0.input_f32("x", &INPUT.map(Into::into));
    let y = network.conv(&x, [8, 3, 3, 3], 2, 1, true);
    let y = network.conv(&y, [8, 1, 3, 3], 1, 8, true);
    let first = network.conv(&y, [4, 8, 1, 1], 1, 1, false);
    let y = network.conv(&first, [12, 4, 1, 1], 1, 1, true);
    let y = network.conv(&y, [12, 1, 5, 5], 1, 12, true);
    let y = network.conv(&y, [5, 12, 1, 1], 1, 1, false);
    let y = network.conv(&y, [4, 5, 1, 1], 1, 1, false);
    let y = network.0.op("Add", &[&first, &y]);
    network.0.output("y", &y, &[1.into(), 4.into(), 6.into(), 7.into()]);
    network.0.into_graph()
}

pub(super) fn region(graph: &GraphProto, keep: &[&str]) -> Region {
    let keep: Vec<String> = keep.iter().map(|&pattern| pattern.to_owned()).collect();
    let index = GraphIndex::new(graph.clone(), OPSET);
    Region::find(&index, &BTreeMap::<String, Vec<u8>>::new(), &Keep::parse(&keep).unwrap())
}

pub(super) fn rest(opset: Opset) -> ModelProto {
    let version = opset.version();
    let opset_import = vec![OperatorSetIdProto { version, ..OperatorSetIdProto::default() }];
    ModelProto { ir_version: 8, opset_import, ..ModelProto::default() }
}

/// Prepares the region in floating point, with these outputs.
pub(super) fn exact(graph: &GraphProto, region: &Region, outputs: &[&str]) -> Subgraph {
    let (engine, rest) = (Engine::builder().threads(1).build().unwrap(), rest(OPSET));
    let runtime = Runtime::of_graph(&engine, "part.onnx", &rest);
    let graph = qdq::in_floating_point(graph, OPSET, region);
    runtime.prepare(graph, &[("x", &INPUT)], outputs).unwrap()
}

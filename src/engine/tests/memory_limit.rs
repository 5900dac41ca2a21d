//! A graph with weights that the system refuses memory for.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;

use coca_engine::{Arithmetic, Engine, Error, Graph, Onnx, Rules, Weights};
use coca_onnx::builder::{GraphBuilder, f32_tensor};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Inputs of a layer of one output. Packed, they have room for sixteen: 64 bytes each.
const INPUTS: usize = 4 << 20;
/// Bytes of addresses that the process gets beside those in use: more than the weights take, less than their panels.
const MARGIN: u64 = 128 << 20;

/// Bytes of addresses in use.
fn addresses() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    1024 * size.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

#[test]
fn weights_that_the_system_refuses_are_an_error_with_their_size() {
    let mut graph = GraphBuilder::new("wide");
    let x = graph.input_f32("x", &["T".into(), INPUTS.into()]);
    let dims = [INPUTS as i64, 1];
    let weight = graph.weight(&f32_tensor("weight", &dims, &vec![0.5; INPUTS]));
    let y = graph.op("MatMul", &[&x, &weight]);
    graph.output("y", &y, &["T".into(), 1.into()]);
    let onnx = Onnx::new("part.onnx", graph.finish("test", "1"));
    let engine = Engine::builder().threads(1).rules(Rules::On).build().unwrap();
    let [inputs, outputs] = ["x", "y"].map(|name| [name.to_owned()]);

    let before = getrlimit(Resource::As);
    let current = Some(addresses() + MARGIN);
    setrlimit(Resource::As, Rlimit { current, ..before }).unwrap();
    let prepared =
        Graph::prepare(onnx, &Weights::new(), &inputs, &outputs, Arithmetic::F32, &engine);
    setrlimit(Resource::As, before).unwrap();

    let error = prepared.err().unwrap();
    assert!(matches!(error, Error::Memory { bytes: 268_435_456, .. }), "{error}");
    assert_eq!(error.to_string(), "part.onnx: no memory for 268435456 bytes of weights");
}

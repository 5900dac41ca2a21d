//! Quantised networks in QDQ form, node by node, and beside each tensor the codes that ONNX's `QLinearConv` gives it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use coca_engine::{Arithmetic, Engine, Execution, Graph, Input, Onnx, Rules, Weights};
use coca_onnx::{
    Model,
    attribute::{of_integer, of_integers},
    builder::{GraphBuilder, Value, f32_tensor, raw_tensor},
    pb::{ValueInfoProto, tensor_proto::DataType},
    value_info::Dim,
};
use ndarray::{Array4, ArrayD};

/// A tensor of codes, `[channels, height, width]`.
#[derive(Debug, Clone)]
pub struct Codes {
    /// The f32 tensor that stands for it in the graph.
    pub value: Value,
    pub scale: f32,
    pub zero_point: u8,
    pub channels: usize,
    pub size: [usize; 2],
    codes: Vec<u8>,
}

impl Codes {
    fn step(&self, channel: usize, line: usize, column: usize) -> i32 {
        let [height, width] = self.size;
        let code = self.codes[(channel * height + line) * width + column];
        i32::from(code) - i32::from(self.zero_point)
    }

    /// The values of all codes.
    pub fn values(&self) -> Vec<f32> {
        let value = |&code: &u8| (f32::from(code) - f32::from(self.zero_point)) * self.scale;
        self.codes.iter().map(value).collect()
    }
}

/// The steps of an output without weights that count.
const DEAD_STEPS: u8 = 40;

/// A convolution, which is depthwise where `groups` is more than 1.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    pub outputs: usize,
    pub size: [usize; 2],
    pub stride: usize,
    /// Above, before, below, behind.
    pub pads: [usize; 4],
    pub groups: usize,
    /// An activation between 0 and this many codes.
    pub clip: Option<f32>,
    pub zero_point: u8,
    /// Whether weights have one scale for all outputs.
    pub per_tensor: bool,
    /// Whether the first output has weights of nearly nothing, and a bias in coarser units than theirs.
    pub dead: bool,
}

impl Conv {
    pub fn pointwise(outputs: usize) -> Self {
        Self {
            outputs,
            size: [1, 1],
            stride: 1,
            pads: [0; 4],
            groups: 1,
            clip: None,
            zero_point: 121,
            per_tensor: false,
            dead: false,
        }
    }

    pub fn depthwise(channels: usize, size: usize, stride: usize) -> Self {
        let pads = [size / 2; 4];
        Self { size: [size; 2], stride, pads, groups: channels, ..Self::expand(channels) }
    }

    pub fn expand(outputs: usize) -> Self {
        Self { zero_point: 0, clip: Some(255.0), ..Self::pointwise(outputs) }
    }

    pub fn stem(outputs: usize) -> Self {
        Self { size: [3, 3], stride: 2, pads: [0, 0, 1, 1], ..Self::expand(outputs) }
    }
}

/// A network in the making, for one made-up input.
pub struct Net {
    pub graph: GraphBuilder,
    random: u64,
    tensors: usize,
    inputs: Vec<ArrayD<f32>>,
    /// Whether codes are i8.
    pub signed: bool,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        let graph = GraphBuilder::new("net");
        Self { graph, random: seed, tensors: 0, inputs: Vec::new(), signed: false }
    }

    fn random(&mut self, below: u32) -> u32 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as u32 % below
    }

    fn name(&mut self, kind: &str) -> String {
        self.tensors += 1;
        format!("{kind} {}", self.tensors)
    }

    /// An f32 input `[1, channels, height, width]` with values of about -1 to 1.
    pub fn input(&mut self, channels: usize, size: [usize; 2]) -> (Value, Vec<f32>) {
        let name = format!("x{}", self.inputs.len());
        let dims: [Dim; 4] = [1.into(), channels.into(), size[0].into(), size[1].into()];
        let value = self.graph.input_f32(&name, &dims);
        let elements: Vec<f32> = (0..channels * size[0] * size[1])
            .map(|_| (self.random(2001) as f32 - 1000.0) / 997.0)
            .collect();
        let shape = (1, channels, size[0], size[1]);
        self.inputs.push(Array4::from_shape_vec(shape, elements.clone()).unwrap().into_dyn());
        (value, elements)
    }

    /// The codes of an input.
    pub fn image(&mut self, channels: usize, size: [usize; 2]) -> Codes {
        let (value, elements) = self.input(channels, size);
        let (scale, zero_point) = (1.0 / 127.0, 127);
        let code = |v: f32| ((v / scale).round_ties_even() + 127.0).clamp(0.0, 255.0) as u8;
        let codes = elements.into_iter().map(code).collect();
        let value = self.quantized(&value, scale, zero_point);
        Codes { value, scale, zero_point, channels, size, codes }
    }

    /// `x` as codes, and back.
    pub fn quantized(&mut self, x: &Value, scale: f32, zero_point: u8) -> Value {
        let (scale, zero) = self.scale_and_zero(scale, zero_point);
        let codes = self.graph.op("QuantizeLinear", &[x, &scale, &zero]);
        self.graph.op("DequantizeLinear", &[&codes, &scale, &zero])
    }

    fn scale_and_zero(&mut self, scale: f32, zero_point: u8) -> (Value, Value) {
        let scale_name = self.name("scale");
        let scale = self.graph.weight(&f32_tensor(&scale_name, &[], &[scale]));
        let zero_name = self.name("zero");
        let (kind, zero) = match self.signed {
            true => (DataType::Int8, zero_point ^ 0x80),
            false => (DataType::Uint8, zero_point),
        };
        let zero = raw_tensor(&zero_name, kind, &[], vec![zero]);
        (scale, self.graph.initializer(zero))
    }

    /// The codes that an f32 tensor `[1, channels, height, width]` stands for, whatever they are.
    pub fn unknown(&self, value: Value, channels: usize, size: [usize; 2]) -> Codes {
        let codes = vec![0; channels * size[0] * size[1]];
        Codes { value, scale: 1.0 / 127.0, zero_point: 127, channels, size, codes }
    }

    /// A convolution, its activation, and the codes that come of it.
    pub fn conv(&mut self, x: &Codes, conv: Conv) -> Codes {
        let inputs = x.channels / conv.groups * conv.size[0] * conv.size[1];
        let weights: Vec<i8> =
            (0..conv.outputs * inputs).map(|_| (self.random(255) as i32 - 127) as i8).collect();
        let mut bias: Vec<i32> =
            (0..conv.outputs).map(|_| self.random(20_000) as i32 - 6_000).collect();
        let shared = 0.002 * (0.5 + self.random(1000) as f32 / 1000.0);
        let mut scales: Vec<f32> = (0..conv.outputs)
            .map(|_| 0.002 * (0.5 + self.random(1000) as f32 / 1000.0))
            .map(|scale| if conv.per_tensor { shared } else { scale })
            .collect();
        let scale = x.scale * 0.002 * 900.0 * (inputs as f32).sqrt() / 16.0;
        if conv.dead {
            (scales[0], bias[0]) = (1e-14, 1 << 30);
        }
        let value = self.conv_nodes(x, conv, &weights, &bias, &scales, scale);
        let size = output_size(x.size, conv);
        let mut codes = Vec::with_capacity(conv.outputs * size[0] * size[1]);
        for (output, (&bias, &weight_scale)) in bias.iter().zip(&scales).enumerate() {
            let multiplier = x.scale * weight_scale / scale;
            let weights = &weights[output * inputs..(output + 1) * inputs];
            for (line, column) in places(size) {
                if conv.dead && output == 0 {
                    codes.push(DEAD_STEPS + conv.zero_point);
                    continue;
                }
                let sum = bias + sum(x, conv, output, weights, [line, column]);
                let steps = (sum as f32 * multiplier).round_ties_even() as i32;
                codes.push((steps + i32::from(conv.zero_point)).clamp(0, 255) as u8);
            }
        }
        let (channels, zero_point) = (conv.outputs, conv.zero_point);
        Codes { value, scale, zero_point, channels, size, codes }
    }

    fn conv_nodes(
        &mut self,
        x: &Codes,
        conv: Conv,
        weights: &[i8],
        bias: &[i32],
        scales: &[f32],
        scale: f32,
    ) -> Value {
        let outputs = conv.outputs as i64;
        let [height, width] = conv.size.map(|side| side as i64);
        let dims = [outputs, (x.channels / conv.groups) as i64, height, width];
        let bytes = weights.iter().map(|w| w.cast_unsigned()).collect();
        let name = self.name("weight");
        let weight = self.graph.initializer(raw_tensor(&name, DataType::Int8, &dims, bytes));
        let name = self.name("weight scale");
        let weight_scale = match conv.per_tensor {
            true => f32_tensor(&name, &[], &scales[..1]),
            false => f32_tensor(&name, &[outputs], scales),
        };
        let weight_scale = self.graph.weight(&weight_scale);
        let axis = || vec![of_integer("axis", 0)];
        let weight = self.graph.node("DequantizeLinear", &[&weight, &weight_scale], axis());
        let bytes = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
        let name = self.name("bias");
        let bias = self.graph.initializer(raw_tensor(&name, DataType::Int32, &[outputs], bytes));
        let mut units: Vec<f32> = scales.iter().map(|s| s * x.scale).collect();
        if conv.dead {
            units[0] = f32::from(DEAD_STEPS) * scale / (1_u32 << 30) as f32;
        }
        let name = self.name("bias scale");
        let units = self.graph.weight(&f32_tensor(&name, &[outputs], &units));
        let bias = self.graph.node("DequantizeLinear", &[&bias, &units], axis());
        let attributes = vec![
            of_integers("strides", &[conv.stride as i64; 2]),
            of_integers("pads", &conv.pads.map(|pad| pad as i64)),
            of_integer("group", conv.groups as i64),
        ];
        let mut y = self.graph.node("Conv", &[&x.value, &weight, &bias], attributes);
        if let Some(steps) = conv.clip {
            let (low, high) = (self.graph.constant(0.0), self.graph.constant(steps * scale));
            y = self.graph.op("Clip", &[&y, &low, &high]);
        }
        self.quantized(&y, scale, conv.zero_point)
    }

    /// A sum, and the codes that come of it.
    pub fn add(&mut self, a: &Codes, b: &Codes) -> Codes {
        let scale = a.scale + b.scale;
        let sum = self.graph.op("Add", &[&a.value, &b.value]);
        let value = self.quantized(&sum, scale, 130);
        let (a_share, b_share) = (a.scale / scale, b.scale / scale);
        let code = |(&x, &y): (&u8, &u8)| {
            let a_steps = f32::from(x) - f32::from(a.zero_point);
            let b_steps = (f32::from(y) - f32::from(b.zero_point)) * b_share;
            let steps = a_steps.mul_add(a_share, b_steps).round_ties_even() as i32;
            (steps + 130).clamp(0, 255) as u8
        };
        let codes = a.codes.iter().zip(&b.codes).map(code).collect();
        Codes { value, scale, zero_point: 130, codes, ..a.clone() }
    }

    /// `-x` in f32, and the codes that become of it.
    pub fn negated(&mut self, x: &Codes) -> Codes {
        let negated = self.graph.op("Neg", &[&x.value]);
        let value = self.quantized(&negated, x.scale, 127);
        let negative = |&code: &u8| {
            let steps = i32::from(x.zero_point) - i32::from(code);
            (steps + 127).clamp(0, 255) as u8
        };
        let codes = x.codes.iter().map(negative).collect();
        Codes { value, zero_point: 127, codes, ..x.clone() }
    }

    /// The model with these outputs.
    pub fn finish(mut self, outputs: &[&Value]) -> Case {
        for (i, value) in outputs.iter().enumerate() {
            self.graph.output(&format!("y{i}"), value, &[]);
        }
        let mut model = self.graph.finish("test", "1");
        for output in &mut model.graph_mut().output {
            output.r#type = coca_onnx::value_info::tensor_of_any_shape("", DataType::Float).r#type;
        }
        Case { model, inputs: self.inputs }
    }
}

fn output_size(input: [usize; 2], conv: Conv) -> [usize; 2] {
    [0, 1].map(|axis| {
        let padded = input[axis] + conv.pads[axis] + conv.pads[axis + 2];
        (padded - conv.size[axis]) / conv.stride + 1
    })
}

fn places(size: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..size[0]).flat_map(move |line| (0..size[1]).map(move |column| (line, column)))
}

/// The products of a filter `[channels of the group][lines][columns]` with what lies under it.
fn sum(x: &Codes, conv: Conv, output: usize, weights: &[i8], [line, column]: [usize; 2]) -> i32 {
    let of_group = x.channels / conv.groups;
    let first = output * conv.groups / conv.outputs * of_group;
    let product = |(i, &weight): (usize, &i8)| {
        let taps = conv.size[0] * conv.size[1];
        let (channel, tap) = (first + i / taps, i % taps);
        let y = (line * conv.stride + tap / conv.size[1]).checked_sub(conv.pads[0])?;
        let x_at = (column * conv.stride + tap % conv.size[1]).checked_sub(conv.pads[1])?;
        let is_inside = y < x.size[0] && x_at < x.size[1];
        is_inside.then(|| x.step(channel, y, x_at) * i32::from(weight))
    };
    weights.iter().enumerate().filter_map(product).sum()
}

/// A model and its input.
pub struct Case {
    pub model: Model,
    pub inputs: Vec<ArrayD<f32>>,
}

impl Case {
    pub fn prepare(&self, engine: &Engine) -> Graph {
        self.prepare_in(Arithmetic::Int8, engine)
    }

    pub fn prepare_in(&self, arithmetic: Arithmetic, engine: &Engine) -> Graph {
        let names = |infos: &[ValueInfoProto]| infos.iter().map(|i| i.name.clone()).collect();
        let inputs: Vec<String> = names(&self.model.graph().input);
        let outputs: Vec<String> = names(&self.model.graph().output);
        let onnx = Onnx::new("test.onnx", self.model.clone());
        Graph::prepare(onnx, &Weights::new(), &inputs, &outputs, arithmetic, engine).unwrap()
    }

    /// The outputs as `engine` computes them.
    pub fn run(&self, engine: &Engine) -> Vec<Vec<f32>> {
        self.run_in(Arithmetic::Int8, engine)
    }

    pub fn run_in(&self, arithmetic: Arithmetic, engine: &Engine) -> Vec<Vec<f32>> {
        let inputs = self.inputs.iter().cloned().map(Input::F32).collect();
        let outputs = self.prepare_in(arithmetic, engine).run(inputs).unwrap();
        outputs.into_iter().map(|output| output.into_iter().collect()).collect()
    }

    /// Its execution with rules.
    pub fn execution(&self) -> Execution {
        self.prepare(&engine(Rules::On)).execution()
    }
}

/// An engine of one thread.
pub fn engine(rules: Rules) -> Engine {
    Engine::builder().threads(1).rules(rules).build().unwrap()
}

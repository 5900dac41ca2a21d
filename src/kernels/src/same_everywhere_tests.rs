//! The same bits on x86-64 and on Arm: checksums of outputs, which every machine must find.
//!
//! The other tests hold instruction sets to the scalar code of one machine; these hold machines to each other.

use super::*;

/// Elements in -2..2 with twelve bits behind the point, from a congruential generator.
struct MadeUp(u32);

impl MadeUp {
    fn integer(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 12) % below
    }

    fn elements(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.integer(1 << 14) as f32 - 8192.0) / 4096.0).collect()
    }

    fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.integer(255) as i32 - 127) as i8).collect()
    }
}

/// FNV-1a over the bits of every number.
fn checksum(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const ROWS: usize = 19;
const INPUTS: usize = 83;
const OUTPUTS: usize = 45;

/// A layer with its norm in front and bias, activation and residual behind.
fn layer(cpu: Cpu, int8: bool, activation: Activation) -> Vec<f32> {
    let mut made_up = MadeUp(7);
    let norm = LayerNorm {
        weight: made_up.elements(INPUTS),
        bias: made_up.elements(INPUTS),
        epsilon: 1e-5,
    };
    let input = made_up.elements(ROWS * INPUTS);
    let bias = made_up.elements(OUTPUTS);
    let residual = made_up.elements(ROWS * OUTPUTS);
    let epilogue = Epilogue { bias: Some(&bias), activation, residual: Some(&residual) };
    let mut output = vec![0.0; ROWS * OUTPUTS];
    if int8 {
        let scales: Vec<f32> = (0..OUTPUTS).map(|i| 0.002 + i as f32 * 1e-4).collect();
        let matrix = made_up.weights(INPUTS * OUTPUTS);
        let matrix = Matrix::OutputsFirst(&matrix[..]);
        let weights = Weights::Int8(
            Int8Weights::pack(&WeightMemory::new(), cpu, matrix, INPUTS, &scales).unwrap(),
        );
        let rows = QuantizedRows::new(cpu, &input, INPUTS, Some(&norm), None).unwrap();
        let rows = LinearInput::Int8(&rows);
        Linear::new(cpu, rows, &weights, epilogue, &mut output, 1).unwrap().work();
    } else {
        let matrix = made_up.elements(INPUTS * OUTPUTS);
        let matrix = Matrix::OutputsFirst(&matrix[..]);
        let weights =
            Weights::F32(F32Weights::pack(&WeightMemory::new(), matrix, INPUTS, OUTPUTS).unwrap());
        let mut rows = vec![0.0; input.len()];
        norm.apply(cpu, &input, &mut rows);
        let rows = LinearInput::F32(&rows);
        Linear::new(cpu, rows, &weights, epilogue, &mut output, 1).unwrap().work();
    }
    output
}

fn attention(cpu: Cpu, queries: usize) -> Vec<f32> {
    let shape = AttentionShape { batch: 2, heads: 3, head_width: 20, queries, keys: 21 };
    let width = shape.heads * shape.head_width;
    let mut made_up = MadeUp(11);
    let mut tensor = |rows: usize| made_up.elements(shape.batch * rows * width);
    let tensors = [tensor(queries), tensor(shape.keys), tensor(shape.keys)];
    let rows = |i: usize, count: usize| HeadRows {
        values: &tensors[i],
        offset: 0,
        row_stride: width,
        batch_stride: count * width,
    };
    let input = AttentionInput {
        shape,
        scale: 0.25,
        queries: rows(0, queries),
        key_values: KeyValues::Rows { keys: rows(1, shape.keys), values: rows(2, shape.keys) },
        mask: None,
    };
    let mut output = vec![0.0; shape.batch * queries * width];
    Attention::new(cpu, input, &mut output).unwrap().work();
    output
}

fn every_cpu_finds(expected: u64, run: impl Fn(Cpu) -> Vec<f32>) {
    for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
        let found = checksum(&run(cpu));
        assert_eq!(found, expected, "{cpu:?} found {found:#018x}, not {expected:#018x}");
    }
}

#[test]
fn an_int8_layer_with_gelu_is_the_same_everywhere() {
    every_cpu_finds(0x1735_e8e9_f922_47ce, |cpu| layer(cpu, true, Activation::Gelu));
}

#[test]
fn an_int8_layer_with_quick_gelu_is_the_same_everywhere() {
    every_cpu_finds(0xea1d_a805_44f2_b4d5, |cpu| layer(cpu, true, Activation::QuickGelu));
}

#[test]
fn an_f32_layer_with_gelu_is_the_same_everywhere() {
    every_cpu_finds(0xd853_e5e1_67b3_97c1, |cpu| layer(cpu, false, Activation::Gelu));
}

#[test]
fn attention_of_many_queries_is_the_same_everywhere() {
    every_cpu_finds(0x6813_2845_5f0c_0755, |cpu| attention(cpu, 13));
}

#[test]
fn attention_of_one_query_is_the_same_everywhere() {
    every_cpu_finds(0x39fc_1e4d_43d4_4bd5, |cpu| attention(cpu, 1));
}

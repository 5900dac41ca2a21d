//! Runs layers and attentions on every instruction set of this CPU, and holds them to the scalar code bit for bit.
//!
//! Prints the instruction set that the kernels choose, and a checksum that is the same on every machine.

use std::process::ExitCode;

use kernels_on_board::kernels::{
    Activation, Attention, AttentionInput, AttentionShape, Cpu, Epilogue, F32Weights, HeadRows,
    InstructionSet, Int8Weights, LayerNorm, Linear, LinearInput, Matrix, Memory, QuantizedRows,
    Weights,
};

/// Numbers from -1 to 1 that are the same everywhere.
struct MadeUp(u32);

impl MadeUp {
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }
}

fn layers(cpu: Cpu, made_up: &mut MadeUp) -> Vec<f32> {
    let mut all = Vec::new();
    for (rows, inputs, outputs) in
        [(1, 64, 40), (5, 100, 33), (13, 257, 70), (7, 16, 16), (50, 96, 48)]
    {
        let x = made_up.numbers(rows * inputs);
        let weights = made_up.numbers(inputs * outputs);
        let int8: Vec<i8> = weights.iter().map(|w| (w * 127.0) as i8).collect();
        let scales: Vec<f32> =
            made_up.numbers(outputs).iter().map(|s| s.abs() * 0.01 + 0.001).collect();
        let (bias, residual) = (made_up.numbers(outputs), made_up.numbers(rows * outputs));
        let norm = LayerNorm {
            weight: made_up.numbers(inputs),
            bias: made_up.numbers(inputs),
            epsilon: 1e-5,
        };
        let int8 = Weights::Int8(
            Int8Weights::pack(cpu, Matrix::InputsFirst(&int8), inputs, &scales).unwrap(),
        );
        let weights =
            Weights::F32(F32Weights::pack(Matrix::InputsFirst(&weights), inputs, outputs).unwrap());
        let quantized = QuantizedRows::new(cpu, &x, inputs, Some(&norm), None);
        for activation in [Activation::Gelu, Activation::QuickGelu] {
            let epilogue = Epilogue { bias: Some(&bias), activation, residual: Some(&residual) };
            let mut output = vec![0.0; rows * outputs];
            let mut run = |input, weights: &Weights| {
                Linear::new(cpu, input, weights, epilogue, &mut output, 1).unwrap().work();
                all.extend_from_slice(&output);
            };
            run(LinearInput::Int8(&quantized), &int8);
            run(LinearInput::F32(&x), &weights);
        }
    }
    all
}

fn attentions(cpu: Cpu, made_up: &mut MadeUp) -> Vec<f32> {
    let mut all = Vec::new();
    for (queries, keys, head_width) in [(1, 30, 64), (20, 33, 40)] {
        let shape = AttentionShape { batch: 2, heads: 3, head_width, queries, keys };
        let width = shape.heads * head_width;
        let [q, k, v] = [queries, keys, keys].map(|rows| made_up.numbers(2 * rows * width));
        let rows = |values, count| HeadRows {
            values,
            offset: 0,
            row_stride: width,
            batch_stride: count * width,
        };
        let input = AttentionInput {
            shape,
            scale: 0.2,
            queries: rows(&q, queries),
            memory: Memory::Rows { keys: rows(&k, keys), values: rows(&v, keys) },
            mask: None,
        };
        let mut output = vec![0.0; 2 * queries * width];
        Attention::new(cpu, input, &mut output).unwrap().work();
        all.extend(output);
    }
    all
}

fn bits(cpu: Cpu) -> Vec<u32> {
    let mut made_up = MadeUp(7);
    let (layers, attentions) = (layers(cpu, &mut made_up), attentions(cpu, &mut made_up));
    layers.iter().chain(&attentions).map(|number| number.to_bits()).collect()
}

fn main() -> ExitCode {
    let scalar = bits(Cpu::with(InstructionSet::Scalar).unwrap());
    let fnv = |hash: u64, &number: &u32| (hash ^ u64::from(number)).wrapping_mul(0x100_0000_01b3);
    let checksum = scalar.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    println!("{} {checksum:016x}", Cpu::best().instruction_set().name());
    let mut equal = true;
    for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
        let found = bits(cpu);
        let others = found.iter().zip(&scalar).filter(|(a, b)| a != b).count();
        println!("  {}: {others} of {} numbers differ", cpu.instruction_set().name(), found.len());
        equal &= others == 0;
    }
    if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

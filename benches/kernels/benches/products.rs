//! Linear layers of coca_ViT-B-32 on one thread: ours on every instruction set against rten-gemm's int8 and f32.
//!
//! `cargo bench -p kernel-benches --bench products`. Ours is the whole layer: rows quantised, product, scale, bias. rten-gemm
//! gets int8 rows for nothing and gives bare sums, which is less work.

use coca_kernels::{
    Activation, Cpu, Epilogue, F32Weights, Int8Weights, Linear, LinearInput, Matrix, QuantizedRows,
    WeightMemory, Weights,
};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use kernel_benches::{cpus, elements, weights};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::{Matrix as Borrowed, NdTensorView};

/// Rows, inputs, outputs: the encoder's feed-forward layers on a picture, a decoder's on one and on six beams, its head.
const LAYERS: [[usize; 3]; 5] =
    [[50, 768, 3072], [50, 3072, 768], [1, 512, 2048], [6, 512, 2048], [6, 512, 49408]];

/// `output = input × weights + bias`, from f32 rows to f32 rows.
fn layer(cpu: Cpu, rows: &[f32], weights: &Weights, bias: &[f32], output: &mut [f32]) {
    let epilogue = Epilogue { bias: Some(bias), activation: Activation::Identity, residual: None };
    let quantized;
    let input = match weights {
        Weights::Int8(_) => {
            quantized = QuantizedRows::new(cpu, rows, weights.inputs(), None, None)
                .expect("sizes that fit");
            LinearInput::Int8(&quantized)
        }
        Weights::F32(_) => LinearInput::F32(rows),
    };
    Linear::new(cpu, input, weights, epilogue, output, 1).expect("sizes that fit").work();
}

fn products(criterion: &mut Criterion) {
    for [rows, inputs, outputs] in LAYERS {
        let mut group = criterion.benchmark_group(format!("{rows}×{inputs}×{outputs}"));
        group.throughput(Throughput::Elements((rows * inputs * outputs) as u64));
        let shape = [rows, inputs, outputs];
        ours(&mut group, shape);
        rten_int8(&mut group, shape);
        rten_f32(&mut group, shape);
        group.finish();
    }
}

fn ours(group: &mut BenchmarkGroup<WallTime>, [rows, inputs, outputs]: [usize; 3]) {
    let (input, bias) = (elements(rows * inputs), elements(outputs));
    let (int8, f32) = (weights(inputs * outputs), elements(inputs * outputs));
    let mut output = vec![0.0; rows * outputs];
    for cpu in cpus() {
        let name = cpu.instruction_set().name();
        let matrix = Matrix::OutputsFirst(&int8);
        let packed =
            Int8Weights::pack(&WeightMemory::new(), cpu, matrix, inputs, &vec![0.01; outputs]);
        let packed = Weights::Int8(packed.expect("sizes that fit"));
        group.bench_function(format!("ours, int8, {name}"), |bencher| {
            bencher.iter(|| layer(cpu, &input, &packed, &bias, &mut output));
        });
        let packed =
            F32Weights::pack(&WeightMemory::new(), Matrix::OutputsFirst(&f32), inputs, outputs);
        let packed = Weights::F32(packed.expect("sizes that fit"));
        group.bench_function(format!("ours, f32, {name}"), |bencher| {
            bencher.iter(|| layer(cpu, &input, &packed, &bias, &mut output));
        });
    }
}

fn rten_int8(group: &mut BenchmarkGroup<WallTime>, [rows, inputs, outputs]: [usize; 3]) {
    let executor = GemmExecutor::<u8, i8, i32>::new();
    // Without VNNI its sums saturate unless one side keeps to 7 bits, which costs no time either way.
    let left: Vec<u8> = weights(rows * inputs).iter().map(|&x| (x / 2).unsigned_abs()).collect();
    let right = weights(inputs * outputs);
    let left: Borrowed<u8> = NdTensorView::from_data([rows, inputs], left.as_slice());
    let right: Borrowed<i8> = NdTensorView::from_data([inputs, outputs], right.as_slice());
    let packed = executor.prepack_b(right);
    let mut output = vec![0; rows * outputs];
    group.bench_function(format!("rten-gemm, int8, {}", executor.kernel_name()), |bencher| {
        bencher.iter(|| {
            let (left, right) = (GemmInputA::Unpacked(left), GemmInputB::Packed(&packed));
            executor.gemm(&mut output, left, right, GemmOptions::default()).expect("fits");
        });
    });
}

fn rten_f32(group: &mut BenchmarkGroup<WallTime>, [rows, inputs, outputs]: [usize; 3]) {
    let executor = GemmExecutor::<f32, f32, f32>::new();
    let (left, right) = (elements(rows * inputs), elements(inputs * outputs));
    let left: Borrowed<f32> = NdTensorView::from_data([rows, inputs], left.as_slice());
    let packed = executor.prepack_b(NdTensorView::from_data([inputs, outputs], right.as_slice()));
    let mut output = vec![0.0; rows * outputs];
    group.bench_function(format!("rten-gemm, f32, {}", executor.kernel_name()), |bencher| {
        bencher.iter(|| {
            let (left, right) = (GemmInputA::Unpacked(left), GemmInputB::Packed(&packed));
            executor.gemm(&mut output, left, right, GemmOptions::default()).expect("fits");
        });
    });
}

criterion_group!(benches, products);
criterion_main!(benches);

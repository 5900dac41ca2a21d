//! What stands between the products, on one thread and every instruction set of this machine: rows quantised behind a
//! normalisation, attention, a depthwise convolution.
//!
//! `cargo bench -p kernel-benches --bench neighbours`

use coca_kernels::{
    Activation, Attention, AttentionInput, AttentionShape, Conv2d, Depthwise, DepthwiseFilters,
    HeadRows, KeyValues, LayerNorm, PackedKeys, QuantizedRows, WeightMemory, pack_keys,
    pack_values,
};
use criterion::{Criterion, criterion_group, criterion_main};
use kernel_benches::{cpus, elements};

/// A picture's rows in coca_ViT-B-32's encoder.
fn quantised_rows(criterion: &mut Criterion) {
    let (rows, width) = (50, 768);
    let values = elements(rows * width);
    let norm = LayerNorm { weight: elements(width), bias: elements(width), epsilon: 1e-5 };
    let mut group = criterion.benchmark_group(format!("normalised and quantised, {rows}×{width}"));
    for cpu in cpus() {
        group.bench_function(cpu.instruction_set().name(), |bencher| {
            bencher.iter(|| {
                QuantizedRows::new(cpu, &values, width, Some(&norm), None).expect("whole rows")
            });
        });
    }
    group.finish();
}

fn rows(values: &[f32], row_stride: usize, batch_stride: usize) -> HeadRows<'_> {
    HeadRows { values, offset: 0, row_stride, batch_stride }
}

/// Twelve heads of coca_ViT-B-32's encoder, fifty rows.
fn self_attention(criterion: &mut Criterion) {
    let shape = AttentionShape { batch: 1, heads: 12, head_width: 64, queries: 50, keys: 50 };
    let width = shape.heads * shape.head_width;
    let [q, k, v] = [0, 1, 2].map(|_| elements(shape.keys * width));
    let key_values = KeyValues::Rows { keys: rows(&k, width, 0), values: rows(&v, width, 0) };
    attention(criterion, "attention of 12 heads, 50 rows", shape, &q, key_values);
}

/// Six beams of coca_ViT-B-32's decoder on one picture's 256 tokens, packed once for all of them.
fn cross_attention(criterion: &mut Criterion) {
    let shape = AttentionShape { batch: 6, heads: 8, head_width: 64, queries: 1, keys: 256 };
    let width = shape.heads * shape.head_width;
    let q = elements(shape.batch * width);
    let picture = elements(shape.keys * width);
    let keys = pack_keys(&picture, shape.heads, shape.head_width).expect("whole rows");
    let values = pack_values(&picture, shape.heads, shape.head_width).expect("whole rows");
    let packed = PackedKeys { keys: &keys, values: &values };
    attention(
        criterion,
        "cross-attention of 6 beams, 256 tokens",
        shape,
        &q,
        KeyValues::Packed(packed),
    );
}

fn attention(
    criterion: &mut Criterion,
    name: &str,
    shape: AttentionShape,
    queries: &[f32],
    key_values: KeyValues,
) {
    let width = shape.heads * shape.head_width;
    let input = AttentionInput {
        shape,
        scale: 0.125,
        queries: rows(queries, width, shape.queries * width),
        key_values,
        mask: None,
    };
    let mut output = vec![0.0; queries.len()];
    let mut group = criterion.benchmark_group(name);
    for cpu in cpus() {
        group.bench_function(cpu.instruction_set().name(), |bencher| {
            bencher.iter(|| Attention::new(cpu, input, &mut output).expect("fits").work());
        });
    }
    group.finish();
}

/// One of EfficientNet-Lite0's: 5×5, 480 channels, 14 by 14.
fn depthwise(criterion: &mut Criterion) {
    let (channels, size) = (480, [14, 14]);
    let geometry = Conv2d { size: [5, 5], strides: [1, 1], pads_begin: [2, 2], pads_end: [2, 2] };
    let filters = DepthwiseFilters::pack(
        &WeightMemory::new(),
        &elements(channels * 25),
        None,
        channels,
        geometry,
    );
    let filters = filters.expect("fits");
    let input = elements(channels * size[0] * size[1]);
    let mut output = vec![0.0; input.len()];
    let relu6 = Activation::Clamp { low: 0.0, high: 6.0 };
    let mut group = criterion.benchmark_group("depthwise 5×5, 480 channels, 14×14");
    for cpu in cpus() {
        group.bench_function(cpu.instruction_set().name(), |bencher| {
            bencher.iter(|| {
                Depthwise::new(cpu, &input, size, &filters, relu6, &mut output)
                    .expect("fits")
                    .work();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, quantised_rows, self_attention, cross_attention, depthwise);
criterion_main!(benches);

//! Every instruction set that this CPU has, held to the scalar code bit for bit.

use proptest::{collection::vec, prelude::*};

use super::*;

/// All proofs that this CPU can give, the scalar one left out.
fn others() -> impl Iterator<Item = Cpu> {
    InstructionSet::ALL.into_iter().skip(1).filter_map(Cpu::with)
}

fn scalar() -> Cpu {
    Cpu::with(InstructionSet::Scalar).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// As many cases as `PROPTEST_CASES` says, for emulated CPUs, which take their time; or 96, or 3 in an interpreter.
pub(crate) fn cases() -> ProptestConfig {
    if cfg!(miri) {
        return ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() };
    }
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(96),
    }
}

/// A bound of made-up sizes: an interpreter takes a thousand times as long, and gets shapes of a quarter a side.
pub(crate) const fn below(bound: usize) -> usize {
    if cfg!(miri) { bound / 4 + 1 } else { bound }
}

/// Elements of all sizes, zeros and equal ones more often than chance would have it.
fn element() -> impl Strategy<Value = f32> {
    prop_oneof![6 => -4.0_f32..4.0, 1 => Just(0.0), 1 => Just(1.0), 1 => -1e4_f32..1e4, 1 => -1e-4_f32..1e-4]
}

fn weight() -> impl Strategy<Value = i8> {
    prop_oneof![4 => any::<i8>(), 1 => Just(127), 1 => Just(-127), 1 => Just(-128), 1 => Just(0)]
}

/// A linear layer with its input; the slices are deliberately off any alignment.
#[derive(Debug, Clone)]
struct Layer {
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: Vec<f32>,
    int8: Vec<i8>,
    f32: Vec<f32>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    activation: Activation,
    with_norm: bool,
}

fn layer() -> impl Strategy<Value = Layer> {
    let activation = prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Gelu),
        Just(Activation::QuickGelu),
        Just(Activation::Clamp { low: 0.0, high: 6.0 }),
    ];
    let flags = (any::<bool>(), any::<bool>());
    (1..below(32), 1..below(80), 1..below(80), activation, flags).prop_flat_map(
        |(rows, inputs, outputs, activation, (with_norm, without_negatives))| {
            let sign = move |element: f32| if without_negatives { element.abs() } else { element };
            let parts = (
                vec(element().prop_map(sign), rows * inputs + 1),
                vec(weight(), inputs * outputs),
                vec(element(), inputs * outputs),
                vec(0.001_f32..0.1, outputs),
                vec(element(), outputs + 1),
                vec(element(), rows * outputs + 1),
            );
            parts.prop_map(move |(input, int8, f32, scales, bias, residual)| Layer {
                rows,
                inputs,
                outputs,
                input,
                int8,
                f32,
                scales,
                bias,
                residual,
                activation,
                with_norm,
            })
        },
    )
}

impl Layer {
    fn input(&self) -> &[f32] {
        &self.input[1..]
    }

    fn norm(&self) -> Option<LayerNorm> {
        let weight = (0..self.inputs).map(|i| 1.0 + i as f32 * 0.01).collect();
        let bias = (0..self.inputs).map(|i| i as f32 * -0.02).collect();
        self.with_norm.then_some(LayerNorm { weight, bias, epsilon: 1e-5 })
    }

    fn run(&self, cpu: Cpu, input: LinearInput<'_>, weights: &Weights) -> Vec<f32> {
        let mut output = std::vec![0.0; self.rows * self.outputs];
        let epilogue = Epilogue {
            bias: Some(&self.bias[1..]),
            activation: self.activation,
            residual: Some(&self.residual[1..]),
        };
        Linear::new(cpu, input, weights, epilogue, &mut output, 1).unwrap().work();
        output
    }

    fn run_int8(&self, cpu: Cpu) -> Vec<f32> {
        let rows =
            QuantizedRows::new(cpu, self.input(), self.inputs, self.norm().as_ref(), None).unwrap();
        let matrix = Matrix::InputsFirst(&self.int8[..]);
        let weights =
            Int8Weights::pack(&WeightMemory::new(), cpu, matrix, self.inputs, &self.scales)
                .unwrap();
        self.run(cpu, LinearInput::Int8(&rows), &Weights::Int8(weights))
    }

    fn run_f32(&self, cpu: Cpu) -> Vec<f32> {
        let matrix = Matrix::InputsFirst(&self.f32[..]);
        let weights =
            F32Weights::pack(&WeightMemory::new(), matrix, self.inputs, self.outputs).unwrap();
        self.run(cpu, LinearInput::F32(self.input()), &Weights::F32(weights))
    }
}

fn transposed<T: Copy>(matrix: &[T], columns: usize) -> Vec<T> {
    (0..columns).flat_map(|c| matrix.iter().skip(c).step_by(columns).copied()).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_int8_layer_gives_the_scalar_bits_everywhere(layer in layer()) {
        let expected = bits(&layer.run_int8(scalar()));
        for cpu in others() {
            prop_assert_eq!(&bits(&layer.run_int8(cpu)), &expected, "{:?}", cpu);
        }
    }

    #[test]
    fn an_f32_layer_gives_the_scalar_bits_everywhere(layer in layer()) {
        let expected = bits(&layer.run_f32(scalar()));
        for cpu in others() {
            prop_assert_eq!(&bits(&layer.run_f32(cpu)), &expected, "{:?}", cpu);
        }
    }

    #[test]
    fn a_layer_norm_gives_the_scalar_bits_everywhere(layer in layer()) {
        let norm = Layer { with_norm: true, ..layer.clone() }.norm().unwrap();
        let run = |cpu| {
            let mut normalized = std::vec![0.0; layer.input().len()];
            norm.apply(cpu, layer.input(), &mut normalized);
            bits(&normalized)
        };
        for cpu in others() {
            prop_assert_eq!(run(cpu), run(scalar()), "{:?}", cpu);
        }
    }

    #[test]
    fn a_scalar_int8_layer_is_its_f32_layer_within_the_rounding(layer in layer()) {
        let layer = Layer { activation: Activation::Identity, with_norm: false, ..layer };
        let dequantized: Vec<f32> = layer.int8.chunks_exact(layer.outputs)
            .flat_map(|row| row.iter().zip(&layer.scales).map(|(&w, s)| f32::from(w) * s))
            .collect();
        let exact = Layer { f32: dequantized.clone(), ..layer.clone() }.run_f32(scalar());
        for ((i, int8), exact) in layer.run_int8(scalar()).into_iter().enumerate().zip(exact) {
            let (row, column) = (i / layer.outputs, i % layer.outputs);
            let inputs = &layer.input()[row * layer.inputs..][..layer.inputs];
            let steps = if inputs.iter().all(|&element| element >= 0.0) { 254.0 } else { 127.0 };
            let step = inputs.iter().fold(0.0_f32, |a, b| a.max(b.abs())) / steps;
            let weights = dequantized.iter().skip(column).step_by(layer.outputs);
            let bound = weights.map(|w| w.abs() * step * 0.5).sum::<f32>() * 1.001 + exact.abs() * 1e-4 + 1e-3;
            prop_assert!((int8 - exact).abs() <= bound, "{int8} for {exact}, ±{bound}");
        }
    }

    #[test]
    fn both_orders_of_a_matrix_pack_alike(layer in layer()) {
        let turned = transposed(&layer.int8, layer.outputs);
        for cpu in others().chain([scalar()]) {
            let rows = QuantizedRows::new(cpu, layer.input(), layer.inputs, None, None).unwrap();
            let matrix = Matrix::OutputsFirst(&turned[..]);
            let weights = Int8Weights::pack(&WeightMemory::new(), cpu, matrix, layer.inputs, &layer.scales).unwrap();
            let layer = Layer { with_norm: false, ..layer.clone() };
            let output = layer.run(cpu, LinearInput::Int8(&rows), &Weights::Int8(weights));
            prop_assert_eq!(bits(&output), bits(&layer.run_int8(cpu)));
        }
    }

    #[test]
    fn a_row_that_is_not_finite_says_so(
        value in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
        width in 1_usize..70,
        at in any::<prop::sample::Index>(),
        others_are_zero in any::<bool>(),
        with_norm in any::<bool>(),
    ) {
        let mut rows = std::vec![if others_are_zero { 0.0 } else { 0.5 }; 2 * width];
        let norm = LayerNorm { weight: std::vec![1.0; width], bias: std::vec![0.5; width], epsilon: 1e-5 };
        let norm = with_norm.then_some(&norm);
        for cpu in others().chain([scalar()]) {
            prop_assert!(QuantizedRows::new(cpu, &rows, width, norm, None).unwrap().is_finite());
        }
        rows[width + at.index(width)] = value;
        for cpu in others().chain([scalar()]) {
            prop_assert!(!QuantizedRows::new(cpu, &rows, width, norm, None).unwrap().is_finite(), "{:?}", cpu);
        }
    }

    #[test]
    fn extreme_rows_stay_finite(value in prop_oneof![Just(f32::MAX), Just(1e-40_f32), Just(0.0)], width in 1_usize..40) {
        let row = std::vec![value; width];
        for cpu in others().chain([scalar()]) {
            let rows = QuantizedRows::new(cpu, &row, width, None, None).unwrap();
            let weights = Int8Weights::pack(&WeightMemory::new(), cpu, Matrix::InputsFirst(&std::vec![1; width]), width, &[1e-3]).unwrap();
            let mut output = [0.0];
            let epilogue = Epilogue { bias: None, activation: Activation::Identity, residual: None };
            let weights = Weights::Int8(weights);
            Linear::new(cpu, LinearInput::Int8(&rows), &weights, epilogue, &mut output, 1).unwrap().work();
            prop_assert!(output[0].is_finite());
        }
    }
}

/// An attention's shape and elements.
#[derive(Debug, Clone)]
struct Heads {
    shape: AttentionShape,
    elements: Vec<f32>,
    masked: bool,
    past: usize,
}

fn heads() -> impl Strategy<Value = Heads> {
    let sizes = (1_usize..3, 1_usize..3, 1..below(40), 1..below(12), 1..below(40), any::<bool>());
    sizes.prop_flat_map(|(batch, heads, head_width, queries, keys, masked)| {
        let shape = AttentionShape { batch, heads, head_width, queries, keys };
        let width = heads * head_width;
        let count = batch * (queries + 2 * keys) * width;
        (vec(element(), count), 0..keys).prop_map(move |(elements, past)| Heads {
            shape,
            elements,
            masked,
            past,
        })
    })
}

impl Heads {
    fn width(&self) -> usize {
        self.shape.heads * self.shape.head_width
    }

    fn rows(&self, offset: usize, rows: usize) -> HeadRows<'_> {
        let width = self.width();
        HeadRows { values: &self.elements, offset, row_stride: width, batch_stride: rows * width }
    }

    fn mask(&self) -> Vec<f32> {
        let AttentionShape { heads, queries, keys, .. } = self.shape;
        (0..heads * queries * keys).map(|i| if i % 3 == 1 { -1e9 } else { 0.0 }).collect()
    }

    /// The keys and the values.
    fn key_values(&self) -> [HeadRows<'_>; 2] {
        let AttentionShape { batch, queries, keys, .. } = self.shape;
        let (first, second) = (batch * queries * self.width(), batch * keys * self.width());
        [self.rows(first, keys), self.rows(first + second, keys)]
    }

    fn input<'a>(&'a self, mask: &'a [f32]) -> AttentionInput<'a> {
        let AttentionShape { queries, keys, .. } = self.shape;
        let [asked, values] = self.key_values();
        AttentionInput {
            shape: self.shape,
            scale: 0.3,
            queries: self.rows(0, queries),
            key_values: KeyValues::Rows { keys: asked, values },
            mask: self.masked.then_some(Mask {
                values: mask,
                row_stride: keys,
                head_stride: queries * keys,
                batch_stride: 0,
            }),
        }
    }

    fn run(&self, cpu: Cpu, input: AttentionInput<'_>) -> Vec<f32> {
        let mut output = std::vec![0.0; self.shape.batch * self.shape.queries * self.width()];
        Attention::new(cpu, input, &mut output).unwrap().work();
        output
    }

    /// Attention as the paper writes it, in double precision.
    fn exact(&self, input: &AttentionInput<'_>) -> Vec<f64> {
        let AttentionShape { batch, heads, head_width, queries, keys } = self.shape;
        let [asked, values] = self.key_values();
        let at = |rows: &HeadRows<'_>, b, r, h, i| {
            f64::from(
                rows.values[rows.offset
                    + b * rows.batch_stride
                    + r * rows.row_stride
                    + h * head_width
                    + i],
            )
        };
        let mut output = Vec::new();
        for (b, q) in (0..batch).flat_map(|b| (0..queries).map(move |q| (b, q))) {
            for h in 0..heads {
                let score = |k| {
                    let dot: f64 = (0..head_width)
                        .map(|i| at(&input.queries, b, q, h, i) * at(&asked, b, k, h, i))
                        .sum();
                    dot * f64::from(input.scale)
                        + input
                            .mask
                            .map_or(0.0, |m| f64::from(m.values[(h * queries + q) * keys + k]))
                };
                let scores: Vec<f64> = (0..keys).map(score).collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let shares: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
                let total: f64 = shares.iter().sum();
                output.extend((0..head_width).map(|i| {
                    (0..keys).map(|k| shares[k] * at(&values, b, k, h, i)).sum::<f64>() / total
                }));
            }
        }
        output
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn attention_gives_the_scalar_bits_everywhere(heads in heads()) {
        let mask = heads.mask();
        let expected = bits(&heads.run(scalar(), heads.input(&mask)));
        for cpu in others() {
            prop_assert_eq!(&bits(&heads.run(cpu, heads.input(&mask))), &expected, "{:?}", cpu);
        }
    }

    #[test]
    fn attention_is_that_of_the_paper(mut heads in heads()) {
        // Scores of thousands leave no f32 to compare.
        heads.elements.iter_mut().for_each(|n| *n = n.clamp(-2.0, 2.0));
        let mask = heads.mask();
        let input = heads.input(&mask);
        for (found, exact) in heads.run(Cpu::best(), input).into_iter().zip(heads.exact(&input)) {
            prop_assert!((f64::from(found) - exact).abs() < 1e-4, "{found} for {exact}");
        }
    }

    #[test]
    fn cached_keys_count_like_new_ones(mut heads in heads()) {
        // The two ways add up in different orders, which scores of thousands would magnify.
        heads.elements.iter_mut().for_each(|n| *n = n.clamp(-2.0, 2.0));
        let AttentionShape { batch, keys, .. } = heads.shape;
        let (mask, width, past) = (heads.mask(), heads.width(), heads.past);
        let whole = heads.input(&mask);
        // The store keeps the past rows of all batches in reverse, to show that slots are obeyed.
        let store = |rows: HeadRows<'_>| -> Vec<f32> {
            let row = |slot: usize| {
                let (b, r) = ((batch * past - 1 - slot) / past, (batch * past - 1 - slot) % past);
                let at = rows.offset + b * rows.batch_stride + r * rows.row_stride;
                rows.values[at..at + width].to_vec()
            };
            (0..batch * past).flat_map(row).collect()
        };
        let [key_store, value_store] = heads.key_values().map(store);
        let slots: Vec<i64> = (0..batch * past).rev().map(|slot| slot as i64).collect();
        let past_rows = [&key_store, &value_store].map(|store| CachedRows { store, slots: &slots, past });
        let new = heads.key_values().map(|rows| HeadRows { offset: rows.offset + past * width, ..rows });
        let input = AttentionInput { key_values: KeyValues::Cached { past: past_rows, new }, ..whole };
        prop_assert!(keys > past);
        let (found, expected) = (heads.run(Cpu::best(), input), heads.run(Cpu::best(), whole));
        for (found, expected) in found.into_iter().zip(expected) {
            prop_assert!((found - expected).abs() <= 1e-3 * (1.0 + expected.abs()), "{found} for {expected}");
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn packed_keys_are_asked_by_all_sequences_alike(mut heads in heads()) {
        heads.elements.iter_mut().for_each(|n| *n = n.clamp(-2.0, 2.0));
        let AttentionShape { heads: count, head_width, keys, .. } = heads.shape;
        let mask = heads.mask();
        let whole = heads.input(&mask);
        let shared = heads.key_values().map(|rows| HeadRows { batch_stride: 0, ..rows });
        let [asked, values] = shared.map(|rows| &rows.values[rows.offset..][..keys * heads.width()]);
        let asked = pack_keys(asked, count, head_width).unwrap();
        let values = pack_values(values, count, head_width).unwrap();
        let packed = KeyValues::Packed(PackedKeys { keys: &asked, values: &values });
        let packed = AttentionInput { key_values: packed, ..whole };
        let [keys, values] = shared;
        let rows = AttentionInput { key_values: KeyValues::Rows { keys, values }, ..whole };
        let expected = heads.run(scalar(), packed);
        for (found, expected) in heads.run(Cpu::best(), rows).into_iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{found} for {expected}");
        }
        for cpu in others() {
            prop_assert_eq!(&bits(&heads.run(cpu, packed)), &bits(&expected), "{:?}", cpu);
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let cpu = Cpu::best();
    let memory = WeightMemory::new();
    let packed = Int8Weights::pack(&memory, cpu, Matrix::InputsFirst(&[1, 2, 3]), 2, &[1.0]);
    assert_eq!(packed.err(), Some(PackError::Sizes));
    let packed = F32Weights::pack(&memory, Matrix::InputsFirst(&[1.0, 2.0, 3.0]), 2, 1);
    assert_eq!(packed.err(), Some(PackError::Sizes));
    let weights = Weights::F32(
        F32Weights::pack(&WeightMemory::new(), Matrix::InputsFirst(&[1.0, 2.0]), 2, 1).unwrap(),
    );
    let epilogue = Epilogue { bias: None, activation: Activation::Identity, residual: None };
    let rows = LinearInput::F32(&[1.0, 2.0]);
    assert!(Linear::new(cpu, rows, &weights, epilogue, &mut [0.0; 2], 1).is_none());
}

#[test]
fn sizes_whose_products_wrap_round_are_refused() {
    let (cpu, memory, huge) = (Cpu::best(), WeightMemory::new(), usize::MAX / 2 + 1);
    let sizes = Some(PackError::Sizes);
    let no_weights: Matrix<'_, i8> = Matrix::OutputsFirst(&[]);
    assert_eq!(Int8Weights::pack(&memory, cpu, no_weights, usize::MAX, &[]).err(), sizes);
    assert_eq!(F32Weights::pack(&memory, Matrix::InputsFirst(&[]), usize::MAX, 0).err(), sizes);
    assert_eq!(F32Weights::pack(&memory, Matrix::InputsFirst(&[]), huge, 2).err(), sizes);
    assert!(QuantizedRows::new(cpu, &[], usize::MAX, None, None).is_none());
    assert!(pack_keys(&[], huge, 2).is_none());
    assert!(pack_values(&[], huge, 2).is_none());

    let conv = Conv2d { size: [huge, 2], strides: [1; 2], pads_begin: [0; 2], pads_end: [0; 2] };
    assert_eq!(DepthwiseFilters::pack(&memory, &[], None, 1, conv).err(), sizes);
    let still = Conv2d { size: [1; 2], strides: [0, 1], ..conv };
    assert_eq!(DepthwiseFilters::pack(&memory, &[1.0], None, 1, still).err(), sizes);
    let one = Conv2d { size: [1; 2], ..conv };
    let filters = DepthwiseFilters::pack(&memory, &[1.0], None, 1, one).unwrap();
    let inputs = [huge, 2];
    assert!(
        Depthwise::new(cpu, &[1.0; 2], inputs, &filters, Activation::Identity, &mut []).is_none()
    );
}

#[test]
fn an_attention_whose_positions_wrap_round_is_refused() {
    let (values, huge) = ([1.0_f32; 4], usize::MAX / 2 + 1);
    let rows = HeadRows { values: &values, offset: 0, row_stride: 0, batch_stride: 0 };
    let one = AttentionShape { batch: 1, heads: 1, head_width: 4, queries: 1, keys: 1 };
    let input = AttentionInput {
        shape: one,
        scale: 1.0,
        queries: rows,
        key_values: KeyValues::Rows { keys: rows, values: rows },
        mask: None,
    };
    let fits = |input, output: &mut [f32]| Attention::new(Cpu::best(), input, output).is_some();
    assert!(fits(input, &mut [0.0; 4]));
    for shape in [
        AttentionShape { heads: huge, ..one },
        AttentionShape { heads: huge, head_width: 2, ..one },
        AttentionShape { head_width: 0, ..one },
        AttentionShape { batch: huge, queries: 2, ..one },
        AttentionShape { keys: usize::MAX, ..one },
    ] {
        assert!(!fits(AttentionInput { shape, ..input }, &mut []), "{shape:?}");
    }
    let beyond = HeadRows { offset: usize::MAX, ..rows };
    assert!(!fits(AttentionInput { queries: beyond, ..input }, &mut [0.0; 4]));
    let strides = HeadRows { row_stride: huge, ..rows };
    let shape = AttentionShape { queries: 3, ..one };
    assert!(!fits(AttentionInput { shape, queries: strides, ..input }, &mut [0.0; 12]));
    // A mask for no batch at all.
    let mask = Some(Mask { values: &values, row_stride: 0, head_stride: 0, batch_stride: 0 });
    let none = AttentionShape { batch: 0, ..one };
    assert!(fits(AttentionInput { shape: none, mask, ..input }, &mut []));
}

#[test]
fn rows_and_weights_that_do_not_belong_together_are_refused() {
    let (cpu, memory) = (Cpu::best(), WeightMemory::new());
    let norm = LayerNorm { weight: vec![1.0; 2], bias: vec![0.0; 2], epsilon: 1e-5 };
    assert!(QuantizedRows::new(cpu, &[1.0; 5], 2, None, None).is_none(), "half a row");
    assert!(QuantizedRows::new(cpu, &[1.0; 6], 3, Some(&norm), None).is_none(), "another norm's");
    let epilogue = Epilogue { bias: None, activation: Activation::Identity, residual: None };
    let matrix = Matrix::InputsFirst(&[1; 6][..]);
    for packed_for in others().chain([scalar()]) {
        let weights = Int8Weights::pack(&memory, packed_for, matrix, 2, &[1.0; 3]).unwrap();
        let weights = Weights::Int8(weights);
        let wide = QuantizedRows::new(cpu, &[1.0; 3], 3, None, None).unwrap();
        let rows = QuantizedRows::new(cpu, &[1.0; 2], 2, None, None).unwrap();
        for cpu in others().chain([scalar()]) {
            let mut output = [0.0; 3];
            let mut fits = |rows| {
                let input = LinearInput::Int8(rows);
                Linear::new(cpu, input, &weights, epilogue, &mut output, 1).is_some()
            };
            assert!(!fits(&wide));
            assert_eq!(fits(&rows), cpu.panel_shape() == packed_for.panel_shape(), "{cpu:?}");
        }
    }
    let weights = F32Weights::pack(&memory, Matrix::InputsFirst(&[1.0; 6]), 2, 3).unwrap();
    let (weights, input) = (Weights::F32(weights), LinearInput::F32(&[1.0; 5]));
    assert!(Linear::new(cpu, input, &weights, epilogue, &mut [0.0; 6], 1).is_none());
}

#[test]
fn names_lead_to_instruction_sets_and_back() {
    for set in InstructionSet::ALL {
        assert_eq!(set.name().parse(), Ok(set));
    }
    assert!("sse9".parse::<InstructionSet>().unwrap_err().to_string().contains("avx512-vnni"));
}

//! Every instruction set against the plain reference, code by code.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{
    reference::{self, Parameters},
    *,
};
use crate::{
    conv2d::Conv2d,
    dispatch::{Cpu, InstructionSet},
    pool::Pool,
    tests::below,
    weight_memory::WeightMemory,
};

/// One for all layers: an emulator keeps what each of thousands of its own would reserve.
static MEMORY: WeightMemory = WeightMemory::new();

/// Few where an interpreter runs them, and fewer than elsewhere on Arm, which is emulated.
fn cases() -> ProptestConfig {
    if cfg!(miri) {
        crate::tests::cases()
    } else if cfg!(target_arch = "aarch64") {
        ProptestConfig::with_cases(16)
    } else {
        ProptestConfig::with_cases(64)
    }
}

fn cpus() -> impl Iterator<Item = Cpu> {
    InstructionSet::ALL.into_iter().filter_map(Cpu::with)
}

/// Every instruction set, alone and with other threads.
fn cpus_and_pools() -> impl Iterator<Item = (Cpu, Option<&'static Pool>)> {
    static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::start(3).unwrap());
    cpus().flat_map(|cpu| [(cpu, None), (cpu, Some(&*POOL))])
}

/// Elements that look random and are the same every time.
struct Source(u64);

impl Source {
    fn next(&mut self, below: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % below
    }

    fn parameters(&mut self, outputs: usize, inputs: usize, zero_points: [u8; 2]) -> Parameters {
        let spread = 16.0 / (inputs as f32).sqrt() / 900.0;
        Parameters {
            weights: (0..outputs * inputs).map(|_| (self.next(255) as i32 - 127) as i8).collect(),
            bias: (0..outputs).map(|_| self.next(20_000) as i32 - 6_000).collect(),
            multipliers: (0..outputs)
                .map(|_| spread * (0.5 + self.next(1000) as f32 / 1000.0))
                .collect(),
            input_zero_point: zero_points[0],
            output_zero_point: zero_points[1],
        }
    }

    fn image(&mut self, cpu: Cpu, size: [usize; 2], channels: usize) -> CodeImage {
        let mut image = CodeImage::new(cpu, size, channels);
        for pixel in 0..image.pixels() {
            for channel in 0..channels {
                image.set(pixel, channel, self.next(256) as u8);
            }
        }
        image
    }
}

fn assert_same(found: &CodeImage, expected: &CodeImage, what: &str) {
    assert_eq!((found.size(), found.channels()), (expected.size(), expected.channels()));
    for pixel in 0..found.pixels() {
        for channel in 0..found.channels() {
            let codes = (found.code(pixel, channel), expected.code(pixel, channel));
            assert_eq!(codes.0, codes.1, "{what}: pixel {pixel}, channel {channel}");
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_pointwise_layer_gives_the_codes_of_the_reference(
        seed in any::<u64>(), height in 1..below(9), width in 1..below(20), inputs in 1..below(70), outputs in 1..below(70),
        zero_points in any::<[u8; 2]>(),
    ) {
        for (cpu, pool) in cpus_and_pools() {
            let mut source = Source(seed);
            let parameters = source.parameters(outputs, inputs, zero_points);
            let image = source.image(cpu, [height, width], inputs);
            let layer = PointwiseLayer::pack(&MEMORY, cpu, inputs, &parameters.borrow()).unwrap();
            let mut output = CodeImage::new(cpu, [height, width], outputs);
            Pointwise::new(cpu, &layer, &image, None, &mut output).unwrap().run(pool);
            assert_same(&output, &reference::pointwise(cpu, &parameters, &image), cpu.instruction_set().name());
        }
    }

    #[test]
    fn a_bottleneck_gives_the_codes_of_its_layers_one_after_the_other(
        seed in any::<u64>(),
        (height, width) in prop_oneof![(1..below(30), 1..below(30)), Just((below(7), below(7))), Just((below(14), below(14)))],
        inputs in 1..below(40),
        expanded in 1..below(70),
        outputs in 1..below(40),
        (size, stride) in prop_oneof![Just((3, 1)), Just((5, 1)), Just((3, 2)), Just((5, 2))],
        pads in (0_usize..3, 0_usize..3),
        (expands, adds, middle) in any::<(bool, bool, u8)>(),
    ) {
        let pads = [pads.0, pads.1].map(|pad| pad.min(size / 2));
        let expanded = if expands { expanded } else { inputs };
        let outputs = if adds && stride == 1 { inputs } else { outputs };
        for (cpu, pool) in cpus_and_pools() {
            let mut source = Source(seed);
            let first = source.parameters(expanded, inputs, [121, middle]);
            let filters = source.parameters(expanded, size * size, [middle, 3]);
            let last = source.parameters(outputs, expanded, [3, 127]);
            let image = source.image(cpu, [height, width], inputs);
            let expand = PointwiseLayer::pack(&MEMORY, cpu, inputs, &first.borrow()).unwrap();
            let depthwise = DepthwiseLayer::pack(&MEMORY, cpu, size, stride, pads, &filters.borrow()).unwrap();
            let project = PointwiseLayer::pack(&MEMORY, cpu, expanded, &last.borrow()).unwrap();
            let residual = Residual { own_multiplier: 0.73, other_multiplier: 0.61, other_zero_point: 121, zero_point: 130 };
            let residual = (adds && stride == 1).then_some((&residual, &image));
            let from = if expands { super::Source::Expand(&expand, &image) } else { super::Source::Image(&image) };
            let mut output = CodeImage::new(cpu, [height, width].map(|side| side.div_ceil(stride)), outputs);
            let mut scratch = Scratch::default();
            Bottleneck::new(cpu, from, &depthwise, &project, residual, &mut scratch, &mut output).unwrap().run(pool);

            let made = if expands { reference::pointwise(cpu, &first, &image) } else { image.clone() };
            let convolved = reference::depthwise(cpu, &filters, [size, stride], pads, &made);
            let mut expected = reference::pointwise(cpu, &last, &convolved);
            if let Some((residual, image)) = residual {
                expected = reference::add(cpu, residual, 127, &expected, image);
            }
            assert_same(&output, &expected, cpu.instruction_set().name());
        }
    }

    #[test]
    fn a_stem_gives_the_codes_of_the_reference(
        seed in any::<u64>(), height in 2..below(40), width in 2..below(40), channels in 1..below(40), outputs in 1..below(40),
        (above, before) in (0_usize..2, 0_usize..2),
    ) {
        for (cpu, pool) in cpus_and_pools() {
            let mut source = Source(seed);
            let first = source.parameters(channels, 27, [127, 0]);
            let filters = source.parameters(channels, 9, [0, 0]);
            let last = source.parameters(outputs, channels, [0, 127]);
            let mut lines = PixelLines::new(cpu, [height, width], [above, before], 127);
            let codes: [[u8; 256]; 3] = std::array::from_fn(|c| std::array::from_fn(|byte| (byte as u8).wrapping_mul(3 + 2 * c as u8)));
            for line in 0..height {
                let bytes: Vec<u8> = (0..3 * width).map(|_| source.next(256) as u8).collect();
                lines.write_line(line, &bytes, &codes);
            }
            let stem = StemLayer::pack(&MEMORY, cpu, &first.borrow()).unwrap();
            let depthwise = DepthwiseLayer::pack(&MEMORY, cpu, 3, 1, [1, 1], &filters.borrow()).unwrap();
            let project = PointwiseLayer::pack(&MEMORY, cpu, channels, &last.borrow()).unwrap();
            let size = [height, width].map(|side| side.div_ceil(2));
            let mut output = CodeImage::new(cpu, size, outputs);
            let mut scratch = Scratch::default();
            let from = super::Source::Stem(&stem, &lines);
            Bottleneck::new(cpu, from, &depthwise, &project, None, &mut scratch, &mut output).unwrap().run(pool);
            let made = reference::stem(cpu, &first, &lines);
            let convolved = reference::depthwise(cpu, &filters, [3, 1], [1, 1], &made);
            assert_same(&output, &reference::pointwise(cpu, &last, &convolved), cpu.instruction_set().name());
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_depthwise_layer_alone_gives_the_codes_of_the_reference(
        seed in any::<u64>(), height in 1..below(30), width in 1..below(30), channels in 1..below(70),
        (size, stride) in prop_oneof![Just((3, 1)), Just((5, 2))], zero_points in any::<[u8; 2]>(),
    ) {
        for (cpu, pool) in cpus_and_pools() {
            let mut source = Source(seed);
            let filters = source.parameters(channels, size * size, zero_points);
            let image = source.image(cpu, [height, width], channels);
            let layer = DepthwiseLayer::pack(&MEMORY, cpu, size, stride, [1, 1], &filters.borrow()).unwrap();
            let mut output = CodeImage::new(cpu, [height, width].map(|side| side.div_ceil(stride)), channels);
            let mut scratch = Scratch::default();
            let from = super::Source::Image(&image);
            Bottleneck::without_project(cpu, from, &layer, &mut scratch, &mut output).unwrap().run(pool);
            let expected = reference::depthwise(cpu, &filters, [size, stride], [1, 1], &image);
            assert_same(&output, &expected, cpu.instruction_set().name());
        }
    }

    #[test]
    fn a_pointwise_layer_of_patches_is_a_convolution(
        seed in any::<u64>(), height in 3..below(12), width in 3..below(12), channels in 1..below(20), outputs in 1..below(40),
        stride in 1_usize..3, pads in any::<[bool; 4]>(), zero_points in any::<[u8; 2]>(),
    ) {
        let [above, before, below, behind] = pads.map(usize::from);
        let window = Conv2d { size: [3, 2], strides: [stride; 2], pads_begin: [above, before], pads_end: [below, behind] };
        for cpu in cpus() {
            let mut source = Source(seed);
            let parameters = source.parameters(outputs, 6 * channels, zero_points);
            let image = source.image(cpu, [height, width], channels);
            let layer = PointwiseLayer::pack(&MEMORY, cpu, 6 * channels, &parameters.borrow()).unwrap();
            let size = window.outputs([height, width]);
            let mut patches = CodeImage::new(cpu, size, 6 * channels);
            Patches { window, zero_point: zero_points[0] }.write(&image, &mut patches).unwrap();
            let mut output = CodeImage::new(cpu, size, outputs);
            Pointwise::new(cpu, &layer, &patches, None, &mut output).unwrap().run(None);
            assert_same(&output, &reference::convolution(cpu, &parameters, window, &image), cpu.instruction_set().name());
        }
    }

    #[test]
    fn a_sum_of_images_gives_the_codes_of_the_reference(
        seed in any::<u64>(), height in 1..below(9), width in 1..below(9), channels in 1..below(40), zero_points in any::<[u8; 3]>(),
    ) {
        let [own_zero, other_zero_point, zero_point] = zero_points;
        let residual = Residual { own_multiplier: 0.73, other_multiplier: 0.61, other_zero_point, zero_point };
        for cpu in cpus() {
            let mut source = Source(seed);
            let [own, other] = [(); 2].map(|()| source.image(cpu, [height, width], channels));
            let mut output = CodeImage::new(cpu, [height, width], channels);
            Sum::new(cpu, &residual, (&own, own_zero), &other, &mut output).unwrap().run();
            assert_same(&output, &reference::add(cpu, &residual, own_zero, &own, &other), cpu.instruction_set().name());
        }
    }
}

#[test]
fn refuses_elements_that_do_not_fit_or_can_overflow() {
    let cpu = Cpu::best();
    let weights = [127; 8];
    let parameters = LayerParameters {
        weights: &weights,
        bias: &[0, 0],
        multipliers: &[1.0, 1.0],
        input_zero_point: 0,
        output_zero_point: 0,
    };
    assert!(PointwiseLayer::pack(&MEMORY, cpu, 4, &parameters).is_ok());
    let found = PointwiseLayer::pack(&MEMORY, cpu, 3, &parameters).map(drop);
    assert_eq!(
        found,
        Err(LayerError::Count { what: "weights", elements: 6, outputs: 2, found: 8 })
    );
    for multipliers in [[1.0, 1e5], [1.0, -1.0], [f32::NAN, 1.0]] {
        let parameters = LayerParameters { multipliers: &multipliers, ..parameters };
        assert!(matches!(
            PointwiseLayer::pack(&MEMORY, cpu, 4, &parameters),
            Err(LayerError::Range { .. })
        ));
    }
    assert!(matches!(
        DepthwiseLayer::pack(&MEMORY, cpu, 7, 1, [3, 3], &parameters),
        Err(LayerError::Filter { size: 7, stride: 1 })
    ));
}

//! Depthwise convolutions: held to their definition, and every instruction set to the scalar code.

use proptest::{collection::vec, prelude::*};

use super::{tests::below, *};

#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    inputs: [usize; 2],
    channels: usize,
    convolution: Conv2d,
    images: Vec<f32>,
    filters: Vec<f32>,
    bias: Vec<f32>,
}

/// A filter of one axis and how it moves: size, stride, padding in front and behind.
fn axis() -> impl Strategy<Value = [usize; 4]> {
    (1_usize..6)
        .prop_flat_map(|size| (Just(size), 1_usize..4, 0..size, 0..size))
        .prop_map(|(size, stride, pads_begin, pads_end)| [size, stride, pads_begin, pads_end])
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1_usize..3, 1..below(9), 1..below(12), 1..below(40), axis(), axis());
    sizes.prop_flat_map(|(batch, lines, columns, channels, down, right)| {
        let convolution = Conv2d {
            size: [down[0], right[0]],
            strides: [down[1], right[1]],
            pads_begin: [down[2], right[2]],
            pads_end: [down[3], right[3]],
        };
        let elements = |count| vec(-4.0_f32..4.0, count);
        let parts = (
            elements(batch * lines * columns * channels),
            elements(channels * convolution.size[0] * convolution.size[1]),
            elements(channels),
        );
        parts.prop_map(move |(images, filters, bias)| Case {
            batch,
            inputs: [lines, columns],
            channels,
            convolution,
            images,
            filters,
            bias,
        })
    })
}

impl Case {
    fn run(&self, cpu: Cpu) -> Vec<f32> {
        let filters = DepthwiseFilters::pack(
            &WeightMemory::new(),
            &self.filters,
            Some(&self.bias),
            self.channels,
            self.convolution,
        );
        let [lines, columns] = self.convolution.outputs(self.inputs);
        let mut output = vec![0.0; self.batch * lines * columns * self.channels];
        let activation = Activation::Clamp { low: 0.0, high: 6.0 };
        Depthwise::new(cpu, &self.images, self.inputs, &filters.unwrap(), activation, &mut output)
            .unwrap()
            .work();
        output
    }

    /// The sum over the whole filter, zeros around the image, of one output.
    fn defined(&self, image: usize, at: [usize; 2], channel: usize) -> f32 {
        let Conv2d { size, strides, pads_begin, .. } = self.convolution;
        let [lines, columns] = self.inputs;
        let mut sum = f64::from(self.bias[channel]);
        for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
            let line = (at[0] * strides[0] + y).checked_sub(pads_begin[0]).filter(|&l| l < lines);
            let column =
                (at[1] * strides[1] + x).checked_sub(pads_begin[1]).filter(|&c| c < columns);
            if let (Some(line), Some(column)) = (line, column) {
                let from = ((image * lines + line) * columns + column) * self.channels + channel;
                let weight = self.filters[(channel * size[0] + y) * size[1] + x];
                sum += f64::from(self.images[from]) * f64::from(weight);
            }
        }
        (sum as f32).clamp(0.0, 6.0)
    }
}

proptest! {
    #![proptest_config(tests::cases())]

    #[test]
    fn a_depthwise_convolution_is_the_sum_under_the_filter_and_the_same_everywhere(case in case()) {
        let scalar = case.run(Cpu::with(InstructionSet::Scalar).unwrap());
        let [lines, columns] = case.convolution.outputs(case.inputs);
        for (i, &found) in scalar.iter().enumerate() {
            let (cell, channel) = (i / case.channels, i % case.channels);
            let at = [cell / columns % lines, cell % columns];
            let defined = case.defined(cell / (lines * columns), at, channel);
            prop_assert!((found - defined).abs() < 1e-4, "{found} at {i}, not {defined}");
        }
        for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
            prop_assert_eq!(&case.run(cpu), &scalar, "{:?}", cpu);
        }
    }
}

#[test]
fn a_filter_that_can_lie_beside_the_image_is_refused() {
    let convolution =
        Conv2d { size: [3, 3], strides: [1, 1], pads_begin: [3, 0], pads_end: [0, 0] };
    let filters = DepthwiseFilters::pack(&WeightMemory::new(), &[0.0; 9], None, 1, convolution);
    assert_eq!(filters.err(), Some(PackError::Sizes));
}

//! Quantised networks: which of their layers run in codes, and that every code is the one that ONNX's integer operators give.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod qdq;

use coca_engine::{Arithmetic, Engine, Rules};
use coca_kernels::{Cpu, InstructionSet};
use coca_onnx::{
    attribute,
    builder::Value,
    pb::{tensor_proto::DataType, tensor_shape_proto::dimension::Value as Dimension},
};
use proptest::prelude::*;
use qdq::{Codes, Conv, Net, engine};

/// Holds the outputs to their codes, with every instruction set and with one thread and two.
#[track_caller]
fn check(net: Net, outputs: &[&Codes]) {
    check_regions(net, outputs, 1);
}

/// As [`check`], where other operators lie between so many regions.
#[track_caller]
fn check_regions(net: Net, outputs: &[&Codes], regions: usize) {
    let values: Vec<&Value> = outputs.iter().map(|codes| &codes.value).collect();
    let case = net.finish(&values);
    let expected: Vec<Vec<f32>> = outputs.iter().map(|codes| codes.values()).collect();
    let found = case.execution();
    assert_eq!(found.fused.get("FusedIntegerRegion"), Some(&regions), "{found:?}");
    let between = found.tract.keys().find(|operator| *operator != "Neg");
    assert_eq!(between, None, "on tract: {:?}", found.tract);
    for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
        for threads in [1, 2] {
            let engine = Engine::builder().threads(threads).cpu(cpu).rules(Rules::On).build();
            assert_same(&case.run(&engine.unwrap()), &expected, cpu.instruction_set().name());
        }
    }
}

#[track_caller]
fn assert_same(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    for (output, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}: output {output}");
        let differs = found.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{what}: output {output}");
    }
}

/// Expand, depthwise and project, with a residual if sizes allow.
fn block(
    net: &mut Net,
    x: &Codes,
    expanded: usize,
    outputs: usize,
    size: usize,
    stride: usize,
) -> Codes {
    let hidden = net.conv(x, Conv::expand(expanded));
    let hidden = net.conv(&hidden, Conv::depthwise(expanded, size, stride));
    let project = net.conv(&hidden, Conv::pointwise(outputs));
    match stride == 1 && x.channels == outputs {
        true => net.add(&project, x),
        false => project,
    }
}

/// A small network of the embedded model's kind.
fn trunk(net: &mut Net, size: [usize; 2]) -> Vec<Codes> {
    let image = net.image(3, size);
    let x = net.conv(&image, Conv::stem(20));
    let x = net.conv(&x, Conv::depthwise(20, 3, 1));
    let x = net.conv(&x, Conv::pointwise(16));
    let x = block(net, &x, 40, 24, 3, 2);
    let middle = block(net, &x, 48, 24, 5, 1);
    let x = block(net, &middle, 33, 18, 5, 2);
    let head = net.conv(&x, Conv::expand(50));
    vec![head, middle]
}

#[test]
fn a_pointwise_layer_runs_in_codes() {
    let mut net = Net::new(1);
    let image = net.image(19, [5, 7]);
    let y = net.conv(&image, Conv::pointwise(35));
    check(net, &[&y]);
}

#[test]
fn a_trunk_with_an_output_in_the_middle_is_one_region() {
    let mut net = Net::new(2);
    let outputs = trunk(&mut net, [32, 32]);
    check(net, &outputs.iter().collect::<Vec<_>>());
}

#[test]
fn layers_of_other_kinds_are_part_of_a_region() {
    let mut net = Net::new(3);
    let image = net.image(6, [9, 10]);
    let dense = Conv { size: [3, 2], stride: 2, pads: [1, 0, 0, 1], ..Conv::pointwise(12) };
    let a = net.conv(&image, dense);
    let b =
        net.conv(&image, Conv { size: [3, 2], stride: 2, pads: [1, 0, 0, 1], ..Conv::expand(12) });
    let sum = net.add(&a, &b);
    let alone = net.conv(&sum, Conv::depthwise(12, 3, 1));
    let strided = net.conv(&alone, Conv { stride: 2, ..Conv::pointwise(7) });
    check(net, &[&strided, &alone, &sum]);
}

#[test]
fn weights_may_have_one_scale() {
    let mut net = Net::new(4);
    let image = net.image(8, [6, 6]);
    let y = net.conv(&image, Conv { per_tensor: true, ..Conv::expand(24) });
    let y = net.conv(&y, Conv { per_tensor: true, ..Conv::depthwise(24, 5, 1) });
    check(net, &[&y]);
}

#[test]
fn activations_may_be_signed() {
    let mut net = Net::new(16);
    net.signed = true;
    let outputs = trunk(&mut net, [32, 32]);
    check(net, &outputs.iter().collect::<Vec<_>>());
}

#[test]
fn an_output_without_weights_may_have_a_coarser_bias() {
    let mut net = Net::new(17);
    let image = net.image(5, [4, 4]);
    let y = net.conv(&image, Conv { dead: true, ..Conv::expand(6) });
    check(net, &[&y]);
}

#[test]
fn other_operators_lie_between_regions() {
    let mut net = Net::new(5);
    let image = net.image(3, [16, 16]);
    let x = net.conv(&image, Conv::stem(16));
    let x = net.conv(&x, Conv::depthwise(16, 3, 1));
    let x = net.negated(&x);
    let y = net.conv(&x, Conv::pointwise(8));
    check_regions(net, &[&y], 2);
}

/// The head of a small network, its mean over axes, and how many operators of tract take it.
fn mean_of_head(axes: &[i64], keepdims: i64) -> (Codes, Vec<f32>, usize) {
    let mut net = Net::new(19);
    let head = trunk(&mut net, [32, 32]).remove(0);
    let attributes =
        vec![attribute::of_integers("axes", axes), attribute::of_integer("keepdims", keepdims)];
    let mean = net.graph.node("ReduceMean", &[&head.value], attributes);
    let case = net.finish(&[&mean]);
    let on_tract = case.execution().tract.values().sum();
    (head, case.run(&engine(Rules::On)).remove(0), on_tract)
}

/// Means over height and width, in f64.
fn means(codes: &Codes) -> Vec<f32> {
    let values = codes.values();
    let pixels = values.len() / codes.channels;
    let sums = values.chunks(pixels).map(|plane| plane.iter().map(|&v| f64::from(v)).sum::<f64>());
    sums.map(|sum| (sum / pixels as f64) as f32).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let differs = found.iter().zip(expected).find(|(a, b)| (*a - *b).abs() > 1e-5);
    assert_eq!(differs, None);
}

#[test]
fn means_over_height_and_width_are_taken_of_the_codes() {
    for axes in [[2, 3], [-1, -2]] {
        let (head, found, on_tract) = mean_of_head(&axes, 1);
        assert_eq!(on_tract, 0);
        assert_close(&found, &means(&head));
    }
    let mut net = Net::new(20);
    let head = trunk(&mut net, [32, 32]).remove(0);
    let mean = net.graph.op("GlobalAveragePool", &[&head.value]);
    let case = net.finish(&[&mean]);
    assert_eq!(case.execution().tract.values().sum::<usize>(), 0);
    assert_close(&case.run(&engine(Rules::On))[0], &means(&head));
}

/// Mean and variance of the rows of an image in the middle of a network, which others read too if `is_read_too`.
fn moments(is_read_too: bool) -> (Codes, Vec<Vec<f32>>, usize) {
    let mut net = Net::new(22);
    let [head, middle] = trunk(&mut net, [32, 32]).try_into().unwrap();
    let last = || vec![attribute::of_integers("axes", &[2])];
    let rows = net.graph.reshape(&middle.value, &[0, 24, -1]);
    let mean = net.graph.node("ReduceMean", &[&rows], last());
    let difference = net.graph.op("Sub", &[&rows, &mean]);
    let square = net.graph.op("Mul", &[&difference, &difference]);
    let variance = net.graph.node("ReduceMean", &[&square], last());
    let outputs = [&mean, &variance, &head.value, &rows];
    let case = net.finish(&outputs[..if is_read_too { 4 } else { 3 }]);
    let on_tract = case.execution().tract.values().sum();
    (middle, case.run(&engine(Rules::On)), on_tract)
}

#[test]
fn mean_and_variance_of_rows_are_taken_of_the_codes_that_layers_read_too() {
    for is_read_too in [false, true] {
        let (middle, found, on_tract) = moments(is_read_too);
        assert_eq!(on_tract == 0, !is_read_too);
        let expected = means(&middle);
        assert_close(&found[0], &expected);
        let values = middle.values();
        let pixels = values.len() / middle.channels;
        let planes = values.chunks(pixels).zip(&expected);
        for ((plane, mean), found) in planes.zip(&found[1]) {
            let squares = plane.iter().map(|value| (value - mean).powi(2));
            let expected = squares.sum::<f32>() / pixels as f32;
            assert!((found - expected).abs() <= 1e-4 * expected, "{found} instead of {expected}");
        }
    }
}

#[test]
fn a_mean_of_values_that_others_read_too_is_taken_of_the_values() {
    let mut net = Net::new(21);
    let head = trunk(&mut net, [32, 32]).remove(0);
    let mean = net.graph.op("GlobalAveragePool", &[&head.value]);
    let case = net.finish(&[&mean, &head.value]);
    assert!(case.execution().tract.values().sum::<usize>() > 0);
    let found = case.run(&engine(Rules::On));
    assert_close(&found[0], &means(&head));
    assert_eq!(found[1], head.values());
}

#[test]
fn other_means_are_taken_of_the_values() {
    for (axes, keepdims) in [(&[2][..], 1), (&[1, 3], 1), (&[2, 3], 0)] {
        let (head, found, on_tract) = mean_of_head(axes, keepdims);
        assert!(on_tract > 0, "{axes:?}");
        if keepdims == 0 {
            assert_close(&found, &means(&head));
        }
    }
}

/// In one operator it would wait for itself.
#[test]
fn a_layer_that_waits_for_another_operator_is_in_a_region_of_its_own() {
    let mut net = Net::new(6);
    let image = net.image(12, [6, 6]);
    let x = net.conv(&image, Conv::pointwise(20));
    let negated = net.negated(&x);
    let y = net.conv(&x, Conv::pointwise(20));
    let sum = net.add(&y, &negated);
    let end = net.conv(&sum, Conv::pointwise(4));
    check_regions(net, &[&end, &y], 2);
}

#[test]
fn images_of_a_batch_are_computed_one_by_one() {
    let mut net = Net::new(7);
    let outputs = trunk(&mut net, [32, 32]);
    let expected: Vec<Vec<f32>> = outputs.iter().map(Codes::values).collect();
    let mut case = net.finish(&outputs.iter().map(|codes| &codes.value).collect::<Vec<_>>());
    let input = &mut case.model.graph_mut().input[0];
    let batch = coca_onnx::value_info::dimensions_mut(input).next().unwrap();
    batch.value = Some(Dimension::DimParam("N".to_owned()));
    let image = case.inputs[0].clone();
    let black = image.mapv(|_| -1.0);
    case.inputs[0] = ndarray::concatenate![ndarray::Axis(0), black, image];
    for (found, expected) in case.run(&engine(Rules::On)).iter().zip(&expected) {
        assert_eq!(found[found.len() / 2..], expected[..]);
    }
}

#[test]
fn a_number_that_is_not_finite_is_an_error() {
    let mut net = Net::new(8);
    let image = net.image(4, [3, 3]);
    let y = net.conv(&image, Conv::pointwise(4));
    let mut case = net.finish(&[&y.value]);
    case.inputs[0][[0, 1, 2, 0]] = f32::NAN;
    let graph = case.prepare(&engine(Rules::On));
    let error = graph.run(vec![case.inputs[0].clone().into()]).unwrap_err();
    assert!(error.to_string().contains("not finite"), "{error}");
}

/// Values of the levels of a byte: about -1 to 1, as many pictures are normalised.
fn levels() -> [[f32; 256]; 3] {
    [0, 1, 2].map(|channel| {
        std::array::from_fn(|level| level as f32 / 127.5 - 1.0 + 0.01 * channel as f32)
    })
}

#[test]
fn a_picture_of_bytes_is_given_as_codes() {
    let mut net = Net::new(12);
    let outputs = trunk(&mut net, [32, 30]);
    let mut case = net.finish(&outputs.iter().map(|codes| &codes.value).collect::<Vec<_>>());
    let bytes = ndarray::Array4::from_shape_fn((1, 32, 30, 3), |(_, y, x, c)| {
        (7 * y + 11 * x * x + 99 * c) as u8
    });
    let levels = levels();
    case.inputs[0] = ndarray::Array4::from_shape_fn((1, 3, 32, 30), |(_, c, y, x)| {
        levels[c][usize::from(bytes[[0, y, x, c]])]
    })
    .into_dyn();
    let engine = engine(Rules::On);
    let graph = case.prepare(&engine);
    let table = graph.pixel_codes(0, &levels).expect("the graph begins with a stem");
    let codes =
        ndarray::Array4::from_shape_fn(bytes.dim(), |at| table[at.3][usize::from(bytes[at])]);
    let found = graph.run(vec![codes.into()]).unwrap();
    let found: Vec<Vec<f32>> =
        found.into_iter().map(|output| output.into_iter().collect()).collect();
    assert_same(&found, &case.run(&engine), "codes");
}

#[test]
fn a_picture_that_others_read_too_stays_f32() {
    let mut net = Net::new(13);
    let image = net.image(3, [8, 8]);
    let x = net.conv(&image, Conv::stem(16));
    let x = net.conv(&x, Conv::depthwise(16, 3, 1));
    let negated = net.graph.op("Neg", &[&image.value]);
    let case = net.finish(&[&x.value, &negated]);
    assert_eq!(case.prepare(&engine(Rules::On)).pixel_codes(0, &levels()), None);
    let found = case.run(&engine(Rules::On));
    assert_same(&found[..1], &[x.values()], "f32");
}

#[test]
fn in_f32_nothing_is_rounded_and_codes_still_clamp() {
    let mut net = Net::new(14);
    let (x, _) = net.input(4, [4, 4]);
    let scaled = net.graph.constant(0.25);
    let x = net.graph.op("Mul", &[&x, &scaled]);
    let value = net.quantized(&x, 0.125, 1);
    let case = net.finish(&[&value]);
    let found = case.run_in(Arithmetic::F32, &engine(Rules::On)).remove(0);
    let expected: Vec<f32> =
        case.inputs[0].iter().map(|v| (0.25 * v).clamp(-0.125, 254.0 * 0.125)).collect();
    assert_eq!(found, expected);
}

#[test]
fn in_f32_layers_are_those_of_the_dequantised_network() {
    let mut net = Net::new(15);
    let outputs = trunk(&mut net, [32, 32]);
    let case = net.finish(&outputs.iter().map(|codes| &codes.value).collect::<Vec<_>>());
    let found = case.prepare_in(Arithmetic::F32, &engine(Rules::On)).execution();
    assert_eq!(found.fused["FusedConvolution"] + found.fused["FusedDepthwiseConvolution"], 13);
    assert!(!found.tract.contains_key("QuantizeLinearU8"), "{found:?}");
    let found = case.run_in(Arithmetic::F32, &engine(Rules::On));
    for (found, codes) in found.iter().zip(&outputs) {
        let steps = |(a, b): (&f32, &f32)| (a - b).abs() / codes.scale;
        let mean = found.iter().zip(&codes.values()).map(steps).sum::<f32>() / found.len() as f32;
        assert!(mean < 4.0, "{mean} codes on average");
    }
}

/// Why rules leave nodes of a network.
fn reasons(net: Net, output: &Value) -> Vec<&'static str> {
    let found = net.finish(&[output]).execution();
    assert!(!found.fused.contains_key("FusedIntegerRegion"), "{found:?}");
    found.unfused.iter().map(|unfused| unfused.reason).collect()
}

#[test]
fn a_layer_that_stays_on_tract_says_why() {
    let with = |conv: Conv| {
        let mut net = Net::new(9);
        let image = net.image(4, [9, 9]);
        let y = net.conv(&image, conv);
        reasons(net, &y.value)
    };
    let clipped = Conv { clip: Some(200.0), ..Conv::pointwise(5) };
    assert_eq!(with(clipped), ["its activation cuts off what its codes can say"]);
    let groups = Conv { groups: 2, ..Conv::pointwise(6) };
    assert_eq!(with(groups), ["its groups are of several channels"]);
    let large = Conv::depthwise(4, 7, 1);
    assert_eq!(with(large), ["its filters are other than 3×3 and 5×5 at stride 1 and 2"]);
    let wide = Conv { size: [3, 5], pads: [1, 2, 1, 2], ..Conv::depthwise(4, 3, 1) };
    assert_eq!(with(wide), ["its filters or strides are not square"]);
    let bare = Conv { pads: [0; 4], ..Conv::depthwise(4, 3, 1) };
    assert_eq!(
        with(bare),
        ["its padding makes another size than the input's divided by the stride"]
    );
}

/// Why a pointwise layer stays on tract, whose initializers of a kind are altered.
fn reason_of_altered(kind: &str, alter: impl Fn(&mut Vec<u8>)) -> &'static str {
    let mut net = Net::new(18);
    let image = net.image(4, [4, 4]);
    let y = net.conv(&image, Conv::pointwise(4));
    let mut case = net.finish(&[&y.value]);
    let tensors = case.model.graph_mut().initializer.iter_mut();
    let is_kind = |name: &str| {
        name.strip_prefix(kind).is_some_and(|rest| rest.trim().parse::<usize>().is_ok())
    };
    tensors.filter(|t| is_kind(&t.name)).for_each(|tensor| alter(&mut tensor.raw_data));
    case.execution().unfused[0].reason
}

#[test]
fn elements_that_kernels_cannot_take_are_left_to_tract() {
    assert_eq!(reason_of_altered("weight", |bytes| bytes[3] = 0x80), "its weight holds -128");
    let large = |bytes: &mut Vec<u8>| bytes[..4].copy_from_slice(&1e9_f32.to_le_bytes());
    let reason = reason_of_altered("weight scale", large);
    assert_eq!(reason, "its sums can exceed what all CPUs round alike");
    let negative = |bytes: &mut Vec<u8>| bytes[..4].copy_from_slice(&(-0.5_f32).to_le_bytes());
    assert_eq!(reason_of_altered("scale", negative), "a scale of its activations is not positive");
}

#[test]
fn a_result_that_f32_reads_too_is_left_to_tract() {
    let mut net = Net::new(10);
    let image = net.image(4, [4, 4]);
    let y = net.conv(&image, Conv::pointwise(4));
    let mut graph = net.finish(&[&y.value]);
    let convolved =
        graph.model.graph().node.iter().find(|n| n.op_type == "Conv").unwrap().output[0].clone();
    let proto = graph.model.graph_mut();
    proto.node.push(coca_onnx::builder::node("Neg", &[&convolved], "negated", vec![]));
    let info = coca_onnx::value_info::tensor_of_any_shape("negated", DataType::Float);
    proto.output.push(info);
    let found = graph.execution();
    assert_eq!(found.unfused[0].reason, "its result is not only quantized");
}

#[test]
fn codes_of_another_scale_than_they_were_made_with_are_left_to_tract() {
    let mut net = Net::new(11);
    let (x, _) = net.input(4, [4, 4]);
    let value = net.quantized(&x, 1.0 / 127.0, 127);
    let image = net.unknown(value, 4, [4, 4]);
    let y = net.conv(&image, Conv::pointwise(4));
    let mut case = net.finish(&[&y.value]);
    let other = coca_onnx::builder::f32_tensor("other", &[], &[0.5]);
    case.model.graph_mut().initializer.push(other);
    case.model.graph_mut().node[1].input[1] = "other".to_owned();
    let reason = case.execution().unfused[0].reason;
    assert_eq!(reason, "its input is dequantized otherwise than it was quantized");
}

/// An operation on an image.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pointwise {
        outputs: usize,
        clipped: bool,
    },
    Depthwise {
        size: usize,
        stride: usize,
    },
    Dense {
        outputs: usize,
        stride: usize,
    },
    /// Adds the image of so many steps ago, if it is of the same shape.
    Residual(usize),
    Negate,
    /// Makes the image an output as well.
    Output,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![Just(3_usize), Just(5)];
    prop_oneof![
        4 => (1_usize..40, any::<bool>())
            .prop_map(|(outputs, clipped)| Step::Pointwise { outputs, clipped }),
        4 => (size, 1_usize..3).prop_map(|(size, stride)| Step::Depthwise { size, stride }),
        1 => (1_usize..20, 1_usize..3).prop_map(|(outputs, stride)| Step::Dense { outputs, stride }),
        3 => (1_usize..4).prop_map(Step::Residual),
        1 => Just(Step::Negate),
        1 => Just(Step::Output),
    ]
}

fn apply(step: Step, net: &mut Net, images: &[Codes], outputs: &mut Vec<Codes>) -> Codes {
    let x = &images[images.len() - 1];
    match step {
        Step::Pointwise { outputs, clipped: true } => net.conv(x, Conv::expand(outputs)),
        Step::Pointwise { outputs, .. } => net.conv(x, Conv::pointwise(outputs)),
        Step::Depthwise { size, stride } => net.conv(x, Conv::depthwise(x.channels, size, stride)),
        Step::Dense { outputs, stride } => {
            net.conv(x, Conv { size: [3, 3], pads: [1; 4], stride, ..Conv::expand(outputs) })
        }
        Step::Residual(ago) => {
            let other = &images[images.len().saturating_sub(ago + 1)];
            let fits = other.channels == x.channels && other.size == x.size;
            if fits { net.add(x, other) } else { net.conv(x, Conv::pointwise(8)) }
        }
        Step::Negate => net.negated(x),
        Step::Output => {
            outputs.push(x.clone());
            net.conv(x, Conv::pointwise(8))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_code_is_that_of_the_integer_operators(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..9),
        size in (4_usize..20, 4_usize..20),
        is_picture in any::<bool>(),
    ) {
        let mut net = Net::new(seed);
        let mut images = vec![net.image(if is_picture { 3 } else { 7 }, [size.0, size.1])];
        if is_picture {
            images.push(net.conv(&images[0], Conv { pads: [1; 4], ..Conv::stem(18) }));
        }
        let mut outputs = Vec::new();
        for step in steps {
            images.push(apply(step, &mut net, &images, &mut outputs));
        }
        outputs.push(images[images.len() - 1].clone());
        let expected: Vec<Vec<f32>> = outputs.iter().map(Codes::values).collect();
        let values: Vec<Value> = outputs.iter().map(|codes| net.graph.op("Abs", &[&codes.value])).collect();
        let case = net.finish(&values.iter().collect::<Vec<_>>());
        let expected: Vec<Vec<f32>> =
            expected.iter().map(|values| values.iter().map(|v| v.abs()).collect()).collect();
        for (threads, cpu) in [(1, Cpu::best()), (2, Cpu::with(InstructionSet::Scalar).unwrap())] {
            let engine = Engine::builder().threads(threads).cpu(cpu).rules(Rules::On).build().unwrap();
            let found = case.run(&engine);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!(found == expected, "{}", cpu.instruction_set().name());
            }
        }
    }
}

#[test]
fn tract_alone_gives_the_codes_of_a_layer_within_one() {
    let layers =
        [Conv::pointwise(9), Conv::depthwise(5, 3, 2), Conv { size: [3, 3], ..Conv::expand(7) }];
    for (seed, conv) in layers.into_iter().enumerate() {
        let mut net = Net::new(seed as u64);
        let image = net.image(5, [8, 9]);
        let y = net.conv(&image, conv);
        let expected = y.values();
        let found = net.finish(&[&y.value]).run(&engine(Rules::Off));
        let furthest = found[0].iter().zip(&expected).map(|(a, b)| (a - b).abs() / y.scale);
        assert!(furthest.fold(0.0, f32::max) < 1.01, "{conv:?}");
    }
}

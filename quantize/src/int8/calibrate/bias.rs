//! Bias correction: the mean error that rounding adds to a layer's output is subtracted from the layer's bias.
//!
//! Behind a ReLU no input is negative, so the errors of a row of weights don't cancel: they shift each output by a share of
//! the inputs' mean, and with it all that follows (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization
//! and Bias Correction", section 4.2).

use std::collections::{BTreeMap, BTreeSet};

use coca_onnx::{
    Layer,
    pb::{NodeProto, TensorProto, tensor_proto::DataType},
};
use ndarray::{Array1, ArrayView2};

use super::{
    super::{
        error::Error,
        part::Part,
        plan::Plan,
        source::{self, TensorId},
    },
    Layers,
    inputs::int8_layers,
    noise,
};

/// Enters the corrections of all biases of int8 layers into `plan`; returns their number.
pub(super) fn correct(layers: &Layers, plan: &mut Plan) -> Result<usize, Error> {
    for (bias, weight) in biases(layers.model.parts, plan)? {
        if let Some(mean) = layers.mean(&weight, plan) {
            let shift = mean_error(&mean, layers.matrix(&weight, plan)?.view());
            plan.shifts.insert(bias, shift.to_vec());
        }
    }
    Ok(plan.shifts.len())
}

/// Mean error `[out]` of rounding `weight` `[in, out]`, for rows of this mean `[in]`.
fn mean_error(mean: &Array1<f32>, weight: ArrayView2<f32>) -> Array1<f32> {
    mean.dot(&(noise::rounded_weight(weight) - weight))
}

/// The biases of layers that become int8, each with the layer's weight. A bias that several layers share is left out.
fn biases(parts: &[Part], plan: &Plan) -> Result<BTreeMap<TensorId, TensorId>, Error> {
    let mut owners: BTreeMap<TensorId, BTreeSet<TensorId>> = BTreeMap::new();
    for part in parts {
        for layer in int8_layers(part, plan)? {
            if let Some(bias) = bias(layer.node, part) {
                owners.entry(source::id(&part.name, bias)?).or_default().insert(layer.id);
            }
        }
    }
    let alone = owners.into_iter().filter(|(_, weights)| weights.len() == 1);
    Ok(alone.filter_map(|(bias, weights)| Some((bias, weights.into_iter().next()?))).collect())
}

/// The bias that a layer's node, or the addition behind it, adds to every row.
fn bias<'a>(node: &'a NodeProto, part: &'a Part) -> Option<&'a TensorProto> {
    let index = part.index();
    let name = match Layer::of(node)? {
        Layer::Convolution(convolution) => convolution.bias?,
        Layer::Linear(linear) if node.op_type == "Gemm" => {
            linear.bias.filter(|_| !linear.is_general)?
        }
        Layer::Linear(_) => {
            let product = node.output.first()?;
            let (_, add) = index.only_consumed_by("Add", product)?;
            add.input.iter().find(|name| *name != product)?
        }
        Layer::Lookup(_) => return None,
    };
    let tensor = index.initializer(name)?;
    let plain = tensor.dims.len() == 1
        && tensor.data_type == DataType::Float as i32
        && source::is_float(tensor);
    (plain && index.only_consumer(name).is_some()).then_some(tensor)
}

#[cfg(test)]
mod tests {
    use coca_onnx::pb::GraphProto;
    use ndarray::{Array2, Axis};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn without_the_shift_the_rounded_layers_mean_is_the_exact_ones(
            (rows, inputs, outputs) in (1_usize..9, 1_usize..20, 1_usize..9),
            numbers in prop::collection::vec(-2.0_f32..2.0, 400),
        ) {
            let mut numbers = numbers.into_iter();
            let rows = Array2::from_shape_simple_fn((rows, inputs), || numbers.next().unwrap().max(0.0));
            let weight = Array2::from_shape_simple_fn((inputs, outputs), || numbers.next().unwrap());
            let shift = mean_error(&rows.mean_axis(Axis(0)).unwrap(), weight.view());
            let exact = rows.dot(&weight).mean_axis(Axis(0)).unwrap();
            let found = rows.dot(&noise::rounded_weight(weight.view())).mean_axis(Axis(0)).unwrap();
            for ((exact, found), shift) in exact.iter().zip(&found).zip(&shift) {
                prop_assert!((found - shift - exact).abs() < 1e-4);
            }
        }
    }

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: operator.to_owned(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn tensor(name: &str, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            float_data: vec![0.5; dims.iter().product::<i64>() as usize],
            ..TensorProto::default()
        }
    }

    #[test]
    fn a_bias_is_found_behind_each_kind_of_layer_and_not_if_layers_share_it() {
        let mut graph = GraphProto::default();
        let names = ["matmul", "gemm", "one", "other"];
        graph.initializer.extend(names.map(|name| tensor(name, &[3, 3])));
        let names = ["behind_matmul", "of_gemm", "shared"];
        graph.initializer.extend(names.map(|name| tensor(name, &[3])));
        graph.node = vec![
            node("MatMul", &["x", "matmul"], "product"),
            node("Add", &["behind_matmul", "product"], "a"),
            node("Gemm", &["a", "gemm", "of_gemm"], "b"),
            node("Gemm", &["b", "one", "shared"], "c"),
            node("Gemm", &["c", "other", "shared"], "d"),
        ];
        let part = Part::of_graph("part.onnx", graph);
        let keep = super::super::super::keep::Keep::parse(&[]).unwrap();
        let plan = Plan::of(std::slice::from_ref(&part), &keep, None).unwrap();
        let id = |name: &str| source::id("part.onnx", &tensor(name, &[])).unwrap();
        let found = biases(&[part], &plan).unwrap();
        let expected = [("behind_matmul", "matmul"), ("of_gemm", "gemm")];
        assert_eq!(found, expected.map(|(bias, weight)| (id(bias), id(weight))).into());
    }
}

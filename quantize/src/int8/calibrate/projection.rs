//! The layer that makes the logits, outside of the decoder's graph.
//!
//! While a graph is prepared, its weights stand in memory beside what is made of them. This layer's are the largest of most
//! models: computed by itself, it takes its place only once.

use coca_onnx::{
    operator,
    pb::{TensorProto, tensor_proto::DataType},
    value_info,
};
use ndarray::{Array2, ArrayD, Ix2};

use super::super::{error::Error, part::Part, source::SourceFiles};

/// A product `x [B, W] · weight [W, V]` that makes an output of a graph, and the graph without it.
pub(super) struct Projection {
    /// The part with `x` in the place of the output.
    pub(super) rest: Part,
    /// Name of `x`.
    pub(super) input: String,
    weight: TensorProto,
}

impl Projection {
    /// Takes the layer that makes `output` out of `part`; `None` if that is no product with a stored matrix of which nothing
    /// else knows.
    pub(super) fn take(part: &Part, output: &str) -> Result<Option<Self>, Error> {
        let index = part.index();
        let producer = index.producer(output);
        let Some((id, node)) = producer.filter(|(_, node)| operator(node) == Some("MatMul")) else {
            return Ok(None);
        };
        let [input, weight] = node.input.as_slice() else { return Ok(None) };
        let is_apart = index.consumers(output).next().is_none()
            && index.only_consumer(weight).is_some()
            && index.producer(input).is_some();
        let stored = index.initializer(weight);
        let Some(weight) = stored.filter(|stored| is_apart && stored.dims.len() == 2) else {
            return Ok(None);
        };
        let (input, weight) = (input.clone(), weight.clone());
        let mut graph = part.graph().clone();
        graph.node.remove(id.position());
        graph.initializer.retain(|tensor| tensor.name != weight.name);
        graph.output.retain(|described| described.name != output);
        graph.output.push(value_info::tensor_of_any_shape(&input, DataType::Float));
        Ok(Some(Self { rest: part.with_graph(graph)?, input, weight }))
    }

    /// The weight `[W, V]`.
    pub(super) fn read(&self, files: &SourceFiles) -> Result<Array2<f32>, Error> {
        let (tensor, part) = (&self.weight, &self.rest.name);
        let values = files.values(part, tensor)?;
        let shape = [tensor.dims[0] as usize, tensor.dims[1] as usize];
        Array2::from_shape_vec(shape, values).map_err(|error| Error::Tensor {
            part: part.clone(),
            tensor: tensor.name.clone(),
            expected: format!("elements for its shape {:?}", tensor.dims),
            found: error.to_string(),
        })
    }
}

/// `x [.., W] · weight [W, V]`, of the last row alone; `None` if they do not fit.
pub(super) fn last_row(x: &ArrayD<f32>, weight: &Array2<f32>) -> Option<ArrayD<f32>> {
    let width = weight.nrows();
    let rows = x.to_shape((x.len().checked_div(width)?, width)).ok()?;
    let rows = rows.into_dimensionality::<Ix2>().ok()?;
    let last = rows.row(rows.nrows().checked_sub(1)?);
    Some(last.dot(weight).into_dyn())
}

#[cfg(test)]
mod tests {
    use coca_onnx::builder::{GraphBuilder, f32_tensor};
    use ndarray::arr2;

    use super::*;

    #[test]
    fn a_product_that_makes_the_output_is_taken_out_with_its_weight() {
        let mut graph = GraphBuilder::new("decoder");
        let x = graph.input_f32("x", &["B".into(), 2.into()]);
        let x = graph.op("Relu", &[&x]);
        let weight = graph.weight(&f32_tensor("head", &[2, 3], &[1.0, 0.0, 2.0, 0.0, 1.0, 3.0]));
        let logits = graph.op("MatMul", &[&x, &weight]);
        graph.output("logits", &logits, &["B".into(), 3.into()]);
        let part = Part::of_graph("decoder.onnx", graph.into_graph());
        let taken = Projection::take(&part, "logits").unwrap().unwrap();
        assert_eq!(taken.rest.graph().node.len(), 1);
        assert!(taken.rest.graph().initializer.is_empty());
        assert_eq!(taken.rest.graph().output[0].name, taken.input);
        assert!(Projection::take(&part, "x").unwrap().is_none());
    }

    #[test]
    fn the_last_row_is_projected() {
        let weight = arr2(&[[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]);
        let x = arr2(&[[9.0, 9.0], [1.0, 2.0]]).into_dyn();
        assert_eq!(last_row(&x, &weight).unwrap().as_slice().unwrap(), [1.0, 2.0, 8.0]);
        assert!(last_row(&arr2(&[[1.0]]).into_dyn(), &weight).is_none());
    }
}

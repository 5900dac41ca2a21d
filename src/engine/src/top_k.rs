//! The largest elements of each row, found without sorting the others.

use tract_core::ops::array::Topk;
use tract_onnx::tract_hir::internal::*;

use crate::fused::numbers;

/// `[…, N]`, k → the k largest of each row in falling order, `[…, k]`, and their indices; of equal ones the first comes
/// first.
///
/// tract sorts whole rows: 60 µs for 1,391 concepts of which seven are read, where this takes 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopK(Topk);

impl TopK {
    /// Takes the place of every [`Topk`] that reads rows of 32-bit numbers and wants their largest.
    pub(crate) fn put_into(model: &mut TypedModel) {
        for id in 0..model.nodes().len() {
            let Some(topk) = model.node(id).op_as::<Topk>().cloned() else { continue };
            let Ok(fact) = model.outlet_fact(model.node(id).inputs[0]) else { continue };
            let is_of_rows = topk.axis + 1 == fact.rank() && fact.datum_type == f32::datum_type();
            if topk.largest && is_of_rows {
                model.node_mut(id).op = Box::new(Self(topk));
            }
        }
    }
}

impl Op for TopK {
    fn name(&self) -> StaticName {
        "FusedTopK".into()
    }

    fn mints_runtime_symbols(&self) -> bool {
        self.0.mints_runtime_symbols()
    }

    op_as_typed_op!();
}

impl EvalOp for TopK {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, k) = args_2!(inputs);
        let mut shape: TVec<usize> = input.shape().into();
        let width = shape[self.0.axis];
        let k = usize::try_from(k.cast_to_scalar::<i64>()?)?;
        ensure!(k <= width, "the {k} largest of {width} elements");
        shape[self.0.axis] = k;
        let (mut values, mut indices) = (Vec::new(), Vec::new());
        let mut order: Vec<usize> = Vec::with_capacity(width);
        for row in numbers::<f32>(&input)?.chunks_exact(width.max(1)) {
            order.clear();
            order.extend(0..width);
            select(&mut order, k, row);
            values.extend(order[..k].iter().map(|&index| row[index]));
            indices.extend(order[..k].iter().map(|&index| index as i64));
        }
        let values = tract_ndarray::ArrayD::from_shape_vec(&*shape, values)?;
        let indices = tract_ndarray::ArrayD::from_shape_vec(&*shape, indices)?;
        Ok(tvec!(values.into_tvalue(), indices.into_tvalue()))
    }
}

/// Brings the indices of the `k` largest elements of `row` to the front of `order`, in falling order. NaN counts as the largest.
fn select(order: &mut [usize], k: usize, row: &[f32]) {
    // Adding zero makes both zeros one.
    let falling =
        |&a: &usize, &b: &usize| (row[b] + 0.0).total_cmp(&(row[a] + 0.0)).then(a.cmp(&b));
    if k < order.len() {
        order.select_nth_unstable_by(k, falling);
    }
    order[..k].sort_unstable_by(falling);
}

impl TypedOp for TopK {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(row: &[f32], k: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..row.len()).collect();
        select(&mut order, k, row);
        order.truncate(k);
        order
    }

    #[test]
    fn the_largest_come_first_and_of_equal_ones_the_first() {
        assert_eq!(largest(&[1.0, 3.0, 2.0, 3.0, -1.0], 3), [1, 3, 2]);
        assert_eq!(largest(&[-0.0, 0.0, -0.0], 3), [0, 1, 2]);
    }

    #[test]
    fn all_and_none_may_be_asked_for() {
        assert_eq!(largest(&[1.0, 2.0], 2), [1, 0]);
        assert_eq!(largest(&[1.0, 2.0], 0), [] as [usize; 0]);
    }

    #[test]
    fn what_is_no_number_does_not_stop_it() {
        assert_eq!(largest(&[1.0, f32::NAN, 2.0], 2), [1, 2]);
    }
}

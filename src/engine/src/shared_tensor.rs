//! Tensors that are given to a graph again and again without a copy.

use std::sync::Arc;

use ndarray::{Array3, ArrayD};
use tract_onnx::prelude::{IntoTensor, Tensor};

/// A tensor of 32-bit numbers that many runs share.
#[derive(Debug, Clone)]
pub struct SharedTensor(Arc<Tensor>);

impl From<ArrayD<f32>> for SharedTensor {
    fn from(array: ArrayD<f32>) -> Self {
        Self(Arc::new(array.into_tensor()))
    }
}

impl SharedTensor {
    /// The elements in row-major order, to be overwritten between two runs; `None` while another clone exists.
    #[must_use]
    pub fn elements_mut(&mut self) -> Option<&mut [f32]> {
        Arc::get_mut(&mut self.0)?.to_plain_array_view_mut::<f32>().ok()?.into_slice()
    }

    pub(crate) fn into_tensor(self) -> Arc<Tensor> {
        self.0
    }
}

/// Rows of one width, `[capacity, width]`, which only ever grow in number.
///
/// A graph reads it where it stands; rows can be added while no graph does.
#[derive(Debug)]
pub struct RowStore {
    tensor: Arc<Tensor>,
    rows: usize,
    width: usize,
}

impl Clone for RowStore {
    /// Copies the rows at once, so that the first [`RowStore::push`] does not have to.
    fn clone(&self) -> Self {
        Self { tensor: Arc::new(Tensor::clone(&self.tensor)), ..*self }
    }
}

impl RowStore {
    /// A store without rows.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { tensor: Arc::new(rows_of(Vec::new(), width)), rows: 0, width }
    }

    /// How many rows it has: the slot of the next.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds rows that stand one behind the other.
    pub fn push(&mut self, rows: &[f32]) {
        let end = (self.rows * self.width) + rows.len();
        if end > self.tensor.len() {
            let mut grown = Vec::with_capacity(2 * end);
            grown.extend_from_slice(&self.numbers()[..self.rows * self.width]);
            grown.resize((2 * end).next_multiple_of(self.width.max(1)), 0.0);
            self.tensor = Arc::new(rows_of(grown, self.width));
        }
        let start = self.rows * self.width;
        let tensor = Arc::make_mut(&mut self.tensor);
        if let Ok(mut array) = tensor.to_plain_array_view_mut::<f32>()
            && let Some(numbers) = array.as_slice_mut()
        {
            numbers[start..end].copy_from_slice(rows);
        }
        self.rows += rows.len() / self.width.max(1);
    }

    /// The store itself, for a graph that takes slots.
    #[must_use]
    pub fn shared(&self) -> SharedTensor {
        SharedTensor(self.tensor.clone())
    }

    /// The rows in `slots` `[batch, past]`, copied to `[batch, past, width]`.
    #[must_use]
    pub fn gather(&self, slots: &[Vec<i64>]) -> Array3<f32> {
        let past = slots.first().map_or(0, Vec::len);
        let numbers = self.numbers();
        Array3::from_shape_fn((slots.len(), past, self.width), |(b, p, i)| {
            numbers[slots[b][p] as usize * self.width + i]
        })
    }

    fn numbers(&self) -> &[f32] {
        if self.tensor.len() == 0 {
            return &[]; // tract's view of a tensor without numbers is a null pointer
        }
        self.tensor.view().as_slice().unwrap_or_default()
    }
}

fn rows_of(numbers: Vec<f32>, width: usize) -> Tensor {
    let rows = numbers.len() / width.max(1);
    ndarray::Array2::from_shape_vec((rows, width), numbers).unwrap_or_default().into_tensor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_only_while_nobody_else_reads_them() {
        let mut tensor = SharedTensor::from(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn());
        tensor.elements_mut().unwrap()[1] = 5.0;
        let clone = tensor.clone();
        assert_eq!(tensor.elements_mut(), None);
        drop(clone);
        assert_eq!(tensor.elements_mut().unwrap(), [1.0, 5.0, 3.0, 4.0]);
    }

    #[test]
    fn rows_stay_where_they_are_while_the_store_grows() {
        let mut store = RowStore::new(2);
        for i in 0..20 {
            let given_away = store.shared();
            store.push(&[i as f32, -(i as f32)]);
            drop(given_away);
        }
        assert_eq!(store.rows(), 20);
        let gathered = store.gather(&[vec![3, 19], vec![0, 7]]);
        let expected = [[[3.0, -3.0], [19.0, -19.0]], [[0.0, 0.0], [7.0, -7.0]]];
        assert_eq!(gathered, ndarray::arr3(&expected));
    }
}

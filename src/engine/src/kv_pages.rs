//! The rows of a paged KV cache.

use std::sync::Arc;

use ndarray::{Array2, Array3};
use tract_onnx::prelude::{IntoTensor, Tensor};

use crate::{Error, SharedTensor};

/// Keys or values of any tokens, `[capacity, width]`: a token's slot is its row, and its place in no sequence.
///
/// A graph reads them where they stand; rows can be added while no graph does. Sequences that share a beginning share
/// its slots.
#[derive(Debug)]
pub struct KvPages {
    tensor: Arc<Tensor>,
    rows: usize,
    width: usize,
}

impl Clone for KvPages {
    /// Copies the rows at once, so that the first [`KvPages::push`] does not have to.
    fn clone(&self) -> Self {
        Self { tensor: Arc::new(Tensor::clone(&self.tensor)), ..*self }
    }
}

impl KvPages {
    /// No rows.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { tensor: Arc::new(rows_of(Vec::new(), width)), rows: 0, width }
    }

    /// How many rows there are: the slot of the next.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds rows that stand one behind the other; a graph that reads them still makes it copy all.
    ///
    /// # Errors
    /// [`Error::CacheRows`], and nothing is added, when `rows` are not whole rows of this width.
    pub fn push(&mut self, rows: &[f32]) -> Result<(), Error> {
        if self.width == 0 || !rows.len().is_multiple_of(self.width) {
            return Err(Error::CacheRows { expected: self.width, found: rows.len() });
        }
        let end = (self.rows * self.width) + rows.len();
        if end > self.tensor.len() {
            let mut grown = Vec::with_capacity(2 * end);
            grown.extend_from_slice(&self.numbers()[..self.rows * self.width]);
            grown.resize(2 * end, 0.0);
            self.tensor = Arc::new(rows_of(grown, self.width));
        }
        let start = self.rows * self.width;
        if !rows.is_empty() {
            elements_mut(Arc::make_mut(&mut self.tensor))[start..end].copy_from_slice(rows);
        }
        self.rows += rows.len() / self.width;
        Ok(())
    }

    /// The rows, for a graph that takes a slot mapping.
    #[must_use]
    pub fn shared(&self) -> SharedTensor {
        SharedTensor::from(self.tensor.clone())
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
        self.tensor.view().as_slice().unwrap_or_else(|_| unreachable!("{PLAIN}"))
    }
}

/// Invariant of every tensor here.
const PLAIN: &str = "pages are made as f32, row after row";

fn elements_mut(tensor: &mut Tensor) -> &mut [f32] {
    match tensor.to_plain_array_view_mut::<f32>().map(ndarray::ArrayViewMut::into_slice) {
        Ok(Some(elements)) => elements,
        _ => unreachable!("{PLAIN}"),
    }
}

/// `[rows, width]` of whole rows.
fn rows_of(elements: Vec<f32>, width: usize) -> Tensor {
    let rows = elements.len() / width.max(1);
    match Array2::from_shape_vec((rows, width), elements) {
        Ok(rows) => rows.into_tensor(),
        Err(_) => unreachable!("{PLAIN}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_slots_while_their_number_grows() {
        let mut pages = KvPages::new(2);
        for i in 0..20 {
            let given_away = pages.shared();
            pages.push(&[i as f32, -(i as f32)]).unwrap();
            drop(given_away);
        }
        assert_eq!(pages.rows(), 20);
        let gathered = pages.gather(&[vec![3, 19], vec![0, 7]]);
        let expected = [[[3.0, -3.0], [19.0, -19.0]], [[0.0, 0.0], [7.0, -7.0]]];
        assert_eq!(gathered, ndarray::arr3(&expected));
    }

    #[test]
    fn parts_of_rows_are_refused_and_not_counted() {
        let mut pages = KvPages::new(3);
        pages.push(&[1.0; 6]).unwrap();
        let error = pages.push(&[1.0; 4]).unwrap_err();
        assert!(matches!(error, Error::CacheRows { expected: 3, found: 4 }));
        assert!(KvPages::new(0).push(&[1.0]).is_err());
        assert_eq!(pages.rows(), 2);
    }
}

//! Keys and values of the tokens that a caption already has.

use ndarray::{Array3, ArrayD, Axis, Ix3, concatenate};

use crate::engine::Input;

/// The self-attention keys and values of every layer, and the token ids they belong to.
///
/// Both towers are causal, so a row's keys and values never change once they are computed.
#[derive(Debug, Clone)]
pub(super) struct KvCache {
    /// Keys, then values, of layer after layer, each `[B, P, W]`.
    tensors: Vec<Array3<f32>>,
    /// The token ids of each row, `[B][P]`.
    ids: Vec<Vec<u32>>,
}

impl KvCache {
    /// A cache of one row without tokens.
    pub(super) fn empty(layers: usize, width: usize) -> Self {
        Self { tensors: vec![Array3::zeros((1, 0, width)); 2 * layers], ids: vec![Vec::new()] }
    }

    /// How many tokens every row has.
    pub(super) fn past(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }

    /// The token ids of each row.
    pub(super) fn ids(&self) -> &[Vec<u32>] {
        &self.ids
    }

    /// Makes row r a copy of what was row `parents[r]`. Rows may be dropped, reordered and multiplied.
    pub(super) fn reorder(&mut self, parents: &[usize]) {
        if parents.iter().copied().eq(0..self.ids.len()) {
            return;
        }
        for tensor in &mut self.tensors {
            *tensor = tensor.select(Axis(0), parents);
        }
        self.ids = parents.iter().map(|&parent| self.ids[parent].clone()).collect();
    }

    /// What the decoder reads: `past_key.0, past_value.0, past_key.1, …`
    pub(super) fn inputs(&self) -> impl Iterator<Item = Input> {
        self.tensors.iter().map(|tensor| Input::from(tensor.clone()))
    }

    /// Adds the new rows of every tensor, `[B, S, W]` each, and their token ids `[B][S]`.
    /// `None` if their shapes are not those of the cache.
    pub(super) fn append(&mut self, rows: Vec<ArrayD<f32>>, ids: &[&[u32]]) -> Option<()> {
        if rows.len() != self.tensors.len() || ids.len() != self.ids.len() {
            return None;
        }
        for (tensor, rows) in self.tensors.iter_mut().zip(rows) {
            let rows = rows.into_dimensionality::<Ix3>().ok()?;
            *tensor = concatenate(Axis(1), &[tensor.view(), rows.view()]).ok()?;
        }
        for (row, ids) in self.ids.iter_mut().zip(ids) {
            row.extend_from_slice(ids);
        }
        (self.tensors.iter().all(|t| t.shape()[1] == self.past())).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, array};

    use super::*;

    fn rows(values: [f32; 2]) -> Vec<ArrayD<f32>> {
        vec![array![[[values[0]]], [[values[1]]]].into_dyn(); 2]
    }

    #[test]
    fn rows_can_be_multiplied_reordered_and_dropped() {
        let mut cache = KvCache::empty(1, 1);
        cache.reorder(&[0, 0]);
        cache.append(rows([1.0, 2.0]), &[&[11], &[12]]).unwrap();
        cache.reorder(&[1, 1]);
        cache.append(rows([3.0, 4.0]), &[&[13], &[14]]).unwrap();
        assert_eq!(cache.ids(), [[12, 13], [12, 14]]);
        assert_eq!(cache.tensors[0], array![[[2.0], [3.0]], [[2.0], [4.0]]]);
        cache.reorder(&[1]);
        assert_eq!(cache.ids(), [[12, 14]]);
        assert_eq!(cache.past(), 2);
    }

    #[test]
    fn rows_of_another_shape_are_refused() {
        let mut cache = KvCache::empty(1, 3);
        let narrow = vec![Array::zeros((1, 1, 2)).into_dyn(); 2];
        assert!(cache.append(narrow, &[&[5]]).is_none());
    }
}

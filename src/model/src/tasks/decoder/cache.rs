//! Keys and values of the tokens that a caption already has.

use coca_engine::{Graph, Input, KvPages};
use ndarray::ArrayD;

use crate::tasks::Error;

/// The self-attention keys and values of every layer, and the token ids they belong to.
///
/// Both towers are causal, so a token's keys and values never change once they are computed: they are
/// written once, and beams that share a beginning share its rows.
#[derive(Debug, Clone)]
pub(super) struct KvCache {
    /// Keys, then values, of layer after layer.
    pages: Vec<KvPages>,
    /// The slots of each row's tokens, the same in all pages, `[B][P]`.
    slots: Vec<Vec<i64>>,
    /// The token ids of each row, `[B][P]`.
    ids: Vec<Vec<u32>>,
}

impl KvCache {
    /// A cache of one row without tokens.
    pub(super) fn empty(layers: usize, width: usize) -> Self {
        let pages = vec![KvPages::new(width); 2 * layers];
        Self { pages, slots: vec![Vec::new()], ids: vec![Vec::new()] }
    }

    /// Number of tokens in every row, `P`.
    pub(super) fn past(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }

    /// The token ids of each row.
    pub(super) fn ids(&self) -> &[Vec<u32>] {
        &self.ids
    }

    /// Makes row r a copy of the former row `parents[r]`. Rows may be dropped, reordered and multiplied.
    pub(super) fn reorder(&mut self, parents: &[usize]) {
        self.slots = parents.iter().map(|&parent| self.slots[parent].clone()).collect();
        self.ids = parents.iter().map(|&parent| self.ids[parent].clone()).collect();
    }

    /// The decoder's inputs `past_key.0, past_value.0, past_key.1, …`, of which the first is its input `first`.
    pub(super) fn inputs<'a>(
        &'a self,
        graph: &'a Graph,
        first: usize,
    ) -> impl Iterator<Item = Input> + 'a {
        self.pages.iter().enumerate().map(move |(i, pages)| {
            if graph.is_paged_cache(first + i) {
                Input::Shared(pages.shared())
            } else {
                Input::from(pages.gather(&self.slots))
            }
        })
    }

    /// The slot mapping `[B, P]`.
    pub(super) fn slots(&self) -> Input {
        let (batch, past) = (self.slots.len(), self.past());
        Input::from(ndarray::Array2::from_shape_fn((batch, past), |(b, p)| self.slots[b][p]))
    }

    /// Adds the new rows of every tensor, `[B, S, W]` each, and their token ids `[B][S]`.
    ///
    /// # Errors
    /// [`Error::Shape`], and nothing is added, when there are more or fewer tensors than the cache holds, or
    /// one has another shape.
    pub(super) fn append(&mut self, rows: &[ArrayD<f32>], ids: &[&[u32]]) -> Result<(), Error> {
        let (batch, new) = (ids.len(), ids.first().map_or(0, |row| row.len()));
        let shape = |expected: &[usize], found: Option<&ArrayD<f32>>| Error::Shape {
            part: super::PART,
            expected: expected.to_vec(),
            found: found.map(|rows| rows.shape().to_vec()),
        };
        for i in 0..self.pages.len().max(rows.len()) {
            let expected = [self.ids.len(), new, self.pages.get(i).map_or(0, KvPages::width)];
            match rows.get(i) {
                Some(rows) if rows.shape() == expected && batch == self.ids.len() => {}
                found => return Err(shape(&expected, found)),
            }
        }
        let first = self.pages.first().map_or(0, KvPages::rows);
        for (pages, rows) in self.pages.iter_mut().zip(rows) {
            match rows.as_slice() {
                Some(rows) => pages.push(rows)?,
                None => pages.push(&rows.iter().copied().collect::<Vec<_>>())?,
            }
        }
        for (b, (slots, row)) in self.slots.iter_mut().zip(&mut self.ids).enumerate() {
            slots.extend((0..new).map(|s| (first + b * new + s) as i64));
            row.extend_from_slice(ids[b]);
        }
        Ok(())
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
        cache.append(&rows([1.0, 2.0]), &[&[11], &[12]]).unwrap();
        cache.reorder(&[1, 1]);
        cache.append(&rows([3.0, 4.0]), &[&[13], &[14]]).unwrap();
        assert_eq!(cache.ids(), [[12, 13], [12, 14]]);
        let keys = cache.pages[0].gather(&cache.slots);
        assert_eq!(keys, array![[[2.0], [3.0]], [[2.0], [4.0]]]);
        cache.reorder(&[1]);
        assert_eq!(cache.ids(), [[12, 14]]);
        assert_eq!(cache.past(), 2);
    }

    #[test]
    fn rows_of_another_shape_are_refused() {
        let mut cache = KvCache::empty(1, 3);
        let narrow = vec![Array::zeros((1, 1, 2)).into_dyn(); 2];
        let sentence = cache.append(&narrow, &[&[5]]).unwrap_err().to_string();
        assert!(sentence.contains("expected [1, 1, 3], found [1, 1, 2]"), "{sentence}");
        assert_eq!((cache.past(), cache.pages[0].rows()), (0, 0));
    }

    #[test]
    fn a_tensor_too_few_is_refused_and_leaves_the_cache_as_it_was() {
        let mut cache = KvCache::empty(1, 2);
        let keys_alone = [Array::zeros((1, 1, 2)).into_dyn()];
        assert!(cache.append(&keys_alone, &[&[5]]).is_err());
        assert_eq!((cache.past(), cache.pages[0].rows()), (0, 0));
    }

    #[test]
    fn rows_in_column_major_order_keep_their_values() {
        let mut cache = KvCache::empty(1, 2);
        let columns = array![[[1.0, 3.0], [2.0, 4.0]]].permuted_axes([0, 2, 1]).into_dyn();
        cache.append(&[columns.clone(), columns], &[&[5, 6]]).unwrap();
        assert_eq!(cache.pages[1].gather(&cache.slots), array![[[1.0, 2.0], [3.0, 4.0]]]);
    }
}

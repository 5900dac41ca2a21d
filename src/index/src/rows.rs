//! Sets of rows, and new numbers for them.

/// A set of rows, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// No row of `rows`.
    pub(crate) fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)] }
    }

    /// All rows of `rows`.
    pub(crate) fn all(rows: usize) -> Self {
        Self { words: vec![u64::MAX; rows.div_ceil(64)] }
    }

    pub(crate) fn insert(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(crate) fn remove(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    #[inline]
    pub(crate) fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// New numbers for the rows of a set, in order and without a gap.
#[derive(Debug)]
pub(crate) struct Renumbering {
    kept: RowSet,
    /// The number of kept rows before each word.
    before: Vec<u64>,
    count: u64,
}

impl Renumbering {
    pub(crate) fn new(kept: RowSet) -> Self {
        let mut count = 0;
        let mut before = Vec::with_capacity(kept.words.len());
        for word in &kept.words {
            before.push(count);
            count += u64::from(word.count_ones());
        }
        Self { kept, before, count }
    }

    /// The rows that have new numbers.
    pub(crate) fn kept(&self) -> &RowSet {
        &self.kept
    }

    /// Their count.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The new number of a row; `None` if it is not in the set.
    pub(crate) fn new_row(&self, row: u64) -> Option<u64> {
        let row = usize::try_from(row).ok().filter(|row| self.kept.contains(*row))?;
        let earlier = self.kept.words[row / 64] & ((1 << (row % 64)) - 1);
        Some(self.before[row / 64] + u64::from(earlier.count_ones()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn new_numbers_count_the_rows_that_are_kept(kept in btree_set(0_u64..300, 0..300)) {
            let mut rows = RowSet::none(300);
            kept.iter().for_each(|&row| rows.insert(row as usize));
            let renumbering = Renumbering::new(rows);
            prop_assert_eq!(renumbering.count(), kept.len() as u64);
            let new: Vec<_> = (0..400).filter_map(|row| renumbering.new_row(row)).collect();
            prop_assert_eq!(new, (0..kept.len() as u64).collect::<Vec<_>>());
            let named: BTreeSet<u64> =
                (0..400).filter(|&row| renumbering.new_row(row).is_some()).collect();
            prop_assert_eq!(named, kept);
            prop_assert_eq!(renumbering.new_row(u64::MAX), None);
        }
    }
}

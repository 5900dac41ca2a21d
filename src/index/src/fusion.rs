//! Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): one ranking of two.

use std::collections::HashMap;

/// The weight of the first ranks over later ones, less the larger it is: the paper's constant.
const K: f64 = 60.0;

/// Rows of either ranking, those with the largest sum of `1 / (60 + rank)` first; equal ones in the order of rows.
pub(crate) fn fuse(rankings: [&[u64]; 2]) -> Vec<u64> {
    let mut scores: HashMap<u64, f64> = HashMap::new();
    for ranking in rankings {
        for (rank, &row) in (1_u32..).zip(ranking) {
            *scores.entry(row).or_default() += 1.0 / (K + f64::from(rank));
        }
    }
    let mut rows: Vec<(u64, f64)> = scores.into_iter().collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    rows.into_iter().map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_both_rankings_comes_before_the_first_of_one() {
        assert_eq!(fuse([&[1, 2, 3], &[4, 3]]), [3, 1, 4, 2]);
    }

    #[test]
    fn an_empty_ranking_changes_nothing() {
        assert_eq!(fuse([&[5, 1, 2], &[]]), [5, 1, 2]);
    }
}

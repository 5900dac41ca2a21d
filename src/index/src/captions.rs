//! Ranking of captions by the words of a query: BM25 (Robertson and Zaragoza, 2009).

use std::collections::HashMap;

/// Saturation: the smaller, the sooner more of the same word counts no more.
const K1: f64 = 1.2;
/// Share of the score that a caption's length discounts, 0 to 1.
const B: f64 = 0.75;

/// A caption that has words of the query.
struct Match {
    row: u64,
    /// Occurrences of each word of the query.
    counts: Vec<u32>,
    length: usize,
}

/// Captions, ranked once all were shown to it.
pub(crate) struct CaptionRanking {
    words: HashMap<String, usize>,
    matches: Vec<Match>,
    captions: usize,
    total_length: usize,
}

impl CaptionRanking {
    /// Begins a ranking by the words of `query`.
    pub(crate) fn new(query: &str) -> Self {
        let mut indices = HashMap::new();
        for word in words(query) {
            let next = indices.len();
            indices.entry(word).or_insert(next);
        }
        Self { words: indices, matches: Vec::new(), captions: 0, total_length: 0 }
    }

    /// Shows the caption of a row.
    pub(crate) fn add(&mut self, row: u64, caption: &str) {
        let (mut counts, mut length) = (vec![0; self.words.len()], 0);
        for word in words(caption) {
            length += 1;
            if let Some(&index) = self.words.get(&word) {
                counts[index] += 1;
            }
        }
        self.captions += 1;
        self.total_length += length;
        if counts.iter().any(|&count| count > 0) {
            self.matches.push(Match { row, counts, length });
        }
    }

    /// Rows whose captions have words of the query, with their scores, best first; equal ones in the order of rows.
    pub(crate) fn rank(self) -> Vec<(u64, f64)> {
        let captions = self.captions as f64;
        let mean_length = self.total_length as f64 / captions.max(1.0);
        let weight = |index: usize| {
            let having = self.matches.iter().filter(|found| found.counts[index] > 0).count() as f64;
            (1.0 + (captions - having + 0.5) / (having + 0.5)).ln()
        };
        let weights: Vec<f64> = (0..self.words.len()).map(weight).collect();
        let score = |found: &Match| -> f64 {
            let norm = K1 * (1.0 - B + B * found.length as f64 / mean_length.max(1.0));
            let counts = found.counts.iter().map(|&count| f64::from(count));
            counts
                .zip(&weights)
                .map(|(count, weight)| weight * count * (K1 + 1.0) / (count + norm))
                .sum()
        };
        let mut rows: Vec<_> = self.matches.iter().map(|found| (found.row, score(found))).collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        rows
    }
}

/// Words in lower case, without the ending of a plural.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        let word = word.to_lowercase();
        match word.strip_suffix('s') {
            Some(singular) if singular.len() > 2 && !singular.ends_with('s') => singular.to_owned(),
            _ => word,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(query: &str, captions: &[&str]) -> Vec<u64> {
        let mut ranking = CaptionRanking::new(query);
        captions.iter().enumerate().for_each(|(row, caption)| ranking.add(row as u64, caption));
        ranking.rank().into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn rare_words_count_more_than_frequent_ones() {
        let captions = ["a dog on a sofa", "a zebra on grass", "a dog on grass", "a dog"];
        assert_eq!(rank("a zebra", &captions)[0], 1);
        assert_eq!(rank("dog grass", &captions)[0], 2);
    }

    #[test]
    fn captions_without_a_word_of_the_query_are_left_out() {
        assert_eq!(rank("zebra", &["a dog", "two zebras", "Zebra!"]), [2, 1]);
        assert_eq!(rank("", &["a dog"]), [0; 0]);
        assert_eq!(rank("glass", &["a gla", "glasses"]), [0; 0]);
    }
}

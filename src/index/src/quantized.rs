//! Embeddings in int8, with bounds on what the rounding does to a product.

use coca_kernels::RowQuery;

/// Steps of the low plane in one of the high plane.
const LOW_STEPS: f32 = 254.0;

/// A stored embedding: `codes × scale`, and the Euclidean length of what the rounding took away.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuantizedRow {
    pub(crate) codes: Vec<i8>,
    pub(crate) scale: f32,
    pub(crate) error: f32,
}

/// A query in two int8 planes: `(high + low / 254) × scale`.
#[derive(Debug)]
pub(crate) struct QuantizedQuery {
    pub(crate) planes: RowQuery,
    scale: f32,
    /// The Euclidean length of the query as it is stored.
    length: f32,
    /// The Euclidean length of what the rounding took away.
    error: f32,
}

/// Bounds of a product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) middle: f32,
    pub(crate) margin: f32,
}

/// The most that the float arithmetic of the bounds may lose, for vectors of length 1.
const SLACK: f32 = 2e-6;

impl QuantizedRow {
    /// Rounds an embedding to int8.
    pub(crate) fn new(elements: &[f32]) -> Self {
        let (codes, scale) = round(elements);
        let error =
            length(elements.iter().zip(&codes).map(|(&x, &code)| x - f32::from(code) * scale));
        Self { codes, scale, error }
    }
}

impl QuantizedQuery {
    /// Rounds a query to two planes; `None` if it is wider than a kernel takes.
    pub(crate) fn new(elements: &[f32]) -> Option<Self> {
        let (high, scale) = round(elements);
        let low: Vec<i8> = elements
            .iter()
            .zip(&high)
            .map(|(x, &high)| ((x / scale - f32::from(high)) * LOW_STEPS).round_ties_even() as i8)
            .collect();
        let stored: Vec<f32> = high
            .iter()
            .zip(&low)
            .map(|(&high, &low)| (f32::from(high) + f32::from(low) / LOW_STEPS) * scale)
            .collect();
        let error = length(elements.iter().zip(&stored).map(|(x, stored)| x - stored));
        let planes = RowQuery::new(&high, &low)?;
        Some(Self { planes, scale, length: length(stored.into_iter()), error })
    }

    /// Bounds of the product with a stored row of length 1: with `q = q̂ + δ` and `v = v̂ + ε`,
    /// `|q·v - q̂·v̂| ≤ ‖q̂‖ ‖ε‖ + ‖δ‖ ‖v‖` (Cauchy and Schwarz).
    #[inline]
    pub(crate) fn bounds(&self, [high, low]: [i32; 2], [scale, error]: [f32; 2]) -> Bounds {
        let steps = high as f32 + low as f32 / LOW_STEPS;
        let middle = steps * (self.scale * scale);
        Bounds { middle, margin: self.length * error + self.error * 1.001 + SLACK }
    }
}

/// Codes of -127 to 127, and the scale that makes the largest element one of the two.
fn round(elements: &[f32]) -> (Vec<i8>, f32) {
    let largest = elements.iter().fold(0_f32, |largest, x| largest.max(x.abs()));
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    (elements.iter().map(|x| (x / scale).round_ties_even() as i8).collect(), scale)
}

/// The Euclidean length, rounded up.
fn length(elements: impl Iterator<Item = f32>) -> f32 {
    let squares: f64 = elements.map(|x| f64::from(x) * f64::from(x)).sum();
    (squares.sqrt() * 1.000_001) as f32
}

/// The product of two embeddings, in double precision: what a search ranks by.
pub(crate) fn product(a: &[f32], b: &[f32]) -> f64 {
    // Four sums, so that additions do not wait for each other.
    let mut sums = [0_f64; 4];
    let (fours, rest) = a.as_chunks::<4>();
    let (others, other_rest) = b.as_chunks::<4>();
    for (a, b) in fours.iter().zip(others) {
        for i in 0..4 {
            sums[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let tail: f64 = rest.iter().zip(other_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use coca_kernels::Cpu;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Directions with elements of very different sizes.
    fn unit(width: usize) -> impl Strategy<Value = Vec<f32>> {
        let element = prop_oneof![4 => -1.0_f32..1.0, 1 => Just(0.0), 1 => -30.0_f32..30.0];
        vec(element, width).prop_filter_map("a length", |elements| {
            let norm = elements.iter().map(|x| x * x).sum::<f32>().sqrt();
            (norm > 1e-3).then(|| elements.iter().map(|x| x / norm).collect())
        })
    }

    proptest! {
        #[test]
        fn the_product_lies_within_its_bounds(
            (row, query) in (1_usize..200).prop_flat_map(|width| (unit(width), unit(width)))
        ) {
            let stored = QuantizedRow::new(&row);
            let prepared = QuantizedQuery::new(&query).unwrap();
            let mut codes = stored.codes.clone();
            codes.resize(prepared.planes.width(), 0);
            let mut sums = [[0; 2]];
            prepared.planes.products(Cpu::best(), &codes, &mut sums);
            let Bounds { middle, margin } = prepared.bounds(sums[0], [stored.scale, stored.error]);
            let exact = product(&row, &query) as f32;
            prop_assert!((exact - middle).abs() <= margin, "{exact} {middle} ± {margin}");
            prop_assert!(margin < 0.08, "{margin}");
        }
    }

    #[test]
    fn an_embedding_of_zeros_stays_finite() {
        let row = QuantizedRow::new(&[0.0; 5]);
        assert_eq!((row.codes, row.error), (vec![0; 5], 0.0));
        assert!(
            QuantizedQuery::new(&[0.0; 5]).unwrap().bounds([0; 2], [row.scale, 0.0]).middle == 0.0
        );
    }
}

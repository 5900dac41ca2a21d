//! Symmetric rounding to 8-bit integers with one scale for each channel.

/// Integers never reach -128: a product of two then fits 15 bits, which the oldest Arm kernels need.
pub(super) const MAX_INTEGER: f32 = 127.0;

/// A tensor of integers: an element's value is its integer times the scale of its channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8 {
    /// In the order of the tensor, each within ±127.
    pub integers: Vec<i8>,
    /// One for each channel.
    pub scales: Vec<f32>,
}

/// The axis of a tensor's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// The first: rows of a table, outputs of a convolution.
    First,
    /// The last of two: outputs of a matrix `[in, out]`.
    Last,
}

impl Int8 {
    /// Rounds `values`, which have `channels` channels along the axis `along`.
    ///
    /// A channel's scale is its largest magnitude over 127, so that every number is off by at most half a scale.
    #[must_use]
    pub fn round(values: &[f32], channels: usize, along: Channels) -> Self {
        match along {
            Channels::First => round_rows(values, values.len() / channels.max(1)),
            Channels::Last => round_columns(values, channels),
        }
    }

    /// The dequantised values.
    #[must_use]
    pub fn values(&self, along: Channels) -> Vec<f32> {
        let columns = match along {
            Channels::First => self.integers.len() / self.scales.len().max(1),
            Channels::Last => self.scales.len(),
        };
        let rows = self.integers.chunks(columns.max(1)).enumerate();
        let scale = |row: usize, column: usize| match along {
            Channels::First => self.scales[row],
            Channels::Last => self.scales[column],
        };
        rows.flat_map(|(row, integers)| {
            let numbered = integers.iter().enumerate();
            numbered.map(move |(column, &i)| f32::from(i) * scale(row, column))
        })
        .collect()
    }

    /// The same of a matrix `[columns, rows]` where this is of one `[rows, columns]`; scales stay.
    pub(super) fn transposed(self, columns: usize) -> Self {
        let rows = self.integers.len() / columns;
        let column = |c: usize| self.integers.iter().skip(c).step_by(columns).copied();
        let mut integers = Vec::with_capacity(rows * columns);
        (0..columns).for_each(|c| integers.extend(column(c)));
        Self { integers, scales: self.scales }
    }
}

fn round_rows(values: &[f32], width: usize) -> Int8 {
    let mut rounded = Int8 { integers: Vec::with_capacity(values.len()), scales: Vec::new() };
    for row in values.chunks(width.max(1)) {
        let scale = scale(row.iter().fold(0.0, |largest: f32, v| largest.max(v.abs())));
        rounded.scales.push(scale);
        rounded.integers.extend(row.iter().map(|&v| integer(v, scale)));
    }
    rounded
}

fn round_columns(values: &[f32], columns: usize) -> Int8 {
    let mut largest = vec![0.0_f32; columns];
    for row in values.chunks(columns.max(1)) {
        largest.iter_mut().zip(row).for_each(|(largest, v)| *largest = largest.max(v.abs()));
    }
    let scales: Vec<f32> = largest.into_iter().map(scale).collect();
    let rows = values.chunks(columns.max(1));
    let integers = rows
        .flat_map(|row| row.iter().zip(&scales).map(|(&v, &scale)| integer(v, scale)))
        .collect();
    Int8 { integers, scales }
}

/// A channel of zeros gets a scale too: a runtime may divide by it.
fn scale(largest: f32) -> f32 {
    (largest / MAX_INTEGER).max(f32::MIN_POSITIVE)
}

pub(super) fn integer(value: f32, scale: f32) -> i8 {
    (value / scale).round_ties_even().clamp(-MAX_INTEGER, MAX_INTEGER) as i8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(along: Channels, i: usize, columns: usize) -> usize {
        match along {
            Channels::First => i / columns,
            Channels::Last => i % columns,
        }
    }

    proptest! {
        #[test]
        fn a_round_trip_is_off_by_at_most_half_a_scale(
            (rows, columns, values) in (1_usize..9, 1_usize..9).prop_flat_map(|(rows, columns)| {
                let number = prop_oneof![-1e3_f32..1e3, -1e-3_f32..1e-3, Just(0.0), -1e30_f32..1e30];
                (Just(rows), Just(columns), prop::collection::vec(number, rows * columns))
            }),
            first in any::<bool>(),
        ) {
            let (along, channels) =
                if first { (Channels::First, rows) } else { (Channels::Last, columns) };
            let rounded = Int8::round(&values, channels, along);
            prop_assert_eq!(rounded.scales.len(), channels);
            prop_assert!(rounded.integers.iter().all(|&i| i >= -127));
            for (i, (found, value)) in rounded.values(along).iter().zip(&values).enumerate() {
                let scale = rounded.scales[channel(along, i, columns)];
                prop_assert!((found - value).abs() <= scale * 0.50001, "{found} for {value}, scale {scale}");
            }
        }

        #[test]
        fn the_largest_number_of_a_channel_becomes_127_or_its_negative(
            values in prop::collection::vec(-10.0_f32..10.0, 1..50)
        ) {
            prop_assume!(values.iter().any(|v| v.abs() > 1e-3));
            let rounded = Int8::round(&values, 1, Channels::First);
            prop_assert_eq!(rounded.integers.iter().map(|i| i.unsigned_abs()).max(), Some(127));
        }
    }

    #[test]
    fn a_channel_of_zeros_stays_zero() {
        let rounded = Int8::round(&[0.0, 1.0, 0.0, -2.0], 2, Channels::Last);
        assert_eq!(rounded.integers, [0, 64, 0, -127]);
        assert!(rounded.scales[0] > 0.0);
    }

    #[test]
    fn a_transposed_matrix_keeps_its_scales() {
        let rows = Int8 { integers: vec![1, 2, 3, 4, 5, 6], scales: vec![0.5, 0.25] };
        let columns = rows.clone().transposed(3);
        assert_eq!(columns.integers, [1, 4, 2, 5, 3, 6]);
        assert_eq!(columns.values(Channels::Last), [0.5, 1.0, 1.0, 1.25, 1.5, 1.5]);
    }
}

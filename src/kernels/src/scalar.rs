//! The reference: plain Rust, for any CPU. Every other instruction set must give the same bits.

use crate::{
    isa::{Isa, PanelShape, QuantizedRow},
    lanes::{LANES, Lanes},
};

/// The proof that needs none: every CPU runs plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type F32 = [f32; LANES];

fn each(a: F32, f: impl Fn(f32) -> f32) -> F32 {
    a.map(f)
}

fn pairs(a: F32, b: F32, f: impl Fn(f32, f32) -> f32) -> F32 {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Lanes for Scalar {
    type F32 = F32;

    fn splat(self, value: f32) -> F32 {
        [value; LANES]
    }

    fn load(self, from: &[f32]) -> F32 {
        std::array::from_fn(|i| from[i])
    }

    fn store(self, values: F32, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&values);
    }

    fn load_i32(self, from: &[i32]) -> F32 {
        std::array::from_fn(|i| from[i] as f32)
    }

    fn store_i8(self, values: F32, to: &mut [i8]) {
        for (to, value) in to[..LANES].iter_mut().zip(values) {
            *to = value.round_ties_even() as i8;
        }
    }

    fn add(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| a + b)
    }

    fn sub(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| a - b)
    }

    fn mul(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| a * b)
    }

    fn div(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| a / b)
    }

    fn mul_add(self, a: F32, b: F32, c: F32) -> F32 {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    fn max(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| if a > b { a } else { b })
    }

    fn min(self, a: F32, b: F32) -> F32 {
        pairs(a, b, |a, b| if a < b { a } else { b })
    }

    fn abs(self, a: F32) -> F32 {
        each(a, f32::abs)
    }

    fn round(self, a: F32) -> F32 {
        each(a, f32::round_ties_even)
    }

    fn scale_by_power_of_two(self, a: F32, n: F32) -> F32 {
        pairs(a, n, |a, n| a * f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
}

impl Isa for Scalar {
    type Lanes = Self;
    type Codes = Self;
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 1, offset: 0 };
    const INT8_ROWS: usize = 8;
    const F32_ROWS: usize = 8;

    fn lanes(self) -> Self {
        self
    }

    fn codes(self) -> Self {
        self
    }

    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], _: &[i8], sums: &mut [i32]) {
        let columns = Self::PANEL.columns;
        for (row, sums) in rows.iter().zip(sums.chunks_exact_mut(columns)) {
            sums.fill(0);
            for (&value, weights) in row.values.iter().zip(panel.chunks_exact(columns)) {
                for (sum, &weight) in sums.iter_mut().zip(weights) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
        }
    }

    fn row_products<const R: usize>(
        self,
        rows: &[i8],
        planes: [&[i8]; 2],
        sums: &mut [[i32; 2]; R],
    ) {
        for (row, sums) in rows.chunks_exact(planes[0].len()).zip(sums) {
            *sums = planes.map(|plane| {
                row.iter().zip(plane).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
            });
        }
    }
}

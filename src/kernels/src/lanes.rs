//! Sixteen f32 lanes, on every instruction set alike.
//!
//! An operation over floats is written once, against [`Lanes`], and compiled for each instruction set.
//! Sixteen lanes everywhere, fused multiply-adds everywhere and one fixed order of summation make the
//! results equal bit for bit, whatever CPU computes them.

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// The float operations of an instruction set, on vectors of sixteen lanes. A value proves that the CPU has it.
///
/// Implementations are inlined into functions compiled for their instruction set (see `Cpu::run`).
pub(crate) trait Lanes: Copy {
    /// A vector of sixteen lanes.
    type F32: Copy;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::F32;
    /// Loads the first sixteen elements of `from`.
    ///
    /// # Panics
    /// When there are fewer, as in the loads and stores below.
    fn load(self, from: &[f32]) -> Self::F32;
    /// Stores to the first sixteen elements of `to`.
    fn store(self, values: Self::F32, to: &mut [f32]);
    /// Loads and converts the first sixteen integers of `from`.
    fn load_i32(self, from: &[i32]) -> Self::F32;
    /// Rounds to the nearest integers, ties to even; the values must lie in -128..=127.
    fn store_i8(self, values: Self::F32, to: &mut [i8]);

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a × b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a ÷ b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a × b + c`, rounded once.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The larger of each pair; `b` where `a` is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The smaller of each pair; `b` where `a` is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Absolute values.
    fn abs(self, a: Self::F32) -> Self::F32;
    /// Rounds to the nearest integers, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// `a × 2^n` for integers `n` in -126..=127.
    fn scale_by_power_of_two(self, a: Self::F32, n: Self::F32) -> Self::F32;

    /// The products of rows with a panel `[inputs, 16]`: sixteen sums for each row, of the inputs in order.
    ///
    /// # Panics
    /// When a row has fewer elements than the panel has inputs.
    #[inline(always)]
    fn row_products<const R: usize>(self, rows: [&[f32]; R], panel: &[f32]) -> [Self::F32; R] {
        self.add_row_products([self.splat(0.0); R], rows, panel)
    }

    /// [`Lanes::row_products`], added to `sums`.
    #[inline(always)]
    fn add_row_products<const R: usize>(
        self,
        mut sums: [Self::F32; R],
        rows: [&[f32]; R],
        panel: &[f32],
    ) -> [Self::F32; R] {
        let inputs = panel.len() / LANES;
        assert!(rows.iter().all(|row| row.len() >= inputs));
        for (k, weights) in panel.chunks_exact(LANES).enumerate() {
            let weights = self.load(weights);
            for r in 0..R {
                // SAFETY: k < inputs, and the assertion above holds every row to at least `inputs` elements.
                let value = unsafe { *rows[r].get_unchecked(k) };
                sums[r] = self.mul_add(self.splat(value), weights, sums[r]);
            }
        }
        sums
    }

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self, a: Self::F32) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(a, &mut array);
        array
    }

    /// The sum of the lanes: the upper half is added to the lower until one is left.
    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        let mut values = self.to_array(a);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                values[i] += values[i + half];
            }
        }
        values[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, a: Self::F32) -> f32 {
        let values = self.to_array(a);
        values.into_iter().fold(values[0], |a, b| if a > b { a } else { b })
    }

    /// Loads the elements of `from`, at most sixteen, with `fill` in the other lanes.
    #[inline(always)]
    fn load_part(self, from: &[f32], fill: f32) -> Self::F32 {
        if from.len() >= LANES {
            return self.load(from);
        }
        let mut array = [fill; LANES];
        array[..from.len()].copy_from_slice(from);
        self.load(&array)
    }

    /// Stores as many lanes as `to` has elements, at most sixteen.
    #[inline(always)]
    fn store_part(self, values: Self::F32, to: &mut [f32]) {
        if to.len() >= LANES {
            self.store(values, to);
        } else {
            to.copy_from_slice(&self.to_array(values)[..to.len()]);
        }
    }
}

//! f32 products on NEON: four elements of each row stay in a register, of which `fmla` multiplies weights by one.
//!
//! Rows go through a panel eight columns at a time. Then eight rows' sums, their elements and the weights of four inputs fit
//! the registers, and everything is loaded before the first of 64 multiply-adds: a core that issues in order, as the
//! Cortex-A53 does, waits once for loads where it would wait for every weight.

use std::arch::{aarch64::*, asm};

use crate::lanes::LANES;

/// Inputs of a step.
pub(crate) const INPUTS: usize = 4;

/// Two quarters of a panel's columns, four columns each.
const QUARTERS: usize = 2;

/// Adds the products of `R` rows with a panel `[INPUTS × steps, 16]` to `sums`, input after input.
///
/// # Safety
/// `INPUTS × steps` elements of every row can be read, and sixteen times as many of the panel.
#[inline(never)]
pub(crate) unsafe fn add_products<const R: usize>(
    rows: &[*const f32; R],
    panel: *const f32,
    steps: usize,
    sums: &mut [[float32x4_t; 4]; R],
) {
    for first in (0..4).step_by(QUARTERS) {
        let mut tile: [[float32x4_t; QUARTERS]; R] =
            std::array::from_fn(|r| [sums[r][first], sums[r][first + 1]]);
        for step in 0..steps {
            // SAFETY: step < steps, and `first` is that of two quarters: the caller promises the elements and the weights.
            unsafe {
                let values = rows.map(|row| vld1q_f32(row.add(INPUTS * step)));
                let weights = weights(panel.add(INPUTS * LANES * step + 4 * first));
                add_input::<R, 0>(&mut tile, &values, weights[0]);
                add_input::<R, 1>(&mut tile, &values, weights[1]);
                add_input::<R, 2>(&mut tile, &values, weights[2]);
                add_input::<R, 3>(&mut tile, &values, weights[3]);
            }
        }
        for (sums, tile) in sums.iter_mut().zip(tile) {
            [sums[first], sums[first + 1]] = tile;
        }
    }
}

/// The weights of eight columns for four inputs, loaded before any of them is used.
///
/// # Safety
/// The first eight of sixteen columns can be read at `from` for four inputs.
#[inline(always)]
unsafe fn weights(from: *const f32) -> [[float32x4_t; QUARTERS]; INPUTS] {
    // SAFETY: the caller promises the columns; the assembly is empty, and the compiler cannot use a weight before it.
    unsafe {
        let load = |at: usize| vld1q_f32(from.add(at));
        let input = |k: usize| [load(LANES * k), load(LANES * k + 4)];
        let [[mut a, mut b], [mut c, mut d]] = [input(0), input(1)];
        let [[mut e, mut f], [mut g, mut h]] = [input(2), input(3)];
        asm!(
            "// {a:v} {b:v} {c:v} {d:v} {e:v} {f:v} {g:v} {h:v}",
            a = inout(vreg) a,
            b = inout(vreg) b,
            c = inout(vreg) c,
            d = inout(vreg) d,
            e = inout(vreg) e,
            f = inout(vreg) f,
            g = inout(vreg) g,
            h = inout(vreg) h,
            options(pure, nomem, nostack, preserves_flags),
        );
        [[a, b], [c, d], [e, f], [g, h]]
    }
}

/// Adds the products of input `K` of a step.
#[inline(always)]
fn add_input<const R: usize, const K: i32>(
    tile: &mut [[float32x4_t; QUARTERS]; R],
    values: &[float32x4_t; R],
    weights: [float32x4_t; QUARTERS],
) {
    for (quarter, weights) in weights.into_iter().enumerate() {
        for (sums, &value) in tile.iter_mut().zip(values) {
            // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON.
            sums[quarter] = unsafe { vfmaq_laneq_f32::<K>(sums[quarter], weights, value) };
        }
    }
}

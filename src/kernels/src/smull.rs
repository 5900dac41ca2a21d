//! Any 64-bit Arm: `smull` and `smlal2` add two products of bytes in 16 bits, `sadalp` adds pairs of those to 32-bit sums.
//!
//! Two products, of a byte with one within ±127, fit 16 bits; a third need not. Sixteen inputs of a column meet sixteen of a
//! row, and the four sums that a pair of them keeps are added up in the end.
//!
//! The Cortex-A53 issues in order: an instruction whose operand is not there yet holds up all that follow. The compiler puts
//! instructions close behind those they depend on, so blocks of assembly keep them apart: several products are on their way
//! at once, and their `smull`, `smlal2` and `sadalp` go side by side.

use std::{
    arch::{aarch64::*, asm, is_aarch64_feature_detected},
    array::from_fn,
    convert::Infallible,
};

use crate::{
    byte_product::{BLOCK, ByteProduct, PANEL_BLOCK, PREFETCH, Rows, prefetch},
    isa::Operation,
    lanes::LANES,
    neon::Neon,
};

/// Proof that the CPU has NEON.
#[derive(Clone, Copy)]
pub(crate) struct Smull(());

impl ByteProduct for Smull {
    type Words = Infallible;
    const DEPTH: usize = BLOCK;
    const ROWS: usize = 4;

    fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon")]
        fn compiled<O: Operation>(isa: Neon<Smull>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(Neon::proven_by(self), operation) }
    }

    #[inline(always)]
    unsafe fn products<const R: usize>(
        self,
        rows: Rows<R>,
        panel: *const i8,
        start: [int32x4_t; 4],
    ) -> [[int32x4_t; 4]; R] {
        let mut sums = [start; R];
        // SAFETY: the caller promises the rows and the panel.
        unsafe {
            match R {
                1 => self.tile::<R, 1, 8>(&rows, panel, &mut sums),
                2 => self.tile::<R, 1, 8>(&rows, panel, &mut sums),
                3 => self.tile::<R, 2, 6>(&rows, panel, &mut sums),
                4 => {
                    let rows = Rows {
                        first: from_fn(|r| rows.first[r]),
                        step: rows.step,
                        blocks: rows.blocks,
                    };
                    let Ok(sums) = (&mut sums[..]).try_into() else { unreachable!("R is four") };
                    four_rows(&rows, panel, &start, sums);
                }
                _ => unreachable!("more rows than `ROWS`"),
            }
        }
        sums
    }

    #[inline(always)]
    fn add_products<const N: usize>(
        self,
        sums: &mut [int32x4_t; N],
        a: [int8x16_t; N],
        b: [int8x16_t; N],
    ) {
        // All low halves are multiplied, then all high ones, then pairs of products are added.
        macro_rules! in_order {
            ($($i:literal $product:ident $sum:ident $a:ident $b:ident),*) => {
                // SAFETY: instructions of NEON over registers, which `self` proves.
                unsafe {
                    asm!(
                        $(concat!("smull {", stringify!($product), ":v}.8h, {", stringify!($a), ":v}.8b, {", stringify!($b), ":v}.8b"),)*
                        $(concat!("smlal2 {", stringify!($product), ":v}.8h, {", stringify!($a), ":v}.16b, {", stringify!($b), ":v}.16b"),)*
                        $(concat!("sadalp {", stringify!($sum), ":v}.4s, {", stringify!($product), ":v}.8h"),)*
                        $($product = out(vreg) _, $sum = inout(vreg) sums[$i], $a = in(vreg) a[$i], $b = in(vreg) b[$i],)*
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
            };
        }
        match N {
            8 => in_order!(
                0 p0 s0 a0 b0, 1 p1 s1 a1 b1, 2 p2 s2 a2 b2, 3 p3 s3 a3 b3,
                4 p4 s4 a4 b4, 5 p5 s5 a5 b5, 6 p6 s6 a6 b6, 7 p7 s7 a7 b7
            ),
            6 => in_order!(
                0 p0 s0 a0 b0, 1 p1 s1 a1 b1, 2 p2 s2 a2 b2,
                3 p3 s3 a3 b3, 4 p4 s4 a4 b4, 5 p5 s5 a5 b5
            ),
            _ => {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    // SAFETY: NEON, proven by `self`.
                    unsafe {
                        let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
                        *sum = vpadalq_s16(*sum, vmlal_high_s8(low, a, b));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn words(self) -> Option<Infallible> {
        None
    }
}

impl Smull {
    /// Adds the products of `R` rows with sixteen columns, `S N / R` of them at a time: `S N` quadruples of sums stay in
    /// registers, beside the rows, a few weights and `N` products. Row `r` and column `c` are product `c R + r`.
    ///
    /// # Safety
    /// As for [`ByteProduct::products`].
    #[inline(never)]
    unsafe fn tile<const R: usize, const S: usize, const N: usize>(
        self,
        rows: &Rows<R>,
        panel: *const i8,
        sums: &mut [[int32x4_t; 4]; R],
    ) {
        let columns = S * N / R;
        for first in (0..LANES).step_by(columns) {
            // SAFETY: NEON, proven by `self`. Block b of the rows meets sixteen bytes of each column from `first` on, which
            // stand in 256b..256b+256 of the panel; the caller promises both.
            unsafe {
                let mut quadruples = [[vdupq_n_s32(0); N]; S];
                for block in 0..rows.blocks {
                    let at = panel.add(block * PANEL_BLOCK + first * BLOCK);
                    for line in 0..columns / 4 {
                        prefetch(at.wrapping_add(PREFETCH + 64 * line));
                    }
                    let values = rows.load(block);
                    for (s, quadruples) in quadruples.iter_mut().enumerate() {
                        let column = |n: usize| vld1q_s8(at.add((s * N + n) / R * BLOCK));
                        let values = std::array::from_fn(|n| values[(s * N + n) % R]);
                        self.add_products(quadruples, std::array::from_fn(column), values);
                    }
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (four, sums) in sums[first / 4..][..columns / 4].iter_mut().enumerate() {
                        let of = |c: usize| {
                            let product = (4 * four + c) * R + r;
                            quadruples[product / N][product % N]
                        };
                        let [left, right] = [vpaddq_s32(of(0), of(1)), vpaddq_s32(of(2), of(3))];
                        *sums = vaddq_s32(*sums, vpaddq_s32(left, right));
                    }
                }
            }
        }
    }
}

/// The products of four rows, four columns at a time, added to `start`: the loop over a panel is one block of assembly. Sixteen
/// quadruples of sums, four rows and columns and eight products take all 32 registers, and an instruction that the compiler puts
/// between the products costs an in-order core more than its own cycle.
///
/// # Safety
/// As for [`ByteProduct::products`].
#[inline(never)]
unsafe fn four_rows(
    rows: &Rows<4>,
    panel: *const i8,
    start: &[int32x4_t; 4],
    sums: &mut [[int32x4_t; 4]; 4],
) {
    if rows.blocks == 0 {
        *sums = [*start; 4];
        return;
    }
    macro_rules! add_products {
        ($($sum:ident $product:ident $column:ident $row:ident),*) => {
            concat!(
                $("smull {", stringify!($product), ":v}.8h, {", stringify!($column), ":v}.8b, {", stringify!($row), ":v}.8b\n",)*
                $("smlal2 {", stringify!($product), ":v}.8h, {", stringify!($column), ":v}.16b, {", stringify!($row), ":v}.16b\n",)*
                $("sadalp {", stringify!($sum), ":v}.4s, {", stringify!($product), ":v}.8h\n",)*
            )
        };
    }
    macro_rules! start_columns {
        ($($sum:ident $at:literal),*) => {
            concat!($("ldr {", stringify!($sum), ":s}, [{start}, ", $at, "]\n",)*)
        };
    }
    macro_rules! add_pairs {
        ($($a:ident $b:ident),*) => {
            concat!($("addp {", stringify!($a), ":v}.4s, {", stringify!($a), ":v}.4s, {", stringify!($b), ":v}.4s\n",)*)
        };
    }
    for four in 0..LANES / 4 {
        let (s0, s1, s2, s3): (int32x4_t, int32x4_t, int32x4_t, int32x4_t);
        // SAFETY: NEON, which every 64-bit Arm CPU has that Rust compiles for. Block b of the rows meets sixteen bytes of each of
        // four columns, which stand in 256b..256b+256 of the panel; the caller promises both. A prefetch may name any address.
        unsafe {
            // `sCR`: four sums of column C and row R. The first one begins with the column's start, the other three with zero.
            asm!(
                start_columns!(
                    s00 0, s01 0, s02 0, s03 0, s10 4, s11 4, s12 4, s13 4,
                    s20 8, s21 8, s22 8, s23 8, s30 12, s31 12, s32 12, s33 12
                ),
                "2:",
                "prfm pldl1keep, [{at}, {prefetch}]",
                "ldr {r0:q}, [{row0}, {k}]",
                "ldr {r1:q}, [{row1}, {k}]",
                "ldr {r2:q}, [{row2}, {k}]",
                "ldr {r3:q}, [{row3}, {k}]",
                "ldp {c0:q}, {c1:q}, [{at}]",
                "ldp {c2:q}, {c3:q}, [{at}, 32]",
                "add {k}, {k}, {step}",
                "add {at}, {at}, {panel_block}",
                "subs {blocks}, {blocks}, 1",
                add_products!(
                    s00 p0 c0 r0, s01 p1 c0 r1, s02 p2 c0 r2, s03 p3 c0 r3,
                    s10 p4 c1 r0, s11 p5 c1 r1, s12 p6 c1 r2, s13 p7 c1 r3
                ),
                add_products!(
                    s20 p0 c2 r0, s21 p1 c2 r1, s22 p2 c2 r2, s23 p3 c2 r3,
                    s30 p4 c3 r0, s31 p5 c3 r1, s32 p6 c3 r2, s33 p7 c3 r3
                ),
                "b.ne 2b",
                add_pairs!(
                    s00 s10, s01 s11, s02 s12, s03 s13, s20 s30, s21 s31, s22 s32, s23 s33,
                    s00 s20, s01 s21, s02 s22, s03 s23
                ),
                s00 = out(vreg) s0, s01 = out(vreg) s1, s02 = out(vreg) s2, s03 = out(vreg) s3,
                s10 = out(vreg) _, s11 = out(vreg) _, s12 = out(vreg) _, s13 = out(vreg) _,
                s20 = out(vreg) _, s21 = out(vreg) _, s22 = out(vreg) _, s23 = out(vreg) _,
                s30 = out(vreg) _, s31 = out(vreg) _, s32 = out(vreg) _, s33 = out(vreg) _,
                c0 = out(vreg) _, c1 = out(vreg) _, c2 = out(vreg) _, c3 = out(vreg) _,
                r0 = out(vreg) _, r1 = out(vreg) _, r2 = out(vreg) _, r3 = out(vreg) _,
                p0 = out(vreg) _, p1 = out(vreg) _, p2 = out(vreg) _, p3 = out(vreg) _,
                p4 = out(vreg) _, p5 = out(vreg) _, p6 = out(vreg) _, p7 = out(vreg) _,
                row0 = in(reg) rows.first[0], row1 = in(reg) rows.first[1],
                row2 = in(reg) rows.first[2], row3 = in(reg) rows.first[3],
                start = in(reg) &raw const start[four],
                at = inout(reg) panel.add(four * 4 * BLOCK) => _,
                k = inout(reg) 0_usize => _,
                blocks = inout(reg) rows.blocks => _,
                step = in(reg) rows.step,
                panel_block = const PANEL_BLOCK,
                prefetch = const PREFETCH,
                options(pure, readonly, nostack),
            );
        }
        for (sums, row) in sums.iter_mut().zip([s0, s1, s2, s3]) {
            sums[four] = row;
        }
    }
}

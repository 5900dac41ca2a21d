//! Any 64-bit Arm: `smull` and `smlal2` add two products of bytes in 16 bits, `sadalp` adds pairs of those to 32-bit sums.
//!
//! Two products, of a byte with one within ±127, fit 16 bits; a third need not. Sixteen inputs of a column meet sixteen of a
//! row, and the four sums that a pair of them keeps are added up in the end.
//!
//! The Cortex-A53 issues in order: an instruction whose operand is not there yet holds up all that follow. The compiler puts
//! instructions close behind those they depend on, so blocks of assembly keep them apart: several products are on their way
//! at once, and their `smull`, `smlal2` and `sadalp` go side by side.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

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
    const DEPTH: usize = BLOCK;
    const ROWS: usize = 4;
    const IN_ORDER: bool = true;

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
                4 => self.tile::<R, 2, 8>(&rows, panel, &mut sums),
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
    fn dot(self, sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // SAFETY: NEON, proven by `self`.
        unsafe {
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(a, b)))
        }
    }

    #[inline(always)]
    fn dots(
        self,
        [mut s0, mut s1, mut s2, mut s3]: [int32x4_t; 4],
        [a0, a1, a2, a3]: [int8x16_t; 4],
        [b0, b1, b2, b3]: [int8x16_t; 4],
    ) -> [int32x4_t; 4] {
        // SAFETY: instructions of NEON over registers, which `self` proves.
        unsafe {
            asm!(
                "smull {l0:v}.8h, {a0:v}.8b, {b0:v}.8b",
                "smull {l1:v}.8h, {a1:v}.8b, {b1:v}.8b",
                "smull {l2:v}.8h, {a2:v}.8b, {b2:v}.8b",
                "smull {l3:v}.8h, {a3:v}.8b, {b3:v}.8b",
                "smull2 {h0:v}.8h, {a0:v}.16b, {b0:v}.16b",
                "smull2 {h1:v}.8h, {a1:v}.16b, {b1:v}.16b",
                "smull2 {h2:v}.8h, {a2:v}.16b, {b2:v}.16b",
                "smull2 {h3:v}.8h, {a3:v}.16b, {b3:v}.16b",
                "addp {l0:v}.8h, {l0:v}.8h, {h0:v}.8h",
                "addp {l1:v}.8h, {l1:v}.8h, {h1:v}.8h",
                "addp {l2:v}.8h, {l2:v}.8h, {h2:v}.8h",
                "addp {l3:v}.8h, {l3:v}.8h, {h3:v}.8h",
                "sadalp {s0:v}.4s, {l0:v}.8h",
                "sadalp {s1:v}.4s, {l1:v}.8h",
                "sadalp {s2:v}.4s, {l2:v}.8h",
                "sadalp {s3:v}.4s, {l3:v}.8h",
                s0 = inout(vreg) s0, s1 = inout(vreg) s1, s2 = inout(vreg) s2, s3 = inout(vreg) s3,
                a0 = in(vreg) a0, a1 = in(vreg) a1, a2 = in(vreg) a2, a3 = in(vreg) a3,
                b0 = in(vreg) b0, b1 = in(vreg) b1, b2 = in(vreg) b2, b3 = in(vreg) b3,
                l0 = out(vreg) _, l1 = out(vreg) _, l2 = out(vreg) _, l3 = out(vreg) _,
                h0 = out(vreg) _, h1 = out(vreg) _, h2 = out(vreg) _, h3 = out(vreg) _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        [s0, s1, s2, s3]
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

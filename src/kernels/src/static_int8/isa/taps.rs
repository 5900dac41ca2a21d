//! Depthwise filters by `smull` and `smlal`: the codes of sixteen channels side by side, tap after tap.
//!
//! Two taps' products fit 16 bits, as in [`smull`](crate::smull); `saddw` adds them to 32-bit sums. Four outputs of sixteen
//! channels keep eight products on their way, so that an in-order core need not wait for them; blocks of assembly keep the
//! compiler from putting instructions close behind those they depend on.

use std::arch::{aarch64::*, asm};

use super::super::filter_layout::FilterTaps;
use crate::{codes::QuadLines, lanes::LANES};

/// Four outputs of sixteen channels.
type Outputs = [[int32x4_t; 4]; 4];

/// The sums of four neighbouring outputs of a filter of `K` lines that moves by `S`; the filter's taps stand in the order of
/// [`FilterTaps`].
///
/// # Safety
/// As for [`Products::of_quads`](crate::codes::Products::of_quads), of columns in the order of pixels.
#[inline(always)]
pub(super) unsafe fn four_outputs<const K: usize, const S: usize>(
    columns: QuadLines,
    filter: *const u8,
    bias: [int32x4_t; 4],
) -> Outputs {
    let mut sums = [bias; 4];
    let line = |line: usize| columns.first.wrapping_add(line * columns.line_bytes);
    // The last two are not read for filters of three lines.
    let lines = [line(0), line(1), line(2), line(3), line(4)];
    macro_rules! pairs {
        ($($pair:literal)*) => {
            $(if 2 * $pair + 1 < K * K {
                // SAFETY: both taps are the filter's, and the caller promises what they meet.
                unsafe { add_pair::<K, S, { 2 * $pair }, { 2 * $pair + 1 }>(&mut sums, &lines, filter) };
            })*
        };
    }
    pairs!(0 1 2 3 4 5 6 7 8 9 10 11);
    // SAFETY: as above.
    unsafe {
        match K {
            3 => add_last::<K, S, 8>(&mut sums, &lines, filter),
            _ => add_last::<K, S, 24>(&mut sums, &lines, filter),
        }
    }
    sums
}

/// Columns' products with one tap: those of channels 0 to 7 in the first registers, of 8 to 15 in the second.
macro_rules! multiply {
    ($low:literal $high:literal $weights:ident, $($p:ident $q:ident $column:ident),*) => {
        concat!(
            $($low, " {", stringify!($p), ":v}.8h, {", stringify!($column), ":v}.8b, {", stringify!($weights), ":v}.8b\n",)*
            $($high, " {", stringify!($q), ":v}.8h, {", stringify!($column), ":v}.16b, {", stringify!($weights), ":v}.16b\n",)*
        )
    };
}

/// Loads columns, `16 S` bytes apart, from a place of a line on.
macro_rules! load_columns {
    ($line:ident $first:ident, $($column:ident $index:literal),*) => {
        concat!(
            $("ldr {", stringify!($column), ":q}, [{", stringify!($line), "}, {", stringify!($first), "} + ", $index, " * {step}]\n",)*
        )
    };
}

/// Assembly that makes products in `p` and `q` of the columns `a` to `d`, and adds them to the sums.
macro_rules! add_taps {
    ($sums:ident, [$($template:expr),*], $($operands:tt)*) => {
        asm!(
            $($template,)*
            "saddw {s00:v}.4s, {s00:v}.4s, {p0:v}.4h",
            "saddw {s10:v}.4s, {s10:v}.4s, {p1:v}.4h",
            "saddw {s20:v}.4s, {s20:v}.4s, {p2:v}.4h",
            "saddw {s30:v}.4s, {s30:v}.4s, {p3:v}.4h",
            "saddw {s02:v}.4s, {s02:v}.4s, {q0:v}.4h",
            "saddw {s12:v}.4s, {s12:v}.4s, {q1:v}.4h",
            "saddw {s22:v}.4s, {s22:v}.4s, {q2:v}.4h",
            "saddw {s32:v}.4s, {s32:v}.4s, {q3:v}.4h",
            "saddw2 {s01:v}.4s, {s01:v}.4s, {p0:v}.8h",
            "saddw2 {s11:v}.4s, {s11:v}.4s, {p1:v}.8h",
            "saddw2 {s21:v}.4s, {s21:v}.4s, {p2:v}.8h",
            "saddw2 {s31:v}.4s, {s31:v}.4s, {p3:v}.8h",
            "saddw2 {s03:v}.4s, {s03:v}.4s, {q0:v}.8h",
            "saddw2 {s13:v}.4s, {s13:v}.4s, {q1:v}.8h",
            "saddw2 {s23:v}.4s, {s23:v}.4s, {q2:v}.8h",
            "saddw2 {s33:v}.4s, {s33:v}.4s, {q3:v}.8h",
            s00 = inout(vreg) $sums[0][0], s01 = inout(vreg) $sums[0][1],
            s02 = inout(vreg) $sums[0][2], s03 = inout(vreg) $sums[0][3],
            s10 = inout(vreg) $sums[1][0], s11 = inout(vreg) $sums[1][1],
            s12 = inout(vreg) $sums[1][2], s13 = inout(vreg) $sums[1][3],
            s20 = inout(vreg) $sums[2][0], s21 = inout(vreg) $sums[2][1],
            s22 = inout(vreg) $sums[2][2], s23 = inout(vreg) $sums[2][3],
            s30 = inout(vreg) $sums[3][0], s31 = inout(vreg) $sums[3][1],
            s32 = inout(vreg) $sums[3][2], s33 = inout(vreg) $sums[3][3],
            p0 = out(vreg) _, p1 = out(vreg) _, p2 = out(vreg) _, p3 = out(vreg) _,
            q0 = out(vreg) _, q1 = out(vreg) _, q2 = out(vreg) _, q3 = out(vreg) _,
            a = out(vreg) _, b = out(vreg) _, c = out(vreg) _, d = out(vreg) _,
            step = const S * LANES,
            $($operands)*
            options(pure, readonly, nostack, preserves_flags),
        )
    };
}

/// Adds the products of the pair of taps `A` and `B`.
///
/// # Safety
/// `A` and `B` are taps of the filter, and the columns that they meet can be read.
#[inline(always)]
unsafe fn add_pair<const K: usize, const S: usize, const A: usize, const B: usize>(
    sums: &mut Outputs,
    lines: &[*const u8; 5],
    filter: *const u8,
) {
    // The columns of a tap and the next of its line are the same but for the first and the last.
    // SAFETY: NEON is there; the caller promises what is read.
    unsafe {
        if S == 1 && FilterTaps::line(K, A) == FilterTaps::line(K, B) {
            add_taps!(
                sums,
                [
                    "ldp {w:q}, {v:q}, [{filter}, {weights}]",
                    load_columns!(line first, a 0, b 1, c 2, d 3, e 4),
                    multiply!("smull" "smull2" w, p0 q0 a, p1 q1 b, p2 q2 c, p3 q3 d),
                    multiply!("smlal" "smlal2" v, p0 q0 b, p1 q1 c, p2 q2 d, p3 q3 e)
                ],
                w = out(vreg) _, v = out(vreg) _, e = out(vreg) _,
                filter = in(reg) filter, weights = const A * LANES,
                line = in(reg) lines[FilterTaps::line(K, A)], first = const FilterTaps::column(K, A) * LANES,
            );
        } else {
            add_taps!(
                sums,
                [
                    "ldp {w:q}, {v:q}, [{filter}, {weights}]",
                    load_columns!(line first, a 0, b 1, c 2, d 3),
                    multiply!("smull" "smull2" w, p0 q0 a, p1 q1 b, p2 q2 c, p3 q3 d),
                    load_columns!(next second, a 0, b 1, c 2, d 3),
                    multiply!("smlal" "smlal2" v, p0 q0 a, p1 q1 b, p2 q2 c, p3 q3 d)
                ],
                w = out(vreg) _, v = out(vreg) _,
                filter = in(reg) filter, weights = const A * LANES,
                line = in(reg) lines[FilterTaps::line(K, A)], first = const FilterTaps::column(K, A) * LANES,
                next = in(reg) lines[FilterTaps::line(K, B)], second = const FilterTaps::column(K, B) * LANES,
            );
        }
    }
}

/// Adds the products of tap `A` alone.
///
/// # Safety
/// As for [`add_pair`].
#[inline(always)]
unsafe fn add_last<const K: usize, const S: usize, const A: usize>(
    sums: &mut Outputs,
    lines: &[*const u8; 5],
    filter: *const u8,
) {
    // SAFETY: NEON is there; the caller promises what is read.
    unsafe {
        add_taps!(
            sums,
            [
                "ldr {w:q}, [{filter}, {weights}]",
                load_columns!(line first, a 0, b 1, c 2, d 3),
                multiply!("smull" "smull2" w, p0 q0 a, p1 q1 b, p2 q2 c, p3 q3 d)
            ],
            w = out(vreg) _,
            filter = in(reg) filter, weights = const A * LANES,
            line = in(reg) lines[FilterTaps::line(K, A)], first = const FilterTaps::column(K, A) * LANES,
        );
    }
}

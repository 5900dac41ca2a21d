//! The reference for every other instruction set.

use crate::{
    codes::{Codes, Dots, QUAD, Tiled},
    lanes::LANES,
    scalar::Scalar,
};

type Sums = [i32; LANES];
type Quads = [u8; QUAD];

fn clamp(sum: i32) -> u8 {
    sum.clamp(0, 255) as u8
}

impl Dots for Scalar {
    type Sums = Sums;
    type Quads = Quads;

    unsafe fn load_sums(self, from: *const i32) -> Sums {
        // SAFETY: the caller promises sixteen elements.
        unsafe { from.cast::<Sums>().read_unaligned() }
    }

    unsafe fn load_quads(self, from: *const u8) -> Quads {
        // SAFETY: the caller promises 64 bytes.
        unsafe { from.cast::<Quads>().read_unaligned() }
    }

    unsafe fn broadcast(self, from: *const u8) -> Quads {
        // SAFETY: the caller promises four bytes.
        let word = unsafe { from.cast::<[u8; 4]>().read_unaligned() };
        std::array::from_fn(|i| word[i % 4])
    }

    fn dot(self, sums: Sums, codes: Quads, weights: Quads) -> Sums {
        let product = |i: usize| i32::from(codes[i]) * i32::from(weights[i] as i8);
        std::array::from_fn(|lane| sums[lane] + (4 * lane..4 * lane + 4).map(product).sum::<i32>())
    }

    fn middle(self, a: Quads, b: Quads) -> Quads {
        std::array::from_fn(|i| if i % 4 < 2 { a[i + 2] } else { b[i - 2] })
    }
}

impl Codes for Scalar {
    const FLIP: u8 = 0;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        job.run::<Self, 4>(self);
    }

    unsafe fn load_pixels(self, from: *const u8) -> Quads {
        // SAFETY: the caller promises 64 bytes.
        unsafe { self.load_quads(from) }
    }

    unsafe fn store_quads(self, quads: Quads, to: *mut u8) {
        // SAFETY: the caller promises 64 bytes.
        unsafe { to.cast::<Quads>().write_unaligned(quads) }
    }

    fn select(self, quads: Quads, mask: u32, fill: u8) -> Quads {
        let mask = mask.to_le_bytes();
        std::array::from_fn(|i| if mask[i % 4] == 0 { fill } else { quads[i] })
    }

    fn to_f32(self, sums: Sums) -> [f32; LANES] {
        sums.map(|sum| sum as f32)
    }

    fn to_sums(self, values: [f32; LANES]) -> Sums {
        values.map(|value| value.round_ties_even() as i32)
    }

    fn add_sums(self, a: Sums, b: i32) -> Sums {
        a.map(|sum| sum.wrapping_add(b))
    }

    unsafe fn load_codes(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(f32::from)
    }

    fn pack_quads(self, columns: [Sums; 4]) -> Quads {
        std::array::from_fn(|i| clamp(columns[i % 4][i / 4]))
    }

    fn pack_pixels(self, pixels: [Sums; 4]) -> Quads {
        std::array::from_fn(|i| clamp(pixels[i / LANES][i % LANES]))
    }

    fn pixels_to_quads(self, pixels: Quads) -> Quads {
        std::array::from_fn(|i| pixels[i % 4 * LANES + i / 4])
    }
}

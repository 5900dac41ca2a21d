//! Inverse cosine transforms that make 1, 2, 4 or 8 samples a side from the lowest frequencies of an 8×8 block.

/// Places in the block, row × 8 + column, in the order of the file.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Turns a block's dequantised coefficients into samples at the start of `out`, whose rows are `stride` apart.
pub(super) type Transform = fn(coefficients: &[f32; 64], out: &mut [u8], stride: usize);

/// The transform to `columns` × `rows` samples, each 1, 2, 4 or 8 and neither more than twice the other.
pub(super) fn transform(columns: usize, rows: usize) -> Option<Transform> {
    Some(match (columns, rows) {
        (1, 1) => inverse::<1, 1>,
        (1, 2) => inverse::<1, 2>,
        (2, 1) => inverse::<2, 1>,
        (2, 2) => inverse::<2, 2>,
        (2, 4) => inverse::<2, 4>,
        (4, 2) => inverse::<4, 2>,
        (4, 4) => inverse::<4, 4>,
        (4, 8) => inverse::<4, 8>,
        (8, 4) => inverse::<8, 4>,
        (8, 8) => inverse::<8, 8>,
        _ => return None,
    })
}

fn inverse<const X: usize, const Y: usize>(
    coefficients: &[f32; 64],
    out: &mut [u8],
    stride: usize,
) {
    let (across, down) = (const { basis::<X>() }, const { basis::<Y>() });
    let mut rows = [[0.0; X]; Y];
    for (row, coefficients) in rows.iter_mut().zip(coefficients.chunks_exact(8)) {
        for (&coefficient, wave) in coefficients.iter().zip(&across) {
            for (sample, wave) in row.iter_mut().zip(wave) {
                *sample += coefficient * wave;
            }
        }
    }
    for (y, out) in out.chunks_mut(stride).take(Y).enumerate() {
        let mut line = [128.5; X];
        for (row, wave) in rows.iter().zip(&down) {
            for (sample, row) in line.iter_mut().zip(row) {
                *sample += row * wave[y];
            }
        }
        for (out, sample) in out.iter_mut().zip(line) {
            *out = sample as u8;
        }
    }
}

/// `basis[frequency][sample]` of an N-point transform over the first N of 8 frequencies.
///
/// The factors are those of the 8-point transform for every N, so that a block keeps its brightness.
const fn basis<const N: usize>() -> [[f32; N]; N] {
    let mut basis = [[0.0; N]; N];
    let mut frequency = 0;
    while frequency < N {
        let factor = if frequency == 0 { cosine(4) / 2.0 } else { 0.5 };
        let mut sample = 0;
        while sample < N {
            basis[frequency][sample] = factor * cosine((2 * sample + 1) * frequency * (8 / N));
            sample += 1;
        }
        frequency += 1;
    }
    basis
}

/// cos(π/16 × steps).
const fn cosine(steps: usize) -> f32 {
    const QUARTER: [f32; 9] = [
        1.0,
        0.980_785_25,
        0.923_879_5,
        0.831_469_6,
        0.707_106_77,
        0.555_570_2,
        0.382_683_43,
        0.195_090_32,
        0.0,
    ];
    match steps % 32 {
        steps @ 0..=8 => QUARTER[steps],
        steps @ 9..=16 => -QUARTER[16 - steps],
        steps @ 17..=24 => -QUARTER[steps - 16],
        steps => QUARTER[32 - steps],
    }
}

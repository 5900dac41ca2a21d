//! One query against many stored rows: the screen of an exact search.

use crate::{
    dispatch::Cpu,
    isa::{Isa, Operation},
};

/// Stored rows and queries are padded with zeros to a multiple of this.
pub const ROW_PADDING: usize = 64;

/// The widest row whose sums fit 32 bits on every instruction set.
const MAX_WIDTH: usize = 1 << 16;

/// Rows whose sums are kept in registers together.
const TILE: usize = 4;

/// A query of two int8 planes, to be multiplied by rows of int8.
///
/// Two planes hold sixteen bits of a query, `high + low / 254` steps: what is lost of a product is then the rounding of the
/// stored row alone. Sums of integers are exact, and so the same on every CPU.
///
/// ```
/// use coca_kernels::{Cpu, ROW_PADDING, RowQuery};
///
/// let query = RowQuery::new(&[1, 2, 3], &[0, 0, -1]).expect("within ±127");
/// let mut rows = vec![0; 2 * ROW_PADDING];
/// rows[..3].copy_from_slice(&[4, 5, 6]);
/// rows[ROW_PADDING..][..3].copy_from_slice(&[-1, 0, 1]);
/// let mut sums = [[0; 2]; 2];
/// query.products(Cpu::best(), &rows, &mut sums);
/// assert_eq!(sums, [[32, -6], [2, -1]]);
/// ```
#[derive(Debug, Clone)]
pub struct RowQuery {
    /// Each `[width]`, padded with zeros.
    planes: [Vec<i8>; 2],
}

impl RowQuery {
    /// Takes a query's planes; `None` if their lengths differ, exceed 65,536, or an element is -128.
    #[must_use]
    pub fn new(high: &[i8], low: &[i8]) -> Option<Self> {
        let fits = high.len() == low.len() && high.len() <= MAX_WIDTH;
        if !fits || high.iter().chain(low).any(|&element| element == i8::MIN) {
            return None;
        }
        let width = high.len().next_multiple_of(ROW_PADDING);
        let planes = [high, low].map(|plane| {
            let mut plane = plane.to_vec();
            plane.resize(width, 0);
            plane
        });
        Some(Self { planes })
    }

    /// Elements of a stored row, padding included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.planes[0].len()
    }

    /// Multiplies `rows`, `[N, width]`, by both planes into `sums`, `[N, 2]`.
    ///
    /// # Panics
    /// When `rows` does not hold a row for each pair of sums.
    pub fn products(&self, cpu: Cpu, rows: &[i8], sums: &mut [[i32; 2]]) {
        assert_eq!(rows.len(), sums.len() * self.width(), "a row for each pair of sums");
        cpu.run(RowProducts { rows, planes: [&self.planes[0], &self.planes[1]], sums });
    }
}

struct RowProducts<'a> {
    rows: &'a [i8],
    planes: [&'a [i8]; 2],
    sums: &'a mut [[i32; 2]],
}

impl Operation for RowProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let width = self.planes[0].len();
        if width == 0 {
            return self.sums.fill([0; 2]);
        }
        let (tiles, rest) = self.sums.as_chunks_mut::<TILE>();
        let (tiled, single) = self.rows.split_at(tiles.len() * TILE * width);
        for (rows, sums) in tiled.chunks_exact(TILE * width).zip(tiles) {
            isa.row_products(rows, self.planes, sums);
        }
        for (row, sums) in single.chunks_exact(width).zip(rest.as_chunks_mut::<1>().0) {
            isa.row_products(row, self.planes, sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        InstructionSet,
        tests::{below, cases},
    };

    fn plane(width: usize) -> impl Strategy<Value = Vec<i8>> {
        let element = prop_oneof![4 => -127_i8..=127, 1 => Just(127), 1 => Just(-127)];
        vec(element, width)
    }

    /// Rows, and a query of two planes; every row is as wide as a padded query.
    fn rows_and_query() -> impl Strategy<Value = (Vec<i8>, Vec<i8>, Vec<i8>)> {
        (0..below(200), 0_usize..11).prop_flat_map(|(width, rows)| {
            let padded = width.next_multiple_of(ROW_PADDING);
            let element = prop_oneof![4 => any::<i8>(), 1 => Just(127), 1 => Just(-128)];
            (vec(element, rows * padded), plane(width), plane(width))
        })
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn every_instruction_set_finds_the_exact_sums((rows, high, low) in rows_and_query()) {
            let query = RowQuery::new(&high, &low).unwrap();
            let count = rows.len().checked_div(query.width()).unwrap_or(3);
            let dot = |row: &[i8], plane: &[i8]| -> i32 {
                row.iter().zip(plane).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
            };
            let row = |i: usize| &rows[i * query.width()..][..query.width()];
            let expected: Vec<_> =
                (0..count).map(|i| [dot(row(i), &high), dot(row(i), &low)]).collect();
            for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
                let mut sums = vec![[7; 2]; count];
                query.products(cpu, &rows, &mut sums);
                prop_assert_eq!(&sums, &expected, "{:?}", cpu);
            }
        }
    }

    #[test]
    fn the_widest_rows_do_not_overflow() {
        let (row, plane) = (vec![-128; MAX_WIDTH], vec![127; MAX_WIDTH]);
        let query = RowQuery::new(&plane, &plane).unwrap();
        for cpu in InstructionSet::ALL.into_iter().filter_map(Cpu::with) {
            let mut sums = [[0; 2]];
            query.products(cpu, &row, &mut sums);
            assert_eq!(sums, [[-128 * 127 * MAX_WIDTH as i32; 2]], "{cpu:?}");
        }
    }

    #[test]
    fn queries_that_an_instruction_set_could_not_multiply_are_refused() {
        assert!(RowQuery::new(&[1], &[1, 2]).is_none());
        assert!(RowQuery::new(&[-128], &[0]).is_none());
        assert!(RowQuery::new(&[0], &[-128]).is_none());
        assert!(RowQuery::new(&vec![0; MAX_WIDTH + 1], &vec![0; MAX_WIDTH + 1]).is_none());
    }

    #[test]
    #[should_panic(expected = "a row for each pair of sums")]
    fn half_a_row_is_refused() {
        let query = RowQuery::new(&[1], &[0]).unwrap();
        query.products(Cpu::best(), &[0; 65], &mut [[0; 2]]);
    }
}

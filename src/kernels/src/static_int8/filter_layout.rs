//! The orders that the weights of depthwise filters stand in.

/// Filters in words of four bytes for each channel, under quads: each word is a line of the filter shifted to where it meets four columns.
pub(super) struct FilterWords;

impl FilterWords {
    /// Words of a filter's line.
    pub(super) fn of_line(size: usize, stride: usize) -> usize {
        match (size, stride) {
            (3, 1) => 2,
            (5, 1) => 8,
            _ => 4,
        }
    }

    /// The words of a line that hold a filter's column, and the byte of each that does.
    ///
    /// At stride 1, filters of 3 start at byte 0 and byte 1 of a word; outputs 2 and 3 meet columns that were moved by
    /// two instead. Filters of 5 have two words for each of four outputs, and at stride 2 both have two for each of two.
    pub(super) fn places(
        size: usize,
        stride: usize,
        column: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let outputs = match (size, stride) {
            (3, 1) | (_, 2) => 2,
            _ => 4,
        };
        (0..outputs).map(move |output| match (size, stride) {
            (3, 1) => (output, column + output),
            _ => {
                let at = output * stride + column;
                (2 * output + at / 4, at % 4)
            }
        })
    }
}

/// Filters tap by tap, under columns in the order of pixels: all columns but the last, line by line, then the last column. Two
/// taps that follow each other at an even place are neighbours in a line, if they are not of the last column.
pub(super) struct FilterTaps;

impl FilterTaps {
    /// The line of the tap at a place.
    pub(super) const fn line(size: usize, tap: usize) -> usize {
        let last = size - 1;
        if tap < size * last { tap / last } else { tap - size * last }
    }

    /// The column of the tap at a place.
    pub(super) const fn column(size: usize, tap: usize) -> usize {
        let last = size - 1;
        if tap < size * last { tap % last } else { last }
    }
}

//! How the filter of a convolution moves over a picture.

use std::ops::Range;

/// A filter's size, steps and padding; the two numbers of each are those of lines and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How large the filter is.
    pub size: [usize; 2],
    /// From one output to the next.
    pub strides: [usize; 2],
    /// Zeros in front of the first line and column.
    pub before: [usize; 2],
    /// Zeros behind the last line and column.
    pub behind: [usize; 2],
}

impl Window {
    /// Whether every output is made of the one input at its place.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        self.size == [1, 1]
            && self.strides == [1, 1]
            && self.before == [0, 0]
            && self.behind == [0, 0]
    }

    /// How many outputs there are for `inputs` lines and columns.
    #[must_use]
    pub fn outputs(&self, inputs: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let padded = inputs[axis] + self.before[axis] + self.behind[axis];
            padded.checked_sub(self.size[axis]).map_or(0, |room| room / self.strides[axis] + 1)
        })
    }

    /// The places of the filter that lie on the picture for output `at` of an axis with so many `inputs`,
    /// and the input under the first of them.
    #[must_use]
    pub fn places(&self, axis: usize, at: usize, inputs: usize) -> (Range<usize>, usize) {
        let start = at * self.strides[axis];
        let first = self.before[axis].saturating_sub(start);
        let end = (inputs + self.before[axis]).saturating_sub(start).min(self.size[axis]);
        (first..end.max(first), start + first - self.before[axis])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_BY_TWO: Window =
        Window { size: [3, 3], strides: [2, 1], before: [0, 1], behind: [1, 1] };

    #[test]
    fn padding_and_strides_decide_how_many_outputs_there_are() {
        assert_eq!(THREE_BY_TWO.outputs([8, 5]), [4, 5]);
        assert_eq!(THREE_BY_TWO.outputs([1, 0]), [0, 0]);
    }

    #[test]
    fn a_filter_over_the_edge_keeps_the_places_that_lie_on_the_picture() {
        assert_eq!(THREE_BY_TWO.places(0, 3, 8), (0..2, 6));
        assert_eq!(THREE_BY_TWO.places(1, 0, 5), (1..3, 0));
        assert_eq!(THREE_BY_TWO.places(1, 4, 5), (0..2, 3));
        assert_eq!(THREE_BY_TWO.places(1, 2, 5), (0..3, 1));
    }
}

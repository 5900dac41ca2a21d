//! The geometry of a 2D convolution.

use std::ops::Range;

/// A filter's size, strides and zero padding; each pair is of lines and columns.
///
/// ```
/// use coca_kernels::Conv2d;
///
/// let three_by_three = Conv2d { size: [3, 3], strides: [2, 2], pads_begin: [1, 1], pads_end: [1, 1] };
/// assert_eq!(three_by_three.outputs([224, 224]), [112, 112]);
/// // The first output's filter lies with two of its lines on the image, from line 0 on.
/// assert_eq!(three_by_three.taps(0, 0, 224), (1..3, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Lines and columns of the filter.
    pub size: [usize; 2],
    /// Steps from one output to the next.
    pub strides: [usize; 2],
    /// Zeros in front of the first line and column.
    pub pads_begin: [usize; 2],
    /// Zeros after the last line and column.
    pub pads_end: [usize; 2],
}

impl Conv2d {
    /// Whether every output is made of the one input at its position.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        self.size == [1, 1]
            && self.strides == [1, 1]
            && self.pads_begin == [0, 0]
            && self.pads_end == [0, 0]
    }

    /// Lines and columns of the output for an image of `inputs` lines and columns; 0 where the filter does not fit into the
    /// padded image or has no stride.
    #[must_use]
    pub fn outputs(&self, inputs: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let padding = self.pads_begin[axis].saturating_add(self.pads_end[axis]);
            let steps = inputs[axis]
                .saturating_add(padding)
                .checked_sub(self.size[axis])
                .and_then(|left| left.checked_div(self.strides[axis]));
            steps.map_or(0, |steps| steps.saturating_add(1))
        })
    }

    /// The taps of the filter that lie on the image for output `at` of an axis of `inputs` lines or columns, and the input
    /// under the first of them.
    #[must_use]
    pub fn taps(&self, axis: usize, at: usize, inputs: usize) -> (Range<usize>, usize) {
        let start = at.saturating_mul(self.strides[axis]);
        let first = self.pads_begin[axis].saturating_sub(start);
        let padded = inputs.saturating_add(self.pads_begin[axis]);
        let end = padded.saturating_sub(start).min(self.size[axis]);
        (first..end.max(first), start.max(self.pads_begin[axis]) - self.pads_begin[axis])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_BY_TWO: Conv2d =
        Conv2d { size: [3, 3], strides: [2, 1], pads_begin: [0, 1], pads_end: [1, 1] };

    #[test]
    fn padding_and_strides_decide_the_size_of_the_output() {
        assert_eq!(THREE_BY_TWO.outputs([8, 5]), [4, 5]);
        assert_eq!(THREE_BY_TWO.outputs([1, 0]), [0, 0]);
    }

    #[test]
    fn a_filter_over_the_edge_keeps_the_taps_that_lie_on_the_image() {
        assert_eq!(THREE_BY_TWO.taps(0, 3, 8), (0..2, 6));
        assert_eq!(THREE_BY_TWO.taps(1, 0, 5), (1..3, 0));
        assert_eq!(THREE_BY_TWO.taps(1, 4, 5), (0..2, 3));
        assert_eq!(THREE_BY_TWO.taps(1, 2, 5), (0..3, 1));
    }

    #[test]
    fn no_stride_and_no_size_wraps() {
        let still = Conv2d { strides: [0, 1], ..THREE_BY_TWO };
        assert_eq!(still.outputs([8, 5]), [0, 5]);
        assert_eq!(THREE_BY_TWO.outputs([usize::MAX, usize::MAX])[1], usize::MAX - 2);
        assert!(THREE_BY_TWO.taps(0, usize::MAX, usize::MAX).0.is_empty());
    }
}

//! Frames with padded rows, as drivers deliver them, to frames without.

use coca_vision::PixelFormat;

/// Copies a driver's buffer, whose rows of luma or packed pixels are `stride` bytes apart, into `frame`.
///
/// A buffer that is too short gives a frame that is too short.
pub(super) fn pack(
    bytes: &[u8],
    format: PixelFormat,
    (width, height): (u32, u32),
    stride: u32,
    frame: &mut Vec<u8>,
) {
    frame.clear();
    let [width, height, stride] = [width, height, stride].map(|length| length as usize);
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    // Bytes in a row, rows, and bytes from one row to the next of each plane.
    let planes = match format {
        PixelFormat::Mjpeg => {
            frame.extend_from_slice(bytes);
            return;
        }
        PixelFormat::Yuyv => [(4 * half_width, height, stride), (0, 0, 0), (0, 0, 0)],
        PixelFormat::Rgb | PixelFormat::Bgr => [(3 * width, height, stride), (0, 0, 0), (0, 0, 0)],
        PixelFormat::Grey => [(width, height, stride), (0, 0, 0), (0, 0, 0)],
        PixelFormat::Nv12 => {
            [(width, height, stride), (2 * half_width, half_height, stride), (0, 0, 0)]
        }
        PixelFormat::Yuv420 => {
            let chroma = (half_width, half_height, stride.div_ceil(2));
            [(width, height, stride), chroma, chroma]
        }
    };
    let mut rest = bytes;
    for (row, rows, stride) in planes {
        let stride = stride.max(row);
        for line in 0..rows {
            let start = (line * stride).min(rest.len());
            frame.extend_from_slice(&rest[start..(start + row).min(rest.len())]);
        }
        rest = &rest[(rows * stride).min(rest.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8], format: PixelFormat, stride: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        pack(bytes, format, (2, 2), stride, &mut frame);
        frame
    }

    #[test]
    fn gaps_between_rows_are_left_out() {
        assert_eq!(packed(b"ab..cd..", PixelFormat::Grey, 4), b"abcd");
        assert_eq!(packed(b"yuyv__yuyv__", PixelFormat::Yuyv, 6), b"yuyvyuyv");
        assert_eq!(packed(b"ab..cd..uv..", PixelFormat::Nv12, 4), b"abcduv");
        assert_eq!(packed(b"ab..cd..u.v.", PixelFormat::Yuv420, 4), b"abcduv");
    }

    #[test]
    fn a_stride_of_zero_means_no_gaps() {
        assert_eq!(packed(b"abcdef", PixelFormat::Nv12, 0), b"abcdef");
    }

    #[test]
    fn a_short_buffer_gives_a_short_frame() {
        assert_eq!(packed(b"ab..c", PixelFormat::Grey, 4), b"abc");
    }
}

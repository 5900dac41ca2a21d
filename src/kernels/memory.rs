//! Memory that starts on a cache line.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes from a cache line on, which also read as f32 or i8.
///
/// They come zeroed from the system, so that packing is the first to touch them.
pub(super) struct AlignedBytes {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBytes {
    /// So many zeros.
    pub(super) fn zeroed(length: usize) -> Self {
        let bytes = vec![0_u8; length + LINE];
        let start = bytes.as_ptr().align_offset(LINE).min(LINE);
        Self { bytes, start, length }
    }

    pub(super) fn as_i8(&self) -> &[i8] {
        bytemuck::cast_slice(self.as_bytes())
    }

    pub(super) fn as_i8_mut(&mut self) -> &mut [i8] {
        bytemuck::cast_slice_mut(self.as_bytes_mut())
    }

    pub(super) fn as_f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.as_bytes())
    }

    pub(super) fn as_f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.as_bytes_mut())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

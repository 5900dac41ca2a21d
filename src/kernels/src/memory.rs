//! Memory for packed weights: one stream in large pages.
//!
//! Decoding reads all weights for every token. With pages of 4 KiB a fifth of that time goes into looking
//! up addresses; pages of 2 MiB need one address space for many layers, so all of them share it.

use std::{
    io,
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
};

use memmap2::MmapMut;

/// A large page.
const PAGE: usize = 2 << 20;

/// What is reserved at once. Only what is written to takes memory.
const REGION: usize = 256 << 20;

/// Every piece starts on a cache line.
const LINE: usize = 64;

/// Zeroed bytes that start on a cache line and read as f32 or i8.
pub(crate) struct AlignedBytes {
    start: NonNull<u8>,
    length: usize,
    /// Keeps the memory mapped.
    _region: Arc<MmapMut>,
}

// SAFETY: a piece is the only one that refers to its bytes, as a `Vec` is.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for AlignedBytes {}

/// The region that pieces are cut from at present.
struct Region {
    map: Arc<MmapMut>,
    /// Where the next piece starts.
    free: NonNull<u8>,
    left: usize,
}

// SAFETY: `free` points into `map`, which may move between threads.
unsafe impl Send for Region {}

static CURRENT: Mutex<Option<Region>> = Mutex::new(None);

impl AlignedBytes {
    /// So many zeros.
    ///
    /// # Panics
    /// When the system has no memory left, as an allocation would.
    pub(crate) fn zeroed(length: usize) -> Self {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = length.next_multiple_of(LINE);
        if current.as_ref().is_none_or(|region| region.left < needed) {
            match Region::new(needed) {
                Ok(region) => *current = Some(region),
                Err(error) => panic!("no memory for {length} bytes of weights: {error}"),
            }
        }
        match current.as_mut() {
            Some(region) => region.cut(needed, length),
            None => unreachable!("a region was made above"),
        }
    }

    pub(crate) fn as_i8(&self) -> &[i8] {
        bytemuck::cast_slice(self.as_bytes())
    }

    pub(crate) fn as_i8_mut(&mut self) -> &mut [i8] {
        bytemuck::cast_slice_mut(self.as_bytes_mut())
    }

    pub(crate) fn as_f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.as_bytes())
    }

    pub(crate) fn as_f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.as_bytes_mut())
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the bytes lie in the region, which lives as long as `self`, and belong to this piece alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Region {
    fn new(needed: usize) -> io::Result<Self> {
        let size = REGION.max(needed) + PAGE;
        // A board that cannot reserve as much address space gets what it asked for.
        let mut map = MmapMut::map_anon(size).or_else(|_| MmapMut::map_anon(needed + PAGE))?;
        // A system without large pages refuses, which costs speed alone.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let skipped = map.as_ptr().align_offset(PAGE).min(PAGE);
        let (start, left) = (map[skipped..].as_mut_ptr(), map.len() - skipped);
        let free = NonNull::new(start).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Self { map: Arc::new(map), free, left })
    }

    /// The next `needed` bytes, of which `length` are used.
    fn cut(&mut self, needed: usize, length: usize) -> AlignedBytes {
        let start = self.free;
        // SAFETY: `needed` bytes are left of the region, as the caller made sure.
        self.free = unsafe { start.add(needed) };
        self.left -= needed;
        AlignedBytes { start, length, _region: self.map.clone() }
    }
}

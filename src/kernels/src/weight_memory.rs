//! Memory for packed weights: one stream in large pages.
//!
//! Decoding reads all weights for every token. With pages of 4 KiB a fifth of that time goes into looking
//! up addresses; pages of 2 MiB need one address space for many layers, so all layers of an engine share it.
//!
//! ```text
//! region   | layer | layer |   layer   | … reserved, not yet touched … |
//!           ^ 64-byte aligned            ^ free
//! ```

use std::{
    io,
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use memmap2::{MmapMut, MmapRaw};

/// A large page.
const LARGE_PAGE: usize = if cfg!(miri) { 4 << 10 } else { 2 << 20 };

/// What is reserved at once. Only what is written to takes memory.
const REGION: usize = if cfg!(miri) { 64 << 10 } else { 256 << 20 };

/// Every piece starts on a cache line.
const LINE: usize = 64;

/// Pieces of as many pages or more have pages of their own, so that all of their memory can be given back: a page that
/// two pieces share stays until the region goes.
const OWN_PAGES: usize = 8;

/// Memory that packed weights are cut from, layer after layer.
///
/// A layer that is dropped gives its pages back to the system; a region without layers gives back its addresses too.
#[derive(Debug, Default)]
pub struct WeightMemory {
    current: Mutex<Option<Region>>,
}

/// The system has no memory left for weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for {bytes} bytes of weights")]
pub struct OutOfMemory {
    /// Bytes that were asked for at once.
    pub bytes: usize,
}

/// Zeroed bytes that start on a cache line and read as f32 or i8.
pub(crate) struct AlignedBytes {
    start: NonNull<u8>,
    length: usize,
    /// Bytes from `start` that belong to no other piece.
    #[cfg_attr(any(not(unix), miri), expect(dead_code, reason = "only pages are given back"))]
    reserved: usize,
    /// Keeps the memory mapped.
    region: Arc<MmapRaw>,
}

// SAFETY: a piece is the only one that refers to its bytes, as a `Vec` is.
unsafe impl Send for AlignedBytes {}
// SAFETY: a shared reference to a piece only reads its bytes.
unsafe impl Sync for AlignedBytes {}

/// The region that pieces are cut from at present.
#[derive(Debug)]
struct Region {
    /// Pieces alone keep it mapped.
    map: Weak<MmapRaw>,
    /// Where the next piece starts.
    free: NonNull<u8>,
    left: usize,
}

// SAFETY: `free` points into `map`, which may move between threads.
unsafe impl Send for Region {}

impl WeightMemory {
    /// Memory that nothing has been cut from.
    #[must_use]
    pub const fn new() -> Self {
        Self { current: Mutex::new(None) }
    }

    /// Allocates `length` zeroed bytes, 64-byte aligned.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the system has none left.
    pub(crate) fn zeroed(&self, length: usize) -> Result<AlignedBytes, OutOfMemory> {
        let refused = OutOfMemory { bytes: length };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let alignment = if length / page_size() < OWN_PAGES { LINE } else { page_size() };
        let reserved = length.checked_next_multiple_of(alignment).ok_or(refused)?;
        let piece = current.as_mut().and_then(|region| region.cut(reserved, alignment, length));
        if let Some(piece) = piece {
            return Ok(piece);
        }
        let (region, piece) = Region::starting_with(reserved, length).map_err(|_| refused)?;
        *current = Some(region);
        Ok(piece)
    }
}

impl Region {
    /// A new region, and its first piece, which starts at a page.
    fn starting_with(reserved: usize, length: usize) -> io::Result<(Self, AlignedBytes)> {
        let size = |bytes: usize| bytes.saturating_add(LARGE_PAGE);
        // A board that cannot reserve as much address space gets what it asked for.
        let map = MmapMut::map_anon(size(REGION.max(reserved)))
            .or_else(|_| MmapMut::map_anon(size(reserved)))?;
        // Raw: a reference to the whole region, however short, would alias the pieces that are borrowed from it.
        let map = MmapRaw::from(map);
        // A system without large pages refuses, which costs speed alone.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(memmap2::Advice::HugePage);
        let skipped = map.as_ptr().align_offset(LARGE_PAGE).min(LARGE_PAGE);
        // SAFETY: the mapping is a large page longer than what is needed, and at most as much is skipped.
        let (start, left) = (unsafe { map.as_mut_ptr().add(skipped) }, map.len() - skipped);
        let free = NonNull::new(start).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        let map = Arc::new(map);
        let mut region = Self { map: Arc::downgrade(&map), free, left };
        let piece = region.cut(reserved, LINE, length);
        Ok((region, piece.ok_or_else(|| io::Error::other("a mapping that is too short"))?))
    }

    /// The next `reserved` bytes at a multiple of `alignment`, of which `length` are used; `None` when so many are
    /// not left.
    fn cut(&mut self, reserved: usize, alignment: usize, length: usize) -> Option<AlignedBytes> {
        let region = self.map.upgrade()?;
        let skipped = self.free.as_ptr().align_offset(alignment);
        self.left = self.left.checked_sub(skipped.checked_add(reserved)?)?;
        // SAFETY: the region is mapped, and as many bytes of it were left behind `free`.
        let start = unsafe { self.free.add(skipped) };
        // SAFETY: as above.
        self.free = unsafe { start.add(reserved) };
        Some(AlignedBytes { start, length, reserved, region })
    }
}

impl AlignedBytes {
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
        // SAFETY: the bytes lie in the region, belong to this piece alone, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for AlignedBytes {
    /// Gives the pages that no other piece has a part of back to the system.
    fn drop(&mut self) {
        #[cfg(all(unix, not(miri)))]
        {
            let page = page_size();
            let start = self.start.addr().get() - self.region.as_ptr().addr();
            let end = (start + self.reserved) / page * page;
            let start = start.next_multiple_of(page);
            if start < end {
                // SAFETY: whole pages within this piece, whose bytes nobody refers to any more. The region starts at
                // a page, so that offsets are aligned as addresses are.
                let _: io::Result<()> = unsafe {
                    let advice = memmap2::UncheckedAdvice::DontNeed;
                    self.region.unchecked_advise_range(advice, start, end - start)
                };
            }
        }
    }
}

fn page_size() -> usize {
    #[cfg(all(unix, not(miri)))]
    return rustix::param::page_size();
    #[cfg(any(not(unix), miri))]
    return 4096;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_written_while_another_is_cut_and_a_third_dropped() {
        let memory = WeightMemory::new();
        let [mut borrowed, dropped] =
            [3, 2].map(|pages| memory.zeroed(pages * LARGE_PAGE).unwrap());
        let written = borrowed.as_i8_mut();
        drop(dropped);
        let cut = memory.zeroed(64).unwrap();
        written.fill(5);
        assert!(cut.as_i8().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn more_than_there_can_be_is_an_error_and_less_is_had_afterwards() {
        let memory = WeightMemory::new();
        for bytes in [usize::MAX, usize::MAX / 2] {
            assert_eq!(memory.zeroed(bytes).err(), Some(OutOfMemory { bytes }));
        }
        assert!(memory.zeroed(64).is_ok());
    }

    #[test]
    fn pieces_are_zeroed_aligned_and_apart() {
        let memory = WeightMemory::new();
        let mut pieces: Vec<_> =
            [1, 64, 100, LARGE_PAGE + LARGE_PAGE / 2].map(|n| memory.zeroed(n).unwrap()).into();
        for (n, piece) in pieces.iter_mut().enumerate() {
            assert!(piece.start.addr().get().is_multiple_of(LINE));
            assert!(piece.as_i8().iter().all(|&byte| byte == 0));
            piece.as_i8_mut().fill(n as i8 + 1);
        }
        for (n, piece) in pieces.iter().enumerate() {
            assert!(piece.as_i8().iter().all(|&byte| byte == n as i8 + 1));
        }
    }

    #[test]
    fn a_region_lives_as_long_as_its_last_piece() {
        let memory = WeightMemory::new();
        let [first, second] = [100; 2].map(|n| memory.zeroed(n).unwrap());
        let region = Arc::downgrade(&first.region);
        drop(first);
        assert!(region.upgrade().is_some(), "the second piece lies in it");
        drop(second);
        assert!(region.upgrade().is_none());
        let mut piece = memory.zeroed(100).unwrap();
        piece.as_i8_mut().fill(1);
    }

    #[test]
    fn a_piece_larger_than_a_region_has_one_of_its_own() {
        let memory = WeightMemory::new();
        let [small, large] = [64, REGION + LARGE_PAGE].map(|n| memory.zeroed(n).unwrap());
        assert!(!Arc::ptr_eq(&small.region, &large.region));
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_dropped_piece_gives_its_pages_back_while_its_neighbours_stay() {
        let memory = WeightMemory::new();
        let [mut before, mut between, mut after] =
            [100, 8 << 20, 100].map(|n| memory.zeroed(n).unwrap());
        for piece in [&mut before, &mut between, &mut after] {
            piece.as_i8_mut().fill(7);
        }
        let (start, length) = (between.start.addr().get(), between.length);
        let pages = length / rustix::param::page_size();
        assert_eq!(resident_pages(start, length), pages);
        drop(between);
        assert_eq!(resident_pages(start, length), 0);
        for piece in [&before, &after] {
            assert!(piece.as_i8().iter().all(|&byte| byte == 7));
        }
    }

    /// Whole pages of an address range that take memory (`/proc/self/pagemap`, bit 63 of an entry).
    #[cfg(all(target_os = "linux", not(miri)))]
    fn resident_pages(start: usize, length: usize) -> usize {
        use std::os::unix::fs::FileExt;
        let page = rustix::param::page_size();
        let mut entries = vec![0; 8 * (length / page)];
        let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
        pagemap.read_exact_at(&mut entries, (8 * (start / page)) as u64).unwrap();
        entries.chunks_exact(8).filter(|entry| entry[7] & 0x80 != 0).count()
    }
}

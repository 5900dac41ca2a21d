//! Several files in one input.

/// Longest file: three times the longest of the seeds.
const MAX_BYTES: usize = 1 << 20;

/// A file of a list: which one, and the bytes that it begins with.
pub(crate) struct Part<'a> {
    pub(crate) index: u8,
    pub(crate) bytes: &'a [u8],
    /// Its length: the bytes are repeated up to it. Weights need many, and mutations of one are as good as of another.
    pub(crate) length: u32,
}

impl<'a> Part<'a> {
    /// A file of which every byte is stated.
    pub(crate) fn whole(index: u8, bytes: &'a [u8]) -> Self {
        Self { index, bytes, length: bytes.len() as u32 }
    }
}

/// Writes files one after the other, each behind its index (1 byte), its bytes' number and its length (4 bytes,
/// little-endian, each).
pub(crate) fn pack<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Vec<u8> {
    let mut packed = Vec::new();
    for Part { index, bytes, length } in parts {
        packed.push(index);
        packed.extend((bytes.len() as u32).to_le_bytes());
        packed.extend(length.to_le_bytes());
        packed.extend(bytes);
    }
    packed
}

/// The `N` files by their indices; of several of one index the last.
pub(crate) fn unpack<const N: usize>(mut packed: &[u8]) -> [Option<Vec<u8>>; N] {
    let mut files = std::array::from_fn(|_| None);
    while let [index, a, b, c, d, e, f, g, h, rest @ ..] = packed {
        let count = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let length = (u32::from_le_bytes([*e, *f, *g, *h]) as usize).min(MAX_BYTES);
        let (bytes, next) = rest.split_at(count.min(rest.len()));
        packed = next;
        if bytes.is_empty() {
            continue;
        }
        let mut file = bytes.repeat(length.div_ceil(bytes.len()));
        file.truncate(length);
        files[usize::from(*index) % N] = Some(file);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let packed = pack([Part::whole(2, b"graph"), Part { index: 0, bytes: b"ab", length: 5 }]);
        assert_eq!(unpack(&packed), [Some(b"ababa".to_vec()), None, Some(b"graph".to_vec())]);
        assert_eq!(unpack(&packed[..12]), [None, None, Some(b"gra".repeat(2)[..5].to_vec())]);
    }
}

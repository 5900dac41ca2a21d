//! Huffman decoding that skips what a scaled-down picture does not need.
//!
//! At 1/8 scale only the first of a block's 64 coefficients counts, at 1/4 the first few. The rest must still be parsed
//! to find the next block, but their values are never formed: one look at the next 12 bits of the
//! stream often passes over several of them.

/// Bits of the stream looked at to decode one symbol; longer codes take the slow way.
const DECODE_BITS: u32 = 10;
/// Bits of the stream looked at to skip symbols.
const SKIP_BITS: u32 = 12;

/// The entropy-coded bits of a scan, the most significant of each byte first.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bits, the first in the most significant place.
    bits: u64,
    /// Number of loaded bits.
    loaded: u32,
    /// Number of zero bits appended after the data.
    padding: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bits: 0, loaded: 0, padding: 0 }
    }

    /// Steps over the restart marker that must follow here.
    pub(super) fn restart(&mut self) -> Option<()> {
        let [0xFF, 0xD0..=0xD7, rest @ ..] = self.bytes else { return None };
        if self.is_overrun() {
            return None;
        }
        *self = Self::new(rest);
        Some(())
    }

    /// Whether more was consumed than there was.
    pub(super) fn is_overrun(&self) -> bool {
        self.padding > self.loaded
    }

    /// Makes sure that 32 bits are there, enough for any code and the value after it. Past the end they are zeros.
    #[inline(always)]
    fn fill(&mut self) {
        if self.loaded >= 32 {
            return;
        }
        match self.bytes.split_first_chunk() {
            Some((&word, rest)) if !word.contains(&0xFF) => {
                self.bits |= u64::from(u32::from_be_bytes(word)) << (32 - self.loaded);
                self.loaded += 32;
                self.bytes = rest;
            }
            _ => self.fill_bytewise(),
        }
    }

    /// Drops the zero that is stuffed in after each 0xFF. Anything else after it makes a marker, which ends the data.
    #[cold]
    fn fill_bytewise(&mut self) {
        while self.loaded <= 56 {
            let (byte, rest) = match *self.bytes {
                [0xFF, 0, ref rest @ ..] => (0xFF, rest),
                [byte, ref rest @ ..] if byte != 0xFF => (byte, rest),
                _ => {
                    self.padding += 8;
                    (0, self.bytes)
                }
            };
            self.bytes = rest;
            self.bits |= u64::from(byte) << (56 - self.loaded);
            self.loaded += 8;
        }
    }

    #[inline(always)]
    fn peek(&self, count: u32) -> usize {
        (self.bits >> (64 - count)) as usize
    }

    #[inline(always)]
    fn consume(&mut self, count: u32) {
        self.bits <<= count;
        self.loaded -= count;
    }

    /// Reads a value of `size` bits in JPEG's sign convention (T.81, figure F.12).
    #[inline(always)]
    fn signed(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        let value = self.peek(size) as i32;
        self.consume(size);
        if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
    }
}

/// Codes to symbols.
struct Codes {
    /// By the next `DECODE_BITS` bits: the symbol and its code's length, 0 where the code is longer.
    short: Vec<(u8, u8)>,
    /// For each length from 1: the first code after those of this length, aligned to 16 bits.
    limits: [u32; 16],
    /// For each length: what to add to a code of it to get its place in `symbols`.
    offsets: [i32; 16],
    symbols: Vec<u8>,
}

impl Codes {
    /// From the number of codes of each length and their symbols. `None` if they do not fit.
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut short = vec![(0, 0); 1 << DECODE_BITS];
        let (mut limits, mut offsets) = ([0; 16], [0; 16]);
        let (mut code, mut place) = (0_u32, 0_usize);
        for (i, &count) in counts.iter().enumerate() {
            let length = i as u32 + 1;
            offsets[i] = place as i32 - code as i32;
            for &symbol in symbols.get(place..place + usize::from(count))? {
                if length <= DECODE_BITS {
                    let first = (code << (DECODE_BITS - length)) as usize;
                    short
                        .get_mut(first..first + (1 << (DECODE_BITS - length)))?
                        .fill((symbol, length as u8));
                }
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
            place += usize::from(count);
            limits[i] = code << (16 - length);
            code <<= 1;
        }
        Some(Self { short, limits, offsets, symbols: symbols.to_vec() })
    }

    /// The symbol that the 16 bits start with and its length in bits.
    #[inline(always)]
    fn look_up(&self, bits: u32) -> Option<(u8, u32)> {
        let (symbol, length) =
            self.short[(bits >> (16 - DECODE_BITS)) as usize & ((1 << DECODE_BITS) - 1)];
        if length > 0 { Some((symbol, u32::from(length))) } else { self.look_up_long(bits) }
    }

    #[cold]
    fn look_up_long(&self, bits: u32) -> Option<(u8, u32)> {
        let i = self.limits.iter().position(|&limit| bits < limit)?;
        let place = (bits >> (15 - i)) as i32 + self.offsets[i];
        Some((*self.symbols.get(usize::try_from(place).ok()?)?, i as u32 + 1))
    }

    #[inline(always)]
    fn decode(&self, reader: &mut BitReader) -> Option<u8> {
        reader.fill();
        let (symbol, length) = self.look_up(reader.peek(16) as u32)?;
        reader.consume(length);
        Some(symbol)
    }
}

/// The codes of a block's first coefficient.
pub(super) struct DcTable(Codes);

impl DcTable {
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        // A DC symbol is the size of the difference in bits.
        symbols.iter().all(|&size| size <= 11).then_some(())?;
        Some(Self(Codes::new(counts, symbols)?))
    }

    /// The difference to the block before.
    #[inline(always)]
    pub(super) fn difference(&self, reader: &mut BitReader) -> Option<i32> {
        let size = self.0.decode(reader)?;
        Some(reader.signed(u32::from(size)))
    }
}

/// The codes of a block's other 63 coefficients.
pub(super) struct AcTable {
    codes: Codes,
    /// By the next `SKIP_BITS` bits: the coefficients that end inside or begin inside them.
    skips: Vec<Skip>,
}

/// Coefficients that one look at the stream passes over.
#[derive(Clone, Copy, Default)]
struct Skip {
    /// Bits, values included; 0 where the code is longer than the look.
    bits: u8,
    /// Coefficients.
    coefficients: u8,
    /// Whether the block ends after them.
    ends_block: bool,
}

impl AcTable {
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let codes = Codes::new(counts, symbols)?;
        let skips = (0..1 << SKIP_BITS).map(|look| Skip::new(&codes, look)).collect();
        Some(Self { codes, skips })
    }

    /// Reads coefficients 1 to `last` of the zigzag order into `store` and passes over the others.
    #[inline(always)]
    pub(super) fn block(
        &self,
        reader: &mut BitReader,
        last: usize,
        mut store: impl FnMut(usize, i32),
    ) -> Option<()> {
        let mut next = 1;
        while next <= last {
            let symbol = self.codes.decode(reader)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if run < 15 {
                    return Some(());
                }
                next += 16;
                continue;
            }
            next += run + 1;
            let value = reader.signed(size);
            if next <= last + 1 {
                store(next - 1, value);
            }
        }
        self.skip(reader, next)
    }

    /// Passes over the coefficients from `next` to the end of the block.
    #[inline(always)]
    fn skip(&self, reader: &mut BitReader, mut next: usize) -> Option<()> {
        while next < 64 {
            reader.fill();
            let skip = self.skips[reader.peek(SKIP_BITS) & ((1 << SKIP_BITS) - 1)];
            let after = next + usize::from(skip.coefficients);
            // Beyond coefficient 63 the look has run into the next block.
            if skip.bits > 0 && after + usize::from(skip.ends_block) <= 64 {
                reader.consume(u32::from(skip.bits));
                if skip.ends_block {
                    return Some(());
                }
                next = after;
                continue;
            }
            let symbol = self.codes.decode(reader)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => next += 16,
                (_, 0) => return Some(()),
                (run, size) => {
                    reader.consume(u32::from(size));
                    next += usize::from(run) + 1;
                }
            }
        }
        (next == 64).then_some(())
    }
}

impl Skip {
    fn new(codes: &Codes, look: u32) -> Self {
        let mut skip = Self::default();
        while u32::from(skip.bits) < SKIP_BITS {
            let known = SKIP_BITS - u32::from(skip.bits);
            let bits = (look << (16 - known)) & 0xFFFF;
            let Some((symbol, length)) = codes.look_up(bits) else { break };
            if length > known {
                break;
            }
            let (run, size) = (symbol >> 4, symbol & 15);
            skip.bits += length as u8 + size;
            match (run, size) {
                (15, 0) => skip.coefficients += 16,
                (_, 0) => {
                    skip.ends_block = true;
                    break;
                }
                _ => skip.coefficients += run + 1,
            }
        }
        skip
    }
}

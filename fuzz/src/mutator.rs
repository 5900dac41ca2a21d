//! Mutations of inputs: the usual ones of libFuzzer and AFL, without their feedback.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::Corpus;

/// Most mutations of an input, one after the other.
const MAX_MUTATIONS: u32 = 6;
/// Longest input, unless a seed is longer: parsers have limits of their own on longer ones, with tests of theirs.
const MAX_BYTES: usize = 64 << 10;
/// Most copies of a block.
const MAX_COPIES: usize = 64;
/// Integers at the edges of types and limits.
const EDGES: [i64; 18] = [
    0,
    1,
    -1,
    2,
    7,
    16,
    64,
    100,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    1 << 24,
    i32::MAX as i64,
    u32::MAX as i64,
    i64::MAX,
];

/// Makes inputs from a corpus: the same number gives the same input.
#[derive(Debug, Clone)]
pub struct Mutator {
    corpus: Corpus,
    words: &'static [&'static str],
    seed: u64,
    max_bytes: usize,
}

impl Mutator {
    /// A mutator of the inputs in `corpus`, with the words of a format.
    #[must_use]
    pub fn new(corpus: Corpus, words: &'static [&'static str], seed: u64) -> Self {
        let longest = corpus.inputs().iter().map(Vec::len).max().unwrap_or(0);
        Self { corpus, words, seed, max_bytes: MAX_BYTES.max(longest) }
    }

    /// Input `number`: first the corpus as it is, then mutations.
    #[must_use]
    pub fn input(&self, number: u64) -> Vec<u8> {
        let inputs = self.corpus.inputs();
        if let Some(input) = usize::try_from(number).ok().and_then(|number| inputs.get(number)) {
            return input.clone();
        }
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.seed;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(mixed);
        let mut input = inputs[random.random_range(0..inputs.len())].clone();
        for _ in 0..random.random_range(1..=MAX_MUTATIONS) {
            self.mutate(&mut input, &mut random);
            input.truncate(self.max_bytes);
        }
        input
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Xoshiro256PlusPlus) {
        if input.is_empty() {
            input.push(random.random());
        }
        match random.random_range(0..12) {
            0 => flip_bit(input, random),
            1 => *pick_mut(input, random) = random.random(),
            2 | 3 => set_integer(input, random),
            4 => add_to_integer(input, random),
            5 => set_digits(input, random),
            6 => drop(input.drain(block(input, random))),
            7 => repeat_block(input, random),
            8 => input.truncate(random.random_range(0..input.len())),
            9 => self.splice(input, random),
            _ => self.put_word(input, random),
        }
    }

    /// Puts a block of another input in, or in the place of another block.
    fn splice(&self, input: &mut Vec<u8>, random: &mut Xoshiro256PlusPlus) {
        let inputs = self.corpus.inputs();
        let other = &inputs[random.random_range(0..inputs.len())];
        if other.is_empty() {
            return;
        }
        let piece = other[block(other, random)].to_vec();
        let at = random.random_range(0..input.len());
        let end = if random.random::<bool>() { at } else { input.len().min(at + piece.len()) };
        input.splice(at..end, piece);
    }

    /// Puts a word in, or over what is there.
    fn put_word(&self, input: &mut Vec<u8>, random: &mut Xoshiro256PlusPlus) {
        if self.words.is_empty() {
            return flip_bit(input, random);
        }
        let word = self.words[random.random_range(0..self.words.len())].as_bytes();
        let at = random.random_range(0..input.len());
        let end = if random.random::<bool>() { at } else { input.len().min(at + word.len()) };
        input.splice(at..end, word.iter().copied());
    }
}

fn pick_mut<'a>(input: &'a mut [u8], random: &mut Xoshiro256PlusPlus) -> &'a mut u8 {
    let at = random.random_range(0..input.len());
    &mut input[at]
}

fn flip_bit(input: &mut [u8], random: &mut Xoshiro256PlusPlus) {
    *pick_mut(input, random) ^= 1 << random.random_range(0..8);
}

/// A block, mostly a short one.
fn block(input: &[u8], random: &mut Xoshiro256PlusPlus) -> std::ops::Range<usize> {
    let start = random.random_range(0..input.len());
    let longest = if random.random_range(0..4) == 0 { input.len() } else { 32 };
    start..input.len().min(start + random.random_range(1..=longest))
}

fn repeat_block(input: &mut Vec<u8>, random: &mut Xoshiro256PlusPlus) {
    let block = block(input, random);
    let max = MAX_COPIES.min(MAX_BYTES / block.len()).max(1);
    let copies = input[block.clone()].repeat(random.random_range(1..=max));
    input.splice(block.end..block.end, copies);
}

/// Writes an integer of 1, 2, 4 or 8 bytes, in either order.
fn set_integer(input: &mut [u8], random: &mut Xoshiro256PlusPlus) {
    let edge = EDGES[random.random_range(0..EDGES.len())];
    write_integer(input, random, |_| edge);
}

fn add_to_integer(input: &mut [u8], random: &mut Xoshiro256PlusPlus) {
    let change = random.random_range(-35..=35);
    write_integer(input, random, |found| found.wrapping_add(change));
}

fn write_integer(
    input: &mut [u8],
    random: &mut Xoshiro256PlusPlus,
    change: impl FnOnce(i64) -> i64,
) {
    let at = random.random_range(0..input.len());
    let size = (1 << random.random_range(0..4)).min(input.len() - at);
    let is_little: bool = random.random();
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&input[at..at + size]);
    if !is_little {
        bytes[..size].reverse();
    }
    let mut changed = change(i64::from_le_bytes(bytes)).to_le_bytes();
    if !is_little {
        changed[..size].reverse();
    }
    input[at..at + size].copy_from_slice(&changed[..size]);
}

/// Puts another number in the place of one written in digits.
fn set_digits(input: &mut Vec<u8>, random: &mut Xoshiro256PlusPlus) {
    let from = random.random_range(0..input.len());
    let Some(start) = input[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else {
        return flip_bit(input, random);
    };
    let length = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let edge = EDGES[random.random_range(0..EDGES.len())];
    input.splice(start..start + length, edge.to_string().into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutator(seed: u64) -> Mutator {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [&b"{\"width\": 224}"[..], b"\xFF\xD8\xFF\xE0\0\x10", b""];
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.path().join(number.to_string()), input).unwrap();
        }
        Mutator::new(Corpus::read(folder.path()).unwrap(), &["null"], seed)
    }

    #[test]
    fn a_number_always_gives_the_same_input() {
        for number in 0..500 {
            assert_eq!(mutator(7).input(number), mutator(7).input(number));
        }
        assert!((3..50).any(|number| mutator(7).input(number) != mutator(8).input(number)));
    }

    #[test]
    fn the_corpus_comes_first_and_mutations_stay_within_the_longest_input() {
        let mutator = mutator(1);
        assert_eq!(mutator.input(0), b"{\"width\": 224}");
        assert!((0..2000).all(|number| mutator.input(number).len() <= MAX_BYTES));
    }
}

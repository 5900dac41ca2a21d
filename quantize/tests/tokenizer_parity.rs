//! Token ids against open_clip 3.3.0's `SimpleTokenizer`, over the texts that
//! `tests/golden/text/make.py` generates.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    sync::LazyLock,
};

use coca_quantize::vocabulary::clip_tokenizer_json;
use coca_text::{Cleaning, TextSpec, Tokenizer};
use flate2::read::GzDecoder;
use proptest::prelude::*;

const START: u32 = 49406;
const END: u32 = 49407;

fn clip(context_length: usize) -> Tokenizer {
    let spec = TextSpec {
        context_length,
        vocab_size: 49408,
        start_id: START,
        end_id: END,
        pad_id: 0,
        cleaning: Cleaning::OpenClip,
        truncate_to_end: true,
    };
    Tokenizer::new(&clip_tokenizer_json().unwrap(), spec).unwrap()
}

/// Texts and their ids without start and end, by group.
fn golden() -> BTreeMap<String, Vec<(String, Vec<u32>)>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/text/tokens.json.gz");
    serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap()
}

fn framed(ids: &[u32], context_length: usize) -> Vec<u32> {
    let room = ids.len().min(context_length - 2);
    [&[START], &ids[..room], &[END]].concat()
}

#[test]
fn every_golden_text_has_open_clips_ids() {
    let tokenizer = clip(4096);
    let mut different = String::new();
    for (group, texts) in golden() {
        for (text, ids) in texts {
            let found = tokenizer.encode(&text).unwrap();
            if found.as_ref() != framed(&ids, 4096) {
                different += &format!("{group}: {text:?}\n  {ids:?}\n  {:?}\n", found.as_ref());
            }
        }
    }
    assert!(different.is_empty(), "{different}");
}

/// Characters that Unicode gained after its version 14. Whether one is a letter, and what its small letter is, depends
/// on whose tables are newer: with regex 2026.11.19 and Python 3.11 open_clip cuts these otherwise.
const YOUNG: [(u32, u32); 52] = [
    (0x0558, 0x0558),
    (0x058b, 0x058c),
    (0x088f, 0x088f),
    (0x0c5c, 0x0c5c),
    (0x0cdc, 0x0cdc),
    (0x1c89, 0x1c89),
    (0x208f, 0x208f),
    (0x209d, 0x209f),
    (0xa7cb, 0xa7cc),
    (0xa7ce, 0xa7cf),
    (0xa7d2, 0xa7d2),
    (0xa7d4, 0xa7d4),
    (0xa7da, 0xa7da),
    (0xa7dc, 0xa7dd),
    (0xa7e2, 0xa7e2),
    (0xa7f1, 0xa7f1),
    (0xab6c, 0xab6d),
    (0x107bb, 0x107bf),
    (0x10940, 0x10959),
    (0x10d50, 0x10d65),
    (0x10ec5, 0x10ec7),
    (0x10ed9, 0x10eee),
    (0x11b0a, 0x11b0a),
    (0x11db0, 0x11ddb),
    (0x11df1, 0x11df1),
    (0x16ea0, 0x16eb8),
    (0x16ebb, 0x16ed3),
    (0x16ff2, 0x16ff3),
    (0x187f8, 0x187ff),
    (0x18cd6, 0x18cda),
    (0x18d09, 0x18d20),
    (0x18d80, 0x18df2),
    (0x18e00, 0x19191),
    (0x191a0, 0x191d2),
    (0x1b123, 0x1b128),
    (0x1b168, 0x1b168),
    (0x1d6a6, 0x1d6a6),
    (0x1df1f, 0x1df24),
    (0x1df2b, 0x1df81),
    (0x1df90, 0x1df96),
    (0x1dfcd, 0x1dfff),
    (0x1e6c0, 0x1e6de),
    (0x1e6e0, 0x1e6e2),
    (0x1e6e4, 0x1e6e5),
    (0x1e6e7, 0x1e6ed),
    (0x1e6f0, 0x1e6f4),
    (0x1e6fe, 0x1e6ff),
    (0x2b73a, 0x2b73f),
    (0x2b81e, 0x2b81e),
    (0x2cea2, 0x2cead),
    (0x323b0, 0x33479),
    (0x3d000, 0x3fc3f),
];

/// Needs what `tests/golden/text/characters.py` writes, and a minute.
#[test]
#[ignore = "needs COCA_CHARACTERS, a file that tests/golden/text/characters.py wrote"]
fn every_character_but_the_young_ones_has_open_clips_ids() {
    let path = std::env::var("COCA_CHARACTERS").expect("COCA_CHARACTERS");
    let tokenizer = clip(76);
    let mut different = Vec::new();
    for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines() {
        let line = line.unwrap();
        let mut numbers = line.split(' ').map(|number| number.parse::<u32>().unwrap());
        let code = numbers.next().unwrap();
        let character = char::from_u32(code).unwrap();
        let found = tokenizer.encode(&format!("a{character}b {character}")).unwrap();
        let known = YOUNG.iter().any(|&(first, last)| (first..=last).contains(&code));
        if !known && found.as_ref() != framed(&numbers.collect::<Vec<_>>(), 76) {
            different.push(code);
        }
    }
    let ranges = different.chunk_by(|a, b| a + 1 == *b);
    let ranges: Vec<_> = ranges.map(|r| format!("{:04X}..={:04X}", r[0], r[r.len() - 1])).collect();
    assert!(different.is_empty(), "{}: {}", different.len(), ranges.join(" "));
}

#[test]
fn a_text_that_is_too_long_is_cut_and_still_ends_with_end() {
    let tokenizer = clip(76);
    for (text, ids) in &golden()["long"] {
        assert_eq!(tokenizer.encode(text).unwrap().as_ref(), framed(ids, 76));
    }
}

#[test]
fn captions_decode_to_sentences() {
    let tokenizer = clip(76);
    for text in ["a turtle.", "a dog, a cat and the farmer's horse!", "two cafés in 日本 😀"] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(ids.as_ref()).unwrap(), text);
    }
}

#[test]
fn a_prompt_has_no_end_and_leaves_room_for_one_more_id() {
    let tokenizer = clip(5);
    assert_eq!(tokenizer.prompt("a photo of").unwrap().as_ref(), [START, 320, 1125, 539]);
    assert_eq!(tokenizer.prompt("a photo of a cat").unwrap().len(), 4);
}

#[test]
fn a_batch_is_padded_to_the_longest_text_and_one_more() {
    let tokenizer = clip(5);
    let texts = ["", "cat"].map(|text| tokenizer.encode(text).unwrap());
    let rows = [[49406, 49407, 0, 0], [49406, 2368, 49407, 0]];
    assert_eq!(tokenizer.batch(&texts), ndarray::arr2(&rows));

    let full = ["a photo of a cat"].map(|text| tokenizer.encode(text).unwrap());
    assert_eq!(tokenizer.batch(&full), ndarray::arr2(&[[49406, 320, 1125, 539, 49407]]));
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let json = clip_tokenizer_json().unwrap();
    let mut spec = clip(76).spec().clone();
    spec.vocab_size = 64000;
    spec.end_id = 63999;
    let error = Tokenizer::new(&json, spec).unwrap_err().to_string();
    assert_eq!(error, "tokenizer.json: expected a token for coca.json's end_id, 63999, found none");
}

#[test]
fn a_truncated_tokenizer_is_an_error_not_a_panic() {
    let json = clip_tokenizer_json().unwrap();
    let spec = clip(76).spec().clone();
    for length in (0..1500).chain([json.len() / 2, json.len() - 1]) {
        assert!(Tokenizer::new(&json[..length], spec.clone()).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn any_text_begins_with_start_ends_with_end_and_fits(
        text in "(?s).{0,40}",
        context_length in 2usize..6,
    ) {
        static LONG: LazyLock<Tokenizer> = LazyLock::new(|| clip(4096));
        static SHORT: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| (2..6).map(clip).collect());
        let whole = LONG.encode(&text).unwrap();
        let cut = SHORT[context_length - 2].encode(&text).unwrap();
        let (first, last) = (cut.as_ref()[0], cut.as_ref()[cut.len() - 1]);
        prop_assert_eq!((first, last), (START, END));
        prop_assert_eq!(cut.len(), whole.len().min(context_length));
        LONG.decode(whole.as_ref()).unwrap();
    }

    #[test]
    fn any_ids_decode(ids in prop::collection::vec(prop_oneof![0u32..49420, any::<u32>()], 0..20)) {
        static CLIP: LazyLock<Tokenizer> = LazyLock::new(|| clip(76));
        CLIP.decode(&ids).unwrap();
    }
}

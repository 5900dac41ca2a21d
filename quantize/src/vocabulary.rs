//! CLIP's tokenizer in the Hugging Face tokenizers format.

use std::io::{self, Read};

use serde::{Serialize, Serializer};
use serde_json::json;

/// The merges of CLIP's byte-pair encoding; `vocabulary/README.md` says where they are from.
const MERGES: &[u8] = include_bytes!("../vocabulary/clip_merges.txt.gz");

/// Regular expression of the words that open_clip 3.3.0's `SimpleTokenizer` splits a text into before it merges
/// bytes.
///
/// There the whole pattern ignores case, which matters to the letters in front only (`ſ` is an `s`)
/// and to U+0345, a mark with a capital letter, which then matches nothing.
const WORDS: &str = concat!(
    r"(?i:<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+",
);

const SPECIAL_TOKENS: [&str; 2] = ["<start_of_text>", "<end_of_text>"];

/// The tokenizer could not be made: the merges inside this program are damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The merges cannot be unpacked.
    #[error("the merges of CLIP's vocabulary inside this program cannot be unpacked: {0}")]
    Merges(#[source] io::Error),
    /// The tokenizer cannot be written as JSON.
    #[error("CLIP's tokenizer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// `tokenizer.json` of every CoCa with CLIP's vocabulary: 49,408 tokens, 0 to 49,407.
///
/// It splits and merges. The caller cleans the text as open_clip does and adds start, end and
/// padding tokens.
///
/// # Errors
/// If the merges inside the program are damaged.
pub fn clip_tokenizer_json() -> Result<Vec<u8>, Error> {
    first_entries_tokenizer_json(usize::MAX)
}

/// `tokenizer.json` with at most `entries` tokens, two special tokens included: that of open_clip's
/// `SimpleTokenizer` with fewer merges.
///
/// # Errors
/// As [`clip_tokenizer_json`].
pub fn first_entries_tokenizer_json(entries: usize) -> Result<Vec<u8>, Error> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(MERGES).read_to_string(&mut text).map_err(Error::Merges)?;
    let others = 2 * 256 + SPECIAL_TOKENS.len();
    let merges: Vec<&str> = text.lines().take(entries.saturating_sub(others)).collect();
    let tokens = tokens(&merges);
    let first_special = tokens.len() - SPECIAL_TOKENS.len();
    let added_tokens: Vec<_> = SPECIAL_TOKENS
        .iter()
        .zip(first_special..)
        .map(|(content, id)| {
            json!({
                "id": id,
                "content": content,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            })
        })
        .collect();
    let byte_level = json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": false,
        "use_regex": false,
    });
    let file = File {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens,
        normalizer: None,
        pre_tokenizer: json!({
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": WORDS},
                    "behavior": "Removed",
                    "invert": true,
                },
                byte_level,
            ],
        }),
        post_processor: None,
        decoder: json!({
            "type": "Sequence",
            "decoders": [
                byte_level,
                {"type": "Replace", "pattern": {"String": "</w>"}, "content": " "},
            ],
        }),
        model: Model {
            kind: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: "</w>",
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab: Vocabulary(&tokens),
            merges: &merges,
        },
    };
    Ok(serde_json::to_vec(&file)?)
}

/// All tokens in the order of their ids: bytes, bytes that end a word, merged tokens, special tokens.
fn tokens(merges: &[&str]) -> Vec<String> {
    let bytes: Vec<String> = byte_characters().map(String::from).collect();
    let endings = bytes.iter().map(|byte| format!("{byte}</w>"));
    let merged = merges.iter().map(|pair| pair.replace(' ', ""));
    let specials = SPECIAL_TOKENS.iter().map(|&token| token.to_owned());
    bytes.iter().cloned().chain(endings).chain(merged).chain(specials).collect()
}

/// The printable character of each byte: GPT-2's `bytes_to_unicode`, in its order.
/// Bytes without a visible Latin-1 character come last, from U+0100 on.
fn byte_characters() -> impl Iterator<Item = char> {
    let visible = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let hidden = 256 - visible.clone().count();
    visible.chain(('\u{100}'..).take(hidden))
}

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<serde_json::Value>,
    normalizer: Option<()>,
    pre_tokenizer: serde_json::Value,
    post_processor: Option<()>,
    decoder: serde_json::Value,
    model: Model<'a>,
}

#[derive(Serialize)]
struct Model<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dropout: Option<f32>,
    unk_token: Option<&'static str>,
    continuing_subword_prefix: Option<&'static str>,
    end_of_word_suffix: &'static str,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocabulary<'a>,
    merges: &'a [&'a str],
}

/// Tokens as an object from token to id, in the order of the ids.
struct Vocabulary<'a>(&'a [String]);

impl Serialize for Vocabulary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(0u32..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        let characters: std::collections::HashSet<char> = byte_characters().collect();
        assert_eq!(characters.len(), 256);
    }

    #[test]
    fn the_vocabulary_has_49408_entries_and_ends_with_the_special_tokens() {
        let file: serde_json::Value =
            serde_json::from_slice(&clip_tokenizer_json().unwrap()).unwrap();
        let vocabulary = file["model"]["vocab"].as_object().unwrap();
        assert_eq!(vocabulary.len(), 49408);
        assert_eq!(vocabulary["!"], 0);
        assert_eq!(vocabulary["<start_of_text>"], 49406);
        assert_eq!(vocabulary["<end_of_text>"], 49407);
    }
}

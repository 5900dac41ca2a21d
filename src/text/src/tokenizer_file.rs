//! The bounds of what a `tokenizer.json` may ask for.
//!
//! The library that reads it can do far more than tokenizers of CLIP-like models need, and some of it without bounds:
//! rules that double a text, patterns that never end, padding to any length. So it is handed only the shapes that
//! `coca-quantize import` writes and that such models come with.

use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// Most tokens beside the vocabulary: start, end and their kin.
const MAX_ADDED_TOKENS: usize = 256;
/// Bytes of a suffix of words, of an added token, and of what a rule replaces.
const MAX_AFFIX_BYTES: usize = 64;
/// Steps that follow each other.
const MAX_STEPS: usize = 8;
/// Patterns that words are split by, all of which run in linear time: open_clip's and transformers'.
const WORD_PATTERNS: [&str; 3] = [
    concat!(
        r"(?i:<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d)",
        r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+",
    ),
    concat!(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d",
        r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    ),
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
];

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    truncation: Option<Value>,
    #[serde(default)]
    padding: Option<Value>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    post_processor: Option<Value>,
    #[serde(default)]
    decoder: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// A number for tokens that are drawn by chance.
    #[serde(default)]
    dropout: Option<Value>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
}

/// Refuses a file that asks for anything else.
pub(crate) fn check(json: &[u8]) -> Result<(), Error> {
    let file: File = serde_json::from_slice(json).map_err(Error::Tokenizer)?;
    for (key, value) in [("truncation", &file.truncation), ("padding", &file.padding)] {
        if value.is_some() {
            return Err(refused(key, "null", "something else"));
        }
    }
    let added = &file.added_tokens;
    if added.len() > MAX_ADDED_TOKENS {
        let expected = format!("{MAX_ADDED_TOKENS} at most");
        return Err(refused("added_tokens", &expected, &added.len().to_string()));
    }
    check_model(&file.model)?;
    let suffix = file.model.end_of_word_suffix.iter();
    let mut texts = suffix.chain(added.iter().map(|token| &token.content));
    if texts.any(|text| text.len() > MAX_AFFIX_BYTES) {
        let expected = format!("suffixes and added tokens of {MAX_AFFIX_BYTES} bytes at most");
        return Err(refused("model", &expected, "a longer one"));
    }
    check_steps("normalizer", &file.normalizer, "normalizers", is_normalizer)?;
    check_steps("pre_tokenizer", &file.pre_tokenizer, "pretokenizers", is_pre_tokenizer)?;
    check_steps("post_processor", &file.post_processor, "processors", is_post_processor)?;
    check_steps("decoder", &file.decoder, "decoders", is_decoder)
}

/// Makes sure that the model is byte pair encoding, and the same tokens come of the same text.
///
/// Tokens that go on with a word have no prefix: the library takes its length from the second half of every merge,
/// however short that is.
fn check_model(model: &Model) -> Result<(), Error> {
    if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "BPE") {
        return Err(refused("model.type", "BPE", kind));
    }
    if let Some(dropout) = &model.dropout {
        return Err(refused("model.dropout", "null", &dropout.to_string()));
    }
    match model.continuing_subword_prefix.as_deref() {
        None | Some("") => Ok(()),
        Some(prefix) => Err(refused("model.continuing_subword_prefix", "none", prefix)),
    }
}

/// Makes sure that each step of a part is known; `list` is the key of the steps of a sequence.
fn check_steps(
    key: &str,
    part: &Option<Value>,
    list: &str,
    is_known: impl Fn(&Value) -> bool,
) -> Result<(), Error> {
    match flattened(key, part.as_ref(), list)?.into_iter().find(|step| !is_known(step)) {
        Some(step) => {
            let kind = kind(step).unwrap_or("no type");
            Err(refused(key, "a step that CLIP-like tokenizers have", kind))
        }
        None => Ok(()),
    }
}

fn refused(key: &str, expected: &str, found: &str) -> Error {
    let found: String = found.chars().take(100).collect();
    Error::Vocabulary { expected: format!("{key}: {expected}"), found }
}

/// The steps of a sequence, or the one step that there is.
fn flattened<'a>(key: &str, value: Option<&'a Value>, list: &str) -> Result<Vec<&'a Value>, Error> {
    let Some(value) = value else { return Ok(Vec::new()) };
    if kind(value) != Some("Sequence") {
        return Ok(vec![value]);
    }
    let steps = value.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if steps.len() > MAX_STEPS {
        return Err(refused(key, &format!("{MAX_STEPS} steps at most"), &steps.len().to_string()));
    }
    Ok(steps.iter().collect())
}

fn kind(step: &Value) -> Option<&str> {
    step.get("type").and_then(Value::as_str)
}

fn is_normalizer(step: &Value) -> bool {
    match kind(step) {
        Some("NFC" | "NFKC" | "NFD" | "NFKD" | "Lowercase") => true,
        Some("Replace") => is_short_replacement(step),
        _ => false,
    }
}

fn is_pre_tokenizer(step: &Value) -> bool {
    match kind(step) {
        Some("ByteLevel" | "Whitespace" | "WhitespaceSplit") => true,
        Some("Split") => {
            let pattern = step.pointer("/pattern/Regex").and_then(Value::as_str);
            pattern.is_some_and(|pattern| WORD_PATTERNS.contains(&pattern))
        }
        _ => false,
    }
}

fn is_post_processor(step: &Value) -> bool {
    matches!(kind(step), Some("ByteLevel" | "RobertaProcessing"))
}

fn is_decoder(step: &Value) -> bool {
    match kind(step) {
        Some("ByteLevel" | "Fuse") => true,
        Some("Replace") => is_short_replacement(step),
        Some("Strip") => ["start", "stop"]
            .iter()
            .all(|end| step.get(*end).and_then(Value::as_u64).is_some_and(|count| count <= 64)),
        _ => false,
    }
}

/// Whether a replacement makes no text longer, and looks for a literal text or for blanks.
fn is_short_replacement(step: &Value) -> bool {
    let content = step.get("content").and_then(Value::as_str);
    let content = content.map_or(usize::MAX, str::len);
    let literal = step.pointer("/pattern/String").and_then(Value::as_str);
    let pattern = step.pointer("/pattern/Regex").and_then(Value::as_str);
    match (literal, pattern) {
        (Some(literal), None) => {
            (1..=MAX_AFFIX_BYTES).contains(&literal.len()) && content <= literal.len()
        }
        (None, Some(r"\s+")) => content <= 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                {"type": "Lowercase"}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": WORD_PATTERNS[1]}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}]},
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 4], "cls": ["<s>", 3],
                "trim_offsets": false, "add_prefix_space": false},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
            "model": {"type": "BPE", "dropout": null, "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>", "vocab": {}, "merges": []},
        })
    }

    fn refusal(pointer: &str, value: Value) -> Option<String> {
        let mut file = file();
        *file.pointer_mut(pointer).unwrap() = value;
        check(file.to_string().as_bytes()).err().map(|error| error.to_string())
    }

    #[test]
    fn the_shape_that_transformers_ships_is_read() {
        assert!(check(file().to_string().as_bytes()).is_ok());
        assert_eq!(refusal("/normalizer", Value::Null), None);
    }

    #[test]
    fn shapes_that_no_model_of_this_kind_has_are_refused_by_their_key() {
        let doubling = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let slow = json!({"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": true});
        let tokens: Vec<_> = (0..300).map(|n| json!({"id": n, "content": n.to_string()})).collect();
        let steps = vec![json!({"type": "NFC"}); 9];
        for (pointer, value, expected) in [
            ("/truncation", json!({"stride": 1}), "truncation: null"),
            ("/padding", json!({"pad_to_multiple_of": 1_u64 << 40}), "padding: null"),
            (
                "/normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
                "normalizer",
            ),
            ("/normalizer", doubling, "normalizer"),
            ("/normalizer/normalizers", json!(steps), "8 steps at most"),
            ("/normalizer/normalizers/0", file()["normalizer"].clone(), "found Sequence"),
            ("/pre_tokenizer", slow, "pre_tokenizer"),
            ("/post_processor", json!({"type": "TemplateProcessing"}), "post_processor"),
            ("/decoder", json!({"type": "Strip", "start": 1_u64 << 40, "stop": 0}), "decoder"),
            ("/added_tokens", json!(tokens), "256 at most"),
            ("/model/type", json!("WordPiece"), "model.type: BPE"),
            ("/model/dropout", json!(0.5), "model.dropout: null"),
            ("/model/continuing_subword_prefix", json!("##"), "continuing_subword_prefix: none"),
            ("/model/end_of_word_suffix", json!("x".repeat(1 << 20)), "64 bytes at most"),
        ] {
            let refusal = refusal(pointer, value).unwrap();
            assert!(
                refusal.starts_with("tokenizer.json: expected ") && refusal.contains(expected),
                "{refusal}"
            );
        }
    }
}

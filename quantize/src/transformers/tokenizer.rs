//! `tokenizer.json` of a `CLIPModel`.

use coca_text::{Cleaning, TextSpec, Tokenizer};
use serde_json::{Map, Value};

use super::{ClipConfig, Error};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// A checkpoint's tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipTokenizer {
    /// The file, which splits and merges. coca adds start, end and padding itself.
    pub json: Vec<u8>,
    /// Its ids and lengths. The file normalises texts by itself: no [`Cleaning`] stands in front of it.
    pub spec: TextSpec,
}

impl ClipTokenizer {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not that of a CLIP with the vocabulary of `config`.
    pub fn parse(json: &[u8], config: &ClipConfig) -> Result<Self, Error> {
        let mut file: Map<String, Value> = serde_json::from_slice(json)?;
        let vocabulary = config.architecture.text.vocabulary;
        let [start_id, end_id] = [START, END].map(|token| {
            let id = id(&file, token);
            let found = || id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let known = id.and_then(|id| u32::try_from(id).ok());
            known.filter(|&id| (id as usize) < vocabulary).ok_or_else(|| Error::Special {
                token,
                vocabulary,
                found: found(),
            })
        });
        // What was set for the last texts before the file was saved, and what frames a text.
        for key in ["truncation", "padding", "post_processor"] {
            file.insert(key.to_owned(), Value::Null);
        }
        let spec = TextSpec {
            context_length: config.architecture.text.context_length,
            vocab_size: vocabulary as u32,
            start_id: start_id?,
            end_id: end_id?,
            pad_id: 0,
            cleaning: Cleaning::None,
            truncate_to_end: true,
        };
        let json = serde_json::to_vec(&file)?;
        Tokenizer::new(&json, spec.clone())?;
        Ok(Self { json, spec })
    }
}

/// The id of a token, added to the vocabulary or in it.
fn id(file: &Map<String, Value>, token: &str) -> Option<u64> {
    let added = file.get("added_tokens").and_then(Value::as_array);
    let added = added.into_iter().flatten().find(|added| added["content"] == *token);
    let listed = || file.get("model")?.get("vocab")?.get(token);
    added.map(|added| &added["id"]).or_else(listed)?.as_u64()
}

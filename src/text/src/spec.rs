//! The `text` object of `coca.json`.

use serde::{Deserialize, Serialize};

use crate::{Cleaning, Error};

/// Tokenization of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// Maximum number of ids in a text, start and end included: 2 to 4096.
    pub context_length: usize,
    /// Number of token ids: the rows of the token embedding, `V`.
    pub vocab_size: u32,
    /// The id in front of every text.
    pub start_id: u32,
    /// The id behind every text, which also ends a caption.
    pub end_id: u32,
    /// The id that fills short rows of a batch.
    pub pad_id: u32,
    /// Text cleaning before tokenization.
    pub cleaning: Cleaning,
    /// Whether a text that is too long still ends with `end_id`, as in open_clip.
    pub truncate_to_end: bool,
}

impl TextSpec {
    /// Checks every value's range.
    ///
    /// # Errors
    /// [`Error::Spec`] names the first value that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        if !(2..=4096).contains(&self.context_length) {
            return Err(Error::Spec {
                key: "context_length",
                expected: "2 to 4096".to_owned(),
                found: self.context_length.to_string(),
            });
        }
        let ids = [("start_id", self.start_id), ("end_id", self.end_id), ("pad_id", self.pad_id)];
        for (key, id) in ids {
            if id >= self.vocab_size {
                return Err(Error::Spec {
                    key,
                    expected: format!("an id below vocab_size, {}", self.vocab_size),
                    found: id.to_string(),
                });
            }
        }
        if self.start_id == self.end_id {
            return Err(Error::Spec {
                key: "end_id",
                expected: "another id than start_id".to_owned(),
                found: self.end_id.to_string(),
            });
        }
        Ok(())
    }
}

/// Token ids that a caption search needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Number of token ids, `V`.
    pub size: usize,
    /// Maximum number of tokens that the decoder reads.
    pub context_length: usize,
    /// The token before every caption.
    pub start_id: u32,
    /// The token after every caption.
    pub end_id: u32,
    /// The token that fills up short texts.
    pub pad_id: u32,
}

impl From<&TextSpec> for Vocabulary {
    fn from(spec: &TextSpec) -> Self {
        Self {
            size: spec.vocab_size as usize,
            context_length: spec.context_length,
            start_id: spec.start_id,
            end_id: spec.end_id,
            pad_id: spec.pad_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip() -> TextSpec {
        serde_json::from_str(
            r#"{"context_length": 76, "vocab_size": 49408, "start_id": 49406, "end_id": 49407,
                "pad_id": 0, "cleaning": "open_clip", "truncate_to_end": true}"#,
        )
        .unwrap()
    }

    #[test]
    fn open_clips_numbers_are_valid_and_survive_json() {
        let spec = clip();
        spec.validate().unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TextSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn an_impossible_number_is_named() {
        #[rustfmt::skip]
        let cases = [
            (TextSpec { context_length: 1, ..clip() }, "context_length: expected 2 to 4096, found 1"),
            (TextSpec { start_id: 49408, ..clip() }, "start_id: expected an id below vocab_size, 49408, found 49408"),
            (TextSpec { vocab_size: 0, ..clip() }, "start_id: expected an id below vocab_size, 0, found 49406"),
            (TextSpec { end_id: 49406, ..clip() }, "end_id: expected another id than start_id, found 49406"),
        ];
        for (spec, message) in cases {
            assert_eq!(spec.validate().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let json = serde_json::to_string(&clip()).unwrap().replace("pad_id", "padding");
        let error = serde_json::from_str::<TextSpec>(&json).unwrap_err();
        assert!(error.to_string().contains("padding"), "{error}");
    }
}

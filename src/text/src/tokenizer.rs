//! Tokenization.

use ndarray::Array2;
use tokenizers::{
    DecoderWrapper, Encoding, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerImpl, models::bpe::BPE,
};

use crate::{Error, TextSpec, tokenizer_file};

/// The token ids of one text: start id first, no padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenIds {
    ids: Vec<u32>,
    is_cut: bool,
}

impl TokenIds {
    /// Number of ids, start and end included: 1 to the context length.
    #[allow(clippy::len_without_is_empty, reason = "the start id is always there")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids after the start id.
    pub fn without_start(&self) -> &[u32] {
        &self.ids[1..]
    }

    /// Whether the text was longer than the model's context, so that its end is left out.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl AsRef<[u32]> for TokenIds {
    fn as_ref(&self) -> &[u32] {
        &self.ids
    }
}

impl From<TokenIds> for Vec<u32> {
    fn from(tokens: TokenIds) -> Self {
        tokens.ids
    }
}

/// A byte-pair encoding. Naming the model lets `tokenizer.json` be read in two thirds of the time that the
/// library's own [`tokenizers::Tokenizer`] takes to find it out.
type BytePairs = TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// The tokenizer of a model.
///
/// ```
/// use coca_text::{Cleaning, TextSpec, Tokenizer};
///
/// // A vocabulary of five; a model's own `tokenizer.json` is read the same way.
/// let json = br#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
///     "post_processor": null, "decoder": null, "truncation": null, "padding": null,
///     "model": {"type": "BPE", "vocab": {"!": 0, "c": 1, "t": 2, "<s>": 3, "</s>": 4}, "merges": []}}"#;
/// let spec = TextSpec {
///     context_length: 8,
///     vocab_size: 5,
///     start_id: 3,
///     end_id: 4,
///     pad_id: 0,
///     cleaning: Cleaning::OpenClip,
///     truncate_to_end: true,
/// };
/// let tokenizer = Tokenizer::new(json, spec)?;
/// let ids = tokenizer.encode("CT")?;
/// assert_eq!(ids.as_ref(), [3, 1, 2, 4]);
/// assert_eq!(tokenizer.batch(&[ids]).shape(), [1, 5]);
/// # Ok::<(), coca_text::Error>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    tokenizer: BytePairs,
    spec: TextSpec,
    /// Special tokens: `<start_of_text>` and `<end_of_text>` in CLIP.
    specials: Vec<(String, u32)>,
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Spec`] if `spec` is not valid, [`Error::Tokenizer`] if the bytes are not in the
    /// Hugging Face tokenizers format or not byte-pair encoding, [`Error::Vocabulary`] if the two
    /// do not belong together or the file asks for something that no CLIP-like tokenizer has.
    pub fn new(json: &[u8], spec: TextSpec) -> Result<Self, Error> {
        spec.validate()?;
        tokenizer_file::check(json)?;
        let mut tokenizer: BytePairs = serde_json::from_slice(json).map_err(Error::Tokenizer)?;
        // A special token is one only where open_clip's pattern finds it: see `special_words`.
        tokenizer.set_encode_special_tokens(true);
        let specials = specials(&tokenizer, &spec)?;
        Ok(Self { tokenizer, spec, specials })
    }

    /// Tokenizes `text` between start and end id.
    ///
    /// A text that is too long is cut to the context length; its last id is then the end id if
    /// the model wants it so (`truncate_to_end`). This is a row of open_clip's
    /// `SimpleTokenizer.__call__` without its padding.
    ///
    /// # Errors
    /// [`Error::Encode`] if the tokenizer cannot represent a part of the text. A byte-level one,
    /// such as CLIP's, always can.
    pub fn encode(&self, text: &str) -> Result<TokenIds, Error> {
        let mut ids = self.start(text)?;
        ids.push(self.spec.end_id);
        let is_cut = ids.len() > self.spec.context_length;
        if is_cut {
            ids.truncate(self.spec.context_length);
            if let Some(last) = ids.last_mut().filter(|_| self.spec.truncate_to_end) {
                *last = self.spec.end_id;
            }
        }
        Ok(TokenIds { ids, is_cut })
    }

    /// Tokenizes `text` after the start id, to be continued by a caption: no end id, and cut so that at
    /// least one more id fits into the context.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prompt(&self, text: &str) -> Result<TokenIds, Error> {
        let mut ids = self.start(text)?;
        let longest = self.spec.context_length - 1;
        let is_cut = ids.len() > longest;
        ids.truncate(longest);
        Ok(TokenIds { ids, is_cut })
    }

    /// Pads `texts` to one batch for the text encoder, `[N, L]`.
    ///
    /// The length is that of the longest text and one pad more, or the context length if that is
    /// less: open_clip's CLS token sees the first pad, so this gives the same embeddings as rows
    /// of full length, for less work. Every text must be from [`encode`](Self::encode).
    pub fn batch(&self, texts: &[TokenIds]) -> Array2<i64> {
        let longest = texts.iter().map(TokenIds::len).max().unwrap_or(0);
        let length = (longest + 1).min(self.spec.context_length);
        Array2::from_shape_fn((texts.len(), length), |(row, column)| {
            let id = texts.get(row).and_then(|text| text.ids.get(column));
            i64::from(*id.unwrap_or(&self.spec.pad_id))
        })
    }

    /// Decodes `ids` for people: without start and end, and without spaces before punctuation. Ids that the
    /// vocabulary lacks are skipped, as Hugging Face's decoders do.
    ///
    /// # Errors
    /// [`Error::Decode`] if the decoder that `tokenizer.json` names fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        let is_frame = |id: u32| id == self.spec.start_id || id == self.spec.end_id;
        let words: Vec<u32> = ids.iter().copied().filter(|&id| !is_frame(id)).collect();
        let text = self.tokenizer.decode(&words, true).map_err(Error::Decode)?;
        Ok(join_punctuation(text.trim()))
    }

    /// The model's tokenization settings.
    pub fn spec(&self) -> &TextSpec {
        &self.spec
    }

    fn start(&self, text: &str) -> Result<Vec<u32>, Error> {
        let clean = self.spec.cleaning.apply(text);
        let encoding = self
            .tokenizer
            .encode(clean.as_str(), false)
            .map_err(|source| Error::Encode { text: clean.clone(), source })?;
        let mut ids = vec![self.spec.start_id];
        if self.specials.iter().any(|(special, _)| clean.contains(special)) {
            ids.extend(self.special_words(&clean, &encoding));
        } else {
            ids.extend_from_slice(encoding.get_ids());
        }
        match ids.iter().find(|&&id| id >= self.spec.vocab_size) {
            Some(id) => Err(Error::Vocabulary {
                expected: format!("ids below coca.json's vocab_size, {}", self.spec.vocab_size),
                found: id.to_string(),
            }),
            None => Ok(ids),
        }
    }

    /// The ids of `encoding`, where a word that is a special token's text has that token's id.
    ///
    /// open_clip does this, and only for whole words: in "!<end_of_text>" its pattern sees the
    /// words "!<", "end", "_" and so on. The tokenizers library would find the token there too.
    fn special_words(&self, text: &str, encoding: &Encoding) -> Vec<u32> {
        let mut ids = Vec::with_capacity(encoding.len());
        let words = encoding.get_word_ids();
        let tokens: Vec<_> =
            words.iter().zip(encoding.get_offsets()).zip(encoding.get_ids()).collect();
        for word in tokens.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            let start = word.first().map_or(0, |((_, (start, _)), _)| *start);
            let end = word.last().map_or(0, |((_, (_, end)), _)| *end);
            let word_text = text.get(start..end);
            match self.specials.iter().find(|(special, _)| word_text == Some(special)) {
                Some((_, id)) => ids.push(*id),
                None => ids.extend(word.iter().map(|(_, id)| **id)),
            }
        }
        ids
    }
}

fn specials(tokenizer: &BytePairs, spec: &TextSpec) -> Result<Vec<(String, u32)>, Error> {
    let ids = [("start_id", spec.start_id), ("end_id", spec.end_id)];
    ids.into_iter()
        .map(|(key, id)| match tokenizer.id_to_token(id) {
            Some(token) => Ok((token, id)),
            None => Err(Error::Vocabulary {
                expected: format!("a token for coca.json's {key}, {id}"),
                found: "none".to_owned(),
            }),
        })
        .collect()
}

/// Takes away the space in front of punctuation and of an apostrophe's ending, as Hugging Face's
/// `clean_up_tokenization_spaces` does.
fn join_punctuation(text: &str) -> String {
    const JOINED: [&str; 13] =
        [".", ",", "!", "?", ";", ":", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ') {
        if !out.is_empty() && !JOINED.contains(&word) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

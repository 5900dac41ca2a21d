//! Names of labels that the model can tell from each other.

use std::collections::HashMap;

use coca_text::TokenIds;

use super::super::Error;

/// Names of labels by the tokens that the model sees. Another name costs one tokenization, however many there are.
#[derive(Clone, Default)]
pub(super) struct DistinctNames {
    /// `None` until the first name is added to those that there were.
    by_tokens: Option<HashMap<TokenIds, String>>,
}

impl DistinctNames {
    /// Adds the name of a further label beside `names`, and returns its tokens, as `tokenize` makes them.
    ///
    /// # Errors
    /// [`Error::SameLabel`] for a name that has the tokens of another, and those of `tokenize`.
    pub(super) fn add(
        &mut self,
        name: &str,
        names: &[String],
        tokenize: impl Fn(&str) -> Result<TokenIds, Error>,
    ) -> Result<TokenIds, Error> {
        let by_tokens = match &mut self.by_tokens {
            Some(by_tokens) => by_tokens,
            by_tokens => {
                let mut first = HashMap::new();
                for name in names {
                    first.entry(tokenize(name)?).or_insert_with(|| name.clone());
                }
                by_tokens.insert(first)
            }
        };
        let tokens = tokenize(name)?;
        if let Some(label) = by_tokens.get(&tokens) {
            return Err(Error::SameLabel { name: name.to_owned(), label: label.clone() });
        }
        by_tokens.insert(tokens.clone(), name.to_owned());
        Ok(tokens)
    }
}

//! Texts as the model sees them: which are the same to it, and which are cut.

use std::collections::HashMap;

use coca_text::{Templates, TokenIds};

use super::{Coca, Error};

/// Labels that differ to the model, and what was found about the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelCheck {
    /// Those that differ, in their order.
    pub names: Vec<String>,
    /// Labels that are left out, and the one of `names` that each is the same as: it would share its score with it.
    pub same: Vec<(String, String)>,
    /// Labels of which the model sees only the beginning.
    pub cut: Vec<String>,
}

impl Coca {
    /// The tokens of a text as the text encoder is given them.
    ///
    /// # Errors
    /// As [`Coca::encode_text`].
    pub fn text_tokens(&self, text: &str) -> Result<TokenIds, Error> {
        Ok(self.tokenizer()?.encode(text)?)
    }

    /// Looks for labels that are the same to the model in every template, such as "Cat" and "cat", and for those that are
    /// too long for it.
    ///
    /// ```
    /// # #[cfg(feature = "pocket")] {
    /// use coca_model::Coca;
    ///
    /// let coca = Coca::pocket()?;
    /// let names = ["Cat", "cat", "dog"].map(str::to_owned).to_vec();
    /// let check = coca.check_labels(names, &coca.default_template()?)?;
    /// assert_eq!(check.names, ["Cat", "dog"]);
    /// assert_eq!(check.same, [("cat".to_owned(), "Cat".to_owned())]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Coca::encode_text`].
    pub fn check_labels(
        &self,
        names: Vec<String>,
        templates: &Templates,
    ) -> Result<LabelCheck, Error> {
        let mut check = LabelCheck::default();
        let mut known: HashMap<Vec<TokenIds>, String> = HashMap::new();
        for name in names {
            let tokens = templates.apply(&name).map(|text| self.text_tokens(&text));
            let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
            if tokens.iter().any(TokenIds::is_cut) {
                check.cut.push(name.clone());
            }
            match known.get(&tokens) {
                Some(first) => check.same.push((name, first.clone())),
                None => {
                    known.insert(tokens, name.clone());
                    check.names.push(name);
                }
            }
        }
        Ok(check)
    }
}

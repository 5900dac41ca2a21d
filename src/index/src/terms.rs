//! Queries of several words and pictures: `a + b - c`, `2:dog`, `./cat.jpg`.

use std::path::PathBuf;

use crate::Error;

/// A part of a query and its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Its factor in the sum, negative for what pictures should be unlike.
    pub weight: f32,
    /// A text or a picture.
    pub subject: Subject,
}

/// A text or a picture to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A text.
    Text(String),
    /// A picture's file.
    File(PathBuf),
}

impl Term {
    /// Reads a query: terms between `+` and `-` that stand alone, each a text, or a file that begins with `./`, `../` or `/`, behind
    /// an optional weight.
    ///
    /// ```
    /// use coca_index::{Subject, Term};
    ///
    /// let terms = Term::parse("2:a dog + ./beach.jpg - people")?;
    /// assert_eq!(terms.iter().map(|term| term.weight).collect::<Vec<_>>(), [2.0, 1.0, -1.0]);
    /// assert_eq!(terms[0].subject, Subject::Text("a dog".to_owned()));
    /// assert_eq!(terms[1].subject, Subject::File("./beach.jpg".into()));
    /// # Ok::<(), coca_index::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Query`] for a query without terms and a term without a subject.
    pub fn parse(query: &str) -> Result<Vec<Self>, Error> {
        let mut terms = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        let mut sign = 1.0;
        let mut begun = false;
        for word in query.split_whitespace() {
            match word {
                "+" | "-" => {
                    if begun || !words.is_empty() {
                        terms.push(Self::new(sign, &words.join(" "), query)?);
                    }
                    words.clear();
                    sign = if word == "+" { 1.0 } else { -1.0 };
                    begun = true;
                }
                _ => words.push(word),
            }
        }
        terms.push(Self::new(sign, &words.join(" "), query)?);
        Ok(terms)
    }

    fn new(sign: f32, text: &str, query: &str) -> Result<Self, Error> {
        let (weight, text) = match text.split_once(':') {
            Some((weight, rest)) if is_weight(weight) => {
                (weight.parse().unwrap_or(1.0), rest.trim())
            }
            _ => (1.0, text),
        };
        if text.is_empty() {
            let reason =
                "a text or a picture is missing: expected, for instance, a dog + snow - people";
            return Err(Error::Query { query: query.to_owned(), reason });
        }
        Ok(Self { weight: sign * weight, subject: Subject::parse(text) })
    }
}

impl Subject {
    fn parse(text: &str) -> Self {
        match ["./", "../", "/"].iter().any(|start| text.starts_with(start)) {
            true => Self::File(text.into()),
            false => Self::Text(text.to_owned()),
        }
    }
}

/// Digits with at most one point among them, above 0.
fn is_weight(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.')
        && text.parse().is_ok_and(|weight: f32| weight > 0.0 && weight.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Vec<(f32, String)> {
        let terms = Term::parse(query).unwrap().into_iter();
        terms
            .map(|Term { weight, subject }| match subject {
                Subject::Text(text) => (weight, text),
                Subject::File(file) => (weight, format!("file {}", file.display())),
            })
            .collect()
    }

    fn terms<const N: usize>(expected: [(f32, &str); N]) -> Vec<(f32, String)> {
        expected.map(|(weight, text)| (weight, text.to_owned())).to_vec()
    }

    #[test]
    fn words_are_one_text_until_a_sign_stands_alone() {
        assert_eq!(read("a red bicycle"), terms([(1.0, "a red bicycle")]));
        assert_eq!(read("a + b - c"), terms([(1.0, "a"), (1.0, "b"), (-1.0, "c")]));
        assert_eq!(read("t-shirt  c++"), terms([(1.0, "t-shirt c++")]));
        assert_eq!(read("- people + beach"), terms([(-1.0, "people"), (1.0, "beach")]));
    }

    #[test]
    fn a_number_and_a_colon_are_a_weight() {
        assert_eq!(read("2:dog + 0.5:golden fur"), terms([(2.0, "dog"), (0.5, "golden fur")]));
        assert_eq!(read("dog - 3: cat"), terms([(1.0, "dog"), (-3.0, "cat")]));
        assert_eq!(read("note: dog"), terms([(1.0, "note: dog")]));
        assert_eq!(read("0:dog"), terms([(1.0, "0:dog")]));
    }

    #[test]
    fn what_begins_like_a_path_is_a_picture() {
        assert_eq!(
            read("./a b.jpg + ../c.png - 2:/d.jpg"),
            terms([(1.0, "file ./a b.jpg"), (1.0, "file ../c.png"), (-2.0, "file /d.jpg")])
        );
    }

    #[test]
    fn a_term_without_a_subject_is_refused() {
        for query in ["", "  ", "a +", "a + - b", "+", "2:"] {
            let error = Term::parse(query).unwrap_err().to_string();
            assert!(error.contains("is missing"), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_text_ends_in_terms_or_an_error(query in "[a-c0-9:. +/-]{0,20}") {
            if let Ok(terms) = Term::parse(&query) {
                prop_assert!(terms.iter().all(|term| term.weight != 0.0 && term.weight.is_finite()));
            }
        }
    }
}

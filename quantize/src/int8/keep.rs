//! Patterns of the names of weights that stay as they are.

use glob::Pattern;

use super::error::Error;

/// Patterns of names.
pub(super) struct Keep(Vec<Pattern>);

impl Keep {
    pub(super) fn parse(patterns: &[String]) -> Result<Self, Error> {
        let parse = |pattern: &String| {
            Pattern::new(pattern)
                .map_err(|e| Error::Pattern { pattern: pattern.clone(), reason: e.to_string() })
        };
        patterns.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Refuses a pattern that fits none of `names`.
    pub(super) fn check<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Error> {
        let idle = self.0.iter().find(|pattern| !names.clone().any(|name| pattern.matches(name)));
        match idle {
            Some(pattern) => Err(Error::NoSuchLayer {
                pattern: pattern.to_string(),
                near: nearest(pattern.as_str(), names).join(", "),
            }),
            None => Ok(()),
        }
    }
}

/// The three names that are most like `pattern`.
fn nearest<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = pattern.replace(['*', '?', '[', ']'], "");
    let mut names: Vec<_> =
        names.map(|name| (strsim::normalized_damerau_levenshtein(&plain, name), name)).collect();
    names.sort_by(|(a, name_a), (b, name_b)| b.total_cmp(a).then(name_a.cmp(name_b)));
    names.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] =
        ["visual.proj", "visual.conv1.weight", "text.text_projection", "text.mlp.weight"];

    fn keep(pattern: &str) -> Keep {
        Keep::parse(&[pattern.to_owned()]).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        let kept = |pattern| NAMES.iter().filter(|name| keep(pattern).matches(name)).count();
        assert_eq!(kept("visual.*"), 2);
        assert_eq!(kept("*.weight"), 2);
        assert_eq!(kept("visual.proj"), 1);
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_an_error_with_the_nearest_names() {
        let error = keep("visual.prjo*").check(NAMES.into_iter()).unwrap_err();
        let message = "visual.prjo*: no layer has such a name; the nearest are visual.proj, ";
        assert!(error.to_string().starts_with(message), "{error}");
    }

    #[test]
    fn a_pattern_with_an_open_bracket_is_an_error() {
        let error = Keep::parse(&["visual.[".to_owned()]).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("visual.[: expected "), "{error}");
    }
}

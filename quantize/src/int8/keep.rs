//! Patterns of the names of weights, and of nodes of convolutions, that stay as they are.

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

    /// Whether a pattern fits the name of a node's weight, or the node's own, or is a piece of that.
    pub(super) fn matches_node(&self, node: &str, weight: &str) -> bool {
        self.0.iter().any(|pattern| fits_node(pattern, node, weight))
    }

    /// Refuses a pattern that fits none of the weights called `names` and none of `nodes`, each with its weight.
    pub(super) fn check<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
        nodes: impl Iterator<Item = [&'a str; 2]> + Clone,
    ) -> Result<(), Error> {
        let is_idle = |pattern: &&Pattern| {
            !names.clone().any(|name| pattern.matches(name))
                && !nodes.clone().any(|[node, weight]| fits_node(pattern, node, weight))
        };
        match self.0.iter().find(is_idle) {
            Some(pattern) => Err(Error::NoSuchLayer {
                pattern: pattern.to_string(),
                near: nearest(pattern.as_str(), names.chain(nodes.flatten())).join(", "),
            }),
            None => Ok(()),
        }
    }
}

fn fits_node(pattern: &Pattern, node: &str, weight: &str) -> bool {
    pattern.matches(weight) || pattern.matches(node) || node.contains(pattern.as_str())
}

/// The three names that are most like `pattern`.
fn nearest<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = pattern.replace(['*', '?', '[', ']'], "");
    let mut names: Vec<_> = names
        .filter(|name| !name.is_empty())
        .map(|name| (strsim::normalized_damerau_levenshtein(&plain, name), name))
        .collect();
    names.sort_by(|(a, name_a), (b, name_b)| b.total_cmp(a).then(name_a.cmp(name_b)));
    names.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::iter;

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
        let error = keep("visual.prjo*").check(NAMES.into_iter(), iter::empty()).unwrap_err();
        let message = "visual.prjo*: no layer has such a name; the nearest are visual.proj, ";
        assert!(error.to_string().starts_with(message), "{error}");
    }

    #[test]
    fn a_piece_of_a_nodes_name_fits_the_node_and_no_weight() {
        let nodes = [["/trunk/blocks.3/conv", "onnx::Conv_512"]];
        let fits = |pattern| keep(pattern).matches_node(nodes[0][0], nodes[0][1]);
        assert!(fits("blocks.3/") && fits("*blocks.?/conv") && fits("onnx::Conv_512"));
        assert!(!fits("blocks.4/") && !fits("Conv_51"));
        assert!(keep("blocks.3/").check(NAMES.into_iter(), nodes.into_iter()).is_ok());
        let error = keep("blocks.4/").check(NAMES.into_iter(), nodes.into_iter()).unwrap_err();
        assert!(error.to_string().contains("nearest are /trunk/blocks.3/conv, "), "{error}");
    }

    #[test]
    fn a_pattern_with_an_open_bracket_is_an_error() {
        let error = Keep::parse(&["visual.[".to_owned()]).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("visual.[: expected "), "{error}");
    }
}

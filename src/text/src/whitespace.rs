//! White space as Python's `str.split` defines it.

/// Whether `c` is white space: Unicode's, and the four ASCII separators that Unicode leaves out.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Trims `text` and makes each run of white space one space.
pub(crate) fn single_spaces(text: &str) -> String {
    let words = text.split(is_space).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

//! HTML entities, decoded as Python's `html.unescape` does.

use std::borrow::Cow;

use crate::encodings::windows_1252_for_c1;

/// The text of an entity that stands in HTML's table, given with `&` and `;`.
pub(crate) fn named(entity: &str) -> Option<&'static str> {
    let text = htmlize::ENTITIES.get(entity.as_bytes())?;
    std::str::from_utf8(text).ok()
}

/// Decodes every entity, with or without `;`.
///
/// Names are htmlize's. Numbers are not: where HTML keeps a control character or a
/// noncharacter, Python drops it.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains("&#") {
        return htmlize::unescape(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, number, after)) = split_at_number(rest) {
        out.push_str(&htmlize::unescape(before));
        out.extend(character(number));
        rest = after;
    }
    out.push_str(&htmlize::unescape(rest));
    Cow::Owned(out)
}

/// Splits at the first `&#233;` or `&#xe9;`: the text before it, its number, the text after it.
fn split_at_number(text: &str) -> Option<(&str, u32, &str)> {
    text.match_indices("&#").find_map(|(at, mark)| {
        let (before, from) = text.split_at(at);
        let body = from.strip_prefix(mark)?;
        let (radix, digits) = match body.strip_prefix(['x', 'X']) {
            Some(digits) => (16, digits),
            None => (10, body),
        };
        let after = digits.trim_start_matches(|c: char| c.is_digit(radix));
        let digits = digits.strip_suffix(after).filter(|d| !d.is_empty())?;
        let number = digits
            .chars()
            .filter_map(|c| c.to_digit(radix))
            .fold(0u32, |n, digit| n.saturating_mul(radix).saturating_add(digit));
        Some((before, number, after.strip_prefix(';').unwrap_or(after)))
    })
}

/// The character that a number stands for; `None` where Python drops it.
fn character(number: u32) -> Option<char> {
    match number {
        0 => Some(char::REPLACEMENT_CHARACTER),
        0x80..=0x9f => char::from_u32(number).map(windows_1252_for_c1),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number & 0xfffe == 0xfffe && number <= 0x10_ffff => None,
        _ => Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn entities_are_decoded_as_python_does() {
        for (escaped, text) in [
            ("fish &amp; chips", "fish & chips"),
            ("fish &amp;amp; chips", "fish &amp; chips"),
            ("&notit; &copy2020", "¬it; ©2020"),
            ("&#233;&#xE9;&#xe9 &#x1F600;", "ééé 😀"),
            ("&#; &#x; &#xg; & &nosuchname;", "&#; &#x; &#xg; & &nosuchname;"),
            ("[&#0;|&#xd800;|&#99999999999999999999;]", "[\u{fffd}|\u{fffd}|\u{fffd}]"),
            ("[&#1;|&#31;|&#x7f;|&#xfdd0;|&#x1ffff;]", "[||||]"),
            ("&#128;&#129;&#13;", "€\u{81}\r"),
        ] {
            assert_eq!(unescape(escaped), text, "{escaped}");
        }
    }

    #[test]
    fn a_dropped_number_does_not_join_its_neighbours_into_an_entity() {
        assert_eq!(unescape("&am&#1;p;"), "&amp;");
    }
}

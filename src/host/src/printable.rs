//! Text of others on a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// Most characters of a text that are shown.
const MAX_CHARACTERS: usize = 16 << 10;
/// Characters that are shown of the end of a longer text.
const TAIL_CHARACTERS: usize = 1024;

/// The text as a terminal may show it: on one line, without characters that it would obey, and of a bounded length.
///
/// Names of files, labels, captions and names in models come from others. Control characters and those that turn the
/// direction of writing are written as `\u{1b}`; of more than 16,384 characters the middle is left out, and said to be.
///
/// ```
/// use coca_host::printable;
///
/// assert_eq!(printable("a cat"), "a cat");
/// assert_eq!(printable("\x1b]0;owned\x07.jpg"), "\\u{1b}]0;owned\\u{7}.jpg");
/// ```
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_short = text.len() <= MAX_CHARACTERS || text.chars().count() <= MAX_CHARACTERS;
    if is_short && !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(2 * MAX_CHARACTERS));
    if is_short {
        push_escaped(&mut shown, text);
    } else {
        let boundary = |characters| {
            text.char_indices().nth(characters).map_or(text.len(), |(position, _)| position)
        };
        let head = boundary(MAX_CHARACTERS - TAIL_CHARACTERS);
        let tail = text.char_indices().nth_back(TAIL_CHARACTERS - 1).map_or(0, |(at, _)| at);
        push_escaped(&mut shown, &text[..head]);
        let _ = write!(shown, " … ({} bytes left out) … ", tail - head);
        push_escaped(&mut shown, &text[tail..]);
    }
    Cow::Owned(shown)
}

fn push_escaped(shown: &mut String, text: &str) {
    for character in text.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
}

/// Whether a terminal would act on the character instead of showing it: controls (C0, C1, delete) and the marks that
/// turn or embed the direction of writing.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_line_end_or_change_of_direction_reaches_a_terminal() {
        let hostile = "a\x1b[2J\r\nb\u{9b}31mc\u{202e}d\x7f\te";
        let shown = printable(hostile);
        assert!(!shown.contains(is_obeyed), "{shown:?}");
        assert_eq!(shown, r"a\u{1b}[2J\u{d}\u{a}b\u{9b}31mc\u{202e}d\u{7f}\u{9}e");
    }

    #[test]
    fn letters_of_every_script_stay_as_they_are() {
        for text in ["", "größer", "猫がいる", "כלב", "🐈‍⬛", "a\u{301}"] {
            assert!(matches!(printable(text), Cow::Borrowed(shown) if shown == text));
        }
    }

    #[test]
    fn a_line_of_a_megabyte_is_shortened_in_the_middle() {
        let text = format!("begin{}end", "é".repeat(500_000));
        let shown = printable(&text);
        assert!(shown.starts_with("beginé") && shown.ends_with("éend"), "{shown}");
        assert!(shown.chars().count() < MAX_CHARACTERS + 100 && shown.contains("bytes left out"));
        let longest = "é".repeat(MAX_CHARACTERS);
        assert_eq!(printable(&longest), longest);
    }
}

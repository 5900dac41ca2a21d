//! A port of `ftfy.fix_text` 6.3.1 with its default settings.
//!
//! open_clip cleans every text with [ftfy](https://ftfy.readthedocs.io) (Robyn Speer, Apache-2.0)
//! before it looks for tokens, so a curly quote or a ligature in a label counts. The facts (which
//! encodings, characters and neighbours, in which order) are ftfy's; the code is new and needs no
//! regular expressions. The crate plsfix 0.1.8 was measured first: it follows an older ftfy, differs
//! on one garbled text in ten and on one text with HTML entities in three, and adds 67 crates.
//!
//! # What differs
//!
//! | text | ftfy | here |
//! |---|---|---|
//! | digits other than 0 to 9 in a terminal escape, `ESC [ ٣ m` | removed | only ESC is removed |
//! | surrogates | joined or U+FFFD | cannot be in a Rust string |

mod badness;
mod characters;
mod mojibake;

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Maximum number of characters that are fixed together: ftfy's `max_decode_length`.
const MAX_SEGMENT_LENGTH: usize = 1_000_000;

/// Fixes `text` line by line.
pub(super) fn fix_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // "<" says that this is HTML, whose entities are meant; it counts from its line on.
    let mut is_html = false;
    for segment in segments(text) {
        is_html |= segment.contains('<');
        out.push_str(&fix_segment(segment, !is_html));
    }
    out
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let line = rest.split_inclusive('\n').next()?;
        let limit = line.char_indices().nth(MAX_SEGMENT_LENGTH);
        let (segment, tail) = rest.split_at(limit.map_or(line.len(), |(at, _)| at));
        rest = tail;
        Some(segment)
    })
}

/// Applies every fix, in ftfy's order, until none changes anything.
fn fix_segment(segment: &str, unescape_html: bool) -> String {
    let mut text = segment.to_owned();
    loop {
        let mut fixed = Cow::Borrowed(text.as_str());
        if unescape_html {
            apply(&mut fixed, characters::unescape_html);
        }
        apply(&mut fixed, mojibake::fix_encoding);
        apply(&mut fixed, mojibake::fix_c1_controls);
        apply(&mut fixed, characters::standardize);
        apply(&mut fixed, characters::fix_line_breaks);
        apply(&mut fixed, characters::remove_terminal_escapes);
        apply(&mut fixed, characters::remove_control_characters);
        apply(&mut fixed, compose);
        if *fixed == *text {
            return text;
        }
        text = fixed.into_owned();
    }
}

fn apply(text: &mut Cow<'_, str>, fix: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(fixed) = fix(text) {
        *text = Cow::Owned(fixed);
    }
}

/// Normalization form C.
fn compose(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { text.nfc().collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_ftfys_documentation_come_out_as_it_says() {
        for (broken, fixed) in [
            ("âœ” No problems", "✔ No problems"),
            ("&macr;\\_(ã\u{83}\u{84})_/&macr;", "¯\\_(ツ)_/¯"),
            ("Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "Broken text… it's flubberific!"),
            ("ＬＯＵＤ　ＮＯＩＳＥＳ", "LOUD NOISES"),
            ("voilÃ le travail", "voilà le travail"),
            ("P&EACUTE;REZ", "PÉREZ"),
            ("\u{1b}[36;44mI'm blue\u{1b}[0m", "I'm blue"),
            ("â€œ like this â€\u{fffd}", "\" like this \u{fffd}"),
        ] {
            assert_eq!(fix_text(broken), fixed, "{broken}");
        }
    }

    #[test]
    fn entities_stay_from_the_first_line_with_a_tag_on() {
        assert_eq!(fix_text("&gt;\n<b>&gt;\n&gt;"), ">\n<b>&gt;\n&gt;");
    }

    #[test]
    fn what_is_known_to_differ_from_ftfy_stays_as_it_is() {
        assert_eq!(fix_text("\u{1b}[٣m\u{1b}[3m"), "[٣m");
    }

    #[test]
    fn a_line_of_more_than_a_million_characters_is_cut_between_characters() {
        let long = "é".repeat(MAX_SEGMENT_LENGTH + 1);
        assert_eq!(segments(&long).map(str::len).collect::<Vec<_>>(), [2 * MAX_SEGMENT_LENGTH, 2]);
    }

    proptest! {
        #[test]
        fn any_text_is_fixed_once_and_for_all(
            // Other line breaks than \n become \n, and lines are fixed one by one, in ftfy too.
            text in "[^\r\u{85}\u{2028}\u{2029}]{0,60}",
            html in "[&#x;a-z0-9<]{0,30}",
        ) {
            let fixed = fix_text(&(text + &html));
            prop_assert_eq!(fix_text(&fixed), fixed);
        }

        #[test]
        fn mojibake_of_any_bytes_is_fixed_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let latin_1: String = bytes.iter().copied().map(char::from).collect();
            fix_text(&latin_1);
        }
    }
}

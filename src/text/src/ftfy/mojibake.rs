//! Undoing UTF-8 that was read in a single-byte encoding: "cafÃ©" becomes "café".
//!
//! The steps and their order are those of `ftfy.fix_encoding` 6.3.1: find an encoding that could
//! have produced the whole text, turn the text back into bytes, put back what was lost on the way,
//! and read the bytes as UTF-8. A text of several origins is repaired piece by piece.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use super::badness::is_bad;
use crate::encodings::{ENCODINGS, Encoding, LOST, is_c1, windows_1252_for_c1};

/// Repairs `text` until nothing more is to be done.
pub(super) fn fix_encoding(text: &str) -> Cow<'_, str> {
    let mut fixed = Cow::Borrowed(text);
    while let Some(next) = fix_one_layer(&fixed) {
        if *next == *fixed {
            break;
        }
        fixed = Cow::Owned(next);
    }
    fixed
}

/// One layer of mojibake less, or `None` if there is none.
fn fix_one_layer(text: &str) -> Option<String> {
    if !is_bad(text) {
        return None;
    }
    if let Some(fixed) = ENCODINGS.iter().find_map(|encoding| reread(text, encoding)) {
        return Some(fixed);
    }
    let fixed = fix_pieces(text);
    if fixed != text {
        return Some(fixed);
    }
    // Latin-1 has control characters where Windows-1252, which was meant, has letters.
    let fixed = fix_c1_controls(text);
    (fixed != text).then(|| fixed.into_owned())
}

/// `text` read as UTF-8 instead of as `encoding`, if that is what it was.
fn reread(text: &str, encoding: &Encoding) -> Option<String> {
    let mut bytes = encoding.encode(text)?;
    // In MacRoman this would match an en dash before a space.
    if encoding.name != "macroman" {
        bytes = restore_no_break_spaces(&bytes);
    }
    if encoding.sloppy {
        bytes = mark_lost_characters(&bytes);
    }
    if bytes.contains(&0xed) || bytes.contains(&0xc0) {
        bytes = standardize(&bytes);
    }
    String::from_utf8(bytes).ok()
}

/// Replaces what `pattern` recognises at the start of a slice by what it gives, everywhere.
fn replace(bytes: &[u8], pattern: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        match pattern(rest) {
            Some((matched, replacement)) => {
                out.extend(replacement);
                rest = &rest[matched..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// Puts back bytes A0 that somebody turned into ordinary spaces inside UTF-8.
fn restore_no_break_spaces(bytes: &[u8]) -> Vec<u8> {
    // "Ã la carte" is "à la carte", with the space; but "às" and "àquele" are one word.
    let with_words = replace(bytes, |rest| {
        let after = rest.strip_prefix(b"\xc3 ")?;
        let one_word = [&b" "[..], b"quele", b"quela", b"quilo", b"s "];
        (!one_word.iter().any(|word| after.starts_with(word))).then(|| (2, b"\xc3\xa0 ".to_vec()))
    });
    replace(&with_words, |rest| {
        let length = match rest {
            [0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9, b' ', ..] => 2,
            [0xe2 | 0xe3, b' ', c, ..] if likely_beside_a_space(*c) => 3,
            [0xe0..=0xe3, c, b' ', ..] if likely_beside_a_space(*c) => 3,
            [0xf0, b' ', 0x80..=0xbf, 0x80..=0xbf, ..]
            | [0xf0, 0x80..=0xbf, b' ', 0x80..=0xbf, ..]
            | [0xf0, 0x80..=0xbf, 0x80..=0xbf, b' ', ..] => 4,
            _ => return None,
        };
        let restored = rest.iter().take(length);
        let restored = restored.map(|&b| if b == b' ' { 0xa0 } else { b });
        Some((length, restored.collect()))
    })
}

/// Continuation bytes but 85, an ellipsis, and A0, which would be a second space.
fn likely_beside_a_space(byte: u8) -> bool {
    matches!(byte, 0x80..=0x84 | 0x86..=0x9f | 0xa1..=0xbf)
}

/// Turns UTF-8 and CESU-8 sequences with lost bytes, or one `?` in place of a byte, into U+FFFD.
fn mark_lost_characters(bytes: &[u8]) -> Vec<u8> {
    let lost = |b: u8| b == LOST || b == b'?';
    let continues = |b: u8| matches!(b, LOST | 0x80..=0xbf);
    let either = |b: u8| lost(b) || continues(b);
    replace(bytes, |rest| {
        let length = match *rest {
            [0xc2..=0xdf, LOST, ..] | [0xc2 | 0xc3, b'?', ..] => 2,
            [0xed, 0xa0..=0xaf, a, 0xed, 0xb0..=0xbf, b, ..]
                if (lost(a) && either(b)) || (either(a) && lost(b)) =>
            {
                6
            }
            [0xe0..=0xef, a, b, ..] if (lost(a) && continues(b)) || (continues(a) && lost(b)) => 3,
            [0xf0..=0xf4, a, b, c, ..]
                if (lost(a) && continues(b) && continues(c))
                    || (continues(a) && lost(b) && continues(c))
                    || (continues(a) && continues(b) && lost(c)) =>
            {
                4
            }
            [LOST, ..] => 1,
            _ => return None,
        };
        Some((length, "\u{fffd}".into()))
    })
}

/// Turns Java's two-byte NUL and CESU-8's six-byte characters into standard UTF-8: what ftfy's
/// `utf-8-variants` reads besides it. Its regular expressions end in `$`, which also stands before
/// a last line break, so such a break counts as the last byte.
fn standardize(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, |rest| match *rest {
        [0xc0, 0x80, ..] | [0xc0, b'\n'] => Some((2, vec![0])),
        [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d, ref tail @ ..]
            if matches!(d, 0x80..=0xbf) || (d == b'\n' && tail.is_empty()) =>
        {
            let bits = [(a, 0x0f, 16), (b, 0x3f, 10), (c, 0x0f, 6), (d, 0x3f, 0)];
            let offset: u32 =
                bits.iter().map(|(byte, mask, shift)| u32::from(byte & mask) << shift).sum();
            let character = char::from_u32(0x10000 + offset)?;
            Some((6, character.to_string().into_bytes()))
        }
        _ => None,
    })
}

/// Role of a character in UTF-8 that was read in a Latin-1-like encoding.
#[derive(Clone, Copy, Default)]
struct Role {
    /// Number of continuation bytes that it announces; 0 if it begins nothing.
    announces: usize,
    continues: bool,
    /// Continues, and hardly stands for itself beside mojibake: no space, dash, quote or ellipsis.
    strictly: bool,
}

fn role(c: char) -> Role {
    static ROLES: LazyLock<HashMap<char, Role>> = LazyLock::new(roles);
    ROLES.get(&c).copied().unwrap_or_default()
}

fn roles() -> HashMap<char, Role> {
    let mut roles: HashMap<char, Role> = HashMap::new();
    let latin_like = ENCODINGS.iter().filter(|e| e.sloppy || e.name == "latin-1");
    for encoding in latin_like {
        for byte in 0x80..=0xff {
            let Some(c) = encoding.decode_high(byte) else {
                continue;
            };
            let role = roles.entry(c).or_default();
            match byte {
                0x80..=0xbf => {
                    role.continues = true;
                    role.strictly = !"–—―‘’‚“”„•…".contains(c);
                }
                0xc2..=0xdf => role.announces = 1,
                0xe0..=0xef => role.announces = 2,
                // Other lead bytes belong to no assigned character.
                0xf0 | 0xf3 => role.announces = 3,
                _ => {}
            }
        }
    }
    // In place of a no-break space.
    roles.entry(' ').or_default().continues = true;
    roles
}

/// Repairs the stretches of `text` that look like UTF-8, each for itself.
fn fix_pieces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let garbled_before = before.is_some_and(|b| role(b).strictly);
        let length = if garbled_before { 0 } else { stretch(rest) };
        let (piece, tail) = rest.split_at(length.max(c.len_utf8()));
        // The whole text has been tried already.
        if length > 0 && length < text.len() && is_bad(piece) {
            out.push_str(&fix_encoding(piece));
        } else {
            out.push_str(piece);
        }
        before = piece.chars().next_back();
        rest = tail;
    }
    out
}

/// Bytes of `text`, from its start, that look like UTF-8 characters one after another.
fn stretch(text: &str) -> usize {
    let mut length = 0;
    let mut characters = text.chars();
    while let Some(first) = characters.next() {
        let announced = role(first).announces;
        let following: Vec<char> = characters.by_ref().take(announced).collect();
        if announced == 0
            || following.len() < announced
            || !following.iter().all(|&c| role(c).continues)
        {
            break;
        }
        length += first.len_utf8() + following.iter().map(|c| c.len_utf8()).sum::<usize>();
    }
    length
}

/// Reads C1 control characters as Windows-1252, as web browsers do.
pub(super) fn fix_c1_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_c1) {
        return Cow::Borrowed(text);
    }
    text.chars().map(windows_1252_for_c1).collect()
}

//! Telling mojibake from text that only looks unusual.
//!
//! Some four hundred characters turn up when UTF-8 is read in a single-byte encoding. Each belongs
//! to a few kinds, and certain kinds hardly ever stand beside each other in real text: a currency
//! sign after an accented small letter, say. The kinds and the telling neighbours are those of
//! ftfy 6.3.1 (`ftfy.badness`, by Robyn Speer, Apache-2.0), found there by looking at much text.

use std::{collections::HashMap, sync::LazyLock};

use unicode_normalization::char::is_combining_mark;

use crate::whitespace::is_space;

/// A set of kinds of character, a bit each.
type Kinds = u32;

const COMMON: Kinds = 1 << 0;
const C1: Kinds = 1 << 1;
const BAD: Kinds = 1 << 2;
const LAW: Kinds = 1 << 3;
const CURRENCY: Kinds = 1 << 4;
const OPENING: Kinds = 1 << 5;
const CLOSING: Kinds = 1 << 6;
const NUMERIC: Kinds = 1 << 7;
const KAOMOJI: Kinds = 1 << 8;
const UPPER: Kinds = 1 << 9;
const LOWER: Kinds = 1 << 10;
const UPPER_COMMON: Kinds = 1 << 11;
const LOWER_COMMON: Kinds = 1 << 12;
const BOX: Kinds = 1 << 13;
const ASCII_UPPER: Kinds = 1 << 14;
const ASCII_LOWER: Kinds = 1 << 15;
const SPACE: Kinds = 1 << 16;
const WORD: Kinds = 1 << 17;

const ACCENTED: Kinds = UPPER | LOWER;
const ASCII_LETTER: Kinds = ASCII_UPPER | ASCII_LOWER;
const PUNCTUATION: Kinds = OPENING | CLOSING;

/// The members of each kind; two characters with `-` between them are a range.
const MEMBERS: [(Kinds, &str); 14] = [
    (COMMON, "\u{a0}\u{ad}·´–—―…’"),
    (C1, "\u{80}-\u{9f}"),
    (BAD, "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\u{fffd}ªº"),
    (LAW, "¶§"),
    (CURRENCY, "¢£¥₧€"),
    (OPENING, "¡«¿©΄΅‘‚“„•‹\u{f8ff}"),
    (CLOSING, "®»˝”›™"),
    (NUMERIC, "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№"),
    // Letters that faces such as (◕‿◕)ﾉ are made of.
    (KAOMOJI, "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°"),
    (UPPER, "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ"),
    (LOWER, "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ"),
    (UPPER_COMMON, "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я"),
    (LOWER_COMMON, "α-ωάέήίΰа-џ"),
    (BOX, "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓"),
];

/// One place in a rule: what may stand there.
struct Place {
    kinds: Kinds,
    characters: &'static str,
    /// Whether what is listed may *not* stand there.
    except: bool,
}

/// A character of any of these kinds.
const fn any(kinds: Kinds) -> Place {
    or(kinds, "")
}

/// One of these characters.
const fn one(characters: &'static str) -> Place {
    or(0, characters)
}

/// A character of any of these kinds, or one of these characters.
const fn or(kinds: Kinds, characters: &'static str) -> Place {
    Place { kinds, characters, except: false }
}

/// A character of none of these kinds, and none of these characters.
const fn except(kinds: Kinds, characters: &'static str) -> Place {
    Place { kinds, characters, except: true }
}

/// Neighbours that give mojibake away.
const TELLING: &[&[Place]] = &[
    &[any(C1)],
    &[any(BAD | ACCENTED | BOX | PUNCTUATION | CURRENCY | NUMERIC | LAW), any(BAD)],
    &[any(ASCII_LETTER), any(LOWER_COMMON | UPPER_COMMON), any(BAD)],
    &[any(BAD), any(ACCENTED | BOX | PUNCTUATION | CURRENCY | NUMERIC | LAW)],
    &[any(LOWER | LOWER_COMMON | BOX | CLOSING | CURRENCY | NUMERIC), any(UPPER)],
    &[any(BOX | CLOSING | CURRENCY | NUMERIC), any(LOWER)],
    &[any(LOWER | BOX | CLOSING), any(CURRENCY)],
    &[any(SPACE), any(UPPER), any(CURRENCY)],
    &[any(UPPER | BOX), any(NUMERIC | LAW)],
    &[any(ACCENTED | BOX | CURRENCY | CLOSING), any(OPENING), any(NUMERIC)],
    &[any(ACCENTED | CURRENCY | NUMERIC | BOX | LAW), any(CLOSING), any(OPENING)],
    &[any(CURRENCY | NUMERIC | BOX), any(OPENING)],
    &[any(ASCII_LOWER), any(UPPER), any(OPENING | CURRENCY)],
    &[any(BOX), any(KAOMOJI)],
    &[any(ACCENTED | CURRENCY | NUMERIC | PUNCTUATION | LAW), any(BOX)],
    &[any(BOX), any(CLOSING)],
    &[any(ACCENTED), any(PUNCTUATION), any(WORD)],
    &[one("Œœ"), except(ASCII_LETTER, "")],
    &[any(UPPER), one("°")],
    // Windows-1252: two characters of Latin, Greek and Cyrillic letters.
    &[one("ÂÃÎÐ"), or(PUNCTUATION, "€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»–—´")],
    &[one("×"), one("²³")],
    // Windows-1252: two Arabic letters.
    &[one("ØÙ"), ARABIC_TAIL, one("ØÙ"), ARABIC_TAIL],
    // Windows-1252: some South Asian letters.
    &[one("à"), one("²µ¹¼½¾")],
    // MacRoman.
    &[one("√"), one("±∂†≠®™´≤≥¥µø")],
    &[one("≈"), one("°¢")],
    &[one("‚"), one("Ä"), one("ìîïòôúùû†°¢π")],
    &[one("‚"), one("âó"), one("àä°ê")],
    // Windows-1251: general punctuation, then Latin-1 and Cyrillic letters.
    &[one("в"), one("Ђ")],
    &[one("ВГРС"), or(C1 | BAD | PUNCTUATION | CURRENCY, "°µ"), one("ВГРС")],
    &[one("Г"), one("ў"), one("В"), one("Ђ"), one("В"), except(0, "\n"), or(ASCII_LETTER, " ")],
    // Windows-1252: à, á and the no-break space.
    &[one("Ã"), one("\u{a0}¡")],
    &[any(ASCII_LOWER), one("ÃÂ"), one(" ")],
    &[any(ASCII_LOWER), any(SPACE), one("ÃÂ"), one(" ")],
    &[or(ASCII_LOWER | CLOSING, ".,?!"), one("Â"), or(PUNCTUATION, " ")],
    // Windows-1253: general punctuation, then Latin-1 and Greek letters.
    &[one("β"), one("€"), one("™\u{a0}Ά\u{ad}®°")],
    &[one("ΒΓΞΟ"), or(C1 | BAD | PUNCTUATION | CURRENCY, "°"), one("ΒΓΞΟ")],
    // Windows-1257: general punctuation.
    &[one("ā"), one("€")],
];

const ARABIC_TAIL: Place = or(COMMON | CURRENCY | BAD | NUMERIC | OPENING, "ŸŠ®°µ»");

/// Whether some of `text` seems to be mojibake: `ftfy.badness.is_bad`.
pub(super) fn is_bad(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    if text.starts_with("Ã ") || text.starts_with("Â ") {
        return true;
    }
    let characters: Vec<(char, Kinds)> = text.chars().map(|c| (c, kinds(c))).collect();
    (0..characters.len())
        .any(|start| TELLING.iter().any(|rule| stands_at_start(rule, &characters[start..])))
}

fn stands_at_start(rule: &[Place], text: &[(char, Kinds)]) -> bool {
    rule.len() <= text.len()
        && rule.iter().zip(text).all(|(place, (c, kinds))| {
            let listed = place.kinds & kinds != 0 || place.characters.contains(*c);
            listed != place.except
        })
}

fn kinds(c: char) -> Kinds {
    static TABLE: LazyLock<HashMap<char, Kinds>> = LazyLock::new(table);
    match c {
        'a'..='z' => ASCII_LOWER | WORD,
        'A'..='Z' => ASCII_UPPER | WORD,
        _ => {
            let word = c == '_' || (c.is_alphanumeric() && !is_combining_mark(c));
            TABLE.get(&c).copied().unwrap_or(0)
                | if word { WORD } else { 0 }
                | if is_space(c) { SPACE } else { 0 }
        }
    }
}

fn table() -> HashMap<char, Kinds> {
    let mut table = HashMap::new();
    for (kind, members) in MEMBERS {
        for c in expand(members) {
            *table.entry(c).or_default() |= kind;
        }
    }
    table
}

fn expand(members: &str) -> Vec<char> {
    let mut all = Vec::new();
    let mut rest = members.chars();
    while let Some(c) = rest.next() {
        match (c, all.last().copied(), rest.as_str().chars().next()) {
            ('-', Some(first), Some(last)) => all.extend(first..=last),
            _ => all.push(c),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::is_bad;

    #[test]
    fn text_in_many_scripts_is_not_bad() {
        for text in [
            "a café in Łódź, naïve façade",
            "привет мир",
            "Ελλάδα",
            "日本語 中文 한국어",
            "(ಠ_ಠ) ¯\\_(ツ)_/¯ 10 °C, ±3 %, £20",
        ] {
            assert!(!is_bad(text), "{text}");
        }
    }

    #[test]
    fn utf8_in_other_encodings_is_bad() {
        for text in ["cafÃ©", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "donâ€™t", "d√©j√†", "Â £20", "РїСЂРёРІРµС‚"]
        {
            assert!(is_bad(text), "{text}");
        }
    }
}

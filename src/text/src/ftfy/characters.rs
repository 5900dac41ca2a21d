//! The fixes that replace or remove single characters.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::html;

/// Maximum length of the name or number of an entity, without `&` and `;`.
const MAX_ENTITY_LENGTH: usize = 24;

/// Decodes entities that end in `;`, also names that somebody has turned into capitals.
pub(super) fn unescape_html(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (entity, tail) = from.split_at(entity_length(from).unwrap_or(1));
        out.push_str(&unescape_entity(entity).unwrap_or_else(|| entity.to_owned()));
        rest = tail;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Bytes of the `&name;` or `&#number;` that `text` begins with.
fn entity_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('&')?;
    let body = body.strip_prefix('#').unwrap_or(body);
    let end = body.find(|c: char| !c.is_ascii_alphanumeric())?;
    let complete = body.get(end..)?.starts_with(';') && (1..=MAX_ENTITY_LENGTH).contains(&end);
    complete.then_some(text.len() - body.len() + end + 1)
}

fn unescape_entity(entity: &str) -> Option<String> {
    if let Some(character) = html::named(entity) {
        return Some(character.to_owned());
    }
    let unescaped = html::unescape(entity);
    if entity.starts_with("&#") {
        return (!unescaped.contains(';')).then(|| unescaped.into_owned());
    }
    let in_capitals = entity == entity.to_ascii_uppercase() && unescaped == entity;
    let character = html::named(&entity.to_ascii_lowercase()).filter(|_| in_capitals)?;
    Some(character.to_uppercase())
}

/// Breaks Latin ligatures, gives every letter its standard width and straightens quotes.
pub(super) fn standardize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c >= '\u{132}') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'Ĳ' => out.push_str("IJ"),
            'ĳ' => out.push_str("ij"),
            'ŉ' => out.push_str("'n"),
            'Ǆ' => out.push_str("DŽ"),
            'ǅ' => out.push_str("Dž"),
            'ǆ' => out.push_str("dž"),
            'Ǉ' => out.push_str("LJ"),
            'ǈ' => out.push_str("Lj"),
            'ǉ' => out.push_str("lj"),
            'Ǌ' => out.push_str("NJ"),
            'ǋ' => out.push_str("Nj"),
            'ǌ' => out.push_str("nj"),
            'Ǳ' => out.push_str("DZ"),
            'ǲ' => out.push_str("Dz"),
            'ǳ' => out.push_str("dz"),
            'ﬀ' => out.push_str("ff"),
            'ﬁ' => out.push_str("fi"),
            'ﬂ' => out.push_str("fl"),
            'ﬃ' => out.push_str("ffi"),
            'ﬄ' => out.push_str("ffl"),
            'ﬅ' => out.push_str("ſt"),
            'ﬆ' => out.push_str("st"),
            '\u{3000}' => out.push(' '),
            '\u{ff01}'..='\u{ffef}' => out.extend(c.nfkc()),
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' => out.push('"'),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Makes every line break a `\n`.
pub(super) fn fix_line_breaks(text: &str) -> Cow<'_, str> {
    if !text.contains(['\r', '\u{2028}', '\u{2029}', '\u{85}']) {
        return Cow::Borrowed(text);
    }
    let unix = text.replace("\r\n", "\n");
    Cow::Owned(unix.replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n"))
}

/// Removes the sequences that colour text and move the cursor in a terminal.
pub(super) fn remove_terminal_escapes(text: &str) -> Cow<'_, str> {
    const START: &str = "\u{1b}[";
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(START) {
        out.push_str(before);
        let command = from.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match command.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(tail) => rest = tail,
            None => {
                out.push_str(START);
                rest = from;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Removes characters that control something and show nothing.
pub(super) fn remove_control_characters(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unwanted) {
        return Cow::Borrowed(text);
    }
    text.chars().filter(|&c| !is_unwanted(c)).collect()
}

/// Not among them: what makes white space, joiners and direction marks, which change how letters
/// look, and tags, which emoji flags are made of.
fn is_unwanted(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x08'
            | '\x0b'
            | '\x0e'..='\x1f'
            | '\x7f'
            // Deprecated Arabic controls, the byte order mark, interlinear annotation.
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
    )
}

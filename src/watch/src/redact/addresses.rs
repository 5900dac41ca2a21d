//! Addresses without user, password and secret path segments.
//!
//! Each search ends where its result ends, at the next address, or at the end of a word that is looked through once, so
//! that time grows with the length of a text.

use super::{PLACEHOLDER, REDACTED, ends_word, names::is_in_front_of_secret, word};

/// Kinds of sources and displays: what stands behind their colon is no password.
const KINDS: [&str; 6] = ["dir", "cmd", "camera", "png", "fb", "spi"];
const SCHEME_END: &str = "://";

/// A word of a text, by its positions there.
#[derive(Clone, Copy, Default)]
struct Word {
    end: usize,
    last_at_sign: Option<usize>,
}

impl Word {
    fn starting(text: &str, start: usize) -> Self {
        let word = word(&text[start..]);
        Self { end: start + word.len(), last_at_sign: word.rfind('@').map(|at| start + at) }
    }
}

/// `scheme://user:password@host` without what stands before the host; `None` if nothing does.
pub(super) fn without_user_information(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut at = 0;
    let mut is_changed = false;
    let mut word = Word::default();
    while let Some(length) = text[at..].find(SCHEME_END) {
        let start = at + length + SCHEME_END.len();
        shown += &text[at..start];
        at = start;
        if start >= word.end {
            word = Word::starting(text, start);
        }
        if let Some(end) = user_information(text, start, word)
            && !text[start..].trim_start_matches('[').starts_with(PLACEHOLDER)
        {
            is_changed = true;
            at = end;
        }
    }
    shown += &text[at..];
    is_changed.then_some(shown)
}

/// The position of the host of the address at `start`, in this word of the text, if user and password stand before it.
fn user_information(text: &str, start: usize, word: Word) -> Option<usize> {
    let in_word = &text[start..word.end];
    let authority = &in_word[..in_word.find(['/', '?', '#']).unwrap_or(in_word.len())];
    if let Some(at) = authority.rfind('@') {
        // Nobody stands before the host of `udp://@239.0.0.1`.
        return (at > 0).then_some(start + at + 1);
    }
    let last_at_sign = word.last_at_sign.filter(|&at| at >= start);
    let is_colon_of_message = authority.len() == in_word.len() && authority.ends_with(':');
    if is_colon_of_message && !until_next_address(&text[start..]).contains('@') {
        return None;
    }
    // What is behind the colon is no port, so it is part of a password that should have been percent-encoded.
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok() || host.starts_with('[');
    if is_port && last_at_sign.is_none() {
        return None;
    }
    // It may hold blanks and quotation marks too.
    let in_address = || until_next_address(&text[start..]).rfind('@').map(|at| start + at);
    Some(last_at_sign.or_else(in_address).map_or(word.end, |at| at + 1))
}

fn until_next_address(text: &str) -> &str {
    &text[..text.find(SCHEME_END).unwrap_or(text.len())]
}

/// `user:password@host` in an address whose scheme is missing or misspelt, without what stands before the host; `None` if
/// there is none.
pub(super) fn without_user_of_bare_hosts(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    let mut is_changed = false;
    while let Some(start) = rest.find(|c| !ends_word(c)) {
        let word = word(&rest[start..]);
        let end = start + word.len();
        match bare_user_information(word) {
            Some(length) => {
                is_changed = true;
                shown += &rest[..start];
                shown += &word[length..];
            }
            None => shown += &rest[..end],
        }
        rest = &rest[end..];
    }
    shown += rest;
    is_changed.then_some(shown)
}

/// Length of user and password in front of the host that a word without a scheme begins with, `@` included.
fn bare_user_information(word: &str) -> Option<usize> {
    let (user, password) = word.split_once(':')?;
    let is_path = user.contains('/') && !user.contains("//");
    if user.is_empty() || is_path || KINDS.contains(&user) || word.contains(SCHEME_END) {
        return None;
    }
    Some(user.len() + 1 + password.rfind('@')? + 1)
}

/// Addresses without the path segments behind those that name a secret, as in `http://cam/token/SECRET`; `None` if there
/// are none. Files have addresses too: their folders may have any name.
pub(super) fn without_secret_segments(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    let mut is_changed = false;
    while let Some(start) = rest.find(SCHEME_END) {
        let (scheme, address) = rest.split_at(start + SCHEME_END.len());
        shown += scheme;
        let end = address.find(|c| ends_word(c) || matches!(c, '?' | '#'));
        let (path, behind) = address.split_at(end.unwrap_or(address.len()));
        rest = behind;
        if scheme.ends_with("file://") {
            shown += path;
            continue;
        }
        // The colon behind an address in a message.
        let (path, colon) = match path.strip_suffix(':') {
            Some(path) => (path, ":"),
            None => (path, ""),
        };
        let (host, segments) = match path.split_once('/') {
            Some((host, segments)) => (host, Some(segments)),
            None => (path, None),
        };
        shown += host;
        let mut is_secret = false;
        for segment in segments.into_iter().flat_map(|segments| segments.split('/')) {
            shown.push('/');
            if is_secret && !segment.is_empty() {
                is_changed = true;
                shown += REDACTED;
            } else {
                shown += segment;
            }
            is_secret = is_in_front_of_secret(segment);
        }
        shown += colon;
    }
    shown += rest;
    is_changed.then_some(shown)
}

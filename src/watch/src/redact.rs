//! Text without passwords and tokens.

use std::borrow::Cow;

/// Stands for user and password in advice, where it is no secret.
pub(crate) const PLACEHOLDER: &str = "USER:PASSWORD@";
/// Stands for what is left out.
const REDACTED: &str = "…";
/// Parts of the names of secret values, in lower case.
const SECRET_PARTS: [&str; 9] =
    ["pass", "pwd", "psw", "tok", "secret", "apikey", "api_key", "api-key", "credential"];
/// Whole names of secret values, in lower case.
const SECRET_NAMES: [&str; 8] =
    ["key", "pw", "auth", "authorization", "sig", "signature", "session", "loginpas"];
/// Options of commands whose next word is secret.
const SECRET_FLAGS: [&str; 2] = ["-u", "--user"];

/// The text as it may be shown and logged: addresses without user and password, and without the values of parameters and
/// options that sound like secrets.
///
/// This looks at letters alone, so that it also covers addresses that cannot be parsed. It rather leaves out too much.
///
/// ```
/// use coca_watch::redact;
///
/// assert_eq!(redact("rtsp://viewer:p@ss@10.0.0.3/live?ch=1"), "rtsp://10.0.0.3/live?ch=1");
/// assert_eq!(redact("http://cam/video?user=a&pwd=b"), "http://cam/video?user=a&pwd=…");
/// assert_eq!(redact("cmd:curl -u viewer:pass URL"), "cmd:curl -u … URL");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for redact in [without_user_information, without_secret_values, without_secret_options] {
        if let Some(redacted) = redact(&text) {
            text = Cow::Owned(redacted);
        }
    }
    text
}

/// Whether a word ends here: blanks, quotation marks and whatever no address holds.
fn ends_word(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '"' | '\'' | '`' | '<' | '>' | '‘' | '’' | '“' | '”')
}

fn word(text: &str) -> &str {
    &text[..text.find(ends_word).unwrap_or(text.len())]
}

/// Whether an address holds a user.
pub(crate) fn has_user(address: &str) -> bool {
    without_user_information(address).is_some()
}

/// `scheme://user:password@host` without what stands before the host; `None` if nothing does.
fn without_user_information(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    let mut is_changed = false;
    while let Some(start) = rest.find("://") {
        let (scheme, address) = rest.split_at(start + 3);
        shown += scheme;
        rest = address;
        if let Some(end) = user_information(address)
            && !address.starts_with(PLACEHOLDER)
        {
            is_changed = true;
            rest = &address[end..];
        }
    }
    shown += rest;
    is_changed.then_some(shown)
}

/// Length of user and password in front of a host, `@` included.
fn user_information(address: &str) -> Option<usize> {
    let word = word(address);
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    if let Some(at) = authority.rfind('@') {
        return Some(at + 1);
    }
    // What is behind the colon is no port, so it is part of a password that should have been percent-encoded.
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok() || host.starts_with('[');
    if is_port && !word.contains('@') {
        return None;
    }
    if let Some(at) = word.rfind('@') {
        return Some(at + 1);
    }
    // It may hold blanks and quotation marks too.
    let until = address.find("://").unwrap_or(address.len());
    Some(address[..until].rfind('@').map_or(word.len(), |at| at + 1))
}

/// `name=value` and `name: value` without the values of secrets; `None` if there are none.
fn without_secret_values(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    let mut is_changed = false;
    while let Some(sign) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(sign + 1);
        shown += before;
        rest = after;
        let is_header = before.ends_with(':');
        if !is_secret(name_before(&before[..sign]), is_header) {
            continue;
        }
        let value = after.trim_start_matches(' ');
        let (blanks, value) = after.split_at(after.len() - value.len());
        let length = match (is_header, value.chars().next()) {
            // To the end of the header.
            (true, _) => value.find(|c: char| c.is_control() || c == '"' || c == '\''),
            (false, Some(quote @ ('"' | '\''))) => value[1..].find(quote).map(|end| end + 2),
            (false, _) => value.find(|c| ends_word(c) || matches!(c, '&' | '#' | ';')),
        };
        let length = length.unwrap_or(value.len());
        if length > 0 && blanks.len() <= usize::from(is_header) {
            is_changed = true;
            shown += blanks;
            shown += REDACTED;
            rest = &value[length..];
        }
    }
    shown += rest;
    is_changed.then_some(shown)
}

/// The name at the end of `text`.
fn name_before(text: &str) -> &str {
    let is_other = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    &text[text
        .rfind(is_other)
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}

fn is_secret(name: &str, is_header: bool) -> bool {
    let name = name.to_ascii_lowercase();
    if is_header {
        return matches!(name.as_str(), "authorization" | "cookie" | "x-api-key");
    }
    SECRET_NAMES.contains(&name.trim_start_matches('-'))
        || SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// As [`redact`], for a text that is a command.
pub(crate) fn redact_command(command: &str) -> String {
    let redacted = redact(command);
    without_options_behind(&redacted, 0).unwrap_or_else(|| redacted.into_owned())
}

/// A text with a command in it without the words behind options such as `--password`; `None` if there are none.
fn without_secret_options(text: &str) -> Option<String> {
    match text.find("cmd:") {
        Some(at) => without_options_behind(text, at + "cmd:".len()),
        None if text.contains("--on-label") => without_options_behind(text, 0),
        None => None,
    }
}

fn without_options_behind(text: &str, start: usize) -> Option<String> {
    let (before, command) = text.split_at(start);
    let mut shown = before.to_owned();
    let mut is_changed = false;
    let mut is_secret_next = false;
    for piece in command.split_inclusive(' ') {
        let word = piece.trim_end_matches(' ');
        if is_secret_next && !word.is_empty() {
            is_changed = true;
            shown += REDACTED;
            shown += &piece[word.len()..];
            is_secret_next = false;
            continue;
        }
        shown += piece;
        is_secret_next = is_secret_next && word.is_empty()
            || SECRET_FLAGS.contains(&word)
            || word.starts_with('-') && !word.contains('=') && is_secret(word, false);
    }
    is_changed.then_some(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_without_secrets_stay_as_they_are() {
        for text in [
            "",
            "http://10.0.0.3:8080/stream?fps=5",
            "http://10.0.0.3/a@b",
            "http://[::1]:81/",
            "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
            "--token: expected a secret, found none",
            "cat=notify-send 'Somebody is here'",
            "cat.jpg: not a picture: the file is empty",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn no_way_of_writing_a_password_shows_it() {
        for text in [
            "http://u:hush@cam/",
            "http://hush@cam/",
            "rtsp://u:hush@cam:554/live",
            "HTTP://u:p@hush@cam/",
            "http://u:hu/hush@cam/",
            "http://u:?hush@cam/",
            "http://u:a#hush@cam/x",
            "http://u:a hush@cam/",
            "'http://u:a'hush@cam/'",
            "http://u:hush",
            "http://u:1/hush@cam",
            "http://cam/?pwd=hush",
            "http://cam/?a=1&loginpas=hush&b=2",
            "http://cam/v.cgi?PassWord=hush#x",
            "web:8080?token=hush",
            "--token=hush",
            "cmd:curl -u u:hush http://cam",
            "cmd:curl --user  u:hush http://cam",
            "cmd:ffmpeg -i 'rtsp://u:hush@cam/' -",
            "cmd:play --password hush -",
            "cmd:play --password='hush hush' -",
            "cmd:curl -H 'Authorization: Bearer hush' http://cam",
            "invalid value 'http://u:hush@cam' for '--display <D>': no",
            "invalid value 'curl --password hush 'x' for '--on-label <LABEL=COMMAND>': no",
        ] {
            let shown = redact(text);
            assert!(!shown.contains("hush"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_command_is_shown_without_the_words_behind_secret_options() {
        let command = "cat=curl -u u:hush --password hush http://u:hush@cam/ -o out";
        assert_eq!(redact_command(command), "cat=curl -u … --password … http://cam/ -o out");
    }

    #[test]
    fn what_is_no_secret_stays_beside_one() {
        assert_eq!(
            redact("cmd:ffmpeg -i rtsp://u:p@cam/live?x=1 -f mjpeg -: ended with 1"),
            "cmd:ffmpeg -i rtsp://cam/live?x=1 -f mjpeg -: ended with 1"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_redacted(text in "([a-z]|://|@|:|/|=|\\?|&| |'|\"|pwd|cmd:|-u |é|‘){0,30}") {
            let shown = redact(&text).into_owned();
            prop_assert!(shown.len() <= text.len() + 3 * text.len());
        }
    }
}

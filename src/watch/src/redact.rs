//! Text without passwords and tokens.

use std::borrow::Cow;

/// Stands for user and password in advice, where it is no secret.
pub(crate) const PLACEHOLDER: &str = "USER:PASSWORD@";
/// Stands for what is left out.
const REDACTED: &str = "…";
/// Parts of the names of secret values, in lower case.
const SECRET_PARTS: [&str; 16] = [
    "pass",
    "pwd",
    "psw",
    "tok",
    "secret",
    "apikey",
    "authkey",
    "accesskey",
    "_key",
    "-key",
    "-pw",
    "credential",
    "session",
    "signature",
    "bearer",
    "loginpas",
];
/// Whole names of secret values, in lower case.
const SECRET_NAMES: [&str; 12] =
    ["key", "p", "pw", "pin", "code", "auth", "authorization", "sid", "sig", "sign", "jwt", "otp"];
/// Options of commands whose next word is secret: of curl, wget, mosquitto's clients and sshpass.
const SECRET_FLAGS: [&str; 7] = ["-u", "-U", "-p", "-P", "--user", "--proxy-user", "--cert"];
const QUOTES: [char; 2] = ['"', '\''];
/// Kinds of sources and displays: what stands behind their colon is no password.
const KINDS: [&str; 6] = ["dir", "cmd", "camera", "png", "fb", "spi"];

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
    for redact in [
        without_user_information,
        without_user_of_bare_hosts,
        without_secret_values,
        without_secret_options,
    ] {
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
            && !address.trim_start_matches('[').starts_with(PLACEHOLDER)
        {
            is_changed = true;
            rest = &address[end..];
        }
    }
    shown += rest;
    is_changed.then_some(shown)
}

/// `user:password@host` in an address whose scheme is missing or misspelt, without what stands before the host; `None` if
/// there is none.
fn without_user_of_bare_hosts(text: &str) -> Option<String> {
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
    if user.is_empty() || is_path || KINDS.contains(&user) || word.contains("://") {
        return None;
    }
    Some(user.len() + 1 + password.rfind('@')? + 1)
}

/// Length of user and password in front of a host, `@` included.
fn user_information(address: &str) -> Option<usize> {
    let word = word(address);
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    if let Some(at) = authority.rfind('@') {
        // Nobody stands before the host of `udp://@239.0.0.1`.
        return (at > 0).then_some(at + 1);
    }
    let until = address.find("://").unwrap_or(address.len());
    let is_colon_of_message = authority.len() == word.len() && authority.ends_with(':');
    if is_colon_of_message && !address[..until].contains('@') {
        return None;
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
        // The name of a member of JSON is quoted, as its value is.
        let is_member = before[..sign].ends_with(QUOTES) && after.trim_start().starts_with(QUOTES);
        let is_header = before.ends_with(':') && !is_member;
        let name = name_before(before[..sign].trim_end_matches(QUOTES));
        let is_first_in_quotes =
            before[..sign].strip_suffix(name).is_some_and(|before| before.ends_with(QUOTES));
        if !is_secret(name, is_header, is_first_in_quotes) {
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
        let mut length = length.unwrap_or(value.len());
        // The colon behind a name in a message.
        if value[..length].ends_with(':') && value[length..].starts_with(' ') {
            length -= 1;
        }
        if length > 0 && blanks.len() <= usize::from(before.ends_with(':')) {
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

/// Whether a name is that of a secret. Files and options have such names too, and a colon behind them in messages: that
/// of a header is first in quotes or begins with `X-`.
fn is_secret(name: &str, is_header: bool, is_first_in_quotes: bool) -> bool {
    let name = name.to_ascii_lowercase();
    if is_header && !(name.starts_with("x-") || is_first_in_quotes && !name.contains('.')) {
        return matches!(name.as_str(), "authorization" | "cookie");
    }
    let name = name.trim_start_matches('-');
    SECRET_NAMES.contains(&name) || SECRET_PARTS.iter().any(|part| name.contains(part))
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
        if let Some(option) = option_with_secret(word) {
            is_changed = true;
            shown += option;
            shown += REDACTED;
            shown += &piece[word.len()..];
            continue;
        }
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
            || word.starts_with('-') && !word.contains('=') && is_secret(word, false, false);
    }
    is_changed.then_some(shown)
}

/// The option of a word that holds a user and a password behind it, as `-uUSER:PASSWORD` does.
fn option_with_secret(word: &str) -> Option<&str> {
    let length = ["--user=", "--proxy-user="]
        .into_iter()
        .find(|option| word.starts_with(option))
        .map(str::len)
        .or((word.starts_with("-u") && word.contains(':')).then_some(2))?;
    Some(&word[..length])
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
            "http://cam: not a source",
            "udp://@239.0.0.1:1234",
            "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
            "cat=notify-send 'Somebody is here'",
            "cat.jpg: not a picture: the file is empty",
            "dir:photos@home?fps=2: no picture",
            "/photos/12:30@2x.jpg: not a picture",
            "expected http://[USER:PASSWORD@]HOST[:PORT]/PATH",
            "tokyo-1.jpg: not a picture: the file is empty",
            "--token: expected a secret, found none",
            "invalid value 'x' for '--token': expected a secret",
            "cmd:ffmpeg -pix_fmt yuv420p -keyint_min 30 -i in.mkv -",
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
            "admin:hush@10.0.0.3/stream",
            "web:admin:hush@127.0.0.1:8080",
            "no such file: admin:hu/sh-hush@cam",
            "//admin:hush@cam/",
            "http:/admin:hush@cam/",
            "http//admin:hush@cam/",
            "http:admin:hush@cam",
            "http://cam/?u=admin&p=hush",
            "http://cam/?access_key=hush&session_id=hush&X-Amz-Signature=hush&sid=hush",
            "cmd:curl -uu:hush http://cam",
            "cmd:curl --user=u:hush http://cam",
            "cmd:curl -U u:hush --proxy-user u:hush http://cam",
            "cmd:curl -H 'X-Auth-Token: hush' http://cam",
            "cmd:curl --oauth2-bearer hush http://cam",
            "cmd:curl -d {\"password\":\"hush\"} http://cam",
            "cmd:curl -d {\"password\": \"hush\"} http://cam",
            "cmd:gst-launch-1.0 rtspsrc location=rtsp://cam user-pw=hush",
            "cat=mosquitto_pub --on-label -u u -P hush -m cat",
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
            redact("http://cam/?token=hush: 404 Not Found"),
            "http://cam/?token=…: 404 Not Found"
        );
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

//! Commands without the values of secret options.

use super::{REDACTED, names::is_secret};

/// Options whose next word is secret, whatever the program: of curl, wget, mosquitto's clients, FFmpeg and OpenSSL.
const OPTIONS: [&str; 14] = [
    "-u",
    "-U",
    "-p",
    "-P",
    "--user",
    "--proxy-user",
    "--cert",
    "--proxy-cert",
    "--cookie",
    "--ftp-account",
    "-srtp_in_params",
    "-srtp_out_params",
    "-hmac",
    "-macopt",
];
/// Options that hold a user and a password, or a certificate and its password, in the same word.
const OPTIONS_WITH_VALUE: [&str; 4] = ["--user=", "--proxy-user=", "--cert=", "--proxy-cert="];
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// A program with secret options of its own.
struct Program {
    name: &'static str,
    /// Letters of options without a value, which others may follow in the same word.
    switches: &'static str,
    /// Letters of options whose value is secret, in the same word or as the next one.
    secrets: &'static str,
    /// Options whose next word is secret.
    options: &'static [&'static str],
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "curl",
        switches: "0123469aBfgGiIjJklLMnNOpqRsSvVZ#",
        secrets: "bEuU",
        options: &[],
    },
    Program { name: "sshpass", switches: "ev", secrets: "p", options: &[] },
    // It follows sshpass, and its -p is a port.
    Program { name: "ssh", switches: "", secrets: "", options: &[] },
    Program { name: "openssl", switches: "", secrets: "", options: &["-k", "-K"] },
];

/// The kind of the next word of a command.
enum Next {
    Shown,
    Secret,
    /// The rest of a secret that began with this quotation mark.
    Quoted(char),
}

/// A text with a command in it without the words behind options such as `--password`; `None` if there are none.
pub(super) fn without_secret_options(text: &str) -> Option<String> {
    match text.find("cmd:") {
        Some(at) => without_options_behind(text, at + "cmd:".len()),
        None if text.contains("--on-label") => without_options_behind(text, 0),
        None => None,
    }
}

/// As [`without_secret_options`], for a text whose command begins at `start`.
pub(super) fn without_options_behind(text: &str, start: usize) -> Option<String> {
    let (before, command) = text.split_at(start);
    let mut shown = before.to_owned();
    let mut is_changed = false;
    let mut program = None;
    let mut next = Next::Shown;
    for piece in command.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let blanks = &piece[word.len()..];
        match next {
            Next::Quoted(quote) => {
                if word.contains(quote) {
                    next = Next::Shown;
                }
                continue;
            }
            Next::Secret if !word.is_empty() => {
                is_changed = true;
                shown += REDACTED;
                next = after_secret(word);
            }
            Next::Secret => {}
            Next::Shown => {
                program = Program::named(word).or(program);
                match secret_option(word, program) {
                    Some(length) if length < word.len() => {
                        is_changed = true;
                        shown += &word[..length];
                        shown += REDACTED;
                        next = after_secret(&word[length..]);
                    }
                    option => {
                        shown += word;
                        next = option.map_or(Next::Shown, |_| Next::Secret);
                    }
                }
            }
        }
        shown += blanks;
    }
    is_changed.then_some(shown)
}

/// The kind of the word behind the first one of a secret.
fn after_secret(word: &str) -> Next {
    let quoted = word.trim_start_matches('\\');
    match quoted.chars().next() {
        Some(quote @ ('"' | '\'')) if !quoted[1..].contains(quote) => Next::Quoted(quote),
        _ => Next::Shown,
    }
}

/// Length of the option that a word begins with, if its value is secret: the rest of the word or, if there is none, the
/// next one.
fn secret_option(word: &str, program: Option<&Program>) -> Option<usize> {
    let option = word.trim_start_matches(QUOTES);
    if !option.starts_with('-') {
        return None;
    }
    let of_program = || program.and_then(|program| program.secret_option(option));
    let with_value = || {
        let long = OPTIONS_WITH_VALUE.into_iter().find(|name| option.starts_with(name));
        long.map(str::len).or(is_short_user(option).then_some(2))
    };
    let alone = || {
        let is_named = !option.contains('=') && is_secret(option);
        (is_named || OPTIONS.contains(&option)).then_some(option.len())
    };
    Some(word.len() - option.len() + of_program().or_else(with_value).or_else(alone)?)
}

/// Whether an option holds a user and a password behind it, as `-uUSER:PASSWORD` does.
fn is_short_user(option: &str) -> bool {
    (option.starts_with("-u") || option.starts_with("-U")) && option.contains(':')
}

impl Program {
    /// The program that a word of a command line runs.
    fn named(word: &str) -> Option<&'static Self> {
        let name = word.rsplit(['/', '=', ':', '(', '|', ';', '&', '`', '"', '\'']).next()?;
        PROGRAMS.iter().find(|program| program.name == name)
    }

    /// Length of a secret option of this program without its value.
    fn secret_option(&self, option: &str) -> Option<usize> {
        if self.options.contains(&option) {
            return Some(option.len());
        }
        let letters = option.strip_prefix('-')?;
        let switches = letters.find(|letter| !self.switches.contains(letter))?;
        let is_secret = letters[switches..].starts_with(|letter| self.secrets.contains(letter));
        is_secret.then_some("-".len() + switches + 1)
    }
}

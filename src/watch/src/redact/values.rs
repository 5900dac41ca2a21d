//! Parameters, members and headers without secret values.

use super::{
    REDACTED, ends_word,
    names::{is_secret, is_secret_header},
};

const QUOTES: [char; 2] = ['"', '\''];
/// Quotation marks as shells and JSON write them within others.
const ESCAPED_QUOTES: [char; 3] = ['"', '\'', '\\'];

/// `name=value` and `name: value` without the values of secrets; `None` if there are none.
pub(super) fn without_secret_values(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    let mut is_changed = false;
    while let Some(sign) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(sign + 1);
        shown += before;
        rest = after;
        // The name of a member of JSON is quoted, as its value is.
        let is_member =
            before[..sign].ends_with(QUOTES) && after.trim_start().starts_with(ESCAPED_QUOTES);
        let is_header = before.ends_with(':') && !is_member;
        let name = name_before(before[..sign].trim_end_matches(ESCAPED_QUOTES));
        let is_first_in_quotes =
            before[..sign].strip_suffix(name).is_some_and(|before| before.ends_with(QUOTES));
        let is_secret =
            if is_header { is_secret_header(name, is_first_in_quotes) } else { is_secret(name) };
        let value = after.trim_start_matches(' ');
        let (blanks, value) = after.split_at(after.len() - value.len());
        // Whatever is looked through for an end is left out, so that nothing is looked through twice.
        if !is_secret || blanks.len() > usize::from(before.ends_with(':')) {
            continue;
        }
        let mut length = if is_header { header_length(value) } else { value_length(value) };
        // The colon behind a name in a message.
        if value[..length].ends_with(':') && value[length..].starts_with(' ') {
            length -= 1;
        }
        if length > 0 {
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

/// Length of a header's value, up to the end of the header.
fn header_length(value: &str) -> usize {
    value.find(|c: char| c.is_control() || QUOTES.contains(&c)).unwrap_or(value.len())
}

/// Length of a parameter's or a member's value, quotation marks included. GStreamer puts a type before it:
/// `(string)\"…\"`.
fn value_length(value: &str) -> usize {
    let ends_value = |c: char| ends_word(c) || matches!(c, '&' | '#' | ';');
    let kind = match value.find(|c| c == ')' || ends_value(c)) {
        Some(end) if value.starts_with('(') && value[end..].starts_with(')') => end + 1,
        _ => 0,
    };
    let quoted = value[kind..].trim_start_matches('\\');
    let end = match quoted.chars().next() {
        Some(quote) if QUOTES.contains(&quote) => {
            let opening = value.len() - quoted.len() + 1;
            quoted[1..].find(quote).map(|end| opening + end + 1)
        }
        _ => value.find(ends_value),
    };
    end.unwrap_or(value.len())
}

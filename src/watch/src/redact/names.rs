//! Names of secret values: of parameters, options, headers and path segments.

/// Parts of the names of secret values, in lower case.
const PARTS: [&str; 17] = [
    "pass",
    "pwd",
    "psw",
    "tok",
    "secret",
    "apikey",
    "authkey",
    "accesskey",
    "cryptokey",
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
const NAMES: [&str; 14] = [
    "key",
    "p",
    "pw",
    "pin",
    "psk",
    "code",
    "auth",
    "authorization",
    "cookies",
    "sid",
    "sig",
    "sign",
    "jwt",
    "otp",
];
/// Headers that hold secrets, in lower case.
const HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Parts of path segments in front of secret ones, in lower case and without `-` and `_`. They are longer than those of
/// parameters: a folder may be named after Tokyo.
const SEGMENT_PARTS: [&str; 12] = [
    "passw",
    "passcode",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "authkey",
    "accesskey",
    "streamkey",
    "credential",
    "signature",
    "bearer",
];
/// Whole path segments in front of secret ones, likewise.
const SEGMENTS: [&str; 13] = [
    "pass", "pwd", "psw", "pw", "pin", "psk", "key", "auth", "session", "sid", "sig", "jwt", "otp",
];

/// Whether a parameter, an option or a member of that name is secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// Whether what stands behind a name and a colon is secret. Files and options have names like secrets too, and a colon
/// behind them in messages: the name of a header is first in quotes or begins with `X-`.
pub(super) fn is_secret_header(name: &str, is_first_in_quotes: bool) -> bool {
    let lower = name.to_ascii_lowercase();
    HEADERS.contains(&lower.as_str())
        || (lower.starts_with("x-") || is_first_in_quotes && !lower.contains('.'))
            && is_secret(name)
}

/// Whether the path segment behind one of that name is secret.
pub(super) fn is_in_front_of_secret(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace(['-', '_'], "");
    SEGMENTS.contains(&segment.as_str()) || SEGMENT_PARTS.iter().any(|part| segment.contains(part))
}

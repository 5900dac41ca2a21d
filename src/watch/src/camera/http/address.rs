//! Addresses of network cameras.

use std::fmt;

use percent_encoding::percent_decode_str;

/// `http://[USER:PASSWORD@]HOST[:PORT][/PATH][?QUERY]`, taken apart. User and password are in no text of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<User>,
    /// With its port, if it has one.
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
}

/// A user and the password, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

/// Where a redirect leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// Another path of the same host, with the same user.
    SameHost(Address),
    /// The address of another host, or of another kind.
    Elsewhere(String),
}

impl Address {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = without_scheme(text)?;
        if text.contains(|c: char| c.is_control() || c == ' ') {
            return None;
        }
        let rest = before(rest, '#');
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(User::decode(user)), host),
            None => (None, authority),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        is_host(host).then(|| Self { user, host: host.to_owned(), path })
    }

    /// The host with its port, as a connection needs it.
    pub(super) fn host_and_port(&self) -> String {
        let port = self.host.rsplit_once(':').map(|(_, port)| port);
        match port.is_some_and(|port| port.parse::<u16>().is_ok()) {
            true => self.host.clone(),
            false => format!("{}:80", self.host.trim_end_matches(':')),
        }
    }

    /// Where the `Location` of an answer leads.
    pub(super) fn redirect(&self, location: &str) -> Redirect {
        if location.contains(char::is_control) {
            return Redirect::Elsewhere(location.to_owned());
        }
        if has_scheme(location) {
            return match Self::parse(location) {
                Some(other) if other.host_and_port() == self.host_and_port() => {
                    Redirect::SameHost(Self { user: self.user.clone(), ..other })
                }
                _ => Redirect::Elsewhere(location.to_owned()),
            };
        }
        if location.starts_with("//") {
            return self.redirect(&format!("http:{location}"));
        }
        let location = before(location, '#');
        let own_path = before(&self.path, '?');
        let path = if location.starts_with('/') {
            without_dots(location)
        } else if location.starts_with('?') {
            format!("{own_path}{location}")
        } else if location.is_empty() {
            self.path.clone()
        } else {
            let folder = own_path.rsplit_once('/').map_or("", |(folder, _)| folder);
            without_dots(&format!("{folder}/{location}"))
        };
        Redirect::SameHost(Self { path, ..self.clone() })
    }
}

/// Whether this is a host, with a port or without.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    !host.is_empty() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Whether a location begins with a scheme, rather than holding one in its query.
fn has_scheme(location: &str) -> bool {
    let end = location.find(['/', '?', '#']).unwrap_or(location.len());
    location[..end].ends_with(':') && location[end..].starts_with("//")
}

/// A path without its segments `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        // What follows a segment that goes takes its place.
        if segments.last().is_some_and(|last| matches!(*last, "." | "..")) {
            leave(&mut segments);
        }
        segments.push(segment);
    }
    if segments.last().is_some_and(|last| matches!(*last, "." | "..")) {
        leave(&mut segments);
        segments.push("");
    }
    format!("/{}{query}", segments.join("/"))
}

/// Takes a last segment `.`, or `..` and the one before it, off.
fn leave(segments: &mut Vec<&str>) {
    if segments.pop() == Some("..") {
        segments.pop();
    }
}

/// The part before the first `sign`; all of it if there is none.
fn before(text: &str, sign: char) -> &str {
    text.split_once(sign).map_or(text, |(before, _)| before)
}

/// The address behind `http://`, in upper or lower case.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "http://";
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

impl User {
    fn decode(text: &str) -> Self {
        let (name, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self { name: decode(name), password: decode(password) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (String, String) {
        let address = Address::parse(text).unwrap();
        (address.host_and_port(), address.path)
    }

    #[test]
    fn host_port_path_and_query_are_taken_apart() {
        for (text, host, path) in [
            ("http://10.0.0.3", "10.0.0.3:80", "/"),
            ("http://10.0.0.3:81/stream?fps=5", "10.0.0.3:81", "/stream?fps=5"),
            ("http://cam:8080?action=stream", "cam:8080", "/?action=stream"),
            ("HTTP://cam/a#b", "cam:80", "/a"),
            ("http://cam#b", "cam:80", "/"),
            ("http://[::1]/a", "[::1]:80", "/a"),
            ("http://[::1]:81", "[::1]:81", "/"),
            ("http://10.0.0.3/a@b", "10.0.0.3:80", "/a@b"),
        ] {
            assert_eq!(parts(text), (host.to_owned(), path.to_owned()), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_never_shown() {
        let address = Address::parse("http://viewer:p%40s:s@10.0.0.3:81/stream?fps=5").unwrap();
        let user = address.user.clone().unwrap();
        assert_eq!((user.name.as_str(), user.password.as_str()), ("viewer", "p@s:s"));
        assert_eq!(format!("{address}"), "http://10.0.0.3:81/stream?fps=5");
        assert!(!format!("{address:?}").contains("viewer"));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for address in [
            "http://",
            "http:///path",
            "http://a b/",
            "http://user@/",
            "ftp://a",
            "http://?a",
            "é",
            "http://cam:99999/",
            "http://cam:port/",
            "http://cam:80:/",
            "http://[::1/",
            "http://[::1]x/",
        ] {
            assert!(Address::parse(address).is_none(), "{address}");
        }
    }

    #[test]
    fn a_redirect_stays_on_the_host_with_the_user_or_is_told_from_one_that_does_not() {
        let address = Address::parse("http://u:p@cam:80/a/b?c").unwrap();
        for (location, path) in [
            ("/new", "/new"),
            ("new?x", "/a/new?x"),
            ("http://cam/new", "/new"),
            ("//cam/new#x", "/new"),
            ("", "/a/b?c"),
            ("?x=1", "/a/b?x=1"),
            ("../new", "/new"),
            ("./new?x=..", "/a/new?x=.."),
            ("/x/../../y/.", "/y/"),
            ("/new?next=http://evil/", "/new?next=http://evil/"),
        ] {
            let Redirect::SameHost(found) = address.redirect(location) else {
                panic!("{location}")
            };
            assert_eq!(found.path, path, "{location}");
            assert!(found.user == address.user, "{location}");
        }
        for location in [
            "http://cam:81/",
            "http://evil/",
            "https://cam/",
            "//evil/",
            "rtsp://cam",
            "/new\rHost: evil",
        ] {
            assert!(matches!(address.redirect(location), Redirect::Elsewhere(_)), "{location}");
        }
    }

    proptest! {
        #[test]
        fn any_address_and_location_is_parsed_or_refused(
            text in "http://[a-z@:/?#\\[\\]0-9é]{0,20}",
            location in "(http:)?[a-z:/?#@]{0,20}",
        ) {
            if let Some(address) = Address::parse(&text) {
                prop_assert!(address.path.starts_with('/'));
                if let Redirect::SameHost(found) = address.redirect(&location) {
                    prop_assert!(found.path.starts_with('/') && found.host_and_port() == address.host_and_port());
                }
            }
        }
    }
}

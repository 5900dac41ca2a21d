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
        (!host.is_empty()).then(|| Self { user, host: host.to_owned(), path })
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
        if location.contains("://") {
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
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let folder = before(&self.path, '?').rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Redirect::SameHost(Self { path, ..self.clone() })
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
        for address in
            ["http://", "http:///path", "http://a b/", "http://user@/", "ftp://a", "http://?a", "é"]
        {
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
            ("", "/a/"),
        ] {
            let Redirect::SameHost(found) = address.redirect(location) else {
                panic!("{location}")
            };
            assert_eq!(found.path, path, "{location}");
            assert!(found.user == address.user, "{location}");
        }
        for location in ["http://cam:81/", "http://evil/", "https://cam/", "//evil/", "rtsp://cam"]
        {
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

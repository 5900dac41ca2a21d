//! Where the page is served, and to whom.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::display::{Error, spec::Options};

const DEFAULT_PORT: u16 = 8080;

/// A web page and who may see it: `web:ADDRESS:PORT?token=SECRET&host=NAME`.
///
/// The address may be left out (`web:8080`, this machine only) and so may all (`web`, port 8080). With a `token` every request needs it.
/// A browser must ask for the page by an IP address, by `localhost` or by this machine's own name; `host` adds another name, such as
/// that of a proxy in front.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSpec {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What every request must bring.
    pub token: Option<Token>,
    /// A name by which browsers ask for the page, besides this machine's own.
    pub host: Option<String>,
}

impl WebSpec {
    pub(in crate::display) fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        let address = address(target)
            .ok_or_else(|| options.wrong("address", "ADDRESS:PORT, as 127.0.0.1:8080", target))?;
        let token = options.take_as("token", "at least one character", Token::new)?;
        let host = options.take("host");
        Ok(Self { address, token, host })
    }
}

fn address(target: &str) -> Option<SocketAddr> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if target.is_empty() {
        return Some(loopback(DEFAULT_PORT));
    }
    let port = target.strip_prefix("localhost:").unwrap_or(target).parse().ok();
    port.map(loopback)
        .or_else(|| target.parse().ok())
        .or_else(|| target.parse::<IpAddr>().ok().map(|address| (address, DEFAULT_PORT).into()))
}

/// A secret that lets its bearer in. Neither printed nor kept: only its SHA-256 is.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// `None` for an empty secret.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self(Sha256::digest(secret).into()))
    }

    /// Whether `secret` is the right one; takes as long whatever it is.
    pub(super) fn admits(&self, secret: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        self.0.ct_eq(&digest).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::DisplaySpec;

    fn parse(spec: &str) -> Result<WebSpec, String> {
        match spec.parse() {
            Ok(DisplaySpec::Web(spec)) => Ok(spec),
            Ok(other) => Err(other.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_address_that_is_left_out_is_this_machine() {
        for (spec, address) in [
            ("web", "127.0.0.1:8080"),
            ("web:9000", "127.0.0.1:9000"),
            ("web:localhost:9000", "127.0.0.1:9000"),
            ("web:0.0.0.0:80", "0.0.0.0:80"),
            ("web:192.168.1.7", "192.168.1.7:8080"),
            ("web:[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(parse(spec).unwrap().address.to_string(), address);
        }
        assert_eq!(
            parse("web:example.org:80").unwrap_err(),
            "web:example.org:80: address: expected ADDRESS:PORT, as 127.0.0.1:8080, found example.org:80"
        );
    }

    #[test]
    fn a_token_is_never_printed() {
        let spec = parse("web:8080?token=correct%20horse").unwrap();
        assert!(!format!("{spec:?} {}", DisplaySpec::Web(spec.clone())).contains("horse"));
        let token = spec.token.unwrap();
        assert!(token.admits("correct horse") && !token.admits("correct") && !token.admits(""));
        assert!(parse("web:8080?token=").is_err());
    }
}

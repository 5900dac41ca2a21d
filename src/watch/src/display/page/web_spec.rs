//! The options of a web page.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::mpsc::Sender,
};

use super::{Token, Web};
use crate::display::{Display, Error, Request, display_kind::DisplayKind, options::Options};

const DEFAULT_PORT: u16 = 8080;

/// A web page and who may see it: `web:ADDRESS:PORT?token=SECRET&host=NAME`.
///
/// The address may be left out (`web:8080`, this machine only) and so may all (`web`, port 8080). With a `token` every
/// request needs it. A browser must ask for the page by an IP address, by `localhost` or by this machine's own name;
/// `host` adds another name, such as that of a proxy in front.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSpec {
    /// The address to listen at; port 0 takes a free one.
    pub address: SocketAddr,
    /// The secret that every request must carry.
    pub token: Option<Token>,
    /// A host name under which browsers reach the page, besides this machine's own.
    pub host: Option<String>,
    /// Whether labels set something off, such as commands: then only viewers with a token may edit them.
    pub labels_act: bool,
}

impl WebSpec {
    /// Whether viewers may replace the labels.
    pub(super) fn is_editable(&self) -> bool {
        self.token.is_some() || !self.labels_act
    }
}

impl DisplayKind for WebSpec {
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        let address = address(target)
            .ok_or_else(|| options.wrong("address", "ADDRESS:PORT, as 127.0.0.1:8080", target))?;
        let token = options.take_as("token", "at least one character", Token::new)?;
        let host = options.take("host");
        Ok(Self { address, token, host, labels_act: false })
    }

    fn open(&self, requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Ok(Box::new(Web::listen(self, requests)?))
    }
}

impl fmt::Display for WebSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "web:{}", self.address)
    }
}

/// `ADDRESS:PORT`, or one of the two alone; without an address this machine, without a port 8080.
fn address(target: &str) -> Option<SocketAddr> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if target.is_empty() {
        return Some(loopback(DEFAULT_PORT));
    }
    if let Ok(port) = target.strip_prefix("localhost:").unwrap_or(target).parse() {
        return Some(loopback(port));
    }
    match target.parse::<IpAddr>() {
        Ok(address) => Some((address, DEFAULT_PORT).into()),
        Err(_) => target.parse().ok(),
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

//! Access control.

use std::net::IpAddr;

use super::{Token, WebSpec};
use crate::http::{HttpError, Method, Request};

/// The host names under which the page is served, and its token.
///
/// Any page in any browser on the network can send requests here; three things tell them from those of the own page. A
/// foreign page can use a host name of its own that resolves to our address (DNS rebinding), but not an IP address,
/// `localhost` or our name. Its POST comes with an `Origin` that is not our host (cross-site request forgery). And it
/// has no token.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<Token>,
    names: Vec<String>,
}

impl Access {
    pub(super) fn new(spec: &WebSpec) -> Self {
        let mut names = vec!["localhost".to_owned()];
        if let Some(own) = own_name() {
            names.push(format!("{own}.local"));
            names.push(own);
        }
        names.extend(spec.host.clone());
        Self { token: spec.token.clone(), names }
    }

    /// Refuses a request by its host name, token or origin.
    pub(super) fn check(&self, request: &Request) -> Result<(), HttpError> {
        let host = request
            .header("host")
            .ok_or_else(|| HttpError::new(400, "the request has no Host header"))?;
        if !self.serves(host_name(host)) {
            let reason = format!(
                "the page is not served as {host:?}: ask for it by its IP address, or add host=NAME to its options"
            );
            return Err(HttpError::new(403, reason));
        }
        if let Some(token) = &self.token {
            let secret = bearer(request).or_else(|| request.query("token"));
            if !secret.is_some_and(|secret| token.admits(&secret)) {
                let reason = "a token is needed: add ?token=… to the address, or the header Authorization: Bearer …";
                return Err(HttpError::new(401, reason));
            }
        }
        if request.method == Method::Post {
            check_origin(request, host)?;
        }
        Ok(())
    }

    fn serves(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok() || self.names.iter().any(|n| n.eq_ignore_ascii_case(name))
    }
}

fn bearer(request: &Request) -> Option<String> {
    let (scheme, secret) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().to_owned())
}

/// Refuses a POST of another page. Browsers say where a POST comes from; other programs need not.
fn check_origin(request: &Request, host: &str) -> Result<(), HttpError> {
    let foreign = || HttpError::new(403, "the request comes from another page");
    if let Some(origin) = request.header("origin") {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
    }
    match request.header("sec-fetch-site") {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(foreign()),
    }
    // A form of another page cannot send this type.
    match request.header("content-type").and_then(|value| value.split(';').next()) {
        Some(kind) if kind.trim().eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(HttpError::new(415, "the body must be application/json")),
    }
}

/// `host` without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// This machine's host name; `None` where the kernel does not tell it as Linux does. Pages are also served under it.
#[must_use]
pub fn own_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(host: Option<&str>) -> Access {
        Access::new(&WebSpec {
            address: ([127, 0, 0, 1], 0).into(),
            token: None,
            host: host.map(str::to_owned),
            labels_act: false,
        })
    }

    #[test]
    fn only_addresses_and_names_of_this_machine_are_served() {
        let access = access(Some("cam.example"));
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "192.168.1.7",
            "LOCALHOST:1",
            "localhost.",
            "cam.example",
        ] {
            assert!(access.serves(host_name(host)), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "", ":80", "[::1"]
        {
            assert!(!access.serves(host_name(host)), "{host}");
        }
    }
}

//! Authentication: Basic (RFC 7617) and Digest (RFC 7616), as a camera's challenge asks for.

use std::{
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::address::User;

/// A way to prove who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Digest(DigestChallenge),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The algorithm's name, if the challenge states it.
    algorithm_name: Option<String>,
    /// Whether the secret is bound to the nonces (`-sess`).
    is_session: bool,
    is_stale: bool,
    /// Whether the answer is bound to a number and a nonce of the client's (`qop=auth`).
    has_quality: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Challenge {
    /// The strongest that the `WWW-Authenticate` headers of an answer offer and that is known here.
    pub(super) fn strongest<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let offered = headers.into_iter().filter_map(Self::parse);
        offered.max_by_key(|challenge| match challenge {
            Self::Basic => 0,
            Self::Digest(DigestChallenge { algorithm: Algorithm::Md5, .. }) => 1,
            Self::Digest(DigestChallenge { algorithm: Algorithm::Sha256, .. }) => 2,
        })
    }

    /// Whether the answer before was right, and only its nonce too old.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Digest(DigestChallenge { is_stale: true, .. }))
    }

    fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let (scheme, rest) = header.split_at(header.find([' ', '\t']).unwrap_or(header.len()));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let parameters = parameters(rest);
        let value = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let algorithm_name = value("algorithm").filter(|name| !name.is_empty());
        let lower = algorithm_name.as_deref().unwrap_or("md5").to_ascii_lowercase();
        let is_session = lower.ends_with("-sess");
        let algorithm = match lower.trim_end_matches("-sess") {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            _ => return None,
        };
        let qualities = value("qop").filter(|list| !list.is_empty());
        let has_quality = match &qualities {
            None => false,
            Some(list) => list.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")),
        };
        // `auth-int` alone, which hashes bodies as well, is asked for by nobody.
        (qualities.is_none() || has_quality).then_some(())?;
        Some(Self::Digest(DigestChallenge {
            realm: value("realm")?,
            nonce: value("nonce")?,
            opaque: value("opaque"),
            algorithm,
            algorithm_name,
            is_session,
            is_stale: value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            has_quality,
        }))
    }

    /// The request's `Authorization` for a GET of `path`.
    pub(super) fn answer(&self, user: &User, path: &str) -> String {
        match self {
            Self::Basic => {
                let secret = format!("{}:{}", user.name, user.password);
                format!("Basic {}", BASE64_STANDARD.encode(secret))
            }
            Self::Digest(challenge) => {
                let client_nonce = format!("{:016x}", RandomState::new().hash_one(path));
                challenge.answer(user, path, &client_nonce)
            }
        }
    }
}

impl DigestChallenge {
    fn answer(&self, user: &User, path: &str, client_nonce: &str) -> String {
        const COUNT: &str = "00000001";
        let Self { realm, nonce, .. } = self;
        let mut secret = self.hash(&format!("{}:{realm}:{}", user.name, user.password));
        if self.is_session {
            secret = self.hash(&format!("{secret}:{nonce}:{client_nonce}"));
        }
        let request = self.hash(&format!("GET:{path}"));
        let response = match self.has_quality {
            true => self.hash(&format!("{secret}:{nonce}:{COUNT}:{client_nonce}:auth:{request}")),
            false => self.hash(&format!("{secret}:{nonce}:{request}")),
        };
        let mut answer = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(&user.name),
            quoted(realm),
            quoted(nonce),
            quoted(path)
        );
        // Writing to a String cannot fail.
        if let Some(name) = &self.algorithm_name {
            let name: String =
                name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let _ = write!(answer, ", algorithm={name}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(answer, ", opaque={}", quoted(opaque));
        }
        if self.has_quality {
            let _ = write!(answer, ", qop=auth, nc={COUNT}");
        }
        if self.has_quality || self.is_session {
            let _ = write!(answer, ", cnonce=\"{client_nonce}\"");
        }
        answer
    }

    fn hash(&self, text: &str) -> String {
        let digest = match self.algorithm {
            Algorithm::Md5 => Md5::digest(text).to_vec(),
            Algorithm::Sha256 => Sha256::digest(text).to_vec(),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The parameters in `realm="a b", qop=auth`.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']).to_owned();
        let rest = rest.trim_start();
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            text = "";
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' => {
                        text = &quoted[at + 1..];
                        break;
                    }
                    '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                    other => value.push(other),
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            value.push_str(rest[..end].trim());
            text = &rest[end..];
        }
        found.push((key, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mufasa() -> User {
        User { name: "Mufasa".to_owned(), password: "Circle of Life".to_owned() }
    }

    fn digest(header: &str) -> DigestChallenge {
        match Challenge::parse(header) {
            Some(Challenge::Digest(challenge)) => challenge,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_digest_is_that_of_the_standards_examples() {
        // RFC 7616, section 3.9.1.
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let answer =
                digest(&challenge(algorithm)).answer(&mufasa(), "/dir/index.html", client_nonce);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains("qop=auth, nc=00000001") && answer.contains("opaque=\"FQhe"));
        }
    }

    #[test]
    fn an_old_digest_without_quality_of_protection_is_answered() {
        // RFC 2069 as cameras still send it.
        let challenge = digest("Digest realm=\"cam\",nonce=\"abc\"");
        let answer = challenge.answer(&mufasa(), "/", "x");
        let secret = challenge.hash("Mufasa:cam:Circle of Life");
        let expected = challenge.hash(&format!("{secret}:abc:{}", challenge.hash("GET:/")));
        assert!(answer.ends_with(&format!("response=\"{expected}\"")), "{answer}");
    }

    #[test]
    fn a_session_binds_the_secret_to_both_nonces() {
        let challenge =
            digest("Digest\trealm=\"cam\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess");
        let answer = challenge.answer(&mufasa(), "/", "c");
        let secret = challenge.hash("Mufasa:cam:Circle of Life");
        let secret = challenge.hash(&format!("{secret}:n:c"));
        let request = challenge.hash("GET:/");
        let expected = challenge.hash(&format!("{secret}:n:00000001:c:auth:{request}"));
        assert!(
            answer.contains(&format!("response=\"{expected}\", algorithm=MD5-sess")),
            "{answer}"
        );
    }

    #[test]
    fn the_strongest_challenge_is_taken() {
        let md5 = "digest realm=\"a \\\"b\\\"\", nonce=n, qop=auth";
        let sha = "Digest realm=a, nonce=n, algorithm=SHA-256";
        let basic = "Basic realm=\"x\"";
        assert_eq!(Challenge::strongest([basic]), Some(Challenge::Basic));
        assert_eq!(Challenge::strongest([basic, md5]), Challenge::parse(md5));
        assert_eq!(Challenge::strongest([md5, sha, basic]), Challenge::parse(sha));
        assert_eq!(digest(md5).realm, "a \"b\"");
        for unknown in
            ["Bearer", "Digest realm=a, nonce=b, algorithm=SHA-512-256", "Digest nonce=b"]
        {
            assert_eq!(Challenge::strongest([unknown]), None, "{unknown}");
        }
        let user = User { name: "viewer".to_owned(), password: "p@ss".to_owned() };
        assert_eq!(Challenge::Basic.answer(&user, "/"), "Basic dmlld2VyOnBAc3M=");
    }

    proptest! {
        #[test]
        fn any_challenge_is_answered_on_one_line_or_refused(
            header in "(Digest |Basic )?([a-z]|realm=|nonce=|qop=auth|\"|\\\\|,|=| |é){0,20}",
        ) {
            if let Some(challenge) = Challenge::strongest([header.as_str()]) {
                prop_assert!(!challenge.answer(&mufasa(), "/").contains(char::is_control));
            }
        }
    }
}

//! A model's identity.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Config;

/// SHA-256 over the names and checksums of a model's files: two models of one fingerprint give the same answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(super) fn of(config: &Config) -> Self {
        let mut hash = Sha256::new();
        for (name, entry) in &config.files {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(entry.sha256.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

//! The secret that opens the page.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret that lets its bearer in. It is neither printed nor kept: only its SHA-256 is.
///
/// ```
/// use coca_watch::display::Token;
///
/// let token = Token::new("correct horse").ok_or("an empty secret")?;
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token of `secret`; `None` for an empty one.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self(Sha256::digest(secret).into()))
    }

    /// Whether `secret` is the right one, in constant time.
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

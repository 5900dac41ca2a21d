//! The page itself: one file, nothing from elsewhere.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

pub(super) const PAGE: &str = include_str!("page.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; style-src {}; script-src {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash_of("style"),
        hash_of("script"),
    )
});

/// Lets browsers run the page's own script and style and nothing else.
pub(super) fn content_security_policy() -> &'static str {
    &POLICY
}

/// The hash of the one `element` of the page, as a policy's source.
fn hash_of(element: &str) -> String {
    let inside = || {
        let (_, rest) = PAGE.split_once(&format!("<{element}>"))?;
        Some(rest.split_once(&format!("</{element}>"))?.0)
    };
    let digest = Sha256::digest(inside().unwrap_or_default());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_and_takes_nothing_from_elsewhere() {
        for element in ["<script", "<style", "</script>", "</style>"] {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        for elsewhere in
            ["http://", "https://", "src=\"//", "@import", "url(", " style=\"", " onclick="]
        {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_policy_names_the_hashes_of_what_the_page_holds() {
        let nothing = format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest("")));
        assert_eq!(content_security_policy().matches("'sha256-").count(), 2);
        assert!(!content_security_policy().contains(&nothing));
    }
}

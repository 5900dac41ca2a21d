//! The HTML of the page: one file that loads nothing from elsewhere.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

/// The page, with its one script and its one style sheet inside.
pub(super) const PAGE: &str = include_str!("page.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "Content-Security-Policy: default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; \
         style-src {}; script-src {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
        hash_of("style"),
        hash_of("script"),
    )
});

/// The header that lets browsers run the page's own script and style and nothing else.
pub(super) fn security_policy_header() -> &'static str {
    &POLICY
}

/// The source expression for the content of the page's one `element`; `'none'` if there is no such element.
fn hash_of(element: &str) -> String {
    let content = || {
        let (_, rest) = PAGE.split_once(&format!("<{element}>"))?;
        Some(rest.split_once(&format!("</{element}>"))?.0)
    };
    match content() {
        Some(text) => format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text))),
        None => "'none'".to_owned(),
    }
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
    fn the_page_asks_for_everything_below_where_it_is() {
        for path in ["snapshot.jpg", "events", "labels", "caption"] {
            assert!(PAGE.contains(&format!("\"{path}\"")), "{path}");
            assert!(!PAGE.contains(&format!("\"/{path}")), "{path}");
        }
    }

    #[test]
    fn the_policy_names_the_hashes_of_what_the_page_holds() {
        assert_eq!(security_policy_header().matches("'sha256-").count(), 2);
        assert_eq!(hash_of("video"), "'none'");
    }
}

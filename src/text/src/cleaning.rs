//! What is done to a text before it is cut into tokens.

use serde::{Deserialize, Serialize};

use crate::{ftfy, html, whitespace::single_spaces};

/// How a model's texts were cleaned when it was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// As open_clip 3.3.0's `SimpleTokenizer` (`_clean_lower`): ftfy, HTML entities twice, single
    /// spaces, small letters.
    OpenClip,
    /// Not at all.
    None,
}

impl Cleaning {
    /// The text that is cut into tokens.
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::OpenClip => {
                let fixed = ftfy::fix_text(text);
                let once = html::unescape(&fixed);
                let twice = html::unescape(&once);
                single_spaces(&twice).to_lowercase()
            }
            Self::None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cleaning;

    #[test]
    fn open_clip_cleaning_straightens_unescapes_trims_and_lowers() {
        for (text, clean) in [
            ("  A Cat\u{a0}on\t a\nMAT ", "a cat on a mat"),
            ("It’s “quoted”", "it's \"quoted\""),
            ("fish &amp;amp;amp; chips", "fish & chips"),
            ("<b>&amp;amp;amp;</b>", "<b>&amp;</b>"),
            ("İstanbul ΟΔΟΣ Straße", "i\u{307}stanbul οδος straße"),
            ("\u{feff}\u{200b}", "\u{200b}"),
            ("", ""),
        ] {
            assert_eq!(Cleaning::OpenClip.apply(text), clean, "{text}");
        }
    }

    #[test]
    fn no_cleaning_changes_nothing() {
        assert_eq!(Cleaning::None.apply(" It’s &amp; "), " It’s &amp; ");
    }
}

//! Text cleaning before tokenization.

use serde::{Deserialize, Serialize};

use crate::{ftfy, html, whitespace::single_spaces};

/// Text cleaning that a model was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// As open_clip 3.3.0's `SimpleTokenizer` (`_clean_lower`): ftfy, HTML entities twice, single
    /// spaces, small letters.
    OpenClip,
    /// None.
    None,
}

impl Cleaning {
    /// Cleans a text.
    ///
    /// ```
    /// use coca_text::Cleaning;
    ///
    /// assert_eq!(Cleaning::OpenClip.apply("  A Cat&amp;Dog’s\tBed"), "a cat&dog's bed");
    /// assert_eq!(Cleaning::None.apply(" A Cat"), " A Cat");
    /// ```
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

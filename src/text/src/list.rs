//! Lists of labels and other texts: files with one a line.

use std::{fmt, fs::File, io::Read, path::Path};

use crate::Error;

/// Largest file.
const MAX_BYTES: u64 = 16_000_000;

/// The kind of texts in a list, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListItem {
    /// Labels.
    Label,
    /// Any other texts.
    Text,
}

impl fmt::Display for ListItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Label => "label",
            Self::Text => "text",
        })
    }
}

/// Reads the texts in a file, as [`parse_list`] does.
///
/// # Errors
/// [`Error::UnreadableList`], [`Error::LargeList`] for more than 16 MB, and as [`parse_list`].
pub fn read_list(path: impl AsRef<Path>, item: ListItem) -> Result<Vec<String>, Error> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::UnreadableList { path: path.to_owned(), item, source })?;
    let place = path.display().to_string();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::LargeList { place, item, limit: MAX_BYTES });
    }
    parse_list(&bytes, &place, item)
}

/// Parses one text a line, in UTF-8; blank lines and blanks around a text do not count. `place` names the origin of `bytes`
/// in errors.
///
/// ```
/// use coca_text::{ListItem, parse_list};
///
/// let labels = parse_list(b"cat\n\n  red fox \n", "labels.txt", ListItem::Label)?;
/// assert_eq!(labels, ["cat", "red fox"]);
/// # Ok::<(), coca_text::Error>(())
/// ```
///
/// # Errors
/// [`Error::ForeignList`] for other bytes than UTF-8, [`Error::EmptyList`] without any text.
pub fn parse_list(bytes: &[u8], place: &str, item: ListItem) -> Result<Vec<String>, Error> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Error::ForeignList { place: place.to_owned(), item });
    };
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let texts: Vec<_> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match texts.is_empty() {
        true => Err(Error::EmptyList { place: place.to_owned(), item }),
        false => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_byte_order_ends_of_lines_and_blanks_are_no_part_of_a_text() {
        let list = "\u{feff}cat\r\n \t\r\n ein Hund \n# dog".as_bytes();
        let texts = parse_list(list, "list", ListItem::Text).unwrap();
        assert_eq!(texts, ["cat", "ein Hund", "# dog"]);
    }

    #[test]
    fn what_is_no_list_is_told_in_a_sentence() {
        let sentence =
            |bytes: &[u8], item| parse_list(bytes, "a.txt", item).unwrap_err().to_string();
        let expected = "a.txt: expected one label a line, found none";
        assert_eq!(sentence(b" \n\n", ListItem::Label), expected);
        let expected = "a.txt: expected one text a line in UTF-8, found other bytes";
        assert_eq!(sentence(b"\xFF\xD8", ListItem::Text), expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let read = || read_list(&path, ListItem::Label).unwrap_err().to_string();
        assert!(read().contains("list: cannot be read as a list of labels: "), "{}", read());
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(read().ends_with("list: expected a list of labels of 16 MB at most"), "{}", read());
    }
}

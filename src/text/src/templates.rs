//! Prompt templates: "a photo of a {}."
//!
//! The embedding of a label is the mean over its sentences' embeddings. The two named lists come
//! from OpenAI's CLIP (MIT) and are the ones that published zero-shot results were measured with.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::Error;

/// Largest file of templates.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// Most templates: each label is encoded once for each.
const MAX_TEMPLATES: usize = 1000;

/// One or more sentences with `{}` where the label goes.
///
/// ```
/// use coca_text::Templates;
///
/// let templates = Templates::parse("a photo of a {}.\na drawing of a {}.", "my templates")?;
/// let sentences: Vec<_> = templates.apply("cat").collect();
/// assert_eq!(sentences, ["a photo of a cat.", "a drawing of a cat."]);
/// # Ok::<(), coca_text::Error>(())
/// ```
///
/// Two values are equal exactly if they make the same sentences in the same order, whatever they
/// were made from. The text of [`Display`](fmt::Display), a template a line, says which, and
/// [`parse`](Self::parse) reads it back: a label table keeps it to tell what it was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates(Vec<String>);

impl Templates {
    /// The 7 templates of open_clip's short list.
    pub fn simple() -> Self {
        Self(SIMPLE.map(str::to_owned).to_vec())
    }

    /// The 80 templates of OpenAI's list for ImageNet: slower to encode, a little more accurate.
    pub fn imagenet() -> Self {
        Self(IMAGENET.map(str::to_owned).to_vec())
    }

    /// A single template, such as the default one in `coca.json`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn single(template: &str) -> Result<Self, Error> {
        Self::parse(template, "template")
    }

    /// The list of that name, `simple` or `imagenet`, or else the file at that path.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or [`Error::Unreadable`].
    pub fn named(name: &str) -> Result<Self, Error> {
        match name {
            "simple" => Ok(Self::simple()),
            "imagenet" => Ok(Self::imagenet()),
            file => Self::open(file.as_ref()),
        }
    }

    fn open(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        let read = File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
            .and_then(|_| match text.len() as u64 > MAX_FILE_BYTES {
                true => Err(io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes"))),
                false => Ok(()),
            });
        read.map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses one template a line; blank lines and lines that begin with `#` do not count.
    /// `place` names the origin of `text` in errors.
    ///
    /// # Errors
    /// [`Error::NoLabel`], with the number of the line, [`Error::NoTemplates`], or [`Error::TooManyTemplates`] for more
    /// than 1,000.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let templates = text
            .lines()
            .zip(1..)
            .map(|(line, number)| (line.trim(), number))
            .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
            .map(|(line, number)| checked(line, || format!("{place}: line {number}")))
            .collect::<Result<Vec<_>, _>>()?;
        if templates.is_empty() {
            return Err(Error::NoTemplates { place: place.to_owned() });
        }
        if templates.len() > MAX_TEMPLATES {
            let (place, found) = (place.to_owned(), templates.len());
            return Err(Error::TooManyTemplates { place, limit: MAX_TEMPLATES, found });
        }
        Ok(Self(templates))
    }

    /// Number of templates: at least 1.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The templates, with `{}` where a label goes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The sentences for `label`, one a template.
    pub fn apply<'a>(&'a self, label: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |template| template.replace("{}", label))
    }
}

impl fmt::Display for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|template| writeln!(f, "{template}"))
    }
}

fn checked(template: &str, place: impl FnOnce() -> String) -> Result<String, Error> {
    if !template.contains("{}") {
        return Err(Error::NoLabel { place: place(), template: template.to_owned() });
    }
    Ok(template.to_owned())
}

/// open_clip's `SIMPLE_IMAGENET_TEMPLATES`.
const SIMPLE: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// open_clip's `OPENAI_IMAGENET_TEMPLATES`.
const IMAGENET: [&str; 80] = [
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_replaces_every_pair_of_braces() {
        let templates = Templates::single("a {} beside a {}.").unwrap();
        let sentences: Vec<_> = templates.apply("{} cat").collect();
        assert_eq!(sentences, ["a {} cat beside a {} cat."]);
    }

    #[test]
    fn the_named_lists_have_7_and_80_different_templates() {
        for (name, count) in [("simple", 7), ("imagenet", 80)] {
            let templates = Templates::named(name).unwrap();
            let different: std::collections::HashSet<_> = templates.apply("cat").collect();
            assert_eq!((templates.len(), different.len()), (count, count));
        }
    }

    #[test]
    fn a_file_has_a_template_a_line_with_comments_between() {
        let file = "\u{feff}# mine\n\na photo of a {}.\r\n  a sketch of a {}.  \n";
        let templates = Templates::parse(file, "mine.txt").unwrap();
        let sentences: Vec<_> = templates.apply("cat").collect();
        assert_eq!(sentences, ["a photo of a cat.", "a sketch of a cat."]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        for (text, message) in [
            (
                "a {}.\n\na photo\n",
                "mine.txt: line 3: expected {} where the label goes, found \"a photo\"",
            ),
            ("# nothing\n", "mine.txt: expected one template a line, found none"),
        ] {
            let error = Templates::parse(text, "mine.txt").unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let error = Templates::named("no/such/file").unwrap_err().to_string();
        assert!(error.starts_with("no/such/file: cannot be read: "), "{error}");
    }

    proptest! {
        #[test]
        fn templates_written_down_and_read_back_are_the_same(
            lines in prop::collection::vec("[a-z]{1,5} ?\\{\\}[ .a-z#]{0,5}\\.", 1..5),
        ) {
            let templates = Templates::parse(&lines.join("\n"), "test").unwrap();
            let again = Templates::parse(&templates.to_string(), "table").unwrap();
            prop_assert_eq!(again, templates);
        }
    }
}

//! Conditions that a found picture has to meet.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{Error, Picture};

/// Conditions on time, camera, labels and path; without any, every picture meets them.
///
/// ```
/// use coca_index::{Filter, Picture};
///
/// let filter = Filter::default().camera("canon").label("cat").path("2026/**")?;
/// let picture = Picture {
///     path: "2026/summer/a.jpg".to_owned(),
///     camera: Some("Canon EOS R5".to_owned()),
///     labels: vec!["cat".to_owned()],
///     ..Picture::default()
/// };
/// assert!(filter.accepts(&picture));
/// # Ok::<(), coca_index::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Filter {
    after: Option<i64>,
    before: Option<i64>,
    camera: Option<String>,
    label: Option<String>,
    path: Option<GlobSet>,
}

impl Filter {
    /// Accepts pictures of this time, in seconds since 1970, and later.
    pub fn after(mut self, time: i64) -> Self {
        self.after = Some(time);
        self
    }

    /// Accepts pictures from before this time, in seconds since 1970.
    pub fn before(mut self, time: i64) -> Self {
        self.before = Some(time);
        self
    }

    /// Accepts pictures of cameras whose name contains this, in upper or lower case.
    pub fn camera(mut self, name: &str) -> Self {
        self.camera = Some(name.to_lowercase());
        self
    }

    /// Accepts pictures with this label.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Accepts pictures whose path matches a pattern: `*` within a name, `**` across folders, `{a,b}`, `[ab]`. A pattern without
    /// `/` is compared with the name of the file.
    ///
    /// # Errors
    /// [`Error::Pattern`] when the pattern cannot be understood.
    pub fn path(mut self, pattern: &str) -> Result<Self, Error> {
        self.path = Some(patterns([pattern])?);
        Ok(self)
    }

    /// Whether every picture meets the conditions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { after, before, camera, label, path } = self;
        after.is_none() && before.is_none() && camera.is_none() && label.is_none() && path.is_none()
    }

    /// Whether a picture meets the conditions.
    #[must_use]
    pub fn accepts(&self, picture: &Picture) -> bool {
        let camera = || picture.camera.as_deref().unwrap_or_default().to_lowercase();
        self.after.is_none_or(|after| picture.time() >= after)
            && self.before.is_none_or(|before| picture.time() < before)
            && self.camera.as_ref().is_none_or(|name| camera().contains(name))
            && self.label.as_ref().is_none_or(|label| picture.labels.contains(label))
            && self.path.as_ref().is_none_or(|pattern| pattern.is_match(&picture.path))
    }
}

/// Patterns of paths, any of which may match; one without `/` matches in every folder.
pub(crate) fn patterns<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in texts {
        let failed = |source| Error::Pattern { pattern: pattern.to_owned(), source };
        let anywhere = match pattern.contains('/') {
            true => pattern.to_owned(),
            false => format!("**/{pattern}"),
        };
        set.add(GlobBuilder::new(&anywhere).literal_separator(true).build().map_err(failed)?);
    }
    set.build().map_err(|source| Error::Pattern { pattern: String::new(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Picture {
        Picture { path: path.to_owned(), ..Picture::default() }
    }

    #[test]
    fn a_pattern_without_a_folder_matches_names_in_every_folder() {
        let filter = Filter::default().path("*.png").unwrap();
        assert!(filter.accepts(&at("a.png")) && filter.accepts(&at("x/y/a.png")));
        assert!(!filter.accepts(&at("a.png/b.jpg")));
    }

    #[test]
    fn a_pattern_with_a_folder_matches_whole_paths() {
        let filter = Filter::default().path("2026/*").unwrap();
        assert!(filter.accepts(&at("2026/a.png")));
        assert!(!filter.accepts(&at("2026/x/a.png")) && !filter.accepts(&at("old/2026/a.png")));
        assert!(Filter::default().path("2026/**").unwrap().accepts(&at("2026/x/a.png")));
    }

    #[test]
    fn a_pattern_that_cannot_be_understood_is_named() {
        let error = Filter::default().path("a[").unwrap_err();
        assert!(error.to_string().contains("\"a[\""), "{error}");
    }

    #[test]
    fn times_are_those_of_the_camera_where_there_are_any() {
        let file = Picture { modified: 50_000_000_000, ..Picture::default() };
        let taken = Picture { taken: Some(10), ..file.clone() };
        let filter = Filter::default().after(10).before(50);
        assert!(filter.accepts(&taken), "after includes its moment");
        assert!(!filter.accepts(&file), "before does not");
    }

    #[test]
    fn a_camera_is_found_by_a_part_of_its_name_and_a_label_only_whole() {
        let picture = Picture {
            camera: Some("Canon EOS".to_owned()),
            labels: vec!["wild cat".to_owned()],
            ..Picture::default()
        };
        assert!(Filter::default().camera("EOS").accepts(&picture));
        assert!(!Filter::default().camera("Nikon").accepts(&picture));
        assert!(!Filter::default().camera("Canon").accepts(&Picture::default()));
        assert!(!Filter::default().label("cat").accepts(&picture));
        assert!(Filter::default().label("wild cat").accepts(&picture));
    }
}

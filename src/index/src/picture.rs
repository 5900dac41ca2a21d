//! The description of an indexed picture.

/// A picture of an index: all that is known of it but its embedding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// Its path with `/` between folders, relative to the folder that holds the index, or absolute outside of it.
    pub path: String,
    /// Length of the file in bytes.
    pub size: u64,
    /// When the file was last written, in nanoseconds since 1970.
    pub modified: i64,
    /// When the picture was taken according to its EXIF data, in seconds since 1970; a camera without a time zone is taken to
    /// tell UTC.
    pub taken: Option<i64>,
    /// XXH3-128 of the file.
    pub content: u128,
    /// The camera according to its EXIF data.
    pub camera: Option<String>,
    /// Labels that fit it.
    pub labels: Vec<String>,
    /// Its caption, where captions were written.
    pub caption: Option<String>,
}

impl Picture {
    /// When it was taken, else when its file was last written, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.taken.unwrap_or(self.modified.div_euclid(1_000_000_000))
    }
}

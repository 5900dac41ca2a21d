//! What can be wrong with a picture or with how a model wants its pictures.

/// A picture that cannot be used. The text names no file: the caller knows which one it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The bytes are of no format that is known here.
    #[error("not a picture: {found}; expected JPEG, PNG, WebP, BMP or GIF")]
    UnknownFormat {
        /// What the bytes are instead.
        found: String,
    },
    /// The format is known but the content is damaged, or of a kind that is not supported.
    #[error("not a picture: {0}")]
    Undecodable(image::ImageError),
    /// The picture has no pixels.
    #[error("not a picture: its size is {width}×{height}")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The picture's header announces more pixels than [`Limits`](super::Limits) allows.
    #[error(
        "too large a picture: {width}×{height} pixels, where at most {limit} in all are allowed"
    )]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The most that is allowed.
        limit: u64,
    },
    /// The file or the decoded picture takes more memory than [`Limits`](super::Limits) allows.
    #[error("too large a picture: it needs more than the allowed {limit} bytes of memory")]
    TooMuchMemory {
        /// The most that is allowed.
        limit: u64,
    },
    /// A value of a model's `image` object cannot be used.
    #[error("image.{key}: expected {expected}, found {found}")]
    Spec {
        /// The value's key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A camera's frame has fewer bytes than its format and size ask for.
    #[error(
        "not a whole frame: {format} of {width}×{height} pixels takes {expected} bytes, found {found}"
    )]
    FrameLength {
        /// How the bytes are laid out.
        format: super::PixelFormat,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The bytes that a frame takes.
        expected: usize,
        /// The bytes that are there.
        found: usize,
    },
    /// A camera's JPEG frame is cut off or garbled.
    #[error("not a whole frame: the JPEG is cut off or garbled")]
    DamagedFrame,
    /// The picture cannot be resized.
    #[error("cannot be resized: {0}")]
    Resize(String),
}

impl Error {
    pub(crate) fn resize(error: impl std::fmt::Display) -> Self {
        Self::Resize(error.to_string())
    }
}

//! Errors of images, frames and preprocessing.

/// An image that cannot be used. The sentence names no file: the caller knows which one it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// The format is unknown or not supported.
    #[error("not a picture: {found}; expected JPEG, PNG, WebP, BMP or GIF")]
    UnknownFormat {
        /// Kind of the content.
        found: String,
    },
    /// The format is known but the content is damaged, or of a kind that is not supported.
    #[error("not a picture: {0}")]
    Undecodable(#[source] image::ImageError),
    /// The image has no pixels.
    #[error("not a picture: its size is {width}×{height}")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The image's header announces more pixels than [`Limits`](super::Limits) allows.
    #[error(
        "too large a picture: {width}×{height} pixels, where at most {limit} in all are allowed"
    )]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit.
        limit: u64,
    },
    /// The file or the decoded image takes more memory than [`Limits`](super::Limits) allows.
    #[error("too large a picture: it needs more than the allowed {limit} bytes of memory")]
    TooMuchMemory {
        /// The limit.
        limit: u64,
    },
    /// A JPEG asks for more work than a picture of its size may take.
    #[error("too much work for a picture: {found} {what}, where at most {limit} are allowed")]
    TooMuchWork {
        /// Parts of the file that work is done for.
        what: &'static str,
        /// Their number.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A value of a model's `image` object is out of range.
    #[error("image.{key}: expected {expected}, found {found}")]
    Spec {
        /// Its key.
        key: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// A buffer for pixels does not fit the model's input.
    #[error("not a buffer for this input: expected {expected} values, found {found}")]
    PixelsLength {
        /// Values of the input, `3 × height × width`.
        expected: usize,
        /// Values of the buffer.
        found: usize,
    },
    /// A camera's frame has fewer bytes than its format and size ask for.
    #[error(
        "not a whole frame: {format} of {width}×{height} pixels takes {expected} bytes, found {found}"
    )]
    FrameLength {
        /// Layout of the bytes.
        format: super::PixelFormat,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Length of a whole frame.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
    /// A camera's JPEG frame is cut off or garbled.
    #[error("not a whole frame: the JPEG is cut off or garbled")]
    DamagedFrame,
    /// The image cannot be resized.
    #[error("cannot be resized: {0}")]
    Resize(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn resize(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Resize(error.into())
    }
}

//! Image preprocessing for CLIP-like encoders: decoding, resizing, normalising.
//!
//! ```text
//! file ─── decode ──▶ Image ────── Preprocessor ────────▶ Pixels [1, 3, H, W]
//! camera ────────────▶ FrameView ── FramePreprocessor ───▶ Pixels [1, 3, H, W]
//! ```
//!
//! [`decode`] and [`open`] read JPEG, PNG, WebP, BMP and GIF (the first frame) of any colour type, found by
//! content. The image comes out upright (EXIF orientation applied), in RGB, transparency over black,
//! and within [`Limits`], so that a decompression bomb is an error and not an allocation. A large JPEG
//! is decoded straight to the smallest size that the model's input needs.
//!
//! [`Preprocessor`] resizes, crops and normalises as a model's [`PixelSpec`] asks. For the same decoded pixels it agrees
//! with `image_transform` of open_clip 3.3.0 within 2/255. Two things differ on purpose: open_clip ignores EXIF
//! orientation, and it drops an alpha channel instead of laying the image over black.
//!
//! A camera's frames take a shorter way: [`FramePreprocessor`] resizes their planes before it converts colours.
//!
//! ```
//! use coca_vision::{Interpolation, PixelSpec, Preprocessor, Resize};
//!
//! let preprocessor = Preprocessor::new(PixelSpec {
//!     width: 224,
//!     height: 224,
//!     mean: [0.48145466, 0.4578275, 0.40821073],
//!     std: [0.26862954, 0.26130258, 0.27577711],
//!     resize: Resize::Shortest,
//!     interpolation: Interpolation::Bicubic,
//! })?;
//! let grey = image::RgbImage::from_pixel(640, 480, image::Rgb([128; 3]));
//! assert_eq!(preprocessor.preprocess(&grey)?.view().shape(), [1, 3, 224, 224]);
//! # Ok::<(), coca_vision::Error>(())
//! ```

#![forbid(unsafe_code)]

mod decode;
mod error;
mod frame;
mod geometry;
mod jpeg;
mod preprocess;
mod reader;
mod resize;
mod sources;
mod spec;
#[cfg(test)]
mod tests;
mod upright_image;

pub use decode::{Detail, Limits, decode, open, read_file};
pub use error::Error;
pub use frame::{
    FrameConverter, FramePreprocessor, FrameView, Orientation, PixelFormat, YuvMatrix,
};
pub use preprocess::{CodeTable, Pixels, Preprocessor};
pub use reader::ImageReader;
pub use resize::{Area, RgbResizer};
pub use sources::{ReadError, Source, Sources, extension_of, has_image_extension, sources};
pub use spec::{Interpolation, PixelSpec, Resize};
pub use upright_image::Image;

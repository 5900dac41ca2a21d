//! Decoding files.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation,
};

use crate::{Error, Image, jpeg, upright_image::swaps_sides};

/// Limits of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum of width × height.
    pub pixels: u64,
    /// Maximum number of bytes of the file, and of the decoded pixels. A decoder works in up to twice as much again.
    pub bytes: u64,
}

impl Default for Limits {
    /// 100 megapixels and 512 MiB.
    fn default() -> Self {
        Self { pixels: 100_000_000, bytes: 512 << 20 }
    }
}

/// The resolution to decode at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every pixel.
    Full,
    /// A JPEG may come at 1/2, 1/4 or 1/8 of its size if, upright, it still has this many columns and rows.
    AtLeast {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// Decodes an image file; see [`decode`].
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, else what [`decode`] says.
pub fn open(
    path: impl AsRef<Path>,
    limits: &Limits,
    detail: Detail,
) -> Result<Image<'static>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits.bytes.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(Error::Read)?;
    decode(&bytes, limits, detail)
}

/// Decodes a JPEG, PNG, WebP, BMP or GIF (its first frame) file and turns it upright as its EXIF data says.
///
/// Reads any colour type: grey, palette, CMYK, 8 and 16 bits; what is transparent becomes black.
///
/// # Errors
/// [`Error::UnknownFormat`], [`Error::Undecodable`] and [`Error::Empty`] if the bytes are no image, [`Error::TooManyPixels`]
/// and [`Error::TooMuchMemory`] if it exceeds the limits. Those are checked before anything of the image's size is allocated.
pub fn decode(bytes: &[u8], limits: &Limits, detail: Detail) -> Result<Image<'static>, Error> {
    let format = format_of(bytes)?;
    if bytes.len() as u64 > limits.bytes {
        return Err(Error::TooMuchMemory { limit: limits.bytes });
    }
    let failed = |error| match error {
        ImageError::Limits(_) => Error::TooMuchMemory { limit: limits.bytes },
        error => Error::Undecodable(error),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowance = image::Limits::no_limits();
    allowance.max_alloc = Some(limits.bytes);
    reader.limits(allowance);
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::Empty { width, height });
    }
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(Error::TooManyPixels { width, height, limit: limits.pixels });
    }
    if decoder.total_bytes() > limits.bytes {
        return Err(Error::TooMuchMemory { limit: limits.bytes });
    }
    // Damaged EXIF data leaves a good picture as it is stored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);

    if format == ImageFormat::Jpeg {
        let scale = scale_for(detail, (width, height), orientation);
        let rgb = match scale {
            1 => None,
            scale => jpeg::decode_scaled(bytes, scale as usize).map(|rgb| (rgb, scale)),
        };
        let rgb = rgb.or_else(|| jpeg::decode_full(bytes, limits.bytes).map(|rgb| (rgb, 1)));
        if let Some((rgb, scale)) = rgb {
            return Ok(Image::upright(rgb, (width, height), scale, orientation));
        }
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(Image::from(image))
}

/// The format according to the first bytes.
fn format_of(bytes: &[u8]) -> Result<ImageFormat, Error> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    let found = match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Bmp | Gif)) => return Ok(format),
        Ok(other) => format!("a file of type {}", other.to_mime_type()),
        Err(_) if bytes.is_empty() => "the file is empty".to_owned(),
        Err(_) => "the content is of no known format".to_owned(),
    };
    Err(Error::UnknownFormat { found })
}

/// The divisor of a JPEG's size at which it may be decoded: 1, 2, 4 or 8.
fn scale_for(detail: Detail, (width, height): (u32, u32), orientation: Orientation) -> u32 {
    let Detail::AtLeast { width: across, height: down } = detail else { return 1 };
    let (across, down) = if swaps_sides(orientation) { (down, across) } else { (across, down) };
    [8, 4, 2]
        .into_iter()
        .find(|scale| width / scale >= across && height / scale >= down)
        .unwrap_or(1)
}

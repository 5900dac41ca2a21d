//! Decoding files.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use coca_host::AvailableMemory;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation,
};

use crate::{Error, Image, jpeg, upright_image::swaps_sides};

/// Bytes that a file's format is known by.
const HEAD_BYTES: u64 = 64;
/// Largest file.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Limits of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum of width × height.
    pub pixels: u64,
    /// Maximum number of bytes of the file, and of the memory that decoding takes beside it.
    pub bytes: u64,
    /// Maximum of width × height × components of all scans of a JPEG, the work of decoding it, though every component may
    /// be scanned once.
    pub scanned_samples: u64,
}

impl Default for Limits {
    /// 100 megapixels, 1 GiB, 2 billion samples scanned.
    fn default() -> Self {
        Self { pixels: 100_000_000, bytes: 1 << 30, scanned_samples: 2_000_000_000 }
    }
}

impl Limits {
    /// The default, but no more memory than half of the bytes that are `available`.
    ///
    /// ```
    /// use coca_vision::Limits;
    ///
    /// assert_eq!(Limits::within(200 << 20).bytes, 100 << 20);
    /// assert_eq!(Limits::within(u64::MAX), Limits::default());
    /// ```
    #[must_use]
    pub fn within(available: u64) -> Self {
        let limits = Self::default();
        Self { bytes: limits.bytes.min(available / 2), ..limits }
    }

    /// The limits of each of `decoders` that work side by side in this process: [`within`](Self::within) equal shares of the
    /// memory that it may still take. The default where the system does not tell that.
    #[must_use]
    pub fn of_process(decoders: usize) -> Self {
        AvailableMemory::now().map_or_else(Self::default, |left| {
            Self::within(left.bytes / u64::try_from(decoders.max(1)).unwrap_or(u64::MAX))
        })
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
    decode(&read_file(path, limits)?, limits, detail)
}

/// Reads an image file without decoding it, or as much of it as tells that it is none or too long.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::UnknownFormat`] if it is no image, [`Error::TooMuchMemory`] if it is
/// longer than `limits` or 512 MiB.
pub fn read_file(path: impl AsRef<Path>, limits: &Limits) -> Result<Vec<u8>, Error> {
    File::open(path).map_err(Error::Read).and_then(|file| read(file, limits))
}

/// Reads a whole image file, or as much of it as tells that it is none or too long.
pub(crate) fn read(mut from: impl Read, limits: &Limits) -> Result<Vec<u8>, Error> {
    let limit = limits.bytes.min(MAX_FILE_BYTES);
    let mut bytes = Vec::new();
    from.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(Error::Read)?;
    format_of(&bytes)?;
    from.take((limit + 1).saturating_sub(HEAD_BYTES))
        .read_to_end(&mut bytes)
        .map_err(Error::Read)?;
    match bytes.len() as u64 > limit {
        true => Err(Error::TooMuchMemory { limit }),
        false => Ok(bytes),
    }
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
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels {
        return Err(Error::TooManyPixels { width, height, limit: limits.pixels });
    }
    // Damaged EXIF data leaves a good picture as it is stored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);

    if format == ImageFormat::Jpeg {
        jpeg::check_work(bytes, pixels, limits.scanned_samples)?;
        let scale = scale_for(detail, (width, height), orientation);
        if scale > 1 {
            let scaled = pixels / u64::from(scale * scale);
            reserve(memory_of(format, scaled, 3 * scaled, orientation), limits)?;
            if let Some(rgb) = jpeg::decode_scaled(bytes, scale as usize) {
                return Ok(Image::upright(rgb, (width, height), scale, orientation));
            }
        }
    }
    reserve(memory_of(format, pixels, decoder.total_bytes(), orientation), limits)?;
    if format == ImageFormat::Jpeg
        && let Some(rgb) = jpeg::decode_full(bytes, limits.bytes)
    {
        return Ok(Image::upright(rgb, (width, height), 1, orientation));
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(Image::from(image))
}

/// Bytes that decoding takes at most at one time: those that the decoder gives, `decoded`, what it works in, and the
/// upright RGB image.
fn memory_of(format: ImageFormat, pixels: u64, decoded: u64, orientation: Orientation) -> u64 {
    let work = match format {
        // Coefficients of a progressive file, and planes.
        ImageFormat::Jpeg => 9 * pixels,
        // The canvas, and a frame on it.
        ImageFormat::Gif | ImageFormat::WebP => 4 * pixels,
        _ => 0,
    };
    let is_rgb = decoded == 3 * pixels;
    let converted = if is_rgb { 0 } else { 7 * pixels };
    let turned = if orientation == Orientation::NoTransforms { 0 } else { 3 * pixels };
    decoded + work + converted.max(turned)
}

/// Makes sure that decoding may take `bytes`, and that the system has them to give: what cannot be had ends a process
/// without a word once a decoder asks for it.
fn reserve(bytes: u64, limits: &Limits) -> Result<(), Error> {
    let is_to_be_had = || {
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
    };
    match bytes <= limits.bytes && is_to_be_had() {
        true => Ok(()),
        false => Err(Error::TooMuchMemory { limit: limits.bytes.min(bytes.saturating_sub(1)) }),
    }
}

/// The format according to the first bytes.
fn format_of(bytes: &[u8]) -> Result<ImageFormat, Error> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    let found = match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Bmp | Gif)) => return Ok(format),
        Ok(other) => format!("a file of type {}", other.to_mime_type()),
        Err(_) if bytes.is_empty() => "the file is empty".to_owned(),
        Err(_) if is_heic(bytes) => "a HEIC file, as phones take them".to_owned(),
        Err(_) => "the content is of no known format".to_owned(),
    };
    Err(Error::UnknownFormat { found })
}

/// Whether the file is one of the kinds that the image crate does not know by name.
fn is_heic(bytes: &[u8]) -> bool {
    let brand = bytes.get(4..12).unwrap_or_default();
    [b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"]
        .iter()
        .any(|known| brand == *known)
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

//! A framebuffer of the Linux kernel: `fb:/dev/fb0`.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::Sender,
};

use super::{
    Canvas, Display, Error, Request, View,
    display_kind::{DisplayKind, required_target},
    options::Options,
};

/// Folder in which the kernel describes its framebuffers, a folder for each.
const DESCRIPTIONS: &str = "/sys/class/graphics";
/// Bytes of a row beyond which a description is not believed.
const MAX_STRIDE: usize = 1 << 20;

/// A framebuffer device: `fb:/dev/fb0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramebufferSpec {
    /// Path of the device.
    pub device: PathBuf,
}

impl DisplayKind for FramebufferSpec {
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        Ok(Self { device: required_target(target, options)?.into() })
    }

    fn open(&self, _requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Ok(Box::new(Framebuffer::open(&self.device)?))
    }
}

impl fmt::Display for FramebufferSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fb:{}", self.device.display())
    }
}

/// Memory layout of a framebuffer's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// 16 bits a pixel, little endian: 5 red, 6 green, 5 blue.
    Rgb565,
    /// 32 bits a pixel, little endian: 8 unused, 8 red, 8 green, 8 blue.
    Xrgb8888,
}

impl PixelFormat {
    fn bytes(self) -> usize {
        match self {
            Self::Rgb565 => 2,
            Self::Xrgb8888 => 4,
        }
    }
}

/// Size and format of a framebuffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Layout of a pixel.
    pub format: PixelFormat,
}

impl Geometry {
    /// Reads `bits_per_pixel`, `virtual_size`, `stride` and, where there is one, `mode` from `folder`.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Framebuffer`], which name the file.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let (path, text) = described(folder, "bits_per_pixel")?;
        let format = match text.as_str() {
            "16" => PixelFormat::Rgb565,
            "32" => PixelFormat::Xrgb8888,
            _ => return Err(wrong(&path, "16 or 32 bits a pixel", text)),
        };
        let (path, text) = described(folder, "virtual_size")?;
        let (width, height) = pair(&text, ',')
            .ok_or_else(|| wrong(&path, "WIDTH,HEIGHT from 1,1 to 16384,16384", text))?;
        let (path, text) = described(folder, "stride")?;
        let min = width as usize * format.bytes();
        let stride =
            text.parse().ok().filter(|stride| (min..=MAX_STRIDE).contains(stride)).ok_or_else(
                || wrong(&path, "the bytes of a row, at least as many as its pixels take", text),
            )?;
        let (width, height) = visible(folder, width, height);
        Ok(Self { width, height, stride, format })
    }

    /// The bytes of the whole picture: `canvas` has this geometry's size.
    fn bytes_of(&self, canvas: &Canvas, bytes: &mut Vec<u8>) {
        bytes.resize(self.stride * self.height as usize, 0);
        let rows = canvas.rgb().chunks_exact(self.width as usize * 3);
        for (row, rgb) in bytes.chunks_exact_mut(self.stride).zip(rows) {
            let pixels = rgb.chunks_exact(3);
            match self.format {
                PixelFormat::Rgb565 => {
                    for (to, from) in row.chunks_exact_mut(2).zip(pixels) {
                        to.copy_from_slice(&rgb565(from[0], from[1], from[2]).to_le_bytes());
                    }
                }
                PixelFormat::Xrgb8888 => {
                    for (to, from) in row.chunks_exact_mut(4).zip(pixels) {
                        to.copy_from_slice(&[from[2], from[1], from[0], 0]);
                    }
                }
            }
        }
    }
}

fn rgb565(red: u8, green: u8, blue: u8) -> u16 {
    u16::from(red >> 3) << 11 | u16::from(green >> 2) << 5 | u16::from(blue >> 3)
}

fn described(folder: &Path, name: &str) -> Result<(PathBuf, String), Error> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text.trim().to_owned())),
        Err(source) => Err(Error::File { path: path.display().to_string(), doing: "read", source }),
    }
}

fn wrong(path: &Path, expected: &'static str, found: String) -> Error {
    Error::Framebuffer { path: path.display().to_string(), expected, found }
}

fn pair(text: &str, separator: char) -> Option<(u32, u32)> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=16_384).contains(side));
    let (width, height) = text.split_once(separator)?;
    Some((side(width)?, side(height)?))
}

/// The part of the framebuffer that is on the screen: a driver that pans has more rows than that. `mode` is `U:1920x1080p-60`.
fn visible(folder: &Path, width: u32, height: u32) -> (u32, u32) {
    let Ok((_, mode)) = described(folder, "mode") else { return (width, height) };
    let size = mode.split_once(':').and_then(|(_, size)| {
        let end = size.find(|c: char| !c.is_ascii_digit() && c != 'x').unwrap_or(size.len());
        pair(&size[..end], 'x')
    });
    match size {
        Some((w, h)) if w <= width && h <= height => (w, h),
        _ => (width, height),
    }
}

/// A framebuffer device. One that vanishes is opened again with the next view.
#[derive(Debug)]
pub struct Framebuffer {
    name: String,
    device: PathBuf,
    description: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    geometry: Geometry,
    canvas: Canvas,
    bytes: Vec<u8>,
}

impl Framebuffer {
    /// Opens `device`, as `/dev/fb0`, with the description that the kernel gives of it.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Framebuffer`], which name the file.
    pub fn open(device: &Path) -> Result<Self, Error> {
        let folder = device.file_name().unwrap_or(device.as_os_str());
        Self::open_described(device, &Path::new(DESCRIPTIONS).join(folder))
    }

    /// Opens `device` with the description in `folder`, see [`Geometry::read`].
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Framebuffer`], which name the file.
    pub fn open_described(device: &Path, folder: &Path) -> Result<Self, Error> {
        let mut framebuffer = Self {
            name: format!("fb:{}", device.display()),
            device: device.to_owned(),
            description: folder.to_owned(),
            open: None,
        };
        framebuffer.opened()?;
        Ok(framebuffer)
    }

    fn opened(&mut self) -> Result<&mut Open, Error> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::new(&self.device, &self.description)?,
        };
        Ok(self.open.insert(open))
    }
}

impl Open {
    fn new(device: &Path, description: &Path) -> Result<Self, Error> {
        let geometry = Geometry::read(description)?;
        let file = OpenOptions::new().write(true).open(device).map_err(|source| Error::File {
            path: device.display().to_string(),
            doing: "opened",
            source,
        })?;
        let canvas = Canvas::new(geometry.width, geometry.height);
        Ok(Self { file, geometry, canvas, bytes: Vec::new() })
    }

    fn show(&mut self, view: &View) -> std::io::Result<()> {
        self.canvas.paint(view);
        self.geometry.bytes_of(&self.canvas, &mut self.bytes);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.bytes)
    }
}

impl Display for Framebuffer {
    fn name(&self) -> &str {
        &self.name
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        self.opened()?.show(view).map_err(|source| {
            self.open = None;
            Error::File { path: self.device.display().to_string(), doing: "written", source }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use image::{Rgb, RgbImage};
    use tempfile::TempDir;

    use super::*;

    fn described_as(bits: &str, size: &str, stride: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("bits_per_pixel", bits), ("virtual_size", size), ("stride", stride)] {
            fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
        }
        folder
    }

    fn show(folder: &TempDir, view: &View) -> Vec<u8> {
        let device = folder.path().join("fb0");
        fs::write(&device, []).unwrap();
        Framebuffer::open_described(&device, folder.path()).unwrap().show(view).unwrap();
        fs::read(device).unwrap()
    }

    /// Far larger than its labels, so that the middle is the bare picture.
    fn red_view() -> View {
        let picture = Arc::new(RgbImage::from_pixel(64, 64, Rgb([255, 130, 8])));
        View { picture: Some(picture), ..View::default() }
    }

    #[test]
    fn rgb565_is_written_with_the_strides_padding() {
        let bytes = show(&described_as("16", "64,64", "136"), &red_view());
        assert_eq!(bytes.len(), 64 * 136);
        let row = &bytes[40 * 136..][..136];
        assert_eq!(row[..2], (31u16 << 11 | 32 << 5 | 1).to_le_bytes());
        assert_eq!(row[126..], [row[0], row[1], 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn xrgb8888_is_written_blue_first() {
        let bytes = show(&described_as("32", "64,64", "256"), &red_view());
        assert_eq!(bytes.len(), 64 * 256);
        assert_eq!(bytes[40 * 256..][..8], [8, 130, 255, 0, 8, 130, 255, 0]);
    }

    #[test]
    fn only_the_visible_part_of_a_panning_framebuffer_is_drawn() {
        let folder = described_as("32", "64,128", "256");
        fs::write(folder.path().join("mode"), "U:64x64p-60\n").unwrap();
        assert_eq!(show(&folder, &red_view()).len(), 64 * 256);
    }

    #[test]
    fn a_framebuffer_that_comes_back_with_another_size_is_drawn_again() {
        let folder = described_as("16", "64,64", "128");
        let device = folder.path().join("fb0");
        fs::write(&device, []).unwrap();
        let mut framebuffer = Framebuffer::open_described(&device, folder.path()).unwrap();
        framebuffer.open = None;
        fs::remove_file(&device).unwrap();
        let error = framebuffer.show(&red_view()).unwrap_err().to_string();
        assert!(error.contains("fb0: cannot be opened"), "{error}");
        fs::write(&device, []).unwrap();
        fs::write(folder.path().join("virtual_size"), "32,32").unwrap();
        framebuffer.show(&red_view()).unwrap();
        assert_eq!(fs::read(device).unwrap().len(), 32 * 128);
    }

    #[test]
    fn a_full_device_is_an_error_and_the_next_view_is_tried_again() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            eprintln!("skipped: there is no /dev/full");
            return;
        }
        let folder = described_as("16", "64,64", "128");
        let mut framebuffer = Framebuffer::open_described(full, folder.path()).unwrap();
        for _ in 0..2 {
            let error = framebuffer.show(&red_view()).unwrap_err().to_string();
            assert!(error.starts_with("/dev/full: cannot be written"), "{error}");
        }
    }

    #[test]
    fn a_description_that_makes_no_sense_is_refused_by_file() {
        for (bits, size, stride, file) in [
            ("24", "64,64", "192", "bits_per_pixel"),
            ("16", "64", "128", "virtual_size"),
            ("16", "0,64", "128", "virtual_size"),
            ("32", "64,64", "128", "stride"),
        ] {
            let folder = described_as(bits, size, stride);
            let error = Geometry::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains("found"), "{error}");
        }
    }
}

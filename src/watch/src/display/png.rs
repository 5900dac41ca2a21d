//! A PNG file: `png:FILE`.

use std::{
    fmt,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use coca_host::OutputFile;
use image::{
    ExtendedColorType, ImageEncoder, ImageError,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use super::{
    Canvas, Display, Error, Request, View,
    display_kind::{DisplayKind, required_target},
    options::Options,
};

/// Columns and rows of the file while there is no frame.
const EMPTY_SIZE: (u32, u32) = (640, 480);

/// A PNG file and its options: `png:FILE?size=640x480&every=2`.
///
/// Without `size` the file is as large as the frame; with `every` it is written at most once in that many seconds, which
/// spares an SD card. A file on a memory disk, as under `/run`, wears nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct PngSpec {
    /// Path of the file.
    pub file: PathBuf,
    /// Columns and rows; the frame's own without it.
    pub size: Option<(u32, u32)>,
    /// Least time between two versions.
    pub every: Duration,
}

impl DisplayKind for PngSpec {
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        let file = required_target(target, options)?;
        let size = options.take_size("size")?;
        let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
        let every = options.take_as("every", "a number of seconds", seconds)?;
        Ok(Self { file: file.into(), size, every: every.unwrap_or(Duration::ZERO) })
    }

    fn open(&self, _requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Ok(Box::new(Png::new(self.clone())))
    }
}

impl fmt::Display for PngSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "png:{}", self.file.display())
    }
}

/// Replaces the file with each view: its readers never see half of one. See [`OutputFile`] for links and devices.
#[derive(Debug)]
pub struct Png {
    name: String,
    spec: PngSpec,
    canvas: Canvas,
    written: Option<Instant>,
    /// The newest view, if it came too soon to be written.
    waiting: Option<View>,
}

impl Png {
    /// A display that writes as `spec` says.
    #[must_use]
    pub fn new(spec: PngSpec) -> Self {
        Self {
            name: spec.to_string(),
            spec,
            canvas: Canvas::new(0, 0),
            written: None,
            waiting: None,
        }
    }

    fn write(&mut self, view: &View) -> Result<(), Error> {
        let own = view.picture.as_ref().map_or(EMPTY_SIZE, |picture| picture.dimensions());
        let (width, height) = self.spec.size.unwrap_or(own);
        if (self.canvas.width(), self.canvas.height()) != (width, height) {
            self.canvas = Canvas::new(width, height);
        }
        self.canvas.paint(view);

        let file = &self.spec.file;
        let failed =
            |source| Error::File { path: file.display().to_string(), doing: "written", source };
        let mut output = OutputFile::create(file).map_err(failed)?;
        self.encode(&mut output)?;
        output.commit().map_err(failed)
    }

    fn encode(&self, output: &mut OutputFile) -> Result<(), Error> {
        let failed = |source| match source {
            ImageError::IoError(source) => {
                Error::File { path: self.spec.file.display().to_string(), doing: "written", source }
            }
            source => Error::Encode { display: self.name.clone(), source },
        };
        let mut output = BufWriter::new(output);
        PngEncoder::new_with_quality(&mut output, CompressionType::Fast, FilterType::Adaptive)
            .write_image(
                self.canvas.rgb(),
                self.canvas.width(),
                self.canvas.height(),
                ExtendedColorType::Rgb8,
            )
            .map_err(failed)?;
        // Dropped instead, it would hide that the disk is full.
        output.flush().map_err(|error| failed(ImageError::IoError(error)))
    }
}

impl Display for Png {
    fn name(&self) -> &str {
        &self.name
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        if self.written.is_some_and(|written| written.elapsed() < self.spec.every) {
            self.waiting = Some(view.clone());
            return Ok(());
        }
        self.waiting = None;
        self.write(view)?;
        self.written = Some(Instant::now());
        Ok(())
    }
}

/// The last view is on the disk in the end.
impl Drop for Png {
    fn drop(&mut self) {
        if let Some(view) = self.waiting.take()
            && let Err(error) = self.write(&view)
        {
            log::warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

    use image::{Rgb, RgbImage};

    use super::*;

    fn view(colour: [u8; 3]) -> View {
        let picture = Arc::new(RgbImage::from_pixel(64, 64, Rgb(colour)));
        View { picture: Some(picture), ..View::default() }
    }

    fn png(file: &Path, size: Option<(u32, u32)>, every: Duration) -> Png {
        Png::new(PngSpec { file: file.into(), size, every })
    }

    fn middle(file: &Path) -> [u8; 3] {
        let picture = image::open(file).unwrap().into_rgb8();
        picture.get_pixel(picture.width() / 2, picture.height() - 8).0
    }

    #[test]
    fn the_file_is_scaled_to_the_size_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now.png");
        png(&file, None, Duration::ZERO).show(&view([9, 8, 7])).unwrap();
        assert_eq!(image::image_dimensions(&file).unwrap(), (64, 64));
        png(&file, Some((200, 100)), Duration::ZERO).show(&view([9, 8, 7])).unwrap();
        assert_eq!(image::image_dimensions(&file).unwrap(), (200, 100));
        assert_eq!(middle(&file), [9, 8, 7]);
    }

    #[test]
    fn a_reader_never_sees_half_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now.png");
        let done = Arc::new(AtomicBool::new(false));
        let mut display = png(&file, Some((320, 240)), Duration::ZERO);
        display.show(&view([0; 3])).unwrap();
        let reader = thread::spawn({
            let (file, done) = (file.clone(), Arc::clone(&done));
            move || {
                let mut read = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(image::open(&file).unwrap().width(), 320);
                    read += 1;
                }
                read
            }
        });
        for level in 0..60 {
            display.show(&view([level; 3])).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn with_an_interval_the_last_view_is_written_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now.png");
        let mut display = png(&file, None, Duration::from_secs(3600));
        for level in [10, 20, 30] {
            display.show(&view([level; 3])).unwrap();
        }
        assert_eq!(middle(&file), [10; 3]);
        drop(display);
        assert_eq!(middle(&file), [30; 3]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone/now.png");
        let error = png(&file, None, Duration::ZERO).show(&view([0; 3])).unwrap_err().to_string();
        assert!(error.contains("gone/now.png: cannot be written"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("now.png"), folder.path().join("link.png"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        png(&link, None, Duration::ZERO).show(&view([9, 8, 7])).unwrap();
        assert!(link.is_symlink() && middle(&file) == [9, 8, 7]);
    }

    #[cfg(unix)]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let error = png(full, None, Duration::ZERO).show(&view([0; 3])).unwrap_err();
            assert!(error.to_string().starts_with("/dev/full: cannot be written"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now.png");
        png(&file, None, Duration::ZERO).show(&view([0; 3])).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{mode:o}");
    }
}

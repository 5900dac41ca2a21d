//! A picture file that is always whole: `png:FILE`.

use std::{
    io::BufWriter,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use tempfile::NamedTempFile;

use super::{Canvas, Display, Error, View, spec::Options};

/// The size of the file's picture while no camera picture says how large it should be.
const EMPTY: (u32, u32) = (640, 480);

/// A PNG file and how it is written.
///
/// `png:FILE?size=640x480&every=2`: without `size` the file is as large as the camera's picture; with `every` it is written at most
/// once in that many seconds, which spares an SD card. A file on a memory disk, as under `/run`, wears nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct PngSpec {
    /// The file.
    pub file: PathBuf,
    /// Width and height; the picture's own without it.
    pub size: Option<(u32, u32)>,
    /// The least time between two versions.
    pub every: Duration,
}

impl PngSpec {
    pub(super) fn parse(file: &str, options: &mut Options) -> Result<Self, Error> {
        let size = options.take_size("size")?;
        let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
        let every = options.take_as("every", "a number of seconds", seconds)?;
        Ok(Self { file: file.into(), size, every: every.unwrap_or_default() })
    }
}

/// Writes each view to a file next to the wanted one, then renames it: who reads the file never sees half of it.
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
        let name = format!("png:{}", spec.file.display());
        Self { name, spec, canvas: Canvas::new(0, 0), written: None, waiting: None }
    }

    fn write(&mut self, view: &View) -> Result<(), Error> {
        let own = view.picture.as_ref().map_or(EMPTY, |picture| picture.dimensions());
        let (width, height) = self.spec.size.unwrap_or(own);
        if (self.canvas.width(), self.canvas.height()) != (width, height) {
            self.canvas = Canvas::new(width, height);
        }
        self.canvas.paint(view);

        let file = &self.spec.file;
        let failed =
            |source| Error::File { path: file.display().to_string(), doing: "written", source };
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut temporary = readable(&mut tempfile::Builder::new())
            .prefix(".coca-")
            .suffix(".png")
            .tempfile_in(folder)
            .map_err(failed)?;
        self.encode(&mut temporary)?;
        temporary.persist(file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn encode(&self, file: &mut NamedTempFile) -> Result<(), Error> {
        let output = BufWriter::new(file);
        PngEncoder::new_with_quality(output, CompressionType::Fast, FilterType::Adaptive)
            .write_image(
                self.canvas.rgb(),
                self.canvas.width(),
                self.canvas.height(),
                ExtendedColorType::Rgb8,
            )
            .map_err(|source| Error::Encode { display: self.name.clone(), source })
    }
}

/// A temporary file is its owner's alone; the picture is for whoever may read the folder.
fn readable<'a, 'p, 's>(
    builder: &'a mut tempfile::Builder<'p, 's>,
) -> &'a mut tempfile::Builder<'p, 's> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    builder
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
    fn others_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now.png");
        png(&file, None, Duration::ZERO).show(&view([0; 3])).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{mode:o}");
    }
}

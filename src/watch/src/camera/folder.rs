//! Pictures in files, shown over and over: `dir:PATH`, or a file's path.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt,
    fs::{self, FileType},
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use coca_vision::{self as vision, Detail, Image, Limits, PixelFormat, Source, sources};

use super::{Error, Frame, FrameSource, Read, SourceSettings, pace::Pace, source_kind::SourceKind};
use crate::redact::{PLACEHOLDER, has_user, redact};

/// Resolution at which photos are decoded at least: about that of a camera's frames.
const DETAIL: Detail = Detail::AtLeast { width: 960, height: 720 };
/// Pictures a second unless stated otherwise.
const DEFAULT_FPS: f32 = 5.0;

/// The pictures of a folder, sorted by name, over and over: `dir:PATH?fps=5`.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderSpec {
    /// Path of the folder.
    pub path: PathBuf,
    /// Pictures a second; the settings' rate, or else 5, if not stated.
    pub fps: Option<f32>,
}

/// One picture, over and over: the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Path of the file.
    pub path: PathBuf,
}

impl SourceKind for FolderSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        let folder = text.strip_prefix("dir:")?;
        let (path, query) = folder.split_once('?').unwrap_or((folder, ""));
        let fps = match query.strip_prefix("fps=").map(str::parse::<f32>) {
            None if query.is_empty() => None,
            Some(Ok(fps)) if (0.01..=240.0).contains(&fps) => Some(fps),
            _ => {
                return Some(Err(Error::Spec {
                    spec: text.to_owned(),
                    expected: "expected fps= and a number from 0.01 to 240 behind the ?".to_owned(),
                }));
            }
        };
        Some(Ok(Self { path: path.into(), fps }))
    }

    fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(Box::new(Folder::open(&self.path, self.fps.or(settings.fps))?))
    }
}

impl fmt::Display for FolderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.path.display())?;
        match self.fps {
            Some(fps) => write!(f, "?fps={fps}"),
            None => Ok(()),
        }
    }
}

impl SourceKind for FileSpec {
    /// Reads every text but the empty one and addresses.
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        if text.is_empty() {
            return None;
        }
        if text.contains("://") {
            return Some(Err(Error::Spec {
                spec: redact(text).into(),
                expected: format!(
                    "of addresses, only http:// is read directly; {}",
                    through_ffmpeg(text)
                ),
            }));
        }
        if is_video(Path::new(text)) {
            return Some(Err(Error::Spec {
                spec: text.to_owned(),
                expected: format!("a video is read through ffmpeg: {}", through_ffmpeg(text)),
            }));
        }
        Some(Ok(Self { path: text.into() }))
    }

    fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(Box::new(Folder::open_file(&self.path, settings.fps)?))
    }
}

/// Whether a file's name is that of a video.
fn is_video(path: &Path) -> bool {
    const EXTENSIONS: [&str; 19] = [
        "mp4", "m4v", "mkv", "mov", "avi", "webm", "mpg", "mpeg", "ts", "mts", "m2ts", "flv",
        "3gp", "wmv", "ogv", "264", "265", "h264", "h265",
    ];
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The source that reads an address or a file with ffmpeg.
fn through_ffmpeg(input: &str) -> String {
    let options = match input.split_once("://") {
        Some((scheme, _)) if scheme.to_ascii_lowercase().starts_with("rtsp") => {
            "-rtsp_transport tcp "
        }
        Some(_) => "",
        None => "-re ",
    };
    let mut shown = redact(input).into_owned();
    if has_user(input) {
        shown = shown.replacen("://", &format!("://{PLACEHOLDER}"), 1);
    }
    let secrets = if shown == input { "" } else { ", with the secrets that are not shown here" };
    let input = shlex::try_quote(&shown).unwrap_or(Cow::Borrowed("FILE"));
    let source = format!("cmd:ffmpeg -loglevel error {options}-i {input} -f mjpeg -q:v 4 -");
    let source = shlex::try_quote(&source).unwrap_or(Cow::Borrowed(&source));
    format!("try --source {source}{secrets}")
}

impl fmt::Display for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// The pictures of a folder, or of one file.
struct Folder {
    path: PathBuf,
    pictures: Vec<PathBuf>,
    next: usize,
    /// Pictures that could not be read since the last one that could.
    unreadable: usize,
    /// Pictures that were reported as unreadable: once, however often they come round.
    told: HashSet<PathBuf>,
    pace: Pace,
}

impl Folder {
    fn open(path: &Path, fps: Option<f32>) -> Result<Self, Error> {
        fs::read_dir(path).map_err(Error::io(path.display()))?;
        let mut folder = Self::new(path, fps);
        folder.list();
        if folder.pictures.is_empty() {
            return Err(Error::NoPictures { path: path.to_owned() });
        }
        Ok(folder)
    }

    fn open_file(path: &Path, fps: Option<f32>) -> Result<Self, Error> {
        fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(path),
            _ => Error::io(path.display())(error),
        })?;
        open_picture(path)?;
        let mut file = Self::new(path, fps);
        file.list();
        Ok(file)
    }

    fn new(path: &Path, fps: Option<f32>) -> Self {
        let pace = Pace::new(fps.unwrap_or(DEFAULT_FPS));
        Self {
            path: path.to_owned(),
            pictures: Vec::new(),
            next: 0,
            unreadable: 0,
            told: HashSet::new(),
            pace,
        }
    }

    /// Lists the folder again: pictures may have come and gone.
    fn list(&mut self) {
        let found = sources(std::slice::from_ref(&self.path));
        self.pictures.clear();
        self.pictures.extend(found.into_iter().filter_map(|source| match source {
            (Source::File(path), None) => Some(path),
            _ => None,
        }));
        let here: HashSet<_> = self.pictures.iter().collect();
        self.told.retain(|path| here.contains(path));
        self.next = 0;
    }
}

/// Reads a picture within the memory that is left. A FIFO is refused: it would be waited for without end.
fn open_picture(path: &Path) -> Result<Image<'static>, Error> {
    if let Ok(metadata) = fs::metadata(path)
        && !metadata.is_file()
    {
        return Err(no_file(path, metadata.file_type()));
    }
    vision::open(path, &Limits::of_process(1), DETAIL)
        .map_err(|error| Error::Picture { path: path.to_owned(), error })
}

/// The error for a path where nothing is, which may be a word for another source.
fn missing(path: &Path) -> Error {
    let shown = path.display().to_string();
    let host = shown.split('/').next().unwrap_or_default();
    let advice = if let Some((_, address)) =
        shown.rsplit_once('@').filter(|(user, _)| user.contains(':'))
    {
        format!("http://{PLACEHOLDER}{address} for a network camera")
    } else if !shown.is_empty() && shown.chars().all(|digit| digit.is_ascii_digit()) {
        format!("/dev/video{shown} for a camera")
    } else if shown.contains('/') && host.contains('.') && !host.starts_with('.') {
        format!("http://{shown} for a network camera")
    } else if shown.contains('/') {
        "the path of a picture".to_owned()
    } else {
        format!("the path of a picture, auto, or camera:{shown} for a camera by a part of its name")
    };
    Error::NoFile { path: path.to_owned(), kind: "nothing is there", advice }
}

/// The error for what is no regular file.
fn no_file(path: &Path, file: FileType) -> Error {
    let shown = path.display();
    let (kind, advice) = if file.is_dir() {
        ("a folder", format!("dir:{shown}, for the pictures in it"))
    } else if file.is_fifo() {
        ("a FIFO", format!("cmd:cat {shown}, for frames that come through it"))
    } else {
        ("a device or socket", "a file, or a source of another kind".to_owned())
    };
    Error::NoFile { path: path.to_owned(), kind, advice }
}

impl FrameSource for Folder {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        self.pace.wait();
        loop {
            if self.next >= self.pictures.len() {
                self.list();
            }
            if self.unreadable > self.pictures.len() || self.pictures.is_empty() {
                return Err(Error::NoPictures { path: self.path.clone() });
            }
            let path = &self.pictures[self.next];
            self.next += 1;
            let picture = match open_picture(path) {
                Ok(picture) => picture,
                Err(error @ Error::NoFile { .. }) => return Err(error),
                Err(error) => {
                    if self.told.insert(path.clone()) {
                        log::warn!("{error}");
                    }
                    self.unreadable += 1;
                    continue;
                }
            };
            self.unreadable = 0;
            let rgb = picture.rgb();
            frame.format = PixelFormat::Rgb;
            frame.size = rgb.dimensions();
            frame.bytes.clear();
            frame.bytes.extend_from_slice(rgb);
            frame.stamp();
            return Ok(Read::Frame);
        }
    }

    fn interval(&self) -> Duration {
        self.pace.interval()
    }
}

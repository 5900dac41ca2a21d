//! What a user writes after `--source`.

use std::{fmt, path::PathBuf, str::FromStr};

use coca_vision::PixelFormat;

use super::{Error, http};

/// Where frames come from.
///
/// | written | meaning |
/// |---|---|
/// | `auto` | the first camera |
/// | `/dev/video0`, `camera:NAME` | a camera by its device or by a part of its name |
/// | `dir:PATH?fps=5` | the pictures of a folder, over and over |
/// | a file's path | one picture, over and over |
/// | `-` | MJPEG from standard input |
/// | `cmd:COMMAND` | MJPEG from a command's standard output; no shell reads the command |
/// | `yuv420:640x480:-`, `yuyv:640x480:cmd:COMMAND` | raw frames from either; also `nv12`, `rgb`, `grey` |
/// | `http://HOST/PATH`, `http://USER:PASSWORD@HOST/PATH` | MJPEG as network cameras send it |
/// | `test` | a moving pattern |
///
/// ```
/// use coca_watch::camera::SourceSpec;
///
/// let spec: SourceSpec = "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -".parse()?;
/// assert!(matches!(spec, SourceSpec::Command { .. }));
/// # Ok::<(), coca_watch::camera::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// The first camera.
    Auto,
    /// A camera by its device.
    Device(PathBuf),
    /// A camera by a part of its name.
    Camera(String),
    /// The pictures of a folder, sorted by name, over and over.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Pictures a second, if stated.
        fps: Option<f32>,
    },
    /// One picture, over and over.
    File(PathBuf),
    /// Standard input.
    Stdin(StreamFormat),
    /// The standard output of a command.
    Command {
        /// What the command writes.
        format: StreamFormat,
        /// The program and its arguments, quoted as for a shell.
        command: String,
    },
    /// MJPEG over HTTP. A user's name and password in it are not shown.
    Http(String),
    /// A moving pattern.
    Test,
}

/// What comes through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// JPEG files one after the other.
    Mjpeg,
    /// Raw frames of one size, one after the other.
    Raw {
        /// Any format but [`PixelFormat::Mjpeg`].
        format: PixelFormat,
        /// Columns and rows, 1 to 16384.
        size: (u32, u32),
    },
}

const EXPECTED: &str = "expected auto, /dev/videoN, camera:NAME, dir:PATH?fps=5, a picture, -, \
                        cmd:COMMAND, FORMAT:WxH:-, FORMAT:WxH:cmd:COMMAND, http://… or test";

impl FromStr for SourceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |expected: &str| {
            Err(Error::Spec { spec: text.to_owned(), expected: expected.to_owned() })
        };
        if let Some((format, rest)) = stream(text) {
            let Some(format) = format else {
                return refuse(
                    "expected mjpeg, or yuv420, yuyv, nv12, rgb or grey and a size, as in yuv420:640x480:-",
                );
            };
            return Ok(match rest {
                Stream::Stdin => Self::Stdin(format),
                Stream::Command(command) if command.trim().is_empty() => {
                    return refuse("expected a command after cmd:");
                }
                Stream::Command(command) => Self::Command { format, command: command.to_owned() },
            });
        }
        if let Some(folder) = text.strip_prefix("dir:") {
            let (path, query) = folder.split_once('?').unwrap_or((folder, ""));
            let fps = match query.strip_prefix("fps=").map(str::parse::<f32>) {
                None if query.is_empty() => None,
                Some(Ok(fps)) if (0.01..=240.0).contains(&fps) => Some(fps),
                _ => return refuse("expected fps= and a number from 0.01 to 240 behind the ?"),
            };
            return Ok(Self::Folder { path: path.into(), fps });
        }
        match text {
            "" => refuse(EXPECTED),
            "auto" => Ok(Self::Auto),
            "test" => Ok(Self::Test),
            _ if text.starts_with("http://") => Ok(Self::Http(text.to_owned())),
            _ if text.contains("://") => refuse("of addresses, only http:// is known"),
            _ if text.starts_with("/dev/") => Ok(Self::Device(text.into())),
            _ => Ok(match text.strip_prefix("camera:") {
                Some(name) => Self::Camera(name.to_owned()),
                None => Self::File(text.into()),
            }),
        }
    }
}

enum Stream<'a> {
    Stdin,
    Command(&'a str),
}

/// What is behind an optional format, if it is a pipe; the format is `None` if it cannot be read.
fn stream(text: &str) -> Option<(Option<StreamFormat>, Stream<'_>)> {
    let (format, stream) = if let Some(command) = text.strip_prefix("cmd:") {
        ("mjpeg", Stream::Command(command))
    } else if let Some((format, command)) = text.split_once(":cmd:") {
        (format, Stream::Command(command))
    } else if text == "-" {
        ("mjpeg", Stream::Stdin)
    } else {
        (text.strip_suffix(":-")?, Stream::Stdin)
    };
    Some((format.parse().ok(), stream))
}

impl FromStr for StreamFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "mjpeg" {
            return Ok(Self::Mjpeg);
        }
        let (format, size) = text.split_once(':').ok_or(())?;
        match format.parse()? {
            PixelFormat::Mjpeg => Err(()),
            format => Ok(Self::Raw { format, size: parse_size(size).ok_or(())? }),
        }
    }
}

/// Columns and rows written as `640x480`, each 1 to 16384.
#[must_use]
pub fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=16384).contains(side));
    Some((side(width)?, side(height)?))
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device(path) | Self::File(path) => path.display().fmt(f),
            Self::Camera(name) => write!(f, "camera:{name}"),
            Self::Folder { path, fps: None } => write!(f, "dir:{}", path.display()),
            Self::Folder { path, fps: Some(fps) } => write!(f, "dir:{}?fps={fps}", path.display()),
            Self::Stdin(StreamFormat::Mjpeg) => f.write_str("-"),
            Self::Stdin(format) => write!(f, "{format}:-"),
            Self::Command { format: StreamFormat::Mjpeg, command } => write!(f, "cmd:{command}"),
            Self::Command { format, command } => write!(f, "{format}:cmd:{command}"),
            Self::Http(address) => f.write_str(&http::shown(address)),
            Self::Test => f.write_str("test"),
        }
    }
}

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mjpeg => f.write_str("mjpeg"),
            Self::Raw { format, size: (width, height) } => write!(f, "{format}:{width}x{height}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> SourceSpec {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_of_source_is_read_and_written_unchanged() {
        for text in [
            "auto",
            "test",
            "-",
            "/dev/video2",
            "camera:USB 2.0",
            "dir:photos",
            "dir:photos?fps=2.5",
            "cat.jpg",
            "cmd:cat film.mjpeg",
            "nv12:640x480:-",
            "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
            "http://10.0.0.3:8080/stream?fps=5",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("mjpeg:cmd:cat x").to_string(), "cmd:cat x");
    }

    #[test]
    fn a_command_may_hold_anything() {
        let SourceSpec::Command { format, command } =
            parsed("grey:4x2:cmd:sh -c 'echo a:cmd:b ?fps=9'")
        else {
            panic!("no command");
        };
        assert_eq!(format, StreamFormat::Raw { format: PixelFormat::Grey, size: (4, 2) });
        assert_eq!(command, "sh -c 'echo a:cmd:b ?fps=9'");
    }

    #[test]
    fn what_is_no_source_is_refused_with_what_would_be_one() {
        for (text, expected) in [
            ("", "dir:PATH"),
            ("h264:-", "yuv420:640x480:-"),
            ("yuv420:-", "yuv420:640x480:-"),
            ("rgb:0x4:cmd:cat", "yuv420:640x480:-"),
            ("mjpeg:640x480:-", "yuv420:640x480:-"),
            ("cmd: ", "a command"),
            ("dir:x?fps=0", "0.01 to 240"),
            ("dir:x?speed=1", "0.01 to 240"),
            ("https://camera", "only http://"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.starts_with(text) && error.contains(expected), "{error}");
        }
    }
}

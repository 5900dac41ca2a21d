//! The kinds of sources, and how a user writes one.

use std::{fmt, str::FromStr};

use super::{
    Error, FrameSource, SourceSettings,
    device::CameraSpec,
    folder::{FileSpec, FolderSpec},
    http::HttpSpec,
    pattern::PatternSpec,
    pipe::PipeSpec,
    source_kind::SourceKind,
};
use crate::redact;

/// Defines [`SourceSpec`]: a line for each kind, in the order in which they are asked to read a text.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($spec:ty),)+) => {
        /// A source of frames.
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
        /// use coca_watch::camera::{SourceSettings, SourceSpec};
        ///
        /// let spec: SourceSpec = "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -".parse()?;
        /// assert!(matches!(spec, SourceSpec::Pipe(_)));
        /// let pattern: SourceSpec = "test".parse()?;
        /// let mut frames = pattern.open(&SourceSettings::default())?;
        /// # frames.read(&mut Default::default())?;
        /// # Ok::<(), coca_watch::camera::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum SourceSpec {
            $($(#[$doc])* $variant($spec),)+
        }

        impl SourceSpec {
            /// Opens the source. Cameras, connections and pipes may take a while.
            ///
            /// # Errors
            /// When it is not there or gives nothing that can be read.
            pub fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
                match self {
                    $(Self::$variant(spec) => spec.open(settings),)+
                }
            }
        }

        impl FromStr for SourceSpec {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                $(if let Some(parsed) = <$spec>::parse(text) {
                    return parsed.map(Self::$variant);
                })+
                Err(Error::Spec { spec: redact(text).into(), expected: EXPECTED.to_owned() })
            }
        }

        impl fmt::Display for SourceSpec {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(spec) => spec.fmt(f),)+
                }
            }
        }
    };
}

kinds! {
    /// Standard input or the output of a command: `-`, `cmd:COMMAND`, `FORMAT:WxH:-`, `FORMAT:WxH:cmd:COMMAND`.
    Pipe(PipeSpec),
    /// The pictures of a folder: `dir:PATH`.
    Folder(FolderSpec),
    /// A moving pattern: `test`.
    Pattern(PatternSpec),
    /// A network camera: `http://HOST/PATH`.
    Http(HttpSpec),
    /// A camera of this machine: `auto`, `/dev/video0`, `camera:NAME`.
    Camera(CameraSpec),
    /// One picture. Any text without `://` is a path.
    File(FileSpec),
}

const EXPECTED: &str = "expected auto, /dev/videoN, camera:NAME, dir:PATH?fps=5, a picture, -, \
                        cmd:COMMAND, FORMAT:WxH:-, FORMAT:WxH:cmd:COMMAND, http://… or test";

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
            "bgr:640x480:-",
            "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
            "http://10.0.0.3:8080/stream?fps=5",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("mjpeg:cmd:cat x").to_string(), "cmd:cat x");
    }

    #[test]
    fn texts_that_are_no_source_are_refused_with_what_would_be_one() {
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
            (
                "rtsp://camera/1",
                "cmd:ffmpeg -loglevel error -rtsp_transport tcp -i rtsp://camera/1",
            ),
            ("clip.m2ts", "cmd:ffmpeg -loglevel error -re -i clip.m2ts -f mjpeg"),
            ("rtsps://camera", "-rtsp_transport tcp -i rtsps://camera"),
            ("film 1.MP4", "cmd:ffmpeg -loglevel error -re -i 'film 1.MP4' -f mjpeg"),
            ("http://a b/", "http://[USER:PASSWORD@]HOST"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.starts_with(text) && error.contains(expected), "{error}");
        }
    }
}

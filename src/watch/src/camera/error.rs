//! Errors of sources.

use std::{io, path::PathBuf, time::Duration};

use coca_vision as vision;

use crate::http::reason_phrase;

/// A source that cannot be opened, or that stopped giving frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that names no source.
    #[error("{spec}: not a source: {expected}")]
    Spec {
        /// The text.
        spec: String,
        /// A description of what would be right.
        expected: String,
    },
    /// The program was built without cameras.
    #[error(
        "{source_name}: this program was built without cameras: build it with `--features camera`, or pipe one in with cmd:"
    )]
    NoCameras {
        /// The source.
        source_name: String,
    },
    /// No camera is there, or none of that name.
    #[error(
        "{wanted}: no such camera; found {found}. A camera module of a Raspberry Pi or a Jetson comes through a pipe"
    )]
    NoSuchCamera {
        /// The camera asked for.
        wanted: String,
        /// The cameras that are there.
        found: String,
    },
    /// The camera delivers nothing that can be read.
    #[error("{device}: delivers no format that is known here: found {found}")]
    NoFormat {
        /// The camera.
        device: String,
        /// Its formats.
        found: String,
    },
    /// A file, folder, device or connection failed.
    #[error("{source_name}: {error}")]
    Io {
        /// The source.
        source_name: String,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A folder holds no picture that can be shown.
    #[error("{}: no picture in this folder that can be read", path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
    },
    /// A picture in a file cannot be decoded.
    #[error("{}: {error}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: vision::Error,
    },
    /// The command that feeds the pipe ended with an error.
    #[error("{command}: ended with {status}")]
    CommandFailed {
        /// The command.
        command: String,
        /// Its exit status.
        status: String,
    },
    /// A pipe or a connection ended in the middle of a frame.
    #[error(
        "{source_name}: ended in the middle of a frame: expected {expected} bytes, found {found}"
    )]
    CutOff {
        /// The source.
        source_name: String,
        /// The bytes of a frame.
        expected: usize,
        /// The bytes found.
        found: usize,
    },
    /// A stream that is not the MJPEG that was expected.
    #[error("{source_name}: {expected} was expected, found {found}")]
    Protocol {
        /// The source.
        source_name: String,
        /// A description of what was expected.
        expected: &'static str,
        /// A description of what is there.
        found: String,
    },
    /// No frame came for too long.
    #[error("{source_name}: no frame for {:.1} s", waited.as_secs_f32())]
    Stalled {
        /// The source.
        source_name: String,
        /// Time waited.
        waited: Duration,
    },
    /// Readers of the source hang in it, so that it is not opened once more.
    #[error(
        "{source_name}: {readers} attempts to read it hang in it, so it is not opened once more until one of them ends"
    )]
    Hanging {
        /// The source.
        source_name: String,
        /// Number of the readers.
        readers: usize,
    },
    /// A network camera answered that it gives nothing to this user, or nothing at this address.
    #[error("{source_name}: {status} {}: {advice}", reason_phrase(*status))]
    Refused {
        /// The source.
        source_name: String,
        /// Status of its answer, as 401.
        status: u16,
        /// The way out.
        advice: &'static str,
    },
    /// A network camera sent this client to another host, where its user and password do not belong.
    #[error(
        "{source_name}: redirects to {to}: name that address as the source if it is the right one"
    )]
    Redirected {
        /// The source.
        source_name: String,
        /// The other address.
        to: String,
    },
    /// A file that is missing, or is no regular one, such as a FIFO: reading it as a picture may never end.
    #[error("{}: {kind}, not a picture: expected {advice}", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// Kind of file.
        kind: &'static str,
        /// The source that it can be.
        advice: String,
    },
    /// The thread that read frames broke down.
    #[error("{source_name}: reading broke down: {reason}")]
    BrokenDown {
        /// The source.
        source_name: String,
        /// The cause.
        reason: String,
    },
}

impl Error {
    pub(super) fn io(source_name: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let source_name = source_name.to_string();
        move |error| Self::Io { source_name, error }
    }

    /// Whether the source does not let this user in, so that asking often may lock an account.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// Whether the source answers, but not with frames: until somebody changes its address or its settings, asking again
    /// is in vain.
    #[must_use]
    pub fn is_misconfiguration(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Redirected { .. })
    }

    /// Whether opening the source again cannot help: the user has to name another.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Spec { .. } | Self::NoCameras { .. } => true,
            Self::NoPictures { .. } | Self::Picture { .. } | Self::NoFile { .. } => true,
            Self::Io { error, source_name } => {
                error.kind() == io::ErrorKind::NotFound && !source_name.starts_with("/dev/")
            }
            _ => false,
        }
    }
}

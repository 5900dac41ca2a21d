//! Errors of displays.

use std::{io, net::SocketAddr};

/// A display that cannot be opened, or that cannot show a view now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A spec that names no display.
    #[error(
        "{spec}: not a display: expected fb:DEVICE, png:FILE, window, spi:DEVICE or web:ADDRESS:PORT"
    )]
    UnknownDisplay {
        /// The spec.
        spec: String,
    },
    /// A spec whose display has no such option.
    #[error("{display}: no option {found}; there are {known}")]
    UnknownOption {
        /// The spec without its options.
        display: String,
        /// The option's key.
        found: String,
        /// The keys that there are.
        known: String,
    },
    /// A value in a spec that cannot be used.
    #[error("{display}: {key}: expected {expected}, found {found}")]
    Value {
        /// The spec without its options.
        display: String,
        /// The option's key, or what part of the spec it is.
        key: &'static str,
        /// A description of what would be right.
        expected: &'static str,
        /// The value found.
        found: String,
    },
    /// A spec that lacks an option which has no default.
    #[error("{display}: needs the option {key}: {expected}")]
    MissingOption {
        /// The spec without its options.
        display: String,
        /// The option's key.
        key: &'static str,
        /// A description of its values.
        expected: &'static str,
    },
    /// A display that this build has no code for.
    #[error("{display}: not in this build: build it with --features {feature}")]
    NotBuilt {
        /// The spec without its options.
        display: String,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// A file or a device that cannot be read or written.
    #[error("{path}: cannot be {doing}: {source}{}", missing(path, doing, source))]
    File {
        /// The file.
        path: String,
        /// "read", "written" or "opened".
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A framebuffer that is not described, or whose pixels are of no known kind.
    #[error("{path}: expected {expected}, found {found}")]
    Framebuffer {
        /// The file that describes the framebuffer.
        path: String,
        /// A description of what would be right.
        expected: &'static str,
        /// The value found.
        found: String,
    },
    /// A picture that cannot be encoded.
    #[error("{display}: the picture cannot be encoded: {source}")]
    Encode {
        /// The spec without its options.
        display: String,
        /// The cause.
        source: image::ImageError,
    },
    /// An address that the web page cannot be served at.
    #[error("web:{address}: cannot listen: {source}{}", way_out(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A thread that cannot be started.
    #[error("{display}: the system refuses another thread: {source}")]
    Thread {
        /// The spec without its options.
        display: String,
        /// The cause.
        source: io::Error,
    },
    /// A panel or a window that does not answer as it should.
    #[error("{display}: {reason}")]
    Device {
        /// The spec without its options.
        display: String,
        /// The driver's message.
        reason: String,
    },
    /// A window that its user closed.
    #[error("{display}: closed")]
    Closed {
        /// The spec without its options.
        display: String,
    },
}

/// What to do about a file that is not there.
fn missing(path: &str, doing: &str, error: &io::Error) -> &'static str {
    match (error.kind(), doing) {
        (io::ErrorKind::NotFound, "written") => ": its folder must be there",
        (io::ErrorKind::NotFound, _) if path.contains("/graphics/") => ": no such framebuffer here",
        _ => "",
    }
}

/// What to do about an address that cannot be listened at.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; choose another port or end what uses it",
        io::ErrorKind::AddrNotAvailable => {
            "; it is no address of this machine: 0.0.0.0 stands for all of them"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 are the system's: take 8080, say",
        _ => "",
    }
}

//! Kinds of displays: the trait.

use std::{fmt, sync::mpsc::Sender};

use super::{Display, Error, Request, options::Options};

/// A kind of display with its options. Its [`Display`](fmt::Display) text is the spec without options, for messages.
pub(super) trait DisplayKind: fmt::Display + Sized {
    /// Reads what stands behind `KIND:`; `options` holds what stands behind the `?`.
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error>;

    /// Opens the display. Its viewers' requests go to `requests`.
    fn open(&self, requests: Sender<Request>) -> Result<Box<dyn Display>, Error>;
}

/// The target of a kind of display that has no default.
pub(super) fn required_target<'a>(target: &'a str, options: &Options) -> Result<&'a str, Error> {
    match target {
        "" => Err(Error::UnknownDisplay { spec: options.display().to_owned() }),
        target => Ok(target),
    }
}

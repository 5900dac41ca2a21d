//! A window of the desktop: `window:800x480`.

#[cfg(feature = "window")]
mod pane;

use std::{fmt, sync::mpsc::Sender};

#[cfg(feature = "window")]
pub use self::pane::Window;
use super::{Display, Error, Request, display_kind::DisplayKind, options::Options};

/// A window of the desktop: `window:800x480`. Without a size it is 800×480.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Default for WindowSpec {
    /// 800×480.
    fn default() -> Self {
        Self { width: 800, height: 480 }
    }
}

impl DisplayKind for WindowSpec {
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        if target.is_empty() {
            return Ok(Self::default());
        }
        let (width, height) = options.size_of("size", target)?;
        Ok(Self { width, height })
    }

    #[cfg(feature = "window")]
    fn open(&self, requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Ok(Box::new(Window::open(*self, requests)?))
    }

    #[cfg(not(feature = "window"))]
    fn open(&self, _requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Err(Error::NotBuilt { display: self.to_string(), feature: "window" })
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window:{}x{}", self.width, self.height)
    }
}

//! What a camera sees, shown with its labels and captions: on a framebuffer, a small panel, in a PNG file, a window, a web page.
//!
//! A [`View`] says what there is to see of one moment; a [`Display`] shows it. [`open`] makes one from its [`DisplaySpec`]:
//!
//! ```no_run
//! use coca_watch::display::{self, DisplaySpec, View};
//!
//! let spec: DisplaySpec = "fb:/dev/fb0".parse()?;
//! let (asked, requests) = std::sync::mpsc::channel();
//! let mut display = display::open(&spec, asked)?;
//! display.show(&View::default())?;
//! for request in requests.try_iter() {
//!     println!("a viewer asks for {request:?}");
//! }
//! # Ok::<(), coca_watch::display::Error>(())
//! ```
//!
//! All but the web page, which the browser lays out, show the same [`Canvas`], drawn with embedded-graphics.

mod canvas;
mod error;
mod framebuffer;
mod overlay;
mod png;
mod spec;
#[cfg(feature = "spi")]
mod spi;
mod spi_spec;
mod view;
mod web;
#[cfg(feature = "window")]
mod window;

use std::sync::mpsc::Sender;

pub use canvas::Canvas;
pub use error::Error;
pub use framebuffer::{Framebuffer, Geometry, PixelFormat};
pub use png::{Png, PngSpec};
pub use spec::DisplaySpec;
#[cfg(feature = "spi")]
pub use spi::Spi;
pub use spi_spec::{Panel, SpiSpec};
pub use view::{Display, Request, ShownCaption, ShownLabel, Status, View};
pub use web::{Token, Web, WebSpec};
#[cfg(feature = "window")]
pub use window::Window;

/// Opens the display that `spec` describes. What its viewers ask for goes to `requests`; nobody need listen.
///
/// # Errors
/// [`Error`] when the display is not there, not as expected, or not in this build.
pub fn open(spec: &DisplaySpec, requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
    Ok(match spec {
        DisplaySpec::Framebuffer(device) => Box::new(Framebuffer::open(device)?),
        DisplaySpec::Png(png) => Box::new(Png::new(png.clone())),
        DisplaySpec::Web(web) => Box::new(Web::listen(web, requests)?),
        #[cfg(feature = "window")]
        DisplaySpec::Window(width, height) => Box::new(Window::open(*width, *height, requests)?),
        #[cfg(feature = "spi")]
        DisplaySpec::Spi(spi) => Box::new(Spi::open(spi)?),
        #[cfg(not(feature = "window"))]
        DisplaySpec::Window(..) => return Err(not_built(spec, "window")),
        #[cfg(not(feature = "spi"))]
        DisplaySpec::Spi(_) => return Err(not_built(spec, "spi")),
    })
}

#[cfg(not(all(feature = "window", feature = "spi")))]
fn not_built(spec: &DisplaySpec, feature: &'static str) -> Error {
    Error::NotBuilt { display: spec.to_string(), feature }
}

//! Live views on a framebuffer, a small panel, in a PNG file, a window, a web page.
//!
//! ```text
//! DisplaySpec ── open ──▶ dyn Display ◀── show ── View: picture, labels, caption, status
//!                             └── Request ──▶ labels to look for, a caption
//! ```
//!
//! A [`View`] holds what there is to see of one moment, a [`Display`] shows it. [`DisplaySpec::open`] makes one from the
//! text that a user writes:
//!
//! ```no_run
//! use coca_watch::display::{DisplaySpec, View};
//!
//! let spec: DisplaySpec = "fb:/dev/fb0".parse()?;
//! let (sender, requests) = std::sync::mpsc::channel();
//! let mut display = spec.open(sender)?;
//! display.show(&View::default())?;
//! for request in requests.try_iter() {
//!     println!("a viewer asks for {request:?}");
//! }
//! # Ok::<(), coca_watch::display::Error>(())
//! ```
//!
//! All but the web page, which the browser lays out, draw the same [`Canvas`] with embedded-graphics. A new kind of
//! display is a file with a type that can be parsed and opened, and a line in `display_spec.rs`.

mod canvas;
mod display_kind;
mod display_spec;
mod error;
mod framebuffer;
mod options;
mod page;
mod png;
mod spi;
mod view;
mod window;

pub use canvas::Canvas;
pub use display_spec::DisplaySpec;
pub use error::Error;
pub use framebuffer::{Framebuffer, FramebufferSpec, Geometry, PixelFormat};
pub(crate) use page::answer_requests;
pub use page::{Token, Web, WebSpec, own_name};
pub use png::{Png, PngSpec};
#[cfg(feature = "spi")]
pub use spi::Spi;
pub use spi::{Panel, SpiSpec};
pub use view::{Display, Request, Status, View};
#[cfg(feature = "window")]
pub use window::Window;
pub use window::WindowSpec;

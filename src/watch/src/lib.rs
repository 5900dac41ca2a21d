//! A camera in, live labels and captions out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`camera`] | sources of frames, the newest frame of one |
//! | [`display`] | live views on a framebuffer, a panel, a PNG file, a window, a web page |
//! | [`pipeline`] | frames through the model, to displays, lines and commands |
//! | [`doctor`] | what stands in the way on a board, and what to do |

#![forbid(unsafe_code)]

pub mod camera;
pub mod display;
pub mod doctor;
pub mod pipeline;

//! A moving pattern, for want of a camera: `test`.

use std::{fmt, time::Duration};

use coca_vision::PixelFormat;

use super::{Error, Frame, FrameSource, Read, SourceSettings, pace::Pace, source_kind::SourceKind};

/// A moving pattern: `test`. 640×480 pixels at 15 frames a second unless the settings say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternSpec;

impl SourceKind for PatternSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        (text == "test").then_some(Ok(Self))
    }

    fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(Box::new(Pattern::new(settings)))
    }
}

impl fmt::Display for PatternSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test")
    }
}

/// Colours that drift behind a circling disc.
struct Pattern {
    size: (u32, u32),
    pace: Pace,
    step: u32,
}

impl Pattern {
    fn new(settings: &SourceSettings) -> Self {
        Self {
            size: settings.size.unwrap_or((640, 480)),
            pace: Pace::new(settings.fps.unwrap_or(15.0)),
            step: 0,
        }
    }
}

impl FrameSource for Pattern {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        self.pace.wait();
        let (width, height) = self.size;
        frame.format = PixelFormat::Rgb;
        frame.size = self.size;
        frame.bytes.resize(3 * width as usize * height as usize, 0);
        let angle = self.step as f32 / 30.0;
        let radius = width.min(height) as f32 / 5.0;
        let centre = (
            width as f32 / 2.0 + 1.5 * radius * angle.cos(),
            height as f32 / 2.0 + 1.5 * radius * angle.sin(),
        );
        for (pixel, at) in frame.bytes.as_chunks_mut::<3>().0.iter_mut().zip(0..) {
            let (x, y) = (at % width, at / width);
            let (across, down) = (x as f32 - centre.0, y as f32 - centre.1);
            *pixel = if across * across + down * down < radius * radius {
                [250, 200, 40]
            } else {
                [(x + self.step) as u8, (y + 2 * self.step) as u8, (self.step / 2) as u8]
            };
        }
        self.step = self.step.wrapping_add(1);
        frame.stamp();
        Ok(Read::Frame)
    }

    fn interval(&self) -> Duration {
        self.pace.interval()
    }
}

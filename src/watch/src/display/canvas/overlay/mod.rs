//! Labels, caption and status, drawn over the picture.
//!
//! ```text
//! ┌──────────────────────────────┐
//! │        12.3 fps  41 ms  61 °C│ status
//! │camera lost, reopening        │ message
//! │cat            93 %           │ labels, each with a bar
//! │━━━━━━━━━━━━━━━               │
//! │                              │
//! │a cat sits on a sofa          │ caption, wrapped
//! └──────────────────────────────┘
//! ```
//! Everything is measured in the font's cells, and the font follows the canvas: a panel of 240×240 pixels and a television
//! show the same thing.

mod face;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use embedded_graphics::{
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    pixelcolor::{Rgb888, RgbColor, WebColors},
    primitives::Rectangle,
};

use self::face::Face;
use super::Canvas;
use crate::{
    TrackedLabel,
    display::{Status, View},
};

const MAX_LABELS: usize = 5;
const MAX_CAPTION_LINES: usize = 3;
const MAX_MESSAGE_LINES: usize = 2;
/// Columns of a label's row, in characters.
const LABEL_COLUMNS: u32 = 24;

const TEXT: Rgb888 = Rgb888::WHITE;
const ACTIVE: Rgb888 = Rgb888::CSS_LIME_GREEN;
const INACTIVE: Rgb888 = Rgb888::CSS_GRAY;
const ALERT: Rgb888 = Rgb888::CSS_ORANGE;

/// Draws what `view` says over what `canvas` shows.
pub(super) fn draw(view: &View, canvas: &mut Canvas) {
    let mut sheet = Sheet::new(canvas);
    let Ok(()) = sheet.draw(view);
}

/// A canvas that is filled from its top and from its bottom.
struct Sheet<'a> {
    canvas: &'a mut Canvas,
    face: Face,
    /// The first row that is still free.
    top: u32,
    /// The first row that no longer is.
    bottom: u32,
}

impl<'a> Sheet<'a> {
    fn new(canvas: &'a mut Canvas) -> Self {
        let size = canvas.size();
        Self { canvas, face: Face::for_canvas(size), top: 0, bottom: size.height }
    }

    fn draw(&mut self, view: &View) -> Result<(), Infallible> {
        self.status(&view.status)?;
        if let Some(message) = &view.status.message {
            for line in self.face.wrap(message, self.text_width(), MAX_MESSAGE_LINES) {
                let top = self.strip_at_top();
                self.text(&line, self.margin(), top, ALERT)?;
            }
        }
        if let Some(caption) = &view.caption {
            self.caption(&caption.text)?;
        }
        for label in view.labels.iter().take(MAX_LABELS) {
            self.label(label)?;
        }
        if view.picture.is_none() {
            self.nothing_to_see()?;
        }
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<(), Infallible> {
        let mut parts = vec![format!("{:.1} fps", status.frames_per_second)];
        parts.extend(status.latency.map(|latency| format!("{} ms", latency.as_millis())));
        parts.extend(status.temperature.map(|celsius| format!("{celsius:.0} °C")));
        let text = self.face.cut(&parts.join("  "), self.text_width());
        let left = (self.canvas.width() - self.face.width(&text)).saturating_sub(self.margin());
        let top = self.strip_at_top();
        self.text(&text, left, top, TEXT)
    }

    fn caption(&mut self, text: &str) -> Result<(), Infallible> {
        let lines = self.face.wrap(text, self.text_width(), MAX_CAPTION_LINES);
        let height = lines.len() as u32 * self.face.line_height() + 2 * self.gap();
        let room = self.bottom.saturating_sub(self.top);
        self.bottom -= height.min(room);
        self.shade(0, self.bottom, self.canvas.width(), height);
        for (row, line) in lines.iter().enumerate() {
            let top = self.bottom + self.gap() + row as u32 * self.face.line_height();
            self.text(line, self.margin(), top, TEXT)?;
        }
        Ok(())
    }

    /// A row with the name, the percentage and, beneath them, a bar as long as the score; nothing if there is no room left.
    fn label(&mut self, label: &TrackedLabel) -> Result<(), Infallible> {
        let (gap, line) = (self.gap(), self.face.line_height());
        let bar = self.bar_height();
        let height = line + bar + 2 * gap;
        if self.top + height > self.bottom {
            return Ok(());
        }
        let columns = (LABEL_COLUMNS * self.face.glyph_width()).min(self.text_width());
        let (left, top) = (self.margin(), self.top);
        self.shade(0, top, columns + 2 * left, height);

        let score = label.score.clamp(0.0, 1.0);
        let percent = format!(" {:.0} %", score * 100.0);
        let percent_width = self.face.width(&percent);
        let name = self.face.cut(&label.label, columns.saturating_sub(percent_width));
        let colour = if label.active { ACTIVE } else { INACTIVE };
        self.text(&name, left, top + gap, TEXT)?;
        self.text(&percent, (left + columns).saturating_sub(percent_width), top + gap, TEXT)?;
        let length = (columns as f32 * score).round() as u32;
        let place = rectangle(left, top + gap + line, length, bar);
        self.canvas.fill_solid(&place, colour)?;
        self.top += height;
        Ok(())
    }

    fn nothing_to_see(&mut self) -> Result<(), Infallible> {
        let text = self.face.cut("no picture yet", self.text_width());
        let left = (self.canvas.width() - self.face.width(&text)) / 2;
        let middle = self.top + self.bottom.saturating_sub(self.top) / 2;
        self.text(&text, left, middle.saturating_sub(self.face.line_height() / 2), TEXT)
    }

    /// Takes one line of text from the free rows, darkened over the whole width; answers where the text goes.
    fn strip_at_top(&mut self) -> u32 {
        let height = self.face.line_height() + 2 * self.gap();
        let top = self.top;
        self.shade(0, top, self.canvas.width(), height);
        self.top += height;
        top + self.gap()
    }

    fn text(&mut self, text: &str, left: u32, top: u32, colour: Rgb888) -> Result<(), Infallible> {
        self.face.draw(text, Point::new(left as i32, top as i32), colour, self.canvas)
    }

    fn shade(&mut self, left: u32, top: u32, width: u32, height: u32) {
        self.canvas.shade(rectangle(left, top, width, height));
    }

    fn margin(&self) -> u32 {
        self.face.glyph_width() / 2
    }

    fn gap(&self) -> u32 {
        self.face.line_height() / 10
    }

    fn bar_height(&self) -> u32 {
        (self.face.line_height() / 6).max(2)
    }

    /// Columns of pixels between the margins.
    fn text_width(&self) -> u32 {
        self.canvas.width().saturating_sub(2 * self.margin())
    }
}

fn rectangle(left: u32, top: u32, width: u32, height: u32) -> Rectangle {
    Rectangle::new(Point::new(left as i32, top as i32), Size::new(width, height))
}

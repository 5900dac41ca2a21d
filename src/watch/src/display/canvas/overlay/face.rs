//! The font, as large as the canvas asks for.

use std::{cmp::Reverse, convert::Infallible};

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{
        MonoFont, MonoTextStyle, iso_8859_1, iso_8859_2, iso_8859_5, iso_8859_7, iso_8859_9,
        iso_8859_13, iso_8859_15,
    },
    pixelcolor::Rgb888,
    primitives::Rectangle,
    text::{Baseline, Text},
};

use crate::display::Canvas;

/// Columns of text that a canvas must hold.
const MIN_COLUMNS: u32 = 30;
/// Lines of text that a canvas must hold.
const MIN_LINES: u32 = 18;

const SIZES: usize = 4;

macro_rules! page {
    ($page:ident) => {
        [&$page::FONT_6X10, &$page::FONT_7X13_BOLD, &$page::FONT_9X15_BOLD, &$page::FONT_10X20]
    };
}

/// Western, Central European, Cyrillic, Greek, Turkish, Baltic and Western with the euro sign, each from small to large.
static PAGES: [[&MonoFont<'static>; SIZES]; 7] = [
    page!(iso_8859_1),
    page!(iso_8859_2),
    page!(iso_8859_5),
    page!(iso_8859_7),
    page!(iso_8859_9),
    page!(iso_8859_13),
    page!(iso_8859_15),
];

/// A monospaced font of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Face {
    size: usize,
    /// Pixels of the canvas, across and down, for one of the font.
    scale: u32,
}

impl Face {
    /// The largest one that leaves room for enough text; the smallest if none does.
    pub(super) fn for_canvas(canvas: Size) -> Self {
        let largest = canvas.height / MIN_LINES;
        let scaled = |scale| (0..SIZES).map(move |size| Self { size, scale });
        // Only the two large sizes are worth magnifying: the small ones become coarse.
        let magnified = (2..=largest / 15).flat_map(|scale| scaled(scale).skip(2));
        scaled(1)
            .chain(magnified)
            .filter(|face| face.line_height() <= largest)
            .filter(|face| face.glyph_width() * MIN_COLUMNS <= canvas.width)
            .max_by_key(|face| (face.line_height(), Reverse(face.scale)))
            .unwrap_or(Self { size: 0, scale: 1 })
    }

    /// Pixels from one character to the next.
    pub(super) fn glyph_width(self) -> u32 {
        PAGES[0][self.size].character_size.width * self.scale
    }

    /// Pixels from one line to the next.
    pub(super) fn line_height(self) -> u32 {
        PAGES[0][self.size].character_size.height * self.scale
    }

    /// Pixels that `text` takes on one line.
    pub(super) fn width(self, text: &str) -> u32 {
        text.chars().count() as u32 * self.glyph_width()
    }

    /// The characters that `width` pixels have room for.
    fn columns(self, width: u32) -> usize {
        (width / self.glyph_width()) as usize
    }

    /// `text`, cut so that it fits into `width` pixels; two dots stand for what was cut off.
    pub(super) fn cut(self, text: &str, width: u32) -> String {
        let columns = self.columns(width);
        if text.chars().count() <= columns {
            return text.to_owned();
        }
        let kept: String = text.chars().take(columns.saturating_sub(2)).collect();
        let dots = &".."[..columns.min(2)];
        format!("{}{dots}", kept.trim_end())
    }

    /// `text` on at most `max_lines` lines of `width` pixels; the last is cut if there is more.
    pub(super) fn wrap(self, text: &str, width: u32, max_lines: usize) -> Vec<String> {
        let columns = self.columns(width);
        if columns == 0 {
            return Vec::new();
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lines: Vec<String> =
            textwrap::wrap(&text, columns).into_iter().map(String::from).collect();
        if lines.len() > max_lines {
            let rest = lines.split_off(max_lines - 1).join(" ");
            lines.push(self.cut(&rest, width));
        }
        lines
    }

    /// Draws one line with its top left corner at `corner`.
    pub(super) fn draw(
        self,
        text: &str,
        corner: Point,
        colour: Rgb888,
        canvas: &mut Canvas,
    ) -> Result<(), Infallible> {
        let style = MonoTextStyle::new(font_for(text, self.size), colour);
        let mut target = Magnified { canvas, corner, scale: self.scale };
        Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut target)?;
        Ok(())
    }
}

/// The font whose page has most of the text's characters.
fn font_for(text: &str, size: usize) -> &'static MonoFont<'static> {
    let missing = |font: &MonoFont| {
        let replacement = font.glyph_mapping.index('\u{fffd}');
        text.chars().filter(|c| *c != '?' && font.glyph_mapping.index(*c) == replacement).count()
    };
    let fonts = PAGES.iter().map(|page| page[size]);
    fonts.min_by_key(|font| missing(font)).unwrap_or(PAGES[0][size])
}

/// A canvas on which each pixel becomes a square.
struct Magnified<'a> {
    canvas: &'a mut Canvas,
    corner: Point,
    scale: u32,
}

impl OriginDimensions for Magnified<'_> {
    fn size(&self) -> Size {
        self.canvas.size() / self.scale
    }
}

impl DrawTarget for Magnified<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, colour) in pixels {
            let square = Rectangle::new(
                self.corner + point * self.scale as i32,
                Size::new(self.scale, self.scale),
            );
            self.canvas.fill_solid(&square, colour)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn face(width: u32, height: u32) -> (u32, u32) {
        let face = Face::for_canvas(Size::new(width, height));
        (face.glyph_width(), face.line_height())
    }

    #[test]
    fn the_font_follows_the_canvas() {
        assert_eq!(face(128, 64), (6, 10));
        assert_eq!(face(240, 240), (7, 13));
        assert_eq!(face(320, 240), (7, 13));
        assert_eq!(face(480, 320), (9, 15));
        assert_eq!(face(800, 480), (10, 20));
        assert_eq!(face(1920, 1080), (30, 60));
    }

    #[test]
    fn each_alphabet_finds_a_font_that_has_it() {
        for text in ["Eichhörnchen é ñ", "łódź ž č", "кошка", "γάτα", "ağaç ş", "gąsėnas", "5 €"]
        {
            let font = font_for(text, 0);
            let replacement = font.glyph_mapping.index('\u{fffd}');
            let missing: Vec<char> =
                text.chars().filter(|c| font.glyph_mapping.index(*c) == replacement).collect();
            assert!(missing.is_empty(), "{text}: {missing:?}");
        }
    }

    proptest! {
        #[test]
        fn wrapped_and_cut_text_keeps_to_its_width(text in "\\PC{0,80}", width in 0u32..700, most in 1usize..5) {
            let face = Face { size: 1, scale: 2 };
            let lines = face.wrap(&text, width, most);
            prop_assert!(lines.len() <= most);
            prop_assert!(lines.iter().all(|line| face.width(line) <= width));
            prop_assert!(face.width(&face.cut(&text, width)) <= width);
        }
    }
}

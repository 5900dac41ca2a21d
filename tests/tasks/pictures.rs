//! Made-up pictures, a folder for each label.

use std::path::Path;

use image::{Rgb, RgbImage};

/// Writes `count` pictures of a kind: stripes of two colours, of a direction and a width of the kind's own, moved and
/// recoloured a little in each.
pub(crate) fn write_pictures(folder: &Path, kind: u32, first: u32, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for number in first..first + count {
        let picture = RgbImage::from_fn(96, 96, |x, y| {
            let (along, across) = if kind.is_multiple_of(2) { (x, y) } else { (y, x) };
            let stripe = (along + 5 * number + across / (1 + kind % 3)) / (6 + 9 * (kind / 2)) % 2;
            let shade = (20 * (number % 5)) as u8;
            match stripe {
                0 => Rgb([230 - shade, (60 * kind % 200) as u8, shade]),
                _ => Rgb([shade, 200 - shade, (90 * kind % 250) as u8]),
            }
        });
        picture.save(folder.join(format!("{number}.png"))).unwrap();
    }
}

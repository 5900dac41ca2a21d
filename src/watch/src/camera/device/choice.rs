//! Choice among a camera's formats and sizes.

use coca_vision::PixelFormat;

use super::SourceSettings;

/// Size without a setting: small frames cost less, and models see no more than this.
const DEFAULT_SIZE: (u32, u32) = (640, 480);

/// A format and size that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) format: PixelFormat,
    pub(super) size: (u32, u32),
    /// Highest rate in frames a second, if the camera tells it.
    pub(super) fastest: Option<f32>,
}

/// The offer that suits best: one that covers the wanted size and is no larger than need be, that reaches the
/// wanted rate, and that is cheap to convert.
pub(super) fn choose(offers: &[Offer], settings: &SourceSettings) -> Option<Offer> {
    let (width, height) = settings.size.unwrap_or(DEFAULT_SIZE);
    let cost = |offer: &Offer| {
        let covers = offer.size.0 >= width && offer.size.1 >= height;
        let area = |(width, height)| i64::from(width) * i64::from(height);
        let is_slow = settings
            .fps
            .zip(offer.fastest)
            .is_some_and(|(wanted, fastest)| fastest < wanted * 0.99);
        let conversion = match offer.format {
            PixelFormat::Nv12 | PixelFormat::Yuv420 => 0,
            PixelFormat::Yuyv => 1,
            PixelFormat::Rgb | PixelFormat::Bgr => 2,
            PixelFormat::Mjpeg => 3,
            PixelFormat::Grey => 4,
        };
        (!covers, (area(offer.size) - area((width, height))).abs(), is_slow, conversion)
    };
    offers.iter().min_by_key(|offer| cost(offer)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(format: PixelFormat, size: (u32, u32), fastest: f32) -> Offer {
        Offer { format, size, fastest: Some(fastest) }
    }

    #[test]
    fn a_webcam_gives_raw_frames_unless_only_jpeg_is_fast_enough() {
        use PixelFormat::{Mjpeg, Yuyv};
        let offers = [
            offer(Mjpeg, (640, 480), 30.0),
            offer(Yuyv, (640, 480), 30.0),
            offer(Yuyv, (1280, 720), 10.0),
            offer(Mjpeg, (1280, 720), 30.0),
            offer(Yuyv, (320, 240), 30.0),
        ];
        let chosen = |size, fps| choose(&offers, &SourceSettings { size, fps }).unwrap();
        assert_eq!(chosen(None, None), offers[1]);
        assert_eq!(chosen(Some((1280, 720)), None), offers[2]);
        assert_eq!(chosen(Some((1280, 720)), Some(30.0)), offers[3]);
        assert_eq!(chosen(Some((300, 200)), None), offers[4]);
        // Nothing covers it: the largest.
        assert_eq!(chosen(Some((1920, 1080)), Some(25.0)), offers[3]);
        assert_eq!(choose(&[], &SourceSettings::default()), None);
    }
}

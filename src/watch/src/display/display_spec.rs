//! The kinds of displays, and how a user writes one: `KIND:TARGET?key=value&key=value`.

use std::{fmt, str::FromStr, sync::mpsc::Sender};

use super::{
    Display, Error, Request, display_kind::DisplayKind, framebuffer::FramebufferSpec,
    options::Options, page::WebSpec, png::PngSpec, spi::SpiSpec, window::WindowSpec,
};

/// Defines [`DisplaySpec`]: a line for each kind, `KIND => Variant(Spec)`.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:literal => $variant:ident($spec:ty),)+) => {
        /// A display and its options.
        ///
        /// | spec | display |
        /// |---|---|
        /// | `fb:/dev/fb0` | a framebuffer: RGB565 or XRGB8888, any size |
        /// | `png:FILE` | a file, see [`PngSpec`] |
        /// | `window`, `window:800x480` | a window of the desktop; feature `window` |
        /// | `spi:/dev/spidev0.0?panel=st7789&dc=25` | a small panel, see [`SpiSpec`]; feature `spi` |
        /// | `web:127.0.0.1:8080` | a web page, see [`WebSpec`] |
        ///
        /// Values of options may be percent-encoded. The [`Display`](fmt::Display) text is the spec without its
        /// options, which may be secret.
        ///
        /// ```
        /// use coca_watch::display::DisplaySpec;
        ///
        /// let spec: DisplaySpec = "png:/run/coca/now.png?size=640x480".parse()?;
        /// assert_eq!(spec.to_string(), "png:/run/coca/now.png");
        /// assert!("png:now.png?sise=640x480".parse::<DisplaySpec>().is_err());
        /// # Ok::<(), coca_watch::display::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum DisplaySpec {
            $($(#[$doc])* $variant($spec),)+
        }

        impl DisplaySpec {
            fn parse(kind: &str, target: &str, options: &mut Options) -> Result<Self, Error> {
                match kind {
                    $($kind => <$spec>::parse(target, options).map(Self::$variant),)+
                    _ => Err(Error::UnknownDisplay { spec: options.display().to_owned() }),
                }
            }

            /// Opens the display. Its viewers' requests go to `requests`; the receiver may be dropped.
            ///
            /// # Errors
            /// When the display is not there, not as expected, or not in this build.
            pub fn open(&self, requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
                match self {
                    $(Self::$variant(spec) => spec.open(requests),)+
                }
            }
        }

        impl fmt::Display for DisplaySpec {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(spec) => spec.fmt(f),)+
                }
            }
        }
    };
}

kinds! {
    /// `fb:DEVICE`
    "fb" => Framebuffer(FramebufferSpec),
    /// `png:FILE`
    "png" => Png(PngSpec),
    /// `window:WIDTHxHEIGHT`
    "window" => Window(WindowSpec),
    /// `spi:DEVICE`
    "spi" => Spi(SpiSpec),
    /// `web:ADDRESS:PORT`
    "web" => Web(WebSpec),
}

impl FromStr for DisplaySpec {
    type Err = Error;

    fn from_str(spec: &str) -> Result<Self, Error> {
        let (display, query) = spec.split_once('?').unwrap_or((spec, ""));
        let (kind, target) = display.split_once(':').unwrap_or((display, ""));
        let mut options = Options::parse(display, query)?;
        let parsed = Self::parse(kind, target, &mut options)?;
        options.finish()?;
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(spec: &str) -> String {
        spec.parse::<DisplaySpec>().unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_display_is_understood() {
        for (spec, name) in [
            ("fb:/dev/fb0", "fb:/dev/fb0"),
            ("png:out.png?size=640x480&every=2", "png:out.png"),
            ("window", "window:800x480"),
            ("window:320x240", "window:320x240"),
            ("spi:/dev/spidev0.0?panel=ili9341&dc=25", "spi:/dev/spidev0.0"),
            ("web:127.0.0.1:8080?token=a%26b", "web:127.0.0.1:8080"),
        ] {
            assert_eq!(spec.parse::<DisplaySpec>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_kinds_that_there_are() {
        for spec in ["", "fb", "fb:", "hdmi:0", "/dev/fb0", "png:", "spi:"] {
            assert!(refusal(spec).contains("expected fb:DEVICE, png:FILE"), "{spec}");
        }
    }

    #[test]
    fn a_wrong_option_is_refused_by_name() {
        assert_eq!(refusal("fb:/dev/fb0?x=1"), "fb:/dev/fb0: no option x; there are none");
        assert_eq!(
            refusal("png:a.png?siez=1x1"),
            "png:a.png: no option siez; there are size, every"
        );
        assert_eq!(
            refusal("png:a.png?size=0x9"),
            "png:a.png: size: expected WIDTHxHEIGHT, each 1 to 8192, found 0x9"
        );
        assert_eq!(
            refusal("png:a.png?every=1&every=2"),
            "png:a.png: options: expected each once, found every twice"
        );
        assert_eq!(
            refusal("web:8080?token=%FF"),
            "web:8080: options: expected UTF-8, found token with other bytes"
        );
    }
}

//! How a user writes a display: `KIND:TARGET?key=value&key=value`.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;

use super::{Error, png::PngSpec, spi_spec::SpiSpec, web::WebSpec};

/// Which display, and how.
///
/// | spec | display |
/// |---|---|
/// | `fb:/dev/fb0` | a framebuffer: RGB565 or XRGB8888, any size |
/// | `png:FILE` | a file, see [`PngSpec`] |
/// | `window`, `window:800x480` | a window of the desktop; feature `window` |
/// | `spi:/dev/spidev0.0?panel=st7789&dc=25` | a small panel, see [`SpiSpec`]; feature `spi` |
/// | `web:127.0.0.1:8080` | a web page, see [`WebSpec`] |
///
/// Values of options may be percent-encoded.
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
    /// `fb:DEVICE`
    Framebuffer(PathBuf),
    /// `png:FILE`
    Png(PngSpec),
    /// `window`, with its width and height.
    Window(u32, u32),
    /// `spi:DEVICE`
    Spi(SpiSpec),
    /// `web:ADDRESS:PORT`
    Web(WebSpec),
}

impl FromStr for DisplaySpec {
    type Err = Error;

    fn from_str(spec: &str) -> Result<Self, Error> {
        let (display, query) = spec.split_once('?').unwrap_or((spec, ""));
        let (kind, target) = display.split_once(':').unwrap_or((display, ""));
        let mut options = Options::parse(display, query)?;
        let unknown = || Error::UnknownDisplay { spec: display.to_owned() };
        let parsed = match (kind, target) {
            ("web", address) => Self::Web(WebSpec::parse(address, &mut options)?),
            ("window", "") => Self::Window(800, 480),
            ("window", size) => {
                let (width, height) = options.size_of("size", size)?;
                Self::Window(width, height)
            }
            (_, "") => return Err(unknown()),
            ("fb", device) => Self::Framebuffer(device.into()),
            ("png", file) => Self::Png(PngSpec::parse(file, &mut options)?),
            ("spi", device) => Self::Spi(SpiSpec::parse(device, &mut options)?),
            _ => return Err(unknown()),
        };
        options.finish()?;
        Ok(parsed)
    }
}

/// The spec without its options, for messages.
impl fmt::Display for DisplaySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framebuffer(device) => write!(f, "fb:{}", device.display()),
            Self::Png(png) => write!(f, "png:{}", png.file.display()),
            Self::Window(width, height) => write!(f, "window:{width}x{height}"),
            Self::Spi(spi) => write!(f, "spi:{}", spi.device.display()),
            Self::Web(web) => write!(f, "web:{}", web.address),
        }
    }
}

/// The options of one spec; each is taken once, and none may be left over.
#[derive(Debug)]
pub(super) struct Options {
    display: String,
    values: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Options {
    pub(super) fn parse(display: &str, query: &str) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            if values.insert(key.to_owned(), value).is_some() {
                let found = format!("{key} twice");
                let display = display.to_owned();
                return Err(Error::Value { display, key: "options", expected: "each once", found });
            }
        }
        Ok(Self { display: display.to_owned(), values, known: Vec::new() })
    }

    /// The spec without its options.
    pub(super) fn display(&self) -> &str {
        &self.display
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        self.values.remove(key)
    }

    /// Takes a value that `read` understands; `expected` says what that is.
    pub(super) fn take_as<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| self.wrong(key, expected, &value))
    }

    /// Takes `WIDTHxHEIGHT`, in pixels.
    pub(super) fn take_size(&mut self, key: &'static str) -> Result<Option<(u32, u32)>, Error> {
        match self.take(key) {
            Some(value) => self.size_of(key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Reads `WIDTHxHEIGHT`, in pixels.
    fn size_of(&self, key: &'static str, value: &str) -> Result<(u32, u32), Error> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=8192).contains(side));
        let read = || {
            let (width, height) = value.split_once('x')?;
            Some((side(width)?, side(height)?))
        };
        read().ok_or_else(|| self.wrong(key, "WIDTHxHEIGHT, each 1 to 8192", value))
    }

    pub(super) fn wrong(&self, key: &'static str, expected: &'static str, found: &str) -> Error {
        Error::Value { display: self.display.clone(), key, expected, found: found.to_owned() }
    }

    fn finish(self) -> Result<(), Error> {
        match self.values.into_keys().next() {
            None => Ok(()),
            Some(found) => {
                let known = match self.known.as_slice() {
                    [] => "none".to_owned(),
                    keys => keys.join(", "),
                };
                Err(Error::UnknownOption { display: self.display, found, known })
            }
        }
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
    fn what_is_no_display_is_refused_with_the_kinds_that_there_are() {
        for spec in ["", "fb", "fb:", "hdmi:0", "/dev/fb0", "png:"] {
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
    }
}

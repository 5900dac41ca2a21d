//! A small panel on the SPI bus: `spi:/dev/spidev0.0?panel=st7789&dc=25`.

#[cfg(feature = "spi")]
mod panel;

use std::{fmt, path::PathBuf, sync::mpsc::Sender};

#[cfg(feature = "spi")]
pub use self::panel::Spi;
use super::{
    Display, Error, Request,
    display_kind::{DisplayKind, required_target},
    options::Options,
};

/// The controller of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// Sitronix ST7789: mostly 240×240, 240×320 or 135×240.
    St7789,
    /// Ilitek ILI9341: 240×320.
    Ili9341,
}

impl Panel {
    fn named(name: &str) -> Option<Self> {
        match name {
            "st7789" => Some(Self::St7789),
            "ili9341" => Some(Self::Ili9341),
            _ => None,
        }
    }

    /// Whether its colours are usually inverted: IPS panels with an ST7789 are.
    fn usually_inverted(self) -> bool {
        matches!(self, Self::St7789)
    }

    /// Whether its pixels usually lie blue first.
    fn usually_blue_first(self) -> bool {
        matches!(self, Self::Ili9341)
    }
}

/// A panel on the SPI bus and its wiring: `spi:/dev/spidev0.0?panel=st7789&dc=25&reset=27`.
///
/// | option | | default |
/// |---|---|---|
/// | `panel` | `st7789` or `ili9341` | none: needed |
/// | `dc` | line of the data/command pin | none: needed |
/// | `reset` | line of the reset pin | not wired |
/// | `backlight` | line of the backlight, switched on | not wired |
/// | `gpio` | the chip that the lines are of | `/dev/gpiochip0` |
/// | `size` | the panel's pixels before it is turned | `240x320` |
/// | `offset` | columns and rows of the controller before the panel's first, as `52,40` | `0,0` |
/// | `rotate` | 0, 90, 180 or 270 degrees | 0 |
/// | `mhz` | clock of the bus, 1 to 125 | 32 |
/// | `invert` | `yes` or `no` | `yes` for an ST7789 |
/// | `order` | `rgb` or `bgr` | `bgr` for an ILI9341 |
///
/// A line is a pin's number at its chip: the GPIO number of the Raspberry Pi's pin-out, not the number on the connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiSpec {
    /// The bus, as `/dev/spidev0.0`.
    pub device: PathBuf,
    /// Its controller.
    pub panel: Panel,
    /// The chip whose lines the pins are, as `/dev/gpiochip0`.
    pub gpio: PathBuf,
    /// Line of the data/command pin.
    pub data_command: u32,
    /// Line of the reset pin.
    pub reset: Option<u32>,
    /// Line of the backlight.
    pub backlight: Option<u32>,
    /// Width and height before the panel is turned.
    pub size: (u16, u16),
    /// The controller's column and row where the panel begins.
    pub offset: (u16, u16),
    /// 0, 90, 180 or 270 degrees, clockwise.
    pub rotate: u16,
    /// The bus's clock.
    pub megahertz: u32,
    /// Whether colours are inverted.
    pub invert: bool,
    /// Whether pixels lie blue first.
    pub blue_first: bool,
}

impl DisplayKind for SpiSpec {
    fn parse(target: &str, options: &mut Options) -> Result<Self, Error> {
        let device = required_target(target, options)?;
        let panel = options.take_as("panel", "st7789 or ili9341", Panel::named)?;
        let data_command = line(options, "dc")?;
        let reset = line(options, "reset")?;
        let backlight = line(options, "backlight")?;
        let gpio = options.take("gpio").unwrap_or_else(|| "/dev/gpiochip0".to_owned());
        let size = options.take_as("size", "WIDTHxHEIGHT, each 1 to 320", |text| {
            pair(text, 'x').filter(|&(w, h)| (1..=320).contains(&w) && (1..=320).contains(&h))
        })?;
        let offset = options.take_as("offset", "COLUMN,ROW", |text| pair(text, ','))?;
        let rotate = options.take_as("rotate", "0, 90, 180 or 270", |text| {
            text.parse().ok().filter(|degrees| [0, 90, 180, 270].contains(degrees))
        })?;
        let megahertz = options.take_as("mhz", "1 to 125", |text| {
            text.parse().ok().filter(|clock| (1..=125).contains(clock))
        })?;
        let invert = options.take_as("invert", "yes or no", |text| either(text, "yes", "no"))?;
        let blue_first =
            options.take_as("order", "bgr or rgb", |text| either(text, "bgr", "rgb"))?;

        let missing = |key, expected| Error::MissingOption {
            display: options.display().to_owned(),
            key,
            expected,
        };
        let panel = panel.ok_or_else(|| missing("panel", "st7789 or ili9341"))?;
        let data_command =
            data_command.ok_or_else(|| missing("dc", "the line of the data/command pin"))?;
        Ok(Self {
            device: device.into(),
            panel,
            gpio: gpio.into(),
            data_command,
            reset,
            backlight,
            size: size.unwrap_or((240, 320)),
            offset: offset.unwrap_or((0, 0)),
            rotate: rotate.unwrap_or(0),
            megahertz: megahertz.unwrap_or(32),
            invert: invert.unwrap_or(panel.usually_inverted()),
            blue_first: blue_first.unwrap_or(panel.usually_blue_first()),
        })
    }

    #[cfg(feature = "spi")]
    fn open(&self, _requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Ok(Box::new(Spi::open(self)?))
    }

    #[cfg(not(feature = "spi"))]
    fn open(&self, _requests: Sender<Request>) -> Result<Box<dyn Display>, Error> {
        Err(Error::NotBuilt { display: self.to_string(), feature: "spi" })
    }
}

impl fmt::Display for SpiSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spi:{}", self.device.display())
    }
}

fn line(options: &mut Options, key: &'static str) -> Result<Option<u32>, Error> {
    options.take_as(key, "the number of a line", |text| text.parse().ok())
}

fn pair(text: &str, separator: char) -> Option<(u16, u16)> {
    let (first, second) = text.split_once(separator)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn either(text: &str, yes: &str, no: &str) -> Option<bool> {
    if text == yes {
        Some(true)
    } else if text == no {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::DisplaySpec;

    fn parse(options: &str) -> Result<SpiSpec, String> {
        match format!("spi:/dev/spidev0.0?{options}").parse() {
            Ok(DisplaySpec::Spi(spec)) => Ok(spec),
            Ok(other) => Err(other.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_panel_has_the_defaults_of_its_controller() {
        let st7789 = parse("panel=st7789&dc=25&size=240x240&rotate=90&backlight=13").unwrap();
        assert_eq!((st7789.invert, st7789.blue_first), (true, false));
        assert_eq!((st7789.size, st7789.rotate, st7789.backlight), ((240, 240), 90, Some(13)));
        let ili9341 = parse("panel=ili9341&dc=24&order=rgb&mhz=48&offset=52,40").unwrap();
        assert_eq!((ili9341.invert, ili9341.blue_first), (false, false));
        assert_eq!((ili9341.megahertz, ili9341.offset), (48, (52, 40)));
    }

    #[test]
    fn options_without_a_default_are_asked_for() {
        for (options, answer) in [
            ("dc=25", "spi:/dev/spidev0.0: needs the option panel: st7789 or ili9341"),
            (
                "panel=st7789",
                "spi:/dev/spidev0.0: needs the option dc: the line of the data/command pin",
            ),
            (
                "panel=st7735&dc=1",
                "spi:/dev/spidev0.0: panel: expected st7789 or ili9341, found st7735",
            ),
            (
                "panel=st7789&dc=1&rotate=45",
                "spi:/dev/spidev0.0: rotate: expected 0, 90, 180 or 270, found 45",
            ),
        ] {
            assert_eq!(parse(options).unwrap_err(), answer);
        }
    }
}

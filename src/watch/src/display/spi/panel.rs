//! Panels driven by mipidsi.

use std::{fmt, path::Path, thread, time::Duration};

use embedded_graphics::{geometry::OriginDimensions, pixelcolor::Rgb565};
use linux_embedded_hal::{
    CdevPin, Delay, SpidevDevice,
    gpio_cdev::{self, Chip, LineHandle, LineRequestFlags},
    spidev::{SpiModeFlags, SpidevOptions},
};
use mipidsi::{
    Builder,
    interface::SpiInterface,
    models::{ILI9341Rgb565, Model, ST7789},
    options::{ColorInversion, ColorOrder, Orientation, Rotation},
};

use super::{Panel, SpiSpec};
use crate::display::{Canvas, Display, Error, View};

/// Bytes of one transfer: the default limit of Linux's module spidev.
const TRANSFER_BYTES: usize = 4096;

/// Sends a canvas to a panel; the type hides the panel's controller.
type Send = dyn FnMut(&Canvas) -> Result<(), String> + std::marker::Send;

/// A panel on the SPI bus, driven by mipidsi.
pub struct Spi {
    name: String,
    canvas: Canvas,
    send: Box<Send>,
    /// A line that nobody holds may change its level.
    _held: Vec<LineHandle>,
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spi").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Spi {
    /// Resets the panel, starts it and switches its backlight on.
    ///
    /// # Errors
    /// [`Error::Device`] if the bus or a line cannot be had, or the panel does not start.
    pub fn open(spec: &SpiSpec) -> Result<Self, Error> {
        let name = spec.to_string();
        Self::started(spec, name.clone()).map_err(|reason| Error::Device { display: name, reason })
    }

    fn started(spec: &SpiSpec, name: String) -> Result<Self, String> {
        let mut held = Vec::new();
        if let Some(line) = spec.reset {
            held.push(reset(&spec.gpio, line)?);
        }
        let (canvas, send) = match spec.panel {
            Panel::St7789 => start(ST7789, spec)?,
            Panel::Ili9341 => start(ILI9341Rgb565, spec)?,
        };
        if let Some(line) = spec.backlight {
            held.push(output(&spec.gpio, line, 1)?);
        }
        Ok(Self { name, canvas, send, _held: held })
    }
}

impl Display for Spi {
    fn name(&self) -> &str {
        &self.name
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        self.canvas.paint(view);
        (self.send)(&self.canvas)
            .map_err(|reason| Error::Device { display: self.name.clone(), reason })
    }
}

/// Takes a line as an output of the level `value`.
fn output(gpio: &Path, line: u32, value: u8) -> Result<LineHandle, String> {
    let take = || Chip::new(gpio)?.get_line(line)?.request(LineRequestFlags::OUTPUT, value, "coca");
    take().map_err(|error| describe(gpio, line, &error))
}

fn describe(gpio: &Path, line: u32, error: &gpio_cdev::Error) -> String {
    format!("line {line} of {} cannot be had: {error}", gpio.display())
}

/// Pulls the reset line low and up again, for as long as either controller asks.
fn reset(gpio: &Path, line: u32) -> Result<LineHandle, String> {
    let handle = output(gpio, line, 0)?;
    thread::sleep(Duration::from_millis(1));
    handle.set_value(1).map_err(|error| describe(gpio, line, &error))?;
    thread::sleep(Duration::from_millis(120));
    Ok(handle)
}

fn start<M>(model: M, spec: &SpiSpec) -> Result<(Canvas, Box<Send>), String>
where
    M: Model<ColorFormat = Rgb565> + std::marker::Send + 'static,
{
    let bus = bus(spec)?;
    let data_command = CdevPin::new(output(&spec.gpio, spec.data_command, 0)?)
        .map_err(|error| describe(&spec.gpio, spec.data_command, &error))?;
    // A panel is open for as long as the program runs.
    let buffer = vec![0; TRANSFER_BYTES].leak();
    let rotation = match spec.rotate {
        90 => Rotation::Deg90,
        180 => Rotation::Deg180,
        270 => Rotation::Deg270,
        _ => Rotation::Deg0,
    };
    let mut panel = Builder::new(model, SpiInterface::new(bus, data_command, buffer))
        .display_size(spec.size.0, spec.size.1)
        .display_offset(spec.offset.0, spec.offset.1)
        .orientation(Orientation::new().rotate(rotation))
        .invert_colors(if spec.invert { ColorInversion::Inverted } else { ColorInversion::Normal })
        .color_order(if spec.blue_first { ColorOrder::Bgr } else { ColorOrder::Rgb })
        .init(&mut Delay)
        .map_err(|error| format!("the panel does not start: {error:?}"))?;
    let size = panel.size();
    let send = move |canvas: &Canvas| {
        canvas
            .draw_on(&mut panel)
            .map_err(|error| format!("the panel cannot be written: {error:?}"))
    };
    Ok((Canvas::new(size.width, size.height), Box::new(send)))
}

fn bus(spec: &SpiSpec) -> Result<SpidevDevice, String> {
    let failed = |error: &dyn fmt::Display| format!("cannot be opened: {error}");
    let mut bus = SpidevDevice::open(&spec.device).map_err(|error| failed(&error))?;
    let options = SpidevOptions::new()
        .bits_per_word(8)
        .max_speed_hz(spec.megahertz * 1_000_000)
        .mode(SpiModeFlags::SPI_MODE_0)
        .build();
    bus.configure(&options).map_err(|error| failed(&error))?;
    Ok(bus)
}

#[cfg(test)]
mod tests {
    use crate::display::DisplaySpec;

    #[test]
    fn a_bus_that_is_not_there_is_named() {
        let spec: DisplaySpec = "spi:/dev/spidev9.9?panel=st7789&dc=1".parse().unwrap();
        let Err(error) = spec.open(std::sync::mpsc::channel().0) else { panic!() };
        assert!(error.to_string().starts_with("spi:/dev/spidev9.9: cannot be opened"), "{error}");
    }
}

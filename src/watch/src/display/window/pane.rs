//! Windows drawn by embedded-graphics-simulator.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use embedded_graphics::{geometry::Size, pixelcolor::Rgb888};
use embedded_graphics_simulator::{
    OutputSettingsBuilder, SimulatorDisplay, SimulatorEvent, Window as SimulatorWindow,
    sdl2::Keycode,
};

use super::WindowSpec;
use crate::display::{Canvas, Display, Error, Request, View};

/// Time between two looks at the user's input.
const INPUT_INTERVAL: Duration = Duration::from_millis(30);

/// A window, drawn by embedded-graphics-simulator. The key C asks for a caption; closing it ends the display.
///
/// SDL wants to be used from one thread, so the window has its own.
#[derive(Debug)]
pub struct Window {
    name: String,
    views: SyncSender<View>,
}

impl Window {
    /// Opens a window. Its viewer's requests go to `requests`.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no desktop.
    pub fn open(spec: WindowSpec, requests: Sender<Request>) -> Result<Self, Error> {
        let name = spec.to_string();
        let (views, to_show) = sync_channel(1);
        let (opened, open) = sync_channel(1);
        thread::Builder::new()
            .name("coca-window".to_owned())
            .spawn(move || {
                let mut pane = Pane::open(spec);
                if opened.send(()).is_ok() {
                    pane.run(&to_show, &requests);
                }
            })
            .map_err(|source| Error::Thread { display: name.clone(), source })?;
        // The simulator panics where SDL has no screen to open a window on.
        if open.recv().is_err() {
            let reason = "no window can be opened: is there a desktop?".to_owned();
            return Err(Error::Device { display: name, reason });
        }
        Ok(Self { name, views })
    }
}

impl Display for Window {
    fn name(&self) -> &str {
        &self.name
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        match self.views.try_send(view.clone()) {
            // A window that is still drawing shows the next view.
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed { display: self.name.clone() }),
        }
    }
}

/// The window as its own thread holds it.
struct Pane {
    window: SimulatorWindow,
    pixels: SimulatorDisplay<Rgb888>,
    canvas: Canvas,
}

impl Pane {
    fn open(WindowSpec { width, height }: WindowSpec) -> Self {
        let settings = OutputSettingsBuilder::new().build();
        let mut pane = Self {
            window: SimulatorWindow::new("coca", &settings),
            pixels: SimulatorDisplay::new(Size::new(width, height)),
            canvas: Canvas::new(width, height),
        };
        pane.draw(&View::default());
        pane
    }

    fn draw(&mut self, view: &View) {
        self.canvas.paint(view);
        let Ok(()) = self.canvas.draw_on(&mut self.pixels);
        self.window.update(&self.pixels);
    }

    /// Shows views until the window or the display is closed.
    fn run(&mut self, views: &Receiver<View>, requests: &Sender<Request>) {
        loop {
            match views.recv_timeout(INPUT_INTERVAL) {
                Ok(view) => self.draw(&view),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for event in self.window.events() {
                match event {
                    SimulatorEvent::Quit => return,
                    SimulatorEvent::KeyDown { keycode: Keycode::C, repeat: false, .. } => {
                        // A program that takes no requests has dropped the receiver.
                        let _ = requests.send(Request::Caption);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Needs a screen: `SDL_VIDEODRIVER=dummy` is one.
    #[test]
    fn a_window_shows_views_until_it_is_dropped() {
        let Ok(mut window) = Window::open(WindowSpec { width: 320, height: 240 }, channel().0)
        else {
            eprintln!("skipped: there is no desktop; SDL_VIDEODRIVER=dummy stands in for one");
            return;
        };
        for _ in 0..5 {
            window.show(&View::default()).unwrap();
            thread::sleep(Duration::from_millis(40));
        }
    }
}

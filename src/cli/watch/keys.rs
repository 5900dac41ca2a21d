//! Enter in the terminal, which asks for a caption.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::getpgrp,
    stdio::stdin,
    termios::tcgetpgrp,
};

/// Time between two looks at whether this is the foreground.
const PERIOD: Duration = Duration::from_millis(300);

/// A message for every line that is typed while this process is in the foreground of its terminal: one in the
/// background that reads is stopped by the terminal.
pub(super) fn presses() -> Receiver<()> {
    let (pressed, presses) = channel();
    if let Err(error) = thread::Builder::new().spawn(move || read(&pressed)) {
        log::warn!("Enter asks for no caption: {error}");
    }
    presses
}

fn read(pressed: &Sender<()>) {
    let Ok(period) = Timespec::try_from(PERIOD) else { return };
    loop {
        if !is_in_foreground() {
            thread::sleep(PERIOD);
            continue;
        }
        match poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], Some(&period)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) if is_in_foreground() => {
                let mut line = String::new();
                let has_line = io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0);
                if !has_line || pressed.send(()).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

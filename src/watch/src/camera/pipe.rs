//! Frames through a pipe: standard input, or a command's standard output.

use std::{
    io::{self, Stdin},
    os::unix::process::CommandExt,
    process::{self, Child, ChildStdout, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use coca_vision::{Colours, PixelFormat};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    Error, Frame, StreamFormat,
    mjpeg::MjpegReader,
    source::{FrameSource, Interrupt, Read},
};

/// Cuts a stream of bytes into frames.
pub(super) struct Frames<R> {
    stream: R,
    name: String,
    format: StreamFormat,
    mjpeg: MjpegReader,
}

impl<R: io::Read> Frames<R> {
    pub(super) fn new(stream: R, name: String, format: StreamFormat) -> Self {
        Self { stream, name, format, mjpeg: MjpegReader::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next frame, stamped when the last of it has come.
    pub(super) fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let (expected, found) = match self.format {
            StreamFormat::Mjpeg => {
                frame.format = PixelFormat::Mjpeg;
                frame.size = (0, 0);
                let whole = self.mjpeg.next(&mut self.stream, &mut frame.bytes);
                if whole.map_err(|error| Error::io(&self.name)(error))? {
                    (1, 1)
                } else {
                    let pending = self.mjpeg.pending();
                    (pending + usize::from(pending > 0), pending)
                }
            }
            StreamFormat::Raw { format, size } => {
                (frame.format, frame.size) = (format, size);
                frame.colours = Colours::of_video(size.0, size.1);
                let expected = format.frame_bytes(size.0, size.1).unwrap_or_default();
                frame.bytes.resize(expected, 0);
                let found = read_fully(&mut self.stream, &mut frame.bytes);
                (expected, found.map_err(|error| Error::io(&self.name)(error))?)
            }
        };
        frame.stamp();
        match found {
            0 => Ok(Read::End),
            found if found < expected => {
                Err(Error::CutOff { source_name: self.name.clone(), expected, found })
            }
            _ => Ok(Read::Frame),
        }
    }
}

/// How many bytes there were until `out` was full or the stream ended.
fn read_fully(stream: &mut impl io::Read, out: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while found < out.len() {
        match stream.read(&mut out[found..]) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Frames from standard input.
pub(super) fn stdin(format: StreamFormat) -> impl FrameSource {
    StandardInput(Frames::new(io::stdin(), format!("{format}:-"), format))
}

struct StandardInput(Frames<Stdin>);

impl FrameSource for StandardInput {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        self.0.read(frame)
    }
}

/// Frames from a command, which ends with it.
pub(super) struct Command {
    frames: Frames<ChildStdout>,
    child: Arc<Mutex<Child>>,
}

impl Command {
    /// Starts a program with its arguments, in a process group of its own; its messages go to ours.
    pub(super) fn start(format: StreamFormat, command: &str) -> Result<Self, Error> {
        let refuse = |expected: &str| Error::Spec {
            spec: format!("cmd:{command}"),
            expected: expected.to_owned(),
        };
        let words =
            shlex::split(command).ok_or_else(|| refuse("a quotation mark is not closed"))?;
        let (program, arguments) =
            words.split_first().ok_or_else(|| refuse("expected a command after cmd:"))?;
        let mut child = process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Error::io(program))?;
        let Some(output) = child.stdout.take() else { return Err(refuse("it has no output")) };
        let frames = Frames::new(output, program.clone(), format);
        Ok(Self { frames, child: Arc::new(Mutex::new(child)) })
    }
}

impl FrameSource for Command {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let read = self.frames.read(frame)?;
        if read == Read::End {
            let status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
            let command = self.frames.name.clone();
            let status = status.map_err(Error::io(&command))?;
            if !status.success() {
                return Err(Error::CommandFailed { command, status: status.to_string() });
            }
        }
        Ok(read)
    }

    fn interrupt(&self) -> Interrupt {
        let child = Arc::clone(&self.child);
        Box::new(move || end(&child))
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        end(&self.child);
    }
}

/// Kills a command with everything that it started, and waits for it, so that no zombie is left.
fn end(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(child.try_wait(), Ok(None)) {
        // What is gone already needs no killing.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
    }
}

//! Frames through a pipe: standard input, or a command's standard output.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::AsFd,
    process::{ChildStdout, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    Error, Frame, FrameSource, Interrupt, Read, SourceSettings, StreamFormat,
    frames::Frames,
    source_kind::SourceKind,
    wait::{End, Endable},
};
use crate::{
    child_process::{self, ProcessGroup},
    redact,
};

/// Time between two looks at a command that has closed its output.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Words by which a command line that a shell should read is known.
const SHELL_WORDS: [&str; 4] = ["|", "||", "&&", ">"];

/// A pipe and the format of its frames: `-`, `cmd:COMMAND`, and either behind `FORMAT:WxH:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeSpec {
    /// Format of the frames.
    pub format: StreamFormat,
    /// The end that writes.
    pub input: PipeInput,
}

/// The writing end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeInput {
    /// Standard input.
    Stdin,
    /// The standard output of a command: a program and its arguments, quoted as for a shell.
    Command(String),
}

impl SourceKind for PipeSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        let (format, input) = split(text)?;
        let refuse = |expected: &str| {
            Some(Err(Error::Spec { spec: redact(text).into(), expected: expected.to_owned() }))
        };
        let Ok(format) = format.parse() else {
            return refuse(
                "expected mjpeg, or yuv420, yuyv, nv12, rgb, bgr or grey and a size, as in yuv420:640x480:-",
            );
        };
        match &input {
            PipeInput::Command(command) if command.trim().is_empty() => {
                refuse("expected a command after cmd:")
            }
            _ => Some(Ok(Self { format, input })),
        }
    }

    fn open(&self, _settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        Ok(match &self.input {
            PipeInput::Stdin => {
                let name = format!("{}:-", self.format);
                Box::new(StandardInput::open(name, self.format)?)
            }
            PipeInput::Command(command) => Box::new(Command::start(self.format, command)?),
        })
    }
}

/// Splits a text that names a pipe into format and input; without a format it is MJPEG.
fn split(text: &str) -> Option<(&str, PipeInput)> {
    let command = |command: &str| PipeInput::Command(command.to_owned());
    Some(if text == "-" {
        ("mjpeg", PipeInput::Stdin)
    } else if let Some(rest) = text.strip_prefix("cmd:") {
        ("mjpeg", command(rest))
    } else if let Some((format, rest)) = text.split_once(":cmd:") {
        (format, command(rest))
    } else {
        (text.strip_suffix(":-")?, PipeInput::Stdin)
    })
}

impl fmt::Display for PipeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            StreamFormat::Mjpeg => {}
            format => write!(f, "{format}:")?,
        }
        match &self.input {
            PipeInput::Stdin => f.write_str("-"),
            PipeInput::Command(command) => f.write_str(&redact(&format!("cmd:{command}"))),
        }
    }
}

/// Frames from standard input.
struct StandardInput {
    frames: Frames<Endable<File>>,
    end: End,
}

impl StandardInput {
    fn open(name: String, format: StreamFormat) -> Result<Self, Error> {
        // A buffer, as that of `Stdin`, would hide from `Endable` what has come already.
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(Error::io(&name))?;
        let input = Endable::new(File::from(input));
        Ok(Self { end: input.end(), frames: Frames::new(input, name, format) })
    }
}

impl FrameSource for StandardInput {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        self.frames.read(frame)
    }

    fn interrupt(&self) -> Interrupt {
        let end = self.end.clone();
        Box::new(move || end.end())
    }
}

/// Frames from a command, which is killed with all that it started when this is dropped.
struct Command {
    frames: Frames<Endable<ChildStdout>>,
    /// Ends a read though something that the command started keeps its output open.
    end: End,
    program: Arc<Mutex<ProcessGroup>>,
}

impl Command {
    /// Starts a program in a process group of its own; it inherits standard error.
    fn start(format: StreamFormat, command: &str) -> Result<Self, Error> {
        let refuse = |expected: &str| Error::Spec {
            spec: redact(&format!("cmd:{command}")).into(),
            expected: expected.to_owned(),
        };
        let words =
            shlex::split(command).ok_or_else(|| refuse("a quotation mark is not closed"))?;
        if let Some(word) = words.iter().find(|word| SHELL_WORDS.contains(&word.as_str())) {
            return Err(refuse(&format!(
                "no shell reads it, so {word} means nothing: cmd:sh -c '…'"
            )));
        }
        let (program, arguments) =
            words.split_first().ok_or_else(|| refuse("expected a command after cmd:"))?;
        let mut command = child_process::command(program);
        command.args(arguments).stdout(Stdio::piped());
        let mut group = ProcessGroup::start(&mut command).map_err(Error::io(program))?;
        let Some(output) = group.take_output() else { return Err(refuse("it has no output")) };
        let output = Endable::new(output);
        let end = output.end();
        let frames = Frames::new(output, program.clone(), format);
        Ok(Self { frames, end, program: Arc::new(Mutex::new(group)) })
    }

    /// Waits for the command's end without holding the lock, so that an [`Interrupt`] can end a command that closed its
    /// output and goes on.
    fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = lock(&self.program).try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl FrameSource for Command {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let read = self.frames.read(frame)?;
        if read == Read::End {
            let command = self.frames.name().to_owned();
            let status = self.wait().map_err(Error::io(&command))?;
            if !status.success() {
                return Err(Error::CommandFailed { command, status: status.to_string() });
            }
        }
        Ok(read)
    }

    fn interrupt(&self) -> Interrupt {
        let (program, end) = (Arc::clone(&self.program), self.end.clone());
        Box::new(move || {
            end.end();
            lock(&program).kill();
        })
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        // An interrupt may hold it too.
        lock(&self.program).kill();
    }
}

fn lock(program: &Mutex<ProcessGroup>) -> MutexGuard<'_, ProcessGroup> {
    program.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use coca_vision::PixelFormat;

    use super::*;
    use crate::camera::RawFormat;

    #[test]
    fn a_command_may_contain_anything() {
        let spec = PipeSpec::parse("grey:4x2:cmd:sh -c 'echo a:cmd:b ?fps=9'").unwrap().unwrap();
        let grey = RawFormat::new(PixelFormat::Grey, (4, 2)).unwrap();
        assert_eq!(spec.format, StreamFormat::Raw(grey));
        assert_eq!(spec.input, PipeInput::Command("sh -c 'echo a:cmd:b ?fps=9'".to_owned()));
    }
}

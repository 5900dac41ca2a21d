//! Programs that are started here, and their end.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// Environment variables that `coca watch` is given secrets in, or the way to them: no program that is started here gets them.
const SECRET_VARIABLES: [&str; 3] = ["COCA_TOKEN", "COCA_SOURCE", "CREDENTIALS_DIRECTORY"];
/// Waits for the end of its input, which is this program's, and kills the process group that it is given.
const GUARD: &str = "read -r _; kill -s KILL -- \"-$1\"";

/// A command in a process group of its own, without input and without the variables that hold secrets.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// A program that was started here, with all that it starts. It ends with this value, and with this process however that
/// ends: SIGKILL leaves no time to kill others, so another process waits for it.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    child: Child,
    guard: Option<Child>,
}

impl ProcessGroup {
    /// Starts what [`command`] made.
    ///
    /// # Errors
    /// The system's, if the program cannot be started.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let guard = self::command("/bin/sh")
            .args(["-c", GUARD, "coca-guard", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Err(error) = &guard {
            log::info!("/bin/sh: {error}: what is started here may outlive this program");
        }
        Ok(Self { child, guard: guard.ok() })
    }

    /// Its standard output, if that is a pipe that nobody took yet.
    pub(crate) fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The exit status, once the program has ended.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.dismiss_guard();
        }
        Ok(status)
    }

    /// Kills the program, if it still runs, with everything that it started, and waits for it, so that no zombie is left.
    pub(crate) fn kill(&mut self) {
        if matches!(self.try_wait(), Ok(None)) {
            // Both fail only if the program is gone in the meantime.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
        self.dismiss_guard();
    }

    /// Ends the guard: the number of a group that is gone may soon be another's.
    fn dismiss_guard(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

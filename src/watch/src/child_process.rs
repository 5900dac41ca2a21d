//! Programs that are started here, and their end.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// Environment variables that `coca watch` is given secrets in: no program that is started here gets them.
const SECRET_VARIABLES: [&str; 2] = ["COCA_TOKEN", "COCA_SOURCE"];

/// A command in a process group of its own, without input and without the variables that hold secrets.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Kills what [`command`] started, if it still runs, with everything that it started, and waits for it, so that no zombie
/// is left.
pub(crate) fn kill(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        // Both fail only if the command is gone in the meantime.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        let _ = child.wait();
    }
}

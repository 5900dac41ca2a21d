//! Commands that run when a label enters.

use std::{
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use super::{Error, Event, EventKind};
use crate::{
    child_process::{ProcessGroup, command},
    redact::redact_command,
};

/// Least time from one run of an action to the next.
const MIN_INTERVAL: Duration = Duration::from_secs(5);

/// A command for a label: `person=notify-send 'Somebody is here'`.
///
/// No shell reads it, so that a label's name can never become part of a command. The program finds label, score and
/// frame in the environment variables `COCA_LABEL`, `COCA_SCORE` and `COCA_FRAME`.
///
/// ```
/// use coca_watch::pipeline::Action;
///
/// let action: Action = "person=notify-send 'Somebody is here'".parse()?;
/// assert_eq!(action.label(), "person");
/// # Ok::<(), coca_watch::pipeline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    label: String,
    program: String,
    arguments: Vec<String>,
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Option {
            option: "action",
            expected: "LABEL=COMMAND, with every quotation mark closed".to_owned(),
            found: redact_command(text),
        };
        let (label, command) = text.split_once('=').ok_or_else(refuse)?;
        let mut words = shlex::split(command).ok_or_else(refuse)?.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(refuse)?;
        let label = label.trim().to_owned();
        if label.is_empty() {
            return Err(refuse());
        }
        Ok(Self { label, program, arguments: words.collect() })
    }
}

impl Action {
    /// The label whose entering runs the command.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Runs actions, each at most once in five seconds and never twice at the same time, and leaves no zombies.
#[derive(Debug)]
pub(super) struct Actions(Vec<Running>);

#[derive(Debug)]
struct Running {
    action: Action,
    /// Ends with the watch, with all that it started.
    child: Option<ProcessGroup>,
    started: Option<Instant>,
}

impl Actions {
    pub(super) fn new(actions: Vec<Action>) -> Self {
        let running = |action| Running { action, child: None, started: None };
        Self(actions.into_iter().map(running).collect())
    }

    /// Runs the actions of labels that entered.
    pub(super) fn react(&mut self, events: &[Event], frame: u64) {
        for running in &mut self.0 {
            running.reap();
            for event in events {
                if event.event == EventKind::Entered && event.label == running.action.label {
                    running.start(event, frame);
                }
            }
        }
    }

    /// Takes the exit status of commands that have ended.
    pub(super) fn reap(&mut self) {
        self.0.iter_mut().for_each(Running::reap);
    }
}

impl Running {
    fn start(&mut self, event: &Event, frame: u64) {
        if self.child.is_some()
            || self.started.is_some_and(|started| started.elapsed() < MIN_INTERVAL)
        {
            log::info!("action for {}: too soon, not run", self.action.label);
            return;
        }
        self.started = Some(Instant::now());
        let mut command = command(&self.action.program);
        command
            .args(&self.action.arguments)
            .env("COCA_LABEL", &event.label)
            .env("COCA_SCORE", event.score.to_string())
            .env("COCA_FRAME", frame.to_string())
            // Standard output is for reports.
            .stdout(Stdio::null());
        match ProcessGroup::start(&mut command) {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                let Action { label, program, .. } = &self.action;
                log::warn!("action for {label}: {program}: {error}");
            }
        }
    }

    /// Takes the exit status of a command that has ended.
    fn reap(&mut self) {
        let Some(child) = &mut self.child else { return };
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                if !status.success() {
                    let Action { label, program, .. } = &self.action;
                    log::warn!("action for {label}: {program}: {status}");
                }
                self.child = None;
            }
            Err(error) => {
                // Nothing is known of it any more, so it does not keep the action from running again.
                log::warn!("action for {}: {error}", self.action.label);
                self.child = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    fn entered(label: &str) -> Event {
        Event { event: EventKind::Entered, label: label.to_owned(), score: 0.75 }
    }

    fn wait_until(mut is_done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is_done() {
            assert!(Instant::now() < end, "took too long");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_command_runs_once_with_the_label_in_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        let command =
            format!("cat=sh -c 'echo $COCA_LABEL $COCA_SCORE $COCA_FRAME >> {}'", file.display());
        let mut actions = Actions::new(vec![command.parse().unwrap()]);
        actions.react(&[entered("dog"), entered("cat")], 12);
        wait_until(|| {
            actions.react(&[], 13);
            actions.0[0].child.is_none()
        });
        actions.react(&[entered("cat")], 14);
        assert!(actions.0[0].child.is_none(), "run again too soon");
        assert_eq!(fs::read_to_string(file).unwrap(), "cat 0.75 12\n");
    }

    #[test]
    fn a_command_ends_with_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("cat=sh -c 'sleep 600 & echo $! > {}; wait'", file.display());
        let mut actions = Actions::new(vec![command.parse().unwrap()]);
        actions.react(&[entered("cat")], 1);
        let pid = || fs::read_to_string(&file).unwrap_or_default().trim().parse::<u32>().ok();
        wait_until(|| pid().is_some());
        let is_running = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let child = pid().unwrap();
        assert!(!fs::exists("/proc/self/stat").unwrap() || is_running(child));
        drop(actions);
        wait_until(|| !is_running(child));
    }

    #[test]
    fn no_shell_reads_a_command() {
        let action: Action = "cat=echo $HOME; rm 'a b'".parse().unwrap();
        assert_eq!((action.program.as_str(), action.arguments.len()), ("echo", 3));
        assert_eq!(action.arguments, ["$HOME;", "rm", "a b"]);
    }

    #[test]
    fn a_missing_program_stops_nothing() {
        let mut actions = Actions::new(vec!["cat=/no/such/program".parse().unwrap()]);
        actions.react(&[entered("cat")], 1);
        assert!(actions.0[0].child.is_none());
    }

    #[test]
    fn texts_that_are_no_action_are_refused() {
        for text in ["cat", "=ls", "cat=", "cat='ls"] {
            let error = text.parse::<Action>().unwrap_err().to_string();
            assert!(error.contains("LABEL=COMMAND"), "{error}");
        }
    }
}

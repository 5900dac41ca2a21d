//! Commands that run when a label comes into view.

use std::{
    process::{Child, Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use super::{Error, Event, EventKind};

/// The least time from one run of an action to the next.
const REST: Duration = Duration::from_secs(5);

/// A command for a label: `person=notify-send 'Somebody is here'`.
///
/// No shell reads it: what a label is called can never become part of a command. The program finds
/// label, score and frame in the environment: `COCA_LABEL`, `COCA_SCORE`, `COCA_FRAME`.
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
            option: "on-label",
            expected: "LABEL=COMMAND, with every quotation mark closed".to_owned(),
            found: text.to_owned(),
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
    /// The label that it waits for.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Runs actions: each at most once in five seconds, never twice at the same time, and leaves no zombies.
#[derive(Debug)]
pub(super) struct Actions(Vec<Running>);

#[derive(Debug)]
struct Running {
    action: Action,
    child: Option<Child>,
    started: Option<Instant>,
}

impl Actions {
    pub(super) fn new(actions: Vec<Action>) -> Self {
        let running = |action| Running { action, child: None, started: None };
        Self(actions.into_iter().map(running).collect())
    }

    /// Runs what is meant for these events, and buries what has ended.
    pub(super) fn react(&mut self, events: &[Event], frame: u64) {
        for running in &mut self.0 {
            running.bury();
            for event in events {
                if event.event == EventKind::Entered && event.label == running.action.label {
                    running.start(event, frame);
                }
            }
        }
    }
}

impl Running {
    fn start(&mut self, event: &Event, frame: u64) {
        if self.child.is_some() || self.started.is_some_and(|started| started.elapsed() < REST) {
            log::info!("--on-label {}: too soon, not run", self.action.label);
            return;
        }
        self.started = Some(Instant::now());
        let child = Command::new(&self.action.program)
            .args(&self.action.arguments)
            .env("COCA_LABEL", &event.label)
            .env("COCA_SCORE", event.score.to_string())
            .env("COCA_FRAME", frame.to_string())
            .stdin(Stdio::null())
            // Standard output is for results.
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                let Action { label, program, .. } = &self.action;
                log::warn!("--on-label {label}: {program}: {error}");
            }
        }
    }

    fn bury(&mut self) {
        let Some(child) = &mut self.child else { return };
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                if !status.success() {
                    let Action { label, program, .. } = &self.action;
                    log::warn!("--on-label {label}: {program}: {status}");
                }
                self.child = None;
            }
            Err(_) => self.child = None,
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
    fn no_shell_reads_a_command() {
        let action: Action = "cat=echo $HOME; rm 'a b'".parse().unwrap();
        assert_eq!((action.program.as_str(), action.arguments.len()), ("echo", 3));
        assert_eq!(action.arguments, ["$HOME;", "rm", "a b"]);
    }

    #[test]
    fn a_program_that_is_not_there_stops_nothing() {
        let mut actions = Actions::new(vec!["cat=/no/such/program".parse().unwrap()]);
        actions.react(&[entered("cat")], 1);
        assert!(actions.0[0].child.is_none());
    }

    #[test]
    fn what_is_no_action_is_refused() {
        for text in ["cat", "=ls", "cat=", "cat='ls"] {
            let error = text.parse::<Action>().unwrap_err().to_string();
            assert!(error.contains("LABEL=COMMAND"), "{error}");
        }
    }
}

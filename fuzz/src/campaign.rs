//! Fuzzing in a process of its own, whose end is the finding.

use std::{
    error::Error,
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use crate::{Budget, Corpus, Mutator, Target};

/// Time without a new input after which an execution waits for what never comes. One that computes ends
/// [earlier](crate::fuzz), but may have to wait for a processor.
const HANG_TIMEOUT: Duration = Duration::from_secs(600);
/// Time between two looks at the process.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Fuzzing of a target with one seed.
#[derive(Debug)]
pub struct Campaign {
    /// The target.
    pub target: &'static Target,
    /// Inputs to begin with, instead of the target's own.
    pub corpus: Option<PathBuf>,
    /// Seed of the mutations.
    pub seed: u64,
    /// When to stop.
    pub budget: Budget,
    /// The folder that an input which fails is saved in.
    pub artifacts: PathBuf,
}

/// The end of a campaign.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every input ended in a value or an error.
    Passed,
    /// An input did not.
    Failed {
        /// The file that it was saved in.
        input: PathBuf,
        /// End of the process, which has said more.
        reason: String,
    },
}

impl Campaign {
    /// Fuzzes in the process that `command` starts when it is given the paths of a corpus and of a file for progress: it calls
    /// [`fuzz`](crate::fuzz) with the same seed.
    ///
    /// # Errors
    /// When the corpus cannot be made or the process cannot be started.
    pub fn run(&self, mut command: Command) -> Result<Outcome, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (inputs, progress) = (folder.path().join("corpus"), folder.path().join("progress"));
        let corpus = match &self.corpus {
            Some(corpus) => Corpus::read(corpus)?,
            None => Corpus::of(self.target)?,
        };
        corpus.write(&inputs)?;
        fs::write(&progress, 0_u64.to_le_bytes())?;
        let mut process = command.arg(&inputs).arg(&progress).spawn()?;
        let number = || -> Result<u64, Box<dyn Error>> {
            let bytes = fs::read(&progress)?;
            Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| "no number of an input")?))
        };
        let reason = match wait(&mut process, &number)? {
            Some(status) if status.success() => return Ok(Outcome::Passed),
            Some(status) => format!("it ended with {status}"),
            None => format!("it took longer than {} s", HANG_TIMEOUT.as_secs()),
        };
        let number = number()?;
        fs::create_dir_all(&self.artifacts)?;
        let name = format!("{}-{}-{number}", self.target.name, self.seed);
        let input = self.artifacts.join(name);
        fs::write(&input, Mutator::new(corpus, self.target.words, self.seed).input(number))?;
        Ok(Outcome::Failed { input, reason })
    }
}

/// Waits for the end of a process; `None` if it was ended because the same input took too long.
fn wait(
    process: &mut Child,
    number: &impl Fn() -> Result<u64, Box<dyn Error>>,
) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let (mut last, mut since) = (number()?, Instant::now());
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        let newest = number()?;
        if newest != last {
            (last, since) = (newest, Instant::now());
        }
        if since.elapsed() > HANG_TIMEOUT {
            process.kill()?;
            process.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

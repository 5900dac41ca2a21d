//! The command `coca-fuzz`: targets, corpora, campaigns.

#![forbid(unsafe_code)]

use std::{
    alloc::System,
    error::Error,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use coca_fuzz::{Allocator, Budget, Campaign, Corpus, Outcome, Target, fuzz, target, targets};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new(System, usize::MAX);

/// Gives parsers hostile inputs, made by mutating good ones.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// List the targets.
    List,
    /// Write the corpora: a folder of files for each target, and a dictionary for libFuzzer.
    Corpus {
        /// Folder that they are written to
        folder: PathBuf,
    },
    /// Fuzz targets until one fails; the input that fails is saved.
    Run(Run),
    /// Give files to a target.
    Try {
        /// Name of the target
        target: String,
        /// The files
        files: Vec<PathBuf>,
    },
    /// Fuzz in this process: `run` starts one for each target.
    #[command(hide = true)]
    Worker {
        target: String,
        #[command(flatten)]
        effort: Effort,
        corpus: PathBuf,
        progress: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// Names of targets, or `all`
    #[arg(required = true)]
    targets: Vec<String>,
    #[command(flatten)]
    effort: Effort,
    /// Folder of inputs to begin with, instead of the target's own
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Folder for inputs that fail
    #[arg(long, default_value = "fuzz/artifacts")]
    artifacts: PathBuf,
}

#[derive(Args, Clone, Copy)]
struct Effort {
    /// Inputs for each target
    #[arg(long, default_value_t = 100_000)]
    executions: u64,
    /// Seconds for each target, instead of a number of inputs
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the mutations
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Effort {
    fn budget(self) -> Budget {
        match self.seconds {
            Some(seconds) => Budget::Time(Duration::from_secs(seconds)),
            None => Budget::Executions(self.executions),
        }
    }
}

fn main() -> ExitCode {
    // Engines catch the panics of tract and report them.
    coca_fuzz::silence_caught_panics();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Subcommands) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Subcommands::List => {
            for target in targets() {
                writeln!(io::stdout(), "{}", target.name)?;
            }
        }
        Subcommands::Corpus { folder } => {
            for target in targets() {
                Corpus::of(target)?.write(&folder.join(target.name))?;
                let dictionary = folder.join(format!("{}.dict", target.name));
                std::fs::write(dictionary, target.dictionary())?;
            }
        }
        Subcommands::Run(run) => return campaigns(&run),
        Subcommands::Try { target, files } => {
            let target = named(&target)?;
            for file in files {
                (target.run)(&std::fs::read(file)?);
            }
        }
        Subcommands::Worker { target, effort, corpus, progress } => {
            // Others read it meanwhile, so it is never empty.
            let mut progress = File::options().write(true).open(progress)?;
            work(named(&target)?, effort, Corpus::read(&corpus)?, &mut progress)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| format!("{name}: no such target: coca-fuzz list names them"))
}

/// Fuzzes each target in a process of its own, up to the first that fails.
fn campaigns(run: &Run) -> Result<ExitCode, Box<dyn Error>> {
    let chosen: Vec<&Target> = match run.targets.iter().any(|name| name == "all") {
        true => targets().collect(),
        false => run.targets.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
    };
    for target in chosen {
        let Run { effort, corpus, artifacts, .. } = run;
        let (corpus, artifacts) = (corpus.clone(), artifacts.clone());
        let campaign =
            Campaign { target, corpus, seed: effort.seed, budget: effort.budget(), artifacts };
        let mut command = Command::new(std::env::current_exe()?);
        // What is short of memory prints no backtrace; `try` does.
        command.env("RUST_BACKTRACE", "0");
        command.args(["worker", target.name, "--seed", &effort.seed.to_string()]);
        match campaign.budget {
            Budget::Executions(count) => command.args(["--executions", &count.to_string()]),
            Budget::Time(time) => command.args(["--seconds", &time.as_secs().to_string()]),
        };
        if let Outcome::Failed { input, reason } = campaign.run(command)? {
            let (name, input) = (target.name, input.display());
            writeln!(io::stderr(), "{name}: {reason}: coca-fuzz try {name} {input}")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fuzzes in this process and prints what the executions took.
fn work(
    target: &Target,
    effort: Effort,
    corpus: Corpus,
    progress: &mut File,
) -> Result<(), Box<dyn Error>> {
    let report = fuzz(target, corpus, effort.seed, effort.budget(), &ALLOCATOR, progress)?;
    let (slowest, heaviest) = (report.slowest, report.heaviest);
    writeln!(
        io::stdout(),
        "{:16} {:>9} executions in {:.1} s, at most {:.1} ms (input {}) and {:.1} MB (input {})",
        target.name,
        report.executions,
        report.time.as_secs_f64(),
        slowest.0.as_secs_f64() * 1e3,
        slowest.1,
        heaviest.0 as f64 / 1e6,
        heaviest.1
    )?;
    Ok(())
}

//! The command line: parses, calls the library and prints.

mod advice;
mod ask;
mod bench;
mod caption;
mod classify;
mod doctor;
mod embed;
mod index;
mod info;
mod label_folders;
mod labels;
mod manual;
mod messages;
mod numbers;
mod output;
mod pictures;
mod progress;
mod score;
mod search;
mod similar;
mod teach;
mod teaching_report;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use coca_edge::{
    Bundle, Coca, Engine, bundle,
    engine::{Arithmetic, EngineBuilder},
    host::silence_caught_panics,
};

/// Labels and captions for pictures, offline, on the CPU.
///
/// Results go to standard output; progress and messages to standard error.
/// Exit status: 0; 1 if any input failed, the others are still answered; 2 wrong usage.
#[derive(Parser)]
#[command(name = "coca", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Heading of the options of every command: its own come first.
const COMMON: &str = "Common options";

#[derive(clap::Args)]
struct Global {
    /// A model's folder [default: the model inside the program]
    #[arg(long, global = true, value_name = "DIR", help_heading = COMMON)]
    model: Option<PathBuf>,
    /// Threads to compute with [default: the physical cores]
    #[arg(long, global = true, value_name = "N", help_heading = COMMON, value_parser = numbers::between(1_u16, 1024))]
    threads: Option<u16>,
    /// What to compute in [default: what the model is made for]
    #[arg(long, global = true, help_heading = COMMON)]
    precision: Option<Precision>,
    /// No progress, no messages but errors
    #[arg(long, short, global = true, help_heading = COMMON)]
    quiet: bool,
    /// More messages; twice for all
    #[arg(short, long, global = true, help_heading = COMMON, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    Int8,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::Arguments),
    Caption(caption::Arguments),
    Embed(embed::Arguments),
    Labels(labels::Arguments),
    Teach(teach::Arguments),
    Score(score::Arguments),
    Ask(ask::Arguments),
    Index(index::Arguments),
    Search(search::Arguments),
    Similar(similar::Arguments),
    Watch(Box<watch::Arguments>),
    Bench(bench::Arguments),
    Info(info::Arguments),
    Doctor(doctor::Arguments),
    Manual(manual::Arguments),
}

/// Outcome of a command that ran to completion.
enum Outcome {
    /// Every input was answered.
    Done,
    /// Some inputs failed and were reported.
    SomeFailed,
    /// Nothing fits what was asked for.
    NothingFound,
}

/// A usage error: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

pub(crate) fn run() -> ExitCode {
    silence_caught_panics();
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(answer) => return output::answer(answer),
    };
    messages::start(arguments.global.quiet, arguments.global.verbose);
    match execute(&arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed | Outcome::NothingFound) => ExitCode::from(1),
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = advice::advice(&error).map(|advice| format!(": {advice}"));
            messages::fail(format_args!("{}{}", sentence(&error), advice.unwrap_or_default()));
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn parse() -> Result<Arguments, clap::Error> {
    let mut command = numbers::with_negative_numbers(Arguments::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn execute(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let global = &arguments.global;
    if let Command::Watch(arguments) = &arguments.command {
        arguments.lower_priority()?;
    }
    #[cfg(unix)]
    coca_edge::kernels::share_heap_within_address_limit();
    #[cfg(unix)]
    end_in_sentences().context("signals")?;
    match &arguments.command {
        Command::Classify(arguments) => classify::run(global, arguments),
        Command::Caption(arguments) => caption::run(global, arguments),
        Command::Embed(arguments) => embed::run(global, arguments),
        Command::Labels(arguments) => labels::run(global, arguments),
        Command::Teach(arguments) => teach::run(global, arguments),
        Command::Score(arguments) => score::run(global, arguments),
        Command::Ask(arguments) => ask::run(global, arguments),
        Command::Index(arguments) => index::run(global, arguments),
        Command::Search(arguments) => search::run(global, arguments),
        Command::Similar(arguments) => similar::run(global, arguments),
        Command::Watch(arguments) => watch::run(global, arguments),
        Command::Bench(arguments) => bench::run(global, arguments),
        Command::Info(arguments) => info::run(global, arguments),
        Command::Doctor(arguments) => doctor::run(global, arguments),
        Command::Manual(arguments) => manual::run(arguments),
    }
}

/// Lets the program say why the system or Rust's runtime ends it.
#[cfg(unix)]
fn end_in_sentences() -> std::io::Result<()> {
    use coca_edge::kernels::{exit_on_abort, exit_on_lost_file};
    exit_on_lost_file(
        "coca: a file of the model or the index was cut while it was in use, or its disk went away",
    )?;
    exit_on_abort("coca: aborted; if memory is short, end other programs, or take a smaller model")
}

impl Global {
    /// Opens the model that the user named, or the one inside the program.
    fn open_model(&self) -> anyhow::Result<Coca> {
        self.open_model_with(Engine::builder())
    }

    /// As [`Global::open_model`], for an engine of these choices and the threads that the user asked for.
    fn open_model_with(&self, engine: EngineBuilder) -> anyhow::Result<Coca> {
        let engine = self.with_threads(engine).build()?;
        let coca = Coca::new(self.open_bundle()?, &engine)?;
        let (name, arithmetic) = (&coca.bundle().config().name, coca.bundle().arithmetic());
        let (kernels, threads) = (engine.cpu().instruction_set().name(), engine.threads());
        log::info!("{name}, computed in {arithmetic} with {kernels} on {threads} threads");
        Ok(coca)
    }

    /// An engine with the threads that the user asked for.
    fn engine(&self) -> anyhow::Result<Engine> {
        Ok(self.with_threads(Engine::builder()).build()?)
    }

    fn with_threads(&self, engine: EngineBuilder) -> EngineBuilder {
        match self.threads {
            None => engine,
            Some(threads) => engine.threads(threads.into()),
        }
    }

    /// Its description and files.
    fn open_bundle(&self) -> anyhow::Result<Bundle> {
        let bundle = match &self.model {
            Some(folder) => Bundle::open(folder)?,
            #[cfg(feature = "pocket")]
            None => Bundle::pocket().context("the model inside the program")?,
            #[cfg(not(feature = "pocket"))]
            None => Err(Usage(
                "no model: this program was built without one; name a folder with --model DIR"
                    .to_owned(),
            ))
            .context("--model")?,
        };
        match self.precision {
            None => Ok(bundle),
            Some(Precision::F32) => Ok(bundle.compute_in(Arithmetic::F32)?),
            Some(Precision::Int8) => {
                bundle.compute_in(Arithmetic::Int8).context("--precision int8")
            }
        }
    }
}

/// The error and its causes, each said once: most errors quote their cause.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Whether the command line is wrong, rather than a file.
fn is_usage(error: &anyhow::Error) -> bool {
    use coca_edge::{
        Error::{
            CannotCaption, LabelExists, NamesUnused, NoAnswers, NoLabels, NoSuchLabel, NoneExists,
            Options, SameLabel,
        },
        index, text,
    };
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || matches!(cause.downcast_ref(), Some(bundle::Error::NotQuantized { .. }))
            || matches!(cause.downcast_ref(), Some(text::Error::EmptyList { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(index::Error::Query { .. } | index::Error::Pattern { .. })
            )
            || matches!(
                advice::task_error(cause),
                Some(
                    CannotCaption { .. }
                        | LabelExists { .. }
                        | NamesUnused
                        | NoAnswers { .. }
                        | NoLabels
                        | NoSuchLabel { .. }
                        | NoneExists { .. }
                        | Options(_)
                        | SameLabel { .. }
                )
            )
    })
}

//! The command `coca-quantize`.

use std::process::ExitCode;

use clap::Parser;

mod cli;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coca-quantize: {error:#}");
            ExitCode::FAILURE
        }
    }
}

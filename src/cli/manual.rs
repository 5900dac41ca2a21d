//! `coca manual`: man pages and shell completions, for packages.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Outcome;

/// Write man pages, and completions for bash, zsh and fish
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A folder that is there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(Arguments { folder }: &Arguments) -> anyhow::Result<Outcome> {
    let mut command = super::Arguments::command();
    let failed = || format!("{}: cannot be written to", folder.display());
    clap_mangen::generate_to(command.clone(), folder).with_context(failed)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "coca", folder).with_context(failed)?;
    }
    Ok(Outcome::Done)
}

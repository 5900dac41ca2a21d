//! `coca-quantize manual`: man pages and shell completions, for packages.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

/// Writes both into `folder`.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut command = super::Cli::command();
    let failed = || format!("{}: cannot be written to", folder.display());
    clap_mangen::generate_to(command.clone(), folder).with_context(failed)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "coca-quantize", folder)
            .with_context(failed)?;
    }
    Ok(())
}

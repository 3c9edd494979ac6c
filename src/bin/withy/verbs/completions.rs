//! `withy completions`

use std::io::Write as _;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::fail::{Outcome, Result};

/// Print a script that completes commands in a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy completions bash > /etc/bash_completion.d/withy
  withy completions zsh > ~/.zfunc/_withy
  withy completions fish > ~/.config/fish/completions/withy.fish")]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

pub(crate) fn run(args: &Completions, mut command: Command) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "withy", &mut script);
    let mut out = std::io::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Outcome::Done)
}

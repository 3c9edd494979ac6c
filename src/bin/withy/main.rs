//! The command line of withy. It sees the public library only; docs/cli.md describes it.

mod app;
mod changes;
mod commits;
mod conflicts;
mod cursors;
mod editor;
mod fail;
mod graph;
#[cfg(test)]
mod hostile;
mod json;
mod lines;
mod merged;
mod merging;
mod out;
mod progress;
mod resolver;
mod settings;
mod signals;
mod text;
mod transfer;
mod txn;
mod units;
mod verbs;
mod walk;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::{App, Globals};
use crate::fail::{Failure, Outcome, Result};
use crate::out::complain;

/// A Git-like versioned key-value store
///
/// Every change is a commit that can be read again, tagged, branched from and compared. A REV names a
/// commit: a branch, a tag, `@` (the active branch), `main~3`, `main^2`, `seq:120`,
/// `main@{2026-11-20T10:00:00Z}`, or the first digits of an id.
#[derive(Parser)]
#[command(name = "withy", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

impl Verb {
    /// Whether a signal ends its work in order.
    fn is_long(&self) -> bool {
        matches!(
            self,
            Self::Import(_)
                | Self::Export(_)
                | Self::Merge(_)
                | Self::CherryPick(_)
                | Self::Revert(_)
                | Self::Rebase(_)
                | Self::Gc(_)
                | Self::Purge(_)
                | Self::Verify(_)
                | Self::Checkpoint(_)
                | Self::Backup(_)
                | Self::Doctor(_)
        )
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the answer is no; 2 wrong command or input; 3 conflict or busy, try again;
4 damaged store; 5 other error; 130 interrupted

Examples:
  withy init
  withy put pear green
  withy get pear
  withy log --graph
  withy switch -c topic
  withy merge topic";

#[derive(Subcommand)]
enum Verb {
    Init(verbs::init::Init),
    Put(verbs::put::Put),
    Get(verbs::get::Get),
    Del(verbs::del::Del),
    Scan(verbs::scan::Scan),
    Apply(verbs::apply::Apply),
    Import(verbs::import::Import),
    Export(verbs::export::Export),
    Branch(verbs::branch::Branch),
    Switch(verbs::switch::Switch),
    Tag(verbs::tag::Tag),
    Log(verbs::log::Log),
    Show(verbs::show::Show),
    Diff(verbs::diff::Diff),
    Merge(verbs::merge::Merge),
    Conflicts(verbs::conflicts::Conflicts),
    Resolve(verbs::resolve::Resolve),
    CherryPick(verbs::cherry_pick::CherryPick),
    Revert(verbs::revert::Revert),
    Rebase(verbs::rebase::Rebase),
    Reset(verbs::reset::Reset),
    Restore(verbs::restore::Restore),
    History(verbs::history::History),
    Undo(verbs::undo::Undo),
    Redo(verbs::redo::Redo),
    Ops(verbs::ops::Ops),
    Feed(verbs::feed::Feed),
    Outbox(verbs::outbox::Outbox),
    Saga(verbs::saga::Saga),
    Txn(verbs::txn::Txn),
    Prepared(verbs::prepared::Prepared),
    Gc(verbs::gc::Gc),
    Purge(verbs::purge::Purge),
    Config(verbs::config::Config),
    Stats(verbs::stats::Stats),
    Verify(verbs::verify::Verify),
    Checkpoint(verbs::checkpoint::Checkpoint),
    Backup(verbs::backup::Backup),
    Doctor(verbs::doctor::Doctor),
    Completions(verbs::completions::Completions),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version come this way too, with exit code 0.
        Err(e) => e.exit(),
    };
    match run(cli) {
        Ok(Outcome::Done) | Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(Failure::Error(report)) => {
            complain(&report.lines());
            ExitCode::from(report.code as u8)
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    if cli.verb.is_long() {
        signals::await_work();
    }
    let mut app = App::new(cli.globals);
    match cli.verb {
        Verb::Init(args) => verbs::init::run(&args, &mut app),
        Verb::Put(args) => verbs::put::run(args, &mut app),
        Verb::Get(args) => verbs::get::run(&args, &mut app),
        Verb::Del(args) => verbs::del::run(args, &mut app),
        Verb::Scan(args) => verbs::scan::run(&args, &mut app),
        Verb::Apply(args) => verbs::apply::run(args, &mut app),
        Verb::Import(args) => verbs::import::run(args, &mut app),
        Verb::Export(args) => verbs::export::run(&args, &mut app),
        Verb::Branch(args) => verbs::branch::run(args, &mut app),
        Verb::Switch(args) => verbs::switch::run(&args, &mut app),
        Verb::Tag(args) => verbs::tag::run(args, &mut app),
        Verb::Log(args) => verbs::log::run(&args, &mut app),
        Verb::Show(args) => verbs::show::run(&args, &mut app),
        Verb::Diff(args) => verbs::diff::run(&args, &mut app),
        Verb::Merge(args) => verbs::merge::run(args, &mut app),
        Verb::Conflicts(args) => verbs::conflicts::run(&args, &mut app),
        Verb::Resolve(args) => verbs::resolve::run(&args, &mut app),
        Verb::CherryPick(args) => verbs::cherry_pick::run(args, &mut app),
        Verb::Revert(args) => verbs::revert::run(args, &mut app),
        Verb::Rebase(args) => verbs::rebase::run(args, &mut app),
        Verb::Reset(args) => verbs::reset::run(&args, &mut app),
        Verb::Restore(args) => verbs::restore::run(args, &mut app),
        Verb::History(args) => verbs::history::run(&args, &mut app),
        Verb::Undo(args) => verbs::undo::run(&args, &mut app),
        Verb::Redo(args) => verbs::redo::run(&args, &mut app),
        Verb::Ops(args) => verbs::ops::run(&args, &mut app),
        Verb::Feed(args) => verbs::feed::run(&args, &mut app),
        Verb::Outbox(args) => verbs::outbox::run(&args, &mut app),
        Verb::Saga(args) => verbs::saga::run(&args, &mut app),
        Verb::Txn(args) => verbs::txn::run(&args, &mut app),
        Verb::Prepared(args) => verbs::prepared::run(&args, &mut app),
        Verb::Gc(args) => verbs::gc::run(&args, &mut app),
        Verb::Purge(args) => verbs::purge::run(&args, &mut app),
        Verb::Config(args) => verbs::config::run(&args, &mut app),
        Verb::Stats(args) => verbs::stats::run(&args, &mut app),
        Verb::Verify(args) => verbs::verify::run(&args, &mut app),
        Verb::Checkpoint(args) => verbs::checkpoint::run(&args, &mut app),
        Verb::Backup(args) => verbs::backup::run(&args, &mut app),
        Verb::Doctor(args) => verbs::doctor::run(&args, &mut app),
        Verb::Completions(args) => verbs::completions::run(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cli_1_every_verb_has_examples() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has examples", verb.get_name());
        }
    }
}

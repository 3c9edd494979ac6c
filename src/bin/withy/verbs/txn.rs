//! `withy txn`

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::txn::{Run, Script, interact, run as run_script};

/// Run transactions from a script, or at a prompt
///
/// Without FILE it is a prompt with history and completion on a terminal, and reads standard input
/// elsewhere.
#[derive(Args)]
#[command(after_help = "\
One command a line; `#` begins a comment line:

  begin [BRANCH] [LEVEL] [operations N] [bytes N] [time MS]
                                         LEVEL: read-committed, snapshot or serializable
  put KEY VALUE | del KEY | get KEY [for update] | scan [PREFIX] | count [PREFIX]
  on BRANCH COMMAND                      one of those on another branch
  savepoint NAME | rollback to NAME | release NAME | savepoints
  lock PATH [subtree] [wait MS] | enqueue TOPIC PAYLOAD
  commit [MESSAGE] | rollback | branch NAME [REV]
  expect KEY = VALUE | expect KEY absent | expect count [PREFIX] = N
  expect scan [PREFIX] = KEY=VALUE ...   | expect savepoints = NAME ...
  expect conflict [KEY ...]              the next command fails, about these keys
  expect error KIND [TEXT]               the next command fails like this

A KIND is busy, conflict, exists, invalid, limit, not-found or precondition; or, not of a script's doing, \
corrupt, deadlock, halted, history-gone, incompatible, io, lease-lost, outcome-unknown or read-only.

`NAME: COMMAND` is for the transaction of that name, so that several can be open at once. Outside a \
transaction put and del are commits of their own. A script is read and checked before any of it is run. \
What it leaves open is rolled back. Ends with exit code 1 if an expectation does not hold, 2 if the script \
is wrong, 3 at a conflict that was not expected.

Examples:
  withy txn                              a prompt; `help` explains the commands
  withy txn transfer.txn
  withy txn --check transfer.txn         only say whether it can be run
  printf 'begin\\nput a 1\\nput b 2\\ncommit both' | withy txn
  withy txn --json isolation.txn | grep '\"met\":false'")]
pub(crate) struct Txn {
    /// Script; `-` is standard input
    file: Option<PathBuf>,
    /// Only read and check the script
    #[arg(long)]
    check: bool,
    /// Go on after an expectation that does not hold
    #[arg(long, short)]
    keep_going: bool,
    /// Tell at the end how many transactions there were, and how long they took
    #[arg(long)]
    stats: bool,
}

pub(crate) fn run(args: &Txn, app: &mut App) -> Result<Outcome> {
    let file = args.file.as_deref().filter(|file| file.as_os_str() != "-");
    let wants_prompt = args.file.is_none() && !args.check;
    if wants_prompt && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return interact(app);
    }
    let (name, text) = match file {
        Some(file) => {
            let name = file.display().to_string();
            let text = std::fs::read(file).doing(|| format!("read {name}"))?;
            (name, text)
        }
        None => {
            let mut text = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut text);
            read.doing(|| "read standard input".into())?;
            ("standard input".to_owned(), text)
        }
    };
    let script = Script::read(name, &text, app)?;
    if args.check {
        return Ok(Outcome::Done);
    }
    run_script(script, &Run { keeps_going: args.keep_going, tells_stats: args.stats }, app)
}

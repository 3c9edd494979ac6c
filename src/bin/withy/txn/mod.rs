//! The script language of transactions: from a file, a pipe, or at a prompt.
//!
//! [`words`] and [`parse`] read a line, [`command`] is what stands there, [`script`] reads and checks a
//! whole file, [`session`] does commands, [`open`] is one open transaction, [`trouble`] tells errors
//! apart, [`hints`] says what to do about them, [`report`] says what came of it. [`prompt`] is the loop of a user at a terminal, [`terminal`]
//! edits the line, [`complete`] completes it, [`help`] explains.

mod command;
mod complete;
mod help;
mod hints;
mod open;
mod parse;
#[cfg(test)]
mod parse_tests;
mod prompt;
mod report;
mod script;
mod session;
mod terminal;
mod trouble;
mod words;

use withy::{CommitOptions, Store};

use self::command::Line;
use self::report::Report;
use self::session::{Answer, Session, Setting};
use self::words::show_line;
use crate::app::App;
use crate::changes::Formats;
use crate::fail::{Failure, Outcome, Result};

/// Reads a script and keeps nothing; says whether it is one.
#[cfg(test)]
pub(crate) fn is_script(text: &[u8], formats: Formats) -> bool {
    script::read(text, formats).is_ok()
}

/// How a script is run.
pub(crate) struct Run {
    /// Whether to go on after an expectation that does not hold.
    pub(crate) keeps_going: bool,
    /// Whether to tell at the end what was done.
    pub(crate) tells_stats: bool,
}

/// A script that is ready to run.
pub(crate) struct Script {
    file: String,
    lines: Vec<Line>,
}

impl Script {
    /// Reads all of it; `file` is its name in errors.
    pub(crate) fn read(file: String, text: &[u8], app: &App) -> Result<Self> {
        let formats = Formats { key: app.key_format()?, value: app.value_format()? };
        match script::read(text, formats) {
            Ok(lines) => Ok(Self { file, lines }),
            Err(fault) => {
                Err(Failure::usage(format!("{file}:{}", fault.line), show_line(&fault.what))
                    .hint("see `withy help txn`; nothing was run"))
            }
        }
    }
}

/// Runs a script. What it leaves open is rolled back, however it ends.
pub(crate) fn run(script: Script, how: &Run, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let mut report = Report::new(Some(script.file), app)?;
    let mut session = Session::new(&store, setting(&store, &report, app)?);
    let mut outcome = Outcome::Done;
    for line in &script.lines {
        let done = session.perform(line);
        report.tell(line, &done)?;
        match done {
            Ok(Answer::Unmet(_)) => {
                outcome = Outcome::No;
                if !how.keeps_going {
                    break;
                }
            }
            Ok(_) => {}
            Err(e) => return Err(report.failure(line, e)),
        }
    }
    if outcome == Outcome::Done {
        report.warn_of_open(&session.open().collect::<Vec<_>>());
    }
    let met = session.met;
    // What is rolled back counts too.
    drop(session);
    report.end(met, how.tells_stats.then(|| store.work()))?;
    Ok(outcome)
}

/// Talks with a user at a terminal.
pub(crate) fn interact(app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let mut report = Report::new(None, app)?;
    let mut session = Session::new(&store, setting(&store, &report, app)?);
    let mut terminal = terminal::Terminal::new(&store)?;
    prompt::converse(&mut session, &mut terminal, &mut report)?;
    Ok(Outcome::Done)
}

fn setting(store: &Store, report: &Report, app: &App) -> Result<Setting> {
    let options = CommitOptions::default().author(app.author()).durability(app.durability()?);
    Ok(Setting { branch: app.branch(store)?, options, formats: report.formats() })
}

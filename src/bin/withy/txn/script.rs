//! A whole script, read and checked before any of it is run.

use std::collections::BTreeSet;

use super::command::{Command, Data, Line};
use super::parse;
use crate::changes::Formats;

/// What is wrong with a script, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

/// The commands of a script.
pub(super) fn read(text: &[u8], formats: Formats) -> Result<Vec<Line>, Fault> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let fault = |what| Fault { line: index + 1, what };
        let line = str::from_utf8(line).map_err(|_| fault("the line is not UTF-8".into()))?;
        lines.extend(parse::line(index + 1, line, formats).map_err(fault)?);
    }
    check(&lines)?;
    Ok(lines)
}

/// Which transactions are open is known before anything is run: a command that fails where it is not
/// expected to ends the script.
fn check(lines: &[Line]) -> Result<(), Fault> {
    let mut open = BTreeSet::new();
    let mut expects_trouble = false;
    for line in lines {
        let fault = |what: String| Err(Fault { line: line.number, what });
        if matches!(line.command, Command::Stats | Command::Help(_) | Command::Quit) {
            return fault(format!("`{}` is for use at the prompt", line.text));
        }
        if expects_trouble && line.command.is_expectation() {
            return fault("an error can be expected of commands, not of expectations".into());
        }
        let is_open = open.contains(&line.name);
        if !is_open && line.needs_open() {
            return fault(not_open(&line.name));
        }
        match &line.command {
            Command::Begin(_) if is_open => return fault(open_already(&line.name)),
            Command::Begin(_) if !expects_trouble => {
                open.insert(line.name.clone());
            }
            Command::Commit(_) | Command::Rollback => {
                open.remove(&line.name);
            }
            _ => {}
        }
        expects_trouble = matches!(line.command, Command::ExpectTrouble(_));
    }
    match lines.last() {
        Some(last) if expects_trouble => {
            let what = "the command that is expected to fail is missing".into();
            Err(Fault { line: last.number, what })
        }
        _ => Ok(()),
    }
}

pub(super) fn not_open(name: &str) -> String {
    match name {
        "" => "no transaction is open; `begin` opens one".into(),
        name => format!("no transaction {name} is open; `{name}: begin` opens it"),
    }
}

pub(super) fn open_already(name: &str) -> String {
    match name {
        "" => "a transaction is open already; another one needs a name, as in `t2: begin`".into(),
        name => format!("the transaction {name} is open already"),
    }
}

impl Line {
    /// Whether it makes sense in an open transaction only.
    pub(super) fn needs_open(&self) -> bool {
        // Else a wrong name would be a write outside any transaction.
        let has_name = !self.name.is_empty() && matches!(self.command, Command::Data(..));
        has_name || self.command.needs_open()
    }
}

impl Command {
    fn needs_open(&self) -> bool {
        match self {
            Self::Commit(_)
            | Self::Rollback
            | Self::Savepoint(_)
            | Self::RollbackTo(_)
            | Self::Release(_)
            | Self::Savepoints
            | Self::Lock { .. }
            | Self::Enqueue { .. }
            | Self::ExpectSavepoints(_)
            | Self::Data(_, Data::Get { for_update: true, .. }) => true,
            Self::Begin(_)
            | Self::Branch { .. }
            | Self::Data(..)
            | Self::ExpectTrouble(_)
            | Self::Stats
            | Self::Help(_)
            | Self::Quit => false,
        }
    }

    /// Whether it changes nothing and only says what has to be.
    pub(super) fn is_expectation(&self) -> bool {
        let is_of_data = |data: &Data| {
            matches!(data, Data::ExpectValue(..) | Data::ExpectCount(..) | Data::ExpectScan(..))
        };
        match self {
            Self::ExpectSavepoints(_) | Self::ExpectTrouble(_) => true,
            Self::Data(_, data) => is_of_data(data),
            _ => false,
        }
    }
}

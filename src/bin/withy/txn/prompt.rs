//! The loop of a user at a prompt, apart from the terminal.

use super::command::Command;
use super::report::Report;
use super::session::Session;
use super::words::show_line;
use super::{help, parse};
use crate::app::plural;
use crate::fail::{Failure, Result};
use crate::out::complain;

/// What a user typed.
pub(super) enum Input {
    Line(String),
    /// The line was given up.
    Cancelled,
    End,
}

/// Something that asks for lines.
pub(super) trait Ask {
    /// The next line, asked for with the prompt of the session.
    fn ask(&mut self, session: &Session<'_>) -> Result<Input>;
}

/// Does what is typed until the user ends it. An error is shown and ends nothing.
pub(super) fn converse(
    session: &mut Session<'_>,
    lines: &mut impl Ask,
    report: &mut Report,
) -> Result<()> {
    let mut number = 0;
    loop {
        let text = match lines.ask(session)? {
            Input::Line(text) => text,
            Input::Cancelled => continue,
            Input::End => break,
        };
        number += 1;
        let line = match parse::line(number, &text, report.formats()) {
            Ok(Some(line)) => line,
            Ok(None) => continue,
            Err(what) => {
                complain(&format!("error: {}\n", show_line(&what)));
                continue;
            }
        };
        match &line.command {
            Command::Quit => break,
            Command::Help(name) => match help::text(name.as_deref()) {
                Some(text) => report.say(&text)?,
                None => complain("error: there is no such command; `help` shows them all\n"),
            },
            _ => {
                let done = session.perform(&line);
                report.tell(&line, &done)?;
                if let Err(e) = done {
                    show(report.failure(&line, e))?;
                }
            }
        }
    }
    let open = session.open().count() as u64;
    if open > 0 {
        let text = format!("rolled back {}\n", plural(open, "transaction"));
        report.say(&text)?;
    }
    Ok(())
}

/// Shows an error; only a closed pipe ends the loop.
fn show(failure: Failure) -> Result<()> {
    match failure {
        Failure::PipeClosed => Err(Failure::PipeClosed),
        Failure::Error(report) => {
            complain(&report.lines());
            Ok(())
        }
    }
}

//! What is said of each command: lines for people, an object for programs.

use std::io::Write as _;

use serde_json::Value;
use withy::{Commit, Error, Work};

use super::command::{Command, Line};
use super::session::{Answer, Made, Unmet, show_count, show_found, show_names};
use super::trouble;
use super::words::{show_line, show_name};
use crate::app::{App, plural};
use crate::changes::Formats;
use crate::fail::{Failure, Result, from_library};
use crate::json::{self, Object};
use crate::out::{Out, Paint, complain};
use crate::text::{first_line, shorten};

/// Where the commands come from, and how what came of them is told.
pub(super) struct Report {
    /// The name of the script; none at the prompt.
    file: Option<String>,
    formats: Formats,
    pub(super) is_json: bool,
    is_quiet: bool,
    out: Out,
}

impl Report {
    pub(super) fn new(file: Option<String>, app: &App) -> Result<Self> {
        let formats = Formats { key: app.key_format()?, value: app.value_format()? };
        let (is_json, is_quiet) = (app.globals.json, app.globals.quiet);
        Ok(Self { file, formats, is_json, is_quiet, out: app.out()? })
    }

    pub(super) fn formats(&self) -> Formats {
        self.formats
    }

    /// Where a command stands: `FILE:LINE: COMMAND`.
    fn place(&self, line: &Line) -> String {
        let text = shorten(&show_line(&line.text), 80);
        match &self.file {
            Some(file) => format!("{file}:{}: {text}", line.number),
            None => text,
        }
    }

    /// Tells what came of a command.
    pub(super) fn tell(&mut self, line: &Line, done: &withy::Result<Answer>) -> Result<()> {
        if self.is_json {
            let object = self.object(line, done);
            self.out.json(&object.done())?;
        } else if let Ok(answer) = done {
            self.lines(line, answer)?;
        }
        self.out.flush()?;
        if let Ok(Answer::Unmet(Unmet { expected, found, .. })) = done
            && !self.is_json
        {
            let place = self.place(line);
            complain(&format!(
                "{place}: not as expected\n  expected: {expected}\n  found: {found}\n"
            ));
        }
        Ok(())
    }

    /// The error of a command, as it ends the script or is shown at the prompt.
    pub(super) fn failure(&self, line: &Line, e: Error) -> Failure {
        let failure = from_library(&e, self.place(line));
        match super::hints::of(&line.command, &e, self.file.is_some()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn lines(&mut self, line: &Line, answer: &Answer) -> Result<()> {
        let mut prefix =
            if line.name.is_empty() { String::new() } else { format!("{}: ", line.name) };
        if let (Command::Data(Some(branch), _), false) =
            (&line.command, matches!(answer, Answer::Committed(_)))
        {
            prefix.push_str(&format!("on {}: ", show_name(branch)));
        }
        let formats = self.formats;
        let mut say = |text: String| writeln!(self.out, "{prefix}{text}");
        match answer {
            Answer::Unmet(Unmet { done: Some(answer), .. }) => self.lines(line, answer)?,
            Answer::Done | Answer::Failed(_) | Answer::Unmet(_) => {}
            Answer::Value(key, value) => say(show_found(key, value.as_deref(), formats))?,
            Answer::Rows(rows) => {
                for (key, value) in rows {
                    say(show_found(key, Some(value), formats))?;
                }
            }
            Answer::Count(prefix, count) => say(show_count(prefix, *count, formats))?,
            Answer::Savepoints(names) => say(show_names(names))?,
            Answer::Locked(path, number) => {
                say(format!("locked {path}, fencing number {number}"))?;
            }
            Answer::Committed(_) | Answer::Branched(..) if self.is_quiet => {}
            Answer::Branched(name, head) => say(format!("created branch {name} at seq:{head}"))?,
            Answer::Committed(made) => {
                for (branch, one) in made {
                    let text = match one {
                        Made::Commit(commit) => told(branch, commit, &self.out),
                        Made::Same => {
                            format!("nothing to commit: {branch} has this content already")
                        }
                        Made::Nothing => "nothing to commit: it wrote nothing".to_owned(),
                    };
                    writeln!(self.out, "{prefix}{text}")?;
                }
            }
            Answer::Stats(work) => write!(self.out, "{}", in_words(*work))?,
        }
        Ok(())
    }

    fn object(&self, line: &Line, done: &withy::Result<Answer>) -> Object {
        let name = (!line.name.is_empty()).then_some(line.name.as_str());
        let object = Object::new()
            .with("line", line.number)
            .with_some("transaction", name)
            .with("command", line.text.as_str());
        match done {
            Err(e) => object.with("error", self.error(e)),
            Ok(answer) => self.members(object, line, answer),
        }
    }

    /// What came of a command.
    fn members(&self, object: Object, line: &Line, answer: &Answer) -> Object {
        let (formats, key) = (self.formats, self.formats.key);
        // Of what has to fail, the command on the next line says whether it did.
        let is_early = matches!(line.command, Command::ExpectTrouble(_));
        match answer {
            Answer::Done if line.command.is_expectation() && !is_early => object.with("met", true),
            Answer::Done => object,
            Answer::Value(name, value) => {
                object.bytes("key", name, key).maybe_bytes("value", value.as_deref(), formats.value)
            }
            Answer::Rows(rows) => {
                let row = |(name, value): &(Vec<u8>, Vec<u8>)| {
                    Object::new()
                        .bytes("key", name, key)
                        .bytes("value", value, formats.value)
                        .done()
                };
                object.with("rows", rows.iter().map(row).collect::<Vec<Value>>())
            }
            Answer::Count(prefix, count) => {
                object.bytes("prefix", prefix, key).with("count", *count)
            }
            Answer::Savepoints(names) => object.with("savepoints", names.clone()),
            Answer::Locked(path, number) => {
                object.with("path", path.as_str()).with("fencing_number", *number)
            }
            Answer::Branched(name, head) => {
                object.with("branch", name.as_str()).with("head", head.get())
            }
            Answer::Committed(made) => {
                let one = |(branch, one): &(String, Made)| {
                    let object = Object::new().with("branch", branch.as_str());
                    match one {
                        Made::Commit(commit) => object.with("commit", json::commit(commit)).done(),
                        Made::Same | Made::Nothing => object.with("unchanged", true).done(),
                    }
                };
                object.with("commits", made.iter().map(one).collect::<Vec<Value>>())
            }
            Answer::Stats(work) => object.with("stats", numbers(*work)),
            Answer::Failed(e) => object.with("met", true).with("error", self.error(e)),
            Answer::Unmet(unmet) => {
                let object = object
                    .with("met", false)
                    .with("expected", unmet.expected.as_str())
                    .with("found", unmet.found.as_str());
                match &unmet.done {
                    Some(answer) => self.members(object, line, answer),
                    None => object,
                }
            }
        }
    }

    fn error(&self, e: &Error) -> Object {
        let key = |key: &Vec<u8>| Object::new().bytes("key", key, self.formats.key).done();
        Object::new()
            .with("kind", trouble::name_of(e.kind()))
            .with("message", trouble::message(e))
            .with("keys", e.keys().iter().map(key).collect::<Vec<Value>>())
    }

    /// Text for whoever is at the prompt.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Tells that transactions were not finished.
    pub(super) fn warn_of_open(&self, names: &[&str]) {
        if names.is_empty() || self.is_quiet || self.is_json {
            return;
        }
        let named: Vec<_> = names.iter().filter(|name| !name.is_empty()).copied().collect();
        let named =
            if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        let text = match names.len() {
            1 => format!("a transaction was not committed and is rolled back{named}"),
            n => format!("{n} transactions were not committed and are rolled back{named}"),
        };
        complain(&format!("warning: {text}\n"));
    }

    /// Ends the report of a script.
    pub(super) fn end(mut self, met: u64, work: Option<Work>) -> Result<()> {
        if met > 0 && !self.is_json && !self.is_quiet {
            writeln!(self.out, "{} met", plural(met, "expectation"))?;
        }
        match work {
            Some(work) if self.is_json => {
                self.out.json(&Object::new().with("stats", numbers(work)).done())?;
            }
            Some(work) => write!(self.out, "{}", in_words(work))?,
            None => {}
        }
        self.out.finish()
    }
}

/// A commit in one line, as writing verbs tell it.
fn told(branch: &str, commit: &Commit, out: &Out) -> String {
    let id = out.paint(Paint::Id, format!("seq:{} {}", commit.seq, commit.id.short()));
    let message = first_line(&commit.message, 72);
    let space = if message.is_empty() { "" } else { " " };
    format!("[{branch} {id}]{space}{message} ({})", plural(commit.changes, "key"))
}

/// What came of transactions, one line for each number.
fn in_words(work: Work) -> String {
    let line = |(name, count): (&str, u64)| match name.strip_suffix("_micros") {
        Some(name) => format!("{name:9} {count} \u{b5}s\n"),
        None => format!("{name:9} {count}\n"),
    };
    counts(work).into_iter().map(line).collect()
}

fn numbers(work: Work) -> Object {
    counts(work).into_iter().fold(Object::new(), |object, (name, count)| object.with(name, count))
}

fn counts(work: Work) -> [(&'static str, u64); 9] {
    [
        ("begun", work.begun),
        ("committed", work.committed),
        ("aborted", work.aborted),
        ("active", work.active),
        ("conflicts", work.conflicts),
        ("average_micros", work.average_micros),
        ("longest_micros", work.longest_micros),
        ("p50_micros", work.p50_micros),
        ("p99_micros", work.p99_micros),
    ]
}

//! Doing commands: the open transactions, and what came of each command.

use std::collections::BTreeMap;

use withy::{
    Batch, Branch, BranchOptions, Commit, CommitOptions, Error, ErrorKind, Read, Result, Seq,
    Store, Work,
};

use super::command::{Command, Data, Line, Rows, Trouble};
use super::open::Open;
use super::script::{not_open, open_already};
use super::trouble;
use super::words::{show_name, show_value, show_word};
use crate::changes::Formats;
use crate::text::name_of;

/// What came of a command.
pub(super) enum Answer {
    /// It was done, or what it expects is so.
    Done,
    Value(Vec<u8>, Option<Vec<u8>>),
    Rows(Rows),
    Count(Vec<u8>, u64),
    Savepoints(Vec<String>),
    /// The fencing number of a lock.
    Locked(String, u64),
    /// What came of each branch.
    Committed(Vec<(String, Made)>),
    Branched(String, Seq),
    Stats(Work),
    /// It failed, as it was expected to.
    Failed(Error),
    /// What was found is not what was expected.
    Unmet(Unmet),
}

/// What a commit came to on a branch.
pub(super) enum Made {
    Commit(Box<Commit>),
    /// What was written was there already.
    Same,
    /// Nothing was written.
    Nothing,
}

/// An expectation that does not hold, for people.
pub(super) struct Unmet {
    pub(super) expected: String,
    pub(super) found: String,
    /// What came of a command that was to fail, and did not.
    pub(super) done: Option<Box<Answer>>,
}

/// Who commits where.
pub(super) struct Setting {
    /// The branch that is meant where none is named.
    pub(super) branch: String,
    /// Author and durability of commits.
    pub(super) options: CommitOptions,
    pub(super) formats: Formats,
}

/// The transactions of a script, or of a user at the prompt.
pub(super) struct Session<'s> {
    store: &'s Store,
    setting: Setting,
    open: BTreeMap<String, Open<'s>>,
    /// How the next command has to fail.
    expected: Option<Trouble>,
    /// How many expectations were met.
    pub(super) met: u64,
}

/// More rows than this are not shown, unless as many were expected.
const ROWS_SHOWN: usize = 20;

impl<'s> Session<'s> {
    pub(super) fn new(store: &'s Store, setting: Setting) -> Self {
        Self { store, setting, open: BTreeMap::new(), expected: None, met: 0 }
    }

    /// The names of the transactions that are open; that of the one without a name is empty.
    pub(super) fn open(&self) -> impl Iterator<Item = &str> {
        self.open.keys().map(String::as_str)
    }

    /// The savepoints of all open transactions.
    pub(super) fn savepoints(&self) -> Vec<String> {
        self.open.values().flat_map(Open::savepoints).collect()
    }

    /// Branch, transactions and savepoints, in short: `main*2 sp [t1*0]> `.
    pub(super) fn prompt(&self) -> String {
        let mut text = match self.open.get("") {
            None => self.setting.branch.clone(),
            Some(open) => {
                let mut text = format!("{}*{}", open.branch(), open.len());
                for name in open.savepoints().iter().rev().take(1) {
                    text.push(' ');
                    text.push_str(&show_name(name));
                }
                text
            }
        };
        let named = self.open.iter().filter(|(name, _)| !name.is_empty());
        let named: Vec<_> = named.map(|(name, open)| format!("{name}*{}", open.len())).collect();
        if !named.is_empty() {
            text.push_str(&format!(" [{}]", named.join(" ")));
        }
        if self.expected.is_some() {
            text.push_str(" (has to fail)");
        }
        text.push_str("> ");
        text
    }

    /// Does a command.
    ///
    /// # Errors
    /// What the command failed with, unless it was expected to. A commit that fails ends its
    /// transaction; after any other error it stays as it was.
    pub(super) fn perform(&mut self, line: &Line) -> Result<Answer> {
        if let Command::ExpectTrouble(trouble) = &line.command {
            self.expected = Some(trouble.clone());
            return Ok(Answer::Done);
        }
        let expected = self.expected.take();
        let done = self.execute(line);
        let Some(expected) = expected else {
            if line.command.is_expectation() && !matches!(done, Ok(Answer::Unmet(_)) | Err(_)) {
                self.met += 1;
            }
            return done;
        };
        let (found, done) = match done {
            Ok(Answer::Unmet(unmet)) => (format!("{}, and no error", unmet.found), None),
            // What it did stays done, so it is told.
            Ok(answer) => ("no error".into(), Some(Box::new(answer))),
            Err(e) if expected.fits(&e) => {
                self.met += 1;
                return Ok(Answer::Failed(e));
            }
            Err(e) if trouble::is_ordinary(&e) => {
                (trouble::found(&e, self.setting.formats.key), None)
            }
            // That the store is damaged is not the script's to judge.
            Err(e) => return Err(e),
        };
        let expected = expected.describe(self.setting.formats.key);
        Ok(Answer::Unmet(Unmet { expected, found, done }))
    }

    fn execute(&mut self, line: &Line) -> Result<Answer> {
        let is_open = self.open.contains_key(&line.name);
        if !is_open && line.needs_open() {
            return Err(Error::new(ErrorKind::Invalid, not_open(&line.name)));
        }
        match &line.command {
            Command::Begin(begin) => {
                if is_open {
                    return Err(Error::new(ErrorKind::Invalid, open_already(&line.name)));
                }
                let branch = begin.branch.as_ref().unwrap_or(&self.setting.branch);
                let open = Open::begin(self.store, branch, begin)?;
                self.open.insert(line.name.clone(), open);
            }
            Command::Commit(message) => return self.commit(line, message.as_deref()),
            Command::Rollback => drop(self.open.remove(&line.name)),
            Command::Branch { name, rev } => {
                let active = || format!("heads/{}", self.setting.branch);
                let rev = rev.clone().unwrap_or_else(active);
                self.store.create_branch(name, &rev, BranchOptions::default())?;
                let head = self.store.branch_info(name)?.head;
                return Ok(Answer::Branched(name.clone(), head));
            }
            Command::Stats => return Ok(Answer::Stats(self.store.work())),
            // They are for whoever reads the lines.
            Command::Help(_) | Command::Quit | Command::ExpectTrouble(_) => {}
            Command::Data(branch, data) => return self.data(line, branch.as_deref(), data),
            Command::Savepoint(_)
            | Command::RollbackTo(_)
            | Command::Release(_)
            | Command::Savepoints
            | Command::Lock { .. }
            | Command::Enqueue { .. }
            | Command::ExpectSavepoints(_) => {
                if let Some(open) = self.open.get_mut(&line.name) {
                    return inside(open, &line.command);
                }
            }
        }
        Ok(Answer::Done)
    }

    fn commit(&mut self, line: &Line, message: Option<&str>) -> Result<Answer> {
        let Some(open) = self.open.remove(&line.name) else { return Ok(Answer::Done) };
        let options = self.setting.options.clone().message(message.unwrap_or_default());
        Ok(Answer::Committed(open.commit(options)?))
    }

    fn data(&mut self, line: &Line, branch: Option<&str>, data: &Data) -> Result<Answer> {
        let formats = self.setting.formats;
        let Some(open) = self.open.get_mut(&line.name) else {
            return self.alone(branch.unwrap_or(&self.setting.branch), data);
        };
        match data {
            Data::Put(key, value) => open.put(branch, key, value)?,
            Data::Del(key) => open.delete(branch, key)?,
            Data::Get { key, for_update: true } => {
                return Ok(Answer::Value(key.clone(), open.get_for_update(branch, key)?));
            }
            _ => return open.read(branch, |from| read(from, data, formats)),
        }
        Ok(Answer::Done)
    }

    /// Outside any transaction: writes are commits.
    fn alone(&self, branch: &str, data: &Data) -> Result<Answer> {
        let handle: Branch = self.store.branch(branch)?;
        let mut batch = Batch::new();
        let message = match data {
            Data::Put(key, value) => {
                batch.put(key.as_slice(), value.as_slice());
                format!("put {}", name_of(key))
            }
            Data::Del(key) => {
                batch.delete(key.as_slice());
                format!("delete {}", name_of(key))
            }
            _ => return read(&handle, data, self.setting.formats),
        };
        let committed = handle.write(batch, self.setting.options.clone().message(message))?;
        let made = match committed.seq() {
            Some(seq) => Made::Commit(Box::new(self.store.commit(&format!("seq:{seq}"))?)),
            None => Made::Same,
        };
        Ok(Answer::Committed(vec![(branch.to_owned(), made)]))
    }
}

/// What is done to an open transaction, other than to its keys.
fn inside(open: &mut Open<'_>, command: &Command) -> Result<Answer> {
    match command {
        Command::Savepoint(name) => open.savepoint(name)?,
        Command::RollbackTo(name) => open.rollback_to(name)?,
        Command::Release(name) => open.release(name)?,
        Command::Savepoints => return Ok(Answer::Savepoints(open.savepoints())),
        Command::Lock { path, is_subtree, wait } => {
            let number = open.lock(path, *is_subtree, *wait)?;
            return Ok(Answer::Locked(path.clone(), number));
        }
        Command::Enqueue { topic, payload } => open.enqueue(topic, payload)?,
        Command::ExpectSavepoints(names) => {
            let found = open.savepoints();
            if found != *names {
                return Ok(unmet(show_names(names), show_names(&found)));
            }
        }
        _ => {}
    }
    Ok(Answer::Done)
}

/// Reads in a transaction, or outside any.
fn read(from: &dyn Read, data: &Data, formats: Formats) -> Result<Answer> {
    Ok(match data {
        Data::Get { key, .. } => Answer::Value(key.clone(), from.get(key)?),
        Data::Scan(prefix) => Answer::Rows(from.prefix(prefix)?.collect::<Result<_>>()?),
        Data::Count(prefix) => Answer::Count(prefix.clone(), count(from, prefix)?),
        Data::ExpectValue(key, value) => {
            let found = from.get(key)?;
            if found == *value {
                return Ok(Answer::Done);
            }
            let show = |value: &Option<Vec<u8>>| show_found(key, value.as_deref(), formats);
            unmet(show(value), show(&found))
        }
        Data::ExpectCount(prefix, number) => {
            let found = count(from, prefix)?;
            if found == *number {
                return Ok(Answer::Done);
            }
            let show = |number| show_count(prefix, number, formats);
            unmet(show(*number), show(found))
        }
        Data::ExpectScan(prefix, rows) => {
            let enough = rows.len().max(ROWS_SHOWN) + 1;
            let mut found = Vec::new();
            let mut all = from.prefix(prefix)?;
            for row in all.by_ref().take(enough) {
                found.push(row?);
            }
            if found == *rows {
                return Ok(Answer::Done);
            }
            let more = if found.len() == enough { " and more" } else { "" };
            let shown = found.get(..found.len().min(enough - 1)).unwrap_or_default();
            unmet(show_rows(rows, formats), show_rows(shown, formats) + more)
        }
        Data::Put(..) | Data::Del(_) => Answer::Done,
    })
}

fn count(from: &dyn Read, prefix: &[u8]) -> Result<u64> {
    from.count(&withy::KeyRange::prefix(prefix))
}

fn unmet(expected: String, found: String) -> Answer {
    Answer::Unmet(Unmet { expected, found, done: None })
}

/// A key with its value, as `expect` has it.
pub(super) fn show_found(key: &[u8], value: Option<&[u8]>, formats: Formats) -> String {
    let key = show_word(key, formats.key);
    match value {
        Some(value) => format!("{key} = {}", show_value(value, formats.value)),
        None => format!("{key} absent"),
    }
}

/// How many keys there are, as `expect` has it.
pub(super) fn show_count(prefix: &[u8], count: u64, formats: Formats) -> String {
    let space = if prefix.is_empty() { "" } else { " " };
    let prefix = if prefix.is_empty() { String::new() } else { show_word(prefix, formats.key) };
    format!("count{space}{prefix} = {count}")
}

fn show_rows(rows: &[(Vec<u8>, Vec<u8>)], formats: Formats) -> String {
    let one = |(key, value): &(Vec<u8>, Vec<u8>)| {
        format!("{}={}", show_word(key, formats.key), show_word(value, formats.value))
    };
    match rows {
        [] => "no keys".into(),
        rows => rows.iter().map(one).collect::<Vec<_>>().join(" "),
    }
}

/// Names of savepoints, as `expect` has them.
pub(super) fn show_names(names: &[String]) -> String {
    match names {
        [] => "no savepoints".into(),
        names => names.iter().map(|name| show_name(name)).collect::<Vec<_>>().join(" "),
    }
}

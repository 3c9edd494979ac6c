//! The line at the terminal: editing, history, completion.

use std::io;
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use withy::Store;

use super::complete::{Names, candidates};
use super::prompt::{Ask, Input};
use super::session::Session;
use crate::fail::{Code, Failure, Result};
use crate::out::complain;
use crate::settings::environment;

/// How many lines the history keeps.
const KEPT: usize = 1_000;

/// A terminal with a history.
pub(super) struct Terminal<'s> {
    editor: Editor<Known<'s>, FileHistory>,
    /// None if none is to be kept.
    history: Option<PathBuf>,
}

impl<'s> Terminal<'s> {
    pub(super) fn new(store: &'s Store) -> Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(KEPT)
            .map_err(|e| failed(&e))?
            .build();
        let mut editor = Editor::with_config(config).map_err(|e| failed(&e))?;
        let none = Vec::new;
        editor.set_helper(Some(Known { store, savepoints: none(), transactions: none() }));
        let history = history_file();
        if let Some(file) = &history {
            // There is none at first; one that cannot be read is told of when it is written.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    fn keep_history(&mut self) -> Result<(), ReadlineError> {
        let Some(file) = &self.history else { return Ok(()) };
        if let Some(dir) = file.parent().filter(|dir| !dir.exists()) {
            std::fs::create_dir_all(dir).map_err(ReadlineError::Io)?;
        }
        // Others may have added to it meanwhile.
        self.editor.append_history(file)
    }
}

impl Ask for Terminal<'_> {
    fn ask(&mut self, session: &Session<'_>) -> Result<Input> {
        if let Some(known) = self.editor.helper_mut() {
            known.savepoints = session.savepoints();
            let named = session.open().filter(|name| !name.is_empty());
            known.transactions = named.map(str::to_owned).collect();
        }
        let input = match self.editor.readline(&session.prompt()) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => return Ok(Input::Cancelled),
            Err(ReadlineError::Eof) => return Ok(Input::End),
            Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => {
                return Err(Failure::PipeClosed);
            }
            Err(e) => return Err(failed(&e)),
        };
        let added = self.editor.add_history_entry(input.as_str());
        // Kept at once, so that it is there whatever happens to this process.
        if let Err(e) = added.and_then(|_| self.keep_history()) {
            let file = self.history.take();
            let file = file.as_deref().unwrap_or(Path::new("")).display();
            complain(&format!("warning: the history is not kept in {file}: {e}\n"));
        }
        Ok(Input::Line(input))
    }
}

fn failed(e: &ReadlineError) -> Failure {
    Failure::new(Code::Other, "read the terminal", e.to_string())
}

/// Where the history is kept: `WITHY_HISTORY`, or a file among what programs remember. An empty
/// variable says that none is kept.
fn history_file() -> Option<PathBuf> {
    if std::env::var_os("WITHY_HISTORY").is_some() {
        return environment("WITHY_HISTORY").map(PathBuf::from);
    }
    let state = environment("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || environment("HOME").map(|home| Path::new(&home).join(".local/state"));
    state.or_else(home).map(|dir| dir.join("withy/history"))
}

/// What completion knows.
struct Known<'s> {
    store: &'s Store,
    savepoints: Vec<String>,
    transactions: Vec<String>,
}

impl Completer for Known<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let names = || Names {
            // Nothing is offered if they cannot be read.
            branches: self.store.branches().map_or_else(
                |_| Vec::new(),
                |all| all.into_iter().map(|branch| branch.name.to_string()).collect(),
            ),
            savepoints: self.savepoints.clone(),
            transactions: self.transactions.clone(),
        };
        Ok(candidates(line.get(..pos).unwrap_or(line), names))
    }
}

impl Hinter for Known<'_> {
    type Hint = String;
}
impl Highlighter for Known<'_> {}
impl Validator for Known<'_> {}
impl Helper for Known<'_> {}

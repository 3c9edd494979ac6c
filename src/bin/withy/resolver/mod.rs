//! Settling the conflicts of an open merge on the screen.
//!
//! [`state`] and [`keys`] know what is shown and what a key does, [`view`] draws it, [`panes`] compares
//! the values, [`edit`] opens an editor, [`session`] works on the store, [`screen`] holds the terminal.

mod edit;
mod keys;
mod panes;
mod screen;
mod session;
#[cfg(test)]
mod session_tests;
mod state;
#[cfg(test)]
mod state_tests;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::crossterm::event::{self, Event};
use withy::{CommitOptions, Store};

use self::screen::Screen;
use self::session::{Editor, End, Session, told};
use self::state::conflicts;
use self::view::Areas;
use crate::app::App;
use crate::changes::Formats;
use crate::fail::{Code, Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::merging::{no_merge, none_left};

/// Lets the user settle the conflicts of the merge that is open on a branch, and continue it. Every
/// resolution is stored as it is made.
pub(crate) fn run(store: &Store, branch: &str, app: &mut App) -> Result<Outcome> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if is_dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let cause = "standard input and output have to be a terminal";
        return Err(Failure::usage("settle conflicts on the screen", cause)
            .hint("settle them by options, see `withy help resolve`"));
    }
    let options = CommitOptions::default().durability(app.durability()?);
    let formats = Formats { key: app.key_format()?, value: app.value_format()? };
    let color = app.out()?.is_colored();
    let mut session = Session::new(store, branch, options, app.author(), formats)?;
    let end = {
        let mut screen = Screen::enter()?;
        interact(&mut session, &mut screen, color)?
    };
    conclude(end, store, branch, app)
}

fn conclude(end: End, store: &Store, branch: &str, app: &App) -> Result<Outcome> {
    match end {
        End::Quit(0) => {
            let object = Object::new().with("branch", branch).with("unresolved", 0);
            let open =
                store.open_merge(branch).doing(|| format!("read what is open on {branch}"))?;
            app.say(app.out()?, object, |_| match &open {
                Some(open) => format!("of the conflicts on {branch} {}", none_left(store, open)),
                None => no_merge(branch),
            })?;
            Ok(Outcome::Done)
        }
        End::Quit(left) => {
            app.deny(&format!("{} left on {branch}", conflicts(left)));
            Ok(Outcome::No)
        }
        End::Merged(report, title) => {
            let object = Object::new().with("branch", branch).with("head", report.head.get());
            app.say(app.out()?, object, |_| told(&report, &title))?;
            Ok(Outcome::Done)
        }
    }
}

fn interact(session: &mut Session<'_>, screen: &mut Screen, color: bool) -> Result<End> {
    let doing = || "read the terminal".to_owned();
    loop {
        show(session, screen.terminal(), color)?;
        let mut event = event::read().doing(doing)?;
        // Keys that are waiting already come first: drawing and reading values may take longer.
        loop {
            let mut editor = |offer: &edit::Offer| screen.lend(|| edit::run(offer));
            if let Some(end) = take(session, &event, &mut editor)? {
                return Ok(end);
            }
            if !event::poll(Duration::ZERO).doing(doing)? {
                break;
            }
            event = event::read().doing(doing)?;
        }
    }
}

/// Reads what is to be shown and draws it.
fn show<B: Backend>(
    session: &mut Session<'_>,
    terminal: &mut Terminal<B>,
    color: bool,
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::new(Code::Other, "write to the terminal", e.to_string())
    };
    let size = terminal.size().map_err(|e| failed(&e))?;
    let (list, pane) = Areas::of(size.into()).heights();
    session.state.resized(list, pane);
    session.read_panes()?;
    let (state, panes) = session.shown();
    terminal.draw(|frame| view::draw(frame, state, panes, color)).map_err(|e| failed(&e))?;
    Ok(())
}

/// Does what an event asks for; says how the resolver ends, if it does.
fn take(session: &mut Session<'_>, event: &Event, editor: &mut Editor<'_>) -> Result<Option<End>> {
    let Event::Key(key) = event else { return Ok(None) };
    match session.state.on(*key) {
        Some(action) => session.perform(action, editor),
        None => Ok(None),
    }
}

//! The terminal while the resolver has it, given back on every way out.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use crate::fail::{Doing as _, Result};

pub(super) type Crossterm = Terminal<CrosstermBackend<Stdout>>;

/// Whether the terminal is ours now; a panic may come from anywhere.
static HELD: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal in raw mode with a screen of its own; as it was, when this is dropped.
pub(super) struct Screen {
    terminal: Crossterm,
}

impl Screen {
    pub(super) fn enter() -> Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            // The message is to be seen after the other screen is gone.
            std::panic::set_hook(Box::new(move |info| {
                let _ = leave();
                before(info);
            }));
        });
        Ok(Self { terminal: enter().doing(doing)? })
    }

    pub(super) fn terminal(&mut self) -> &mut Crossterm {
        &mut self.terminal
    }

    /// Gives the terminal to another program for a while.
    pub(super) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        leave().doing(doing)?;
        let out = work();
        // Nothing is known of what is on the screen now.
        self.terminal = enter().doing(doing)?;
        Ok(out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is no other way to set it right.
        let _ = leave();
    }
}

fn doing() -> String {
    "set up the terminal".into()
}

fn enter() -> io::Result<Crossterm> {
    HELD.store(true, Ordering::SeqCst);
    let entered = enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All)))
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
    if entered.is_err() {
        let _ = leave();
    }
    entered
}

fn leave() -> io::Result<()> {
    if !HELD.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    let shown = execute!(io::stdout(), LeaveAlternateScreen, Show);
    disable_raw_mode().and(shown)
}

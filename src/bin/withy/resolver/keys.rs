//! What each key does: it changes the state, and may ask the session for an action.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::state::{Action, Choice, Focus, Mode, State, conflicts};

/// A move of the selection, or of a pane.
#[derive(Clone, Copy)]
enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
}

/// How many columns one step to the side is.
const COLUMNS: usize = 8;

impl State {
    /// Takes a key.
    pub(super) fn on(&mut self, key: KeyEvent) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Some(Action::Quit);
        }
        self.note = None;
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse if control => None,
            Mode::Browse => self.browse(key.code),
            Mode::Filter(before) => {
                self.type_filter(key, before);
                None
            }
            Mode::Ask(question) => match key.code {
                KeyCode::Char('y' | 'Y') => Some(question.action),
                _ => {
                    self.say("nothing is changed");
                    None
                }
            },
            Mode::Help => None,
        }
    }

    fn browse(&mut self, code: KeyCode) -> Option<Action> {
        match code {
            KeyCode::Char('o') => return self.settle(Choice::Ours),
            KeyCode::Char('t') => return self.settle(Choice::Theirs),
            KeyCode::Char('b') => return self.settle(Choice::Base),
            KeyCode::Char('d') => return self.settle(Choice::Delete),
            KeyCode::Char('O') => self.ask_for_all(Choice::Ours),
            KeyCode::Char('T') => self.ask_for_all(Choice::Theirs),
            KeyCode::Char('e') => return self.selected().map(Action::Edit),
            KeyCode::Char('u') => return self.unsettle(),
            KeyCode::Char('c') => return self.go_on(),
            KeyCode::Char('q') => return self.quit(),
            KeyCode::Char('n') => self.next_unresolved(),
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter(self.filter.clone()),
            KeyCode::Esc => {
                self.filter.clear();
                self.apply_filter();
            }
            KeyCode::Tab => self.turn_focus(1),
            KeyCode::BackTab => self.turn_focus(3),
            KeyCode::Char('J') => (0..3).for_each(|pane| self.scroll(pane, Step::Down)),
            KeyCode::Char('K') => (0..3).for_each(|pane| self.scroll(pane, Step::Up)),
            _ => {
                if let Some(step) = step_of(code) {
                    self.go(step);
                }
            }
        }
        None
    }

    fn settle(&mut self, choice: Choice) -> Option<Action> {
        let row = self.selected()?;
        if choice == Choice::Base && self.rows[row].bases_differ {
            self.warn("the merge bases disagree, so there is no base value to take");
            return None;
        }
        Some(Action::Settle(vec![row], choice))
    }

    fn unsettle(&mut self) -> Option<Action> {
        let row = self.selected()?;
        if self.rows[row].settled.is_none() {
            self.say("it is not settled");
            return None;
        }
        Some(Action::Unsettle(row))
    }

    /// Asks before many are settled at once; what is settled already stays as it is.
    fn ask_for_all(&mut self, choice: Choice) {
        let open = |row: &usize| self.rows[*row].settled.is_none();
        let rows: Vec<usize> = self.shown.iter().copied().filter(open).collect();
        if rows.is_empty() {
            self.say("there is nothing to settle");
            return;
        }
        let which = match self.filter.is_empty() {
            true => String::new(),
            false => format!(" with {:?} in the key", self.filter),
        };
        let text = format!("Take {} for {}{which}?", choice.name(), conflicts(rows.len()));
        self.ask(text, Action::Settle(rows, choice));
    }

    fn go_on(&mut self) -> Option<Action> {
        if self.left == 0 {
            return Some(Action::Continue);
        }
        self.warn(format!("{} not settled yet; n goes to the next", conflicts(self.left)));
        None
    }

    fn quit(&mut self) -> Option<Action> {
        if self.drafts.is_empty() {
            return Some(Action::Quit);
        }
        let texts = crate::app::plural(self.drafts.len() as u64, "edited text");
        self.ask(format!("Give up {texts} with conflict markers?"), Action::Quit);
        None
    }

    fn type_filter(&mut self, key: KeyEvent, before: String) {
        match key.code {
            KeyCode::Enter => return,
            KeyCode::Esc => {
                self.filter = before;
                self.apply_filter();
                return;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.filter.clear();
            }
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.filter.push(c);
            }
            _ => {}
        }
        self.apply_filter();
        self.mode = Mode::Filter(before);
    }

    fn turn_focus(&mut self, by: usize) {
        let now = match self.focus {
            Focus::List => 0,
            Focus::Pane(pane) => pane + 1,
        };
        self.focus = match (now + by) % 4 {
            0 => Focus::List,
            next => Focus::Pane(next - 1),
        };
    }

    fn go(&mut self, step: Step) {
        match (self.focus, step) {
            (Focus::Pane(pane), _) => self.scroll(pane, step),
            (Focus::List, Step::Left | Step::Right) => {
                (0..3).for_each(|pane| self.scroll(pane, step));
            }
            (Focus::List, _) => {
                let last = self.shown.len().saturating_sub(1);
                self.cursor = stepped(self.cursor, step, self.list_height).min(last);
                self.moved();
            }
        }
    }

    fn scroll(&mut self, pane: usize, step: Step) {
        let (lines, columns) = self.extents[pane];
        let page = self.pane_height;
        let offset = &mut self.offsets[pane];
        match step {
            Step::Left => offset.column = offset.column.saturating_sub(COLUMNS),
            Step::Right if offset.column + COLUMNS < columns => offset.column += COLUMNS,
            Step::Right => {}
            _ => offset.line = stepped(offset.line, step, page).min(lines.saturating_sub(page)),
        }
    }
}

/// Where a step up or down leads.
fn stepped(from: usize, step: Step, page: usize) -> usize {
    match step {
        Step::Up => from.saturating_sub(1),
        Step::Down => from + 1,
        Step::PageUp => from.saturating_sub(page),
        Step::PageDown => from + page,
        Step::First => 0,
        Step::Last => usize::MAX,
        Step::Left | Step::Right => from,
    }
}

fn step_of(code: KeyCode) -> Option<Step> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => Step::Up,
        KeyCode::Down | KeyCode::Char('j') => Step::Down,
        KeyCode::PageUp => Step::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Step::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Step::First,
        KeyCode::End | KeyCode::Char('G') => Step::Last,
        KeyCode::Left | KeyCode::Char('h') => Step::Left,
        KeyCode::Right | KeyCode::Char('l') => Step::Right,
        _ => return None,
    })
}

//! What the resolver shows, and what of it is selected. It knows no store and no terminal.

use std::collections::BTreeMap;

use withy::ConflictKind;

use crate::app::plural;
use crate::text::Format;

/// What a conflict was settled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Ours,
    Theirs,
    Base,
    Delete,
    Value,
}

impl Choice {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Base => "base",
            Self::Delete => "delete",
            Self::Value => "value",
        }
    }

    /// What stands in front of a settled conflict: the key that settled it.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Ours => "[o]",
            Self::Theirs => "[t]",
            Self::Base => "[b]",
            Self::Delete => "[d]",
            Self::Value => "[e]",
        }
    }
}

/// One conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Vec<u8>,
    pub(super) kind: ConflictKind,
    /// How it is settled, and by whom.
    pub(super) settled: Option<(Choice, String)>,
    /// Whether there are several base values, so that none can be taken.
    pub(super) bases_differ: bool,
    /// Which driver could not merge it, and why.
    pub(super) refused: Option<String>,
}

/// What the session is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Settle these rows by taking a side, or by deleting the key.
    Settle(Vec<usize>, Choice),
    /// Settle a row by this value.
    Store(usize, Vec<u8>),
    /// Take the resolution of a row back.
    Unsettle(usize),
    /// Open the editor on a row.
    Edit(usize),
    Continue,
    Quit,
}

/// A question that y answers with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) action: Action,
}

/// Who gets the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// The filter is being typed; Esc brings this one back.
    Filter(String),
    Ask(Question),
    Help,
}

/// What moves with the arrow keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    /// The pane of base, ours or theirs: 0, 1, 2.
    Pane(usize),
}

/// A line for the user, below everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// How far a pane is scrolled, in lines and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Offset {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Everything that is shown, but for the values.
#[derive(Debug)]
pub(super) struct State {
    /// What is going on, as `merge of topic into main`.
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// The rows that the filter lets through.
    pub(super) shown: Vec<usize>,
    /// Which of those is selected, and which is the first on the screen.
    pub(super) cursor: usize,
    pub(super) top: usize,
    /// How many rows are not settled.
    pub(super) left: usize,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) focus: Focus,
    pub(super) offsets: [Offset; 3],
    pub(super) note: Option<Note>,
    /// Edited texts that could not be stored, by key.
    pub(super) drafts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How keys are written.
    pub(super) keys: Format,
    /// How many rows the list has on the screen, and how many lines a pane.
    pub(super) list_height: usize,
    pub(super) pane_height: usize,
    /// How many lines there are in each pane, and the longest of them.
    pub(super) extents: [(usize, usize); 3],
}

impl State {
    pub(super) fn new(title: String, rows: Vec<Row>, keys: Format) -> Self {
        let mut state = Self {
            title: String::new(),
            rows: Vec::new(),
            shown: Vec::new(),
            cursor: 0,
            top: 0,
            left: 0,
            filter: String::new(),
            mode: Mode::Browse,
            focus: Focus::List,
            offsets: [Offset::default(); 3],
            note: None,
            drafts: BTreeMap::new(),
            keys,
            list_height: 1,
            pane_height: 1,
            extents: [(0, 0); 3],
        };
        state.load(title, rows);
        state
    }

    /// Shows other conflicts; the filter stays, and the selected key if it is still there.
    pub(super) fn load(&mut self, title: String, rows: Vec<Row>) {
        let selected = self.selected().map(|row| self.rows[row].key.clone());
        self.title = title;
        self.left = rows.iter().filter(|row| row.settled.is_none()).count();
        self.rows = rows;
        self.apply_filter();
        let place =
            selected.and_then(|key| self.shown.iter().position(|&row| self.rows[row].key == key));
        self.cursor = place.unwrap_or(0);
        self.moved();
    }

    /// The selected row.
    pub(super) fn selected(&self) -> Option<usize> {
        self.shown.get(self.cursor).copied()
    }

    /// A key as it is shown.
    pub(super) fn name(&self, row: usize) -> String {
        self.keys.show(&self.rows[row].key)
    }

    /// Tells the user something.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.note = Some(Note { text: text.into(), is_error: false });
    }

    /// Tells the user what could not be done.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.note = Some(Note { text: text.into(), is_error: true });
    }

    /// Asks before something is done.
    pub(super) fn ask(&mut self, text: impl Into<String>, action: Action) {
        self.mode = Mode::Ask(Question { text: text.into(), action });
    }

    /// Notes that rows were settled, or that their resolutions were taken back.
    pub(super) fn settled(&mut self, rows: &[usize], how: Option<(Choice, &str)>) {
        for &row in rows {
            let row = &mut self.rows[row];
            self.left = self.left + usize::from(row.settled.is_some()) - 1;
            row.settled = how.map(|(choice, by)| (choice, by.to_owned()));
            self.left += usize::from(row.settled.is_none());
            self.drafts.remove(&row.key);
        }
        match (rows, how) {
            (&[row], Some((choice, _))) => {
                self.say(format!("{}: {}{}", self.name(row), choice.name(), self.rest()));
            }
            (&[row], None) => self.say(format!("{}: not settled any more", self.name(row))),
            (_, how) => {
                let what = how.map_or("no resolution", |(choice, _)| choice.name());
                self.say(format!("{what} for {}{}", conflicts(rows.len()), self.rest()));
            }
        }
    }

    fn rest(&self) -> &'static str {
        if self.left == 0 { "; none is left, c continues" } else { "" }
    }

    /// Keeps the rows whose key has the filter's text in it.
    pub(super) fn apply_filter(&mut self) {
        let selected = self.selected();
        let passes = |row: &usize| {
            self.filter.is_empty() || self.keys.show(&self.rows[*row].key).contains(&self.filter)
        };
        self.shown = (0..self.rows.len()).filter(passes).collect();
        let place = selected.and_then(|row| self.shown.binary_search(&row).ok());
        self.cursor = place.unwrap_or(0);
        self.moved();
    }

    /// Goes to the next conflict that is not settled, round the end.
    pub(super) fn next_unresolved(&mut self) {
        let count = self.shown.len();
        let all = (1..=count).map(|step| (self.cursor + step) % count);
        let open = |place: &usize| self.rows[self.shown[*place]].settled.is_none();
        match all.into_iter().find(open) {
            Some(place) => {
                self.cursor = place;
                self.moved();
            }
            None if self.left == 0 => self.say("no conflict is left; c continues"),
            None => self.say("no conflict is left among these; Esc shows all of them"),
        }
    }

    /// The selection has changed: panes start at their top, and the list shows where it is.
    pub(super) fn moved(&mut self) {
        self.offsets = [Offset::default(); 3];
        self.keep_in_sight();
    }

    /// Takes over the size of the screen.
    pub(super) fn resized(&mut self, list_height: usize, pane_height: usize) {
        self.list_height = list_height.max(1);
        self.pane_height = pane_height.max(1);
        self.keep_in_sight();
    }

    fn keep_in_sight(&mut self) {
        let lowest = (self.cursor + 1).saturating_sub(self.list_height);
        let last_top = self.shown.len().saturating_sub(self.list_height);
        self.top = self.top.clamp(lowest, self.cursor.max(lowest)).min(last_top);
    }
}

/// `1 conflict`, `2 conflicts`.
pub(super) fn conflicts(count: usize) -> String {
    plural(count as u64, "conflict")
}

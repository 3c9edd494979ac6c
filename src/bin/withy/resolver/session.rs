//! What the resolver does to the store: it reads conflicts and values, and stores each resolution at once.

use withy::{
    CommitOptions, Conflict, ConflictSide, ErrorKind, KeyRange, MergeAction, MergeOutcome,
    MergeReport, OpenConflict, OpenMerge, Resolution, Store,
};

use super::edit::{self, Edited, Offer, Verdict};
use super::panes::{Pane, Version, Versions, panes};
use super::state::{Action, Choice, Row, State, conflicts};
use crate::app::plural;
use crate::changes::Formats;
use crate::fail::{Doing as _, Result};
use crate::merged::settled_by;
use crate::text::{Format, name_of, shorten};

/// Runs an editor on a text, with the terminal to itself.
pub(super) type Editor<'e> = dyn FnMut(&Offer) -> Result<Edited> + 'e;

/// How the resolver ended.
#[derive(Debug)]
pub(super) enum End {
    /// The user has left it; so many conflicts are not settled.
    Quit(usize),
    /// The merge was continued, and that was the end of it.
    Merged(Box<MergeReport>, String),
}

/// One open merge on the screen.
pub(super) struct Session<'s> {
    store: &'s Store,
    branch: &'s str,
    options: CommitOptions,
    /// Who settles; the store writes the same name.
    author: String,
    /// How values are written.
    values: Format,
    pub(super) state: State,
    /// The conflicts, by row.
    conflicts: Vec<Conflict>,
    /// What the incoming side is called.
    source: String,
    /// The panes, and the row that they are of.
    panes: Option<(usize, [Pane; 3])>,
}

impl<'s> Session<'s> {
    pub(super) fn new(
        store: &'s Store,
        branch: &'s str,
        options: CommitOptions,
        author: String,
        formats: Formats,
    ) -> Result<Self> {
        let mut session = Self {
            store,
            branch,
            options,
            author,
            values: formats.value,
            state: State::new(String::new(), Vec::new(), formats.key),
            conflicts: Vec::new(),
            source: String::new(),
            panes: None,
        };
        session.load()?;
        Ok(session)
    }

    /// Reads the conflicts as they are now.
    fn load(&mut self) -> Result<()> {
        let doing = || format!("read the conflicts on {}", self.branch);
        let mut all = self.store.conflicts(self.branch, &KeyRange::all()).doing(doing)?;
        let open = self.store.open_merge(self.branch).doing(doing)?;
        // Of a series of commits, what earlier ones brought can no longer be settled anew.
        let at = all.iter().map(|one| one.at).max();
        all.retain(|one| Some(one.at) == at);
        let title = open.as_ref().map(title).unwrap_or_default();
        self.source = open.map(|open| open.source).unwrap_or_default();
        self.state.load(title, all.iter().map(row).collect());
        self.conflicts = all.into_iter().map(|one| one.conflict).collect();
        self.panes = None;
        Ok(())
    }

    /// Reads the values of the selected conflict, unless that is done.
    pub(super) fn read_panes(&mut self) -> Result<()> {
        let selected = self.state.selected();
        if self.panes.as_ref().map(|(row, _)| *row) == selected {
            return Ok(());
        }
        self.panes = None;
        if let Some(row) = selected {
            let panes = panes(&self.versions(row)?, self.values);
            self.state.extents = [0, 1, 2].map(|pane| panes[pane].extent());
            self.panes = Some((row, panes));
        }
        Ok(())
    }

    /// What is on the screen.
    pub(super) fn shown(&self) -> (&State, Option<&[Pane; 3]>) {
        (&self.state, self.panes.as_ref().map(|(_, panes)| panes))
    }

    /// Reads the values of a conflict.
    fn versions(&self, row: usize) -> Result<Versions> {
        let conflict = &self.conflicts[row];
        let read = |side: ConflictSide, name: &str| -> Result<(String, Version)> {
            let title = match side.at {
                Some(at) => format!("{name} seq:{at}"),
                None => name.to_owned(),
            };
            let version = match (side.hash, side.at) {
                (None, _) => Version::Absent,
                (Some(_), None) => Version::Lost,
                (Some(_), Some(_)) => {
                    let doing = || format!("read {}", name_of(&conflict.key));
                    let value = self.store.conflict_value(conflict, side).doing(doing)?;
                    value.map_or(Version::Absent, Version::Value)
                }
            };
            Ok((title, version))
        };
        let bases = conflict.bases.iter().map(|&base| read(base, "base")).collect::<Result<_>>()?;
        let ours = read(conflict.ours, &format!("ours: {}", self.branch))?;
        let theirs = read(conflict.theirs, &format!("theirs: {}", self.source))?;
        Ok(Versions { bases, ours, theirs })
    }

    /// Does what a key has asked for; says how the resolver ends, if it does.
    pub(super) fn perform(
        &mut self,
        action: Action,
        editor: &mut Editor<'_>,
    ) -> Result<Option<End>> {
        match action {
            Action::Settle(rows, choice) => {
                let resolution = match choice {
                    Choice::Ours => Resolution::Ours,
                    Choice::Theirs => Resolution::Theirs,
                    Choice::Base => Resolution::Base,
                    Choice::Delete => Resolution::Delete,
                    // Each row has a value of its own: that is `Store`.
                    Choice::Value => return Ok(None),
                };
                self.settle(&rows, &resolution, choice)?;
            }
            Action::Store(row, value) => {
                self.settle(&[row], &Resolution::Value(value), Choice::Value)?;
            }
            Action::Unsettle(row) => self.unsettle(row)?,
            Action::Edit(row) => self.edit(row, editor)?,
            Action::Continue => return self.go_on(),
            Action::Quit => return Ok(Some(End::Quit(self.state.left))),
        }
        Ok(None)
    }

    fn settle(&mut self, rows: &[usize], resolution: &Resolution, choice: Choice) -> Result<()> {
        let made = rows.iter().map(|&row| (self.conflicts[row].key.clone(), resolution.clone()));
        let result = self.store.resolve_conflicts(self.branch, made, None);
        self.stored(result, rows, Some(choice))
    }

    fn unsettle(&mut self, row: usize) -> Result<()> {
        let range = KeyRange::key(self.conflicts[row].key.clone());
        let result = self.store.resolve_range(self.branch, &range, None, None);
        self.stored(result, &[row], None)
    }

    /// Shows what was stored, or why nothing was.
    fn stored(
        &mut self,
        result: withy::Result<u64>,
        rows: &[usize],
        choice: Option<Choice>,
    ) -> Result<()> {
        match result {
            Ok(_) => self.state.settled(rows, choice.map(|choice| (choice, &*self.author))),
            Err(e) if is_refusal(e.kind()) => {
                self.load()?;
                self.state.warn(e.to_string());
            }
            Err(e) => return Err(e).doing(|| "store the resolution".into()),
        }
        Ok(())
    }

    fn edit(&mut self, row: usize, editor: &mut Editor<'_>) -> Result<()> {
        let key = self.conflicts[row].key.clone();
        let versions = self.versions(row)?;
        let mut offer = match edit::offer(&key, &versions, (self.branch, &self.source)) {
            Ok(offer) => offer,
            Err(why) => {
                self.state.warn(why);
                return Ok(());
            }
        };
        if let Some(draft) = self.state.drafts.get(&key) {
            offer.text.clone_from(draft);
        } else if let Some(value) = self.edited_before(row)? {
            offer.text = value;
        }
        let text = match editor(&offer)? {
            Edited::Text(text) => text,
            Edited::Failed(why) => {
                self.state.warn(why);
                return Ok(());
            }
        };
        match edit::judge(&offer, text) {
            Verdict::Store(value) => {
                self.settle(&[row], &Resolution::Value(value), Choice::Value)?;
            }
            Verdict::Ask(text, value) => self.state.ask(text, Action::Store(row, value)),
            Verdict::Unfinished(text) => {
                self.state.drafts.insert(key, text);
                self.state.warn("conflict markers are left, nothing is stored; e goes on with it");
            }
        }
        Ok(())
    }

    /// The value that a row was settled to by hand.
    fn edited_before(&self, row: usize) -> Result<Option<Vec<u8>>> {
        if self.state.rows[row].settled.as_ref().is_none_or(|(how, _)| *how != Choice::Value) {
            return Ok(None);
        }
        let range = KeyRange::key(self.conflicts[row].key.clone());
        let doing = || format!("read the conflicts on {}", self.branch);
        let found = self.store.conflicts(self.branch, &range).doing(doing)?;
        Ok(found.into_iter().next_back().and_then(|one| match one.resolution?.resolution {
            Resolution::Value(value) => Some(value),
            _ => None,
        }))
    }

    fn go_on(&mut self) -> Result<Option<End>> {
        let before = self.conflicts.first().cloned();
        let report = match self.store.continue_merge(self.branch, self.options.clone()) {
            Ok(report) => report,
            Err(e) if is_refusal(e.kind()) => {
                self.load()?;
                self.state.warn(e.to_string());
                return Ok(None);
            }
            Err(e) => return Err(e).doing(|| self.state.title.clone()),
        };
        if report.outcome != MergeOutcome::Conflicts {
            return Ok(Some(End::Merged(Box::new(report), self.state.title.clone())));
        }
        self.load()?;
        let next = match report.stopped_at {
            Some(at) if before.is_none_or(|one| one.theirs.at != Some(at)) => {
                format!(" of seq:{at}")
            }
            _ => String::new(),
        };
        let count = report.conflicts.len();
        self.state.warn(format!("{}{next} came up, so it is not done yet", conflicts(count)));
        Ok(None)
    }
}

/// Whether the store only said no: the session goes on.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Precondition | ErrorKind::Invalid | ErrorKind::Limit | ErrorKind::Conflict
    )
}

/// What is going on, as `merge of topic into main`.
fn title(open: &OpenMerge) -> String {
    let source = shorten(&name_of(open.source.as_bytes()), 40);
    let (action, target) = (open.action, &open.target);
    match action {
        MergeAction::Rebase => format!("rebase of {target} onto {source}"),
        MergeAction::CherryPick | MergeAction::Revert => {
            format!("{action} of {source} on {target}")
        }
        _ => format!("{action} of {source} into {target}"),
    }
}

fn row(one: &OpenConflict) -> Row {
    let settled = one.resolution.as_ref().map(|made| {
        let choice = match made.resolution {
            Resolution::Ours => Choice::Ours,
            Resolution::Theirs => Choice::Theirs,
            Resolution::Base => Choice::Base,
            Resolution::Value(_) => Choice::Value,
            Resolution::Delete => Choice::Delete,
        };
        (choice, made.by.clone())
    });
    Row {
        key: one.conflict.key.clone(),
        kind: one.conflict.kind,
        settled,
        bases_differ: one.conflict.bases.len() > 1,
        refused: one.conflict.refused.as_ref().map(|(driver, why)| format!("{driver}: {why}")),
    }
}

/// What a merge came to.
pub(super) fn told(report: &MergeReport, title: &str) -> String {
    match report.outcome {
        MergeOutcome::UpToDate => format!("{title}: there was nothing left to do"),
        MergeOutcome::FastForward => format!("{title}: moved to seq:{}", report.head),
        MergeOutcome::Conflicts => format!("{title}: {} left", conflicts(report.conflicts.len())),
        _ => {
            let commits = plural(report.commits.len() as u64, "commit");
            let counts = report.changes.unwrap_or_default();
            let keys = plural(counts.added + counts.modified + counts.deleted, "key");
            let told = format!("{title}: {commits}, {keys} changed, now at seq:{}", report.head);
            let by = settled_by(&report.settled).into_iter().map(|line| format!("\n {line}"));
            told + &by.collect::<String>()
        }
    }
}

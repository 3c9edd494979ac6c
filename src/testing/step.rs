//! What a scenario consists of.

use crate::merge::{FastForward, KeyPattern};
use crate::name::BranchName;
use crate::sides::{Resolution, Strategy};

/// A section of the file.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum What {
    /// A commit; without changes, only the branch.
    Commit {
        branch: BranchName,
        from: Option<String>,
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    Reset {
        branch: BranchName,
        to: String,
    },
    Operate(Action, Vec<Setting>),
}

/// An operation that is reported.
#[derive(Clone)]
pub(super) enum Action {
    Merge { source: String, target: BranchName },
    Squash { source: String, target: BranchName },
    Pick { revs: Vec<String>, target: BranchName },
    Revert { revs: Vec<String>, target: BranchName },
    Rebase { branch: BranchName, onto: String },
    Continue { branch: BranchName },
    Abort { branch: BranchName },
}

impl Action {
    /// The branch that it is done to.
    pub(super) fn target(&self) -> &BranchName {
        match self {
            Self::Merge { target, .. }
            | Self::Squash { target, .. }
            | Self::Pick { target, .. }
            | Self::Revert { target, .. } => target,
            Self::Rebase { branch, .. } | Self::Continue { branch } | Self::Abort { branch } => {
                branch
            }
        }
    }

    /// The revs that it names.
    pub(super) fn revs(&self) -> &[String] {
        match self {
            Self::Merge { source, .. } | Self::Squash { source, .. } => {
                std::slice::from_ref(source)
            }
            Self::Rebase { onto, .. } => std::slice::from_ref(onto),
            Self::Pick { revs, .. } | Self::Revert { revs, .. } => revs,
            Self::Continue { .. } | Self::Abort { .. } => &[],
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Merge { source, target } => write!(f, "merge {source} into {target}"),
            Self::Squash { source, target } => write!(f, "squash {source} into {target}"),
            Self::Pick { revs, target } => write!(f, "pick {} onto {target}", revs.join(" ")),
            Self::Revert { revs, target } => write!(f, "revert {} on {target}", revs.join(" ")),
            Self::Rebase { branch, onto } => write!(f, "rebase {branch} onto {onto}"),
            Self::Continue { branch } => write!(f, "continue {branch}"),
            Self::Abort { branch } => write!(f, "abort {branch}"),
        }
    }
}

/// A line of an operation: what it is about, and one or several choices, each with its word.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) choices: Vec<(String, Choice)>,
}

#[derive(Clone)]
pub(super) enum Choice {
    Strategy(Option<KeyPattern>, Strategy),
    Driver(KeyPattern, Option<String>),
    Resolve(Vec<u8>, Resolution),
    FastForward(FastForward),
    Strict(bool),
    KeepOpen(bool),
    Quiet(bool),
    /// Whether source and target are changed over.
    Back(bool),
    Mainline(u32),
}

/// The settings with several choices: step, setting, number of choices.
#[derive(Clone, Default)]
pub(super) struct Matrix(Vec<(usize, usize, usize)>);

/// More cells than anyone reads.
const MAX_CELLS: usize = 1_000;

impl Matrix {
    /// Of these steps; the line of the setting that makes it too large, if one does.
    pub(super) fn of(steps: &[Step]) -> Result<Self, usize> {
        let mut out = Vec::new();
        let mut cells = 1_usize;
        for (i, step) in steps.iter().enumerate() {
            let What::Operate(_, settings) = &step.what else { continue };
            for (k, setting) in settings.iter().enumerate() {
                let choices = setting.choices.len();
                cells = cells.saturating_mul(choices);
                if cells > MAX_CELLS {
                    return Err(step.line);
                }
                if choices > 1 {
                    out.push((i, k, choices));
                }
            }
        }
        Ok(Self(out))
    }

    /// The number of cells; the first setting changes slowest.
    pub(super) fn cells(&self) -> usize {
        self.0.iter().map(|(_, _, choices)| choices).product()
    }

    /// Which choice of a setting is made in a cell.
    pub(super) fn choice(&self, cell: usize, step: usize, setting: usize) -> usize {
        let mut rest = cell;
        for &(i, k, choices) in self.0.iter().rev() {
            if (i, k) == (step, setting) {
                return rest % choices;
            }
            rest /= choices;
        }
        0
    }

    /// What a cell is called; empty if there is but one.
    pub(super) fn title(&self, steps: &[Step], cell: usize) -> String {
        let mut out = Vec::new();
        for &(i, k, _) in &self.0 {
            if let Some(What::Operate(_, settings)) = steps.get(i).map(|step| &step.what)
                && let Some(setting) = settings.get(k)
                && let Some((word, _)) = setting.choices.get(self.choice(cell, i, k))
            {
                out.push(format!("{} {word}", setting.name));
            }
        }
        out.join(", ")
    }
}

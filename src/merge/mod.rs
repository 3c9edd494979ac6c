//! Merging: three values a key, planned from what changed, decided by policy, landed by `publish`.
//!
//! `policy` says what decides, `plan` what a merge comes to; it cannot write. `run` drafts and lands merges and squashes,
//! `replay` cherry-picks, reverts and rebases; `open` is what is stored of those that have stopped, and
//! `waiting` what people do with them.

mod bases;
mod conflict;
mod driver;
mod open;
mod options;
mod plan;
mod planned;
mod policy;
mod replay;
mod report;
mod run;
mod tally;
mod waiting;

pub use conflict::{Conflict, ConflictSide, MergeAction, MergeDetails, Settled, SettledBy};
pub(crate) use driver::Registry;
pub use driver::{
    DriverInput, DriverResult, MarkerLabels, MergeDriver, TextMerge, driver_fn, drivers,
    has_markers, merge_text,
};
pub use open::{OpenConflict, OpenMerge, OpenResolution};
pub use options::{ContinueOptions, FastForward, KeyPattern, MergeOptions, MergeRules};
pub use report::{MergeChange, MergeOutcome, MergePlan, MergeReport};
pub(crate) use run::Merger;
pub(crate) use waiting::Made;

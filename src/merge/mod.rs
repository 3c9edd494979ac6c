//! Merging: three values a key, planned from what changed, decided by policy, landed by `publish`.
//!
//! `plan` says what a merge comes to and cannot write; `run`, `replay` and `open` put plans to use:
//! merges and squashes, cherry-picks, reverts and rebases, and the conflicts that wait for people.

mod bases;
mod conflict;
mod driver;
mod open;
mod options;
mod plan;
mod replay;
mod report;
mod run;

pub use conflict::{Conflict, ConflictSide, MergeAction, MergeDetails, Settled, SettledBy};
pub(crate) use driver::Registry;
pub use driver::{
    DriverInput, DriverResult, MarkerLabels, MergeDriver, TextMerge, driver_fn, drivers,
    has_markers, merge_text,
};
pub use open::{OpenConflict, OpenMerge, OpenResolution};
pub use options::{FastForward, KeyPattern, MergeOptions, MergeRules};
pub use report::{MergeChange, MergeOutcome, MergePlan, MergeReport};
pub(crate) use run::{Made, Merger};

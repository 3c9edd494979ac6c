//! Two-phase commit: one decision for several participants, kept through crashes of any of them.
//!
//! The coordinator writes down whom it asks, asks all of them to prepare, writes its decision down, and
//! then tells them. What it has written down is what counts: after a crash whoever was still being asked
//! is told to abort, and what was decided is told again until all have been seen to have done it. A
//! participant that holds something of which this log knows nothing is told to abort: what is forgotten
//! was finished, and finished means that nobody holds it any more.

mod journal;
mod participant;
mod phase;
mod recover;
mod run;
#[cfg(test)]
mod tests;

pub use participant::{Participant, Standing, Vote};
pub use recover::{PendingPhase, PendingTransaction, Recovery};
pub use run::{Coordinated, Coordinator, Decision, Unfinished};

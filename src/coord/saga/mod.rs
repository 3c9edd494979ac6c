//! Sagas: named sequences of steps, each a commit of its own, taken back by compensations if a later one
//! fails.
//!
//! `state` is the protocol as one table; `journal` is the row that says how far a saga is; `run` drives
//! it, with `forward` and `back`, and writes nothing but through the journal. The row is written before each step and each
//! compensation, and again in the very commit of what it did.

mod back;
mod def;
mod forward;
mod info;
mod journal;
mod run;
mod state;
mod step;

pub use def::SagaDef;
pub use info::{CompensationInfo, CompensationState, SagaInfo, SagaOutcome, SagaPhase, Sagas};
pub(super) use run::{Driven, drive_all};
pub(crate) use run::{find, forget, prune, retry, start};
pub use step::SagaStep;

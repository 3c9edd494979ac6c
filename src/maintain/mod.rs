//! Work that keeps a store fast, whole and small.

pub(crate) mod gc;
mod overlay;
mod verify;

pub(crate) use overlay::{Overlays, compact};
pub(crate) use verify::verify;
pub use verify::{Check, Finding, VerifyOptions, VerifyReport};

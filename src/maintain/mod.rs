//! Work that keeps a store fast, whole and small.

pub(crate) mod gc;
mod overlay;

pub(crate) use overlay::{Overlays, compact};

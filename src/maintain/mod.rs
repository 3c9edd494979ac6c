//! Work that keeps a store fast, whole and small.

mod overlay;

pub(crate) use overlay::{Overlays, compact};

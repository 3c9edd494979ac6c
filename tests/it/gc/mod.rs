//! OPS-7: retention, collection and purge.

mod keeps;
mod memory;
mod purge;
mod random;
mod retention;

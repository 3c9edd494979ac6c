//! OPS-7: retention, collection and purge.

mod feeds;
mod flatten;
mod full;
mod gentle;
mod keeps;
mod killed;
mod left;
mod memory;
mod purge;
mod purging;
mod random;
mod retention;

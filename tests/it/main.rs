//! The integration tests, as one binary: each binary links RocksDB again.

mod bad_input;
mod cli;
mod concurrency;
mod coord;
mod diff;
mod exchange;
mod feed;
mod forgotten;
mod format;
mod full_disk;
mod history;
mod index;
mod isolation;
mod layering;
mod locks;
mod merge;
mod model;
mod ownership;
mod refs;
mod rev;
mod support;
mod tags;
mod txn;
mod undo;
mod undo_model;
mod values;

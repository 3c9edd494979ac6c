//! The integration tests, as one binary: each binary links RocksDB again.

mod cli;
mod exchange;
mod forgotten;
mod isolation;
mod layering;
mod support;

//! The integration tests, as one binary: each binary links RocksDB again.
#![expect(missing_docs, reason = "tests say what they test in their names")]

mod forgotten;
mod isolation;
mod layering;
mod support;

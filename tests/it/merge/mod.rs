//! Merging: drivers, tables, laws, real histories.

mod fixtures;
mod laws;
mod text;

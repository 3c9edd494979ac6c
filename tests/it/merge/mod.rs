//! Merging: drivers, tables, laws, real histories.

mod laws;
mod text;

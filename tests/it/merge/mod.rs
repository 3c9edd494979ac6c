//! Merging: drivers, tables, laws, real histories.

mod fixtures;
mod found;
mod kill;
mod landing;
mod laws;
pub(crate) mod model;
mod open;
mod progress;
mod purged;
mod real;
mod table;
mod text;

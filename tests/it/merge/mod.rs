//! Merging: drivers, tables, laws, real histories.

mod fixtures;
mod kill;
mod landing;
mod laws;
mod real;
mod text;

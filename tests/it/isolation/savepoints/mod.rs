//! SAVE-1 and SAVE-2: each rule by itself, and all of them at random against a model.

mod model;
mod rules;

//! One file per verb.

pub(crate) mod apply;
pub(crate) mod branch;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod del;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod feed;
pub(crate) mod get;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod ops;
pub(crate) mod put;
pub(crate) mod redo;
pub(crate) mod reset;
pub(crate) mod restore;
pub(crate) mod scan;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod switch;
pub(crate) mod tag;
pub(crate) mod undo;

//! One file a scenario; a scenario measures one or more rows of the table on the same data.

mod branch;
mod diff;
mod disk;
mod durable;
mod history;
mod integrity;
mod landing;
mod load;
mod locks;
mod long;
mod merge;
pub(crate) mod merge_many;
mod merges;
mod point;
mod scan;
mod transaction;
mod write;

use crate::harness::{Report, Result, Setting};

pub(crate) struct Scenario {
    pub(crate) rows: &'static [&'static str],
    pub(crate) run: fn(&Setting, &mut Report) -> Result<()>,
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { rows: point::ROWS, run: point::run },
    Scenario { rows: scan::ROWS, run: scan::run },
    Scenario { rows: write::ROWS, run: write::run },
    Scenario { rows: durable::ROWS, run: durable::run },
    Scenario { rows: branch::ROWS, run: branch::run },
    Scenario { rows: diff::ROWS, run: diff::run },
    Scenario { rows: history::ROWS, run: history::run },
    Scenario { rows: load::ROWS, run: load::run },
    Scenario { rows: disk::ROWS, run: disk::run },
    Scenario { rows: long::ROWS, run: long::run },
    Scenario { rows: merges::ROWS, run: merges::run },
    Scenario { rows: merge::ROWS, run: merge::run },
    Scenario { rows: merge_many::ROWS, run: merge_many::run },
    Scenario { rows: landing::ROWS, run: landing::run },
    Scenario { rows: transaction::ROWS, run: transaction::run },
    Scenario { rows: integrity::ROWS, run: integrity::run },
    Scenario { rows: locks::ROWS, run: locks::run },
];

//! What is fixed for a verification, the rows of `meta`, and the files of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::Context;
use super::found::{Findings, Site};
use super::purges::Purges;
use super::report::Check;
use super::scan::Walk;
use crate::engine::Frozen;
use crate::format::merge::RulesRecord;
use crate::format::refs::{CollectRecord, ImportRecord, StoreRecord, meta};
use crate::format::{Corrupt, FORMAT_VERSION, Family, keys, record};
use crate::graph::Gone;
use crate::id::{LineId, OpId, Seq};

/// What is read first, and holds for the whole verification.
#[derive(Default)]
pub(super) struct Fixed {
    /// The newest commit; what is above belongs to an import that is being written.
    pub(super) latest: Seq,
    /// From this commit on none is missing from the log.
    pub(super) log_start: Seq,
    pub(super) indexed: Seq,
    /// Lines from here on belong to an import that is being written.
    first_line: Option<LineId>,
    /// Read layers that are being written.
    unfinished: BTreeSet<LineId>,
    /// What is gone of lines.
    pub(super) gone: BTreeMap<LineId, Arc<Gone>>,
    /// The newest operation that is gone.
    pub(super) ops_start: Option<OpId>,
    /// Whether what is gone is still being removed.
    collects: bool,
    /// What was purged.
    pub(super) purges: Purges,
    /// Whether a purge is under way.
    is_purging: bool,
}

impl Fixed {
    pub(super) fn load(db: &Frozen<'_>, findings: &Findings) -> Self {
        let get = |name: &[u8]| db.get(Family::Meta, name).ok().flatten();
        let number =
            |name: &[u8]| get(name).and_then(|row| record::decode::<u64>("number", &row).ok());
        let import: Option<ImportRecord> =
            get(meta::IMPORT).and_then(|row| record::decode("import marker", &row).ok());
        let mut unfinished = BTreeSet::new();
        let upper = crate::kv::after_prefix(meta::UNFINISHED);
        let mut rows = db.look(Family::Meta, meta::UNFINISHED, upper.as_deref());
        rows.seek_to_first();
        while let Ok(Some((key, _))) = rows.current() {
            unfinished.extend(keys::number_at(key, meta::UNFINISHED.len()).map(LineId::new));
            rows.next();
        }
        let indexed = number(meta::INDEXED).map(Seq::new).unwrap_or_default();
        let latest = match import {
            Some(import) => Seq::new(import.first_seq.saturating_sub(1)),
            None => newest(db, findings).unwrap_or(indexed),
        };
        let log_start = number(meta::LOG_START).map_or(Seq::ROOT, |seq| Seq::new(seq).next());
        let first_line = import.map(|import| LineId::new(import.first_line));
        let ops_start = get(meta::OPS_START)
            .and_then(|row| record::decode::<(u64, u64)>("start of the operation log", &row).ok())
            .map(|(seq, step)| OpId { seq: Seq::new(seq), step });
        let gone = super::gone::load(db, findings);
        let collects = get(meta::COLLECT).is_some();
        let (purges, is_purging) = (Purges::load(db, findings), get(meta::PURGE).is_some());
        Self {
            latest,
            log_start,
            indexed,
            first_line,
            unfinished,
            gone,
            ops_start,
            collects,
            purges,
            is_purging,
        }
    }

    /// Whether a line is nobody's: it is being written, by an import or as a read layer, or all of it is
    /// gone and being removed.
    pub(super) fn ignores(&self, line: LineId) -> bool {
        self.first_line.is_some_and(|first| line >= first)
            || self.unfinished.contains(&line)
            || self.gone.get(&line).is_some_and(|gone| gone.record().dead)
    }

    /// What unfinished work has left, or is still at.
    pub(super) fn leftovers(&self, out: &mut Vec<String>) {
        if let Some(first) = self.first_line {
            out.push(format!("an import that is not finished: lines from {first} on"));
        }
        for line in &self.unfinished {
            out.push(format!("a read layer that is not finished: line {line}"));
        }
        if self.collects {
            out.push("a collection that is not finished: the next one goes on with it".to_owned());
        }
        if self.is_purging {
            out.push("a purge that is not finished: the next open goes on with it".to_owned());
        }
        for (line, _) in self.gone.iter().filter(|(_, gone)| gone.record().dead) {
            out.push(format!("a line that nothing leads to and that is not removed yet: {line}"));
        }
    }
}

/// The newest commit in the log.
fn newest(db: &Frozen<'_>, findings: &Findings) -> Option<Seq> {
    let upper = keys::log(Seq::new(keys::LAST_SEQ), 0);
    let mut rows = db.look(Family::Log, &[], Some(&upper));
    rows.seek_to_last();
    match rows.current() {
        Ok(Some((key, _))) => keys::log_parts(key).ok().flatten().map(|(seq, _)| seq),
        Ok(None) => None,
        Err(e) => {
            findings.unreadable(Site::of(Family::Log), &e);
            None
        }
    }
}

/// INV-59, INV-66: the rows of `meta` are known, and decode.
pub(super) fn check(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::new(context, findings, Family::Meta, (&[], None));
    let mut seen = BTreeSet::new();
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::Meta).key(key);
        match decode(key, value) {
            None => findings.add(
                Check::Meta,
                59,
                site(),
                format!("there is a row {} that nobody knows", crate::kv::show_key(key)),
            ),
            Some(Err(e)) => findings.malformed(site(), e),
            Some(Ok(())) => {}
        }
        if key == meta::FORMAT && record::decode::<u32>("format", value) != Ok(FORMAT_VERSION) {
            findings.add(Check::Meta, 59, site(), "the store is said to be of another format");
        }
        seen.insert(key.to_vec());
    }
    for name in [meta::FORMAT, meta::STORE, meta::ACTIVE] {
        if !seen.contains(name) && !context.is_stopped() {
            let what = format!("the row {} is missing", crate::kv::show_key(name));
            findings.add(Check::Meta, 59, Site::of(Family::Meta).key(name), what);
        }
    }
    if context.fixed.indexed > context.fixed.latest {
        let what = format!(
            "the index is said to reach commit {}, beyond the newest one",
            context.fixed.indexed
        );
        findings.add(Check::Index, 63, Site::of(Family::Meta).key(meta::INDEXED), what);
    }
}

/// Whether a row decodes; none for a name that is not known.
fn decode(key: &[u8], value: &[u8]) -> Option<Result<(), Corrupt>> {
    let number = || record::decode::<u64>("number", value).map(|_| ());
    Some(match key {
        meta::FORMAT => record::decode::<u32>("format", value).map(|_| ()),
        meta::STORE => record::decode::<StoreRecord>("store", value).map(|_| ()),
        meta::ACTIVE => record::decode::<String>("active branch", value).map(|_| ()),
        meta::INDEXED | meta::LOCK_FENCES | meta::LOG_START | meta::PURGE => number(),
        meta::OPS_START => {
            record::decode::<(u64, u64)>("start of the operation log", value).map(|_| ())
        }
        meta::COLLECT => record::decode::<CollectRecord>("collection under way", value).map(|_| ()),
        meta::IMPORT => record::decode::<ImportRecord>("import marker", value).map(|_| ()),
        meta::MERGE_RULES => record::decode::<RulesRecord>("merge rules", value).map(|_| ()),
        _ if key.starts_with(meta::UNFINISHED) => {
            keys::number_at(key, meta::UNFINISHED.len()).map(|_| ())
        }
        _ if key.starts_with(meta::LOG_START_OF) => number(),
        _ if key.starts_with(meta::CONFIG) => {
            record::decode::<String>("setting", value).map(|_| ())
        }
        _ => return None,
    })
}

/// Files that belong to nobody.
pub(super) fn strange_files(context: &Context<'_>, store: &Path, out: &mut Vec<String>) {
    let used: BTreeSet<String> = context.db.engine().data_files().into_iter().collect();
    let Ok(entries) = std::fs::read_dir(store) else { return };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let newest = used.iter().max().cloned().unwrap_or_default();
    for name in names {
        let known = match name.rsplit_once('.') {
            // A file with a higher number is one that a writer is making.
            Some((_, "sst")) => used.contains(&name) || name > newest,
            Some((number, "log" | "blob" | "dbtmp")) => number.bytes().all(|b| b.is_ascii_digit()),
            _ => is_known(&name),
        };
        if !known {
            out.push(name);
        }
    }
}

fn is_known(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "withy.store",
        "withy.lock",
        "withy.synced",
        "bulk",
        "CURRENT",
        "IDENTITY",
        "LOCK",
        "LOG",
        "archive",
    ];
    const STARTS: [&str; 3] = ["MANIFEST-", "OPTIONS-", "LOG.old."];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

//! The data files as a whole, against the checksums that the manifest has of them.
//!
//! Reading every row is not enough: a filter that was damaged says that a key is not there, and RocksDB
//! believes it without a word. So each byte of each file counts.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::found::{Findings, Site, Touched, told};
use super::lines::Lines;
use super::refs::{Names, stored_layers};
use super::report::Check;
use super::{Context, pool};
use crate::engine::{Manifest, WholeFile};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Family, keys};
use crate::id::LineId;
use crate::progress::Meter;

/// How often the manifest is read again if something is wrong with it: a writer may be at work on it.
const TRIES: u32 = 5;

/// INV-53: every data file is as it was written. Of a single branch, only files with its rows are read.
///
/// # Errors
/// [`ErrorKind::Interrupted`] if the caller wants no more.
pub(super) fn check(
    context: &Context<'_>,
    findings: &Findings,
    (names, lines): (&Names, &Lines),
    meter: &mut Meter<'_>,
) -> Result<()> {
    let path = context.db.engine().path();
    let manifest = match read(path) {
        Ok(manifest) => manifest,
        Err(e) => {
            let site = Site { family: "manifest", ..Site::default() };
            findings.add(Check::Readable, 53, site, told(&e));
            return Ok(());
        }
    };
    let mut files = manifest.whole_files();
    let judged = || lines.all().iter().filter(|line| lines.judges(line.id));
    files.retain(|file| lines.is_all() || judged().any(|line| has(file, line.id)));
    let judged = pool::run(context, meter, (0..files.len()).collect(), |i| {
        let step = |bytes| {
            context.count(0, bytes);
            if context.is_stopped() { Err(stopped()) } else { Ok(()) }
        };
        let what = match files[i].check(path, step) {
            Ok(fault) => fault?.what,
            Err(e) if e.kind() == ErrorKind::Interrupted => return None,
            Err(e) => told(&e),
        };
        Some((i, what))
    })?;
    for (i, what) in judged.into_iter().flatten() {
        tell(context, findings, (names, lines), (&files[i], &what));
    }
    Ok(())
}

/// The manifest; a fault in it counts only if it stays.
fn read(store: &Path) -> Result<Manifest> {
    let mut tries = 1;
    loop {
        let found = Manifest::read(store).and_then(|manifest| match manifest.damage() {
            Some(fault) => Err(Error::new(ErrorKind::Corrupt, fault.what)),
            None => Ok(manifest),
        });
        if found.is_ok() || tries == TRIES {
            return found;
        }
        tries += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

/// Whether rows of a line may be in a file: it holds a run of lines.
fn has(file: &WholeFile<'_>, line: LineId) -> bool {
    let of_lines = matches!(file.family, "head" | "history");
    let Some((first, last)) = file.keys.filter(|_| of_lines) else { return false };
    // A key that is too short is no reason to think that the file does not matter.
    let number = |key, or| keys::number_at(key, 0).unwrap_or(or);
    (number(first, 0)..=number(last, u64::MAX)).contains(&line.get())
}

/// Names a damaged file, with the branches and tags that read lines in it.
fn tell(
    context: &Context<'_>,
    findings: &Findings,
    (names, lines): (&Names, &Lines),
    (file, what): (&WholeFile<'_>, &str),
) {
    let muted = Findings::muted();
    // Those whose rows it has, and those that read one of them: a line comes after what it forks from.
    let mut touched = BTreeSet::new();
    for line in lines.all() {
        let below = line.fork.is_some_and(|fork| touched.contains(&fork.line));
        let layers = || stored_layers(context, &muted, line.id);
        if has(file, line.id) || below || layers().into_iter().any(|layer| has(file, layer)) {
            touched.insert(line.id);
        }
    }
    let branches = names.branches.iter().filter(|(_, line)| touched.contains(line));
    let tags = names.tags.iter().filter(|(_, at)| touched.contains(&at.line));
    let touched = Touched::new(branches.map(|(name, _)| name), tags.map(|(name, _)| name));
    let family = Family::ALL.into_iter().find(|family| family.name() == file.family);
    let site = family.map_or_else(Site::default, Site::of);
    findings.add_touching((Check::Readable, 53), site, what, touched);
}

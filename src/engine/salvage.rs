//! Making a damaged store open again: nothing is deleted, what is damaged is kept aside first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::files::{self, FileKind};
use super::logfile::{LogFile, Step};
use super::manifest::{Manifest, damaged};
use super::options::EngineOptions;
use super::recovery::{self, Inspection};
use super::{Point, directory, fault, wal};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;
use crate::format::synced::SYNCED_FILE;

/// So many flipped bits of a manifest are changed back. One with more is not damaged by chance.
const MENDED: usize = 64;
/// The name of a salvage that was begun and has not ended: the directory for what is kept aside.
pub(super) const SALVAGING: &str = "withy.salvage";

/// What was done to the files of a store.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Names of the files that are kept aside.
    pub(crate) aside: Vec<String>,
    /// What was done, in sentences.
    pub(crate) done: Vec<String>,
    /// Sequences of commits that can be read in what was cut off.
    pub(crate) commits: BTreeSet<u64>,
    /// Whether records of the manifest are gone, or may be: then only a verification tells whether what is left
    /// belongs together.
    pub(crate) has_cut_manifest: bool,
}

/// Files that are to be salvaged, and where what is damaged goes.
struct Bench<'a> {
    store: &'a Path,
    dir: PathBuf,
    out: Salvaged,
}

/// Mends manifest and log, or cuts them before their damage, and keeps what they were in `dir`, a directory
/// in the store that is made for it. The caller holds the lock of the store.
///
/// A run that was stopped is ended by another one with the same directory.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if this cannot help. Files may have been changed by then: it is tried on a
/// [`Trial`](super::Trial) first.
pub(crate) fn salvage(store: &Path, dir: &str) -> Result<Salvaged> {
    let mut bench = Bench { store, dir: store.join(dir), out: Salvaged::default() };
    bench.current()?;
    bench.flipped_bits()?;
    bench.manifest()?;
    let found = recovery::inspect(store)?;
    let (faults, _) = found.examine(store);
    let data = |name: &str| name.ends_with(".sst") || name.ends_with(".blob");
    if let Some(fault) = faults.iter().find(|fault| data(&fault.file)) {
        return Err(Error::new(ErrorKind::Corrupt, fault.what.clone())
            .with_hint("a file of data cannot be made again; restore a backup"));
    }
    if !faults.is_empty() {
        bench.log(&found)?;
    }
    bench.read_aside(&found)?;
    fault::file(Point::FileSync, store, || File::open(store)?.sync_all())
        .map_err(|e| io(store, e))?;
    bench.out.aside = files::names(&bench.dir)?;
    Ok(bench.out)
}

/// Notes that the files are about to be changed: until this is [`end`]ed the store cannot be opened.
pub(crate) fn begin(store: &Path, dir: &str) -> Result<()> {
    files::write_durably(&store.join(SALVAGING), format!("{dir}\n").as_bytes())
}

/// The directory of a salvage that was stopped.
pub(crate) fn begun(store: &Path) -> Result<Option<String>> {
    let path = store.join(SALVAGING);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(&path, e)),
    };
    let damaged = || damaged(format!("{SALVAGING} does not name a directory of a salvage"));
    dir_in(&text).map(|dir| Some(dir.to_owned())).ok_or_else(damaged)
}

/// The directory of a salvage that a file [`SALVAGING`] with this text names.
pub(super) fn dir_in(text: &str) -> Option<&str> {
    let is_name = |dir: &&str| {
        dir.starts_with("salvage-")
            && dir.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    text.strip_suffix('\n').filter(is_name)
}

/// The store can be opened again.
pub(crate) fn end(store: &Path) -> Result<()> {
    files::remove(&store.join(SALVAGING))?;
    files::sync_dir(store)
}

/// Refuses a store whose salvage was stopped: its files need not belong together.
pub(super) fn must_have_ended(store: &Path, options: &EngineOptions) -> Result<()> {
    if options.is_for_salvage() || !store.join(SALVAGING).exists() {
        return Ok(());
    }
    let text = "a salvage of the store was begun and has not ended";
    Err(Error::new(ErrorKind::Corrupt, text)
        .with_hint("run `withy doctor --salvage` again: it goes on"))
}

impl Bench<'_> {
    /// Makes `CURRENT` name the manifest, if there is only one that it can be.
    fn current(&mut self) -> Result<()> {
        let named = Manifest::named(self.store);
        if named.as_ref().is_ok_and(|name| self.store.join(name).exists()) {
            return Ok(());
        }
        let names = files::names(self.store)?.into_iter();
        let manifests: Vec<String> =
            names.filter(|name| FileKind::of(name) == Some(FileKind::Manifest)).collect();
        let [only] = &manifests[..] else {
            let count = manifests.len();
            let text = format!("the file CURRENT names no manifest, and there are {count} of them");
            return Err(damaged(text)
                .with_hint("which files belong to the store cannot be told; restore a backup"));
        };
        if self.store.join("CURRENT").exists() {
            self.keep("CURRENT")?;
        }
        let content = format!("{only}\n");
        files::write_durably(&self.store.join("CURRENT"), content.as_bytes())?;
        self.out.done.push(format!("the file CURRENT names {only} again"));
        Ok(())
    }

    /// Changes bits of the manifest back, where the change of a single one makes its record as it was
    /// written: the checksum says which. Nothing is lost by this.
    fn flipped_bits(&mut self) -> Result<()> {
        for _ in 0..MENDED {
            let manifest = Manifest::read(self.store)?;
            let Some(at) = manifest.damage().and_then(|fault| fault.at) else { return Ok(()) };
            let (name, path) = (&manifest.name, self.store.join(&manifest.name));
            let bit = LogFile::open(&path).and_then(|mut file| file.flipped_bit(at));
            let Some(bit) = bit.map_err(|e| io(&path, e))? else { return Ok(()) };
            self.keep(name)?;
            flip(&path, bit)?;
            self.out.done.push(format!("a bit of {name} is changed back at byte {}", bit / 8));
        }
        Ok(())
    }

    /// Cuts the manifest before its damage, if all that it names up to there still exists: families, data
    /// files, and the logs with what was not in data files then.
    fn manifest(&mut self) -> Result<()> {
        let manifest = Manifest::read(self.store)?;
        if manifest.fault.is_none() && manifest.missing_family().is_none() {
            return Ok(());
        }
        let (name, at) = (&manifest.name, manifest.fault.map_or(manifest.len, |bad| bad.at));
        if let Some(gone) = directory::gone(self.store, &manifest)? {
            let text = format!("{name} is damaged at byte {at}, and {gone}");
            return Err(Error::new(ErrorKind::Corrupt, text)
                .with_hint("what files belong to the store cannot be told; restore a backup"));
        }
        self.keep(name)?;
        // RocksDB removes data files that its manifest does not name.
        for file in directory::unnamed(self.store, &manifest)? {
            self.take(&file)?;
            self.out.done.push(format!("{file} came after the damage in {name} and is set aside"));
        }
        self.settle()?;
        files::cut(&self.store.join(name), manifest.whole)?;
        let lost = manifest.len - manifest.whole;
        self.out.done.push(format!("{lost} bytes of {name} are cut off"));
        self.out.has_cut_manifest = true;
        Ok(())
    }

    /// Cuts the log before its damage; later logs are set aside whole.
    fn log(&mut self, found: &Inspection) -> Result<()> {
        // It says that what is gone was there. It goes before the cut: behind that, a run that goes on
        // would see no damage, and leave it to be written over.
        let has_mark = self.store.join(SYNCED_FILE).exists();
        if let Some(fault) = &found.logs.fault {
            self.keep(&fault.file)?;
        }
        if has_mark {
            self.take(SYNCED_FILE)?;
        }
        if let Some(fault) = &found.logs.fault {
            // Before the cut: without the damage they would be taken for what comes next.
            for &number in found.logs.logs.iter().filter(|&&number| number > fault.number) {
                self.take(&wal::log_name(number))?;
            }
            if fault.is_gap {
                self.look_behind_gap(found)?;
            }
            self.settle()?;
            files::cut(&self.store.join(&fault.file), fault.whole)?;
            let (file, lost, at) = (&fault.file, fault.lost, fault.whole);
            self.out.done.push(format!("{lost} bytes of the log are cut off, from {file} at {at}"));
        }
        match found.lost_writes() {
            0 => {}
            rows => {
                let text = format!("{rows} rows that were on disk are lost with it");
                self.out.done.push(text);
            }
        }
        let newest = found.manifest.newest_named_log();
        let name = wal::log_name(newest);
        if newest > 0 && !found.logs.logs.iter().any(|&number| number >= newest) {
            files::write_durably(&self.store.join(&name), b"")?;
            self.out.done.push(format!("{name}, which is missing, is taken to be empty"));
        }
        if has_mark {
            let text = format!("{SYNCED_FILE}, which names what was on disk, is set aside");
            self.out.done.push(text);
        }
        Ok(())
    }

    /// What is missing in the log may be in data files that a manifest which ends too early does not name.
    fn look_behind_gap(&mut self, found: &Inspection) -> Result<()> {
        if let Some(gone) = directory::gone(self.store, &found.manifest)? {
            let text = format!("{} ends too early, and {gone}", found.manifest.name);
            return Err(Error::new(ErrorKind::Corrupt, text)
                .with_hint("what files belong to the store cannot be told; restore a backup"));
        }
        for name in directory::unnamed(self.store, &found.manifest)? {
            self.take(&name)?;
        }
        self.out.has_cut_manifest = true;
        Ok(())
    }

    /// Reads what can be read in the logs that are aside, for the commits that are in them.
    fn read_aside(&mut self, found: &Inspection) -> Result<()> {
        let families = found.manifest.families.iter();
        let family =
            families.filter(|(_, (name, _))| name == Family::Log.name()).map(|(id, _)| *id);
        let Some(family) = family.max() else { return Ok(()) };
        for name in files::names(&self.dir)? {
            if FileKind::of(&name) != Some(FileKind::Log) {
                continue;
            }
            let path = self.dir.join(name);
            let mut file = LogFile::open(&path).map_err(|e| io(&path, e))?;
            let mut body = Vec::new();
            loop {
                match file.next(usize::MAX, &mut body).map_err(|e| io(&path, e))? {
                    Step::Record { .. } => {
                        self.out.commits.extend(wal::commits_in(&body, family));
                    }
                    Step::End => break,
                    Step::Bad(bad) => {
                        let found =
                            file.valid_behind(bad.at, |head| wal::sequences(head).is_some());
                        let Some(at) = found.map_err(|e| io(&path, e))? else { break };
                        file.seek(at);
                    }
                }
            }
        }
        Ok(())
    }

    /// Copies a file aside, unless a run that was stopped has: then it may have been changed since.
    fn keep(&mut self, name: &str) -> Result<()> {
        self.make_dir()?;
        let (from, to) = (self.store.join(name), self.dir.join(name));
        if to.exists() {
            return Ok(());
        }
        let unfinished = files::beside(&to);
        let copy = || -> std::io::Result<()> {
            fault::file(Point::FileWrite, &unfinished, || fs::copy(&from, &unfinished))?;
            fault::file(Point::FileSync, &unfinished, || File::open(&unfinished)?.sync_all())?;
            fault::file(Point::Rename, &to, || fs::rename(&unfinished, &to))?;
            fault::file(Point::FileSync, &self.dir, || File::open(&self.dir)?.sync_all())
        };
        copy().map_err(|e| io(&to, e))
    }

    /// Moves a file aside.
    fn take(&mut self, name: &str) -> Result<()> {
        self.make_dir()?;
        let (from, mut to) = (self.store.join(name), self.dir.join(name));
        for n in 2.. {
            if !to.exists() {
                break;
            }
            // A run that was stopped has moved one of this name.
            to = self.dir.join(format!("{name}.{n}"));
        }
        fault::file(Point::Rename, &from, || fs::rename(&from, to)).map_err(|e| io(&from, e))
    }

    /// Puts on disk what was moved, before something is done that must not come first.
    fn settle(&self) -> Result<()> {
        files::sync_dir(&self.dir)?;
        files::sync_dir(self.store)
    }

    fn make_dir(&self) -> Result<()> {
        files::make_dir(&self.dir).map_err(|e| io(&self.dir, e))
    }
}

/// Changes one bit, in place: a stop leaves the byte as it was or as it should be.
fn flip(path: &Path, bit: u64) -> Result<()> {
    let change = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(bit / 8))?;
        file.read_exact(&mut byte)?;
        byte[0] ^= 1 << (bit % 8);
        file.seek(SeekFrom::Start(bit / 8))?;
        fault::file(Point::FileWrite, path, || file.write_all(&byte))?;
        fault::file(Point::FileSync, path, || file.sync_all())
    };
    change().map_err(|e| io(path, e))
}

fn io(path: &Path, cause: std::io::Error) -> Error {
    if cause.kind() == std::io::ErrorKind::NotFound {
        return damaged(format!("{} is missing", path.display())).because(cause);
    }
    let text = format!("cannot salvage the store: {}", path.display());
    Error::new(ErrorKind::Io, text)
        .because(cause)
        .with_hint("what was set aside is in the directory `salvage-...` of the store")
}

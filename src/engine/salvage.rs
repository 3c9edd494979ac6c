//! Making a damaged store open again: nothing is deleted, what is damaged is kept aside first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::logfile::{LogFile, Step};
use super::manifest::{Manifest, damaged};
use super::recovery::{self, Inspection};
use super::{Point, fault, wal};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;
use crate::format::synced::SYNCED_FILE;

/// What was done to the files of a store.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Names of the files that are kept aside.
    pub(crate) aside: Vec<String>,
    /// What was done, in sentences.
    pub(crate) done: Vec<String>,
    /// Sequences of commits that can be read in what was cut off.
    pub(crate) commits: BTreeSet<u64>,
}

/// Files that are to be salvaged, and where what is damaged goes.
struct Bench<'a> {
    store: &'a Path,
    dir: PathBuf,
    out: Salvaged,
}

/// Cuts log and manifest before their damage and keeps what they were in `dir`, a directory in the store
/// that is made for it. The caller holds the lock of the store.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if this cannot help: then no file was changed.
pub(crate) fn salvage(store: &Path, dir: &str) -> Result<Salvaged> {
    let mut bench = Bench { store, dir: store.join(dir), out: Salvaged::default() };
    bench.current()?;
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
    fault::file(Point::FileSync, store, || File::open(store)?.sync_all())
        .map_err(|e| io(store, e))?;
    Ok(bench.out)
}

impl Bench<'_> {
    /// Makes `CURRENT` name the manifest, if there is only one that it can be.
    fn current(&mut self) -> Result<()> {
        let Err(e) = Manifest::read(self.store) else { return Ok(()) };
        let entries = fs::read_dir(self.store).map_err(|e| io(self.store, e))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let manifests: Vec<String> = names.filter(|n| n.starts_with("MANIFEST-")).collect();
        let [only] = &manifests[..] else { return Err(e) };
        if self.store.join("CURRENT").exists() {
            self.keep("CURRENT")?;
        }
        write(&self.store.join("CURRENT"), format!("{only}\n").as_bytes())?;
        self.out.done.push(format!("the file CURRENT names {only} again"));
        Manifest::read(self.store).map(|_| ())
    }

    /// Cuts the manifest before its damage, if all files that it names up to there still exist.
    fn manifest(&mut self) -> Result<()> {
        let manifest = Manifest::read(self.store)?;
        let Some(bad) = manifest.fault else { return Ok(()) };
        let name = &manifest.name;
        let gone = manifest.tables.keys().map(|n| recovery::table_name(*n));
        let gone = gone.chain(manifest.needed_blobs().map(recovery::blob_name));
        if let Some(gone) = gone.into_iter().find(|file| !self.store.join(file).exists()) {
            let text = format!(
                "{name} is damaged at byte {}, and {gone}, which was in use before, is gone",
                bad.at
            );
            return Err(Error::new(ErrorKind::Corrupt, text)
                .with_hint("what files belong to the store cannot be told; restore a backup"));
        }
        self.keep(name)?;
        // RocksDB removes data files that its manifest does not name.
        for file in self.unnamed(&manifest)? {
            self.take(&file)?;
            self.out.done.push(format!("{file} came after the damage in {name} and is set aside"));
        }
        cut(&self.store.join(name), manifest.whole)?;
        let lost = manifest.len - manifest.whole;
        self.out.done.push(format!("{lost} bytes of {name} are cut off"));
        self.forget_mark()
    }

    /// Data files that the manifest does not name.
    fn unnamed(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.store).map_err(|e| io(self.store, e))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| match name.rsplit_once('.') {
                Some((n, "sst")) => n.parse().is_ok_and(|n| !manifest.tables.contains_key(&n)),
                Some((n, "blob")) => n.parse().is_ok_and(|n| !manifest.blobs.contains_key(&n)),
                _ => false,
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// Cuts the log before its damage; later logs are set aside whole.
    fn log(&mut self, found: &Inspection) -> Result<()> {
        if let Some(fault) = &found.logs.fault {
            self.keep(&fault.file)?;
            for &number in found.logs.logs.iter().filter(|&&number| number > fault.number) {
                self.take(&wal::log_name(number))?;
            }
            self.read_behind(found, fault.number, fault.bad.at)?;
            cut(&self.store.join(&fault.file), fault.whole)?;
            let (file, lost, at) = (&fault.file, fault.lost, fault.whole);
            self.out.done.push(format!("{lost} bytes of the log are cut off, from {file} at {at}"));
        }
        let newest = found.manifest.newest_named_log();
        let name = wal::log_name(newest);
        if newest > 0 && !found.logs.logs.iter().any(|&number| number >= newest) {
            write(&self.store.join(&name), b"")?;
            self.out.done.push(format!("{name}, which is missing, is taken to be empty"));
        }
        self.forget_mark()
    }

    /// The mark says that what is gone was there.
    fn forget_mark(&mut self) -> Result<()> {
        if !self.store.join(SYNCED_FILE).exists() {
            return Ok(());
        }
        self.out.done.push(format!("{SYNCED_FILE}, which names what was on disk, is set aside"));
        self.take(SYNCED_FILE)
    }

    /// Reads what can be read behind the damage, for the commits that are in it.
    fn read_behind(&mut self, found: &Inspection, from: u64, at: u64) -> Result<()> {
        let families = found.manifest.families.iter();
        let family =
            families.filter(|(_, (name, _))| name == Family::Log.name()).map(|(id, _)| *id);
        let Some(family) = family.max() else { return Ok(()) };
        let mut start = Some(at);
        for &number in found.logs.logs.iter().filter(|&&number| number >= from) {
            let path = self.dir.join(wal::log_name(number));
            let mut file = LogFile::open(&path).map_err(|e| io(&path, e))?;
            let mut body = Vec::new();
            let mut next = start.take();
            loop {
                if let Some(at) = next.take() {
                    let found = file.valid_behind(at, |head| wal::sequences(head).is_some());
                    let Some(at) = found.map_err(|e| io(&path, e))? else { break };
                    file.seek(at);
                }
                match file.next(usize::MAX, &mut body).map_err(|e| io(&path, e))? {
                    Step::Record { .. } => {
                        self.out.commits.extend(wal::commits_in(&body, family));
                    }
                    Step::End => break,
                    Step::Bad(bad) => next = Some(bad.at),
                }
            }
        }
        Ok(())
    }

    /// Copies a file aside.
    fn keep(&mut self, name: &str) -> Result<()> {
        self.make_dir()?;
        let to = self.dir.join(name);
        fault::file(Point::FileWrite, &to, || fs::copy(self.store.join(name), &to))
            .and_then(|_| fault::file(Point::FileSync, &to, || File::open(&to)?.sync_all()))
            .map_err(|e| io(&to, e))?;
        self.out.aside.push(name.to_owned());
        Ok(())
    }

    /// Moves a file aside.
    fn take(&mut self, name: &str) -> Result<()> {
        self.make_dir()?;
        let (from, to) = (self.store.join(name), self.dir.join(name));
        fault::file(Point::Rename, &from, || fs::rename(&from, to)).map_err(|e| io(&from, e))?;
        self.out.aside.push(name.to_owned());
        Ok(())
    }

    fn make_dir(&self) -> Result<()> {
        fault::file(Point::Create, &self.dir, || fs::create_dir_all(&self.dir))
            .map_err(|e| io(&self.dir, e))
    }
}

fn cut(path: &Path, len: u64) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path).map_err(|e| io(path, e))?;
    fault::file(Point::FileWrite, path, || file.set_len(len))
        .and_then(|()| fault::file(Point::FileSync, path, || file.sync_all()))
        .map_err(|e| io(path, e))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fault::file(Point::FileWrite, path, || fs::write(path, bytes))
        .and_then(|()| fault::file(Point::FileSync, path, || File::open(path)?.sync_all()))
        .map_err(|e| io(path, e))
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

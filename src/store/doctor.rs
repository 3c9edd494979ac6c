//! Looking at a store that may be damaged, and saving what can be saved.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::look::look_for_store;
use super::{OpenOptions, Store};
use crate::clock::{Clock as _, SystemClock};
use crate::engine::{self, Engine, EngineOptions, LOCK_FILE, Mode, Owner};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::FeedOptions;
use crate::format::keys;
use crate::id::{LineId, Seq};
use crate::maintain::{
    self, Checkup, CheckupOptions, Damage, RecoveryReport, SalvageReport, VerifyOptions, read_rows,
};

/// Memory for what is read; each row is read once.
const CACHE: usize = 8 << 20;
/// So many things that are still wrong are listed.
const LISTED: usize = 100;

impl Store {
    /// What was found and done when the store was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.recovery
    }

    /// Looks whether a store is whole: its marker, its files, its logs and manifest record by record,
    /// and the newest commit of every branch; every row, if [asked](CheckupOptions::deep). No file is
    /// changed, and it may go on beside a writer.
    ///
    /// What is wrong is in the result; `Err` says that there is nothing to look at.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no store;
    /// [`Incompatible`](ErrorKind::Incompatible) if it is something else or of a newer format;
    /// [`Interrupted`](ErrorKind::Interrupted) if the caller wants no more;
    /// [`Io`](ErrorKind::Io) if files cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{CheckupOptions, Store};
    /// Store::open(dir.path())?.main()?.put("pear", "green")?;
    /// let found = Store::checkup(dir.path(), CheckupOptions::default().deep(true))?;
    /// assert_eq!(found.damage, []);
    /// assert_eq!(found.recovery.latest.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkup(path: impl AsRef<Path>, mut options: CheckupOptions<'_>) -> Result<Checkup> {
        let path = path.as_ref();
        look_for_store(path)?;
        let mut out = Checkup { owner: owner(path), ..Checkup::default() };
        let found = match engine::inspect(path) {
            Ok(found) => found,
            Err(e) => return refused(e, out),
        };
        if out.owner.is_none() {
            out.damage.extend(found.examine(path).0.into_iter().map(Damage::from));
            if !out.damage.is_empty() {
                return Ok(out);
            }
        }
        let opened = OpenOptions::default().read_only(true).cache_bytes(CACHE).open(path);
        let store = match opened {
            Ok(store) => store,
            Err(e) => return refused(e, out),
        };
        out.recovery = store.recovery().clone();
        match store.read_heads() {
            Ok(branches) => out.branches = branches,
            Err(e) => return refused(e, out),
        }
        if options.is_deep {
            options.meter.stage("files", None, None)?;
            let step = |files, bytes| options.meter.step(files, bytes);
            let files = engine::check_files(path, &found.manifest, step)?;
            let (rows, unread) = read_rows(store.engine(), &mut options.meter)?;
            let mut damage: Vec<Damage> = files.into_iter().map(Damage::from).collect();
            // What cannot be read is in a file that was named already, unless that has no checksum.
            damage.extend(unread);
            for damage in &mut damage {
                damage.branches = store.touched(damage, &found).unwrap_or_default();
            }
            out.rows = Some(rows);
            out.damage.extend(damage);
        }
        Ok(out)
    }

    /// Makes a store with a damaged log or manifest open again, with what is before the damage. What is
    /// cut off is kept: the files as they were go into a directory `salvage-TIME` in the store. A single
    /// flipped bit in a record of the manifest is changed back, and nothing is lost.
    ///
    /// It is tried on a copy first. One that is stopped is ended by the next; until then the store is
    /// refused.
    ///
    /// Acknowledged commits may be lost by this; the report says which. What is left is
    /// [verified](Self::verify), and the report says what is still wrong. Nothing is done to a store that
    /// is whole. Damaged files of data are not dropped: older versions of their rows would come to light
    /// and be taken for the newest.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) if the store is open for writing; [`Corrupt`](ErrorKind::Corrupt) if
    /// this cannot help, and a backup must be restored; then no file was changed. Else as for [`checkup`](Self::checkup).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::Store;
    /// Store::open(dir.path())?.main()?.put("pear", "green")?;
    /// let report = Store::salvage(dir.path())?;
    /// assert!(report.done.is_empty(), "nothing was wrong");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn salvage(path: impl AsRef<Path>) -> Result<SalvageReport> {
        let path = path.as_ref();
        look_for_store(path)?;
        let now = SystemClock.now();
        let owner = Owner::take(path, Duration::ZERO, now)?;
        let begun = engine::begun(path)?;
        let is_resumed = begun.is_some();
        let dir = begun.unwrap_or_else(|| format!("salvage-{now}").replace(':', "-"));
        let is_whole = || engine::inspect(path).is_ok_and(|it| it.examine(path).0.is_empty());
        let mut salvaged = engine::Salvaged::default();
        if is_resumed || !is_whole() {
            if !is_resumed {
                try_salvage(path, &dir)?;
                engine::begin(path, &dir)?;
            }
            engine::Trial::clear(path)?;
            salvaged = engine::salvage(path, &dir)?;
            if is_resumed {
                salvaged.done.push("a salvage that was stopped has come to its end".to_owned());
            }
            // RocksDB still remembers how long the logs were; this open makes it forget.
            let options = EngineOptions::new(Mode::Write, CACHE).with_shortened_logs();
            let engine = Engine::open(path, &options, Some(owner))?;
            engine::end(path)?;
            drop(engine);
        }
        let store = OpenOptions::default().read_only(true).cache_bytes(CACHE).open(path)?;
        let mut damage = match store.read_heads().and_then(|_| store.read_feed()) {
            Ok(()) => Vec::new(),
            Err(e) => vec![Damage::of(&e)],
        };
        if !salvaged.done.is_empty() {
            // Families have files of their own: what is left of them need not be of one moment.
            let options = VerifyOptions::default().max_findings(LISTED);
            let findings = maintain::verify(store.engine(), options)?.findings;
            damage.extend(findings.iter().map(Damage::from));
        }
        Ok(SalvageReport::new(dir, &salvaged, store.latest(), damage))
    }

    /// Reads the newest commit of each branch, and each tag.
    fn read_heads(&self) -> Result<u64> {
        let branches = self.branches()?;
        for branch in &branches {
            self.commit(&format!("heads/{}", branch.name))?;
        }
        self.tags(crate::refs::TagListOptions::default())?;
        self.ops(1)?;
        Ok(branches.len() as u64)
    }

    /// Reads every commit that is kept: the feed refuses to go over a gap. What retention has let go is none.
    fn read_feed(&self) -> Result<()> {
        let read = |after| {
            let mut feed = self.feed(after, FeedOptions::default().names_only(true))?;
            feed.try_for_each(|event| event.map(|_| ()))
        };
        match read(Seq::ROOT) {
            Err(e) if e.kind() == ErrorKind::HistoryGone => read(self.graph().feed_start(None)?),
            done => done,
        }
    }

    /// The branches that read lines with rows in a damaged file.
    fn touched(&self, damage: &Damage, found: &engine::Inspection) -> Result<Vec<String>> {
        let number =
            damage.file.as_deref().and_then(|file| file.strip_suffix(".sst")?.parse().ok());
        let Some(table) = number.and_then(|number: u64| found.manifest.tables.get(&number)) else {
            return Ok(Vec::new());
        };
        if !matches!(found.manifest.family(table.family), "head" | "history") {
            return Ok(Vec::new());
        }
        let (first, last) =
            (keys::number_at(&table.keys.0, 0)?, keys::number_at(&table.keys.1, 0)?);
        let has = |line: LineId| (first..=last).contains(&line.get());
        let mut out = Vec::new();
        for (name, record) in self.refs().branches()? {
            let line = LineId::new(record.line);
            let below = self.graph().line(line)?;
            if has(line) || below.layers.iter().any(|layer| has(layer.line)) {
                out.push(name.to_string());
            }
        }
        Ok(out)
    }
}

/// Salvages a copy. An error says that this cannot help; the store is as it was.
fn try_salvage(path: &Path, dir: &str) -> Result<()> {
    let trial = engine::Trial::make(path)?;
    let salvaged = engine::salvage(trial.path(), dir)?;
    let options = EngineOptions::new(Mode::Write, CACHE).with_shortened_logs();
    let engine = Engine::open(trial.path(), &options, None)?;
    if !salvaged.has_cut_manifest {
        return Ok(());
    }
    // What a shorter manifest names need not belong together. Rows that came to light again could be taken
    // for the newest: so all has to be right.
    let findings = maintain::verify(&engine, VerifyOptions::default().max_findings(1))?.findings;
    match findings.first() {
        None => Ok(()),
        Some(finding) => {
            let text = format!("the manifest is damaged, and without its end {finding}");
            Err(Error::new(ErrorKind::Corrupt, text).with_hint("restore a backup"))
        }
    }
}

/// An error that says what is wrong with the store is part of the answer.
fn refused(e: Error, mut out: Checkup) -> Result<Checkup> {
    match e.kind() {
        ErrorKind::Corrupt => {
            out.damage.push(Damage::of(&e));
            Ok(out)
        }
        _ => Err(e),
    }
}

/// Who has the store open for writing.
fn owner(path: &Path) -> Option<String> {
    let file = path.join(LOCK_FILE);
    let is_held = File::open(&file).ok()?.try_lock_shared().is_err();
    let text = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    is_held.then(text)
}

//! Removing snapshots, and contents that no snapshot names any more.

use std::fs;
use std::time::Duration;

use super::verify::{is_named, named};
use super::{Backups, NEW, READERS, SNAPSHOTS, stopped};
use crate::engine::Locked;
use crate::engine::files::{names, refused, remove, sync_dir};
use crate::error::{Error, ErrorKind, Result};
use crate::maintain::pace::Job;
use crate::progress::{Meter, takes_progress};

/// What pruning keeps. Each rule keeps what it is for; what none keeps goes. Without a rule all
/// snapshots stay, and only contents that none of them names are removed. The newest one always stays.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::{Backups, PruneOptions};
/// let away = dir.path().join("backup");
/// for _ in 0..3 {
///     store.back_up(&away, Default::default())?;
/// }
/// let pruned = Backups::open(&away)?.prune(PruneOptions::default().keep(2))?;
/// assert_eq!(pruned.snapshots, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PruneOptions<'a> {
    keep: Option<u64>,
    within: Option<Duration>,
    dry_run: bool,
    meter: Meter<'a>,
}

impl<'a> PruneOptions<'a> {
    /// Keeps this many of the newest snapshots.
    #[must_use]
    pub fn keep(mut self, snapshots: u64) -> Self {
        self.keep = Some(snapshots);
        self
    }

    /// Keeps snapshots that are no older than this.
    #[must_use]
    pub fn keep_within(mut self, age: Duration) -> Self {
        self.within = Some(age);
        self
    }

    /// Only says what would be removed.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

takes_progress!(PruneOptions: "The next run goes on with it.");

/// What pruning removed.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// let pruned = withy::Backups::open(dir.path().join("backup"))?.prune(Default::default())?;
/// assert_eq!((pruned.snapshots.len(), pruned.contents, pruned.bytes), (0, 0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Numbers of the snapshots, oldest first.
    pub snapshots: Vec<u64>,
    /// How many contents no snapshot named.
    pub contents: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Backups {
    /// Removes the snapshots that no rule keeps, then the contents that no snapshot names.
    ///
    /// A crash in the middle leaves whole snapshots, and contents that the next run removes.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the record of a snapshot is damaged: what it names is not
    /// known, so nothing is removed; [`Busy`](ErrorKind::Busy) while another process adds, verifies or
    /// restores; [`Interrupted`](ErrorKind::Interrupted) if the caller stops it; [`Io`](ErrorKind::Io)
    /// if the disk refuses. Every snapshot that is left is whole.
    pub fn prune(&self, options: PruneOptions<'_>) -> Result<Pruned> {
        let _lock = self.lock(Duration::ZERO)?;
        let (mut records, damaged) = self.records()?;
        if let Some((_, e)) = damaged.into_iter().next() {
            return Err(e);
        }
        let (rules, now) = ((options.keep, options.within), self.clock.now().as_millis());
        let count = records.len() as u64;
        let is_kept = |(nth, time): (u64, i64)| {
            let left = count - nth;
            let age = u128::from(now.saturating_sub(time).max(0).unsigned_abs());
            left == 1
                || rules == (None, None)
                || rules.0.is_some_and(|keep| left <= keep)
                || rules.1.is_some_and(|within| age <= within.as_millis())
        };
        let mut pruned = Pruned::default();
        for (nth, record) in records.values().enumerate() {
            if !is_kept((nth as u64, record.time)) {
                pruned.snapshots.push(record.number);
            }
        }
        let _readers = if options.dry_run { None } else { Some(self.lock_out_readers()?) };
        for number in &pruned.snapshots {
            records.remove(number);
            if !options.dry_run {
                remove(&self.record_path(*number))?;
            }
        }
        if !options.dry_run {
            // Only now: a record that comes back after a crash would name what is not there.
            sync_dir(&self.dir.join(SNAPSHOTS))?;
        }
        let mut job = Job::new(options.meter, None);
        let named = named(records.values());
        self.sweep(&named, options.dry_run, (&mut job, &mut pruned)).map_err(|e| {
            stopped(e, "interrupted, every snapshot that is left is whole; the next run goes on")
        })?;
        Ok(pruned)
    }

    fn sweep(
        &self,
        named: &super::verify::Named,
        is_dry: bool,
        (job, pruned): (&mut Job<'_>, &mut Pruned),
    ) -> Result<()> {
        let all = self.contents()?;
        job.stage("prune", all.len() as u64, 0)?;
        for path in all {
            if !is_named(named, &path) {
                pruned.bytes +=
                    fs::metadata(&path).map_err(|e| refused("cannot read", &path, e))?.len();
                pruned.contents += 1;
                if !is_dry {
                    remove(&path)?;
                }
            }
            job.done()?;
        }
        if !is_dry {
            let new = self.dir.join(NEW);
            names(&new)?.iter().try_for_each(|name| remove(&new.join(name)))?;
            let snapshots = self.dir.join(SNAPSHOTS);
            for name in names(&snapshots)?.iter().filter(|name| name.ends_with(".new")) {
                remove(&snapshots.join(name))?;
            }
        }
        Ok(())
    }

    /// Waits for nobody: refused while a snapshot is verified or restored.
    fn lock_out_readers(&self) -> Result<Locked> {
        let path = self.dir.join(READERS);
        let file = fs::File::options().create(true).append(true).open(&path);
        let file = file.map_err(|e| refused("cannot open", &path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Locked(file)),
            Err(fs::TryLockError::WouldBlock) => {
                Err(self.busy("a snapshot is being verified or restored"))
            }
            Err(fs::TryLockError::Error(e)) => {
                Err(Error::new(ErrorKind::Io, format!("cannot lock {}", path.display())).because(e))
            }
        }
    }
}

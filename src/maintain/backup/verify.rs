//! Reading every byte of a backup, and moving aside what is damaged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Backups, FILES, stopped};
use crate::engine::files::names;
use crate::error::{ErrorKind, Result};
use crate::format::backup::{PieceRecord, SnapshotRecord};
use crate::maintain::pace::Job;
use crate::progress::{Meter, takes_progress};

/// Ends the name of a content that is not what its name says.
const DAMAGED: &str = ".damaged";

/// How a backup is verified.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::{Backups, VerifyBackupOptions};
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// let backups = Backups::open(dir.path().join("backup"))?;
/// let report = backups.verify(VerifyBackupOptions::default().snapshot(1))?;
/// assert!(report.faults.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyBackupOptions<'a> {
    snapshot: Option<u64>,
    meter: Meter<'a>,
    rate: Option<u64>,
}

impl<'a> VerifyBackupOptions<'a> {
    /// Only this snapshot; all unless told.
    #[must_use]
    pub fn snapshot(mut self, number: u64) -> Self {
        self.snapshot = Some(number);
        self
    }

    /// Reads no more bytes a second than this; no limit unless told.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }
}

takes_progress!(VerifyBackupOptions: "Nothing is changed by it.");

/// What the verification of a backup found.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// let report = withy::Backups::open(dir.path().join("backup"))?.verify(Default::default())?;
/// assert_eq!((report.snapshots, report.faults.len()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// How many snapshots were looked at.
    pub snapshots: u64,
    /// How many contents they have, each counted once.
    pub contents: u64,
    /// Bytes of them that were read.
    pub bytes: u64,
    /// What is wrong, by path; nothing, if every snapshot can be restored.
    pub faults: Vec<BackupFault>,
    /// Contents that no snapshot names: what an interrupted run left. The next one uses them, and
    /// pruning removes them. Counted only if all snapshots were looked at.
    pub unnamed: u64,
}

/// A file of a backup that is not as it was written.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// std::fs::write(dir.path().join("backup/snapshots/00000001"), "nonsense")?;
/// let report = withy::Backups::open(dir.path().join("backup"))?.verify(Default::default())?;
/// assert_eq!(report.faults[0].snapshots, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BackupFault {
    /// The file of the backup.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// The snapshots that cannot be restored because of it.
    pub snapshots: Vec<u64>,
    /// Where it was moved, so that the next backup stores it anew. None if it is missing or no content,
    /// or could not be moved.
    pub moved_to: Option<PathBuf>,
}

/// The contents that some snapshots name, with the numbers of these.
pub(super) type Named = BTreeMap<[u8; 32], (PieceRecord, Vec<u64>)>;

impl Backups {
    /// Reads every byte of one or all snapshots, and holds it against the hashes.
    ///
    /// What is wrong is in the report: that is no error. Damaged contents are moved aside, to a name
    /// that ends in `.damaged`: the next backup stores them anew if the store still has them, and the
    /// snapshots that need them can be restored again. They stay where they are, and the next
    /// verification moves them, while somebody adds a snapshot or if the directory cannot be written
    /// to. Cost: each content is read once.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such snapshot; [`Busy`](ErrorKind::Busy)
    /// while the backup is pruned; [`Interrupted`](ErrorKind::Interrupted) if the caller stops
    /// it; [`Io`](ErrorKind::Io) if the directory cannot be read. Every content is still there, under
    /// the one name or the other.
    pub fn verify(&self, options: VerifyBackupOptions<'_>) -> Result<BackupReport> {
        let _reading = self.lock_to_read()?;
        let mut report = BackupReport::default();
        let (records, damaged) = match options.snapshot {
            Some(number) => match self.record(number) {
                Ok(record) => (BTreeMap::from([(number, record)]), Vec::new()),
                Err(e) if e.kind() == ErrorKind::Corrupt => (BTreeMap::new(), vec![(number, e)]),
                Err(e) => return Err(e),
            },
            None => self.records()?,
        };
        report.snapshots = (records.len() + damaged.len()) as u64;
        for (number, e) in damaged {
            let path = self.record_path(number);
            let (what, snapshots) = (e.to_string(), vec![number]);
            report.faults.push(BackupFault { path, what, snapshots, moved_to: None });
        }
        let named = named(records.values());
        let mut job = Job::new(options.meter, options.rate);
        let mut bad = Vec::new();
        let bytes = named.values().map(|(piece, _)| piece.size).sum();
        let checked = job.stage("verify", named.len() as u64, bytes).and_then(|()| {
            named.values().try_for_each(|(piece, snapshots)| {
                if let Some(what) = self.check(piece, &mut job)? {
                    let (path, snapshots) = (self.piece_path(piece), snapshots.clone());
                    bad.push((*piece, BackupFault { path, what, snapshots, moved_to: None }));
                }
                (report.contents, report.bytes) = (report.contents + 1, report.bytes + piece.size);
                job.done()
            })
        });
        checked.map_err(|e| stopped(e, "interrupted, the backup was not changed"))?;
        self.set_aside(&mut bad, &mut job).map_err(|e| {
            stopped(e, "interrupted, some damaged contents are not moved aside yet")
        })?;
        report.faults.extend(bad.into_iter().map(|(_, fault)| fault));
        if options.snapshot.is_none() {
            report.unnamed =
                self.contents()?.iter().filter(|path| !is_named(&named, path)).count() as u64;
        }
        report.faults.sort_unstable();
        Ok(report)
    }

    /// Moves damaged contents aside, where that can be done now.
    fn set_aside(&self, bad: &mut [(PieceRecord, BackupFault)], job: &mut Job<'_>) -> Result<()> {
        if bad.is_empty() {
            return Ok(());
        }
        // Who adds a snapshot may count on a content that it has seen there.
        let Ok(_owner) = self.lock(Duration::ZERO) else { return Ok(()) };
        for (piece, fault) in bad {
            // It may have been stored anew since it was looked at.
            if !fault.path.exists() || self.check(piece, job)?.is_none() {
                continue;
            }
            let mut aside = fault.path.clone().into_os_string();
            aside.push(DAMAGED);
            let aside = PathBuf::from(aside);
            // If a crash takes that back, the next verification does it again.
            fault.moved_to = fs::rename(&fault.path, &aside).is_ok().then_some(aside);
        }
        Ok(())
    }

    /// What is wrong with a content, if anything is.
    fn check(&self, piece: &PieceRecord, job: &mut Job<'_>) -> Result<Option<String>> {
        let path = self.piece_path(piece);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Some("it is missing".to_owned()));
            }
            Err(e) => return Ok(Some(format!("it cannot be read: {e}"))),
        };
        match file.metadata() {
            Ok(meta) if meta.len() != piece.size => {
                let (found, size) = (meta.len(), piece.size);
                return Ok(Some(format!("it has {found} bytes, and had {size}")));
            }
            _ => {}
        }
        let mut content = Vec::new();
        match job.read(&mut file, piece.size, &mut content) {
            Ok(read) => read?,
            Err(e) => return Ok(Some(format!("it cannot be read: {e}"))),
        }
        let is_whole = *blake3::hash(&content).as_bytes() == piece.hash;
        Ok((!is_whole).then(|| "its bytes are not what they were".to_owned()))
    }

    /// All files below the directory of contents, whatever they are.
    pub(super) fn contents(&self) -> Result<Vec<PathBuf>> {
        let files = self.dir.join(FILES);
        let mut all = Vec::new();
        for dir in names(&files)? {
            let dir = files.join(dir);
            all.extend(names(&dir)?.into_iter().map(|name| dir.join(name)));
        }
        Ok(all)
    }
}

/// The contents that snapshots name.
pub(super) fn named<'r>(records: impl IntoIterator<Item = &'r SnapshotRecord>) -> Named {
    let mut named = Named::new();
    for record in records {
        for piece in record.files.iter().flat_map(|file| &file.pieces) {
            let (_, snapshots) = named.entry(piece.hash).or_insert_with(|| (*piece, Vec::new()));
            if snapshots.last() != Some(&record.number) {
                snapshots.push(record.number);
            }
        }
    }
    named
}

/// Whether a file below the directory of contents is one that a snapshot names. One that is damaged counts
/// as long as no whole one is in its place.
pub(super) fn is_named(named: &Named, path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let (hex, is_needed) = match name.strip_suffix(DAMAGED) {
        Some(hex) => (hex, !path.with_file_name(hex).exists()),
        None => (name, true),
    };
    let is_named = |hash: blake3::Hash| named.contains_key(hash.as_bytes());
    is_needed && blake3::Hash::from_hex(hex).is_ok_and(is_named)
}

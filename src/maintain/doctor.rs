//! What recovery came to, what is wrong with the files of a store, and what could be saved of them.

use std::time::Duration;

use super::verify::Finding;
use crate::engine::files::FileKind;
use crate::engine::{Cut, Engine, Fault, LogReport, Salvaged};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;
use crate::id::Seq;
use crate::progress::{Meter, takes_progress};

/// The end of a file that was never acknowledged, and is not used: the writer was stopped within it.
///
/// # Examples
/// See [`RecoveryReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornEnd {
    /// Name of the file.
    pub file: String,
    /// Offset from which on it is not used.
    pub at: u64,
    /// How many bytes that are, with those of later logs.
    pub bytes: u64,
    /// What was found there.
    pub why: String,
}

/// What was found and done when a store was opened.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::Store;
/// Store::open(dir.path())?.main()?.put("pear", "green")?;
/// let store = Store::open(dir.path())?;
/// let report = store.recovery();
/// assert_eq!((report.latest.get(), report.torn.len()), (1, 0));
/// assert!(report.records > 0, "the commit was in the log alone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Write-ahead logs that were read.
    pub logs: u64,
    /// Records in them: each one write, such as a commit.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
    /// The newest commit.
    pub latest: Seq,
    /// What was cut off at the end of files.
    pub torn: Vec<TornEnd>,
    /// Imports that were taken back because they had not come to their end.
    pub imports: u64,
    /// Read layers that were not finished, and are made again when they are needed.
    pub layers: u64,
    /// Files of unfinished bulk loads that were removed.
    pub leftovers: u64,
    /// Prepared transactions that wait for their decision. What became of messages and sagas is in
    /// [`Store::resumed`](crate::Store::resumed).
    pub prepared: u64,
    /// Whether a purge is under way still, because the disk did not take what it has to write: the next open
    /// or purge goes on with it.
    pub purging: bool,
    /// How long the opening took.
    pub time: Duration,
}

impl RecoveryReport {
    pub(crate) fn new(log: &LogReport) -> Self {
        Self {
            logs: log.logs.logs.len() as u64,
            records: log.logs.records,
            bytes: log.logs.bytes,
            torn: torn(&log.cuts),
            ..Self::default()
        }
    }
}

fn torn(cuts: &[Cut]) -> Vec<TornEnd> {
    let one = |cut: &Cut| TornEnd {
        file: cut.file.clone(),
        at: cut.at,
        bytes: cut.bytes,
        why: cut.why.to_owned(),
    };
    cuts.iter().map(one).collect()
}

/// Something that is wrong in the files of a store.
///
/// # Examples
/// See [`Store::checkup`](crate::Store::checkup).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Name of the file, where it is known.
    pub file: Option<String>,
    /// Offset in it, where it is known.
    pub at: Option<u64>,
    /// A sentence that says what is wrong.
    pub what: String,
    /// Branches that show data of that file, where that can be told.
    pub branches: Vec<String>,
}

impl Damage {
    /// An error, with its causes, as damage; the file is taken from the words of RocksDB.
    pub(crate) fn of(error: &Error) -> Self {
        let mut what = error.to_string();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            what.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        // A whole word, so not a directory above the store that has such a name.
        let is_data = |word: &&str| FileKind::of(word) == Some(FileKind::Table);
        let mut words = what.split([' ', '/', '\\', ',', ':']).skip_while(|word| !is_data(word));
        let file = words.next().map(str::to_owned);
        let at = words.skip_while(|word| *word != "offset").nth(1).and_then(|at| at.parse().ok());
        Self { file, at, what, branches: Vec::new() }
    }
}

impl From<Fault> for Damage {
    fn from(fault: Fault) -> Self {
        Self { file: Some(fault.file), at: fault.at, what: fault.what, branches: Vec::new() }
    }
}

impl From<&Finding> for Damage {
    fn from(finding: &Finding) -> Self {
        let branches = finding.branches.clone();
        Self { file: None, at: None, what: finding.to_string(), branches }
    }
}

/// What a look at a store has found; see [`Store::checkup`](crate::Store::checkup).
///
/// # Examples
/// See [`Store::checkup`](crate::Store::checkup).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checkup {
    /// Process id and start time of who has the store open for writing.
    pub owner: Option<String>,
    /// Everything that is wrong; empty if nothing was found.
    pub damage: Vec<Damage>,
    /// What the next open for writing will do, or has just done: as far as it can be told by reading.
    pub recovery: RecoveryReport,
    /// Branches whose newest commit was read.
    pub branches: u64,
    /// Rows that were read, if all of them were asked for.
    pub rows: Option<u64>,
}

/// How thoroughly a store is looked at.
///
/// # Examples
/// See [`Store::checkup`](crate::Store::checkup).
#[derive(Debug, Default)]
#[must_use]
pub struct CheckupOptions<'a> {
    pub(crate) is_deep: bool,
    pub(crate) meter: Meter<'a>,
}

impl<'a> CheckupOptions<'a> {
    /// Also reads every data file, against its checksum, and every row. Costs the time that this takes.
    pub fn deep(mut self, deep: bool) -> Self {
        self.is_deep = deep;
        self
    }
}

takes_progress!(CheckupOptions: "Nothing is changed by it.");

/// What was saved of a damaged store, and what was lost; see [`Store::salvage`](crate::Store::salvage).
///
/// # Examples
/// See [`Store::salvage`](crate::Store::salvage).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Directory in the store that holds what was damaged; empty if nothing was.
    pub dir: String,
    /// The files that are kept there.
    pub aside: Vec<String>,
    /// What was done, in sentences.
    pub done: Vec<String>,
    /// The newest commit that is left.
    pub latest: Seq,
    /// Commits that were lost and could be named: they can be read in the files that are kept. Others,
    /// in what cannot be read, may be lost between them.
    pub lost: Vec<Seq>,
    /// What is still wrong, the first 100 things of it.
    pub damage: Vec<Damage>,
}

impl SalvageReport {
    pub(crate) fn new(dir: String, salvaged: &Salvaged, latest: Seq, damage: Vec<Damage>) -> Self {
        let lost = salvaged.commits.iter().map(|&seq| Seq::new(seq));
        Self {
            dir: if salvaged.aside.is_empty() { String::new() } else { dir },
            aside: salvaged.aside.clone(),
            done: salvaged.done.clone(),
            latest,
            lost: lost.filter(|&seq| seq > latest).collect(),
            damage,
        }
    }
}

/// Reads every row of every family, large values too, so that every block is checked. In each family it
/// stops at the first that cannot be read.
///
/// # Errors
/// [`Interrupted`](ErrorKind::Interrupted) if the caller wants no more.
pub(crate) fn read_rows(engine: &Engine, meter: &mut Meter<'_>) -> Result<(u64, Vec<Damage>)> {
    let (mut count, mut bytes, mut damage) = (0, 0, Vec::new());
    for family in Family::ALL {
        meter.stage(family.name(), None, None)?;
        let mut rows = engine.iter(family, &[], None);
        rows.seek_to_first();
        loop {
            match rows.current() {
                Ok(Some((key, value))) => {
                    count += 1;
                    bytes += (key.len() + value.len()) as u64;
                    meter.step(count, bytes)?;
                }
                Ok(None) => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                Err(e) => {
                    damage.push(Damage::of(&e));
                    break;
                }
            }
            rows.next();
        }
    }
    Ok((count, damage))
}

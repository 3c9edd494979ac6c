//! All versions of one key, newest first.

use std::sync::Arc;

use super::value_of;
use crate::error::Result;
use crate::format::row::{read_head, read_history};
use crate::format::{Family, keys};
use crate::graph::{Commit, Graph, Place};
use crate::id::Seq;
use crate::kv::ChangeKind;

/// One version of a key.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// main.delete("pear")?;
/// let kinds: Vec<_> =
///     store.history("main", b"pear")?.map(|v| v.map(|v| v.kind)).collect::<Result<_, _>>()?;
/// assert_eq!(kinds, [withy::ChangeKind::Deleted, withy::ChangeKind::Added]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Version {
    /// The commit that made it.
    pub commit: Commit,
    /// What that commit did to the key.
    pub kind: ChangeKind,
    /// The value; `None` for a deletion.
    pub value: Option<Vec<u8>>,
}

/// A version before its commit and value are read.
#[derive(Clone, Debug)]
pub(crate) struct RawVersion {
    pub(crate) seq: Seq,
    cell: StoredCell,
}

/// A row, as stored: tag and value, without a sequence.
type StoredCell = Vec<u8>;

/// The versions of a key at and below a commit, newest first, back across forks: one range read for
/// each line that the commit's data is read through.
pub(crate) fn versions(graph: &Graph, place: Place, key: &[u8]) -> Result<Vec<RawVersion>> {
    let engine = graph.engine();
    let mut out = Vec::new();
    let mut next = Some(place);
    while let Some(place) = next {
        let line = graph.line(place.line)?;
        if let Some(row) = engine.get(Family::Head, &keys::head(place.line, key))? {
            let (seq, cell) = read_head(&row)?;
            let seq = graph.birth(place.line, seq)?;
            if seq <= place.seq {
                let mut stored = Vec::new();
                cell.write_history(&mut stored);
                out.push(RawVersion { seq, cell: stored });
            }
            let prefix = keys::history_prefix(place.line, key);
            let mut rows = engine.iter_prefix(Family::History, &prefix);
            rows.seek(&keys::history(place.line, key, place.seq));
            while let Some((stored, value)) = rows.current()? {
                let seq = graph.birth(place.line, keys::history_seq(stored)?)?;
                out.push(RawVersion { seq, cell: value.to_vec() });
                rows.next();
            }
        }
        next = line.fork.map(|fork| Place { line: fork.line, seq: fork.seq });
    }
    Ok(out)
}

/// The versions of a key, newest first; see [`Store::history`](crate::Store::history).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let newest = store.history("main", b"pear")?.next().expect("one version")?;
/// assert_eq!(newest.value.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct History {
    graph: Arc<Graph>,
    versions: std::iter::Peekable<std::vec::IntoIter<RawVersion>>,
    /// The commits of the next versions, read together.
    commits: std::vec::IntoIter<Commit>,
}

/// Commits are read in groups of this many.
const GROUP: usize = 256;

impl History {
    pub(crate) fn new(graph: Arc<Graph>, versions: Vec<RawVersion>) -> Self {
        Self { graph, versions: versions.into_iter().peekable(), commits: Vec::new().into_iter() }
    }

    fn read(&mut self, version: &RawVersion) -> Result<Option<Version>> {
        let commit = match self.commits.next() {
            Some(commit) => commit,
            None => {
                let later = self.versions.clone().take(GROUP - 1).map(|v| v.seq);
                let seqs: Vec<Seq> = std::iter::once(version.seq).chain(later).collect();
                self.commits = self.graph.commits(&seqs)?.into_iter();
                self.commits.next().expect("one commit for each sequence asked for")
            }
        };
        let cell = read_history(&version.cell)?;
        let before = match self.versions.peek() {
            Some(older) => read_history(&older.cell)?.is_present(),
            None => false,
        };
        let Some(kind) = ChangeKind::of(before, cell.is_present()) else { return Ok(None) };
        let value = value_of(self.graph.engine(), &cell)?;
        Ok(Some(Version { commit, kind, value }))
    }
}

impl Iterator for History {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let version = self.versions.next()?;
            match self.read(&version) {
                Ok(None) => {}
                Ok(Some(version)) => return Some(Ok(version)),
                Err(e) => {
                    self.versions = Vec::new().into_iter().peekable();
                    return Some(Err(e));
                }
            }
        }
    }
}

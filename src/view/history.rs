//! All versions of one key, newest first.

use std::sync::Arc;

use super::{ScanRow, layers_at};
use crate::error::Result;
use crate::format::row::{read_head, read_history};
use crate::format::{Family, keys};
use crate::graph::{Commit, Gone, Graph, Keep, Place, Reader};
use crate::id::{LineId, Seq};
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
struct RawVersion {
    seq: Seq,
    /// None for a deletion.
    row: Option<ScanRow>,
}

/// The versions of a key, newest first.
#[derive(Default)]
struct Versions {
    all: Vec<RawVersion>,
    /// How many of them are not gone, if not all are.
    kept: Option<usize>,
}

impl Versions {
    fn push(&mut self, graph: &Graph, line: LineId, key: &[u8], version: RawVersion) {
        // Of a commit that is kept by itself it is not known what it replaced.
        let is_there = |gone: Arc<Gone>| gone.holds_change(key, version.seq);
        if !graph.gone(line).is_none_or(is_there) {
            self.kept.get_or_insert(self.all.len());
        }
        self.all.push(version);
    }

    fn shown(&self) -> usize {
        self.kept.unwrap_or(self.all.len())
    }
}

/// The versions of a key at and below a commit, newest first, back across forks: one range read for
/// each line that the commit's data is read through.
fn versions(graph: &Graph, place: Place, key: &[u8]) -> Result<Versions> {
    let engine = graph.engine();
    let mut out = Versions::default();
    let mut next = Some(place);
    while let Some(place) = next {
        let line = graph.line(place.line)?;
        if let Some(row) = engine.get(Family::Head, &keys::head(place.line, key))? {
            let (seq, cell) = read_head(&row)?;
            let seq = graph.birth(place.line, seq)?;
            if seq <= place.seq {
                out.push(graph, place.line, key, RawVersion { seq, row: ScanRow::present(&cell) });
            }
            let prefix = keys::history_prefix(place.line, key);
            let mut rows = engine.iter_prefix(Family::History, &prefix);
            rows.seek(&keys::history(place.line, key, place.seq));
            while let Some((stored, value)) = rows.current()? {
                let seq = graph.birth(place.line, keys::history_seq(stored)?)?;
                // A version may have moved here since the row above was read.
                if out.all.last().is_none_or(|newer| newer.seq != seq) {
                    let row = ScanRow::present(&read_history(value)?);
                    out.push(graph, place.line, key, RawVersion { seq, row });
                }
                rows.next();
            }
        }
        if let Some(flat) = line.flat() {
            // All that is left of what was below; the commits are gone.
            if let Some(row) = engine.get(Family::Head, &keys::head(flat.line, key))? {
                let (seq, cell) = read_head(&row)?;
                out.kept.get_or_insert(out.all.len());
                out.all.push(RawVersion { seq, row: ScanRow::present(&cell) });
            }
            break;
        }
        next = line.fork;
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
    versions: Versions,
    /// The version that comes next.
    at: usize,
    /// The commits of the next versions, read together.
    commits: std::vec::IntoIter<Commit>,
    _keep: Keep,
}

/// Commits are read in groups of this many.
const GROUP: usize = 256;

impl History {
    /// The versions of a key at and below a commit. Where retention has let the rest of the history go,
    /// they end.
    pub(crate) fn new(graph: &Arc<Graph>, place: Place, key: &[u8]) -> Result<Self> {
        let find = || {
            let rows = graph.header(place.seq)?.rows;
            let layers = layers_at(graph, place, rows)?;
            // Its values are read as they are asked for: until then nothing may go.
            Ok((Reader { place, layers, since: Some(Seq::ROOT) }, ()))
        };
        let (keep, ()) = graph.keep(find)?;
        if let Some(gone) = graph.gone(place.line) {
            gone.missing(place.seq).check(key)?;
        }
        let (graph, versions) = (Arc::clone(graph), versions(graph, place, key)?);
        Ok(Self { graph, versions, at: 0, commits: Vec::new().into_iter(), _keep: keep })
    }

    /// Whether there were older versions, which retention has let go.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.versions.kept.is_some()
    }

    fn step(&mut self) -> Result<Option<Version>> {
        let commit = match self.commits.next() {
            Some(commit) => commit,
            None => {
                let shown = &self.versions.all[..self.versions.shown()];
                let group = shown[self.at..].iter().take(GROUP);
                let seqs: Vec<Seq> = group.map(|version| version.seq).collect();
                self.commits = self.graph.commits(&seqs)?.into_iter();
                self.commits.next().expect("one commit for each sequence asked for")
            }
        };
        let row = self.versions.all[self.at].row.take();
        self.at += 1;
        let before = self.versions.all.get(self.at).is_some_and(|older| older.row.is_some());
        let Some(kind) = ChangeKind::of(before, row.is_some()) else { return Ok(None) };
        let value = row.map(|row| row.into_value(self.graph.engine())).transpose()?;
        Ok(Some(Version { commit, kind, value }))
    }
}

impl Iterator for History {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.versions.shown() {
            match self.step() {
                Ok(None) => {}
                Ok(Some(version)) => return Some(Ok(version)),
                Err(e) => {
                    self.versions = Versions::default();
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

//! Differences between two commits, in key order.
//!
//! Where one is on the first parents of the other, the log between them tells the first old and the
//! last new hash of each key. Else the keys that either side touched since the merge base are compared.
//! Both cost what was changed, not what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::graph::{Commit, Graph, Place, Run};
use crate::id::{Seq, ValueHash};
use crate::kv::{ChangeKind, KeyRange};
use crate::view::{Read, View};

/// Which differences to give, and how much of them.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{DiffOptions, KeyRange};
/// store.main()?.put("fruit/pear", "green")?;
/// store.main()?.put("tree/oak", "old")?;
/// let fruit = DiffOptions::default().range(KeyRange::prefix("fruit/")).names_only(true);
/// assert_eq!(store.diff("main~2", "main", fruit)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    range: KeyRange,
    names_only: bool,
    limit: Option<usize>,
}

impl DiffOptions {
    /// Only keys in this range. To page, start the next range behind the last key.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = range;
        self
    }

    /// Whether values are left out, and not read.
    #[must_use]
    pub fn names_only(mut self, names_only: bool) -> Self {
        self.names_only = names_only;
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// One key that differs.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let entry = store.diff("main~1", "main", withy::DiffOptions::default())?.next().expect("one key")?;
/// assert_eq!(entry.kind, withy::ChangeKind::Added);
/// assert_eq!(entry.after.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffEntry {
    /// The key.
    pub key: Vec<u8>,
    /// What happened to it, from the first commit to the second.
    pub kind: ChangeKind,
    /// Its value at the first commit; `None` if absent there, or if values are left out.
    pub before: Option<Vec<u8>>,
    /// Its value at the second commit; `None` if absent there, or if values are left out.
    pub after: Option<Vec<u8>>,
}

/// How many keys differ, by kind.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let counts = store.diff_counts("main~1", "main", &withy::KeyRange::all())?;
/// assert_eq!((counts.added, counts.modified, counts.deleted), (1, 0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DiffCounts {
    /// Absent in the first, present in the second.
    pub added: u64,
    /// Present in both, with different values.
    pub modified: u64,
    /// Present in the first, absent in the second.
    pub deleted: u64,
}

/// The hashes of a key's value on both sides.
pub(crate) type Sides = (Option<ValueHash>, Option<ValueHash>);

/// The keys that differ between two views, with the hashes on both sides.
pub(crate) fn net_changes(
    from: &View,
    to: &View,
    range: &KeyRange,
) -> Result<BTreeMap<Vec<u8>, Sides>> {
    let graph = from.graph();
    let net = if let Some(runs) = first_parents(graph, from.place(), to.place())? {
        fold(graph, &runs, range)?
    } else if let Some(runs) = first_parents(graph, to.place(), from.place())? {
        let turned = fold(graph, &runs, range)?;
        turned.into_iter().map(|(key, (before, after))| (key, (after, before))).collect()
    } else {
        compare(from, to, range)?
    };
    Ok(net.into_iter().filter(|(_, (before, after))| before != after).collect())
}

/// The runs of first parents that lead from one commit to another, oldest first; `None` if the one
/// is not on the first parents of the other.
fn first_parents(graph: &Graph, from: Place, to: Place) -> Result<Option<Vec<Run>>> {
    let mut runs = Vec::new();
    let mut place = to;
    while place.seq >= from.seq {
        if place.line == from.line {
            runs.push(Run { line: place.line, after: from.seq, upto: place.seq });
            runs.reverse();
            return Ok(Some(runs));
        }
        let Some(fork) = graph.line(place.line)?.fork else { break };
        runs.push(Run { line: place.line, after: fork.seq, upto: place.seq });
        place = fork;
    }
    Ok(None)
}

/// First old and last new hash of each key over runs that follow each other.
fn fold(graph: &Graph, runs: &[Run], range: &KeyRange) -> Result<BTreeMap<Vec<u8>, Sides>> {
    let mut net: BTreeMap<Vec<u8>, Sides> = BTreeMap::new();
    for seq in graph.commits_of(runs)? {
        graph.visit(
            seq,
            |_| {},
            |change| {
                // A key that a merge decided did not change against the first parent.
                if change.decided || !range.contains(&change.key) {
                    return;
                }
                let (before, after) = (change.before(), change.after());
                net.entry(change.key)
                    .and_modify(|sides| sides.1 = after)
                    .or_insert((before, after));
            },
        )?;
    }
    Ok(net)
}

/// Both sides of each key that either touched since the merge base.
fn compare(from: &View, to: &View, range: &KeyRange) -> Result<BTreeMap<Vec<u8>, Sides>> {
    let graph = from.graph();
    let difference = graph.difference(from.place(), to.place())?;
    let mut touched = BTreeMap::new();
    for runs in [&difference.only_first, &difference.only_second] {
        for seq in graph.commits_of(runs)? {
            graph.visit(
                seq,
                |_| {},
                |change| {
                    if range.contains(&change.key) {
                        touched.insert(change.key, (None, None));
                    }
                },
            )?;
        }
    }
    for (key, sides) in &mut touched {
        *sides = (from.hash(key)?, to.hash(key)?);
    }
    Ok(touched)
}

/// How many keys differ between two views.
pub(crate) fn counts(from: &View, to: &View, range: &KeyRange) -> Result<DiffCounts> {
    let mut counts = DiffCounts::default();
    for (before, after) in net_changes(from, to, range)?.into_values() {
        match ChangeKind::of(before.is_some(), after.is_some()) {
            Some(ChangeKind::Added) => counts.added += 1,
            Some(ChangeKind::Modified) => counts.modified += 1,
            Some(ChangeKind::Deleted) => counts.deleted += 1,
            None => {}
        }
    }
    Ok(counts)
}

/// The differences between two commits, in key order; see [`Store::diff`](crate::Store::diff).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let diff = store.diff("main~1", "main", withy::DiffOptions::default())?;
/// assert_eq!((diff.from().seq.get(), diff.to().seq.get()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Diff {
    from: View,
    to: View,
    net: std::iter::Take<std::collections::btree_map::IntoIter<Vec<u8>, Sides>>,
    names_only: bool,
}

impl Diff {
    pub(crate) fn new(from: View, to: View, options: &DiffOptions) -> Result<Self> {
        let net = net_changes(&from, &to, &options.range)?;
        let net = net.into_iter().take(options.limit.unwrap_or(usize::MAX));
        Ok(Self { from, to, net, names_only: options.names_only })
    }

    /// The commit that the differences start from.
    #[must_use]
    pub fn from(&self) -> &Commit {
        self.from.commit()
    }

    /// The commit that they lead to.
    #[must_use]
    pub fn to(&self) -> &Commit {
        self.to.commit()
    }

    fn entry(&self, key: Vec<u8>, (before, after): Sides) -> Result<DiffEntry> {
        let kind = ChangeKind::of(before.is_some(), after.is_some())
            .expect("hashes that differ are not both absent");
        let (before, after) =
            if self.names_only { (None, None) } else { (self.from.get(&key)?, self.to.get(&key)?) };
        Ok(DiffEntry { key, kind, before, after })
    }
}

impl Iterator for Diff {
    type Item = Result<DiffEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, sides) = self.net.next()?;
        Some(self.entry(key, sides))
    }
}

/// One change of a commit, without values.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{ChangeKind, Seq, ValueHash};
/// store.main()?.put("pear", "green")?;
/// let change = &store.changes(Seq::new(1))?[0];
/// assert_eq!((change.key.as_slice(), change.kind), (&b"pear"[..], ChangeKind::Added));
/// assert_eq!(change.after, Some(ValueHash::of(b"green")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitChange {
    /// The key.
    pub key: Vec<u8>,
    /// What the commit did to it.
    pub kind: ChangeKind,
    /// Hash of its value before.
    pub before: Option<ValueHash>,
    /// Hash of its value after.
    pub after: Option<ValueHash>,
}

/// The changes of a commit against its first parent, in key order.
pub(crate) fn commit_changes(graph: &Graph, seq: Seq) -> Result<Vec<CommitChange>> {
    let mut out = Vec::new();
    graph.visit(
        seq,
        |_| {},
        |change| {
            let (before, after) = (change.before(), change.after());
            if let Some(kind) = ChangeKind::of(before.is_some(), after.is_some()) {
                out.push(CommitChange { key: change.key, kind, before, after });
            }
        },
    )?;
    Ok(out)
}

/// A commit's own view.
pub(crate) fn view_of(graph: &Arc<Graph>, seq: Seq) -> Result<View> {
    View::new(graph, graph.place(seq)?)
}

//! Differences between two commits, in key order.
//!
//! Where one is on the first parents of the other, the log between them tells the first old and the
//! last new hash of each key. Else the keys that either side touched since the merge base are compared.
//! Both cost what was changed, not what is stored. Where retention has let the commits between go, both
//! are read whole.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::error::{ErrorKind, Result};
use crate::graph::{Commit, Difference, Graph, Run};
use crate::id::ValueHash;
use crate::kv::{ChangeKind, Direction, KeyRange};
use crate::view::{ScanRow, View};

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
/// Keys with the hashes on both sides.
pub(crate) type Net = BTreeMap<Vec<u8>, Sides>;
/// Rows are read in groups of this many.
const CHUNK: usize = 128;

/// What is called for each key or change that is read; its error ends the work.
pub(crate) type Tick<'t> = dyn FnMut() -> Result<()> + 't;

/// Goes on to the end.
pub(crate) fn go_on() -> Result<()> {
    Ok(())
}

/// The keys that differ between two views, with the hashes on both sides; none where a value was purged.
pub(crate) fn net_changes(
    from: &View,
    to: &View,
    range: &KeyRange,
    tick: &mut Tick<'_>,
) -> Result<Net> {
    from.check_whole()?;
    to.check_whole()?;
    let net = match by_log(from, to, range, tick) {
        // Both commits are whole, but the way from one to the other is no longer kept.
        Err(e) if e.kind() == ErrorKind::HistoryGone => by_rows(from, to, range, tick)?,
        net => net?,
    };
    let mut net = as_read(from, to, net, tick)?;
    net.retain(|_, (before, after)| before != after);
    Ok(net)
}

/// Changes that come from the log, as reads see them: what was purged has a hash in the log still, and the
/// same one if it was put again.
pub(crate) fn as_read(from: &View, to: &View, mut net: Net, tick: &mut Tick<'_>) -> Result<Net> {
    let purged = from.graph().purged();
    if purged.is_empty() {
        return Ok(net);
    }
    let doubtful: Vec<Vec<u8>> = net.keys().filter(|key| purged.covers(key)).cloned().collect();
    net.retain(|key, _| !purged.covers(key));
    net.extend(net_of(from, to, &doubtful, tick)?);
    Ok(net)
}

/// What some sorted keys have in two views, where that differs; none where a value was purged.
pub(crate) fn net_of(from: &View, to: &View, keys: &[Vec<u8>], tick: &mut Tick<'_>) -> Result<Net> {
    let mut net = Net::new();
    let (mut old, mut new) = (from.finder(keys.len()), to.finder(keys.len()));
    for group in keys.chunks(CHUNK) {
        group.iter().try_for_each(|_| tick())?;
        let sides = old.hashes(group)?.into_iter().zip(new.hashes(group)?);
        net.extend(group.iter().cloned().zip(sides).filter(|(_, (before, after))| before != after));
    }
    Ok(net)
}

/// The keys that commits between two views changed, with the hashes on both sides.
fn by_log(from: &View, to: &View, range: &KeyRange, tick: &mut Tick<'_>) -> Result<Net> {
    let graph = from.graph();
    let (a, b) = (from.place(), to.place());
    Ok(if let Some(runs) = graph.first_parents(a, b)? {
        net_along(graph, &runs, range, tick)?
    } else if let Some(runs) = graph.first_parents(b, a)? {
        net_along(graph, &runs, range, tick)?
            .into_iter()
            .map(|(key, (old, new))| (key, (new, old)))
            .collect()
    } else {
        let difference = graph.difference(a, b)?;
        let joined = match difference.bases.as_slice() {
            [base] => graph.first_parents(*base, a)?.zip(graph.first_parents(*base, b)?),
            _ => None,
        };
        match joined {
            Some((left, right)) => {
                let left = net_along(graph, &left, range, tick)?;
                join(left, net_along(graph, &right, range, tick)?)
            }
            None => compare(from, to, &difference, range, tick)?,
        }
    })
}

/// The keys that differ between two views, found by reading all of both.
pub(crate) fn by_rows(
    from: &View,
    to: &View,
    range: &KeyRange,
    tick: &mut Tick<'_>,
) -> Result<Net> {
    let (mut old, mut new) =
        (from.scanner(range, Direction::Forward), to.scanner(range, Direction::Forward));
    let (mut left, mut right) = (old.next_known()?, new.next_known()?);
    let mut net = Net::new();
    loop {
        tick()?;
        let order = match (&left, &right) {
            (None, None) => return Ok(net),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let before = left.take_if(|_| order.is_le());
        let after = right.take_if(|_| order.is_ge());
        let hash = |row: &Option<(Vec<u8>, ScanRow)>| row.as_ref().map(|(_, row)| row.hash());
        let sides = match (&before, &after) {
            (Some((_, a)), Some((_, b))) if a == b => None,
            _ => Some((hash(&before), hash(&after))),
        };
        if before.is_some() {
            left = old.next_known()?;
        }
        if after.is_some() {
            right = new.next_known()?;
        }
        if let (Some(sides), Some((key, _))) = (sides, before.or(after)) {
            net.insert(key, sides);
        }
    }
}

/// Two sets of changes since the same commit, as the changes from the first side to the second.
fn join(left: Net, right: Net) -> Net {
    let mut out: Net = left.into_iter().map(|(key, (base, left))| (key, (left, base))).collect();
    for (key, (base, right)) in right {
        out.entry(key).and_modify(|sides| sides.1 = right).or_insert((base, right));
    }
    out
}

/// First old and last new hash of each key over runs that follow each other.
pub(crate) fn net_along(
    graph: &Graph,
    runs: &[Run],
    range: &KeyRange,
    tick: &mut Tick<'_>,
) -> Result<Net> {
    let mut net = Net::new();
    for seq in graph.commits_of(runs)? {
        graph.try_visit(
            seq,
            |_| {},
            |change| {
                tick()?;
                // A key that a merge decided did not change against the first parent.
                if change.decided || !range.contains(&change.key) {
                    return Ok(());
                }
                let (before, after) = (change.before(), change.after());
                net.entry(change.key)
                    .and_modify(|sides| sides.1 = after)
                    .or_insert((before, after));
                Ok(())
            },
        )?;
    }
    Ok(net)
}

/// Both sides of each key that either touched since the merge base.
fn compare(
    from: &View,
    to: &View,
    difference: &Difference,
    range: &KeyRange,
    tick: &mut Tick<'_>,
) -> Result<Net> {
    let graph = from.graph();
    let mut touched = BTreeSet::new();
    for runs in [&difference.only_first, &difference.only_second] {
        for seq in graph.commits_of(runs)? {
            graph.try_visit(
                seq,
                |_| {},
                |change| {
                    tick()?;
                    if range.contains(&change.key) {
                        touched.insert(change.key);
                    }
                    Ok(())
                },
            )?;
        }
    }
    net_of(from, to, &touched.into_iter().collect::<Vec<_>>(), tick)
}

/// How many keys differ between two views.
pub(crate) fn counts(from: &View, to: &View, range: &KeyRange) -> Result<DiffCounts> {
    let mut counts = DiffCounts::default();
    for (before, after) in net_changes(from, to, range, &mut go_on)?.into_values() {
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
    net: std::collections::btree_map::IntoIter<Vec<u8>, Sides>,
    /// So many entries are given yet.
    left: usize,
    names_only: bool,
    /// Entries whose rows are read already; large values are not in them.
    ready: VecDeque<Ready>,
}

/// An entry with its rows on both sides.
struct Ready {
    key: Vec<u8>,
    kind: ChangeKind,
    before: Option<ScanRow>,
    after: Option<ScanRow>,
}

impl Diff {
    pub(crate) fn new(from: View, to: View, options: &DiffOptions) -> Result<Self> {
        let net = net_changes(&from, &to, &options.range, &mut go_on)?;
        let (net, left) = (net.into_iter(), options.limit.unwrap_or(usize::MAX));
        Ok(Self { from, to, net, left, names_only: options.names_only, ready: VecDeque::new() })
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

    /// Reads the rows of the next entries, a group at a time.
    fn fill(&mut self) -> Result<()> {
        let group: Vec<_> = self.net.by_ref().take(CHUNK.min(self.left)).collect();
        let (mut old, mut new) = if self.names_only {
            (Vec::new(), Vec::new())
        } else {
            let present = |side: fn(&Sides) -> Option<ValueHash>| {
                let keys = group.iter().filter(|(_, sides)| side(sides).is_some());
                keys.map(|(key, _)| key.as_slice()).collect::<Vec<_>>()
            };
            let read = |view: &View, keys: &[&[u8]]| view.finder(0).cells(keys, ScanRow::of);
            (read(&self.from, &present(|s| s.0))?, read(&self.to, &present(|s| s.1))?)
        };
        let (mut old, mut new) = (old.drain(..), new.drain(..));
        for (key, (before, after)) in group {
            let mut is = (before.is_some(), after.is_some());
            // A purge may have come since the keys were looked for.
            let absent = |row: &Option<ScanRow>| row.as_ref().is_some_and(ScanRow::is_purged);
            let mut before = before.and_then(|_| old.next().flatten());
            let mut after = after.and_then(|_| new.next().flatten());
            is = (is.0 && !absent(&before), is.1 && !absent(&after));
            if !is.0 || self.names_only {
                before = None;
            }
            if !is.1 || self.names_only {
                after = None;
            }
            let Some(kind) = ChangeKind::of(is.0, is.1) else { continue };
            self.left = self.left.saturating_sub(1);
            self.ready.push_back(Ready { key, kind, before, after });
        }
        Ok(())
    }
}

impl Iterator for Diff {
    type Item = Result<DiffEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        // All of a group may be absent on both sides.
        while self.ready.is_empty() && self.left > 0 && self.net.len() > 0 {
            if let Err(e) = self.fill() {
                return Some(Err(e));
            }
        }
        let Ready { key, kind, before, after } = self.ready.pop_front()?;
        let value = |row: Option<ScanRow>, view: &View| {
            row.map(|row| row.into_value(view.engine())).transpose()
        };
        let read = || {
            let (before, after) = (value(before, &self.from)?, value(after, &self.to)?);
            Ok(DiffEntry { key, kind, before, after })
        };
        Some(read())
    }
}

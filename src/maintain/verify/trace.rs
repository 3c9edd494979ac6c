//! Which versions it is that the commits and the rows do not agree on.

use std::collections::{BTreeMap, BTreeSet};

use super::found::{Findings, Site};
use super::report::Check;
use super::rows::Item;
use super::sums::{GROUPS, Sink, group_of};
use crate::format::Family;
use crate::id::{LineId, Seq};

/// Before and after, as the fingerprint counts them.
type Sides = (Option<[u64; 4]>, Option<[u64; 4]>);

/// What one side says of the versions in some groups of keys.
pub(super) struct Trace<'g> {
    groups: &'g [bool],
    pub(super) versions: BTreeMap<(LineId, Vec<u8>, Seq), Sides>,
}

impl<'g> Trace<'g> {
    pub(super) fn new(groups: &'g [bool]) -> Self {
        Self { groups, versions: BTreeMap::new() }
    }
}

impl Sink for Trace<'_> {
    fn take(&mut self, item: &Item<'_>) {
        if self.groups[group_of(item.line, item.key)] {
            let at = (item.line, item.key.to_vec(), item.seq);
            self.versions.insert(at, (item.before, item.after));
        }
    }
}

/// So many versions are held in memory at once.
const MANY: u64 = 1 << 18;

/// The groups to look at again: all that differ, as long as that does not take too much memory.
pub(super) fn choose(unequal: &[usize], items: u64, limit: usize) -> Vec<bool> {
    let in_group = items / GROUPS as u64 + 1;
    let most = usize::try_from(MANY / in_group).unwrap_or(usize::MAX).clamp(1, limit.max(1));
    let mut out = vec![false; GROUPS];
    for &group in unequal.iter().take(most) {
        out[group] = true;
    }
    out
}

/// INV-60: names the versions on which the two sides differ; the lines that these are on.
pub(super) fn compare(
    findings: &Findings,
    log: &Trace<'_>,
    rows: &Trace<'_>,
    broken: &BTreeSet<Seq>,
) -> BTreeSet<LineId> {
    let mut lines = BTreeSet::new();
    let mut named: BTreeSet<&[u8]> = BTreeSet::new();
    let mut add = |(line, key, seq): &(LineId, Vec<u8>, Seq), what: String| {
        lines.insert(*line);
        let site = Site::of(Family::Head).line(*line).key(key).seq(*seq);
        findings.add(Check::Rows, 60, site, what);
    };
    let known = |seq: &Seq| !broken.contains(seq);
    for (at, (_, after)) in log.versions.iter().filter(|(at, _)| known(&at.2)) {
        let what = match rows.versions.get(at) {
            None => format!("the version that commit {} wrote is missing", at.2),
            Some((_, stored)) if stored != after => {
                format!("the version that commit {} wrote is not what the commit says", at.2)
            }
            Some(_) => continue,
        };
        named.insert(&at.1);
        add(at, what);
    }
    for at in rows.versions.keys().filter(|at| known(&at.2) && !log.versions.contains_key(*at)) {
        named.insert(&at.1);
        add(at, format!("a version is there that commit {} did not write", at.2));
    }
    // What was there before is wrong wherever the version before it is: that has been said.
    for (at, (before, _)) in log.versions.iter().filter(|(at, _)| known(&at.2)) {
        let differs = rows.versions.get(at).is_some_and(|(stored, _)| stored != before);
        if differs && !named.contains(at.1.as_slice()) {
            add(
                at,
                format!(
                    "what is shown before commit {} is not what the commit says it replaced",
                    at.2
                ),
            );
        }
    }
    lines
}

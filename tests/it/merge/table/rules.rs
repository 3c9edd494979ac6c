//! Sides, what is done to them, and what the rules make of it.

use std::collections::BTreeMap;

use withy::{
    Branch, ConflictKind, ErrorKind, FastForward, MergeOptions, MergeOutcome, MergeReport, Read,
    Resolution, Seq, Settled, SettledBy, Store, Strategy, ValueHash,
};

use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_get, must_head, must_put, rows,
};

/// The key in question.
pub(super) const KEY: &str = "p/q/key";

/// What a side does to it after the merge base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    SetX,
    SetY,
    Delete,
    SetAndBack,
    AddAndDelete,
}

impl Act {
    pub(super) const ALL: [Self; 6] =
        [Self::Nothing, Self::SetX, Self::SetY, Self::Delete, Self::SetAndBack, Self::AddAndDelete];

    /// The values that it gives the key one after the other, which starts with `base`.
    pub(super) fn writes(self, base: Cell) -> Vec<Cell> {
        match self {
            Self::Nothing => Vec::new(),
            Self::SetX => vec![Some("x")],
            Self::SetY => vec![Some("y")],
            Self::Delete => base.map(|_| None).into_iter().collect(),
            Self::SetAndBack => vec![Some("z"), base],
            Self::AddAndDelete => vec![Some("z"), None],
        }
    }

    /// What the key has in the end.
    pub(super) fn net(self, base: Cell) -> Cell {
        self.writes(base).last().copied().unwrap_or(base)
    }
}

/// A value, or none.
pub(super) type Cell = Option<&'static str>;

/// How the two sides come from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Two branches of one commit.
    Siblings,
    /// The source is a branch of the target.
    Child,
    /// The target is a branch of the source.
    Parent,
    /// Both are branches of branches, with commits of their own on the way.
    Deep,
}

impl Layout {
    pub(super) const ALL: [Self; 4] = [Self::Siblings, Self::Child, Self::Parent, Self::Deep];
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) base: Cell,
    pub(super) ours: Act,
    pub(super) theirs: Act,
}

impl Case {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let acts = || Act::ALL.into_iter();
        [None, Some("v0")].into_iter().flat_map(move |base| {
            acts().flat_map(move |ours| acts().map(move |theirs| Self { base, ours, theirs }))
        })
    }

    pub(super) fn net(&self) -> Net {
        Net { base: self.base, ours: self.ours.net(self.base), theirs: self.theirs.net(self.base) }
    }
}

/// What the key has at the base, the target and the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Net {
    pub(super) base: Cell,
    pub(super) ours: Cell,
    pub(super) theirs: Cell,
}

/// What decides a merge.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) strategy: Strategy,
    pub(super) prefixes: Vec<(&'static str, Strategy)>,
    pub(super) strict: bool,
    pub(super) fast_forward: FastForward,
    pub(super) squash: bool,
    pub(super) resolution: Option<Resolution>,
}

impl Setup {
    pub(super) fn strategy(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    pub(super) fn options(&self) -> MergeOptions<'static> {
        let mut options = MergeOptions::default()
            .strategy(self.strategy)
            .strict(self.strict)
            .fast_forward(self.fast_forward)
            .squash(self.squash);
        for &(prefix, strategy) in &self.prefixes {
            options = options.strategy_for(prefix, strategy);
        }
        if let Some(resolution) = &self.resolution {
            options = options.resolve(KEY, resolution.clone());
        }
        options
    }

    fn deciding(&self) -> Strategy {
        let matching = self.prefixes.iter().filter(|(prefix, _)| KEY.starts_with(prefix));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        longest.map_or(self.strategy, |(_, strategy)| *strategy)
    }
}

/// What becomes of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What it has in the end; as it was if there is a conflict.
    pub(super) result: Option<String>,
    pub(super) auto_resolved: u64,
    pub(super) conflict: Option<ConflictKind>,
    pub(super) settled: Option<(ConflictKind, SettledBy)>,
}

/// MERGE-1, MERGE-2, MERGE-3, MERGE-6.
pub(super) fn verdict(net: Net, setup: &Setup) -> Verdict {
    let Net { base: b, ours: t, theirs: s } = net;
    let owned = |cell: Cell| cell.map(str::to_owned);
    let plain = |cell: Cell, auto_resolved| Verdict {
        result: owned(cell),
        auto_resolved,
        conflict: None,
        settled: None,
    };
    if s == b {
        return plain(t, 0);
    }
    if s == t && !setup.strict {
        return plain(t, 1);
    }
    if t == b {
        return plain(s, 0);
    }
    let kind = match (b, t, s) {
        (_, Some(_), None) => ConflictKind::DeleteModify,
        (_, None, Some(_)) => ConflictKind::ModifyDelete,
        (None, Some(_), Some(_)) => ConflictKind::AddAdd,
        (Some(_), Some(_), Some(_)) | (_, None, None) => ConflictKind::ModifyModify,
    };
    let settled = |by, result| Verdict {
        result,
        auto_resolved: 0,
        conflict: None,
        settled: Some((kind, by)),
    };
    if let Some(resolution) = &setup.resolution {
        let result = match resolution {
            Resolution::Ours => owned(t),
            Resolution::Theirs => owned(s),
            Resolution::Base => owned(b),
            Resolution::Value(value) => Some(String::from_utf8(value.clone()).expect("text")),
            Resolution::Delete => None,
        };
        let by = SettledBy::Resolution { taken: resolution.name(), by: "tester".to_owned() };
        return settled(by, result);
    }
    let strategy = setup.deciding();
    match strategy {
        Strategy::Ours => settled(SettledBy::Strategy(strategy), owned(t)),
        Strategy::Theirs => settled(SettledBy::Strategy(strategy), owned(s)),
        Strategy::Manual | Strategy::FastForward => {
            Verdict { result: owned(t), auto_resolved: 0, conflict: Some(kind), settled: None }
        }
    }
}

/// How a merge must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    UpToDate,
    FastForward,
    Committed(Verdict),
    Conflicts(Verdict),
    /// A fast-forward was demanded, and is not possible.
    NotFastForward,
    /// There is a resolution, but nothing to resolve.
    NotInConflict,
}

/// MERGE-3, MERGE-4, rulings 2 and 6.
pub(super) fn ending(case: &Case, setup: &Setup, moved: (bool, bool)) -> Ending {
    let unused = setup.resolution.is_some();
    let (ours_moved, theirs_moved) = moved;
    if !theirs_moved {
        return if unused { Ending::NotInConflict } else { Ending::UpToDate };
    }
    if !ours_moved && setup.fast_forward != FastForward::Never && !setup.squash {
        return if unused { Ending::NotInConflict } else { Ending::FastForward };
    }
    if setup.fast_forward == FastForward::Only {
        return Ending::NotFastForward;
    }
    let verdict = verdict(case.net(), setup);
    match (&verdict.conflict, &verdict.settled) {
        (Some(_), _) => Ending::Conflicts(verdict),
        (None, None) if unused => Ending::NotInConflict,
        (None, _) => Ending::Committed(verdict),
    }
}

/// A store with pairs of branches, one for each cell.
pub(super) struct Table {
    pub(super) store: Scratch,
    made: usize,
    /// Whether values are so long that they are kept apart.
    large: bool,
    /// Fingerprints of contents that came about without any merge.
    plain: BTreeMap<Vec<(String, String)>, withy::Fingerprint>,
}

/// The two sides of a cell.
pub(super) struct Pair {
    pub(super) ours: Branch,
    pub(super) theirs: Branch,
    /// Whether each has commits since the base.
    pub(super) moved: (bool, bool),
    pub(super) base: Seq,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            store: Scratch::with(|options| options.blob_threshold(64)),
            made: 0,
            large: false,
            plain: BTreeMap::new(),
        }
    }

    pub(super) fn large() -> Self {
        Self { large: true, ..Self::new() }
    }

    /// A value as it is stored.
    pub(super) fn value(&self, value: &str) -> String {
        if self.large { value.repeat(100) } else { value.to_owned() }
    }

    pub(super) fn hash(&self, cell: Cell) -> Option<ValueHash> {
        cell.map(|value| ValueHash::of(self.value(value).as_bytes()))
    }

    /// Gives the key values one after the other, each with a commit.
    pub(super) fn act(&self, branch: &Branch, writes: &[Cell]) {
        for cell in writes {
            match cell {
                Some(value) => must_put(branch, KEY, &self.value(value)),
                None => must_delete(branch, KEY),
            };
        }
    }

    /// Branches for a cell.
    pub(super) fn pair(&mut self, case: &Case, layout: Layout) -> Pair {
        self.made += 1;
        let name = |side: &str| format!("{side}{}", self.made);
        let root = must_branch(&self.store, &name("root"), "main~0");
        must_put(&root, "stays", "as it is");
        self.act(&root, &case.base.map(Some).into_iter().collect::<Vec<_>>());
        let fork = |side: &str, from: &str| must_branch(&self.store, &name(side), from);
        let mut base = must_head(&root).seq;
        let root_name = root.name().to_string();
        let (ours, theirs, apart) = match layout {
            Layout::Siblings => (fork("t", &root_name), fork("s", &root_name), false),
            Layout::Child => {
                let ours = fork("t", &root_name);
                (ours.clone(), fork("s", ours.name().as_str()), false)
            }
            Layout::Parent => {
                let theirs = fork("s", &root_name);
                (fork("t", theirs.name().as_str()), theirs, false)
            }
            Layout::Deep => {
                let child = fork("child", &root_name);
                must_put(&child, "deep", "child");
                base = must_head(&child).seq;
                let child = child.name().to_string();
                let (left, right) = (fork("left", &child), fork("right", &child));
                must_put(&left, "left", "1");
                must_put(&right, "right", "1");
                (fork("t", left.name().as_str()), fork("s", right.name().as_str()), true)
            }
        };
        let (our_writes, their_writes) =
            (case.ours.writes(case.base), case.theirs.writes(case.base));
        self.act(&ours, &our_writes);
        self.act(&theirs, &their_writes);
        let moved = (apart || !our_writes.is_empty(), apart || !their_writes.is_empty());
        Pair { ours, theirs, moved, base }
    }

    /// The fingerprint of a content, from a branch that got it by plain writes.
    fn fingerprint(&mut self, content: &[(String, String)]) -> withy::Fingerprint {
        if let Some(known) = self.plain.get(content) {
            return *known;
        }
        let name = format!("plain{}", self.plain.len());
        let branch = must_branch(&self.store, &name, "seq:0");
        for (key, value) in content.iter().rev() {
            must_put(&branch, key, value);
        }
        let fingerprint = must_head(&branch).fingerprint;
        self.plain.insert(content.to_vec(), fingerprint);
        fingerprint
    }

    /// What a branch holds is this, however it is asked.
    pub(super) fn check_content(&mut self, branch: &Branch, want: &[(String, String)], what: &str) {
        assert_eq!(rows(branch), want, "{what}: a scan of the target");
        let head = must_head(branch);
        assert_eq!(head.keys as usize, want.len(), "{what}: the count of its keys");
        assert_eq!(head.fingerprint, self.fingerprint(want), "{what}: KV-5: its fingerprint");
        let value = want.iter().find(|(key, _)| key == KEY).map(|(_, value)| value.clone());
        assert_eq!(must_get(branch, KEY), value, "{what}: a get of the key");
        let count = branch.count(&withy::KeyRange::prefix("p/")).expect("a count");
        assert_eq!(count, u64::from(value.is_some()), "{what}: a count of its prefix");
    }

    /// Merges one cell, and checks everything that can be seen of it.
    pub(super) fn check(&mut self, case: &Case, setup: &Setup, layout: Layout) {
        let what = format!("{case:?} {layout:?} {setup:?}");
        let pair = self.pair(case, layout);
        let (ours, theirs) = (pair.ours.name().to_string(), pair.theirs.name().to_string());
        let ending = ending(case, setup, pair.moved);
        let before = (must_head(&pair.ours), rows(&pair.ours), self.store.latest());
        let (their_head, their_rows) = (must_head(&pair.theirs), rows(&pair.theirs));
        let done = self.store.merge(&ours, &theirs, setup.options());
        let report = match &ending {
            Ending::NotFastForward => {
                must_fail(done, ErrorKind::Precondition);
                None
            }
            Ending::NotInConflict => {
                let error = must_fail(done, ErrorKind::Precondition);
                assert_eq!(error.keys(), [KEY.as_bytes()], "{what}: refused by name");
                None
            }
            _ => Some(done.unwrap_or_else(|e| panic!("{what}: {e:?}"))),
        };
        assert_eq!(must_head(&pair.theirs), their_head, "{what}: the source stays");
        assert_eq!(rows(&pair.theirs), their_rows, "{what}: the source stays");
        if let Some(report) = &report {
            self.check_report(report, case, &ending, &pair, &what);
        }
        match ending {
            Ending::UpToDate
            | Ending::Conflicts(_)
            | Ending::NotFastForward
            | Ending::NotInConflict => {
                let after = (must_head(&pair.ours), rows(&pair.ours), self.store.latest());
                assert_eq!(after, before, "{what}: nothing was written");
            }
            Ending::FastForward => {
                let head = must_head(&pair.ours);
                assert_eq!(head, their_head, "{what}: MERGE-4: it is moved there");
                assert_eq!(self.store.latest(), before.2, "{what}: MERGE-4: no commit is made");
                self.check_content(&pair.ours, &their_rows, &what);
            }
            Ending::Committed(verdict) => {
                let mut want: BTreeMap<String, String> = before.1.into_iter().collect();
                let sides = their_rows.into_iter().filter(|(key, _)| key != KEY);
                want.extend(sides);
                want.remove(KEY);
                want.extend(verdict.result.map(|value| (KEY.to_owned(), self.value(&value))));
                let want: Vec<_> = want.into_iter().collect();
                self.check_content(&pair.ours, &want, &what);
                let head = must_head(&pair.ours);
                let parents: Vec<Seq> = head.parents.iter().map(|parent| parent.seq).collect();
                let wanted = match setup.squash {
                    true => vec![before.0.seq],
                    false => vec![before.0.seq, their_head.seq],
                };
                assert_eq!(parents, wanted, "{what}: MERGE-8: the parents");
                self.check_after(&pair, &what);
            }
        }
        assert_eq!(self.store.open_merges().expect("a list"), [], "{what}: nothing is left open");
    }

    fn check_report(
        &self,
        report: &MergeReport,
        case: &Case,
        ending: &Ending,
        pair: &Pair,
        what: &str,
    ) {
        let (outcome, verdict) = match ending {
            Ending::FastForward => (MergeOutcome::FastForward, None),
            Ending::Committed(verdict) => (MergeOutcome::Committed, Some(verdict)),
            Ending::Conflicts(verdict) => (MergeOutcome::Conflicts, Some(verdict)),
            _ => (MergeOutcome::UpToDate, None),
        };
        assert_eq!(report.outcome, outcome, "{what}: the outcome");
        let flagged = *ending == Ending::FastForward || pair.moved == (false, false);
        assert_eq!(report.fast_forward, flagged, "{what}: MERGE-4: flagged");
        let base = if pair.moved.1 { pair.base } else { must_head(&pair.theirs).seq };
        assert_eq!(report.bases, [base], "{what}: the merge base");
        assert!(!report.open, "{what}: not left open unless asked");
        let auto = verdict.map_or(0, |verdict| verdict.auto_resolved);
        assert_eq!(report.auto_resolved, auto, "{what}: MERGE-2: both alike are counted");
        let conflict = verdict.and_then(|verdict| verdict.conflict);
        let found: Vec<ConflictKind> = report.conflicts.iter().map(|one| one.kind).collect();
        assert_eq!(found, conflict.into_iter().collect::<Vec<_>>(), "{what}: the conflict");
        let settled = verdict.and_then(|verdict| verdict.settled.clone());
        let found: Vec<_> =
            report.settled.iter().map(|one| (one.conflict.kind, one.by.clone())).collect();
        assert_eq!(found, settled.into_iter().collect::<Vec<_>>(), "{what}: what was settled");
        let net = case.net();
        for one in report.settled.iter().map(|one| &one.conflict).chain(&report.conflicts) {
            assert_eq!(one.key, KEY.as_bytes(), "{what}: the key");
            let bases: Vec<_> = one.bases.iter().map(|side| side.hash).collect();
            assert_eq!(bases, [self.hash(net.base)], "{what}: the hash of the base");
            assert_eq!(one.ours.hash, self.hash(net.ours), "{what}: the hash of ours");
            assert_eq!(one.theirs.hash, self.hash(net.theirs), "{what}: the hash of theirs");
        }
        for Settled { result, .. } in &report.settled {
            let wanted = verdict.and_then(|verdict| verdict.result.as_deref());
            let wanted = wanted.map(|value| ValueHash::of(self.value(value).as_bytes()));
            assert_eq!(*result, wanted, "{what}: what it was settled to");
        }
    }

    /// MERGE-9: merging again finds nothing to do; the other way round the source just catches up.
    fn check_after(&self, pair: &Pair, what: &str) {
        let (ours, theirs) = (pair.ours.name().as_str(), pair.theirs.name().as_str());
        let head = must_head(&pair.ours);
        let again = must_merge(&self.store, ours, theirs, MergeOptions::default());
        assert_eq!(again.outcome, MergeOutcome::UpToDate, "{what}: MERGE-9: nothing is left");
        assert_eq!(must_head(&pair.ours), head, "{what}: MERGE-9: nothing is written");
        let back = must_merge(&self.store, theirs, ours, MergeOptions::default());
        assert!(back.conflicts.is_empty(), "{what}: MERGE-9: a settled conflict is settled");
        assert_eq!(rows(&pair.theirs), rows(&pair.ours), "{what}: both sides are the same now");
    }
}

pub(super) fn must_merge(
    store: &Store,
    target: &str,
    source: &str,
    options: MergeOptions<'static>,
) -> MergeReport {
    store.merge(target, source, options).unwrap_or_else(|e| panic!("{source} to {target}: {e:?}"))
}

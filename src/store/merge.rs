//! Verbs that merge, pick, revert and rebase, and the conflicts that wait.

use super::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::format::merge::RulesRecord;
use crate::format::refs::meta;
use crate::format::{Family, record};
use crate::graph::Place;
use crate::id::{LineId, ValueHash};
use crate::kv::KeyRange;
use crate::merge::{
    Conflict, ConflictSide, ContinueOptions, KeyPattern, Made, MergeAction, MergeDetails,
    MergeOptions, MergePlan, MergeReport, MergeRules, Merger, OpenConflict, OpenMerge,
};
use crate::name::BranchName;
use crate::sides::{Resolution, Strategy};
use crate::view::{Read, View};

impl Store {
    pub(super) fn merger(&self) -> Result<Merger<'_>> {
        Ok(Merger {
            graph: self.graph(),
            registry: &self.inner.drivers,
            rules: self.merge_rules()?,
            author: self.inner.publisher.as_ref().map_or("", |publisher| publisher.author()),
            now: self.inner.clock.now().as_millis(),
        })
    }

    fn head_place(&self, branch: &BranchName) -> Result<Place> {
        let line = LineId::new(self.refs().branch(branch.as_str())?.line);
        Ok(self.graph().head(line)?.place)
    }

    /// Merges a rev into a branch: three-way, against their best common ancestors.
    ///
    /// Keys that only one side changed merge by themselves; so do keys that both changed alike. Others
    /// are settled by a resolution, else a value driver, else the strategy. The result is one commit
    /// with two parents, or a move of the branch if it has not moved since the merge base; readers see
    /// all of it or nothing. If another commit comes in between, the merge is planned anew.
    ///
    /// If conflicts are left, nothing is written to the branch, and the report lists all of them.
    /// Cost: what the source changed since the merge base; memory as well.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the branch or the rev is not there;
    /// [`Precondition`](ErrorKind::Precondition), naming the keys, if a resolution does not fit, or if
    /// a demanded fast-forward is not possible; [`Invalid`](ErrorKind::Invalid) if a driver is not
    /// known; [`Exists`](ErrorKind::Exists) if conflicts are to be kept and others are kept already;
    /// [`Interrupted`](ErrorKind::Interrupted) if the callback of the progress wants no more: nothing is
    /// written. Else as for [`Branch::write`](crate::Branch::write).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{MergeOptions, MergeOutcome, Read};
    /// let main = store.main()?;
    /// main.put("pear", "green")?;
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("pear", "yellow")?;
    /// main.put("plum", "blue")?;
    /// let report = store.merge("main", "topic", MergeOptions::default())?;
    /// assert_eq!(report.outcome, MergeOutcome::Committed);
    /// assert_eq!(main.get(b"pear")?.as_deref(), Some(&b"yellow"[..]));
    /// assert_eq!(main.get(b"plum")?.as_deref(), Some(&b"blue"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(
        &self,
        target: &str,
        source: &str,
        options: MergeOptions<'_>,
    ) -> Result<MergeReport> {
        let target = BranchName::new(target)?;
        let theirs = self.resolve(source)?;
        self.merger()?.merge(self.publisher()?, &target, (source, theirs), &options)
    }

    /// What [`merge`](Self::merge) would do now: the same conflicts and changes. Nothing is written, so
    /// it also works in a store that is open for reading only.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    pub fn plan_merge(
        &self,
        target: &str,
        source: &str,
        options: MergeOptions<'_>,
    ) -> Result<MergePlan> {
        let target = BranchName::new(target)?;
        let theirs = self.resolve(source)?;
        let head = self.head_place(&target)?;
        self.merger()?.plan(&target, head, (source, theirs), &options)
    }

    /// Applies the changes of commits to a branch again, in the order given: all of them or none.
    ///
    /// Each becomes a commit with the author and message of the original, unless it changes nothing
    /// any more. The changes of a merge are those against its first parent, or the one that
    /// [`MergeOptions::mainline`] says.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{MergeOptions, Read};
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("pear", "green")?;
    /// topic.put("plum", "blue")?;
    /// store.cherry_pick("main", &["topic~1"], MergeOptions::default())?;
    /// assert!(store.main()?.contains(b"pear")?);
    /// assert!(!store.main()?.contains(b"plum")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cherry_pick(
        &self,
        target: &str,
        revs: &[&str],
        options: MergeOptions<'_>,
    ) -> Result<MergeReport> {
        self.replay(MergeAction::CherryPick, target, revs, &options)
    }

    /// Takes the changes of commits back, in the order given, as new commits: all of them or none.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{MergeOptions, Read};
    /// let main = store.main()?;
    /// main.put("pear", "green")?;
    /// main.put("plum", "blue")?;
    /// store.revert("main", &["main~1"], MergeOptions::default())?;
    /// assert!(!main.contains(b"pear")?);
    /// assert!(main.contains(b"plum")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revert(
        &self,
        target: &str,
        revs: &[&str],
        options: MergeOptions<'_>,
    ) -> Result<MergeReport> {
        self.replay(MergeAction::Revert, target, revs, &options)
    }

    fn replay(
        &self,
        action: MergeAction,
        target: &str,
        revs: &[&str],
        options: &MergeOptions<'_>,
    ) -> Result<MergeReport> {
        let target = BranchName::new(target)?;
        if revs.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, format!("no commit to {action}")));
        }
        let incoming = revs.iter().map(|rev| self.resolve(rev)).collect::<Result<Vec<_>>>()?;
        let source = (revs.join(" "), incoming);
        let source = (source.0.as_str(), source.1);
        self.merger()?.replay(self.publisher()?, action, &target, source, options)
    }

    /// Replays the commits of a branch on top of another commit, and moves the branch there: all of it
    /// or nothing.
    ///
    /// Replayed are the commits on its first parents that the other commit does not have. A merge among
    /// them becomes one commit with what it changed against its first parent, and what it merged stays
    /// remembered. The commits as they were stay where they are; `undo` brings them back.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{MergeOptions, Read};
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("pear", "green")?;
    /// store.main()?.put("plum", "blue")?;
    /// store.rebase("topic", "main", MergeOptions::default())?;
    /// assert!(topic.contains(b"plum")?);
    /// assert_eq!(store.merge_base("main", "topic")?, [store.main()?.head()?.seq]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rebase(
        &self,
        branch: &str,
        onto: &str,
        options: MergeOptions<'_>,
    ) -> Result<MergeReport> {
        let target = BranchName::new(branch)?;
        let place = self.resolve(onto)?;
        let action = MergeAction::Rebase;
        self.merger()?.replay(self.publisher()?, action, &target, (onto, vec![place]), &options)
    }

    /// The merge, pick, revert or rebase that is open on a branch.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn open_merge(&self, branch: &str) -> Result<Option<OpenMerge>> {
        self.merger()?.open_merge(&BranchName::new(branch)?)
    }

    /// All that are open, by branch.
    ///
    /// # Errors
    /// As for [`open_merge`](Self::open_merge).
    pub fn open_merges(&self) -> Result<Vec<OpenMerge>> {
        self.merger()?.open_merges()
    }

    /// The conflicts of the merge that is open on a branch, settled ones too, by incoming commit and
    /// key. If the branch has moved on, they are those that there are now.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no merge is open there.
    pub fn conflicts(&self, branch: &str, range: &KeyRange) -> Result<Vec<OpenConflict>> {
        let target = BranchName::new(branch)?;
        let merger = self.merger()?;
        let head = self.head_place(&target)?;
        merger.conflicts(&target, head, range)
    }

    /// Settles conflicts of the merge that is open on a branch; the author is the store's unless told.
    /// They can be settled anew until the merge is continued.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no merge is open there;
    /// [`Precondition`](ErrorKind::Precondition), naming the keys, if one is not in conflict, is given
    /// twice, or is to have a base value that the bases do not agree on: none is settled then.
    ///
    /// # Examples
    /// See [`OpenConflict`](crate::OpenConflict).
    pub fn resolve_conflicts<K: Into<Vec<u8>>>(
        &self,
        branch: &str,
        resolutions: impl IntoIterator<Item = (K, Resolution)>,
        by: Option<&str>,
    ) -> Result<u64> {
        let target = BranchName::new(branch)?;
        let made = resolutions.into_iter().map(|(key, made)| (key.into(), made)).collect();
        self.merger()?.resolve(self.publisher()?, &target, Made::Keys(made), by)
    }

    /// Settles all conflicts in a range alike, or takes their resolutions back (`None`); says how many
    /// there are.
    ///
    /// # Errors
    /// As for [`resolve_conflicts`](Self::resolve_conflicts).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, KeyRange, MergeOptions, MergeOutcome, Resolution};
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// for key in ["a", "b", "c"] {
    ///     topic.put(key, "theirs")?;
    ///     store.main()?.put(key, "ours")?;
    /// }
    /// store.merge("main", "topic", MergeOptions::default().keep_open(true))?;
    /// assert_eq!(store.resolve_range("main", &KeyRange::all(), Some(Resolution::Ours), None)?, 3);
    /// let report = store.continue_merge("main", CommitOptions::default())?;
    /// assert_eq!(report.outcome, MergeOutcome::Committed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve_range(
        &self,
        branch: &str,
        range: &KeyRange,
        resolution: Option<Resolution>,
        by: Option<&str>,
    ) -> Result<u64> {
        let target = BranchName::new(branch)?;
        let made = Made::Range(range, resolution);
        self.merger()?.resolve(self.publisher()?, &target, made, by)
    }

    /// Goes on with the merge that is open on a branch. If conflicts are left, or have come because the
    /// branch has moved on, it stays open, and the report lists them; a resolution holds as long as the
    /// values are those that it was made for.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no merge is open there; else as for [`merge`](Self::merge).
    pub fn continue_merge<'a>(
        &self,
        branch: &str,
        options: impl Into<ContinueOptions<'a>>,
    ) -> Result<MergeReport> {
        let target = BranchName::new(branch)?;
        self.merger()?.proceed(self.publisher()?, &target, options.into())
    }

    /// Forgets the merge that is open on a branch, with its resolutions. The branch is as it was.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no merge is open there.
    pub fn abort_merge(&self, branch: &str) -> Result<OpenMerge> {
        self.merger()?.abort(self.publisher()?, &BranchName::new(branch)?)
    }

    /// How a commit came about, if a merge, squash, pick, revert or rebase made it.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn merge_details(&self, rev: &str) -> Result<Option<MergeDetails>> {
        let stored = self.graph().merge_details(self.resolve(rev)?.seq)?;
        stored.map(|(head, settled)| MergeDetails::stored(&head, settled)).transpose()
    }

    /// The value of one side of a conflict; `None` if the key is absent there.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a conflict of the past, as [`merge_details`](Self::merge_details)
    /// gives them, if no commit has the value: it was merged from several bases, or made by a step before;
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn conflict_value(
        &self,
        conflict: &Conflict,
        side: ConflictSide,
    ) -> Result<Option<Vec<u8>>> {
        match (side.hash, side.at) {
            (None, _) => Ok(None),
            (Some(_), Some(at)) => {
                View::new(self.graph(), self.graph().place(at)?)?.get(&conflict.key)
            }
            (Some(hash), None) => {
                let made = conflict.made.iter().find(|made| ValueHash::of(made) == hash);
                made.cloned().map(Some).ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "no commit has the value: a merge made it")
                })
            }
        }
    }

    /// What the store's settings say of merges.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn merge_rules(&self) -> Result<MergeRules> {
        match self.engine().get(Family::Meta, meta::MERGE_RULES)? {
            Some(row) => Ok(MergeRules::from(record::decode::<RulesRecord>("merge rules", &row)?)),
            None => Ok(MergeRules::default()),
        }
    }

    /// Sets which driver merges values of some keys, for all merges from now on: `none` so that none does,
    /// whatever is set for more keys; `None` to take the rule back.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the driver is not known; nothing is changed then.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::MergeOptions;
    /// store.set_merge_driver("n", Some("counter"))?;
    /// store.set_merge_driver("nut", Some("none"))?;
    /// # let topic = store.create_branch("topic", "main", Default::default())?;
    /// for key in ["n1", "nut"] {
    ///     topic.put(key, "1")?;
    ///     store.main()?.put(key, "2")?;
    /// }
    /// let report = store.merge("main", "topic", MergeOptions::default())?;
    /// assert_eq!((report.settled.len(), report.conflicts[0].key.as_slice()), (1, &b"nut"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_merge_driver(
        &self,
        keys: impl Into<KeyPattern>,
        driver: Option<&str>,
    ) -> Result<()> {
        let name = match driver {
            Some(name) => Some(self.inner.drivers.plain_name(name)?),
            None => None,
        };
        self.change_rules(|rules| rules.set_driver(keys.into(), name))
    }

    /// Sets who decides conflicts of some keys, for all merges that do not say otherwise; `None` for the
    /// default.
    ///
    /// # Errors
    /// As for a commit.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{MergeOptions, Strategy};
    /// store.set_merge_strategy("cache/", Some(Strategy::Theirs))?;
    /// # let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("cache/1", "new")?;
    /// store.main()?.put("cache/1", "old")?;
    /// assert!(store.merge("main", "topic", MergeOptions::default())?.conflicts.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_merge_strategy(
        &self,
        keys: impl Into<KeyPattern>,
        strategy: Option<Strategy>,
    ) -> Result<()> {
        self.change_rules(|rules| rules.set_strategy(keys.into(), strategy))
    }

    fn change_rules(&self, change: impl FnOnce(&mut MergeRules)) -> Result<()> {
        self.publisher()?.update_state(|| {
            let mut rules = self.merge_rules()?;
            change(&mut rules);
            let row = record::encode(&RulesRecord::from(&rules));
            Ok((vec![(Family::Meta, meta::MERGE_RULES.to_vec(), Some(row))], ()))
        })
    }
}

//! Verbs that make, move and remove branches and tags.

use super::{Branch, Store};
use crate::clock::Timestamp;
use crate::diff::{go_on, net_changes};
use crate::error::{Error, ErrorKind, Result};
use crate::format::refs::{BranchRecord, TagRecord};
use crate::id::{LineId, Seq};
use crate::kv::KeyRange;
use crate::name::{BranchName, TagName};
use crate::publish::{CommitOptions, Committed};
use crate::refs::{BranchInfo, Operation, TagInfo, TagListOptions};
use crate::txn::Txn;
use crate::view::Read;

/// What is said of a new branch.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let options = withy::BranchOptions::default().description("what if pears were blue").creator("ann");
/// store.create_branch("blue", "main", options)?;
/// assert_eq!(store.branch_info("blue")?.creator, "ann");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BranchOptions {
    description: String,
    creator: Option<String>,
}

impl BranchOptions {
    /// What it is for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Who makes it; the store's author unless told.
    #[must_use]
    pub fn creator(mut self, creator: impl Into<String>) -> Self {
        self.creator = Some(creator.into());
        self
    }
}

/// What is said of a new tag.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::TagOptions;
/// store.create_tag("v1", "main", TagOptions::default())?;
/// assert!(store.create_tag("v1", "main", TagOptions::default()).is_err());
/// store.create_tag("v1", "main", TagOptions::default().force(true))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TagOptions {
    description: String,
    creator: Option<String>,
    force: bool,
}

impl TagOptions {
    /// What it stands for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Who makes it; the store's author unless told.
    #[must_use]
    pub fn creator(mut self, creator: impl Into<String>) -> Self {
        self.creator = Some(creator.into());
        self
    }

    /// Whether a tag of this name is replaced.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }
}

/// When a branch may be deleted.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::DeleteOptions;
/// store.create_branch("topic", "main", Default::default())?.put("pear", "green")?;
/// assert!(store.delete_branch("topic", DeleteOptions::default()).is_err());
/// store.delete_branch("topic", DeleteOptions::default().force(true))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    force: bool,
    merged_into: Option<String>,
}

impl DeleteOptions {
    /// Whether it may be deleted with commits that are nowhere else.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// The branch that must have its commits; `main` unless told.
    #[must_use]
    pub fn merged_into(mut self, branch: impl Into<String>) -> Self {
        self.merged_into = Some(branch.into());
        self
    }
}

fn taken(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Exists, format!("{what} {name} exists already"))
}

impl Store {
    /// Makes a branch at any rev. Cost: the same, whatever is in the store.
    ///
    /// # Errors
    /// [`Exists`](ErrorKind::Exists) if the name is taken, [`Invalid`](ErrorKind::Invalid) if it is
    /// none, [`NotFound`](ErrorKind::NotFound) if the rev names no commit,
    /// [`Limit`](ErrorKind::Limit) if there may be no more branches: there is no branch then.
    pub fn create_branch(&self, name: &str, from: &str, options: BranchOptions) -> Result<Branch> {
        let name = BranchName::new(name)?;
        let creator = options.creator.as_deref();
        self.publisher()?.move_refs(creator, |plan| {
            if plan.refs().find_branch(name.as_str())?.is_some() {
                return Err(taken("branch", name.as_str()));
            }
            // Resolved under the lock, so the branch starts at what the rev names now.
            let place = self.resolve(from)?;
            let parent = match from {
                "@" | "HEAD" => Some(plan.refs().active()?.to_string()),
                _ => {
                    let plain = from.strip_prefix("heads/").unwrap_or(from);
                    plan.refs().find_branch(plain)?.map(|_| plain.to_owned())
                }
            };
            let line = plan.fork(place)?;
            let record = BranchRecord {
                line: line.get(),
                parent,
                created_seq: place.seq.get(),
                created: plan.time,
                description: options.description.clone(),
                creator: plan.author(creator).to_owned(),
            };
            plan.set_branch(&name, Some(record))?;
            Ok((format!("create branch {name} at {}", place.seq), ()))
        })?;
        Branch::new(self, name)
    }

    /// What is known of a branch.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch.
    pub fn branch_info(&self, name: &str) -> Result<BranchInfo> {
        let record = self.refs().branch(name)?;
        self.info(name, (*record).clone(), &self.active()?)
    }

    /// All branches, by name.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn branches(&self) -> Result<Vec<BranchInfo>> {
        let active = self.active()?;
        let all = self.refs().branches()?;
        all.into_iter().map(|(name, record)| self.info(&name, record, &active)).collect()
    }

    fn info(&self, name: &str, record: BranchRecord, active: &BranchName) -> Result<BranchInfo> {
        let name = BranchName::new(name)?;
        Ok(BranchInfo {
            active: name == *active,
            name,
            parent: record.parent,
            created_seq: Seq::new(record.created_seq),
            created: Timestamp::from_millis(record.created),
            description: record.description,
            creator: record.creator,
            head: self.graph().head(LineId::new(record.line))?.place.seq,
        })
    }

    /// Gives a branch another name. If it is the active one, it stays that.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`Exists`](ErrorKind::Exists), or
    /// [`Invalid`](ErrorKind::Invalid) for the new name, for `main`, which keeps its name, and while a
    /// merge is open on the branch.
    pub fn rename_branch(&self, name: &str, to: &str) -> Result<()> {
        let (name, to) = (BranchName::new(name)?, BranchName::new(to)?);
        if name == BranchName::main() {
            return Err(Error::new(ErrorKind::Invalid, "branch main cannot be renamed"));
        }
        self.publisher()?.move_refs(None, |plan| {
            let record = plan.refs().branch(name.as_str())?;
            if name != to {
                self.refuse_open(&name, "renamed")?;
                if plan.refs().find_branch(to.as_str())?.is_some() {
                    return Err(taken("branch", to.as_str()));
                }
                plan.set_branch(&name, None)?;
                plan.set_branch(&to, Some((*record).clone()))?;
                if plan.refs().active()? == name {
                    plan.set_active(&to)?;
                }
            }
            Ok((format!("rename branch {name} to {to}"), ()))
        })
    }

    /// Says what a branch is for.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch.
    pub fn describe_branch(&self, name: &str, description: &str) -> Result<()> {
        let name = BranchName::new(name)?;
        self.publisher()?.move_refs(None, |plan| {
            let mut record = (*plan.refs().branch(name.as_str())?).clone();
            record.description = description.to_owned();
            plan.set_branch(&name, Some(record))?;
            Ok((format!("describe branch {name}"), ()))
        })
    }

    /// Makes a branch the active one: the default of the command line.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch.
    pub fn switch(&self, name: &str) -> Result<()> {
        let name = BranchName::new(name)?;
        self.publisher()?.move_refs(None, |plan| {
            plan.refs().branch(name.as_str())?;
            plan.set_active(&name)?;
            Ok((format!("switch to {name}"), ()))
        })
    }

    /// Deletes a branch, and the merge that is open on it. Branches made from it keep what they see;
    /// `undo` brings it back, without the merge.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for `main`, for the active branch, and, unless forced, for a
    /// branch with commits that the one it is checked against does not have, or with an open merge;
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch. It is still there then.
    pub fn delete_branch(&self, name: &str, options: DeleteOptions) -> Result<()> {
        let name = BranchName::new(name)?;
        let refused = |why: String| {
            Error::new(ErrorKind::Invalid, format!("cannot delete branch {name}: {why}"))
        };
        self.publisher()?.move_refs(None, |plan| {
            let record = plan.refs().branch(name.as_str())?;
            if name == BranchName::main() {
                return Err(refused("it is the main branch".into()));
            }
            if plan.refs().active()? == name {
                return Err(refused("it is the active one".into())
                    .with_hint("switch to another branch first"));
            }
            if !options.force {
                let into = options.merged_into.as_deref().unwrap_or("main");
                let target = LineId::new(plan.refs().branch(into)?.line);
                let (head, target) = (
                    plan.graph().head(LineId::new(record.line))?.place,
                    plan.graph().head(target)?.place,
                );
                if !plan.graph().is_ancestor(head, target)? {
                    return Err(refused(format!("{into} does not have its commits"))
                        .with_hint("merge it first, or delete it with force"));
                }
            }
            if !options.force {
                self.refuse_open(&name, "deleted")?;
            }
            plan.set_branch(&name, None)?;
            Ok((format!("delete branch {name}"), ()))
        })
    }

    /// An open merge belongs to its branch by name, and must not come back with another of that name.
    fn refuse_open(&self, branch: &BranchName, what: &str) -> Result<()> {
        let Some(open) = self.open_merge(branch.as_str())? else { return Ok(()) };
        let text = format!("branch {branch} cannot be {what}: a {} is open on it", open.action);
        Err(Error::new(ErrorKind::Invalid, text).with_hint("continue it or abort it first"))
    }

    /// Moves a branch to any commit. Nothing is lost: `undo` moves it back.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the branch or the rev is not there.
    pub fn reset(&self, branch: &str, rev: &str) -> Result<()> {
        let name = BranchName::new(branch)?;
        self.publisher()?.move_refs(None, |plan| {
            let record = plan.refs().branch(name.as_str())?;
            let place = self.resolve(rev)?;
            if plan.graph().head(LineId::new(record.line))?.place != place {
                let line = plan.fork(place)?.get();
                plan.set_branch(&name, Some(BranchRecord { line, ..(*record).clone() }))?;
            }
            Ok((format!("reset {name} to {}", place.seq), ()))
        })
    }

    /// Makes the content of a branch, or of a range of it, equal to that of a rev, as one new commit.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the branch or the rev is not there;
    /// [`Conflict`](ErrorKind::Conflict) if others keep committing to the branch; else as for
    /// [`Branch::write`].
    pub fn restore(
        &self,
        branch: &str,
        rev: &str,
        range: &KeyRange,
        options: CommitOptions,
    ) -> Result<Committed> {
        let wanted = self.view(rev)?;
        let work = |tx: &mut Txn<'_>| {
            // What is equal now is not written, so it must not change before the commit either.
            tx.demand_unmoved();
            wanted.graph().must_not_be_purging()?;
            for (key, (_, after)) in net_changes(&tx.base()?, &wanted, range, &mut go_on)? {
                // There may be a hash and no value by now: what is purged does not come back.
                let value = if after.is_some() { wanted.get(&key)? } else { None };
                match value {
                    Some(value) => tx.put(key, value)?,
                    None => tx.delete(key)?,
                }
            }
            Ok(())
        };
        crate::txn::run(|| self.begin(branch), &options, work).map(|((), done)| done)
    }

    /// Tags a commit. The tag keeps everything readable that its commit shows.
    ///
    /// # Errors
    /// [`Exists`](ErrorKind::Exists) if the name is taken and force is not set;
    /// [`Invalid`](ErrorKind::Invalid) if it is no name; [`NotFound`](ErrorKind::NotFound) if the rev
    /// names no commit.
    pub fn create_tag(&self, name: &str, rev: &str, options: TagOptions) -> Result<TagInfo> {
        let name = TagName::new(name)?;
        let creator = options.creator.as_deref();
        let record = self.publisher()?.move_refs(creator, |plan| {
            if !options.force && plan.refs().find_tag(name.as_str())?.is_some() {
                return Err(taken("tag", name.as_str()).with_hint("replace it with force"));
            }
            let place = self.resolve(rev)?;
            let record = TagRecord {
                at: place.into(),
                created: plan.time,
                description: options.description.clone(),
                creator: plan.author(creator).to_owned(),
            };
            plan.set_tag(&name, Some(record.clone()))?;
            Ok((format!("create tag {name} at {}", place.seq), record))
        })?;
        self.tag_info(name, record)
    }

    /// What is known of a tag.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such tag.
    pub fn tag(&self, name: &str) -> Result<TagInfo> {
        let tag = TagName::new(name)?;
        let record = self.refs().find_tag(name)?.ok_or_else(|| no_tag(&tag))?;
        self.tag_info(tag, record)
    }

    /// Tags, as the options want them.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn tags(&self, options: TagListOptions) -> Result<Vec<TagInfo>> {
        let all = self.refs().tags()?;
        let tags: Vec<TagInfo> = all
            .into_iter()
            .map(|(name, record)| self.tag_info(TagName::new(&name)?, record))
            .collect::<Result<_>>()?;
        Ok(options.apply(tags))
    }

    /// Removes a tag. Its commit stays, as long as something else needs it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such tag.
    pub fn delete_tag(&self, name: &str) -> Result<()> {
        let name = TagName::new(name)?;
        self.publisher()?.move_refs(None, |plan| {
            plan.refs().find_tag(name.as_str())?.ok_or_else(|| no_tag(&name))?;
            plan.set_tag(&name, None)?;
            Ok((format!("delete tag {name}"), ()))
        })
    }

    fn tag_info(&self, name: TagName, record: TagRecord) -> Result<TagInfo> {
        let seq = Seq::new(record.at.seq);
        Ok(TagInfo {
            name,
            seq,
            commit: self.graph().header(seq)?.commit_id(),
            description: record.description,
            creator: record.creator,
            created: Timestamp::from_millis(record.created),
        })
    }

    /// The newest operations, newest first: commits, and every move of a ref.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn ops(&self, limit: usize) -> Result<Vec<Operation>> {
        self.refs().operations(self.latest(), limit)
    }

    /// Takes back the newest operation that is not taken back yet, as a new operation, and returns it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none; else as for a commit.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::Read;
    /// let main = store.main()?;
    /// main.put("pear", "green")?;
    /// store.undo()?;
    /// assert!(!main.contains(b"pear")?);
    /// store.redo()?;
    /// assert!(main.contains(b"pear")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn undo(&self) -> Result<Operation> {
        self.publisher()?.undo(None)
    }

    /// Does again what the newest undo took back, if nothing else was done since, and returns it.
    ///
    /// # Errors
    /// As for [`undo`](Self::undo).
    pub fn redo(&self) -> Result<Operation> {
        self.publisher()?.redo(None)
    }
}

fn no_tag(name: &TagName) -> Error {
    Error::new(ErrorKind::NotFound, format!("no tag {name:?}", name = name.as_str()))
        .with_hint("`withy tag` lists the tags")
}

//! What an operator does: collection, purge, checkpoints, backups.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use withy::{
    BackupOptions, Backups, CheckpointOptions, Create, Direction, ErrorKind, GcOptions, KeyRange,
    PurgeOptions, RestoreOptions, Store, TagListOptions,
};

use super::kept::Policy;
use super::state::Copied;
use crate::model::world::{OPTIONS, World, Writes, in_range, key_range};
use crate::support::{must_scan, must_verify};

impl World {
    /// Collects, with new settings or the last ones; sometimes it is stopped.
    pub(crate) fn collect(&mut self) {
        if self.rng.u8(0..3) > 0 {
            let policy = Policy::any(&mut self.rng);
            for (at, (setting, value)) in policy.settings().into_iter().enumerate() {
                self.store.set_config(setting, value.as_deref()).expect("a setting");
                self.more.policy.take(at, policy);
                self.mark();
            }
        }
        let mut left = if self.rng.u8(0..3) > 0 { u32::MAX } else { self.rng.u32(0..30) };
        self.note(format!("collect, {:?}, for {left} steps", self.more.policy));
        let options = GcOptions::default().compact(self.rng.u8(0..4) == 0).progress(|_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let done = self.store.gc(options);
        if let Err(e) = &done {
            assert!(
                e.kind() == ErrorKind::Interrupted || super::crash::is_injected(&format!("{e:?}")),
                "nothing else stops it: {e:?}"
            );
        }
        self.tags_left();
        self.more.collected = true;
        self.ops_left();
        self.mark();
        let whole = done.expect_or_interrupted();
        self.observe();
        if whole {
            self.check_let_go();
        }
    }

    /// The operation log has become shorter: of what nothing is kept for undo, and where its commits are gone.
    pub(super) fn ops_left(&mut self) {
        let ops = self.store.ops(usize::MAX).expect("operations").len();
        assert!(ops <= self.more.ops, "no operation comes back");
        self.more.cut |= ops < self.more.ops;
        self.more.ops = ops;
    }

    /// TAG-4: old tags are dropped while there are too many, in one operation.
    fn tags_left(&mut self) {
        let tags = self.store.tags(TagListOptions::default()).expect("tags");
        let mut names = self.names.clone();
        names.tags.retain(|name, _| tags.iter().any(|tag| tag.name.as_str() == name));
        if names == self.names {
            return;
        }
        let most = self.more.policy.max_tags.expect("TAG-4: tags go only if there is a limit");
        assert!(names.tags.len() >= most, "TAG-4: {most} tags are kept");
        self.did(names);
    }

    /// OPS-7: a value that leaked is purged, and in no file any more.
    pub(crate) fn purge(&mut self) {
        if self.held || !self.more.open.is_empty() {
            return;
        }
        let secret = format!("leaked {:032x}", self.rng.u128(..)).repeat(self.rng.usize(1..4));
        let key = self.any_key();
        let upto = self.any_key();
        let bounds = match self.rng.bool() {
            true => (Bound::Included(key.clone()), Bound::Included(key.clone())),
            false => {
                (Bound::Included((&key).min(&upto).clone()), Bound::Included(key.clone().max(upto)))
            }
        };
        for _ in 0..self.rng.usize(1..4) {
            let name = self.any_branch();
            let writes = Writes::from([(key.clone(), Some(secret.clone().into_bytes()))]);
            let branch = self.store.branch(&name).expect("it is there");
            let done = branch.put(key.clone(), secret.clone()).expect("a put");
            self.committed(&name, &writes, false, done);
        }
        self.note(format!("purge {bounds:?}"));
        let deleted = self.purged(&bounds);
        let reason = PurgeOptions::default().reason("it leaked");
        let done = self.store.purge(&key_range(&bounds), reason);
        if let Ok(done) = &done {
            assert_eq!(done.commits.len(), deleted, "OPS-7: a commit on each branch that has any");
        }
        // The views of before are of no use to tell what is there now.
        self.kept.clear();
        done.expect("a purge");
        self.purge_done(&bounds);
        if self.store.sync().is_ok() {
            let found = files_with(&self.store.path(), secret.as_bytes());
            assert_eq!(found, Vec::<PathBuf>::new(), "OPS-7: no file has a byte of it");
        }
    }

    /// How many branches have keys of a range.
    fn purged(&self, bounds: &crate::model::world::Bounds) -> usize {
        let has = |seq: &&usize| self.nodes[**seq].content.keys().any(|key| in_range(bounds, key));
        self.names.branches.values().filter(has).count()
    }

    /// The model's side of a purge.
    fn purge_done(&mut self, bounds: &crate::model::world::Bounds) {
        let mut names = self.names.clone();
        for (name, &head) in &self.names.branches {
            let keys = self.nodes[head].content.keys().filter(|key| in_range(bounds, key));
            let writes: Writes = keys.map(|key| (key.clone(), None)).collect();
            if !writes.is_empty() {
                let node = self.child(vec![head], name, &writes);
                self.nodes.push(node);
                names.branches.insert(name.clone(), self.nodes.len() - 1);
            }
        }
        for node in &mut self.nodes {
            if node.content.keys().any(|key| in_range(bounds, key)) {
                Arc::make_mut(&mut node.content).retain(|key, _| !in_range(bounds, key));
            }
        }
        let known = crate::model::world::universe().iter().map(|key| key.to_vec());
        self.more.purged.extend(known.filter(|key| in_range(bounds, key)));
        self.more.purges += 1;
        if names == self.names { self.mark() } else { self.did(names) }
    }

    /// OPS-5: a copy that is a store.
    pub(crate) fn checkpoint(&mut self) {
        let to = self.beside("checkpoint");
        self.note("checkpoint");
        self.store.checkpoint(&to, CheckpointOptions::default()).expect("a checkpoint");
        check_copy(&to, &self.copied());
    }

    /// OPS-5: a snapshot; one of them is restored.
    pub(crate) fn back_up(&mut self) {
        let dir = self.backup();
        self.note("back up");
        let made = self.store.back_up(&dir, BackupOptions::default()).expect("a snapshot");
        let copied = self.copied();
        self.more.snapshots.insert(made.info.number, copied);
        self.mark();
        let numbers: Vec<u64> = self.more.snapshots.keys().copied().collect();
        let number = *self.rng.choice(&numbers).expect("there is one");
        if self.rng.u8(0..3) == 0 {
            self.restore_one(number);
        }
    }

    fn restore_one(&mut self, number: u64) {
        self.note(format!("restore snapshot {number}"));
        let to = self.beside("restored");
        let backups = Backups::open(self.backup()).expect("there are backups");
        let restored = backups.restore(&to, RestoreOptions::default().snapshot(number));
        restored.expect("a restored store");
        check_copy(&to, &self.more.snapshots[&number].clone());
    }

    /// Snapshots after a crash: those that were acknowledged, and perhaps one more.
    pub(super) fn snapshots_left(&mut self) {
        let dir = self.backup();
        let Ok(backups) = Backups::open(&dir) else {
            return assert!(self.more.snapshots.is_empty(), "OPS-5: snapshots stay");
        };
        let numbers: Vec<u64> =
            backups.list().expect("snapshots").iter().map(|info| info.number).collect();
        self.more.snapshots.keys().for_each(|number| {
            assert!(numbers.contains(number), "OPS-5: snapshot {number} stays");
        });
        for number in numbers {
            if !self.more.snapshots.contains_key(&number) {
                let copied = self.copied();
                self.more.snapshots.insert(number, copied);
                self.restore_one(number);
            }
        }
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.store.path().with_file_name("backup")
    }

    /// A directory beside the store that is not there yet.
    fn beside(&self, name: &str) -> PathBuf {
        let path = |number: u32| self.store.path().with_file_name(format!("{name}-{number}"));
        (0..).map(path).find(|path| !path.exists()).expect("a free name")
    }
}

trait Whole {
    /// Whether it came to its end; panics on any error but that it was interrupted.
    fn expect_or_interrupted(self) -> bool;
}

impl<T: std::fmt::Debug> Whole for withy::Result<T> {
    fn expect_or_interrupted(self) -> bool {
        match self {
            Err(e) if e.kind() == ErrorKind::Interrupted => false,
            done => {
                done.expect("a collection");
                true
            }
        }
    }
}

/// A copy shows what the store did when it was made, and is whole; then it goes.
fn check_copy(path: &Path, copied: &Copied) {
    let options = Store::options().create(Create::Never);
    let store = OPTIONS(options).open(path).expect("OPS-5: a copy is a store");
    assert_eq!(store.latest().get() as usize, copied.latest, "OPS-5: the newest commit");
    let branches = store.branches().expect("branches");
    assert_eq!(branches.len(), copied.contents.len(), "OPS-5: every branch");
    for info in branches {
        let branch = store.branch(info.name.as_str()).expect("it is there");
        assert_eq!(info.head.get() as usize, copied.names.branches[info.name.as_str()], "its head");
        let content: Vec<_> = copied.contents[info.name.as_str()]
            .clone()
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let found = must_scan(&branch, &KeyRange::all(), Direction::Forward);
        assert_eq!(found, content, "OPS-5: branch {}", info.name);
    }
    let tags = store.tags(TagListOptions::default()).expect("tags");
    let tags = tags.iter().map(|tag| (tag.name.to_string(), tag.seq.get() as usize));
    assert_eq!(tags.collect::<std::collections::BTreeMap<_, _>>(), copied.names.tags, "every tag");
    must_verify(&store);
    store.close().expect("it closes");
    std::fs::remove_dir_all(path).expect("it is removed");
}

/// The files that have these bytes.
fn files_with(dir: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            out.extend(files_with(&path, wanted));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(16).any(|w| w == &wanted[..16]))
        {
            out.push(path);
        }
    }
    out
}

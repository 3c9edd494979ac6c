//! A scratch store, a clock that ticks by itself, and verbs that must succeed.
#![allow(dead_code, reason = "a helper may wait for its first test")]

pub(crate) mod process;
pub(crate) mod raw;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use withy::{
    Batch, Branch, BranchOptions, Clock, Commit, CommitOptions, Create, Direction, Error,
    ErrorKind, KeyRange, OpenOptions, Read, Seq, Store, Timestamp, VerifyOptions,
};

/// Whether the tests are to run at their full length: `WITHY_LONG=1`.
pub(crate) fn is_long() -> bool {
    std::env::var("WITHY_LONG").is_ok_and(|value| value == "1")
}

/// Starts at 2026-01-01T00:00:00Z and goes on by one second each time it is asked.
#[derive(Debug)]
pub(crate) struct TickingClock(AtomicI64);

impl TickingClock {
    pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    pub(crate) fn new() -> Arc<Self> {
        Self::at(Self::START)
    }

    /// Starts at another moment.
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.as_millis())))
    }

    /// What it says next, without going on.
    pub(crate) fn peek(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Jumps to a moment, backwards too.
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

/// A store in a directory of its own, gone when dropped. Commits are not synced unless a test asks.
pub(crate) struct Scratch {
    store: Option<Store>,
    clock: Arc<TickingClock>,
    options: fn(OpenOptions) -> OpenOptions,
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::with(|options| options)
    }

    /// A scratch store opened, and reopened, with further options.
    pub(crate) fn with(options: fn(OpenOptions) -> OpenOptions) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        Self::in_dir(dir, TickingClock::new(), options)
    }

    /// A scratch store in a directory that may have it already, under `store`.
    pub(crate) fn in_dir(
        dir: TempDir,
        clock: Arc<TickingClock>,
        options: fn(OpenOptions) -> OpenOptions,
    ) -> Self {
        let mut scratch = Self { store: None, clock, options, dir };
        scratch.reopen();
        scratch
    }

    /// Drops the store as it is, whatever is left to do.
    pub(crate) fn lose(&mut self) {
        drop(self.store.take());
    }

    /// Closes the store and opens it again.
    pub(crate) fn reopen(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().expect("the store closes");
        }
        let options = Store::options()
            .create(Create::IfMissing)
            .durability(withy::Durability::Buffered)
            .author("tester")
            .clock(self.clock.clone());
        let store = (self.options)(options).open(self.path()).expect("the store opens");
        self.store = Some(store);
    }

    /// Closes the store; only the directory is left.
    pub(crate) fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().expect("the store closes");
        }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn clock(&self) -> &TickingClock {
        &self.clock
    }
}

impl std::ops::Deref for Scratch {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }
}

/// Verifies a store, which must be whole.
#[track_caller]
pub(crate) fn must_verify(store: &Store) -> withy::VerifyReport {
    let report = store.verify(VerifyOptions::default()).expect("the store can be verified");
    let told: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.is_clean(), "nothing is wrong with the store:\n{}", told.join("\n"));
    report
}

/// The pairs of a view, as text.
pub(crate) fn rows(view: &impl Read) -> Vec<(String, String)> {
    must_scan(view, &KeyRange::all(), Direction::Forward)
        .into_iter()
        .map(|(k, v)| (show(&k), show(&v)))
        .collect()
}

/// Bytes as text, escaped where they are not.
pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

pub(crate) fn must_branch(store: &Store, name: &str, from: &str) -> Branch {
    store
        .create_branch(name, from, BranchOptions::default())
        .unwrap_or_else(|e| panic!("branch {name} from {from}: {e:?}"))
}

pub(crate) fn must_get(view: &impl Read, key: impl AsRef<[u8]>) -> Option<String> {
    let key = key.as_ref();
    let value = view.get(key).unwrap_or_else(|e| panic!("get {}: {e:?}", show(key)));
    value.map(|v| show(&v))
}

/// Puts one key and gives the sequence of the commit, which there must be.
pub(crate) fn must_put(branch: &Branch, key: &str, value: &str) -> Seq {
    let done = branch.put(key, value).unwrap_or_else(|e| panic!("put {key}: {e:?}"));
    done.seq().unwrap_or_else(|| panic!("put {key} changes something"))
}

/// Deletes one key and gives the sequence of the commit, which there must be.
pub(crate) fn must_delete(branch: &Branch, key: &str) -> Seq {
    let done = branch.delete(key).unwrap_or_else(|e| panic!("delete {key}: {e:?}"));
    done.seq().unwrap_or_else(|| panic!("delete {key} changes something"))
}

/// Commits puts (`Some`) and deletes (`None`) together.
pub(crate) fn must_write(branch: &Branch, message: &str, changes: &[(&str, Option<&str>)]) -> Seq {
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(*key, *value),
            None => batch.delete(*key),
        };
    }
    let done = branch
        .write(batch, CommitOptions::default().message(message))
        .unwrap_or_else(|e| panic!("commit {message:?}: {e:?}"));
    done.seq().unwrap_or_else(|| panic!("commit {message:?} changes something"))
}

pub(crate) fn must_head(branch: &Branch) -> Commit {
    branch.head().unwrap_or_else(|e| panic!("head of {}: {e:?}", branch.name()))
}

pub(crate) fn must_scan(
    view: &impl Read,
    range: &KeyRange,
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    view.scan(range, direction)
        .and_then(Iterator::collect)
        .unwrap_or_else(|e| panic!("scan {range:?} {direction:?}: {e:?}"))
}

/// The error of a call that must be refused, which must be of this kind.
#[track_caller]
pub(crate) fn must_fail<T>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("must fail with {kind:?}, and succeeds"),
        Err(e) => {
            assert_eq!(e.kind(), kind, "the kind says what the caller can do: {e:?}");
            e
        }
    }
}

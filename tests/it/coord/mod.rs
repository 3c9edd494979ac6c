//! Coordination: the outbox and sagas, what they promise and what is left of it after a crash.

mod kill;
mod outbox;
mod outbox_model;
mod outbox_others;
mod saga;
mod saga_failures;
mod saga_model;
mod two_phase;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use withy::{Clock, CommitOptions, Durability, OpenOptions, Store, Timestamp, Txn};

use crate::support::TickingClock;

/// Stands still until it is moved.
#[derive(Debug)]
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(TickingClock::START.as_millis())))
    }

    /// Moves on, or back if it is negative.
    pub(crate) fn move_by(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn after(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst) + millis)
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        self.after(0)
    }
}

/// Options for a store in a test.
pub(crate) fn options(clock: Arc<dyn Clock>) -> OpenOptions {
    Store::options().durability(Durability::Buffered).author("tester").clock(clock)
}

/// A directory, and a clock that stands still.
pub(crate) fn scratch() -> (TempDir, Arc<StillClock>) {
    (tempfile::tempdir().expect("a scratch directory can be made"), StillClock::new())
}

pub(crate) fn open(options: &OpenOptions, dir: &Path) -> Store {
    options.open(dir.join("store")).expect("the store opens")
}

/// Commits messages, each a topic and a payload.
pub(crate) fn enqueue(store: &Store, messages: &[(&str, &str)]) {
    let send = |tx: &mut Txn<'_>| {
        messages.iter().try_for_each(|(topic, payload)| tx.enqueue(topic, *payload))
    };
    store.run("main", CommitOptions::default(), send).expect("they are committed");
}

/// Payloads that wait, topic by topic.
pub(crate) fn waiting(store: &Store, topic: Option<&str>) -> Vec<String> {
    let messages = store.outbox().messages(topic);
    messages.map(|m| text(&m.expect("a message").payload)).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

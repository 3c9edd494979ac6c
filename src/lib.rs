//! withy: a Git-like versioned key-value store on RocksDB.
//!
//! A store is a directory. Every committed change is a version that can be read again, tagged, branched
//! from and compared, and what is written is read back at the speed of RocksDB.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! use withy::{BranchOptions, DiffOptions, Read, Store, TagOptions};
//!
//! let store = Store::open(path)?;
//! let main = store.main()?;
//! main.put("pear", "green")?;
//! store.create_tag("spring", "main", TagOptions::default())?;
//!
//! let autumn = store.create_branch("autumn", "main", BranchOptions::default())?;
//! autumn.put("pear", "yellow")?;
//!
//! assert_eq!(main.get(b"pear")?.as_deref(), Some(&b"green"[..]));
//! assert_eq!(store.view("spring")?.get(b"pear")?.as_deref(), Some(&b"green"[..]));
//! let diff = store.diff("main", "autumn", DiffOptions::default())?.next().expect("one key")?;
//! assert_eq!(diff.after.as_deref(), Some(&b"yellow"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | see |
//! |---|---|
//! | open or make a store | [`Store::open`], [`OpenOptions`] |
//! | read | [`Read`]: on a [`View`], a [`Branch`], a [`Txn`] |
//! | write | [`Branch::put`], [`Branch::write`] with a [`Batch`], [`Store::run`] |
//! | branch, tag, go back | [`Store::create_branch`], [`Store::create_tag`], [`Store::restore`], [`Store::undo`] |
//! | look at history | [`Store::view`], [`Store::log`], [`Store::history`], [`Store::diff`] |
//! | choose what a transaction sees | [`Store::begin_with`], [`Store::run_with`], [`Isolation`], [`TxnOptions`] |
//! | take back part of a transaction | [`Txn::savepoint`], [`Txn::rollback_to`], [`Txn::scope`] |
//! | change several branches at once | [`Txn::on`] |
//! | keep others away for a while | [`Store::lock_session`], [`Txn::lock`], [`CommitOptions::fence`] |
//! | follow changes | [`Store::feed`], [`Store::subscribe`], [`Store::cursor`] |
//! | keep up with another process | [`Store::follow`] |
//! | act on what was committed | [`Txn::enqueue`], [`Store::deliver_outbox`], [`Store::outbox`] |
//! | do several things or none | [`SagaDef`], [`Store::start_saga`] |
//! | know that all of it is whole | [`Store::verify`] |
//! | commit to several stores or none | [`Txn::prepare`], [`Coordinator`], [`StoreParticipant`] |
//! | copy a store while it is used | [`Store::checkpoint`], [`Store::back_up`], [`Backups`] |

pub mod guide;

mod clock;
mod error;
mod id;
mod kv;
mod name;
mod progress;
mod sides;

mod format;

mod engine;

mod graph;
mod refs;

mod view;

mod locks;
mod publish;
mod rev;

mod diff;
mod feed;
mod txn;

mod coord;
pub mod exchange;
mod maintain;
mod merge;

mod store;

#[cfg(feature = "testing")]
pub mod testing;

pub use clock::{
    Clock, Monotonic, ParseTimeError, SystemClock, SystemMonotonic, Timestamp, ZonedTime,
};
pub use coord::two_phase::{
    Coordinated, Coordinator, Decision, Participant, PendingPhase, PendingTransaction, Recovery,
    Standing, Unfinished, Vote,
};
pub use coord::{
    ActionError, ActionResult, CompensationInfo, CompensationState, Delivered, Delivery, MessageId,
    MessageState, Outbox, OutboxMessage, OutboxMessages, ParseMessageIdError, Resumed, RetryPolicy,
    SagaDef, SagaInfo, SagaOutcome, SagaPhase, SagaStep, Sagas,
};
pub use diff::{Diff, DiffCounts, DiffEntry, DiffOptions};
pub use error::{Error, ErrorKind, Result};
pub use feed::cursor::{Cursor, CursorInfo, CursorOptions};
pub use feed::{Feed, FeedChange, FeedEvent, FeedOptions, Subscription};
pub use graph::{Commit, CommitChange, CommitRef, Log, Origin};
pub use id::{CommitId, Fingerprint, OpId, ParseHashError, ParseOpIdError, Seq, ValueHash};
pub use kv::{
    Batch, ChangeKind, Direction, Durability, Expect, KeyRange, MAX_KEY_LEN, MAX_PAYLOAD_LEN,
    MAX_VALUE_LEN,
};
pub use locks::{
    Deadlock, DeadlockWait, HeldLock, Lock, LockKind, LockMark, LockOptions, LockOwner, LockPath,
    LockSession, LockStats,
};
pub use maintain::gc::{GcOptions, GcReport, Retention, RetentionRule};
pub use maintain::purge::{PurgeOptions, PurgeReport};
pub use maintain::{
    BackupFault, BackupInfo, BackupOptions, BackupReport, BackupWritten, Backups, CheckpointInfo,
    CheckpointOptions, PruneOptions, Pruned, RestoreOptions, Restored, VerifyBackupOptions,
};
pub use maintain::{Check, Finding, VerifyOptions, VerifyReport};
pub use maintain::{Checkup, CheckupOptions, Damage, RecoveryReport, SalvageReport, TornEnd};
pub use merge::{
    Conflict, ConflictSide, ContinueOptions, DriverInput, DriverResult, FastForward, KeyPattern,
    MarkerLabels, MergeAction, MergeChange, MergeDetails, MergeDriver, MergeOptions, MergeOutcome,
    MergePlan, MergeReport, MergeRules, OpenConflict, OpenMerge, OpenResolution, Settled,
    SettledBy, TextMerge, driver_fn, drivers, has_markers, merge_text,
};
pub use name::{BranchName, TagName};
pub use progress::Progress;
pub use publish::{CommitOptions, Committed};
pub use refs::{BranchInfo, Operation, TagInfo, TagListOptions, TagOrder};
pub use sides::{ConflictKind, Resolution, Strategy};
pub use store::{
    Branch, BranchOptions, Create, DeleteOptions, FollowOptions, Follower, FollowerFeed,
    LogOptions, OpenOptions, PreparedTransaction, Setting, Stats, Store, StoreId, StoreParticipant,
    TagOptions, Work,
};
pub use txn::{Isolation, Scope, Txn, TxnBranch, TxnOptions};
pub use view::{History, Read, Scan, Version, View};

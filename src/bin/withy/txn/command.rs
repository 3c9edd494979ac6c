//! The commands of a script.

use std::time::Duration;

use withy::Isolation;

/// Keys with their values.
pub(super) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A command, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// As it was written.
    pub(super) text: String,
    /// The transaction that it is for; empty for the one without a name.
    pub(super) name: String,
    pub(super) command: Command,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Begin(Begin),
    Commit(Option<String>),
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Savepoints,
    Lock {
        path: String,
        is_subtree: bool,
        wait: Duration,
    },
    Enqueue {
        topic: String,
        payload: Vec<u8>,
    },
    Branch {
        name: String,
        rev: Option<String>,
    },
    /// On this branch, or the first of the transaction, or the active one.
    Data(Option<String>, Data),
    ExpectSavepoints(Vec<String>),
    /// Of the command that comes next.
    ExpectTrouble(Trouble),
    Stats,
    Help(Option<String>),
    Quit,
}

/// A read or write of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Put(Vec<u8>, Vec<u8>),
    Del(Vec<u8>),
    Get {
        key: Vec<u8>,
        for_update: bool,
    },
    Scan(Vec<u8>),
    Count(Vec<u8>),
    /// That a key has this value, or none.
    ExpectValue(Vec<u8>, Option<Vec<u8>>),
    /// That there are so many keys with a prefix.
    ExpectCount(Vec<u8>, u64),
    /// That there are just these keys with a prefix.
    ExpectScan(Vec<u8>, Rows),
}

/// How a transaction is begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Begin {
    /// None for the active one.
    pub(super) branch: Option<String>,
    pub(super) isolation: Option<Isolation>,
    pub(super) operations: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// How a command has to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Someone else was first, at just these keys, if some are given.
    Conflict(Vec<Vec<u8>>),
    /// An error of this kind, with this in its message.
    Error(&'static str, Option<String>),
}

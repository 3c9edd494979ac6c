//! What programs register by name when they open a store.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::outbox::{Delivery, Heads};
use super::policy::RetryPolicy;
use super::saga::SagaDef;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{BranchName, check_label};
use crate::txn::Txn;

/// Why an action or a step failed: any error, or a text.
pub type ActionError = Box<dyn StdError + Send + Sync>;

/// What an action, a step or a compensation returns.
///
/// # Examples
/// ```
/// fn check(amount: i64) -> withy::ActionResult {
///     if amount < 0 {
///         return Err("the amount is negative".into());
///     }
///     Ok(())
/// }
/// assert_eq!(check(-1).expect_err("refused").to_string(), "the amount is negative");
/// ```
pub type ActionResult = std::result::Result<(), ActionError>;

type Outside = Arc<dyn Fn(&Delivery) -> ActionResult + Send + Sync>;
type InStore = Arc<dyn Fn(&Delivery, &mut Txn<'_>) -> ActionResult + Send + Sync>;

/// What is done with the messages of a topic.
#[derive(Clone)]
pub(crate) enum Action {
    /// Something outside of the store.
    Outside(Outside),
    /// Writes to a branch, in one commit with the acknowledgement.
    InStore(String, InStore),
}

/// Everything that was registered when a store was opened.
#[derive(Default)]
pub(crate) struct Registry {
    pub(super) actions: BTreeMap<String, Action>,
    pub(super) sagas: BTreeMap<String, SagaDef>,
    pub(super) outbox_policy: RetryPolicy,
    pub(super) saga_policy: RetryPolicy,
    /// Sagas that are being driven at this moment.
    pub(super) live: Arc<Mutex<BTreeSet<String>>>,
    /// Topics that are being delivered at this moment.
    pub(super) delivering: Mutex<BTreeSet<String>>,
    pub(super) heads: Heads,
}

impl Registry {
    /// Checks what was registered.
    pub(crate) fn new(
        actions: &[(String, Action)],
        sagas: &[SagaDef],
        (outbox_policy, saga_policy): (RetryPolicy, RetryPolicy),
    ) -> Result<Self> {
        let mut made = Self { outbox_policy, saga_policy, ..Self::default() };
        for (topic, action) in actions {
            check_label("topic", topic)?;
            if let Action::InStore(branch, _) = action {
                BranchName::new(branch)?;
            }
            if made.actions.insert(topic.clone(), action.clone()).is_some() {
                let text = format!("two actions are registered for topic {topic}");
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        for saga in sagas {
            saga.check()?;
            if made.sagas.insert(saga.name().to_owned(), saga.clone()).is_some() {
                let text = format!("two sagas are registered under the name {}", saga.name());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        Ok(made)
    }
}

/// An error and its causes on one line, as they are kept in the store.
pub(super) fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    shortened(&text)
}

/// A text that is kept in the store: cut short where somebody put a whole page into it.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 4 << 10;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Runs a registered closure; a panic counts as a failure.
pub(super) fn guarded(run: impl FnOnce() -> ActionResult) -> ActionResult {
    // What the closure leaves half done is its transaction, which is dropped, and its own affairs.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(format!("it panicked: {}", text.unwrap_or("without a text")).into())
    })
}

/// How work on a transaction ended that was done by a registered closure.
pub(super) enum Worked {
    Done,
    /// The closure, or its commit, was refused; nothing of it is written.
    Refused(String),
    /// It could not be tried now: something is held that will be let go of. Nothing of it is written.
    NotNow(String),
}

/// Runs a registered closure in transactions until one commits, as [`Store::run`](crate::Store::run).
///
/// `Err` is for a store that cannot be written any more; then nothing can be kept of this either.
pub(super) fn work<'s>(
    begin: impl Fn() -> Result<Txn<'s>>,
    message: String,
    mut run: impl FnMut(&mut Txn<'s>) -> std::result::Result<(), ActionError>,
) -> Result<Worked> {
    let mut by_closure = false;
    let no_transaction = Cell::new(false);
    let begin = || begin().inspect_err(|_| no_transaction.set(true));
    let options = crate::publish::CommitOptions::default().message(message);
    let done = crate::txn::run(begin, &options, |tx| {
        by_closure = false;
        guarded(|| run(tx)).map_err(|e| {
            by_closure = true;
            match e.downcast::<Error>() {
                Ok(error) => *error,
                Err(e) => Error::new(ErrorKind::Invalid, in_words(&*e)),
            }
        })
    });
    match done {
        Ok(_) => Ok(Worked::Done),
        Err(e) if matches!(e.kind(), ErrorKind::Halted | ErrorKind::OutcomeUnknown) => Err(e),
        Err(e) if e.kind() == ErrorKind::Io && !by_closure => Err(e),
        // A key, branch or path is held, or there are too many transactions: no fault of the closure's.
        Err(e) if e.kind() == ErrorKind::Busy => Ok(Worked::NotNow(in_words(&e))),
        Err(e) if e.kind() == ErrorKind::Limit && no_transaction.get() => {
            Ok(Worked::NotNow(in_words(&e)))
        }
        Err(e) => Ok(Worked::Refused(in_words(&e))),
    }
}

//! What a program says a saga is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::step::SagaStep;
use crate::coord::action::ActionResult;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{BranchName, check_label};

pub(super) type Work = Arc<dyn Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync>;

/// What a saga is: its steps in order, and the compensations that take them back, all by name.
///
/// Each step is one commit: what it writes through [`SagaStep::txn`] and the note that it is done are
/// there together or not at all. If a step fails, the compensations of the steps before it are run,
/// newest first. Once the step is done that decides (the last one, unless [`decides`](Self::decides)
/// says so of another), nothing is taken back any more, and the steps behind it are tried until they
/// succeed.
///
/// The names are what the store keeps. A later version of a program can finish the sagas of an earlier
/// one as long as it registers the same names, with the same steps in the same order.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Read, SagaDef, SagaOutcome, Store};
/// let transfer = SagaDef::new("transfer")
///     .step("debit", |step| {
///         step.txn().put("alice", "0")?;
///         Ok(())
///     })
///     .undone_by("refund")
///     .step("credit", |_| Err("the account is closed".into()))
///     .compensation("refund", |step| {
///         step.txn().put("alice", "10")?;
///         Ok(())
///     });
/// let store = Store::options().saga(transfer).open(dir.path())?;
/// store.main()?.put("alice", "10")?;
///
/// let saga = store.start_saga("transfer", "order/7", "10 from alice")?;
/// assert_eq!(saga.outcome, Some(SagaOutcome::Compensated));
/// assert_eq!(saga.error.as_deref(), Some("credit: the account is closed"));
/// assert_eq!(store.main()?.get(b"alice")?.as_deref(), Some(&b"10"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a saga is to be registered with `OpenOptions::saga`"]
pub struct SagaDef {
    name: String,
    pub(super) branch: String,
    pub(super) steps: Vec<Step>,
    compensations: BTreeMap<String, Work>,
    /// What was said in a way that makes no sense.
    fault: Option<String>,
}

/// A step of a saga.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) undone_by: Option<String>,
    pub(super) is_outside: bool,
    pub(super) decides: bool,
}

impl SagaDef {
    /// A saga of this name, without steps yet. Its steps write to `main` unless told.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            branch: BranchName::main().to_string(),
            steps: Vec::new(),
            compensations: BTreeMap::new(),
            fault: None,
        }
    }

    /// The branch that its steps write to; a saga that has begun keeps the one that it began with.
    pub fn branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self
    }

    /// Adds a step.
    ///
    /// The closure may be called several times: again if its commit loses a race, and again after a
    /// failure or crash once the saga is decided. What it writes counts once; for what it does
    /// elsewhere there is [`SagaStep::idempotency_key`].
    pub fn step(
        mut self,
        name: impl Into<String>,
        work: impl Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync + 'static,
    ) -> Self {
        let (name, work) = (name.into(), Arc::new(work));
        self.steps.push(Step { name, work, undone_by: None, is_outside: false, decides: false });
        self
    }

    /// Names the compensation that takes back the step added last.
    pub fn undone_by(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.of_last("undone_by", |step| step.undone_by = Some(name))
    }

    /// Says that the step added last has effects outside of the store. When it fails, or is cut off by
    /// a crash, these may be there or not; then its compensation is run as well, and told so by
    /// [`SagaStep::in_doubt`]. Without this a step that is not done has no effects to take back.
    pub fn outside(self) -> Self {
        self.of_last("outside", |step| step.is_outside = true)
    }

    /// Says that the step added last decides: once it is done the saga only goes forward. Unless told it
    /// is the last step.
    pub fn decides(self) -> Self {
        self.of_last("decides", |step| step.decides = true)
    }

    /// Registers a compensation by name: for steps that name it, and for those that register it while
    /// they run, with [`Txn::compensate`](crate::Txn::compensate).
    ///
    /// Like a step it is one commit with the note that it is done, so what it writes is never there
    /// twice.
    pub fn compensation(
        mut self,
        name: impl Into<String>,
        work: impl Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        if self.compensations.insert(name.clone(), Arc::new(work)).is_some() {
            self.fault.get_or_insert(format!("two compensations have the name {name}"));
        }
        self
    }

    fn of_last(mut self, word: &str, change: impl FnOnce(&mut Step)) -> Self {
        match self.steps.last_mut() {
            Some(step) => change(step),
            None => {
                self.fault.get_or_insert(format!("`{word}` comes before the first step"));
            }
        }
        self
    }

    pub(in crate::coord) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn work_of(&self, compensation: &str) -> Option<&Work> {
        self.compensations.get(compensation)
    }

    /// Refuses what makes no sense.
    pub(in crate::coord) fn check(&self) -> Result<()> {
        check_label("name of a saga", &self.name)?;
        BranchName::new(&self.branch)?;
        let refused = |fault: String| {
            Error::new(ErrorKind::Invalid, format!("saga {} makes no sense: {fault}", self.name))
        };
        if let Some(fault) = &self.fault {
            return Err(refused(fault.clone()));
        }
        if self.steps.is_empty() {
            return Err(refused("it has no steps".into()));
        }
        let mut names = BTreeSet::new();
        for step in &self.steps {
            check_label("name of a step", &step.name)?;
            if !names.insert(&step.name) {
                return Err(refused(format!("two steps have the name {}", step.name)));
            }
            if let Some(name) = step.undone_by.as_ref().filter(|n| self.work_of(n).is_none()) {
                return Err(refused(format!("there is no compensation {name}")));
            }
        }
        if self.steps.iter().filter(|step| step.decides).count() > 1 {
            return Err(refused("two steps decide".into()));
        }
        self.compensations.keys().try_for_each(|name| check_label("name of a compensation", name))
    }
}

impl fmt::Debug for SagaDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        f.debug_struct("SagaDef").field("name", &self.name).field("steps", &steps).finish()
    }
}

//! What is to go wrong, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Point;
use crate::error::{Error, ErrorKind, Result};

/// The environment variable that holds the plan of a process; it counts the steps of every store.
pub const PLAN_VARIABLE: &str = "WITHY_FAULT";

impl Point {
    /// Every kind of step.
    pub const ALL: [Self; 14] = [
        Self::Write,
        Self::Sync,
        Self::Ingest,
        Self::DropRange,
        Self::Flush,
        Self::Compact,
        Self::Checkpoint,
        Self::SortedFile,
        Self::Create,
        Self::FileWrite,
        Self::FileSync,
        Self::Rename,
        Self::Remove,
        Self::Link,
    ];

    /// Its name, as plans are written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Ingest => "ingest",
            Self::DropRange => "drop-range",
            Self::Flush => "flush",
            Self::Compact => "compact",
            Self::Checkpoint => "checkpoint",
            Self::SortedFile => "sorted-file",
            Self::Create => "create",
            Self::FileWrite => "file-write",
            Self::FileSync => "file-sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|point| point.name() == text);
        found.ok_or_else(|| invalid(&format!("{text:?} is no kind of step")))
    }
}

/// What happens at the step that a plan names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process ends at once, as if killed: nothing is closed or put in order.
    Stop,
    /// The step fails with an input/output error.
    Fail,
    /// The step fails, and so does every later one.
    FailOn,
}

/// Whether something happens before a step is done, or when it is done already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The step is not done.
    Before,
    /// The step is done; who asked for it is not told so.
    After,
}

/// What goes wrong at the n-th step of a kind, or of any.
///
/// Its text is what the environment variable `WITHY_FAULT` holds: what, when, the kind of step or `any`,
/// and its number.
///
/// # Examples
/// ```
/// use withy::testing::fault::{Action, Moment, Plan, Point};
/// let plan: Plan = "stop before sync 3".parse()?;
/// assert_eq!(plan, Plan::new(Action::Stop, Moment::Before, 3).only(Point::Sync));
/// assert_eq!(plan.to_string(), "stop before sync 3");
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a plan does nothing until it is carried out"]
pub struct Plan {
    action: Action,
    moment: Moment,
    point: Option<Point>,
    number: u64,
}

impl Plan {
    /// Something goes wrong at step `number`, the first being 1; at none, if it is 0.
    pub fn new(action: Action, moment: Moment, number: u64) -> Self {
        Self { action, moment, point: None, number }
    }

    /// Counts the steps of one kind only.
    pub fn only(mut self, point: Point) -> Self {
        self.point = Some(point);
        self
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Stop => "stop",
            Action::Fail => "fail",
            Action::FailOn => "fail-on",
        };
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        let point = self.point.map_or("any", Point::name);
        write!(f, "{action} {moment} {point} {}", self.number)
    }
}

impl FromStr for Plan {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [action, moment, point, number] = words[..] else {
            return Err(invalid(&format!("{text:?} is no plan")));
        };
        let action = match action {
            "stop" => Action::Stop,
            "fail" => Action::Fail,
            "fail-on" => Action::FailOn,
            _ => return Err(invalid(&format!("{action:?} is nothing that can happen"))),
        };
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            _ => return Err(invalid(&format!("{moment:?} is no moment"))),
        };
        let point = if point == "any" { None } else { Some(point.parse()?) };
        let number =
            number.parse().map_err(|e| invalid(&format!("{number:?} is no number")).because(e))?;
        Ok(Self { action, moment, point, number })
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the plan of faults cannot be read: {what}")).with_hint(
        "write it as in `stop before write 3`, `fail after any 2`, `fail-on before sync 1`",
    )
}

/// A plan that is being carried out.
#[derive(Debug)]
struct Armed {
    under: PathBuf,
    plan: Plan,
    steps: AtomicU64,
}

/// Plans of this process. Few tests have one at a time, so a list does.
static ARMED: Mutex<Vec<Arc<Armed>>> = Mutex::new(Vec::new());
/// How many there are, so that a step without any costs one look.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// The plan that the environment gives.
static GIVEN: OnceLock<std::result::Result<Option<Arc<Armed>>, String>> = OnceLock::new();

/// Faults that are being injected; dropping it ends that.
#[derive(Debug)]
#[must_use = "nothing goes wrong any more once it is dropped"]
pub struct Injected(Arc<Armed>);

impl Injected {
    /// How many steps of the plan's kind were begun so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::SeqCst)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        armed.retain(|one| !Arc::ptr_eq(one, &self.0));
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lets the plan happen to the store in a directory, which is named as the store was opened; to all
/// threads that use it.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::testing::fault::{Action, Moment, Plan, Point, inject};
/// use withy::{ErrorKind, Read, Store};
/// let store = Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
///
/// let plan = Plan::new(Action::Fail, Moment::Before, 1).only(Point::Sync);
/// let injected = inject(dir.path(), plan);
/// let unknown = store.main()?.put("pear", "red").expect_err("the disk does not answer");
/// assert_eq!(unknown.kind(), ErrorKind::OutcomeUnknown);
/// assert_eq!(injected.steps(), 1);
/// drop(injected);
///
/// let refused = store.main()?.put("pear", "blue").expect_err("nothing more until it is opened again");
/// assert_eq!(refused.kind(), ErrorKind::Halted);
/// assert!(store.main()?.get(b"pear")?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inject(store: impl Into<PathBuf>, plan: Plan) -> Injected {
    let one = Arc::new(Armed { under: store.into(), plan, steps: AtomicU64::new(0) });
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&one));
    COUNT.fetch_add(1, Ordering::SeqCst);
    Injected(one)
}

/// The plan of the environment, read once.
fn given() -> io::Result<Option<Arc<Armed>>> {
    let given = GIVEN.get_or_init(|| match std::env::var(PLAN_VARIABLE) {
        Ok(text) => match text.parse() {
            Ok(plan) => {
                let (under, steps) = (PathBuf::new(), AtomicU64::new(0));
                Ok(Some(Arc::new(Armed { under, plan, steps })))
            }
            Err(e) => Err(e.to_string()),
        },
        Err(_) => Ok(None),
    });
    given.clone().map_err(io::Error::other)
}

/// The plans that count this step, each with the number that it gives to it.
fn counting(point: Point, path: &Path) -> io::Result<Vec<(Arc<Armed>, u64)>> {
    let mut out = Vec::new();
    out.extend(given()?);
    if COUNT.load(Ordering::SeqCst) > 0 {
        let armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend(armed.iter().filter(|one| path.starts_with(&one.under)).cloned());
    }
    out.retain(|one| one.plan.point.is_none_or(|only| only == point));
    let number = |one: Arc<Armed>| {
        let number = one.steps.fetch_add(1, Ordering::SeqCst) + 1;
        (one, number)
    };
    Ok(out.into_iter().map(number).collect())
}

/// Lets happen what the plans say of this moment of a step.
fn happen(plans: &[(Arc<Armed>, u64)], point: Point, moment: Moment) -> io::Result<()> {
    for (one, number) in plans {
        let plan = &one.plan;
        let due = match plan.action {
            Action::Stop | Action::Fail => plan.number == *number,
            Action::FailOn => plan.number > 0 && plan.number <= *number,
        };
        if !due || plan.moment != moment {
            continue;
        }
        match plan.action {
            Action::Stop => std::process::abort(),
            Action::Fail | Action::FailOn => {
                return Err(io::Error::other(format!("injected: {plan}, at a {point}")));
            }
        }
    }
    Ok(())
}

pub(super) fn step<T>(point: Point, store: &Path, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let failed = |e: io::Error| {
        Error::new(ErrorKind::Io, format!("a step of the store failed: {point}")).because(e)
    };
    let plans = counting(point, store).map_err(failed)?;
    happen(&plans, point, Moment::Before).map_err(failed)?;
    let done = run();
    // The process is stopped after the step also where the step itself has failed.
    happen(&plans, point, Moment::After).map_err(failed)?;
    done
}

pub(super) fn file<T>(
    point: Point,
    path: &Path,
    run: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let plans = counting(point, path)?;
    happen(&plans, point, Moment::Before)?;
    let done = run();
    happen(&plans, point, Moment::After)?;
    done
}

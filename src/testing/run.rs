//! Running a scenario: a store of its own for each cell, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Scenario;
use super::operate::operate;
use super::page::Page;
use super::step::{Action, Choice, Setting, Step, What};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::kv::{Batch, Direction, Durability, KeyRange};
use crate::merge::{MergeDriver, MergeOptions, drivers};
use crate::name::BranchName;
use crate::publish::CommitOptions;
use crate::sides::Resolution;
use crate::store::{Branch, BranchOptions, Store};
use crate::view::Read;

/// The branch that the others begin at.
const BASE: &str = "base";

/// Goes on by one second each time it is asked.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// Runs all cells; gives the report.
pub(super) fn all(scenario: &Scenario) -> Result<String> {
    let mut page = Page::default();
    for line in &scenario.about {
        page.line(0, line);
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    for cell in 0..scenario.matrix.cells() {
        let body = one(scenario, cell)?;
        page.gap();
        let title = scenario.matrix.title(&scenario.steps, cell);
        if let Some((same, _)) = seen.iter().find(|(_, text)| *text == body) {
            page.line(0, &format!("=== {title}: as under {same}"));
            continue;
        }
        if !title.is_empty() {
            page.line(0, &format!("=== {title}"));
            page.gap();
        }
        page.add(&body);
        seen.push((title, body));
    }
    Ok(page.text())
}

fn one(scenario: &Scenario, cell: usize) -> Result<String> {
    let mut page = Page::default();
    let dir = tempfile::tempdir()
        .map_err(|e| Error::new(ErrorKind::Io, "cannot make a directory").because(e))?;
    let mut options = Store::options()
        .durability(Durability::Buffered)
        .author("")
        .cache_bytes(8 << 20)
        .clock(Arc::new(Ticking(AtomicI64::new(1_767_225_600_000))));
    for driver in &scenario.drivers {
        options = options.driver(Arc::clone(driver));
    }
    let mut world = World::new(options.open(dir.path())?, scenario.drivers.clone())?;
    for (i, step) in scenario.steps.iter().enumerate() {
        world.step(scenario, cell, (i, step), &mut page).map_err(|e| {
            let text = format!("{}:{}: {e}", scenario.file, step.line);
            Error::new(e.kind(), text).because(e)
        })?;
    }
    Ok(page.text())
}

/// A store, and what its commits are called.
pub(super) struct World {
    pub(super) store: Store,
    /// Those of withy, and those that were given.
    pub(super) drivers: Vec<Arc<dyn MergeDriver>>,
    names: BTreeMap<Seq, String>,
    counts: BTreeMap<BranchName, u64>,
    branches: BTreeSet<BranchName>,
}

/// What was chosen for one operation.
pub(super) struct Chosen {
    pub(super) options: MergeOptions<'static>,
    pub(super) resolutions: Vec<(Vec<u8>, Resolution)>,
    /// Values of resolutions.
    pub(super) values: Vec<Vec<u8>>,
    pub(super) quiet: bool,
    back: bool,
}

impl World {
    fn new(store: Store, mut own: Vec<Arc<dyn MergeDriver>>) -> Result<Self> {
        own.extend(drivers::all());
        let main = BranchName::main();
        let root = store.branch(main.as_str())?.head()?.seq;
        Ok(Self {
            store,
            drivers: own,
            names: BTreeMap::from([(root, "root".to_owned())]),
            counts: BTreeMap::new(),
            branches: BTreeSet::from([main]),
        })
    }

    /// Notes a new commit of a branch.
    pub(super) fn number(&mut self, branch: &BranchName, seq: Seq) {
        let count = self.counts.entry(branch.clone()).or_default();
        *count += 1;
        self.names.insert(seq, format!("{branch}#{count}"));
    }

    /// What a commit is called.
    pub(super) fn name(&self, seq: Seq) -> String {
        self.names.get(&seq).cloned().unwrap_or_else(|| format!("commit {seq}"))
    }

    pub(super) fn content(&self, branch: &BranchName) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let branch = self.store.branch(branch.as_str())?;
        branch.scan(&KeyRange::all(), Direction::Forward)?.collect()
    }

    /// A branch; made where `from` says, or where the base is, if it is not there yet.
    fn branch(&mut self, name: &BranchName, from: Option<&str>) -> Result<Branch> {
        if self.branches.contains(name) {
            return match from {
                None => self.store.branch(name.as_str()),
                Some(_) => Err(Error::new(ErrorKind::Invalid, format!("{name} is there already"))),
            };
        }
        if let Some(from) = from {
            self.begin(from)?;
        }
        let has_base = self.branches.iter().any(|branch| branch.as_str() == BASE);
        let from = from.unwrap_or(if has_base { BASE } else { "main" });
        let branch = self.store.create_branch(name.as_str(), from, BranchOptions::default())?;
        self.branches.insert(name.clone());
        Ok(branch)
    }

    /// A side that nothing was committed to is where the base is.
    fn begin(&mut self, rev: &str) -> Result<()> {
        let name = rev.split(['~', '^', '@']).next().unwrap_or(rev);
        if [BASE, "ours", "theirs"].contains(&name) {
            let name = BranchName::new(name)?;
            if !self.branches.contains(&name) {
                self.branch(&name, None)?;
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        scenario: &Scenario,
        cell: usize,
        (at, step): (usize, &Step),
        page: &mut Page,
    ) -> Result<()> {
        match &step.what {
            What::Commit { branch: name, from, changes } => {
                let branch = self.branch(name, from.as_deref())?;
                if changes.is_empty() {
                    return Ok(());
                }
                let mut batch = Batch::new();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.put(key.as_slice(), value.as_slice()),
                        None => batch.delete(key.as_slice()),
                    };
                }
                match branch.write(batch, CommitOptions::default())?.seq() {
                    Some(seq) => self.number(name, seq),
                    None => {
                        let text = format!("this changes nothing on {name}");
                        return Err(Error::new(ErrorKind::Invalid, text));
                    }
                }
            }
            What::Reset { branch, to } => {
                self.branch(branch, None)?;
                self.store.reset(branch.as_str(), to)?;
            }
            What::Operate(action, settings) => {
                let choices = settings.iter().enumerate().filter_map(|(k, setting)| {
                    let Setting { choices, .. } = setting;
                    choices.get(scenario.matrix.choice(cell, at, k)).map(|(_, choice)| choice)
                });
                let chosen = choose(action, choices);
                let action = if chosen.back { changed_over(action)? } else { action.clone() };
                self.begin(action.target().as_str())?;
                for rev in action.revs() {
                    self.begin(rev)?;
                }
                operate(self, &action, chosen, page)?;
            }
        }
        Ok(())
    }
}

fn choose<'c>(action: &Action, choices: impl Iterator<Item = &'c Choice>) -> Chosen {
    let mut options = MergeOptions::default().squash(matches!(action, Action::Squash { .. }));
    let mut chosen = Chosen {
        options: MergeOptions::default(),
        resolutions: Vec::new(),
        values: Vec::new(),
        quiet: false,
        back: false,
    };
    for choice in choices {
        options = match choice.clone() {
            Choice::Strategy(None, strategy) => options.strategy(strategy),
            Choice::Strategy(Some(keys), strategy) => options.strategy_for(keys, strategy),
            Choice::Driver(keys, Some(driver)) => options.driver_for(keys, driver),
            Choice::Driver(keys, None) => options.no_driver_for(keys),
            Choice::FastForward(allowed) => options.fast_forward(allowed),
            Choice::Strict(strict) => options.strict(strict),
            Choice::KeepOpen(keep) => options.keep_open(keep),
            Choice::Mainline(parent) => options.mainline(parent),
            Choice::Resolve(key, resolution) => {
                if let Resolution::Value(value) = &resolution {
                    chosen.values.push(value.clone());
                }
                chosen.resolutions.push((key, resolution));
                options
            }
            Choice::Quiet(quiet) => {
                chosen.quiet = quiet;
                options
            }
            Choice::Back(back) => {
                chosen.back = back;
                options
            }
        };
    }
    if !matches!(action, Action::Continue { .. }) {
        for (key, resolution) in std::mem::take(&mut chosen.resolutions) {
            options = options.resolve(key, resolution);
        }
    }
    chosen.options = options;
    chosen
}

/// The same merge in the other direction.
fn changed_over(action: &Action) -> Result<Action> {
    Ok(match action {
        Action::Merge { source, target } => {
            Action::Merge { source: target.to_string(), target: BranchName::new(source)? }
        }
        Action::Squash { source, target } => {
            Action::Squash { source: target.to_string(), target: BranchName::new(source)? }
        }
        other => other.clone(),
    })
}

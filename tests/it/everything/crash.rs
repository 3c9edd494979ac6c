//! Crashes in the middle of a step: what is there afterwards is what the model was before it, after it,
//! or after one of the writes that it is made of.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use withy::CheckpointOptions;
use withy::testing::fault::{Action, Moment, Plan, inject};

use super::state::Past;
use crate::model::world::{OPTIONS, World};
use crate::support::{Scratch, TickingClock, must_verify};

/// Whether an error is one that the plan has brought about.
pub(super) fn is_injected(text: &str) -> bool {
    ["injected: ", "Halted", "OutcomeUnknown"].iter().any(|sign| text.contains(sign))
}

/// What a panic said.
pub(super) fn words(cause: &(dyn std::any::Any + Send)) -> &str {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or_default()
}

impl World {
    /// A step during which the disk stops at some moment. A twin of the store does the same step whole
    /// before, and so tells which states it goes through.
    pub(super) fn crash(&mut self) {
        let (mut before, rng) = (self.save(), self.rng.clone());
        let (passed, steps) = self.passed_by_twin(&before);
        self.load_past(before.clone());
        self.rng = rng;
        if steps == 0 {
            self.step();
            return self.check_refs();
        }
        let number = self.dice.u64(1..=steps);
        let moment = if self.dice.bool() { Moment::Before } else { Moment::After };
        self.note(format!("... and the disk stops {moment:?} step {number} of {steps}"));
        self.more.passed = Some(vec![before.clone()]);
        let around = self.store.path().parent().expect("it is in a directory").to_owned();
        let injected = inject(around, Plan::new(Action::FailOn, moment, number));
        let done = catch_unwind(AssertUnwindSafe(|| self.step()));
        if let Err(cause) = done
            && !is_injected(words(&*cause))
        {
            resume_unwind(cause);
        }
        let reached = self.more.passed.take().expect("it was begun");
        let acked = reached.len() - 1;
        // The twin has a backup of its own; what was acknowledged of this one's stays.
        before.more.snapshots = reached[acked].more.snapshots.clone();
        self.kept.clear();
        self.held = false;
        self.store.lose();
        drop(injected);
        self.store.reopen();
        let from = acked.min(passed.len() - 1);
        self.go_on_from(&before, &passed[from..]);
        *self.counts.entry("(crash)".to_owned()).or_default() += 1;
    }

    /// The states that the next step goes through, the present one among them, and how often it changes
    /// the disk.
    fn passed_by_twin(&mut self, before: &Past) -> (Vec<Past>, u64) {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let path = dir.path().join("store");
        self.store.checkpoint(&path, CheckpointOptions::default()).expect("a twin");
        let clock = TickingClock::at(self.store.clock().peek());
        let twin = Scratch::in_dir(dir, clock, OPTIONS);
        let count = Plan::new(Action::Fail, Moment::Before, 0);
        let counted = inject(path.parent().expect("it is in a directory"), count);
        let real = std::mem::replace(&mut self.store, twin);
        let kept = std::mem::take(&mut self.kept);
        self.more.passed = Some(vec![before.clone()]);
        self.more.snapshots.clear();
        let trace = self.trace.len();
        self.step();
        let passed = self.more.passed.take().expect("it was begun");
        self.check_refs();
        self.kept.clear();
        self.trace.truncate(trace);
        self.store = real;
        self.kept = kept;
        (passed, counted.steps())
    }

    /// The store is as it was at one of these moments; the model goes on from there.
    ///
    /// The first one was acknowledged, the next one was under way. A collection is several writes in one
    /// call: tags, operations, and the rest, which changes nothing that is compared here.
    pub(super) fn go_on_from(&mut self, before: &Past, passed: &[Past]) {
        let is_step =
            |line: &&String| !line.starts_with("...") && !line.starts_with("killed after");
        let step = self.trace.iter().rev().find(is_step);
        let collects = step.is_some_and(|line| line.starts_with("collect"));
        let passed = &passed[..passed.len().min(if collects { 3 } else { 2 })];
        let differs: Vec<Option<String>> =
            passed.iter().map(|past| self.differs(past, collects)).collect();
        // Of states that look alike the later one: it says less of what has to be kept.
        let Some(at) = differs.iter().rposition(Option::is_none) else {
            let all: Vec<String> = differs.into_iter().flatten().collect();
            panic!("OPS-1: the store is as it was before a write or after it:\n{}", all.join("\n"));
        };
        let gone = before.more.gone.clone();
        let snapshots = before.more.snapshots.clone();
        self.load_past(passed[at].clone());
        self.more.gone = gone;
        self.more.snapshots = snapshots;
        self.more.collected |= collects;
        if collects {
            // The twin has let operations go that may still be there, and one that drops tags.
            self.more.ops = before.more.ops + 1;
            self.ops_left();
        }
        self.check_refs();
        self.observe();
        must_verify(&self.store);
        self.snapshots_left();
    }
}

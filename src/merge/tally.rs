//! How far a merge has come: keys that are read, and keys that are decided.

use crate::error::Result;
use crate::progress::Meter;

/// Counts keys while merges are planned, and tells so.
pub(crate) struct Tally<'m, 'a> {
    meter: &'m mut Meter<'a>,
    keys: u64,
    /// The steps of a sequence, which is one stage; what is read for them does not count.
    steps: Option<u64>,
    /// How many keys a sequence will have, by what is known.
    expected: Option<u64>,
    /// What is decided now is not of the plan itself.
    pub(super) aside: bool,
}

impl<'m, 'a> Tally<'m, 'a> {
    /// For one merge.
    pub(super) fn new(meter: &'m mut Meter<'a>) -> Self {
        Self { meter, keys: 0, steps: None, expected: None, aside: false }
    }

    /// For so many picks.
    pub(super) fn of_steps(meter: &'m mut Meter<'a>, steps: usize) -> Result<Self> {
        meter.stage("plan", None, None)?;
        let steps = Some(steps as u64);
        Ok(Self { meter, keys: 0, steps, expected: None, aside: false })
    }

    /// Begins to read, or to decide, this many keys.
    pub(super) fn stage(&mut self, stage: &'static str, total: Option<usize>) -> Result<()> {
        if self.steps.is_some() {
            return self.meter.pulse();
        }
        self.keys = 0;
        self.meter.stage(stage, total.map(|total| total as u64), None)
    }

    /// One more key is read.
    pub(super) fn read(&mut self) -> Result<()> {
        if self.steps.is_some() {
            return self.meter.pulse();
        }
        self.keys += 1;
        self.meter.step(self.keys, 0)
    }

    /// Something else is read.
    pub(super) fn pulse(&mut self) -> Result<()> {
        self.meter.pulse()
    }

    /// One more key is decided.
    pub(super) fn decided(&mut self) -> Result<()> {
        if self.aside {
            return self.meter.pulse();
        }
        self.keys += 1;
        if let Some(expected) = self.expected.as_mut().filter(|expected| **expected < self.keys) {
            *expected = self.keys;
            self.meter.expect(self.keys);
        }
        self.meter.step(self.keys, 0)
    }

    /// A step of a sequence is planned, this one counted from 1; those to come are taken to be as large.
    pub(super) fn step(&mut self, done: usize) -> Result<()> {
        if let Some(steps) = self.steps {
            let total = u128::from(self.keys) * u128::from(steps) / (done.max(1) as u128);
            let total = u64::try_from(total).unwrap_or(u64::MAX);
            self.expected = Some(total);
            self.meter.expect(total);
        }
        self.meter.tell(self.keys, 0)
    }
}

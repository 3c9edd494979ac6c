//! Leases: what lapses, is renewed, and stays while a write relies on it.

use std::time::Duration;

use super::LockPath;
use super::state::{Grant, State};
use super::stats::Counters;
use crate::error::{Error, ErrorKind, Result};

/// How long a lock lasts.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    /// How long it lasts from a grant or renewal on.
    pub(super) term: Duration,
    pub(super) lapses: Duration,
}

impl Grant {
    pub(super) fn is_valid(&self, now: Duration) -> bool {
        self.lease.is_none_or(|lease| now < lease.lapses)
    }
}

impl State {
    /// Lets time pass: what has lapsed by now goes to those who wait for it.
    pub(super) fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some(&(lapses, fence)) = self.lapses.first() {
            if lapses > self.now {
                break;
            }
            self.lapses.pop_first();
            // One that a write relies on goes when the write has ended.
            if self.grants.get(&fence).is_some_and(|grant| grant.pins == 0) {
                self.lapse(fence);
            }
        }
        self.work_off();
    }

    fn lapse(&mut self, fence: u64) {
        let Some(grant) = self.take_grant(fence) else { return };
        Counters::add(&self.counters.lapsed);
        if let Some(owner) = self.owners.get_mut(&grant.owner) {
            owner.lost.insert(fence, grant.claim.path);
        }
    }

    /// How long until the next lease lapses.
    pub(super) fn next_lapse(&self) -> Option<Duration> {
        self.lapses.first().map(|(lapses, _)| lapses.saturating_sub(self.now))
    }

    /// The grant with this number, if it still counts.
    pub(super) fn valid(&mut self, fence: u64) -> Option<&mut Grant> {
        let now = self.now;
        self.grants.get_mut(&fence).filter(|grant| grant.is_valid(now))
    }

    /// Prolongs a lease from now on by its term; whether the lock still counted.
    pub(super) fn renew(&mut self, fence: u64) -> bool {
        let now = self.now;
        let Some(grant) = self.valid(fence) else { return false };
        if let Some(lease) = &mut grant.lease {
            let before = lease.lapses;
            lease.lapses = now.saturating_add(lease.term);
            let after = lease.lapses;
            self.lapses.remove(&(before, fence));
            self.lapses.insert((after, fence));
        }
        true
    }

    /// Whether a lock counts, and how long its lease lasts.
    pub(super) fn look(&mut self, fence: u64) -> Option<Option<Duration>> {
        let now = self.now;
        let grant = self.valid(fence)?;
        Some(grant.lease.map(|lease| lease.lapses.saturating_sub(now)))
    }

    /// Holds locks still while a write relies on them.
    pub(super) fn pin(&mut self, locks: &[(u64, LockPath)]) -> Result<()> {
        for (fence, path) in locks {
            if self.valid(*fence).is_none() {
                return Err(lost(path, *fence));
            }
        }
        for (fence, _) in locks {
            if let Some(grant) = self.grants.get_mut(fence) {
                grant.pins += 1;
            }
        }
        Ok(())
    }

    /// Holds all locks of an owner still; their numbers.
    pub(super) fn pin_all(&mut self, owner: u64) -> Result<Vec<u64>> {
        let Some(owner) = self.owners.get(&owner) else { return Ok(Vec::new()) };
        if let Some((&fence, path)) = owner.lost.first_key_value() {
            return Err(lost(path, fence));
        }
        let path = |fence: u64| Some((fence, self.grants.get(&fence)?.claim.path.clone()));
        let locks: Vec<_> = owner.grants.iter().copied().filter_map(path).collect();
        self.pin(&locks)?;
        Ok(locks.into_iter().map(|(fence, _)| fence).collect())
    }

    /// Prolongs all leases of an owner; refuses if one of its locks has lapsed.
    pub(super) fn renew_all(&mut self, owner: u64) -> Result<()> {
        let Some(owner) = self.owners.get(&owner) else { return Ok(()) };
        if let Some((&fence, path)) = owner.lost.first_key_value() {
            return Err(lost(path, fence));
        }
        for fence in owner.grants.iter().copied().collect::<Vec<_>>() {
            self.renew(fence);
        }
        Ok(())
    }

    /// The write has ended: what lapsed meanwhile goes now.
    pub(super) fn unpin(&mut self, fences: &[u64]) {
        for &fence in fences {
            let Some(grant) = self.grants.get_mut(&fence) else { continue };
            grant.pins = grant.pins.saturating_sub(1);
            if grant.pins == 0 && !grant.is_valid(self.now) {
                self.lapse(fence);
            }
        }
        self.work_off();
    }
}

/// What the holder of a lock that is none any more is refused with.
pub(super) fn lost(path: &LockPath, fence: u64) -> Error {
    let path = path.as_str();
    let text = format!("the lock on {path:?} with fencing number {fence} is no longer held");
    Error::new(ErrorKind::LeaseLost, text)
        .with_hint("take the lock again, and read again what it protects")
}

//! Who waits for whom, and how a circle of waits is broken.
//!
//! A request waits for who holds what it needs, and for who asked for it earlier. A wait of the second
//! kind is a matter of fairness only, so where it closes a circle the request may go past. A circle of
//! waits of the first kind alone is a deadlock: its youngest owner is refused.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use super::state::{Block, Request, State};
use super::tree::Claim;
use super::{LockKind, LockOwner, LockPath};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};

/// How many deadlocks are remembered.
const REMEMBERED: usize = 64;

/// A deadlock that was broken, as [`Store::deadlocks`](crate::Store::deadlocks) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// When it was found, by the store's clock.
    pub at: Timestamp,
    /// Who waited for what: each for the owner of the next wait, the last for that of the first.
    pub waits: Vec<DeadlockWait>,
    /// The youngest of them, whose request was refused.
    pub victim: LockOwner,
}

/// One wait in a circle of waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlockWait {
    /// Who waited.
    pub owner: LockOwner,
    /// What it wanted.
    pub path: LockPath,
    /// How much of it.
    pub kind: LockKind,
    /// Who held it, or something in its range.
    pub held_by: LockOwner,
}

/// One wait: the request, what of it is blocked, and by what.
#[derive(Clone)]
struct Wait {
    from: u64,
    ticket: u64,
    claim: Claim,
    to: u64,
    block: Block,
}

impl State {
    /// The waits of an owner, one for each request, owner and kind of block.
    fn waits(&self, from: u64) -> Vec<Wait> {
        let Some(owner) = self.owners.get(&from) else { return Vec::new() };
        let mut waits = Vec::new();
        for &ticket in &owner.waiting {
            let Some(request) = self.requests.get(&ticket) else { continue };
            let mut seen = BTreeSet::new();
            let see = |claim: &Claim, to, block| {
                let earlier = match block {
                    Block::Held(_) => None,
                    Block::Earlier(ticket) => Some(ticket),
                };
                if seen.insert((to, earlier)) {
                    waits.push(Wait { from, ticket, claim: claim.clone(), to, block });
                }
                ControlFlow::<()>::Continue(())
            };
            let _ = self.blocks(&request.asker, ticket, &request.passes, see);
        }
        waits
    }

    /// The shortest circle of waits through an owner.
    fn circle(&self, start: u64) -> Option<Vec<Wait>> {
        let mut came: BTreeMap<u64, Wait> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(owner) = queue.pop_front() {
            for wait in self.waits(owner) {
                if wait.to == start {
                    let mut circle = vec![wait];
                    while let Some(before) = circle.last().and_then(|wait| came.get(&wait.from)) {
                        circle.push(before.clone());
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if let Entry::Vacant(first) = came.entry(wait.to) {
                    queue.push_back(wait.to);
                    first.insert(wait);
                }
            }
        }
        None
    }

    /// Whether each of these owners waits for another one, directly or through others.
    pub(super) fn all_wait_for(&self, owners: &BTreeSet<u64>, wanted: u64) -> bool {
        owners.is_empty()
            || (self.is_in_the_way(wanted) && owners.iter().all(|&o| self.waits_for(o, wanted)))
    }

    fn waits_for(&self, owner: u64, wanted: u64) -> bool {
        let mut seen = BTreeSet::from([owner]);
        let mut open = vec![owner];
        while let Some(owner) = open.pop() {
            for wait in self.waits(owner) {
                if wait.to == wanted {
                    return true;
                }
                if seen.insert(wait.to) {
                    open.push(wait.to);
                }
            }
        }
        false
    }

    /// Whether something that an owner holds is in the way of a request that waits. If not, nobody waits
    /// for it but those behind its own requests: that is quick to see, where circles are not.
    fn is_in_the_way(&self, owner: u64) -> bool {
        let is_own = |_, holder| match holder == owner {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let blocked = |request: &Request| {
            request.asker.owner != owner
                && request.asker.claims.iter().any(|c| self.held.against(c, is_own).is_break())
        };
        self.holds(owner) && self.requests.values().any(blocked)
    }

    /// Breaks every circle of waits through an owner.
    pub(super) fn untangle(&mut self, owner: u64) {
        // Nobody is behind the newest request of all.
        let newest = self.requests.last_key_value().map(|(&ticket, _)| BTreeSet::from([ticket]));
        let waiting = self.owners.get(&owner).map(|owner| owner.waiting.clone());
        if newest == waiting && !self.is_in_the_way(owner) {
            return;
        }
        while let Some(circle) = self.circle(owner) {
            let fair = circle.iter().find_map(|wait| match wait.block {
                Block::Earlier(earlier) => Some((wait.ticket, earlier)),
                Block::Held(_) => None,
            });
            match fair {
                Some((ticket, earlier)) => {
                    if let Some(request) = self.requests.get_mut(&ticket) {
                        request.passes.insert(earlier);
                    }
                    self.try_grant(ticket);
                }
                None => self.break_deadlock(&circle),
            }
        }
    }

    fn break_deadlock(&mut self, circle: &[Wait]) {
        // A circle has waits, and the owner with the largest number is the youngest.
        let Some(last) = circle.iter().max_by_key(|wait| wait.from) else { return };
        let who = |owner: u64| self.owners.get(&owner).map(|owner| owner.who.clone());
        let waits: Vec<_> = circle
            .iter()
            .filter_map(|wait| {
                Some(DeadlockWait {
                    owner: who(wait.from)?,
                    path: wait.claim.path.clone(),
                    kind: wait.claim.kind,
                    held_by: who(wait.to)?,
                })
            })
            .collect();
        let told: Vec<_> = waits.iter().map(DeadlockWait::told).collect();
        let Some(victim) = who(last.from) else { return };
        let text = format!("deadlock: {}; {victim}, the youngest, gives way", told.join(", "));
        if self.deadlocks.len() == REMEMBERED {
            self.deadlocks.pop_front();
        }
        self.deadlocks.push_back(Deadlock { at: self.clock.now(), waits, victim });
        super::stats::Counters::add(&self.counters.deadlocks);
        let error = Error::new(ErrorKind::Deadlock, text)
            .with_hint("let go of all locks, and run it again");
        self.refuse(last.ticket, error);
    }
}

impl DeadlockWait {
    fn told(&self) -> String {
        let Self { owner, path, kind, held_by } = self;
        format!("{owner} waits for {held_by} (a {kind} on {:?})", path.as_str())
    }
}

//! Who holds and who waits. Nothing here asks for the time or sleeps: both are the table's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar};
use std::time::Duration;

use super::leases::Lease;
use super::stats::Counters;
use super::tree::{Claim, Tree};
use super::{Deadlock, HeldLock, LockOwner, LockPath};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// One lock that is held. The same owner may hold a path more than once, each time with a number.
pub(super) struct Grant {
    pub(super) owner: u64,
    pub(super) claim: Claim,
    since: Duration,
    pub(super) lease: Option<Lease>,
    /// How many writes are under way that rely on it: it does not go away under them.
    pub(super) pins: u32,
}

pub(super) struct Owner {
    pub(super) who: LockOwner,
    /// Fencing numbers of what it holds.
    pub(super) grants: BTreeSet<u64>,
    /// Tickets of its requests that wait: one, unless it is used from several threads.
    pub(super) waiting: BTreeSet<u64>,
    /// What lapsed and was not let go of since.
    pub(super) lost: BTreeMap<u64, LockPath>,
}

/// Who asks for what.
pub(super) struct Asker {
    pub(super) owner: u64,
    pub(super) claims: Vec<Claim>,
    pub(super) lease: Option<Duration>,
}

/// A request that waits, or whose answer has not been fetched.
pub(super) struct Request {
    pub(super) asker: Arc<Asker>,
    /// Earlier requests that it may go past, because they wait for its owner.
    pub(super) passes: BTreeSet<u64>,
    answer: Option<Result<Vec<u64>>>,
    bell: Arc<Condvar>,
}

/// What stands in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// A lock that is held, by its fencing number.
    Held(u64),
    /// A request that came earlier, by its ticket.
    Earlier(u64),
}

enum Work {
    /// A claim is gone: those whom it blocked are looked at again.
    Freed(Claim),
    /// An owner that waits was granted something: it may be waited for anew.
    Tangled(u64),
}

pub(super) struct State {
    pub(super) held: Tree,
    wanted: Tree,
    pub(super) grants: BTreeMap<u64, Grant>,
    pub(super) owners: BTreeMap<u64, Owner>,
    pub(super) requests: BTreeMap<u64, Request>,
    /// When leases lapse, and whose; not those that a write relies on past their time.
    pub(super) lapses: BTreeSet<(Duration, u64)>,
    /// Fencing numbers to give out, and the largest one given.
    stock: VecDeque<Range<u64>>,
    last_fence: u64,
    /// How many of the stock the requests that wait will take.
    promised: u64,
    last_owner: u64,
    last_ticket: u64,
    pub(super) now: Duration,
    todo: Vec<Work>,
    pub(super) deadlocks: VecDeque<Deadlock>,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The ticket of a request that is not in the queue: it comes after all that are.
pub(super) const NO_TICKET: u64 = u64::MAX;

impl State {
    pub(super) fn new(counters: Arc<Counters>, clock: Arc<dyn Clock>) -> Self {
        Self {
            held: Tree::of_locks(),
            wanted: Tree::of_requests(),
            grants: BTreeMap::new(),
            owners: BTreeMap::new(),
            requests: BTreeMap::new(),
            lapses: BTreeSet::new(),
            stock: VecDeque::new(),
            last_fence: 0,
            promised: 0,
            last_owner: 0,
            last_ticket: 0,
            now: Duration::ZERO,
            todo: Vec::new(),
            deadlocks: VecDeque::new(),
            counters,
            clock,
        }
    }

    pub(super) fn new_owner(&mut self, name: &str) -> LockOwner {
        self.last_owner += 1;
        let who = LockOwner { age: self.last_owner, name: name.into() };
        let (grants, waiting, lost) = Default::default();
        self.owners.insert(who.age, Owner { who: who.clone(), grants, waiting, lost });
        who
    }

    /// Forgets an owner, and releases all that it holds.
    pub(super) fn end_owner(&mut self, owner: u64) {
        self.release_since(owner, 0);
        self.owners.remove(&owner);
    }

    /// Releases what an owner was granted after a number was given.
    pub(super) fn release_since(&mut self, owner: u64, fence: u64) {
        let Some(state) = self.owners.get_mut(&owner) else { return };
        let Some(first) = fence.checked_add(1) else { return };
        state.lost.split_off(&first);
        for fence in state.grants.split_off(&first) {
            self.take_grant(fence);
        }
        self.work_off();
    }

    /// The largest fencing number given so far.
    pub(super) fn last_fence(&self) -> u64 {
        self.last_fence
    }

    /// How many fencing numbers are free to be promised.
    pub(super) fn spare(&self) -> u64 {
        let all: u64 = self.stock.iter().map(|range| range.end - range.start).sum();
        all - self.promised
    }

    /// Takes in numbers that were reserved.
    pub(super) fn supply(&mut self, first: u64, count: u64) -> Result<()> {
        let last = self.stock.back().map_or(self.last_fence, |range| range.end - 1);
        match first.checked_add(count) {
            Some(end) if first > last => {
                self.stock.push_back(first..end);
                Ok(())
            }
            _ => {
                Err(Error::new(ErrorKind::Corrupt, "fencing numbers do not go on where they ended")
                    .with_hint("the store is damaged; keep a copy of it and restore a backup"))
            }
        }
    }

    fn next_fence(&mut self) -> u64 {
        while self.stock.front().is_some_and(Range::is_empty) {
            self.stock.pop_front();
        }
        // Requests are let in only after `spare` has said that there are enough for them.
        let range = self.stock.front_mut().expect("every request has its numbers in stock");
        self.last_fence = range.start;
        range.start += 1;
        self.last_fence
    }

    /// Grants a request that nothing stands in the way of.
    pub(super) fn grant_at_once(&mut self, asker: &Asker) -> Option<Vec<u64>> {
        let mut earlier = BTreeSet::new();
        let held = self.blocks(asker, NO_TICKET, &BTreeSet::new(), |_, owner, block| match block {
            Block::Held(_) => ControlFlow::Break(()),
            Block::Earlier(_) => {
                earlier.insert(owner);
                ControlFlow::Continue(())
            }
        });
        // Whoever came earlier comes first, unless it waits for this very owner.
        if held.is_break() || !self.all_wait_for(&earlier, asker.owner) {
            return None;
        }
        let fences = self.grant(asker);
        self.work_off();
        Some(fences)
    }

    fn grant(&mut self, asker: &Asker) -> Vec<u64> {
        let mut order: Vec<usize> = (0..asker.claims.len()).collect();
        order.sort_by_key(|&i| (&asker.claims[i].path, asker.claims[i].kind));
        let mut fences = vec![0; asker.claims.len()];
        for i in order {
            let (fence, claim) = (self.next_fence(), &asker.claims[i]);
            fences[i] = fence;
            self.held.insert(claim, fence, asker.owner);
            let lease =
                asker.lease.map(|term| Lease { term, lapses: self.now.saturating_add(term) });
            if let Some(lease) = lease {
                self.lapses.insert((lease.lapses, fence));
            }
            let (owner, claim) = (asker.owner, claim.clone());
            self.grants.insert(fence, Grant { owner, claim, since: self.now, lease, pins: 0 });
        }
        let count = fences.len() as u64;
        self.counters.granted.fetch_add(count, Ordering::Relaxed);
        self.counters.held.fetch_add(count, Ordering::Relaxed);
        if let Some(owner) = self.owners.get_mut(&asker.owner) {
            owner.grants.extend(&fences);
            if !owner.waiting.is_empty() {
                self.todo.push(Work::Tangled(asker.owner));
            }
        }
        fences
    }

    /// Puts a request at the end of the queue.
    pub(super) fn enqueue(&mut self, asker: Arc<Asker>) -> (u64, Arc<Condvar>) {
        self.last_ticket += 1;
        let (ticket, bell) = (self.last_ticket, Arc::new(Condvar::new()));
        asker.claims.iter().for_each(|claim| self.wanted.insert(claim, ticket, asker.owner));
        self.promised += asker.claims.len() as u64;
        if let Some(owner) = self.owners.get_mut(&asker.owner) {
            owner.waiting.insert(ticket);
        }
        self.todo.push(Work::Tangled(asker.owner));
        let (passes, answer) = (BTreeSet::new(), None);
        self.requests.insert(ticket, Request { asker, passes, answer, bell: Arc::clone(&bell) });
        self.work_off();
        (ticket, bell)
    }

    /// The answer to a request, once.
    pub(super) fn answer(&mut self, ticket: u64) -> Option<Result<Vec<u64>>> {
        let answer = self.requests.get_mut(&ticket)?.answer.take()?;
        self.requests.remove(&ticket);
        Some(answer)
    }

    /// Takes a request out of the queue and answers it.
    pub(super) fn refuse(&mut self, ticket: u64, why: Error) {
        let Some(asker) = self.leave_queue(ticket) else { return };
        self.todo.extend(asker.claims.iter().cloned().map(Work::Freed));
        self.say(ticket, Err(why));
    }

    fn say(&mut self, ticket: u64, answer: Result<Vec<u64>>) {
        if let Some(request) = self.requests.get_mut(&ticket) {
            request.answer = Some(answer);
            request.bell.notify_one();
        }
    }

    fn leave_queue(&mut self, ticket: u64) -> Option<Arc<Asker>> {
        let request = self.requests.get(&ticket).filter(|request| request.answer.is_none())?;
        let asker = Arc::clone(&request.asker);
        self.promised -= asker.claims.len() as u64;
        asker.claims.iter().for_each(|claim| self.wanted.remove(claim, ticket));
        if let Some(owner) = self.owners.get_mut(&asker.owner) {
            owner.waiting.remove(&ticket);
        }
        Some(asker)
    }

    /// Grants a request of the queue if nothing stands in its way any more.
    pub(super) fn try_grant(&mut self, ticket: u64) {
        let Some(request) = self.requests.get(&ticket) else { return };
        let see = |_: &Claim, _, _| ControlFlow::Break(());
        if self.blocks(&request.asker, ticket, &request.passes, see).is_break() {
            return;
        }
        if let Some(asker) = self.leave_queue(ticket) {
            let fences = self.grant(&asker);
            self.say(ticket, Ok(fences));
        }
    }

    /// Shows all that stands in the way of a request: the claim, whose it is, and what it is.
    pub(super) fn blocks<B>(
        &self,
        asker: &Asker,
        ticket: u64,
        passes: &BTreeSet<u64>,
        mut see: impl FnMut(&Claim, u64, Block) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for claim in &asker.claims {
            self.held.against(claim, |fence, owner| match owner == asker.owner {
                true => ControlFlow::Continue(()),
                false => see(claim, owner, Block::Held(fence)),
            })?;
            self.wanted.against(claim, |earlier, owner| {
                match owner == asker.owner || earlier >= ticket || passes.contains(&earlier) {
                    true => ControlFlow::Continue(()),
                    false => see(claim, owner, Block::Earlier(earlier)),
                }
            })?;
        }
        ControlFlow::Continue(())
    }

    /// Does what the last change has made due.
    pub(super) fn work_off(&mut self) {
        while let Some(work) = self.todo.pop() {
            match work {
                Work::Freed(claim) => {
                    let mut waiting = BTreeSet::new();
                    let _ = self.wanted.against(&claim, |ticket, _| {
                        waiting.insert(ticket);
                        ControlFlow::<()>::Continue(())
                    });
                    waiting.into_iter().for_each(|ticket| self.try_grant(ticket));
                }
                Work::Tangled(owner) => self.untangle(owner),
            }
        }
    }

    pub(super) fn take_grant(&mut self, fence: u64) -> Option<Grant> {
        let grant = self.grants.remove(&fence)?;
        self.held.remove(&grant.claim, fence);
        if let Some(lease) = grant.lease {
            self.lapses.remove(&(lease.lapses, fence));
        }
        if let Some(owner) = self.owners.get_mut(&grant.owner) {
            owner.grants.remove(&fence);
        }
        self.counters.held.fetch_sub(1, Ordering::Relaxed);
        if !self.wanted.is_empty() {
            self.todo.push(Work::Freed(grant.claim.clone()));
        }
        Some(grant)
    }

    /// Releases one lock; whether it still counted.
    pub(super) fn release(&mut self, owner: u64, fence: u64) -> bool {
        if let Some(owner) = self.owners.get_mut(&owner) {
            owner.lost.remove(&fence);
        }
        let counted = self.valid(fence).is_some();
        if counted {
            self.take_grant(fence);
            self.work_off();
        }
        counted
    }

    /// Whether an owner holds anything.
    pub(super) fn holds(&self, owner: u64) -> bool {
        self.owners.get(&owner).is_some_and(|owner| !owner.grants.is_empty())
    }

    /// Who blocks a request, and what it holds or asked for.
    pub(super) fn told(&self, owner: u64, block: Block) -> Option<String> {
        let who = &self.owners.get(&owner)?.who;
        let show = |claim: &Claim| format!("{:?} ({})", claim.path.as_str(), claim.kind);
        match block {
            Block::Held(fence) => {
                let claim = &self.grants.get(&fence)?.claim;
                Some(format!("{who} holds {}", show(claim)))
            }
            Block::Earlier(ticket) => {
                let claims = &self.requests.get(&ticket)?.asker.claims;
                let claims: Vec<_> = claims.iter().map(show).collect();
                Some(format!("{who} asked earlier for {}", claims.join(", ")))
            }
        }
    }

    /// All that is held, by path.
    pub(super) fn list(&self) -> Vec<HeldLock> {
        let mut list: Vec<_> = self
            .grants
            .iter()
            .filter_map(|(&fence, grant)| {
                let owner = self.owners.get(&grant.owner)?.who.clone();
                Some(HeldLock {
                    path: grant.claim.path.clone(),
                    kind: grant.claim.kind,
                    owner,
                    fence,
                    held_for: self.now.saturating_sub(grant.since),
                    lease_left: grant.lease.map(|l| l.lapses.saturating_sub(self.now)),
                })
            })
            .collect();
        list.sort_by(|a, b| (&a.path, a.fence).cmp(&(&b.path, b.fence)));
        list
    }
}

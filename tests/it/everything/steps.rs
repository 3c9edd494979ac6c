//! Steps besides plain writes and moves of refs: merges, transactions on several branches, cursors.

use std::collections::BTreeMap;
use std::time::Duration;

use withy::{
    CommitOptions, CursorOptions, ErrorKind, FastForward, KeyRange, MergeOptions, MergeOutcome,
    Resolution, Seq, Strategy,
};

use crate::merge::model::reference::{Dag, Expected, Policy};
use crate::model::world::{World, Writes, told};
use crate::support::must_fail;

/// Longer than any history.
const LEASE: Duration = Duration::from_secs(100 * 86_400);

fn policy(strategy: Strategy) -> Policy {
    Policy { strategy, by_prefix: Vec::new(), resolutions: BTreeMap::new(), strict: false }
}

impl World {
    /// The commits as the reference of merges has them.
    fn dag(&self) -> Dag {
        let mut dag = Dag::new();
        for node in &self.nodes[1..] {
            dag.add(node.parents.clone(), Vec::new(), (*node.content).clone());
        }
        dag
    }

    /// What a merge may bring in: a ref, or anything as long as all is there.
    fn any_source(&mut self) -> (String, usize) {
        let (rev, seq) = self.any_rev();
        if self.more.gone.is_empty() || self.is_named(seq) {
            return (rev, seq);
        }
        let name = self.any_branch();
        let seq = self.names.branches[&name];
        (name, seq)
    }

    pub(crate) fn merge(&mut self) {
        let (target, (rev, source)) = (self.any_branch(), self.any_source());
        let strategy = Strategy::ALL[self.rng.usize(0..Strategy::ALL.len())];
        let never = self.rng.u8(0..5) == 0;
        let keep = self.rng.u8(0..3) > 0;
        if self.more.open.contains_key(&target) {
            return;
        }
        let ours = self.names.branches[&target];
        self.note(format!(
            "merge {rev} ({source}) into {target} ({ours}), {strategy}, keep {keep}"
        ));
        let expected = self.dag().merge(ours, source, &policy(strategy), !never);
        let way = if never { FastForward::Never } else { FastForward::Allowed };
        let options = MergeOptions::default().strategy(strategy).fast_forward(way).keep_open(keep);
        let report = self.store.merge(&target, &rev, options).expect("a report");
        self.merged(&target, source, &expected, report.outcome);
        if report.open {
            self.more.open.insert(target, (ours, source));
            self.mark();
        }
    }

    /// What a merge has come to.
    fn merged(&mut self, target: &str, source: usize, expected: &Expected, outcome: MergeOutcome) {
        let ours = self.names.branches[target];
        let wanted = match expected {
            Expected::UpToDate { .. } => MergeOutcome::UpToDate,
            Expected::FastForward => MergeOutcome::FastForward,
            Expected::Diverged(plan) if plan.open.is_empty() => MergeOutcome::Committed,
            Expected::Diverged(_) => MergeOutcome::Conflicts,
        };
        assert_eq!(outcome, wanted, "MERGE-1: what comes of it");
        let mut names = self.names.clone();
        match (expected, outcome) {
            (_, MergeOutcome::FastForward) => names.branches.insert(target.to_owned(), source),
            (Expected::Diverged(plan), MergeOutcome::Committed) => {
                let before = &self.nodes[ours].content;
                let keys = before.keys().chain(plan.content.keys());
                let writes: Writes =
                    keys.map(|key| (key.clone(), plan.content.get(key).cloned())).collect();
                let node = self.child(vec![ours, source], target, &writes);
                self.nodes.push(node);
                self.more.met.extend([ours, source]);
                names.branches.insert(target.to_owned(), self.newest())
            }
            _ => return,
        };
        self.did(names);
    }

    /// A merge that was left open is settled and goes on, or is given up.
    pub(crate) fn end_merge(&mut self) {
        let all: Vec<(String, (usize, usize))> =
            self.more.open.iter().map(|(name, sides)| (name.clone(), *sides)).collect();
        let Some((target, (_, source))) = self.rng.choice(&all).cloned() else { return };
        if self.rng.u8(0..3) == 0 {
            self.note(format!("abort the merge into {target}"));
            self.store.abort_merge(&target).expect("it is given up");
            self.more.open.remove(&target);
            return self.mark();
        }
        let (strategy, taken) = match self.rng.bool() {
            true => (Strategy::Ours, Resolution::Ours),
            false => (Strategy::Theirs, Resolution::Theirs),
        };
        self.note(format!("continue the merge of {source} into {target}, {strategy}"));
        let ours = self.names.branches[&target];
        self.store
            .resolve_range(&target, &KeyRange::all(), Some(taken), None)
            .expect("conflicts are settled");
        let expected = self.dag().merge(ours, source, &policy(strategy), true);
        let done = self.store.continue_merge(&target, CommitOptions::default());
        let report = done.expect("the merge goes on");
        assert_ne!(report.outcome, MergeOutcome::Conflicts, "MERGE-7: all were settled");
        self.more.open.remove(&target);
        self.merged(&target, source, &expected, report.outcome);
        if matches!(expected, Expected::UpToDate { .. }) {
            self.mark();
        }
    }

    /// TXN-6: one transaction writes to several branches, and commits all or none.
    pub(crate) fn transact_on_several(&mut self) {
        let mut parts: BTreeMap<String, Writes> = BTreeMap::new();
        for _ in 0..self.rng.usize(2..4) {
            let (name, writes) = (self.any_branch(), self.any_writes(3));
            parts.insert(name, writes);
        }
        let told: Vec<String> =
            parts.iter().map(|(name, writes)| format!("{name}: {}", told(writes))).collect();
        let back = self.rng.u8(0..6) == 0;
        self.note(format!("transaction on several, rolled back {back}: {}", told.join("; ")));
        let store = self.store.clone();
        let first = parts.keys().next().expect("there are some").clone();
        let mut tx = store.begin(&first).expect("begin");
        for (name, writes) in &parts {
            let mut on = tx.on(name).expect("a branch");
            for (key, value) in writes {
                match value {
                    Some(value) => on.put(key.clone(), value.clone()).expect("put"),
                    None => on.delete(key.clone()).expect("delete"),
                }
            }
        }
        if back {
            return tx.rollback();
        }
        let done = tx.commit_each(CommitOptions::default()).expect("nobody is in the way");
        let mut names = self.names.clone();
        let mut made: Vec<(Seq, String)> =
            done.iter().filter_map(|(name, one)| Some((one.seq()?, name.to_string()))).collect();
        made.sort();
        for (seq, name) in made {
            let node = self.child(vec![self.names.branches[&name]], &name, &parts[&name]);
            assert!(!node.changes.is_empty(), "KV-3: something changes on {name}");
            self.nodes.push(node);
            assert_eq!(seq.get() as usize, self.newest(), "TXN-6: sequences follow each other");
            names.branches.insert(name, self.newest());
        }
        for (name, writes) in &parts {
            let node = self.child(vec![self.names.branches[name]], name, writes);
            let moved = names.branches[name] != self.names.branches[name];
            assert_eq!(moved, !node.changes.is_empty(), "KV-3: {name} has a commit if it changes");
        }
        if names != self.names {
            self.did(names);
        }
    }

    /// FEED-2: a cursor reads on, acknowledges some of it, and may be given up.
    pub(crate) fn follow(&mut self) {
        let name = ["one", "two"][self.rng.usize(0..2)];
        let start = self.check_feed_start();
        let known = self.more.cursors.get(name).copied();
        let from = self.rng.usize(start..=self.newest());
        self.note(format!("cursor {name}, {known:?}, the feed is whole after {start}"));
        let options = CursorOptions::default().owner("tester").lease(LEASE);
        let mut cursor =
            self.store.cursor(name, options.after(Seq::new(from as u64))).expect("a cursor");
        let (mut acked, was_held) = known.unwrap_or((from, false));
        if !was_held {
            self.more.leased.insert(name.to_owned(), start);
        }
        self.more.cursors.insert(name.to_owned(), (acked, true));
        self.mark();
        assert_eq!(cursor.acked().get() as usize, acked, "INV-67: where it was acknowledged");
        let events = match cursor.next_batch(self.rng.usize(1..20)) {
            Ok(events) => events,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::HistoryGone, "no other error: {e:?}");
                // What the first batches gave may lie before it.
                let was_gone = acked < start && self.more.leased[name] == start;
                assert!(was_gone, "INV-68: what a lease keeps is there: {e:?}");
                cursor.reset(Seq::new(start as u64)).expect("it begins anew");
                acked = start;
                self.more.cursors.insert(name.to_owned(), (acked, true));
                self.mark();
                Vec::new()
            }
        };
        for (at, event) in events.iter().enumerate() {
            self.check_event(event, acked + 1 + at);
        }
        acked += self.rng.usize(0..=events.len());
        cursor.ack(Seq::new(acked as u64)).expect("what was given can be acknowledged");
        self.more.cursors.insert(name.to_owned(), (acked, true));
        self.mark();
        match self.rng.u8(0..4) {
            0 => {
                cursor.release().expect("it is given up");
                self.more.cursors.insert(name.to_owned(), (acked, false));
                self.mark();
            }
            1 => {
                drop(cursor);
                self.store.delete_cursor(name).expect("it goes");
                self.more.cursors.remove(name);
                self.mark();
                must_fail(self.store.delete_cursor(name), ErrorKind::NotFound);
            }
            _ => {}
        }
    }
}

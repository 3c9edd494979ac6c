//! Transactions of the model: alone, rolled back, and open while other things happen.

use std::collections::BTreeSet;

use withy::{CommitOptions, ErrorKind, Read, Txn};

use super::graph::{first_parents, touched};
use super::world::{Map, World, Writes, told};

impl World {
    /// A transaction without anybody beside it: committed, rolled back or dropped.
    pub(crate) fn transact(&mut self) {
        let (name, writes) = (self.any_branch(), self.any_writes(6));
        let end = self.rng.u8(0..5);
        self.note(format!("transaction {end} on {name}: {}", told(&writes)));
        let store = self.store.clone();
        let mut tx = store.begin(&name).expect("begin");
        fill(&mut tx, &writes);
        let base = self.names.branches[&name];
        self.check_txn(&tx, base, &writes);
        match end {
            0 => tx.rollback(),
            1 => drop(tx),
            _ => {
                let done = tx.commit(CommitOptions::default()).expect("nobody is in the way");
                self.committed(&name, &writes, false, done);
            }
        }
    }

    /// A transaction that is open while other things happen, other transactions among them.
    pub(crate) fn interleave(&mut self) {
        let (name, writes) = (self.any_branch(), self.any_writes(3));
        let base = self.names.branches[&name];
        let store = self.store.clone();
        let mut tx = store.begin(&name).expect("begin");
        let (mut early, mut late) = (writes.clone(), writes.clone());
        early.retain(|_, _| self.rng.bool());
        late.retain(|key, _| !early.contains_key(key));
        fill(&mut tx, &early);
        self.note(format!("open on {name} at {base}: {}", told(&writes)));
        for _ in 0..self.rng.usize(0..4) {
            self.step_beside();
        }
        fill(&mut tx, &late);
        self.check_txn(&tx, base, &writes);
        self.note(format!("commit what is open on {name} at {base}: {}", told(&writes)));
        let done = tx.commit(CommitOptions::default());
        let Some(&head) = self.names.branches.get(&name) else {
            let e = done.expect_err("its branch is gone");
            assert_eq!(
                e.kind(),
                ErrorKind::NotFound,
                "a branch that is gone takes no commit: {e:?}"
            );
            return;
        };
        let (must, may) = self.conflicts(base, head, &writes);
        match done {
            Ok(done) => {
                assert!(must.is_empty(), "TXN-2: {must:?} changed, but there is no conflict");
                self.committed(&name, &writes, false, done);
            }
            // Whether it conflicts cannot be told if its branch was moved, and what is between is gone.
            Err(e) if e.kind() == ErrorKind::HistoryGone && self.more.collected => {}
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Conflict, "only a conflict stops it: {e:?}");
                let lost: BTreeSet<Vec<u8>> = e.keys().iter().cloned().collect();
                assert!(!lost.is_empty(), "TXN-2: a conflict names its keys");
                assert!(lost.is_superset(&must), "TXN-2: all keys are named, {must:?} of {lost:?}");
                assert!(lost.is_subset(&may), "TXN-2: no false conflict, {lost:?} not in {may:?}");
            }
        }
    }

    /// The keys that must conflict, and those that may: a branch that was moved away and back has
    /// changed nothing, but has been touched.
    fn conflicts(
        &self,
        base: usize,
        head: usize,
        writes: &Writes,
    ) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
        let chain = first_parents(&self.nodes, head);
        let onward = chain.iter().position(|&seq| seq == base);
        let newer: BTreeSet<&Vec<u8>> = chain[..onward.unwrap_or(0)]
            .iter()
            .flat_map(|&seq| self.nodes[seq].changes.keys())
            .collect();
        let may = touched(&self.nodes, base, head);
        let (then, now) = (&self.nodes[base].content, &self.nodes[head].content);
        let must =
            writes.keys().filter(|key| newer.contains(key) || then.get(*key) != now.get(*key));
        (must.cloned().collect(), writes.keys().filter(|key| may.contains(*key)).cloned().collect())
    }

    /// An open transaction shows what its branch had when it began, and its own writes.
    fn check_txn(&mut self, tx: &Txn<'_>, base: usize, writes: &Writes) {
        let mut content: Map = (*self.nodes[base].content).clone();
        for (key, value) in writes {
            match value {
                Some(value) => content.insert(key.clone(), value.clone()),
                None => content.remove(key),
            };
        }
        self.check_read(tx, &content, "an open transaction");
        self.check_view(&tx.base().expect("a view"), base);
        assert_eq!(tx.len(), writes.len(), "a transaction counts the keys it writes");
        assert!(tx.contains(b"never written").is_ok_and(|there| !there), "an absent key is absent");
    }
}

fn fill(tx: &mut Txn<'_>, writes: &Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => {
                // Its own earlier writes are no conflict.
                tx.put(key.clone(), "first").expect("put");
                tx.put(key.clone(), value.clone()).expect("put");
            }
            None => tx.delete(key.clone()).expect("delete"),
        }
    }
}

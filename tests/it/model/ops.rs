//! What is done to the store, and to the model in the same way.

use withy::exchange::{LoadOptions, load};
use withy::{Batch, CommitOptions, Committed, ErrorKind, GcOptions, KeyRange};

use super::world::{World, Writes, in_range, key_range, told};
use crate::support::{must_fail, show};

/// One kind of step.
type Act = fn(&mut World);

impl World {
    pub(crate) fn step(&mut self) {
        let deep = u32::from(self.shape.deep) * 14;
        let merges = u32::from(self.shape.merges) * 12;
        let crowded = u32::from(self.shape.crowded) * 40;
        let (plain, all) = (u32::from(!self.shape.everything), u32::from(self.shape.everything));
        let kinds: [(u32, Act); 33] = [
            (all * 14, Self::merge),
            (all * 5, Self::end_merge),
            (all * 7, Self::transact_on_several),
            (all * 9, Self::collect),
            (all * 2, Self::purge),
            (all, Self::checkpoint),
            (all * 2, Self::back_up),
            (all * 6, Self::follow),
            (all * 2, Self::ask_for_gone),
            (crowded, Self::burst),
            (14, Self::put),
            (8, Self::delete),
            (14, Self::batch),
            (10, Self::transact),
            (7, Self::interleave),
            (7 + deep, Self::create_branch),
            (4, Self::delete_branch),
            (2, Self::rename_branch),
            (2, Self::switch),
            (4, Self::reset),
            (5, Self::restore),
            (4, Self::create_tag),
            (1, Self::delete_tag),
            (6, Self::undo),
            (4, Self::redo),
            (1, Self::reopen_maybe),
            (4 + deep / 4, Self::compact_overlays),
            (1, Self::compact),
            (if self.shape.merges { 0 } else { plain * 3 }, Self::gc),
            (4, Self::keep_view),
            (3, Self::load),
            (merges, Self::import),
            (merges / 4, Self::import_fails),
        ];
        let sum: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.u32(0..sum);
        for (weight, act) in kinds {
            if at < weight {
                return act(self);
            }
            at -= weight;
        }
    }

    /// A step that leaves the store open.
    pub(crate) fn step_beside(&mut self) {
        let before = std::mem::replace(&mut self.held, true);
        self.step();
        self.held = before;
    }

    fn put(&mut self) {
        let (name, key, value) = (self.any_branch(), self.any_key(), self.any_value());
        let writes = Writes::from([(key.clone(), Some(value.clone()))]);
        self.note(format!("put on {name}: {}", told(&writes)));
        let done = self.store.branch(&name).and_then(|b| b.put(key, value)).expect("a put");
        self.committed(&name, &writes, false, done);
    }

    fn delete(&mut self) {
        let (name, key) = (self.any_branch(), self.any_key());
        self.note(format!("delete on {name}: {}", show(&key)));
        let done = self.store.branch(&name).and_then(|b| b.delete(key.clone())).expect("a delete");
        self.committed(&name, &Writes::from([(key, None)]), false, done);
    }

    fn batch(&mut self) {
        let (name, writes) = (self.any_branch(), self.any_writes(9));
        let allow_empty = self.rng.u8(0..4) == 0;
        let mut batch = Batch::new();
        for (key, value) in &writes {
            // Written twice, the last one wins.
            if self.rng.u8(0..4) == 0 {
                batch.put(key.clone(), "first");
            }
            match value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            };
        }
        self.note(format!("batch on {name}: {}", told(&writes)));
        let options = CommitOptions::default().allow_empty(allow_empty);
        let done = self.store.branch(&name).and_then(|b| b.write(batch, options)).expect("a batch");
        self.committed(&name, &writes, allow_empty, done);
    }

    /// Many small commits on a few branches.
    fn burst(&mut self) {
        if self.held {
            return;
        }
        let names: Vec<String> = (0..3).map(|_| self.any_branch()).collect();
        self.note(format!("many puts on {names:?}"));
        let branches: Vec<_> =
            names.iter().map(|name| self.store.branch(name).expect("it is there")).collect();
        for _ in 0..self.rng.usize(300..1200) {
            let at = self.rng.usize(0..names.len());
            let (key, value) = (self.any_key(), self.any_value());
            let done = branches[at].put(key.clone(), value.clone()).expect("a put");
            self.committed(&names[at], &Writes::from([(key, Some(value))]), false, done);
        }
    }

    /// Makes the content of a branch that of another commit, whole or in a range.
    fn restore(&mut self) {
        let name = self.any_branch();
        let (rev, from) = self.any_rev();
        let range = if self.rng.bool() {
            (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded)
        } else {
            self.any_range()
        };
        let keys = if matches!(range, (std::ops::Bound::Unbounded, _)) && self.rng.bool() {
            KeyRange::prefix("a")
        } else {
            key_range(&range)
        };
        let prefixed = keys == KeyRange::prefix("a");
        self.note(format!("restore {name} from {rev} ({from}), {keys:?}"));
        let inside =
            |key: &[u8]| if prefixed { key.starts_with(b"a") } else { in_range(&range, key) };
        let (now, then) =
            (&self.nodes[self.names.branches[&name]].content, &self.nodes[from].content);
        let writes: Writes = now
            .keys()
            .chain(then.keys())
            .filter(|key| inside(key))
            .map(|key| (key.clone(), then.get(key).cloned()))
            .collect();
        let done =
            self.store.restore(&name, &rev, &keys, CommitOptions::default()).expect("a restore");
        self.committed(&name, &writes, false, done);
    }

    fn reopen_maybe(&mut self) {
        if !self.held {
            self.reopen();
        }
    }

    fn compact_overlays(&mut self) {
        let name = self.any_branch();
        self.note(format!("compact overlays of {name}"));
        self.store.compact_overlays(&name).expect("overlays are compacted");
    }

    fn compact(&mut self) {
        self.note("compact");
        self.store.compact().expect("files are compacted");
    }

    /// Without retention, and within the time in which everything can be undone, nothing goes; but for
    /// imported commits that the import left without a name.
    fn gc(&mut self) {
        self.note("gc");
        let done = self.store.gc(GcOptions::default().compact(self.rng.u8(0..4) == 0));
        assert_eq!(done.expect("a collection").commits, 0, "OPS-7: every commit is kept");
    }

    fn keep_view(&mut self) {
        let (rev, seq) = self.any_rev();
        let view = self.store.view(&rev).unwrap_or_else(|e| panic!("view of {rev}: {e:?}"));
        if self.kept.len() >= 6 {
            let at = self.rng.usize(0..self.kept.len());
            self.kept.swap_remove(at);
        }
        self.kept.push((view, seq));
    }

    /// Loads sorted or unsorted rows, on a new branch or one that is there, by files or by a batch.
    fn load(&mut self) {
        let name = self.any_name();
        let exists = self.names.branches.contains_key(&name);
        let (rev, from) = self.any_rev();
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> =
            (0..self.rng.usize(1..12)).map(|_| (self.any_key(), self.any_value())).collect();
        if self.rng.bool() {
            rows.sort();
        }
        let writes: Writes = rows.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        let files = !exists || self.rng.bool();
        if let Some(head) = self.names.branches.get(&name) {
            // Files go onto a line of their own, which starts there.
            self.more.met.insert(*head);
        }
        let mut options = LoadOptions::default();
        if files {
            // What does not fit into memory goes through files.
            options = options.memory(self.rng.usize(1..200));
        }
        self.note(format!(
            "load {name} (from {rev} if absent), {} rows: {}",
            rows.len(),
            told(&writes)
        ));
        if !exists {
            must_fail(
                load(&self.store, &name, rows.clone().into_iter().map(Ok), LoadOptions::default()),
                ErrorKind::NotFound,
            );
            options = options.from(&rev);
        }
        let done =
            load(&self.store, &name, rows.into_iter().map(Ok), options).expect("a load").commit;
        if exists {
            return self.committed(&name, &writes, false, done);
        }
        let node = self.child(vec![from], &name, &writes);
        let mut at = from;
        if node.changes.is_empty() {
            assert_eq!(
                done,
                Committed::Unchanged,
                "KV-3: rows that are there already change nothing"
            );
        } else {
            self.nodes.push(node);
            at = self.newest();
            assert_eq!(done.seq().map(withy::Seq::get), Some(at as u64), "sequences have no gaps");
        }
        let mut names = self.names.clone();
        names.branches.insert(name.clone(), at);
        self.newest_branch = name;
        self.did(names);
    }
}

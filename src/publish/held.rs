//! What prepared transactions hold: in memory under the commit lock, made from their rows at open.
//!
//! A prepared transaction must be able to commit whenever it is told to. So nobody else may change a key
//! that it writes, nor one that it has read and must find again; and its branches must stay where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::reads::ReadSet;
use crate::error::{Error, ErrorKind, Result};
use crate::kv::show_key;

/// All holds, by branch.
#[derive(Default)]
pub(super) struct Held {
    branches: BTreeMap<String, BranchHolds>,
}

/// What a prepared transaction holds on one branch.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// Keys that it writes.
    pub(super) writes: Vec<Vec<u8>>,
    /// Keys that it has read for update.
    pub(super) kept: Vec<Vec<u8>>,
    /// What else it has read and must find again.
    pub(super) reads: ReadSet,
}

#[derive(Default)]
struct BranchHolds {
    owners: BTreeSet<Arc<str>>,
    keys: BTreeMap<Vec<u8>, KeyHold>,
    reads: Vec<(ReadSet, Arc<str>)>,
}

/// At most one transaction writes a key, and then no other one has read it.
#[derive(Default)]
struct KeyHold {
    writer: Option<Arc<str>>,
    readers: BTreeSet<Arc<str>>,
}

impl Held {
    /// Whether nothing is held: then there is nothing to check.
    pub(super) fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Whether a transaction is prepared on a branch.
    pub(super) fn has(&self, branch: &str) -> bool {
        self.branches.contains_key(branch)
    }

    pub(super) fn add(&mut self, gid: &str, branch: &str, holds: Holds) {
        let gid: Arc<str> = gid.into();
        let held = self.branches.entry(branch.to_owned()).or_default();
        held.owners.insert(Arc::clone(&gid));
        for key in holds.writes {
            held.keys.entry(key).or_default().writer = Some(Arc::clone(&gid));
        }
        for key in holds.kept {
            held.keys.entry(key).or_default().readers.insert(Arc::clone(&gid));
        }
        if !holds.reads.is_empty() {
            held.reads.push((holds.reads, gid));
        }
    }

    /// Lets everything go that a transaction holds.
    pub(super) fn remove(&mut self, gid: &str) {
        self.branches.retain(|_, held| {
            if held.owners.remove(gid) {
                held.keys.retain(|_, hold| {
                    hold.writer.take_if(|writer| **writer == *gid);
                    hold.readers.remove(gid);
                    hold.writer.is_some() || !hold.readers.is_empty()
                });
                held.reads.retain(|(_, owner)| **owner != *gid);
            }
            !held.owners.is_empty()
        });
    }

    /// Refuses if somebody holds a key that is to be written.
    pub(super) fn check_writes<'k>(
        &self,
        branch: &str,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<()> {
        let Some(held) = self.branches.get(branch) else { return Ok(()) };
        let mut found = Clash::default();
        for key in keys {
            if let Some(hold) = held.keys.get(key) {
                found.add(key, hold.writer.iter().chain(&hold.readers));
            }
            let readers = held.reads.iter().filter(|(reads, _)| reads.contains(key));
            found.add(key, readers.map(|(_, owner)| owner));
        }
        found.refuse(branch)
    }

    /// Refuses if somebody is going to write what is to be held as it is.
    pub(super) fn check_reads<'k>(
        &self,
        branch: &str,
        kept: impl IntoIterator<Item = &'k [u8]>,
        reads: &ReadSet,
    ) -> Result<()> {
        let Some(held) = self.branches.get(branch) else { return Ok(()) };
        let mut found = Clash::default();
        for key in kept {
            found.add(key, held.keys.get(key).and_then(|hold| hold.writer.as_ref()));
        }
        if !reads.is_empty() {
            for (key, hold) in held.keys.iter().filter(|(key, _)| reads.contains(key)) {
                found.add(key, hold.writer.as_ref());
            }
        }
        found.refuse(branch)
    }

    /// Whether a change of a key on a branch is in somebody's way.
    pub(super) fn holds(&self, branch: &str, key: &[u8]) -> bool {
        self.branches.get(branch).is_some_and(|held| {
            held.keys.contains_key(key) || held.reads.iter().any(|(reads, _)| reads.contains(key))
        })
    }

    /// Refuses if a transaction is prepared on a branch that is to be moved or removed.
    pub(super) fn check_move(&self, branch: &str) -> Result<()> {
        let Some(held) = self.branches.get(branch) else { return Ok(()) };
        let gids: Vec<&str> = held.owners.iter().map(|gid| &**gid).collect();
        let text = format!("branch {branch} is held by {}", owners(&gids));
        Err(Error::new(ErrorKind::Busy, text)
            .with_hint(HINT)
            .with_keys(held.keys.keys().cloned().collect()))
    }
}

const HINT: &str = "commit it or roll it back first; `withy prepared` lists what is prepared";

/// `prepared transaction a`, `prepared transactions a, b`.
fn owners(gids: &[&str]) -> String {
    let plural = if gids.len() > 1 { "s" } else { "" };
    format!("prepared transaction{plural} {}", gids.join(", "))
}

/// Keys that are in the way, and whose they are.
#[derive(Default)]
struct Clash<'h> {
    keys: BTreeSet<Vec<u8>>,
    gids: BTreeSet<&'h str>,
}

impl<'h> Clash<'h> {
    fn add(&mut self, key: &[u8], owners: impl IntoIterator<Item = &'h Arc<str>>) {
        let mut any = false;
        for owner in owners {
            self.gids.insert(owner);
            any = true;
        }
        if any {
            self.keys.insert(key.to_vec());
        }
    }

    fn refuse(self, branch: &str) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = self.keys.iter().take(3).map(|key| show_key(key)).collect();
        let more = self.keys.len().saturating_sub(3);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let gids: Vec<&str> = self.gids.into_iter().collect();
        let (named, owners) = (named.join(", "), owners(&gids));
        let text = format!("on {branch}, {owners} holds {named}{rest}");
        Err(Error::new(ErrorKind::Busy, text)
            .with_hint(HINT)
            .with_keys(self.keys.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::KeyRange;

    fn reads(range: &KeyRange) -> ReadSet {
        let mut set = ReadSet::default();
        set.add_range(range);
        set
    }

    fn held() -> Held {
        let key = |key: &str| key.as_bytes().to_vec();
        let mut held = Held::default();
        let holds = Holds {
            writes: vec![key("b"), key("d")],
            kept: vec![key("f")],
            reads: reads(&KeyRange::prefix("r/")),
        };
        held.add("one", "main", holds);
        held.add("two", "main", Holds { kept: vec![key("f")], ..Holds::default() });
        held.add("two", "topic", Holds { writes: vec![key("b")], ..Holds::default() });
        held
    }

    fn refusal(result: Result<()>) -> String {
        let e = result.expect_err("it is held");
        assert_eq!(e.kind(), ErrorKind::Busy, "somebody holds it");
        assert!(!e.keys().is_empty(), "the keys are named");
        e.to_string()
    }

    #[test]
    fn tpc_1_what_is_written_or_read_is_held_on_its_branch() {
        let held = held();
        let writes = |branch: &str, keys: &[&str]| {
            held.check_writes(branch, keys.iter().map(|key| key.as_bytes()))
        };
        assert_eq!(
            refusal(writes("main", &["a", "b", "c"])),
            "on main, prepared transaction one holds b",
            "a key that it writes"
        );
        assert_eq!(
            refusal(writes("main", &["f"])),
            "on main, prepared transactions one, two holds f",
            "a key that two have read"
        );
        assert_eq!(
            refusal(writes("main", &["a", "d", "r", "r/", "r/1", "s"])),
            "on main, prepared transaction one holds d, r/, r/1",
            "a range that it has read"
        );
        for (branch, keys) in
            [("main", ["a", "c", "r", "s"]), ("topic", ["a", "d", "f", "r/1"]), ("else", ["b"; 4])]
        {
            assert!(writes(branch, &keys).is_ok(), "{keys:?} on {branch} are free");
        }
    }

    #[test]
    fn tpc_1_readers_share_and_a_writer_is_alone() {
        let held = held();
        let check = |keys: &[&str], reads: &ReadSet| {
            held.check_reads("main", keys.iter().map(|key| key.as_bytes()), reads)
        };
        let (none, all) = (ReadSet::default(), reads(&KeyRange::all()));
        let shared = check(&["a", "f", "r/1"], &reads(&KeyRange::prefix("r")));
        assert!(shared.is_ok(), "read by others only");
        assert!(refusal(check(&["a", "b"], &none)).ends_with("one holds b"), "it will change");
        assert!(refusal(check(&[], &all)).ends_with("holds b, d"), "so will these");
    }

    #[test]
    fn tpc_1_what_is_over_holds_nothing() {
        let mut held = held();
        assert!(held.check_move("main").is_err(), "a branch with holds stays where it is");
        assert!(held.check_move("else").is_ok(), "any other one moves");
        held.remove("one");
        let free = held.check_writes("main", [&b"b"[..], b"d", b"r/1"]);
        assert!(free.is_ok(), "its keys are free");
        assert!(!held.holds("main", b"b") && held.holds("main", b"f"), "and only its own");
        let other = refusal(held.check_writes("main", [&b"f"[..]]));
        assert!(other.ends_with("two holds f"), "not two's");
        held.remove("two");
        assert!(held.is_empty(), "nothing is left");
    }
}

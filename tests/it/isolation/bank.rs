//! A bank: transfers between ten accounts while others read. `WITHY_LONG=1` runs each for 15 seconds.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use withy::Isolation::{self, Serializable, Snapshot};
use withy::{
    Batch, BranchOptions, CheckpointOptions, CommitOptions, DeleteOptions, Direction, Error,
    ErrorKind, KeyRange, MergeOptions, Read, Store, TagOptions, Txn, VerifyOptions,
};

use super::at;
use crate::support::{Scratch, is_long, show};

const ACCOUNTS: usize = 10;
const EACH: i64 = 1_000;
const TOTAL: i64 = 10_000;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A transfer that somebody was told is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    from: usize,
    to: usize,
    amount: i64,
}

/// What the threads share.
struct Bank {
    store: Scratch,
    level: Isolation,
    over: AtomicBool,
    next: AtomicU64,
    /// Transfers that were acknowledged, and those that were given up, by number.
    done: Mutex<BTreeMap<u64, Transfer>>,
    given_up: Mutex<Vec<u64>>,
    reads: AtomicU64,
    notes: AtomicU64,
    /// Checkpoints that were made, and found right.
    copies: AtomicU64,
}

fn account(n: usize) -> String {
    format!("account/{n}")
}

fn ledger(id: u64) -> String {
    format!("ledger/{id:08}")
}

fn amount(value: &[u8]) -> i64 {
    std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()).expect("an amount")
}

impl Bank {
    fn new(level: Isolation) -> Self {
        let store = Scratch::new();
        let mut batch = Batch::new();
        for n in 0..ACCOUNTS {
            batch.put(account(n), EACH.to_string());
        }
        let main = store.main().expect("main");
        main.write(batch, CommitOptions::default()).expect("the beginning");
        Self {
            store,
            level,
            over: AtomicBool::new(false),
            next: AtomicU64::new(0),
            done: Mutex::default(),
            given_up: Mutex::default(),
            reads: AtomicU64::new(0),
            notes: AtomicU64::new(0),
            copies: AtomicU64::new(0),
        }
    }

    /// Reads one account as a transfer must: at snapshot, for update.
    fn balance(&self, tx: &mut Txn<'_>, n: usize) -> Result<i64, Error> {
        let key = account(n);
        let value = match self.level {
            Serializable => tx.get(key.as_bytes())?,
            _ => tx.get_for_update(key.as_bytes())?,
        };
        Ok(amount(&value.expect("every account is there")))
    }

    /// One transfer with its row in the ledger; an error of kind `Invalid` if it was given up.
    fn transfer(
        &self,
        tx: &mut Txn<'_>,
        id: u64,
        wanted: Transfer,
        whim: bool,
    ) -> Result<(), Error> {
        let Transfer { from, to, amount } = wanted;
        let row = format!("{from} {to} {amount}");
        tx.put(ledger(id), row)?;
        let left = self.balance(tx, from)? - amount;
        let there = self.balance(tx, to)? + amount;
        std::thread::yield_now();
        tx.put(account(from), left.to_string())?;
        tx.put(account(to), there.to_string())?;
        if left < 0 || whim {
            return Err(Error::new(ErrorKind::Invalid, "given up"));
        }
        Ok(())
    }

    fn write(&self, mut rng: fastrand::Rng) {
        while !self.over.load(Ordering::Relaxed) {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let from = rng.usize(0..ACCOUNTS);
            let to = (from + rng.usize(1..ACCOUNTS)) % ACCOUNTS;
            let wanted = Transfer { from, to, amount: rng.i64(1..=900) };
            let whim = rng.u8(0..10) == 0;
            let done =
                self.store.run_with("main", at(self.level), CommitOptions::default(), |tx| {
                    self.transfer(tx, id, wanted, whim)
                });
            match done {
                Ok(()) => {
                    self.done.lock().expect("no panic").insert(id, wanted);
                }
                Err(e) if matches!(e.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                    self.given_up.lock().expect("no panic").push(id);
                }
                Err(e) => panic!("a transfer commits, or is given up: {e:?}"),
            }
        }
    }

    fn read(&self, mut rng: fastrand::Rng) {
        while !self.over.load(Ordering::Relaxed) {
            let main = self.store.main().expect("main");
            match rng.u8(0..4) {
                0 => check(&main.view().expect("a view"), "a view"),
                1 => {
                    let tx = self.store.begin_with("main", at(self.level)).expect("begin");
                    check(&tx, "a transaction");
                    check(&tx, "the same transaction, later");
                    tx.commit(CommitOptions::default()).expect("a reader never conflicts");
                }
                2 => {
                    let seq = rng.u64(1..=self.store.latest().get());
                    let old = self.store.view(&format!("seq:{seq}"));
                    // A commit of a side branch has its accounts as they were then.
                    check(&old.expect("an old commit"), "an old commit");
                }
                _ => drop(total(&main, "one scan of the branch")),
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tags that are read again, notes merged from side branches, files written: all beside the transfers.
    fn disturb(&self, mut rng: fastrand::Rng) {
        let mut tags: Vec<(String, Rows)> = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let n = self.notes.fetch_add(1, Ordering::Relaxed);
            let tag = format!("t{n}");
            self.store.create_tag(&tag, "main", TagOptions::default()).expect("a tag");
            let tagged = self.store.view(&tag).expect("a tag can be read");
            check(&tagged, "a tag");
            tags.push((tag, accounts(&tagged)));
            let name = format!("notes/{n}");
            let side = self
                .store
                .create_branch(&name, "main", BranchOptions::default())
                .expect("a branch");
            side.put(format!("note/{n}"), "audited").expect("a put");
            check(&side, "a side branch");
            self.store
                .merge("main", &name, MergeOptions::default())
                .expect("notes do not conflict");
            let force = DeleteOptions::default().force(true);
            self.store.delete_branch(&name, force).expect("the branch is not needed any more");
            if rng.u8(0..16) == 0 {
                self.store.compact().expect("compact");
            }
            let (tag, was) = &tags[rng.usize(0..tags.len())];
            let now = accounts(&self.store.view(tag).expect("a tag can be read"));
            assert_eq!(now, *was, "TAG-2: reads at a tag stay exact");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Bank {
    /// Checkpoints, each of them opened, verified and read.
    fn copy(&self) {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let path = dir.path().join("copy");
        while !self.over.load(Ordering::Relaxed) {
            let acknowledged = self.done.lock().expect("no panic").clone();
            self.store.checkpoint(&path, CheckpointOptions::default()).expect("a checkpoint");
            let copy = Store::open(&path).expect("OPS-5: a checkpoint is a store");
            let main = copy.view("main").expect("a view");
            check(&main, "a checkpoint");
            let ledger = rows(&main);
            assert_eq!(total(&main, "a checkpoint"), sums(&ledger), "OPS-5: it is one moment");
            let missing = acknowledged.iter().find(|(id, one)| ledger.get(id) != Some(one));
            assert_eq!(missing, None, "OPS-5: what was acknowledged before it is in it");
            let report = copy.verify(VerifyOptions::default().threads(1)).expect("it is read");
            assert!(report.is_clean(), "OPS-5: it verifies: {:#?}", report.findings);
            drop(main);
            copy.close().expect("it closes");
            std::fs::remove_dir_all(&path).expect("it can be removed");
            self.copies.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn accounts(view: &impl Read) -> Rows {
    let all = view.prefix(b"account/").and_then(Iterator::collect);
    all.unwrap_or_else(|e| panic!("the accounts are read: {e:?}"))
}

/// The balances, of which none is negative and all together are what there is.
fn total(view: &impl Read, what: &str) -> Vec<i64> {
    let balances: Vec<i64> = accounts(view).iter().map(|(_, value)| amount(value)).collect();
    assert_eq!(balances.len(), ACCOUNTS, "{what}: every account is there");
    assert!(balances.iter().all(|&n| n >= 0), "{what}: no balance is negative: {balances:?}");
    assert_eq!(
        balances.iter().sum::<i64>(),
        TOTAL,
        "{what}: nothing is lost or made: {balances:?}"
    );
    balances
}

/// In a view that is held still, every way to read the accounts says the same.
fn check(view: &impl Read, what: &str) {
    let balances = total(view, what);
    for (n, balance) in balances.iter().enumerate() {
        let one = view.get(account(n).as_bytes()).expect("a get").expect("an account");
        assert_eq!(amount(&one), *balance, "{what}: a get is no different from a scan");
    }
    let count = view.count(&KeyRange::prefix("account/")).expect("a count");
    assert_eq!(count, ACCOUNTS as u64, "{what}: nor is a count");
}

/// The rows of the ledger.
fn rows(view: &impl Read) -> BTreeMap<u64, Transfer> {
    let scan = view.scan(&KeyRange::prefix("ledger/"), Direction::Backward).expect("a scan");
    scan.map(|row| {
        let (key, value) = row.expect("a row");
        let id = show(&key)["ledger/".len()..].parse().expect("a number");
        let text = show(&value);
        let mut parts = text.split(' ').map(|n| n.parse::<i64>().expect("a number"));
        let mut next = || parts.next().expect("three numbers");
        let from = usize::try_from(next()).expect("an account");
        let to = usize::try_from(next()).expect("an account");
        (id, Transfer { from, to, amount: next() })
    })
    .collect()
}

/// What the transfers make of the accounts.
fn sums(transfers: &BTreeMap<u64, Transfer>) -> Vec<i64> {
    let mut out = vec![EACH; ACCOUNTS];
    for Transfer { from, to, amount } in transfers.values() {
        out[*from] -= amount;
        out[*to] += amount;
    }
    out
}

fn run(level: Isolation, writers: u64, disturbed: bool) {
    let mut bank = Bank::new(level);
    let rng = |n: u64| fastrand::Rng::with_seed(n);
    std::thread::scope(|scope| {
        let shared = &bank;
        let mut threads: Vec<_> =
            (0..writers).map(|n| scope.spawn(move || shared.write(rng(n)))).collect();
        threads.extend((0..2).map(|n| scope.spawn(move || shared.read(rng(100 + n)))));
        if disturbed {
            threads.push(scope.spawn(move || shared.disturb(rng(200))));
            threads.push(scope.spawn(move || shared.copy()));
        }
        let mut left = Duration::from_secs(if is_long() { 15 } else { 1 });
        let pause = Duration::from_millis(20);
        // A thread that fails must end the others too, or the test would not end.
        while !left.is_zero() && !threads.iter().any(|thread| thread.is_finished()) {
            std::thread::sleep(pause);
            left = left.saturating_sub(pause);
        }
        shared.over.store(true, Ordering::SeqCst);
    });
    // What is on disk tells the same story.
    bank.store.reopen();
    let done = bank.done.into_inner().expect("no panic");
    let given_up = bank.given_up.into_inner().expect("no panic");
    assert!(done.len() > 50, "transfers were made: {}", done.len());
    assert!(!given_up.is_empty(), "and some were given up");
    assert!(bank.reads.load(Ordering::Relaxed) > 10, "and readers came to read");
    let main = bank.store.main().expect("main");
    let written = rows(&main);
    let trace = given_up.iter().find(|id| written.contains_key(id));
    assert_eq!(trace, None, "a transfer that was given up leaves no trace");
    assert_eq!(written, done, "the ledger has the transfers that were acknowledged, and no others");
    assert_eq!(total(&main, "at the end"), sums(&done), "no transfer is lost, none counts twice");
    let view = main.view().expect("a view");
    let notes = view.count(&KeyRange::prefix("note/")).expect("a count");
    assert_eq!(notes, bank.notes.load(Ordering::Relaxed), "every note was merged");
    assert_eq!(notes > 0, disturbed, "where there were any");
    let copies = bank.copies.load(Ordering::Relaxed);
    assert_eq!(copies > 0, disturbed, "and checkpoints, where they were made: {copies}");
    // In between, too, the ledger and the balances belong together.
    let latest = bank.store.latest().get();
    for part in 1..8 {
        let seq = (latest * part / 8).max(1);
        let old = bank.store.view(&format!("seq:{seq}")).expect("an old commit");
        assert_eq!(total(&old, "an old commit"), sums(&rows(&old)), "at each commit, seq:{seq}");
    }
}

#[test]
fn bank_with_one_writer_at_snapshot() {
    run(Snapshot, 1, false);
}

#[test]
fn bank_with_four_writers_at_snapshot() {
    run(Snapshot, 4, false);
}

#[test]
fn bank_with_eight_writers_at_snapshot() {
    run(Snapshot, 8, false);
}

#[test]
fn bank_with_one_writer_at_serializable() {
    run(Serializable, 1, false);
}

#[test]
fn bank_with_four_writers_at_serializable() {
    run(Serializable, 4, false);
}

#[test]
fn bank_with_eight_writers_at_serializable() {
    run(Serializable, 8, false);
}

#[test]
fn bank_with_tags_merges_and_checkpoints_beside_it_at_snapshot() {
    run(Snapshot, 4, true);
}

#[test]
fn bank_with_tags_merges_and_checkpoints_beside_it_at_serializable() {
    run(Serializable, 4, true);
}

//! TPC-2: many clients transfer between two stores while the process is killed again and again.
//!
//! `WITHY_LONG=1`: 100 clients, 10 rounds.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::ledger::{Ledger, Transfer};
use crate::support::is_long;

const ROOT: &str = "WITHY_TEST_TPC_CLIENTS";
const ROUND: &str = "WITHY_TEST_TPC_ROUND";
const ACCOUNTS: usize = 200;

fn size() -> (usize, u64) {
    if is_long() { (100, 10) } else { (24, 3) }
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "worker: {what}").and_then(|()| out.flush());
}

/// Not a test by itself: the process that is killed.
#[test]
fn worker() {
    let read = |name: &str| std::env::var(name).ok();
    let (Some(root), Some(round)) = (read(ROOT), read(ROUND)) else { return };
    let ledger = Ledger::open(Path::new(&root), ACCOUNTS);
    ledger.recover();
    say("begin");
    std::thread::scope(|scope| {
        for client in 0..size().0 {
            let (ledger, round) = (&ledger, &round);
            scope.spawn(move || run_client(ledger, round, client));
        }
    });
}

fn run_client(ledger: &Ledger, round: &str, client: usize) {
    let mut random = fastrand::Rng::with_seed(client as u64);
    let coordinator = ledger.coordinator();
    for number in 0.. {
        let (from, to) = (random.usize(0..ACCOUNTS), random.usize(0..ACCOUNTS));
        // Some are refused by the shop.
        let amount = random.i64(0..10);
        let id = format!("{round}.{client}.{number}");
        let transfer = Transfer { id, from, to, amount };
        let (bank, shop) = (transfer.at_bank(ledger), transfer.at_shop(ledger));
        let done = coordinator.run(&[&bank, &shop]).expect("it runs");
        assert_eq!(done.unfinished, [], "both are there");
        if done.is_committed() {
            say(&format!("ack {}", transfer.id));
        }
    }
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the clients, kills them after a while, and adds what they acknowledged.
fn round(root: &Path, number: u64, after: Duration, acknowledged: &mut BTreeSet<String>) {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "coord::two_phase::clients::worker", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .env(ROUND, number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process starts");
    let said = BufReader::new(child.stdout.take().expect("it was asked for"));
    let worker = Worker(child);
    let mut lines = said.split(b'\n').map(|line| line.expect("it can be read"));
    let said = |line: Vec<u8>| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.split_once("worker: ").map(|(_, said)| said.to_owned())
    };
    assert!(lines.by_ref().filter_map(said).any(|said| said == "begin"), "it begins");
    let reader = std::thread::spawn(move || {
        let acks =
            lines.filter_map(said).filter_map(|said| said.strip_prefix("ack ").map(str::to_owned));
        acks.collect::<Vec<_>>()
    });
    std::thread::sleep(after);
    drop(worker);
    let mut acks = reader.join().expect("it reads to the end");
    // The last line may have been cut.
    acks.retain(|id| id.split('.').count() == 3);
    acknowledged.extend(acks);
}

#[test]
fn tpc_2_many_clients_and_kills_at_random_lose_nothing_and_leave_nothing() {
    let (clients, rounds) = size();
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let mut acknowledged = BTreeSet::new();
    let mut random = fastrand::Rng::with_seed(99);
    let (mut committed, mut aborted) = (0, 0);
    for number in 0..rounds {
        let after = Duration::from_millis(random.u64(200..1_200));
        let before = acknowledged.len();
        round(dir.path(), number, after, &mut acknowledged);
        assert!(
            acknowledged.len() > before,
            "round {number}: {clients} clients get something done"
        );
        if number % 2 == 0 {
            // Every other round the clients' own process recovers, when it is started again.
            let ledger = Ledger::open(dir.path(), ACCOUNTS);
            let done = ledger.recover();
            assert_eq!(done.unfinished, [], "round {number}: all are there");
            (committed, aborted) = (committed + done.committed.len(), aborted + done.aborted.len());
            let there = ledger.check(ACCOUNTS, &acknowledged);
            assert!(there.is_ok(), "round {number}: {there:?}");
            assert_eq!(ledger.pending(), 0, "round {number}: nothing is left to do");
        }
    }
    let ledger = Ledger::open(dir.path(), ACCOUNTS);
    ledger.recover();
    let there = ledger.check(ACCOUNTS, &acknowledged).expect("all is well");
    assert_eq!(ledger.pending(), 0, "nothing is left to do");
    let unheard = there.len() - acknowledged.len();
    say(&format!(
        "{rounds} rounds: {} acknowledged, {unheard} committed unheard; recovered {committed} \
         commits and {aborted} aborts",
        acknowledged.len()
    ));
}

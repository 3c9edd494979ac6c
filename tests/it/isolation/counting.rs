//! One counter under many threads, and transactions that stay open while very much happens.

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::{CommitOptions, Direction, KeyRange, Read, Txn};

use super::{at, begin, get_for_update, keys_in, must_end, must_lose, must_win, put};
use crate::support::{Scratch, must_branch, must_get, must_put, must_write, rows};

const THREADS: usize = 8;
const EACH: usize = 1_000;

/// Adds one to a counter, as often as it takes.
fn increment(tx: &mut Txn<'_>, level: Isolation) -> Result<(), withy::Error> {
    let now = match level {
        ReadCommitted => tx.get_for_update(b"count")?,
        _ => tx.get(b"count")?,
    };
    let now = now.map_or(0, |n| String::from_utf8_lossy(&n).parse::<u64>().expect("a number"));
    tx.put("count", (now + 1).to_string())
}

fn count(level: Isolation) {
    let store = Scratch::new();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let add = |tx: &mut Txn<'_>| increment(tx, level);
                    store
                        .run_with("main", at(level), CommitOptions::default(), add)
                        .expect("TXN-4: it wins in the end");
                }
            });
        }
    });
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "count").as_deref(), Some("8000"), "TXN-4: no increment is lost");
    assert_eq!(store.latest().get(), 8000, "each is one commit, and nothing else is");
    let versions = store.history("main", b"count").expect("history").count();
    assert_eq!(versions, 8000, "each has its version");
}

#[test]
fn txn_4_eight_threads_count_to_eight_thousand_at_read_committed_reading_for_update() {
    count(ReadCommitted);
}

#[test]
fn txn_4_eight_threads_count_to_eight_thousand_at_snapshot() {
    count(Snapshot);
}

#[test]
fn txn_4_eight_threads_count_to_eight_thousand_at_serializable() {
    count(Serializable);
}

/// Transactions of every sort are open while 100,000 commits are made and written to files four times.
#[test]
fn txn_3_transactions_stay_open_across_a_hundred_thousand_commits_and_flushes() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let first = [("mine", Some("1")), ("r/1", Some("1")), ("theirs", Some("1"))];
    must_write(&main, "first", &first);
    let side = must_branch(&store, "side", "main");
    let readers = [Snapshot, Serializable].map(|level| begin(&store, level));
    let before = rows(&readers[0]);
    let fresh = begin(&store, ReadCommitted);

    // Each of these writes something of its own, and two of each sort rest on more than that.
    let [mut mine, mut theirs, mut late] = [(); 3].map(|()| begin(&store, Snapshot));
    put(&mut mine, "mine", "2");
    put(&mut theirs, "theirs", "2");
    let [mut point, mut range, mut lost_point, mut lost_range] =
        [(); 4].map(|()| begin(&store, Serializable));
    assert_eq!(must_get(&point, "r/1").as_deref(), Some("1"), "a point that stays");
    assert_eq!(range.count(&KeyRange::prefix("r/")).expect("count"), 1, "a range that stays");
    assert_eq!(must_get(&lost_point, "theirs").as_deref(), Some("1"), "a point that changes");
    let seen = keys_in(&lost_range, &KeyRange::prefix("other/0"), Direction::Backward);
    assert_eq!(seen, [""; 0], "a range that changes");
    for (tx, key) in [
        (&mut point, "of point"),
        (&mut range, "of range"),
        (&mut lost_point, "of lost point"),
        (&mut lost_range, "of lost range"),
    ] {
        put(tx, key, "1");
    }
    let mut updates = begin(&store, ReadCommitted);
    assert_eq!(get_for_update(&mut updates, "mine").as_deref(), Some("1"), "it is for update");

    must_put(&main, "theirs", "9");
    for n in 0..100_000_u32 {
        main.put(format!("other/{:03}", n % 10), n.to_be_bytes()).expect("put");
        if n % 25_000 == 24_999 {
            side.put("mine", n.to_be_bytes()).expect("put");
            store.compact().expect("everything in memory is written to files");
        }
    }
    for reader in readers {
        assert_eq!(rows(&reader), before, "TXN-2: it reads its own moment exactly");
        assert_eq!(reader.count(&KeyRange::all()).expect("count"), 3, "counts too");
        must_end(reader);
    }
    assert_eq!(must_get(&fresh, "theirs").as_deref(), Some("9"), "this one reads the newest");
    must_end(fresh);
    must_end(updates);
    must_win(mine);
    must_lose(theirs, &["theirs"]);
    put(&mut late, "theirs", "3");
    must_lose(late, &["theirs"]);
    must_win(point);
    must_win(range);
    must_lose(lost_point, &["theirs"]);
    let ten: Vec<String> = (0..10).map(|n| format!("other/{n:03}")).collect();
    must_lose(lost_range, &ten.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(must_get(&main, "mine").as_deref(), Some("2"), "who won is there");
    assert_eq!(must_get(&main, "theirs").as_deref(), Some("9"), "who lost is not");
    assert_eq!(must_get(&main, "of lost range"), None, "not with any other key either");
}

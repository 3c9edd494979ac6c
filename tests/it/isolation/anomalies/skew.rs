//! Anomalies of writers that read what others write: each reads, neither overwrites the other.

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::{Direction, KeyRange, Read, Txn};

use super::super::Verdict::{self, Allowed, Prevented};
use super::super::{
    begin, get_for_update, happened, must_end, must_lose, must_win, put, wins_or_loses,
};
use crate::support::{Scratch, must_fail, must_get, must_write};

/// r1(x) r1(y) r2(x) r2(y) w1(x) w2(y) c1 c2: no serial order lets both go. With each way to read a key.
fn write_skew(level: Isolation) -> Verdict {
    let ways: [fn(&Txn<'_>, &str) -> bool; 3] = [
        |tx, key| must_get(tx, key).is_some(),
        |tx, key| tx.contains(key.as_bytes()).expect("contains"),
        |tx, key| tx.multi_get(&[b"nobody", key.as_bytes()]).expect("multi_get")[1].is_some(),
    ];
    let mut ends = ways.map(|on_duty| {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "both on duty", &[("ada", Some("on")), ("bob", Some("on"))]);
        let (mut ada, mut bob) = (begin(&store, level), begin(&store, level));
        assert!(on_duty(&ada, "bob"), "ada may go, for bob is there");
        assert!(on_duty(&bob, "ada"), "bob may go, for ada is there");
        ada.delete("ada").expect("delete");
        bob.delete("bob").expect("delete");
        must_win(ada);
        let both = wins_or_loses(bob, &["ada"]);
        assert_eq!(must_get(&main, "bob").is_none(), both, "a conflict stores nothing");
        both
    });
    ends.sort_unstable();
    assert_eq!(ends[0], ends[2], "every way to read counts the same");
    happened(ends[0])
}

#[test]
fn write_skew_is_allowed_at_read_committed() {
    assert_eq!(write_skew(ReadCommitted), Allowed);
}

#[test]
fn write_skew_is_allowed_at_snapshot() {
    assert_eq!(write_skew(Snapshot), Allowed);
}

#[test]
fn write_skew_is_prevented_at_serializable() {
    assert_eq!(write_skew(Serializable), Prevented);
}

/// The same on keys that are absent: each takes what it finds free.
fn write_skew_on_absent_keys(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    assert_eq!(must_get(&one, "left"), None, "the left one is free");
    assert_eq!(must_get(&two, "right"), None, "the right one is free");
    put(&mut one, "right", "taken");
    put(&mut two, "left", "taken");
    must_win(one);
    happened(wins_or_loses(two, &["right"]))
}

#[test]
fn write_skew_on_absent_keys_is_allowed_at_read_committed() {
    assert_eq!(write_skew_on_absent_keys(ReadCommitted), Allowed);
}

#[test]
fn write_skew_on_absent_keys_is_allowed_at_snapshot() {
    assert_eq!(write_skew_on_absent_keys(Snapshot), Allowed);
}

#[test]
fn write_skew_on_absent_keys_is_prevented_at_serializable() {
    assert_eq!(write_skew_on_absent_keys(Serializable), Prevented);
}

/// What was read for update must be unchanged at the commit, written or not.
fn write_skew_read_for_update(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "both on duty", &[("ada", Some("on")), ("bob", Some("on"))]);
    let (mut ada, mut bob) = (begin(&store, level), begin(&store, level));
    assert!(get_for_update(&mut ada, "bob").is_some(), "ada may go, for bob is there");
    assert!(get_for_update(&mut bob, "ada").is_some(), "bob may go, for ada is there");
    put(&mut ada, "ada", "off");
    put(&mut bob, "bob", "off");
    must_win(ada);
    happened(wins_or_loses(bob, &["ada"]))
}

#[test]
fn write_skew_read_for_update_is_prevented_at_read_committed() {
    assert_eq!(write_skew_read_for_update(ReadCommitted), Prevented);
}

#[test]
fn write_skew_read_for_update_is_prevented_at_snapshot() {
    assert_eq!(write_skew_read_for_update(Snapshot), Prevented);
}

#[test]
fn write_skew_read_for_update_is_prevented_at_serializable() {
    assert_eq!(write_skew_read_for_update(Serializable), Prevented);
}

/// A way to read a range, by its name, and how many bookings it finds.
type Way = (&'static str, fn(&Txn<'_>) -> usize);

const WAYS: [Way; 7] = [
    ("a scan forward", |tx| bookings(tx, Direction::Forward)),
    ("a scan backward", |tx| bookings(tx, Direction::Backward)),
    ("a prefix", |tx| tx.prefix(b"room/").expect("prefix").count()),
    ("a range", |tx| tx.range(&KeyRange::prefix("room/")).expect("range").count()),
    ("a count", |tx| {
        usize::try_from(tx.count(&KeyRange::prefix("room/")).expect("count")).expect("few")
    }),
    ("a scan of everything", |tx| {
        let all = tx.scan(&KeyRange::all(), Direction::Forward).expect("scan");
        all.filter(|row| row.as_ref().expect("a row").0.starts_with(b"room/")).count()
    }),
    ("a backward scan of everything", |tx| {
        let all = tx.scan(&KeyRange::all(), Direction::Backward).expect("scan");
        all.filter(|row| row.as_ref().expect("a row").0.starts_with(b"room/")).count()
    }),
];

fn bookings(tx: &Txn<'_>, direction: Direction) -> usize {
    tx.scan(&KeyRange::prefix("room/"), direction).expect("scan").count()
}

/// r1(P) r2(P) w1(y in P) w2(z in P) c1 c2, for each way to read: both find the range as it was, and
/// each puts a key of its own into it.
fn skew_on_range(level: Isolation, before: &[(&str, Option<&str>)]) -> Verdict {
    let ends = WAYS.map(|(way, count)| {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "around it", &[("a", Some("1")), ("s", Some("1"))]);
        if !before.is_empty() {
            must_write(&main, "in it", before);
        }
        let (mut one, mut two) = (begin(&store, level), begin(&store, level));
        let found = [count(&one), count(&two)];
        assert_eq!(found, [before.len(); 2], "{way}: both find the range as it was");
        put(&mut one, "room/5", "one");
        put(&mut two, "room/7", "two");
        must_win(one);
        let both = wins_or_loses(two, &["room/5"]);
        assert_eq!(must_get(&main, "room/7").is_some(), both, "{way}: a conflict stores nothing");
        (way, both)
    });
    for (way, end) in ends {
        assert_eq!(end, ends[0].1, "{way}: every way to read counts the same");
    }
    happened(ends[0].1)
}

fn write_skew_on_an_empty_range(level: Isolation) -> Verdict {
    skew_on_range(level, &[])
}

#[test]
fn write_skew_on_an_empty_range_is_allowed_at_read_committed() {
    assert_eq!(write_skew_on_an_empty_range(ReadCommitted), Allowed);
}

#[test]
fn write_skew_on_an_empty_range_is_allowed_at_snapshot() {
    assert_eq!(write_skew_on_an_empty_range(Snapshot), Allowed);
}

#[test]
fn write_skew_on_an_empty_range_is_prevented_at_serializable() {
    assert_eq!(write_skew_on_an_empty_range(Serializable), Prevented);
}

fn write_skew_on_a_range(level: Isolation) -> Verdict {
    skew_on_range(level, &[("room/1", Some("x")), ("room/6", Some("x")), ("room/9", Some("x"))])
}

#[test]
fn write_skew_on_a_range_is_allowed_at_read_committed() {
    assert_eq!(write_skew_on_a_range(ReadCommitted), Allowed);
}

#[test]
fn write_skew_on_a_range_is_allowed_at_snapshot() {
    assert_eq!(write_skew_on_a_range(Snapshot), Allowed);
}

#[test]
fn write_skew_on_a_range_is_prevented_at_serializable() {
    assert_eq!(write_skew_on_a_range(Serializable), Prevented);
}

/// Fekete, O'Neil and O'Neil: r2(x) r2(y) w1(y) c1 r3(x) r3(y) c3 w2(x) c2. The report of the third shows
/// the deposit and no fee, though the fee was charged because there was no deposit yet.
fn read_only_anomaly(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "nothing yet", &[("checking", Some("0")), ("savings", Some("0"))]);
    let mut withdraws = begin(&store, level);
    let total: i64 = ["checking", "savings"]
        .map(|key| {
            must_get(&withdraws, key).expect("it is there").parse::<i64>().expect("a number")
        })
        .iter()
        .sum();
    assert_eq!(total, 0, "there is not enough: a fee is due");
    let mut deposits = begin(&store, level);
    assert_eq!(must_get(&deposits, "savings").as_deref(), Some("0"), "nothing yet");
    put(&mut deposits, "savings", "20");
    must_win(deposits);
    let reports = begin(&store, level);
    let report = (must_get(&reports, "checking"), must_get(&reports, "savings"));
    must_end(reports);
    assert_eq!(
        report,
        (Some("0".to_owned()), Some("20".to_owned())),
        "who reads only is never refused, and sees the newest"
    );
    put(&mut withdraws, "checking", "-11");
    happened(wins_or_loses(withdraws, &["savings"]))
}

#[test]
fn read_only_anomaly_is_allowed_at_read_committed() {
    assert_eq!(read_only_anomaly(ReadCommitted), Allowed);
}

#[test]
fn read_only_anomaly_is_allowed_at_snapshot() {
    assert_eq!(read_only_anomaly(Snapshot), Allowed);
}

#[test]
fn read_only_anomaly_is_prevented_at_serializable() {
    assert_eq!(read_only_anomaly(Serializable), Prevented);
}

/// A scan that is left after two of the keys b d f h j, at one end or the other; then one key changes.
fn scan_two_then(direction: Direction, changed: &str) -> Result<(), Vec<Vec<u8>>> {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "five", &["b", "d", "f", "h", "j"].map(|key| (key, Some("1"))));
    let mut tx = begin(&store, Serializable);
    let range = KeyRange::new(
        std::ops::Bound::Included(b"a".to_vec()),
        std::ops::Bound::Included(b"m".to_vec()),
    );
    let taken = tx.scan(&range, direction).expect("scan").take(2).count();
    assert_eq!(taken, 2, "it goes no further than that");
    put(&mut tx, "z", "decided");
    must_write(&main, "meanwhile", &[(changed, Some("2"))]);
    match tx.commit(withy::CommitOptions::default()) {
        Ok(_) => Ok(()),
        Err(e) => Err(must_fail::<()>(Err(e), withy::ErrorKind::Conflict).keys().to_vec()),
    }
}

#[test]
fn write_skew_on_a_partly_read_range_counts_what_was_read_forward() {
    for read in ["a", "aa", "b", "c", "d"] {
        let lost = scan_two_then(Direction::Forward, read);
        assert_eq!(lost, Err(vec![read.into()]), "{read} is in what the scan has passed");
    }
    for not_read in ["A", "d0", "e", "f", "h", "j", "m", "n"] {
        let won = scan_two_then(Direction::Forward, not_read);
        assert_eq!(won, Ok(()), "TXN-2: {not_read} was never reached: no false conflict");
    }
}

#[test]
fn write_skew_on_a_partly_read_range_counts_what_was_read_backward() {
    for read in ["m", "l", "j", "i", "h"] {
        let lost = scan_two_then(Direction::Backward, read);
        assert_eq!(lost, Err(vec![read.into()]), "{read} is in what the scan has passed");
    }
    for not_read in ["m0", "n", "g", "f", "d", "b", "a"] {
        let won = scan_two_then(Direction::Backward, not_read);
        assert_eq!(won, Ok(()), "TXN-2: {not_read} was never reached: no false conflict");
    }
}

#[test]
fn write_skew_on_a_range_whose_scan_was_never_asked_counts_nothing() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut tx = begin(&store, Serializable);
    drop(tx.scan(&KeyRange::all(), Direction::Forward).expect("scan"));
    put(&mut tx, "z", "1");
    must_write(&main, "meanwhile", &[("a", Some("2"))]);
    must_win(tx);
}

#[test]
fn write_skew_on_a_range_that_was_read_to_its_end_counts_the_whole_range() {
    for direction in [Direction::Forward, Direction::Backward] {
        for changed in ["a", "c", "m"] {
            let store = Scratch::new();
            let main = store.main().expect("main");
            must_write(&main, "one", &[("c", Some("1"))]);
            let mut tx = begin(&store, Serializable);
            let range = KeyRange::new(
                std::ops::Bound::Included(b"a".to_vec()),
                std::ops::Bound::Included(b"m".to_vec()),
            );
            let mut scan = tx.scan(&range, direction).expect("scan");
            assert!(scan.next().is_some() && scan.next().is_none(), "one key and the end");
            drop(scan);
            put(&mut tx, "z", "decided");
            must_write(&main, "meanwhile", &[(changed, Some("2"))]);
            must_lose(tx, &[changed]);
        }
    }
}

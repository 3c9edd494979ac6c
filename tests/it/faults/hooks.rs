//! The faults themselves: each kind of step is counted where it is done, and fails as it is told to.

use withy::testing::fault::{Action, Moment, Plan, Point, inject};
use withy::{BranchOptions, ErrorKind, Store};

use crate::support::{must_fail, must_get, must_put};

fn plan(text: &str) -> Plan {
    text.parse().unwrap_or_else(|e| panic!("plan {text:?}: {e:?}"))
}

#[test]
fn a_plan_is_read_as_it_is_written() {
    for point in Point::ALL {
        let made = Plan::new(Action::FailOn, Moment::After, 7).only(point);
        assert_eq!(plan(&made.to_string()), made, "text and plan are one to one");
    }
    for bad in
        ["", "stop", "stop before write", "stop at write 1", "go before any 1", "fail after x 1"]
    {
        must_fail(bad.parse::<Plan>(), ErrorKind::Invalid);
    }
}

#[test]
fn steps_are_counted_in_their_own_store_only() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let (a, b) = (Store::open(&here).expect("opens"), Store::open(&there).expect("opens"));
    let writes = inject(&here, Plan::new(Action::Fail, Moment::Before, 0).only(Point::Write));
    let syncs = inject(&here, Plan::new(Action::Fail, Moment::Before, 0).only(Point::Sync));
    must_put(&a.main().expect("main"), "pear", "green");
    must_put(&b.main().expect("main"), "pear", "green");
    assert_eq!((writes.steps(), syncs.steps()), (1, 1), "a commit is one write and one sync");
}

#[test]
fn ops_3_after_a_failing_write_or_sync_nothing_is_acknowledged_until_reopen() {
    for (text, kind) in [
        ("fail before write 1", ErrorKind::Io),
        ("fail after write 1", ErrorKind::Io),
        ("fail before sync 1", ErrorKind::OutcomeUnknown),
        ("fail after sync 1", ErrorKind::OutcomeUnknown),
    ] {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let store = Store::open(dir.path()).expect("opens");
        let main = store.main().expect("main");
        must_put(&main, "pear", "green");
        let injected = inject(dir.path(), plan(text));
        must_fail(main.put("plum", "blue"), kind);
        drop(injected);
        must_fail(main.put("fig", "x"), ErrorKind::Halted);
        let refused = store.create_branch("topic", "main", BranchOptions::default());
        must_fail(refused, ErrorKind::Halted);
        assert_eq!(must_get(&main, "pear").as_deref(), Some("green"), "{text}: reads go on");
        drop((main, store));
        let store = Store::open(dir.path()).expect("opens");
        let main = store.main().expect("main");
        assert_eq!(must_get(&main, "pear").as_deref(), Some("green"), "{text}: nothing is lost");
        assert_eq!(must_get(&main, "fig"), None, "{text}: what was refused is not there");
        must_put(&main, "fig", "purple");
    }
}

//! Salvage, stopped at each of its steps: the next one ends it, and nothing more is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use withy::testing::fault::{Action, Moment, Plan, inject};
use withy::{Durability, ErrorKind, SalvageReport, Seq, Store};

use super::super::content::{Content, copy, must_be_tidy, scratch};
use super::{DONE, comes_through};
use crate::support::is_long;
use crate::support::must_put;

/// Names the store and the plan of the process that is stopped.
const STORE: &str = "WITHY_TEST_SALVAGE";
const PLAN: &str = "WITHY_TEST_SALVAGE_PLAN";

/// Not a test by itself: the process that is stopped.
#[test]
fn salvager() {
    let (Ok(path), Ok(plan)) = (std::env::var(STORE), std::env::var(PLAN)) else { return };
    let _injected = inject(Path::new(&path), plan.parse().expect("a plan"));
    Store::salvage(&path).expect("it is salvaged");
    std::process::exit(DONE);
}

fn open(path: &Path) -> Store {
    let options = Store::options().durability(Durability::Buffered).author("tester");
    options.open(path).expect("the store opens")
}

/// The newest file of a store whose name ends so.
fn newest(store: &Path, suffix: &str) -> PathBuf {
    let names = fs::read_dir(store).expect("the directory is read");
    let paths = names.map(|entry| entry.expect("an entry").path());
    let found = paths.filter(|path| path.to_string_lossy().ends_with(suffix)).max();
    found.unwrap_or_else(|| panic!("there is a file {suffix}"))
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn manifest(store: &Path) -> PathBuf {
    store.join(fs::read_to_string(store.join("CURRENT")).expect("CURRENT").trim_end())
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).expect("it is read");
    bytes[usize::try_from(at).expect("small")] ^= 4;
    fs::write(path, bytes).expect("it is written");
}

/// A store with 10 commits before a flush and 5 after it, as of before the flush and as of after it. Also
/// where commit 7 starts in the log.
fn before_and_after(dir: &Path) -> (PathBuf, PathBuf, u64) {
    let live = dir.join("live");
    drop(open(&live));
    let store = open(&live);
    let log = newest(&live, ".log");
    let mut seventh = 0;
    for n in 1..=15 {
        if n == 7 {
            seventh = fs::metadata(&log).expect("the log is there").len();
        }
        must_put(&store.main().expect("main"), &format!("key-{}", n % 4), &n.to_string());
        if n == 10 {
            copy(&live, &dir.join("before"));
            store.compact().expect("compact");
        }
    }
    copy(&live, &dir.join("after"));
    (dir.join("before"), dir.join("after"), seventh)
}

/// Two logs, damaged in the first; a flipped bit in the manifest; and no file that names it.
fn with_damaged_log(dir: &Path) -> PathBuf {
    let (before, after, seventh) = before_and_after(dir);
    let log = newest(&after, ".log");
    flip(&newest(&before, ".log"), seventh + 10);
    fs::copy(&log, before.join(name(&log))).expect("the later log is there");
    flip(&manifest(&before), 20);
    fs::remove_file(before.join("CURRENT")).expect("it is removed");
    before
}

/// A manifest that cannot be mended where it says what a flush has made, and the logs of before it.
fn with_damaged_manifest(dir: &Path) -> PathBuf {
    let (before, after, _) = before_and_after(dir);
    let log = newest(&before, ".log");
    fs::copy(&log, after.join(name(&log))).expect("the earlier log is there");
    let start = fs::metadata(manifest(&before)).expect("the manifest is there").len();
    (7..15).for_each(|n| flip(&manifest(&after), start + n));
    after
}

/// What the files of a store hold, wherever in it they are.
fn kept(dir: &Path) -> BTreeSet<Vec<u8>> {
    let mut out = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("the directory is read") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => out.extend(kept(&path)),
            false => drop(out.insert(fs::read(&path).expect("a file is read"))),
        }
    }
    out
}

/// A damaged store, and what its salvage comes to.
struct Damaged {
    path: PathBuf,
    /// What must not go away: what is damaged, and what is set aside.
    worth: BTreeSet<Vec<u8>>,
    expected: (Content, Seq, Vec<Seq>),
}

impl Damaged {
    fn new(path: PathBuf) -> Self {
        let salvaged = path.with_file_name("salvaged");
        copy(&path, &salvaged);
        let report = Store::salvage(&salvaged).expect("it is salvaged");
        let aside = salvaged.join(&report.dir);
        let worth = kept(&aside);
        let expected = outcome(&salvaged, &report);
        Self { path, worth, expected }
    }

    /// Stops a salvage as planned, and looks what the next one makes of it. Whether it came through.
    fn stop(&self, plan: &str) -> bool {
        let path = self.path.with_file_name("stopped");
        copy(&self.path, &path);
        let place = path.to_str().expect("a path of text");
        let through = comes_through("salvage::salvager", &[(STORE, place), (PLAN, plan)]);
        if let Err(e) = Store::options().read_only(true).open(&path) {
            assert_eq!(
                e.kind(),
                ErrorKind::Corrupt,
                "{plan}: it is refused until it is ended: {e:?}"
            );
            assert!(
                !through,
                "{plan}: a salvage that came to its end leaves a store that opens: {e:?}"
            );
        }
        let report = Store::salvage(&path).unwrap_or_else(|e| panic!("{plan}: the next: {e:?}"));
        let files = kept(&path);
        let gone = self.worth.iter().filter(|file| !files.contains(*file)).count();
        assert_eq!(gone, 0, "{plan}: all that was set aside is there, as it was");
        let is_done = report.done.is_empty();
        let (content, latest, lost) = outcome(&path, &report);
        assert!(content == self.expected.0, "{plan}: nothing more is lost: {content:#?}");
        assert_eq!(latest, self.expected.1, "{plan}: and this is told");
        // One that is at its end has told it already.
        assert!(is_done || lost == self.expected.2, "{plan}: so is what is lost: {lost:?}");
        must_be_tidy(&path, plan);
        assert!(!path.join("withy.salvage").exists(), "{plan}: nothing is left of it");
        assert!(!path.join("salvage-trial").exists(), "{plan}: nor of the trial");
        through
    }
}

fn outcome(path: &Path, report: &SalvageReport) -> (Content, Seq, Vec<Seq>) {
    assert_eq!(report.damage, [], "nothing is left that is wrong");
    let store = open(path);
    let content = Content::of(&store);
    store.close().expect("it closes");
    (content, report.latest, report.lost.clone())
}

/// Visits every step, or some of them.
fn visit(make: fn(&Path) -> PathBuf) -> (Seq, Vec<Seq>) {
    let dir = scratch();
    let damaged = Damaged::new(make(dir.path()));
    let (moments, step) = match is_long() {
        true => (&[Moment::Before, Moment::After][..], 1),
        false => (&[Moment::Before][..], 7),
    };
    for &moment in moments {
        for number in (1..).step_by(step) {
            if damaged.stop(&Plan::new(Action::Stop, moment, number).to_string()) {
                assert!(number > 12, "it is done in steps: {number}");
                break;
            }
        }
    }
    (damaged.expected.1, damaged.expected.2)
}

#[test]
fn ops_2_a_salvage_of_logs_that_is_stopped_at_any_step_is_ended_by_the_next() {
    let (latest, lost) = visit(with_damaged_log);
    assert_eq!(latest.get(), 6, "what is before the damage is left");
    let lost: Vec<u64> = lost.into_iter().map(Seq::get).collect();
    assert_eq!(lost, (8..=15).collect::<Vec<_>>(), "what is behind it is named");
}

#[test]
fn ops_2_a_salvage_of_the_manifest_that_is_stopped_at_any_step_is_ended_by_the_next() {
    let (latest, lost) = visit(with_damaged_manifest);
    assert_eq!((latest.get(), lost), (15, Vec::new()), "nothing is lost: the logs have it");
}

//! Hostile bytes into every decoder and parser: functions that a fuzzer calls, and the tests with it.
//!
//! Each takes any bytes and comes to an answer; it panics only if the crate is wrong. `fuzz/` has a target
//! for each, `tests/it/faults/fuzz.rs` runs all of them for some seconds.

mod files;
mod records;

use std::cell::OnceCell;

use tempfile::TempDir;

use super::Scenario;
use crate::clock::Timestamp;
use crate::coord::MessageId;
use crate::error::{Error, ErrorKind};
use crate::id::{CommitId, OpId, Seq};
use crate::kv::Durability;
use crate::locks::LockPath;
use crate::merge::{DriverInput, KeyPattern, MarkerLabels, drivers, has_markers, merge_text};
use crate::name::{BranchName, TagName};
use crate::store::{BranchOptions, Setting, Store};

pub use files::{files, stores};
pub use records::{records, rewritten};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every function, by the name of its target. Those of `exchange` are in [`crate::exchange::fuzz`].
pub const TARGETS: [(&str, Target); 9] = [
    ("records", records),
    ("files", files),
    ("stores", stores),
    ("names", names),
    ("times", times),
    ("revs", revs),
    ("settings", settings),
    ("scenarios", scenarios),
    ("drivers", values),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names of branches and tags, and lock paths: what is taken is kept as it is.
pub fn names(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(name) = BranchName::new(&text) {
        assert_eq!(name.as_str(), text, "a branch name is kept as it is");
    }
    if let Ok(name) = TagName::new(&text) {
        assert_eq!(name.as_str(), text, "a tag name is kept as it is");
    }
    if let Ok(path) = LockPath::new(&text) {
        let again = LockPath::new(path.as_str()).ok();
        assert_eq!(again.as_ref(), Some(&path), "a path is read as it is shown");
        assert!(path.covers(&path), "a path covers itself");
        assert!(path.parent().is_none_or(|above| above.covers(&path)), "as does what is above it");
    }
}

/// Moments and ids: what is shown is read back.
pub fn times(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time), "a moment is read as it is shown");
    }
    if let Ok(id) = text.parse::<CommitId>() {
        assert_eq!(id.to_string().parse(), Ok(id), "an id is read as it is shown");
    }
    if let Ok(id) = text.parse::<OpId>() {
        assert_eq!(id.to_string().parse(), Ok(id), "an id is read as it is shown");
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string().parse(), Ok(id), "an id is read as it is shown");
    }
}

/// Something that can be fuzzed on a store: one for each thread, gone with it.
fn with_store(work: impl FnOnce(&Store) -> Result<(), Error>) {
    thread_local! {
        static STORE: OnceCell<(Store, TempDir)> = const { OnceCell::new() };
    }
    STORE.with(|cell| {
        let (store, _) = cell.get_or_init(|| make_store().expect("a scratch store can be made"));
        work(store).expect("the store works");
    });
}

fn make_store() -> Result<(Store, TempDir), Error> {
    let dir = tempfile::tempdir()
        .map_err(|e| Error::new(ErrorKind::Io, "no scratch directory").because(e))?;
    let store = Store::options().durability(Durability::Buffered).open(dir.path())?;
    for n in 0..5_u8 {
        store.main()?.put("key", vec![n])?;
    }
    store.create_branch("topic", "main~2", BranchOptions::default())?;
    Ok((store, dir))
}

/// Revs: one that names a commit names one that is there.
pub fn revs(bytes: &[u8]) {
    let rev = text(bytes);
    with_store(|store| {
        match store.commit(&rev) {
            Ok(commit) => assert!(commit.seq <= Seq::new(5), "{rev} names a commit that is there"),
            Err(e) => {
                use ErrorKind::{Invalid, Limit, NotFound};
                let typed = matches!(e.kind(), Invalid | Limit | NotFound);
                assert!(typed, "{rev:?} is wrong, not the store: {e:?}");
            }
        }
        Ok(())
    });
}

/// Settings: the first byte says which; what is taken is kept.
pub fn settings(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let setting = Setting::ALL[usize::from(*which) % Setting::ALL.len()];
    let value = text(rest);
    let _ = value.parse::<Setting>();
    with_store(|store| {
        if store.set_config(setting, Some(&value)).is_ok() {
            assert_eq!(store.config(setting)?.as_deref(), Some(&value[..]), "it is kept");
            store.set_config(setting, None)?;
        }
        Ok(())
    });
}

/// Scenario files.
pub fn scenarios(bytes: &[u8]) {
    let _ = Scenario::parse(&text(bytes));
}

/// Values in a merge, three of them with bytes FF between, and patterns of keys: every driver comes to an
/// answer, and the same one again.
pub fn values(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |&byte| byte == 0xFF);
    let base = parts.next();
    let (ours, theirs) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for driver in drivers::all() {
        let input = || DriverInput::new(b"key", base, Some(ours), Some(theirs));
        let (first, again) = (driver.merge(&input()), driver.merge(&input()));
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "{} decides once", driver.name());
    }
    let labels = MarkerLabels::new("main", "base", "topic");
    let merged = merge_text(base, ours, theirs, &labels);
    assert_eq!(
        merged.text,
        merge_text(base, ours, theirs, &labels).text,
        "the same input, the same text"
    );
    let _ = has_markers(ours);
    let pattern = KeyPattern::from(&text(ours)[..]);
    let (prefix, suffix) = pattern.parts();
    assert!(pattern.matches(&[prefix, suffix].concat()), "a pattern matches its own ends");
}

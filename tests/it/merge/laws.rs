//! What every driver that withy brings along promises, on generated values.
//!
//! `WITHY_SEEDS` says how many, `WITHY_SEED` which one alone.

mod samples;

use fastrand::Rng;
use withy::testing::check_driver_laws_by;
use withy::{DriverInput, MergeDriver, Seq, drivers};

use self::samples::{Again, DOMAINS, Domain, EqualSides, count};

/// A driver and values for it.
struct Case<'a> {
    /// Driver and seed.
    name: String,
    driver: &'a dyn MergeDriver,
    domain: &'a Domain,
    base: &'a [u8],
    ours: &'a [u8],
    theirs: &'a [u8],
}

impl Case<'_> {
    /// All three values, ours from the later commit.
    fn input(&self) -> DriverInput<'_> {
        input(self.base, self.ours, self.theirs)
    }

    /// The merged value, if there is one.
    fn merged(&self, input: &DriverInput<'_>) -> Option<Vec<u8>> {
        self.driver.merge(input).ok().map(|value| value.expect("no side deleted it"))
    }

    fn assert_same_meaning(&self, a: &[u8], b: &[u8]) {
        assert_eq!((self.domain.meaning)(a), (self.domain.meaning)(b), "{}", self.name);
    }
}

fn input<'a>(base: &'a [u8], ours: &'a [u8], theirs: &'a [u8]) -> DriverInput<'a> {
    let input = DriverInput::new(b"key", Some(base), Some(ours), Some(theirs));
    input.written_at(Seq::new(2), Seq::new(1))
}

/// Runs a check on every driver and many values.
fn on_all(check: impl Fn(&Case<'_>)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(300),
    };
    for driver in drivers::all() {
        let domain = DOMAINS.iter().find(|domain| domain.name == driver.name());
        let domain = domain.expect("every driver is held to the laws");
        for seed in seeds.clone() {
            let random = &mut Rng::with_seed(seed);
            let base = (domain.value)(random);
            let mut side = || {
                let changes = random.usize(0..4);
                (0..changes).fold(base.clone(), |value, _| (domain.changed)(random, &value))
            };
            let (ours, theirs) = (side(), side());
            let name = format!("{}, seed {seed}", domain.name);
            let (base, ours, theirs) = (base.as_slice(), ours.as_slice(), theirs.as_slice());
            check(&Case { name, driver: &*driver, domain, base, ours, theirs });
        }
    }
}

#[test]
fn the_order_of_sides_does_not_matter() {
    on_all(|case| {
        let mut absent = case.input();
        absent.base = None;
        for input in [case.input(), absent] {
            let (result, swapped) =
                (case.driver.merge(&input), case.driver.merge(&input.swapped()));
            assert!(!case.driver.directional(), "{}", case.name);
            assert_eq!(result.ok(), swapped.ok(), "{}", case.name);
        }
    });
}

#[test]
fn a_side_that_changed_nothing_yields() {
    on_all(|case| {
        if !case.driver.ignores_base() {
            let result = case.merged(&input(case.base, case.ours, case.base));
            let result = result.expect("one side alone changed it");
            case.assert_same_meaning(&result, case.ours);
            if matches!(case.domain.name, "text/1" | "json/1") {
                assert_eq!(result, case.ours, "{}: not even its bytes change", case.name);
            }
        }
    });
}

#[test]
fn equal_sides_are_no_conflict() {
    on_all(|case| {
        let result = case.merged(&input(case.base, case.ours, case.ours));
        let result = result.expect("the sides are equal");
        if case.domain.equal_sides == EqualSides::ThatValue {
            case.assert_same_meaning(&result, case.ours);
        } else {
            let (base, ours) = (count(case.base), count(case.ours));
            assert_eq!(count(&result) - base, 2 * (ours - base), "{}", case.name);
        }
    });
}

#[test]
fn the_laws_that_users_check_hold() {
    on_all(|case| {
        let same = |a: &[u8], b: &[u8]| (case.domain.meaning)(a) == (case.domain.meaning)(b);
        let samples = [case.base, case.ours, case.theirs];
        let kept = check_driver_laws_by(case.driver, &samples, same);
        kept.unwrap_or_else(|broken| panic!("{}: {broken}", case.name));
    });
}

#[test]
fn merging_a_side_again_changes_nothing() {
    on_all(|case| {
        let Some(result) = case.merged(&case.input()) else { return };
        if case.domain.again == Again::TheResult {
            for side in [case.ours, case.theirs] {
                let again = case.merged(&input(case.base, &result, side)).expect("it is settled");
                case.assert_same_meaning(&again, &result);
            }
        }
    });
}

#[test]
fn what_one_side_alone_changed_is_in_the_result() {
    on_all(|case| {
        let Some(result) = case.merged(&case.input()) else { return };
        let [base, ours, theirs] = [case.base, case.ours, case.theirs].map(case.domain.pieces);
        let pieces = (case.domain.pieces)(&result);
        for place in base.keys().chain(ours.keys()).chain(theirs.keys()) {
            let [b, o, t] = [&base, &ours, &theirs].map(|side| side.get(place));
            let wanted = if o == b { t } else { o };
            assert!(o == b || t == b || o == t, "{}: {place} is in conflict", case.name);
            // A line that a side moved or repeated may be there more or less often than before.
            if case.domain.name != "text/1" || b.is_none() {
                assert_eq!(pieces.get(place), wanted, "{}: {place}", case.name);
            }
        }
    });
}

#[test]
fn a_driver_that_settles_no_deletions_refuses_them() {
    on_all(|case| {
        let mut input = case.input();
        input.theirs = None;
        let result = case.driver.merge(&input);
        if case.driver.settles_deletions() {
            assert_eq!(result, Ok(Some(case.ours.to_vec())), "{}: ours is later", case.name);
        } else {
            assert_eq!(result, Err("one side deleted the key".into()), "{}", case.name);
        }
    });
}

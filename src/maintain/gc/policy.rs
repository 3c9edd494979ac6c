//! Retention: how much of its past a branch keeps, in words and as sequences.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Place};
use crate::id::Seq;
use crate::name::matches_glob;

/// How much of their past branches keep. What no rule covers is kept for good.
///
/// In text, as in the setting `retention`, rules are separated by `;`. A rule is `branch=PATTERN`
/// (`*` and `?` as in a shell; all branches unless given), `prefix=TEXT` (keys that start so; all unless
/// given), and what is kept: `age=30d` (commits younger than that, with `s`, `m`, `h`, `d` or `w`), `count=N`
/// (the newest N commits), both (whatever either keeps), or `forever`. In a prefix `\xNN` stands for a
/// byte. For a branch and a key the rule with the longest prefix counts, of several the first one.
///
/// # Examples
/// ```
/// use withy::Retention;
/// let rules: Retention = "branch=main forever; age=30d count=1000; prefix=tmp/ count=1".parse()?;
/// assert_eq!(rules.rules().len(), 3);
/// assert_eq!(rules.to_string().parse::<Retention>()?, rules);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention(Vec<RetentionRule>);

/// One rule of a [`Retention`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use withy::{Retention, RetentionRule};
/// let month = RetentionRule::default().branch("feature/*").age(Duration::from_secs(30 * 86_400));
/// assert_eq!(Retention::new([month]).to_string(), "branch=feature/* age=30d");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRule {
    branch: Option<String>,
    prefix: Vec<u8>,
    age_ms: Option<u64>,
    count: Option<u64>,
}

impl RetentionRule {
    /// The branches it is for: `*` stands for any run of characters, `?` for one; all unless told.
    #[must_use]
    pub fn branch(mut self, pattern: impl Into<String>) -> Self {
        self.branch = Some(pattern.into());
        self
    }

    /// The keys it is for: those that start so; all unless told.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Keeps commits younger than this.
    #[must_use]
    pub fn age(mut self, age: std::time::Duration) -> Self {
        self.age_ms = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Keeps the newest commits of the branch, so many; at least one.
    #[must_use]
    pub fn count(mut self, commits: u64) -> Self {
        self.count = Some(commits.max(1));
        self
    }

    fn covers(&self, branch: &str) -> bool {
        let Some(pattern) = &self.branch else { return true };
        matches_glob(pattern.as_bytes(), branch.as_bytes())
    }

    /// The oldest commit that it keeps, counted back from the head of a branch.
    fn floor(&self, graph: &Graph, head: Place, now: Timestamp) -> Result<Seq> {
        let mut floor = None;
        if let Some(count) = self.count {
            let back = graph.back(head, count - 1)?;
            floor = Some(back.map_or(Seq::ROOT, |place| place.seq));
        }
        if let Some(age) = self.age_ms {
            let last = since(graph, age, head.seq, now)?;
            floor = Some(floor.map_or(last, |floor: Seq| floor.min(last)));
        }
        Ok(floor.unwrap_or(Seq::ROOT))
    }
}

/// The newest commit, up to another one, that is as old as this: what it was is what was there after it.
fn since(graph: &Graph, age_ms: u64, upto: Seq, now: Timestamp) -> Result<Seq> {
    let age = i64::try_from(age_ms).unwrap_or(i64::MAX);
    graph.last_until(Timestamp::from_millis(now.as_millis().saturating_sub(age)), upto)
}

impl Retention {
    /// These rules.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = RetentionRule>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[RetentionRule] {
        &self.0
    }

    /// The prefixes that rules are about, sorted; always the empty one.
    pub(super) fn prefixes(&self) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = self.0.iter().map(|rule| rule.prefix.clone()).collect();
        out.push(Vec::new());
        out.sort();
        out.dedup();
        out
    }

    /// For each of [`prefixes`](Self::prefixes), from where on the history of commits is kept that no
    /// branch stands for. Only rules for all branches cover it, and a count says nothing of it.
    pub(super) fn unnamed_floors(&self, graph: &Graph, now: Timestamp) -> Result<Vec<Seq>> {
        let by_age = |rule: &RetentionRule| match rule.age_ms {
            _ if rule.count.is_none() && rule.age_ms.is_none() => Ok(Seq::ROOT),
            Some(age) => since(graph, age, graph.latest(), now),
            None => Ok(Seq::MAX),
        };
        self.each_prefix("", by_age)
    }

    /// For each of [`prefixes`](Self::prefixes), the oldest commit that a branch of this name keeps.
    pub(super) fn floors(
        &self,
        graph: &Graph,
        (branch, head): (&str, Place),
        now: Timestamp,
    ) -> Result<Vec<Seq>> {
        self.each_prefix(branch, |rule| rule.floor(graph, head, now))
    }

    fn each_prefix(
        &self,
        branch: &str,
        floor: impl Fn(&RetentionRule) -> Result<Seq>,
    ) -> Result<Vec<Seq>> {
        let mut known = BTreeMap::new();
        let mut floors = Vec::new();
        for prefix in self.prefixes() {
            let mut best: Option<(usize, &RetentionRule)> = None;
            for (at, rule) in self.0.iter().enumerate() {
                let longer = best.is_none_or(|(_, best)| rule.prefix.len() > best.prefix.len());
                if prefix.starts_with(&rule.prefix) && rule.covers(branch) && longer {
                    best = Some((at, rule));
                }
            }
            floors.push(match best {
                None => Seq::ROOT,
                Some((at, rule)) => match known.get(&at) {
                    Some(&floor) => floor,
                    None => {
                        let floor = floor(rule)?;
                        known.insert(at, floor);
                        floor
                    }
                },
            });
        }
        Ok(floors)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            let mut words = Vec::new();
            if let Some(branch) = &rule.branch {
                words.push(format!("branch={branch}"));
            }
            if !rule.prefix.is_empty() {
                let mut prefix = String::new();
                for &byte in &rule.prefix {
                    match byte {
                        b'\\' | b';' | b' ' => prefix.push_str(&format!("\\x{byte:02x}")),
                        0x21..=0x7e => prefix.push(byte.into()),
                        _ => prefix.push_str(&format!("\\x{byte:02x}")),
                    }
                }
                words.push(format!("prefix={prefix}"));
            }
            if let Some(age) = rule.age_ms {
                words.push(format!("age={}", show_age(age)));
            }
            if let Some(count) = rule.count {
                words.push(format!("count={count}"));
            }
            if rule.age_ms.is_none() && rule.count.is_none() {
                words.push("forever".into());
            }
            f.write_str(&words.join(" "))?;
        }
        Ok(())
    }
}

const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

fn show_age(millis: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| millis.is_multiple_of(*unit) && *unit != UNITS[0].1;
    match UNITS.iter().find(fits) {
        Some((name, unit)) if millis > 0 => format!("{}{name}", millis / unit),
        _ => "0s".into(),
    }
}

/// An age such as `30d`, in milliseconds.
///
/// # Errors
/// [`ErrorKind::Invalid`] if it is none.
pub(crate) fn parse_age(text: &str) -> Result<u64> {
    let bad = || {
        Error::new(ErrorKind::Invalid, format!("{text:?} is no age"))
            .with_hint("give a number and s, m, h, d or w, such as 30d")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(bad)
}

impl FromStr for Retention {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        rules.map(parse_rule).collect::<Result<_>>().map(Self)
    }
}

fn parse_rule(text: &str) -> Result<RetentionRule> {
    let bad = |why: String| {
        Error::new(ErrorKind::Invalid, format!("{text:?} is no retention rule: {why}"))
            .with_hint("a rule is such as `branch=main age=30d count=100` or `prefix=tmp/ count=1`")
    };
    let mut rule = RetentionRule::default();
    let mut forever = false;
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some(("branch", pattern)) if rule.branch.is_none() && !pattern.is_empty() => {
                rule.branch = Some(pattern.to_owned());
            }
            Some(("prefix", prefix)) if rule.prefix.is_empty() && !prefix.is_empty() => {
                rule.prefix =
                    unescape(prefix).ok_or_else(|| bad(format!("{prefix:?} is no prefix")))?;
            }
            Some(("age", age)) if rule.age_ms.is_none() => {
                rule.age_ms = Some(parse_age(age).map_err(|e| bad(e.to_string()))?);
            }
            Some(("count", count)) if rule.count.is_none() => {
                let number = count.parse().ok().filter(|number| *number > 0);
                rule.count = Some(number.ok_or_else(|| bad(format!("{count:?} is no count")))?);
            }
            None if word == "forever" => forever = true,
            _ => return Err(bad(format!("{word:?} has no place in it"))),
        }
    }
    match (forever, rule.age_ms.is_some() || rule.count.is_some()) {
        (true, true) => Err(bad("it keeps all and not all".into())),
        (false, false) => Err(bad("it does not say what is kept".into())),
        (true, false) | (false, true) => Ok(rule),
    }
}

/// `\xNN` as bytes.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            out.push(byte);
            rest = after;
            continue;
        }
        let digits = after.strip_prefix(b"x")?.get(..2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[3..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_are_shown() {
        for text in [
            "forever",
            "age=30d",
            "branch=main forever; age=12h count=100",
            "prefix=tmp/ count=1",
            "branch=f?/* prefix=a\\x20\\x00b age=90s",
            "",
        ] {
            let rules: Retention = text.parse().expect(text);
            assert_eq!(rules.to_string(), text, "it is shown as it is written");
        }
        assert_eq!("age=2w".parse::<Retention>().expect("weeks").to_string(), "age=14d");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "branch=main",
            "age=5",
            "age=x",
            "count=0",
            "count=-1",
            "what=1",
            "forever age=1d",
            "age=1d age=2d",
            "prefix=\\q count=1",
            "prefix=\\x1 count=1",
            "age=99999999999999999w",
        ] {
            let refused = text.parse::<Retention>().expect_err(text);
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{text}");
        }
    }
}

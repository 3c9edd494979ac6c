//! What could come next on a line.

use super::help::TOPICS;

/// Names that are known when a line is typed.
pub(super) struct Names {
    pub(super) branches: Vec<String>,
    pub(super) savepoints: Vec<String>,
    /// Those of transactions that have one.
    pub(super) transactions: Vec<String>,
}

const ON_BRANCH: [&str; 6] = ["count", "del", "expect", "get", "put", "scan"];
const BEGIN: [&str; 6] =
    ["bytes", "operations", "read-committed", "serializable", "snapshot", "time"];
const EXPECT: [&str; 5] = ["conflict", "count", "error", "savepoints", "scan"];

/// Where the word begins that is being typed, and what it could become.
pub(super) fn candidates(typed: &str, names: impl Fn() -> Names) -> (usize, Vec<String>) {
    let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (before, word) = typed.split_at(start);
    let mut words: Vec<&str> = before.split_whitespace().collect();
    let is_first = words.is_empty();
    if words.first().is_some_and(|first| first.len() > 1 && first.ends_with(':')) {
        words.remove(0);
    }
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let commands = || {
        let verbs = TOPICS.iter().map(|topic| topic.name).filter(|name| !name.contains(' '));
        owned(&verbs.collect::<Vec<_>>())
    };
    let mut all = match words.as_slice() {
        [] => {
            let mut all = commands();
            if is_first {
                all.extend(names().transactions.iter().map(|name| format!("{name}:")));
            }
            all
        }
        ["begin"] => [names().branches, owned(&BEGIN)].concat(),
        ["begin", ..] => owned(&BEGIN),
        ["on"] => names().branches,
        ["on", _] => owned(&ON_BRANCH),
        ["rollback"] => owned(&["to"]),
        ["rollback", "to"] | ["release"] => names().savepoints,
        ["expect"] => owned(&EXPECT),
        ["expect", "error"] => owned(&super::trouble::kinds().collect::<Vec<_>>()),
        ["get", _] | ["on", _, "get", _] => owned(&["for update"]),
        ["lock", _] => owned(&["subtree", "wait"]),
        ["lock", _, "subtree"] => owned(&["wait"]),
        ["branch", _] => names().branches,
        ["help"] => commands(),
        _ => Vec::new(),
    };
    all.retain(|one| one.starts_with(word));
    all.sort();
    all.dedup();
    (start, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &str) -> (usize, String) {
        let names = || Names {
            branches: vec!["main".into(), "topic".into()],
            savepoints: vec!["sp".into()],
            transactions: vec!["t1".into()],
        };
        let (start, all) = candidates(typed, names);
        (start, all.join(" "))
    }

    #[test]
    fn each_place_offers_what_fits_there() {
        for (typed, start, want) in [
            ("sav", 0, "savepoint savepoints"),
            ("t", 0, "t1:"),
            ("t1: ro", 4, "rollback"),
            ("t1: t", 4, ""),
            ("rollback t", 9, "to"),
            ("rollback to ", 12, "sp"),
            ("t1: release ", 12, "sp"),
            ("begin m", 6, "main"),
            ("begin main s", 11, "serializable snapshot"),
            ("on t", 3, "topic"),
            ("on topic p", 9, "put"),
            ("expect co", 7, "conflict count"),
            ("expect error not", 13, "not-found"),
            ("get pear ", 9, "for update"),
            ("help beg", 5, "begin"),
            ("put pear ", 9, ""),
        ] {
            assert_eq!(of(typed), (start, want.to_owned()), "{typed:?}");
        }
    }
}

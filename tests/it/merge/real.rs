//! The merges of the real history, made again with `text`: key by key what git makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::Range;
use std::process::Stdio;

use withy::exchange::{GitImportOptions, import_git};
use withy::{
    DiffOptions, KeyRange, MergeOptions, MergeOutcome, MergeReport, Read, Store, Strategy,
};

use crate::exchange::{Git, real, skipped};
use crate::support::{Scratch, must_branch, show};

/// Merges of which withy makes something else than git does, by mark, and why.
const DIFFERENCES: [(&str, &str); 0] = [];

/// The same with renames found by likeness, as git does it unless told. Keys are not renamed in withy.
const DIFFERENCES_BY_RENAMES: [(&str, &str); 2] = [
    (":2121", "one file, renamed by both sides, to two names: a conflict for git"),
    (":2124", "one file, renamed by both sides, to two names: a conflict for git"),
];

/// Renames of unchanged files only, and none at all where git can do without.
const NO_RENAMES: [&str; 4] = ["-X", "find-renames=100%", "-X", "no-renames"];

/// A merge of the history.
struct Recorded {
    mark: String,
    /// Revs of the commit and its parents.
    merge: String,
    parents: [String; 2],
    /// The parents in git.
    ids: [String; 2],
}

/// What `git merge-tree` says of a merge.
#[derive(PartialEq, Eq)]
struct Answer {
    tree: String,
    /// Paths in conflict.
    conflicts: BTreeSet<Vec<u8>>,
}

/// Lines of the form `mark ... id`, by the id that is `at` there.
fn by_word<'m>(marks: &'m str, key: usize, value: usize) -> BTreeMap<&'m str, &'m str> {
    let words = |line: &'m str| -> Vec<&str> { line.split(' ').collect() };
    marks.lines().map(words).map(|words| (words[key], words[value])).collect()
}

fn recorded(git: &Git, marks: &str) -> Vec<Recorded> {
    let git_marks = git.marks();
    let (marks_of, seqs) = (by_word(&git_marks, 1, 0), by_word(marks, 0, 2));
    let all = ["rev-list", "--all", "--merges", "--topo-order", "--reverse", "--parents"];
    let merges = git.says(&all);
    let merges = merges.lines().map(|line| {
        let [merge, first, second] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a merge has two parents: {line}");
        };
        let rev = |id| format!("seq:{}", seqs[marks_of[id]]);
        Recorded {
            mark: marks_of[merge].to_owned(),
            merge: rev(merge),
            parents: [rev(first), rev(second)],
            ids: [first.to_owned(), second.to_owned()],
        }
    });
    merges.collect()
}

/// What git makes of the merges; `None` where its `merge-tree` is too old to be asked.
fn git_answers(git: &Git, merges: &[Recorded], options: &[&str]) -> Option<Vec<Answer>> {
    let pairs: String = merges.iter().map(|one| one.ids.join(" ") + "\n").collect();
    let file = git.path().join("pairs");
    std::fs::write(&file, pairs).expect("it is written");
    let asked =
        [&["merge-tree", "--write-tree", "--stdin", "-z", "--no-messages"], options].concat();
    let pairs = std::fs::File::open(&file).expect("it opens");
    let done = git.command(&asked).stdin(Stdio::from(pairs)).output().expect("git runs");
    if !done.status.success() {
        skipped("this git is too old, merges are not compared with it");
        return None;
    }
    let mut words = done.stdout.split(|&b| b == 0);
    let mut next = || words.next().expect("git says it all");
    let answer = |_| {
        let clean = next() == b"1";
        let tree = String::from_utf8(next().to_vec()).expect("text");
        let mut conflicts = BTreeSet::new();
        loop {
            let word = next();
            let Some(tab) = word.iter().position(|&b| b == b'\t') else { break };
            conflicts.insert(word[tab + 1..].to_vec());
        }
        assert_eq!(clean, conflicts.is_empty(), "git names the paths in conflict");
        Answer { tree, conflicts }
    };
    Some(merges.iter().map(answer).collect())
}

/// All objects of a repository.
struct Objects {
    bytes: Vec<u8>,
    places: BTreeMap<String, Range<usize>>,
}

impl Objects {
    fn of(git: &Git) -> Self {
        let all = ["cat-file", "--batch-all-objects", "--batch"];
        let bytes = git.command(&all).output().expect("git runs").stdout;
        let (mut places, mut at) = (BTreeMap::new(), 0);
        while at < bytes.len() {
            let end = at + bytes[at..].iter().position(|&b| b == b'\n').expect("a line");
            let head = std::str::from_utf8(&bytes[at..end]).expect("text");
            let [id, _, len] = head.split(' ').collect::<Vec<_>>()[..] else {
                panic!("id, kind and length in {head}");
            };
            let len: usize = len.parse().expect("a length");
            places.insert(id.to_owned(), end + 1..end + 1 + len);
            at = end + 1 + len + 1;
        }
        Self { bytes, places }
    }

    fn get(&self, id: &str) -> &[u8] {
        &self.bytes[self.places[id].clone()]
    }

    /// Adds the files of a tree: path and content.
    fn files<'o>(&'o self, tree: &str, above: &[u8], out: &mut BTreeMap<Vec<u8>, &'o [u8]>) {
        let mut rest = self.get(tree);
        while !rest.is_empty() {
            let space = rest.iter().position(|&b| b == b' ').expect("a mode");
            let zero = rest.iter().position(|&b| b == 0).expect("a name");
            let (mode, name) = (&rest[..space], &rest[space + 1..zero]);
            let id: String = rest[zero + 1..zero + 21].iter().map(|b| format!("{b:02x}")).collect();
            let path = [above, name].concat();
            if mode == b"40000" {
                self.files(&id, &[&path[..], b"/"].concat(), out);
            } else {
                out.insert(path, self.get(&id));
            }
            rest = &rest[zero + 21..];
        }
    }
}

/// The keys that a branch and a tree of git do not have in common, or with other values.
fn different(view: &impl Read, objects: &Objects, tree: &str) -> BTreeSet<Vec<u8>> {
    let mut files = BTreeMap::new();
    objects.files(tree, b"", &mut files);
    let mut out = BTreeSet::new();
    for row in view.range(&KeyRange::all()).expect("a scan") {
        let (key, value) = row.expect("a row");
        if files.remove(&key) != Some(value.as_slice()) {
            out.insert(key);
        }
    }
    out.extend(files.into_keys());
    out
}

/// Merges again; the branch with the result, which is as its first parent where there are conflicts.
fn merged(store: &Store, one: &Recorded, name: &str, options: MergeOptions) -> MergeReport {
    must_branch(store, name, &one.parents[0]);
    let report = store.merge(name, &one.parents[1], options);
    report.unwrap_or_else(|e| panic!("the merge {}: {e:?}", one.mark))
}

/// What is different from git in one merge, in words; `None` if nothing is.
fn compare(store: &Store, one: &Recorded, objects: &Objects, git: &Answer) -> Option<String> {
    let text = || MergeOptions::default().driver_for("", "text");
    let name = format!("again/{}", &one.mark[1..]);
    let report = merged(store, one, &name, text());
    let conflicts: BTreeSet<_> = report.conflicts.iter().map(|one| one.key.clone()).collect();
    let names = |keys: &BTreeSet<Vec<u8>>| keys.iter().map(|key| show(key)).collect::<Vec<_>>();
    if conflicts != git.conflicts {
        let (ours, theirs) = (names(&conflicts), names(&git.conflicts));
        return Some(format!("conflicts on {ours:?}, in git on {theirs:?}"));
    }
    let stopped = report.outcome == MergeOutcome::Conflicts;
    assert_eq!(stopped, !conflicts.is_empty(), "{name} stops at conflicts, and at nothing else");
    let mut branch = store.branch(&name).expect("the branch");
    if stopped {
        // The keys that are not in conflict can be compared all the same.
        let settled = format!("{name}/settled");
        merged(store, one, &settled, text().strategy(Strategy::Ours));
        branch = store.branch(&settled).expect("the branch");
    }
    let mut keys = different(&branch.view().expect("a view"), objects, &git.tree);
    keys.retain(|key| !conflicts.contains(key));
    (!keys.is_empty()).then(|| format!("other values of {:?}", names(&keys)))
}

/// How many keys of the merge that people made differ from the one that was made again.
fn by_hand(store: &Store, one: &Recorded) -> usize {
    let name = format!("again/{}", &one.mark[1..]);
    let diff = store.diff(&name, &one.merge, DiffOptions::default().names_only(true));
    diff.expect("a diff").count()
}

#[test]
fn merge_10_the_merges_of_the_real_history_come_out_as_in_git() {
    let Some((stream, _)) = real::data() else { return };
    let Some(git) = Git::imported(&stream) else { return };
    let store = Scratch::new();
    let mut marks = Vec::new();
    import_git(&store, &stream[..], GitImportOptions::default().marks(&mut marks))
        .expect("the history is taken");
    let merges = recorded(&git, &String::from_utf8(marks).expect("text"));
    assert_eq!(merges.len(), 602, "every merge is made again");
    let Some(answers) = git_answers(&git, &merges, &NO_RENAMES) else { return };
    let Some(by_renames) = git_answers(&git, &merges, &[]) else { return };
    let objects = Objects::of(&git);

    let (mut clean, mut conflicts, mut different) = (0, 0, Vec::new());
    for (one, answer) in merges.iter().zip(&answers) {
        match compare(&store, one, &objects, answer) {
            Some(what) => different.push((one.mark.as_str(), what)),
            None if answer.conflicts.is_empty() => clean += 1,
            None => conflicts += 1,
        }
    }
    let made_by_hand: Vec<usize> =
        merges.iter().map(|one| by_hand(&store, one)).filter(|&keys| keys > 0).collect();
    let _ = writeln!(
        std::io::stderr(),
        "of {} real merges {clean} are clean and as in git, {conflicts} have the conflicts of git, \
         {} differ; people settled or changed {} keys in {} of them",
        merges.len(),
        different.len(),
        made_by_hand.iter().sum::<usize>(),
        made_by_hand.len(),
    );
    let marks: Vec<&str> = different.iter().map(|(mark, _)| *mark).collect();
    assert_eq!(marks, DIFFERENCES.map(|(mark, _)| mark), "as in git but for these: {different:?}");
    let renamed = merges.iter().zip(answers.iter().zip(&by_renames));
    let renamed = renamed.filter(|(_, (exact, likely))| exact != likely);
    let marks: Vec<&str> = renamed.map(|(one, _)| one.mark.as_str()).collect();
    assert_eq!(marks, DIFFERENCES_BY_RENAMES.map(|(mark, _)| mark), "what git's renames change");
}

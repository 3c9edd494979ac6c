//! UNDO-1 against a model: random operations with undo and redo in between. `WITHY_SEEDS` says how many
//! histories, `WITHY_SEED` which one alone.

use std::collections::BTreeMap;

use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{
    Batch, BranchOptions, CommitOptions, DeleteOptions, ErrorKind, KeyRange, OpId, Read, Result,
    TagOptions,
};

use crate::support::{Scratch, must_fail, must_verify, rows};

type Content = BTreeMap<String, String>;

/// What undo has to bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// Head and description of each branch.
    branches: BTreeMap<String, (u64, String)>,
    tags: BTreeMap<String, u64>,
    active: String,
}

struct Model {
    store: Scratch,
    random: fastrand::Rng,
    /// Content of every commit.
    commits: Vec<Content>,
    now: State,
    /// States before each operation that can be undone, with the id of the operation.
    done: Vec<(OpId, State)>,
    undone: Vec<(OpId, State)>,
    recorded: usize,
}

/// What an operation must come to.
enum Outcome {
    Done,
    Idle,
    Refused,
}

const BRANCHES: [&str; 6] = ["main", "a", "b", "a/b", "c", "d"];
const TAGS: [&str; 3] = ["v1", "v2", "main"];

impl Model {
    fn new(seed: u64) -> Self {
        let now = State {
            branches: BTreeMap::from([("main".to_owned(), (0, String::new()))]),
            tags: BTreeMap::new(),
            active: "main".to_owned(),
        };
        Self {
            store: Scratch::with(|options| options.blob_threshold(64)),
            random: fastrand::Rng::with_seed(seed),
            commits: vec![Content::new()],
            now,
            done: Vec::new(),
            undone: Vec::new(),
            recorded: 0,
        }
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.random.usize(..from.len())]
    }

    fn head(&self, branch: &str) -> Option<u64> {
        self.now.branches.get(branch).map(|(head, _)| *head)
    }

    fn value(&mut self) -> String {
        let n = self.random.u32(0..4);
        if n == 3 { "large ".repeat(20) } else { n.to_string() }
    }

    /// A rev, and the commit that it names.
    fn rev(&mut self) -> (String, Option<u64>) {
        match self.random.u32(0..4) {
            0 => {
                let name = self.pick(&BRANCHES);
                (format!("heads/{name}"), self.head(name))
            }
            1 => {
                let name = self.pick(&TAGS);
                (format!("tags/{name}"), self.now.tags.get(name).copied())
            }
            2 => ("@".to_owned(), self.head(&self.now.active)),
            _ => {
                let seq = self.random.u64(0..self.commits.len() as u64 + 1);
                (format!("seq:{seq}"), (seq < self.commits.len() as u64).then_some(seq))
            }
        }
    }

    /// Says what must come of a commit with this content on a branch.
    fn commit(&mut self, branch: &str, content: Content, empty: bool) -> Outcome {
        let head = self.head(branch).expect("the branch is there");
        if !empty && self.commits[head as usize] == content {
            return Outcome::Idle;
        }
        self.commits.push(content);
        let seq = self.commits.len() as u64 - 1;
        self.now.branches.get_mut(branch).expect("the branch is there").0 = seq;
        Outcome::Done
    }

    fn write(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let mut batch = Batch::new();
        let mut changes = Vec::new();
        for _ in 0..self.random.u32(0..4) {
            let key = format!("k{}", self.random.u32(0..6));
            let value = self.random.bool().then(|| self.value());
            match &value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            };
            changes.push((key, value));
        }
        let Some(head) = self.head(name) else {
            return (Outcome::Refused, self.store.branch(name).map(|_| ()));
        };
        let mut content = self.commits[head as usize].clone();
        for (key, value) in changes {
            match value {
                Some(value) => content.insert(key, value),
                None => content.remove(&key),
            };
        }
        let empty = self.random.u32(0..5) == 0;
        let branch = self.store.branch(name).expect("branch");
        let done = branch.write(batch, CommitOptions::default().allow_empty(empty));
        (self.commit(name, content, empty), done.map(|_| ()))
    }

    fn restore(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let (rev, seq) = self.rev();
        let range = KeyRange::all();
        let done = self.store.restore(name, &rev, &range, CommitOptions::default()).map(|_| ());
        match (self.head(name), seq) {
            (Some(_), Some(seq)) => {
                let content = self.commits[seq as usize].clone();
                (self.commit(name, content, false), done)
            }
            _ => (Outcome::Refused, done),
        }
    }

    fn create_branch(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let (rev, seq) = self.rev();
        let done = self.store.create_branch(name, &rev, BranchOptions::default()).map(|_| ());
        match (self.head(name), seq) {
            (None, Some(seq)) => {
                self.now.branches.insert(name.to_owned(), (seq, String::new()));
                (Outcome::Done, done)
            }
            _ => (Outcome::Refused, done),
        }
    }

    fn delete_branch(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let done = self.store.delete_branch(name, DeleteOptions::default().force(true));
        if name == "main" || self.now.active == name || self.head(name).is_none() {
            return (Outcome::Refused, done);
        }
        self.now.branches.remove(name);
        (Outcome::Done, done)
    }

    fn rename(&mut self) -> (Outcome, Result<()>) {
        let (from, to) = (self.pick(&BRANCHES), self.pick(&BRANCHES));
        let done = self.store.rename_branch(from, to);
        if from == "main" || self.head(from).is_none() {
            return (Outcome::Refused, done);
        }
        if from == to {
            return (Outcome::Idle, done);
        }
        if self.head(to).is_some() {
            return (Outcome::Refused, done);
        }
        let branch = self.now.branches.remove(from).expect("it is there");
        self.now.branches.insert(to.to_owned(), branch);
        if self.now.active == from {
            self.now.active = to.to_owned();
        }
        (Outcome::Done, done)
    }

    fn describe(&mut self) -> (Outcome, Result<()>) {
        let (name, text) = (self.pick(&BRANCHES), self.pick(&["", "one", "two"]));
        let done = self.store.describe_branch(name, text);
        match self.now.branches.get_mut(name) {
            None => (Outcome::Refused, done),
            Some((_, now)) if now == text => (Outcome::Idle, done),
            Some((_, now)) => {
                text.clone_into(now);
                (Outcome::Done, done)
            }
        }
    }

    fn switch(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let done = self.store.switch(name);
        if self.head(name).is_none() {
            return (Outcome::Refused, done);
        }
        if self.now.active == name {
            return (Outcome::Idle, done);
        }
        name.clone_into(&mut self.now.active);
        (Outcome::Done, done)
    }

    fn reset(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let (rev, seq) = self.rev();
        let done = self.store.reset(name, &rev);
        match (self.now.branches.get_mut(name), seq) {
            (Some((head, _)), Some(seq)) if *head == seq => (Outcome::Idle, done),
            (Some((head, _)), Some(seq)) => {
                *head = seq;
                (Outcome::Done, done)
            }
            _ => (Outcome::Refused, done),
        }
    }

    fn tag(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&TAGS);
        if self.random.u32(0..3) == 0 {
            let done = self.store.delete_tag(name);
            let was = self.now.tags.remove(name);
            return (was.map_or(Outcome::Refused, |_| Outcome::Done), done);
        }
        let (rev, seq) = self.rev();
        let force = self.random.bool();
        let done = self.store.create_tag(name, &rev, TagOptions::default().force(force));
        let done = done.map(|_| ());
        match seq {
            Some(seq) if force || !self.now.tags.contains_key(name) => {
                self.now.tags.insert(name.to_owned(), seq);
                (Outcome::Done, done)
            }
            _ => (Outcome::Refused, done),
        }
    }

    /// Two commits on a branch, as one operation.
    fn import(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        let value = self.value();
        let commit = |mark: u32, key: &str, value: &str| {
            format!(
                "commit refs/heads/{name}\nmark :{mark}\ncommitter A <a> 0 +0000\ndata 1\nm\n\
                 M 100644 inline {key}\ndata {}\n{value}\n",
                value.len()
            )
        };
        let stream = commit(1, "k0", &value) + &commit(2, "k1", "imported");
        let options = GitImportOptions::default().replace(true);
        let done = import_git(&self.store, stream.as_bytes(), options).map(|_| ());
        let first = Content::from([("k0".to_owned(), value)]);
        let mut second = first.clone();
        second.insert("k1".to_owned(), "imported".to_owned());
        self.commits.extend([first, second]);
        let head = self.commits.len() as u64 - 1;
        self.now.branches.entry(name.to_owned()).or_default().0 = head;
        (Outcome::Done, done)
    }

    /// A new branch with loaded rows, as one operation.
    fn load(&mut self) -> (Outcome, Result<()>) {
        let name = self.pick(&BRANCHES);
        if self.head(name).is_some() {
            return self.write();
        }
        let (rev, seq) = self.rev();
        let mut row = (b"k3".to_vec(), format!("loaded {}", self.commits.len()).into_bytes());
        let rows = [Ok(row.clone()), Ok((b"k5".to_vec(), row.1.clone()))];
        let done = load(&self.store, name, rows, LoadOptions::default().from(rev)).map(|_| ());
        let Some(seq) = seq else { return (Outcome::Refused, done) };
        let mut content = self.commits[seq as usize].clone();
        let value = String::from_utf8(std::mem::take(&mut row.1)).expect("text");
        content.insert("k3".to_owned(), value.clone());
        content.insert("k5".to_owned(), value);
        self.commits.push(content);
        let head = self.commits.len() as u64 - 1;
        self.now.branches.insert(name.to_owned(), (head, String::new()));
        (Outcome::Done, done)
    }

    fn operate(&mut self, step: &str) {
        let before = self.now.clone();
        let (outcome, done) = match self.random.u32(0..16) {
            0..5 => self.write(),
            5 => self.restore(),
            6 | 7 => self.create_branch(),
            8 => self.delete_branch(),
            9 => self.rename(),
            10 => self.describe(),
            11 => self.switch(),
            12 => self.reset(),
            13 => self.tag(),
            14 => self.import(),
            _ => self.load(),
        };
        match outcome {
            Outcome::Refused => assert!(done.is_err(), "{step}: is refused"),
            Outcome::Idle => done.unwrap_or_else(|e| panic!("{step}: is idle: {e:?}")),
            Outcome::Done => {
                done.unwrap_or_else(|e| panic!("{step}: is done: {e:?}"));
                self.recorded += 1;
                self.done.push((self.last_op(), before));
                self.undone.clear();
            }
        }
    }

    fn last_op(&self) -> OpId {
        self.store.ops(1).expect("ops")[0].id
    }

    fn undo(&mut self, step: &str) {
        let Some((id, before)) = self.done.pop() else {
            must_fail(self.store.undo(), ErrorKind::NotFound);
            return;
        };
        let op = self.store.undo().unwrap_or_else(|e| panic!("{step}: undo {id}: {e:?}"));
        assert_eq!(op.id, id, "{step}: undo names what it took back");
        self.recorded += 1;
        self.undone.push((id, std::mem::replace(&mut self.now, before)));
    }

    fn redo(&mut self, step: &str) {
        let Some((id, after)) = self.undone.pop() else {
            must_fail(self.store.redo(), ErrorKind::NotFound);
            return;
        };
        let op = self.store.redo().unwrap_or_else(|e| panic!("{step}: redo {id}: {e:?}"));
        assert_eq!(op.id, id, "{step}: redo names what it did again");
        self.recorded += 1;
        self.done.push((id, std::mem::replace(&mut self.now, after)));
    }

    /// Compares everything that undo has to bring back.
    fn check(&self, step: &str) {
        let store = &self.store;
        let infos = store.branches().expect("branches");
        let branches = infos
            .iter()
            .map(|info| (info.name.to_string(), (info.head.get(), info.description.clone())))
            .collect();
        let tags = store.tags(Default::default()).expect("tags");
        let tags = tags.iter().map(|tag| (tag.name.to_string(), tag.seq.get())).collect();
        let active = store.active().expect("active").to_string();
        assert_eq!(State { branches, tags, active }, self.now, "{step}: refs are as they were");
        for (name, (head, _)) in &self.now.branches {
            let content = &self.commits[*head as usize];
            let branch = store.branch(name).expect("branch");
            assert_eq!(&rows(&branch).into_iter().collect::<Content>(), content, "{step}: {name}");
            let view = branch.view().expect("view");
            assert_eq!(view.len(), content.len() as u64, "{step}: count of {name}");
            for key in ["k0", "k3", "k5"] {
                let value = view.get(key.as_bytes()).expect("get");
                let wanted = content.get(key).map(|v| v.clone().into_bytes());
                assert_eq!(value, wanted, "{step}: {key} on {name}");
            }
            let flag = infos.iter().find(|info| info.name.as_str() == name).map(|info| info.active);
            assert_eq!(flag, Some(*name == self.now.active), "{step}: active flag of {name}");
        }
        assert_eq!(
            store.ops(usize::MAX).expect("ops").len(),
            self.recorded,
            "{step}: each step is recorded once"
        );
        assert_eq!(store.latest().get(), self.commits.len() as u64 - 1, "{step}: each commit once");
    }
}

#[test]
fn undo_1_long_chains_match_the_model() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(24),
    };
    for seed in seeds {
        let mut model = Model::new(seed);
        for n in 0..120 {
            let step = format!("seed {seed}, step {n}");
            match model.random.u32(0..10) {
                0..6 => model.operate(&step),
                6 => (0..model.random.u32(1..12)).for_each(|_| model.undo(&step)),
                7 => (0..model.random.u32(1..12)).for_each(|_| model.redo(&step)),
                8 => model.undo(&step),
                _ if model.random.u32(0..4) == 0 => model.store.reopen(),
                _ => model.redo(&step),
            }
            model.check(&step);
        }
        must_verify(&model.store);
        while !model.done.is_empty() {
            model.undo(&format!("seed {seed}, all the way back"));
        }
        model.check(&format!("seed {seed}, at the start"));
        while !model.undone.is_empty() {
            model.redo(&format!("seed {seed}, all the way on"));
        }
        model.check(&format!("seed {seed}, at the end"));
        for (seq, content) in model.commits.iter().enumerate() {
            let view = model.store.view(&format!("seq:{seq}")).expect("view");
            assert_eq!(
                &rows(&view).into_iter().collect::<Content>(),
                content,
                "seed {seed}: commit {seq} can be read, undone or not"
            );
        }
    }
}

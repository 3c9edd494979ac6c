//! Files and folders that replace one another, copies and renames: the same trees as git, on random
//! streams. `WITHY_SEEDS` says how many, `WITHY_SEED` which one alone.

use std::fmt::Write as _;

use withy::exchange::{GitExportOptions, GitImportOptions, export_git, import_git};

use super::{CRASHED, Git};
use crate::support::Scratch;

fn path(random: &mut fastrand::Rng) -> String {
    let depth = random.usize(1..4);
    (0..depth).map(|_| random.char('a'..='c').to_string()).collect::<Vec<_>>().join("/")
}

/// A stream of a few commits over three branches.
fn stream(random: &mut fastrand::Rng) -> String {
    let mut out = String::from("feature done\n");
    for mark in 1..=random.usize(1..10) {
        let branch = random.usize(0..3);
        if mark == 1 || random.usize(0..6) == 0 {
            let _ = writeln!(out, "reset refs/heads/b{branch}");
        }
        let head = "committer A <a@b> 7 +0000\ndata 1\nx";
        let _ = writeln!(out, "commit refs/heads/b{branch}\nmark :{mark}\n{head}");
        if mark > 2 && random.bool() {
            let first = random.usize(1..mark);
            let _ = writeln!(out, "from :{first}");
            if random.bool() && first + 1 < mark {
                let _ = writeln!(out, "merge :{}", first + 1);
            }
        }
        for _ in 0..random.usize(0..7) {
            let (one, two) = (path(random), path(random));
            let _ = match random.usize(0..40) {
                0..=24 => writeln!(out, "M 100644 inline {one}\ndata 1\n{}", random.u8(0..3)),
                25..=33 => writeln!(out, "D {one}"),
                34 | 35 => writeln!(out, "C {one} {two}"),
                36 | 37 => writeln!(out, "R {one} {two}"),
                38 => writeln!(out, "deleteall"),
                _ => writeln!(out, "D \"\""),
            };
        }
        out.push('\n');
    }
    out + "done\n"
}

#[test]
fn cli_5_random_streams_give_the_same_trees_as_git() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(50),
    };
    let store = Scratch::new();
    for seed in seeds {
        let stream = stream(&mut fastrand::Rng::with_seed(seed));
        let Some(original) = Git::new() else { return };
        let theirs = original.import(stream.as_bytes());
        let prefix = format!("s{seed}/");
        let ours = GitImportOptions::default().prefix(&prefix);
        let ours = import_git(&store, stream.as_bytes(), ours);
        match (theirs, ours) {
            (Err(_), Err(_)) => {}
            // Git 2.47 does, on `D ""` and `deleteall` in one commit that has no tree yet.
            (Err(e), Ok(_)) if e == CRASHED => {}
            (Ok(()), Err(e)) => panic!("seed {seed}: git takes it, withy says {e}\n{stream}"),
            (Err(e), Ok(_)) => panic!("seed {seed}: withy takes it, git says {e}\n{stream}"),
            (Ok(()), Ok(_)) => {
                let names = store.branches().expect("branches").into_iter();
                let names = names.map(|b| b.name.to_string()).filter(|n| n.starts_with(&prefix));
                let mut out = Vec::new();
                export_git(&store, &mut out, GitExportOptions::default().branches(names))
                    .unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{stream}"));
                let Some(copy) = Git::imported(&out) else { return };
                let copied = copy.refs().replace(&format!("refs/heads/{prefix}"), "refs/heads/");
                assert_eq!(copied, original.refs(), "seed {seed}:\n{stream}");
            }
        }
    }
}

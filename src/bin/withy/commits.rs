//! Commits for people: long and short form, with the names that point at them.

use std::collections::BTreeMap;

use withy::{Commit, Seq, Store, TagListOptions};

use crate::fail::{Doing as _, Result};
use crate::out::{Out, Paint};
use crate::text::{escape, first_line};

/// The branches and tags at each commit.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<Seq, Vec<String>>);

impl Names {
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let mut names: BTreeMap<Seq, Vec<String>> = BTreeMap::new();
        for branch in store.branches().doing(|| "list branches".into())? {
            let at = names.entry(branch.head).or_default();
            match branch.active {
                true => at.insert(0, format!("@ -> {}", branch.name)),
                false => at.push(branch.name.to_string()),
            }
        }
        let tags = store.tags(TagListOptions::default()).doing(|| "list tags".into())?;
        for tag in tags {
            names.entry(tag.seq).or_default().push(format!("tag: {}", tag.name));
        }
        Ok(Self(names))
    }

    /// ` (@ -> main, tag: v1)`, or nothing.
    fn at(&self, seq: Seq, out: &Out) -> String {
        match self.0.get(&seq) {
            Some(names) => format!(" ({})", out.paint(Paint::Ref, names.join(", "))),
            None => String::new(),
        }
    }
}

/// What is said of the commit that every store starts with.
const ROOT: &str = "(the empty root)";

/// The commit on one line.
pub(crate) fn oneline(commit: &Commit, names: &Names, out: &Out) -> String {
    let id = out.paint(Paint::Id, format!("seq:{} {}", commit.seq, commit.id.short()));
    let subject = match commit.parents.is_empty() && commit.message.is_empty() {
        true => ROOT.to_owned(),
        false => first_line(&commit.message, 100),
    };
    format!("{id}{} {subject}", names.at(commit.seq, out)).trim_end().to_owned()
}

/// The commit as a block of lines, as git shows it.
pub(crate) fn block(commit: &Commit, names: &Names, out: &Out) -> Vec<String> {
    let id = out.paint(Paint::Id, format!("commit {} seq:{}", commit.id, commit.seq));
    let mut lines = vec![format!("{id}{}", names.at(commit.seq, out))];
    if commit.parents.len() > 1 {
        let parents: Vec<String> =
            commit.parents.iter().map(|p| format!("seq:{}", p.seq)).collect();
        lines.push(format!("Merge:  {}", parents.join(" ")));
    }
    if !commit.author.is_empty() {
        lines.push(format!("Author: {}", escape(commit.author.as_bytes())));
    }
    if commit.parents.is_empty() && commit.message.is_empty() {
        lines.extend([String::new(), format!("    {ROOT}"), String::new()]);
        return lines;
    }
    match &commit.origin {
        Some(origin) => lines.push(format!("Date:   {}", origin.authored)),
        None => lines.push(format!("Date:   {}", commit.time)),
    }
    lines.push(String::new());
    if !commit.message.is_empty() {
        let message = commit.message.lines().map(|line| escape_line(line).trim_end().to_owned());
        lines
            .extend(message.map(|line| if line.is_empty() { line } else { format!("    {line}") }));
        lines.push(String::new());
    }
    lines
}

/// A line of a message: tabs stay.
fn escape_line(line: &str) -> String {
    let parts: Vec<String> = line
        .split('\t')
        .map(|part| {
            crate::text::as_text(part.as_bytes())
                .map_or_else(|| escape(part.as_bytes()), str::to_owned)
        })
        .collect();
    parts.join("\t")
}

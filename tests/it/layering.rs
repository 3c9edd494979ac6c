//! Every module uses lower rows only: never its own row, never one above.
//!
//! The rows are those of `docs/architecture.md`. What is read is the source text, with comments and
//! literals taken out: every `crate::` path, every `super::` that climbs to the crate root, and the
//! groups in `use crate::{..}`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules, from the ones that know nothing of others to the face that wires them together.
const ROWS: [&[&str]; 10] = [
    &["id", "name", "kv", "error", "clock", "progress", "sides", "guide"],
    &["format"],
    &["engine"],
    &["graph", "refs"],
    &["view"],
    &["rev", "publish", "locks"],
    &["diff", "feed", "txn"],
    &["merge", "coord", "maintain"],
    &["store"],
    &["exchange", "testing"],
];

/// Words that belong to one module: the word, and the module; none for nowhere at all.
const FENCED: [(&str, Option<&str>); 3] =
    [("rocksdb", Some("engine")), ("bincode", Some("format")), ("unsafe", Some("engine"))];

/// Row 0 shares its words: these are pure and may use one another.
const SHARED: usize = 0;

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// What the scan finds in one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// First path elements below the crate root.
    roots: BTreeSet<String>,
    /// Every word.
    words: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Mark(char),
}

/// The words and marks of a source text, without comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block_comment(&chars, i);
        } else if c == '"' {
            i = after_string(&chars, i);
        } else if c == '\'' {
            i = after_quote(&chars, i);
        } else if is_word(c) {
            let start = i;
            while i < chars.len() && is_word(chars[i]) {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let raw = matches!(word.as_str(), "r" | "br" | "cr") && matches!(at(i), '"' | '#');
            if raw && (at(i) == '"' || raw_string_follows(&chars, i)) {
                i = after_raw_string(&chars, i);
            } else {
                out.push(Token::Word(word));
            }
        } else {
            if !c.is_whitespace() {
                out.push(Token::Mark(c));
            }
            i += 1;
        }
    }
    out
}

/// Whether what starts with `#` here is a raw string, not a raw identifier.
fn raw_string_follows(chars: &[char], i: usize) -> bool {
    chars[i..].iter().find(|&&c| c != '#') == Some(&'"')
}

fn after_block_comment(chars: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0_usize);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (i, depth) = (i + 2, depth + 1),
            ('*', '/') => {
                (i, depth) = (i + 2, depth - 1);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn after_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn after_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start..].iter().take_while(|&&c| c == '#').count();
    let mut i = start + hashes + 1;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take_while(|&&c| c == '#').count() >= hashes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    i
}

/// After a character literal, or after the quote of a lifetime.
fn after_quote(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            let mut i = start + 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i + 1
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// Reads one file; `depth` is how many modules deep it lies below the crate root.
fn scan(text: &str, depth: usize) -> Found {
    let tokens = tokens(text);
    let mut found = Found::default();
    let word = |i: usize| match tokens.get(i) {
        Some(Token::Word(w)) => Some(w.as_str()),
        _ => None,
    };
    let mark = |i: usize, c: char| tokens.get(i) == Some(&Token::Mark(c));
    let path_mark = |i: usize| mark(i, ':') && mark(i + 1, ':');

    // Brace depths at which inline modules were opened.
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0_usize;
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            Token::Mark('{') => braces += 1,
            Token::Mark('}') => {
                braces = braces.saturating_sub(1);
                inline.retain(|&opened| opened < braces);
            }
            Token::Mark(_) => {}
            Token::Word(w) => {
                found.words.insert(w.clone());
                let starts_path = !(i >= 2 && path_mark(i - 2));
                if w == "mod" && mark(i + 2, '{') {
                    inline.push(braces);
                } else if w == "crate" && path_mark(i + 1) {
                    add_roots(&tokens, i + 3, &mut found.roots);
                } else if w == "super" && starts_path {
                    let mut climbed = 1;
                    let mut next = i + 1;
                    while path_mark(next) && word(next + 2) == Some("super") {
                        climbed += 1;
                        next += 3;
                    }
                    if climbed == depth + inline.len() && path_mark(next) {
                        add_roots(&tokens, next + 2, &mut found.roots);
                    }
                }
            }
        }
        i += 1;
    }
    found
}

/// The first elements of the path, or of each path in the group, that starts at `i`.
fn add_roots(tokens: &[Token], i: usize, roots: &mut BTreeSet<String>) {
    match tokens.get(i) {
        Some(Token::Word(w)) => {
            // A macro is exported at the root, wherever it is written.
            if tokens.get(i + 1) != Some(&Token::Mark('!')) {
                roots.insert(w.clone());
            }
        }
        Some(Token::Mark('*')) => {
            roots.insert("*".into());
        }
        Some(Token::Mark('{')) => {
            let mut depth = 0_usize;
            let mut first = false;
            for token in &tokens[i..] {
                match token {
                    Token::Mark('{') => {
                        depth += 1;
                        first = depth == 1;
                    }
                    Token::Mark('}') => {
                        depth -= 1;
                        if depth == 0 {
                            break;
                        }
                    }
                    Token::Mark(',') => first = depth == 1,
                    Token::Word(w) if first => {
                        roots.insert(w.clone());
                        first = false;
                    }
                    Token::Mark(_) | Token::Word(_) => {}
                }
            }
        }
        Some(Token::Mark(_)) | None => {}
    }
}

/// What a file of the library does that its row does not allow.
fn faults(file: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    let module = parts[0];
    let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
    let found = scan(text, depth);
    let mut out = Vec::new();
    for (word, home) in FENCED {
        if found.words.contains(word) && home != Some(module) {
            out.push(match home {
                Some(home) => format!("{file}: only {home} may name {word}"),
                None => format!("{file}: nothing may name {word}"),
            });
        }
    }
    if file == "lib.rs" {
        return out;
    }
    let Some(row) = row_of(module) else {
        out.push(format!("{file}: {module} is in no row; give it one here and in the docs"));
        return out;
    };
    for root in found.roots.iter().filter(|root| *root != module) {
        match row_of(root) {
            Some(used) if used < row || (used, row) == (SHARED, SHARED) => {}
            Some(_) => out.push(format!("{file}: {module} must not use {root}")),
            None => out.push(format!("{file}: crate::{root} hides the module that it comes from")),
        }
    }
    out
}

/// Every `.rs` file below a directory, by path from there.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("directory is there") {
            let path = entry.expect("entry can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

#[test]
fn every_arrow_points_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    for path in sources(&src) {
        let file = path.strip_prefix(&src).expect("is below src").to_str().expect("is text");
        let file = file.replace('\\', "/");
        let text = fs::read_to_string(&path).expect("source can be read");
        if file.starts_with("bin/") {
            // A crate of its own, which can see the public names only.
            let words = scan(&text, 0).words;
            for (word, _) in FENCED.iter().filter(|(word, _)| words.contains(*word)) {
                all.push(format!("{file}: the command line must not name {word}"));
            }
        } else {
            all.extend(faults(&file, &text));
        }
    }
    assert!(all.is_empty(), "modules use lower rows only:\n{}", all.join("\n"));
}

#[test]
fn an_upward_import_is_named() {
    let up = faults("format/mod.rs", "use crate::engine::Engine;");
    assert_eq!(up, ["format/mod.rs: format must not use engine"], "in words a person can act on");
    let sideways = faults("graph/walk.rs", "fn f() { crate::refs::list() }");
    assert_eq!(sideways, ["graph/walk.rs: graph must not use refs"], "a path in code counts");
    let group = faults("view/mod.rs", "use crate::{id::Seq, publish::{self, Plan}, engine};");
    assert_eq!(group, ["view/mod.rs: view must not use publish"], "each member of a group counts");
    let climb = faults("kv.rs", "use super::format::keys;");
    assert_eq!(climb, ["kv.rs: kv must not use format"], "climbing to the root counts");
    let deep = faults("engine/batch/mod.rs", "mod t { use super::super::super::view; }");
    assert_eq!(deep, ["engine/batch/mod.rs: engine must not use view"], "from inside as well");
}

#[test]
fn downward_imports_and_mere_mentions_pass() {
    let fine = r##"
        //! See [`Store`](crate::store::Store).
        use crate::{format::keys, id::Seq};
        use super::neighbour; /* crate::store */
        const TEXT: &str = "crate::store::Store"; const RAW: &str = r#"crate::"store"#;
        fn f<'a>(c: char) -> bool { c == '"' || c == '\'' || crate::ensure!(c == 'x') }
        #[cfg(test)]
        mod tests { use super::*; }
    "##;
    assert_eq!(faults("view/scan.rs", fine), [""; 0], "nothing in it goes up");
}

#[test]
fn fenced_words_stay_in_their_module() {
    assert_eq!(
        faults("view/mod.rs", "use rocksdb::DB;"),
        ["view/mod.rs: only engine may name rocksdb"],
        "the storage engine is behind one module"
    );
    assert_eq!(faults("engine/mod.rs", "use rocksdb::DB;"), [""; 0], "which is this one");
    assert_eq!(
        faults("format/mod.rs", "use crate::Error;"),
        ["format/mod.rs: crate::Error hides the module that it comes from"],
        "a name of the facade would hide which row it is"
    );
    assert_eq!(
        faults("cache.rs", ""),
        ["cache.rs: cache is in no row; give it one here and in the docs"],
        "a new module has to be placed"
    );
}

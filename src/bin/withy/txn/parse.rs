//! Lines to commands. Nothing is looked up and nothing is done here.

use std::time::Duration;

use super::command::{Begin, Command, Data, Line, Trouble};
use super::words::Words;
use super::{help, trouble};
use crate::changes::Formats;

/// The command on a line; none if it is empty or a comment.
pub(super) fn line(number: usize, text: &str, formats: Formats) -> Result<Option<Line>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = name_of(text);
    let mut words = Words::new(rest, formats);
    let verb = words.peek().unwrap_or_default();
    let command = match command(&mut words) {
        Ok(command) => command,
        Err(what) if help::topic(verb).is_some() => {
            return Err(format!("{what}; the form is {}", help::forms(form_of(rest, verb))));
        }
        Err(what) => return Err(what),
    };
    let alone = match &command {
        Command::ExpectTrouble(_) => Some("is about the command on the next line, name it there"),
        Command::Branch { .. } => Some("is no part of a transaction"),
        Command::Stats | Command::Help(_) | Command::Quit => Some("is about all transactions"),
        _ => None,
    };
    if let Some(why) = alone.filter(|_| !name.is_empty()) {
        return Err(format!("`{rest}` {why}"));
    }
    Ok(Some(Line { number, text: text.to_owned(), name: name.to_owned(), command }))
}

/// The topic that explains a line best.
fn form_of<'t>(rest: &str, verb: &'t str) -> &'t str {
    let mut words = rest.split_whitespace().skip(1);
    match (verb, words.next()) {
        ("expect", Some("conflict")) => "expect conflict",
        ("expect", Some("error")) => "expect error",
        _ => verb,
    }
}

/// The name of the transaction in front of a command.
fn name_of(text: &str) -> (&str, &str) {
    let first = text.split_whitespace().next().unwrap_or_default();
    let is_name = |name: &&str| {
        let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !name.is_empty() && name.chars().all(fits)
    };
    match first.strip_suffix(':').filter(is_name) {
        Some(name) => (name, text[first.len()..].trim_start()),
        None => ("", text),
    }
}

fn command(words: &mut Words<'_>) -> Result<Command, String> {
    let verb = words.peek().unwrap_or_default();
    if !words.keyword(verb) {
        return Err("expected a command; `help` at the prompt shows them all".into());
    }
    let command = match verb {
        "begin" => Command::Begin(begin(words)?),
        "commit" if words.is_empty() => Command::Commit(None),
        "commit" => Command::Commit(Some(words.text()?)),
        "rollback" if words.keyword("to") => Command::RollbackTo(words.name("a name")?),
        "rollback" => Command::Rollback,
        "savepoint" => Command::Savepoint(words.name("a name")?),
        "release" => Command::Release(words.name("a name")?),
        "savepoints" => Command::Savepoints,
        "lock" => lock(words)?,
        "enqueue" => Command::Enqueue { topic: words.name("a topic")?, payload: words.value()? },
        "branch" => {
            let name = words.name("a name")?;
            let rev = (!words.is_empty()).then(|| words.name("a rev")).transpose()?;
            Command::Branch { name, rev }
        }
        "on" => {
            let branch = words.name("a branch")?;
            let verb = words.peek().unwrap_or_default();
            if !words.keyword(verb) {
                return Err("expected a command for the branch".into());
            }
            let data = data(verb, words)?;
            let data = data.ok_or_else(|| format!("`{verb}` does not go with `on BRANCH`"))?;
            Command::Data(Some(branch), data)
        }
        "expect" => expectation(words)?,
        "stats" => Command::Stats,
        "help" | "?" => {
            // Two words make `expect error`.
            let mut name = String::new();
            while !words.is_empty() {
                let space = if name.is_empty() { "" } else { " " };
                name = format!("{name}{space}{}", words.name("a command")?);
            }
            Command::Help((!name.is_empty()).then_some(name))
        }
        "quit" | "exit" => Command::Quit,
        _ => match data(verb, words)? {
            Some(data) => Command::Data(None, data),
            None => return Err(format!("there is no command `{verb}`")),
        },
    };
    words.end()?;
    Ok(command)
}

fn expectation(words: &mut Words<'_>) -> Result<Command, String> {
    if words.keyword("conflict") {
        let mut keys = Vec::new();
        while !words.is_empty() {
            keys.push(words.key("a key")?);
        }
        return Ok(Command::ExpectTrouble(Trouble::Conflict(keys)));
    }
    if words.keyword("error") {
        return Ok(Command::ExpectTrouble(error(words)?));
    }
    if words.keyword("savepoints") {
        must_equal(words)?;
        let mut names = Vec::new();
        while !words.is_empty() {
            names.push(words.name("a name")?);
        }
        return Ok(Command::ExpectSavepoints(names));
    }
    Ok(Command::Data(None, expect(words)?))
}

/// A read or write of keys, if the verb is one.
fn data(verb: &str, words: &mut Words<'_>) -> Result<Option<Data>, String> {
    Ok(Some(match verb {
        "put" => {
            let key = words.key("a key")?;
            words.equals();
            Data::Put(key, words.value()?)
        }
        "del" => Data::Del(words.key("a key")?),
        "get" => {
            let key = words.key("a key")?;
            let for_update = words.keyword("for");
            if for_update && !words.keyword("update") {
                return Err("expected `for update`".into());
            }
            Data::Get { key, for_update }
        }
        "scan" => Data::Scan(words.prefix()?),
        "count" => Data::Count(words.prefix()?),
        "expect" => expect(words)?,
        _ => return Ok(None),
    }))
}

fn expect(words: &mut Words<'_>) -> Result<Data, String> {
    if words.keyword("count") {
        let prefix = words.prefix()?;
        must_equal(words)?;
        return Ok(Data::ExpectCount(prefix, words.number("a count")?));
    }
    if words.keyword("scan") {
        let prefix = words.prefix()?;
        must_equal(words)?;
        let mut rows = Vec::new();
        while !words.is_empty() {
            let key = words.key("a key")?;
            must_equal(words)?;
            rows.push((key, words.short_value()?));
        }
        if !rows.is_sorted_by(|(a, _): &(Vec<u8>, _), (b, _)| a < b) {
            return Err("the keys stand in key order, each once".into());
        }
        if let Some((key, _)) = rows.iter().find(|(key, _)| !key.starts_with(&prefix)) {
            return Err(format!("the key {} does not have the prefix", key.escape_ascii()));
        }
        return Ok(Data::ExpectScan(prefix, rows));
    }
    let key = words.key("a key")?;
    if words.keyword("absent") {
        return Ok(Data::ExpectValue(key, None));
    }
    must_equal(words)?;
    Ok(Data::ExpectValue(key, Some(words.value()?)))
}

fn must_equal(words: &mut Words<'_>) -> Result<(), String> {
    if words.equals() { Ok(()) } else { Err("expected `=`".into()) }
}

fn error(words: &mut Words<'_>) -> Result<Trouble, String> {
    let name = words.name("a kind of error")?;
    let kind = trouble::kind(&name).ok_or_else(|| {
        let all: Vec<_> = trouble::kinds().collect();
        format!("no kind of error is called `{name}`: they are {}", all.join(", "))
    })?;
    let text = (!words.is_empty()).then(|| words.text()).transpose()?;
    Ok(Trouble::Error(kind, text))
}

fn lock(words: &mut Words<'_>) -> Result<Command, String> {
    let path = words.name("a path")?;
    let is_subtree = words.keyword("subtree");
    let wait = if words.keyword("wait") { milliseconds(words)? } else { Duration::ZERO };
    Ok(Command::Lock { path, is_subtree, wait })
}

fn milliseconds(words: &mut Words<'_>) -> Result<Duration, String> {
    words.number("a number of milliseconds").map(Duration::from_millis)
}

fn begin(words: &mut Words<'_>) -> Result<Begin, String> {
    let mut begin = Begin::default();
    let mut is_first = true;
    while !words.is_empty() {
        let word = words.peek().unwrap_or_default();
        let level = word.parse().ok();
        let is_known = level.is_some() || matches!(word, "operations" | "bytes" | "time");
        if !is_known {
            let name = words.name("a branch")?;
            if !is_first {
                let place =
                    if begin.branch.is_none() { "; the branch comes before them" } else { "" };
                return Err(format!("`{name}` is neither a level nor a limit{place}"));
            }
            begin.branch = Some(name);
        } else {
            words.keyword(word);
            let was_set = match (word, level) {
                (_, Some(level)) => begin.isolation.replace(level).is_some(),
                ("operations", _) => begin.operations.replace(words.number(word)?).is_some(),
                ("bytes", _) => begin.bytes.replace(words.number(word)?).is_some(),
                _ => begin.time.replace(milliseconds(words)?).is_some(),
            };
            if was_set {
                return Err(format!("`{word}` is one too many"));
            }
        }
        is_first = false;
    }
    Ok(begin)
}

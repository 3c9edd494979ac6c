//! Scenario files: sections, and what stands in them. Every fault names its line.

use std::collections::BTreeSet;

use super::Scenario;
use super::settings::setting;
use super::step::{Action, Matrix, Setting, Step, What};
use super::text::{value, word};
use crate::error::{Error, ErrorKind};
use crate::kv::{check_key, show_key};
use crate::name::BranchName;

pub(super) fn fault(file: &str, line: usize, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{file}:{line}: {what}"))
}

/// Lines with their numbers; comments and empty lines are left out.
pub(super) struct Lines<'t> {
    rest: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'t>>>,
    /// The number of the line that was read last.
    pub(super) number: usize,
    /// How many bytes of values there can still be.
    left: usize,
}

/// More than a test has use for.
const MAX_VALUES: usize = 64 << 20;

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: text.lines().enumerate().peekable(), number: 0, left: MAX_VALUES }
    }

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let (at, line) = self.rest.next()?;
            self.number = at + 1;
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                return Some(line);
            }
        }
    }

    /// The next line, unless a section begins there.
    fn next_inside(&mut self) -> Option<&'t str> {
        loop {
            let (at, line) = self.rest.peek()?;
            let line = line.trim();
            if line.starts_with('[') {
                return None;
            }
            self.number = at + 1;
            self.rest.next();
            if !line.is_empty() && !line.starts_with('#') {
                return Some(line);
            }
        }
    }

    /// The value that stands after `=`, there or in the lines below.
    pub(super) fn value(&mut self, text: &str) -> Result<Vec<u8>, String> {
        if !text.is_empty() {
            if text.starts_with('|') {
                return Err("lines of a value begin below its key".into());
            }
            let value = value(text)?;
            let left = self.left.checked_sub(value.len());
            self.left = left.ok_or("the values of a scenario have at most 64 MiB in all")?;
            return Ok(value);
        }
        let mut out = Vec::new();
        let mut seen = false;
        while let Some((at, line)) = self.rest.peek() {
            let Some(line) = line.trim_start().strip_prefix('|') else { break };
            (self.number, seen) = (at + 1, true);
            let (line, end) = match line.strip_prefix('~') {
                Some(line) => (line, ""),
                None => (line, "\n"),
            };
            match line.strip_prefix(' ') {
                Some(line) => out.extend_from_slice(line.as_bytes()),
                None if line.is_empty() => {}
                None => return Err("expected `| TEXT`, or `|~ TEXT` without a line end".into()),
            }
            out.extend_from_slice(end.as_bytes());
            self.rest.next();
            let more = self.rest.peek().is_some_and(|(_, l)| l.trim_start().starts_with('|'));
            if end.is_empty() && more {
                return Err("only the last line can be without a line end".into());
            }
        }
        if seen { Ok(out) } else { Err("expected a value; an empty one is `\"\"`".into()) }
    }
}

/// Reads all of it.
pub(super) fn scenario(file: &str, text: &str) -> Result<Scenario, Error> {
    let mut lines = Lines::new(text);
    let (about, steps) = match read(&mut lines) {
        Ok(read) => read,
        Err(what) => return Err(fault(file, lines.number.max(1), &what)),
    };
    let matrix = Matrix::of(&steps).map_err(|line| fault(file, line, "too many choices"))?;
    Ok(Scenario { file: file.to_owned(), about, steps, matrix, drivers: Vec::new() })
}

fn read(lines: &mut Lines<'_>) -> Result<(Vec<String>, Vec<Step>), String> {
    let mut about = Vec::new();
    while let Some(line) = lines.next_inside() {
        about.push(line.to_owned());
    }
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let inner = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        let inner = inner.ok_or("expected `]` at the end")?;
        let number = lines.number;
        let mut what = header(inner)?;
        body(lines, &mut what)?;
        if let What::Commit { branch, from: None, changes } = &what
            && changes.is_empty()
            && !["base", "ours", "theirs"].contains(&branch.as_str())
        {
            return Err(format!(
                "[{branch}] changes nothing; a branch without changes is `[{branch} from REV]`"
            ));
        }
        steps.push(Step { line: number, what });
    }
    if steps.is_empty() {
        return Err("a scenario has sections, such as `[ours]`".into());
    }
    if !steps.iter().any(|step| matches!(step.what, What::Operate(..))) {
        let what = What::Operate(merge("theirs", "ours")?, Vec::new());
        steps.push(Step { line: lines.number, what });
    }
    Ok((about, steps))
}

fn branch(name: &str) -> Result<BranchName, String> {
    BranchName::new(name).map_err(|e| e.to_string())
}

fn merge(source: &str, target: &str) -> Result<Action, String> {
    Ok(Action::Merge { source: source.to_owned(), target: branch(target)? })
}

/// What stands between the brackets.
fn header(inner: &str) -> Result<What, String> {
    let words: Vec<&str> = inner.split_whitespace().collect();
    let owned = |revs: &[&str]| revs.iter().map(|&rev| rev.to_owned()).collect::<Vec<_>>();
    let action = match words.as_slice() {
        ["merge"] => merge("theirs", "ours")?,
        ["merge", source, "into", target] => merge(source, target)?,
        ["squash"] => Action::Squash { source: "theirs".into(), target: branch("ours")? },
        ["squash", source, "into", target] => {
            Action::Squash { source: (*source).to_owned(), target: branch(target)? }
        }
        ["pick", revs @ .., "onto", target] if !revs.is_empty() => {
            Action::Pick { revs: owned(revs), target: branch(target)? }
        }
        ["revert", revs @ .., "on", target] if !revs.is_empty() => {
            Action::Revert { revs: owned(revs), target: branch(target)? }
        }
        ["rebase", name, "onto", onto] => {
            Action::Rebase { branch: branch(name)?, onto: (*onto).to_owned() }
        }
        ["continue", name] => Action::Continue { branch: branch(name)? },
        ["abort", name] => Action::Abort { branch: branch(name)? },
        ["reset", name, "to", to] => {
            return Ok(What::Reset { branch: branch(name)?, to: (*to).to_owned() });
        }
        [name] => {
            return Ok(What::Commit { branch: branch(name)?, from: None, changes: Vec::new() });
        }
        [name, "from", rev] => {
            let from = Some((*rev).to_owned());
            return Ok(What::Commit { branch: branch(name)?, from, changes: Vec::new() });
        }
        _ => {
            return Err("expected `[BRANCH]`, `[BRANCH from REV]`, `[merge REV into BRANCH]`, \
                        `[squash REV into BRANCH]`, `[pick REV.. onto BRANCH]`, \
                        `[revert REV.. on BRANCH]`, `[rebase BRANCH onto REV]`, \
                        `[reset BRANCH to REV]`, `[continue BRANCH]` or `[abort BRANCH]`"
                .into());
        }
    };
    Ok(What::Operate(action, Vec::new()))
}

fn body(lines: &mut Lines<'_>, what: &mut What) -> Result<(), String> {
    match what {
        What::Commit { changes, .. } => {
            let mut seen = BTreeSet::new();
            while let Some(line) = lines.next_inside() {
                let (key, value) = change(lines, line)?;
                check_key(&key).map_err(|e| e.to_string())?;
                if !seen.insert(key.clone()) {
                    return Err(format!("{} is changed twice in one commit", show_key(&key)));
                }
                changes.push((key, value));
            }
        }
        What::Reset { .. } => {
            if lines.next_inside().is_some() {
                return Err("nothing can be said of a reset".into());
            }
        }
        What::Operate(action, settings) => {
            while let Some(line) = lines.next_inside() {
                let one: Setting = setting(lines, action, line)?;
                // That two resolutions for one key are refused is for the store to say.
                let twice = settings.iter().any(|other| other.name == one.name);
                if twice && !one.name.starts_with("resolve ") {
                    return Err(format!("{} is set twice", one.name));
                }
                settings.push(one);
            }
        }
    }
    Ok(())
}

/// `KEY = VALUE` or `delete KEY`.
fn change(lines: &mut Lines<'_>, line: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    const WANTED: &str = "expected `KEY = VALUE` or `delete KEY`";
    let (key, rest) = word(line)?;
    if let Some(text) = rest.strip_prefix('=') {
        return Ok((key, Some(lines.value(text.trim_start())?)));
    }
    if key != b"delete" || line.starts_with('"') || rest.is_empty() {
        return Err(WANTED.into());
    }
    match word(rest)? {
        (key, "") => Ok((key, None)),
        _ => Err(WANTED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;

    fn fault(text: &str) -> String {
        let error = Scenario::parse(text).expect_err("it is refused");
        let text = error.to_string();
        text.strip_prefix("scenario:").expect("it names the file").to_owned()
    }

    #[test]
    fn faults_name_their_line() {
        for (text, want) in [
            ("", "1: a scenario has sections, such as `[ours]`"),
            ("About\n", "1: a scenario has sections, such as `[ours]`"),
            ("[ours\n", "1: expected `]` at the end"),
            ("[ours]\n\nk v\n", "3: expected `KEY = VALUE` or `delete KEY`"),
            ("[ours]\ndelete a b\n", "2: expected `KEY = VALUE` or `delete KEY`"),
            ("[ours]\nk =\n", "2: expected a value; an empty one is `\"\"`"),
            ("[ours]\nk = | a\n", "2: lines of a value begin below its key"),
            ("[ours]\nk =\n|a\n", "3: expected `| TEXT`, or `|~ TEXT` without a line end"),
            ("[ours]\nk =\n|~ a\n| b\n", "3: only the last line can be without a line end"),
            ("[ours]\n| a\n", "2: expected `KEY = VALUE` or `delete KEY`"),
            ("[ours]\nk = 1\n# again\nk = 2\n", "4: k is changed twice in one commit"),
            ("[ours]\n\"\" = 1\n", "2: key is empty, the shortest has 1 byte"),
            ("[ours]\n= 1\n", "2: expected a word"),
            ("[ours]\nk = \"a\n", "2: no closing quote"),
            ("[reset ours to base]\nk = 1\n", "2: nothing can be said of a reset"),
            (
                "[base]\na = 1\n[mrege]\n",
                "3: [mrege] changes nothing; a branch without changes is `[mrege from REV]`",
            ),
            ("[merge]\nstrict = yes\nstrict = no\n", "3: strict is set twice"),
            ("[merge]\nstrict = perhaps\n", "2: strict is yes or no, not `perhaps`"),
            ("[merge]\ncolour = red\n", "2: nothing is called `colour` here"),
            ("[abort ours]\nstrict = yes\n", "2: strict does not go with abort"),
        ] {
            assert_eq!(fault(text), want, "{text:?}");
        }
        assert!(fault("[merge a b]\n").starts_with("1: expected `[BRANCH]`"), "all forms are told");
    }

    #[test]
    fn a_matrix_of_too_many_cells_is_refused() {
        let many = "[merge]\nstrategy = each\ndriver = each\nstrict = each\n".repeat(3);
        assert!(fault(&many).ends_with("too many choices"), "110,592 cells");
    }

    #[test]
    fn hostile_text_is_refused_and_nothing_worse() {
        let text = "[base]\nk = \"\\x41\" * 2\nj =\n  | a\n  |~ b\ndelete i\n[ours from main]\n\
                    [merge]\nstrategy a* = each\nresolve k = value \"v\"\nmainline = 1\n";
        for end in 0..text.len() {
            let _ = Scenario::parse(&text[..end]);
            for with in ["\"", "=", "[", "]", "|", "\\", "\u{fffd}", "\n", "\0", "*", ","] {
                let _ = Scenario::parse(&format!("{}{with}{}", &text[..end], &text[end + 1..]));
                let _ = Scenario::parse(&format!("{}{with}{}", &text[..end], &text[end..]));
            }
        }
    }
}

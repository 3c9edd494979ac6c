//! What merge, cherry-pick, revert and rebase have in common: options, and the steps of what is open.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use withy::{
    CommitOptions, ContinueOptions, ErrorKind, KeyPattern, MergeAction, MergeOptions, OpenMerge,
    Resolution, Store, Strategy,
};

use crate::app::App;
use crate::conflicts;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::merged::{Asked, tell};
use crate::progress::Progress;
use crate::text::{Format, escape, shorten};

/// How conflicts are settled; what is not said here is as the store's settings say.
#[derive(Args, Clone, Debug)]
pub(crate) struct Policy {
    /// Who wins conflicts; `manual`: nobody, they wait; `fast-forward`: nobody, the merge is refused
    #[arg(
        long, short, short_alias = 'X', value_name = "STRATEGY", value_parser = strategies(),
        conflicts_with = "step"
    )]
    strategy: Option<Strategy>,
    /// Who wins conflicts on keys that start with PREFIX, or match PREFIX*SUFFIX
    #[arg(long, value_name = "PATTERN=STRATEGY", conflicts_with = "step")]
    strategy_for: Vec<OsString>,
    /// What merges values of some keys: text, json, counter, set, last-write or none
    #[arg(long, value_name = "PATTERN=DRIVER", conflicts_with = "step")]
    driver: Vec<OsString>,
    /// Settle the conflict on a key: ours, theirs, base or delete
    #[arg(long, value_name = "KEY=SIDE", conflicts_with = "step")]
    resolve: Vec<OsString>,
    /// Settle the conflict on a key with a value
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "step")]
    resolve_value: Vec<OsString>,
    /// Count what both sides changed alike as a conflict too
    #[arg(long, conflicts_with = "step")]
    strict: bool,
    /// Leave nothing open if there are conflicts
    #[arg(long, conflicts_with = "step")]
    pub(crate) no_open: bool,
}

/// The names of strategies.
fn strategies() -> impl TypedValueParser<Value = Strategy> {
    let names = PossibleValuesParser::new(Strategy::ALL.map(Strategy::name));
    names.try_map(|name| name.parse::<Strategy>())
}

impl Policy {
    /// The options of the library.
    pub(crate) fn options(
        &self,
        message: Option<String>,
        app: &App,
    ) -> Result<MergeOptions<'static>> {
        let mut options = MergeOptions::default().strict(self.strict).keep_open(!self.no_open);
        if let Some(strategy) = self.strategy {
            options = options.strategy(strategy);
        }
        for rule in &self.strategy_for {
            let (pattern, name) = halves(rule, "PATTERN=STRATEGY")?;
            let name = String::from_utf8_lossy(name);
            let strategy = name.parse::<Strategy>().doing(|| "read --strategy-for".into())?;
            options = options.strategy_for(read_pattern(pattern, app.key_format()?)?, strategy);
        }
        for rule in &self.driver {
            let (pattern, name) = halves(rule, "PATTERN=DRIVER")?;
            let pattern = read_pattern(pattern, app.key_format()?)?;
            options = match name {
                b"none" => options.no_driver_for(pattern),
                name => options.driver_for(pattern, String::from_utf8_lossy(name)),
            };
        }
        for one in &self.resolve {
            let (key, side) = halves(one, "KEY=SIDE")?;
            let key = read_key(key, app)?;
            let resolution = match side {
                b"ours" => Resolution::Ours,
                b"theirs" => Resolution::Theirs,
                b"base" => Resolution::Base,
                b"delete" => Resolution::Delete,
                other => {
                    let cause = format!("no side {:?}", String::from_utf8_lossy(other));
                    return Err(Failure::usage("read --resolve", cause)
                        .hint("use ours, theirs, base or delete, or --resolve-value KEY=VALUE"));
                }
            };
            options = options.resolve(key, resolution);
        }
        for one in &self.resolve_value {
            let (key, value) = key_and_value(one, app)?;
            options = options.resolve(key, Resolution::Value(value));
        }
        Ok(match message {
            Some(message) => options.message(message),
            None => options,
        })
    }
}

/// What stands before and after the last `=`.
fn halves<'a>(text: &'a OsStr, form: &str) -> Result<(&'a [u8], &'a [u8])> {
    let bytes = text.as_encoded_bytes();
    match bytes.iter().rposition(|&b| b == b'=') {
        Some(at) => Ok((&bytes[..at], &bytes[at + 1..])),
        None => {
            let cause = format!("{:?} has no `=`", text.to_string_lossy());
            let all = match form.split_once('=') {
                Some(("PATTERN", _)) => {
                    format!("; `={}` is for all keys", escape(bytes))
                }
                _ => String::new(),
            };
            Err(Failure::usage(format!("read {form}"), cause)
                .hint(format!("write it as {form}{all}")))
        }
    }
}

/// A key and a value, parted by the first `=` before which there is a key: base64 has some of its own.
fn key_and_value(text: &OsStr, app: &App) -> Result<(Vec<u8>, Vec<u8>)> {
    let bytes = text.as_encoded_bytes();
    let format = app.key_format()?;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'=') {
        if let Ok(key) = format.parse(&bytes[..at]) {
            let value = app.value_format()?.parse(&bytes[at + 1..]);
            return Ok((key, value.map_err(|e| Failure::usage("read the value", e))?));
        }
    }
    let cause = format!("{:?} is not a key, `=` and a value", text.to_string_lossy());
    Err(Failure::usage("read --resolve-value", cause).hint("write an `=` in a key as \\x3d"))
}

fn read_key(text: &[u8], app: &App) -> Result<Vec<u8>> {
    let parsed = app.key_format()?.parse(text);
    parsed.map_err(|e| Failure::usage(format!("read key {}", String::from_utf8_lossy(text)), e))
}

/// Keys by prefix, or by `PREFIX*SUFFIX`. A star of a key itself is written as an escape.
pub(crate) fn read_pattern(text: &[u8], format: Format) -> Result<KeyPattern> {
    let (prefix, suffix) = match text.iter().position(|&b| b == b'*') {
        Some(star) => (&text[..star], &text[star + 1..]),
        None => (text, &[][..]),
    };
    let parse = |part: &[u8]| {
        let doing = || format!("read pattern {}", String::from_utf8_lossy(text));
        format.parse(part).map_err(|e| Failure::usage(doing(), e))
    };
    Ok(KeyPattern::new(parse(prefix)?, parse(suffix)?))
}

/// The pattern, as [`read_pattern`] reads it.
pub(crate) fn show_pattern(pattern: &KeyPattern) -> String {
    let (prefix, suffix) = pattern.parts();
    let show = |part| Format::Text.show(part).replace('*', "\\x2a");
    match suffix {
        [] => show(prefix),
        suffix => format!("{}*{}", show(prefix), show(suffix)),
    }
}

/// What to do with what is open.
#[derive(Args, Clone, Debug)]
#[group(id = "step", multiple = false)]
pub(crate) struct Steps {
    /// Go on when conflicts are settled
    #[arg(long = "continue")]
    go_on: bool,
    /// Give up; the branch stays as it is
    #[arg(long)]
    abort: bool,
    /// Say what is open on the branch
    #[arg(long)]
    status: bool,
}

impl Steps {
    /// Whether this is about something that is open.
    pub(crate) fn any(&self) -> bool {
        self.go_on || self.abort || self.status
    }

    /// Does the step for what is open on the branch.
    pub(crate) fn run(
        &self,
        verb: &str,
        message: Option<String>,
        app: &mut App,
    ) -> Result<Outcome> {
        if self.status {
            return status(app);
        }
        let store = app.open_write()?;
        let branch = existing_branch(&store, app)?;
        let word = if self.abort { "abort" } else { "continue" };
        let doing = || format!("{word} the {verb} on {branch}");
        let Some(open) = store.open_merge(&branch).doing(doing)? else {
            return Err(none_open(doing(), &branch));
        };
        let own = verb_of(open.action);
        if own != verb {
            let cause = format!("what is open is a {own}");
            let command = command(&store, &branch, own);
            return Err(Failure::usage(doing(), cause).hint(format!("use `{command} --{word}`")));
        }
        if self.abort {
            let open = store.abort_merge(&branch).doing(doing)?;
            let object = conflicts::open_json(&open).with("aborted", true);
            app.say(app.out()?, object, |_| {
                format!("aborted the {}; {branch} stays as it is", describe(&open))
            })?;
            return Ok(Outcome::Done);
        }
        let mut options = CommitOptions::default();
        if let Some(message) = message {
            options = options.message(message);
        }
        let moved = conflicts::moved(&store, &open);
        let mut progress = progress(own, app);
        let options = ContinueOptions::from(options).progress(|so_far| progress.tell(so_far));
        let report = store.continue_merge(&branch, options).doing(doing)?;
        drop(progress);
        if let (false, Some(moved)) = (report.conflicts.is_empty(), moved) {
            app.deny(&moved);
        }
        tell(app, &store, Asked { source: &open.source, no_open: false }, &report, None)
    }
}

/// The branch to work on; it has to be there, or what is open on it. An `undo` can take away a branch
/// only.
pub(crate) fn existing_branch(store: &Store, app: &App) -> Result<String> {
    let branch = app.branch(store)?;
    let doing = || format!("read what is open on {branch}");
    if store.open_merge(&branch).doing(doing)?.is_none() {
        store.branch(&branch).doing(doing)?;
    }
    Ok(branch)
}

/// Says what is open on the branch.
fn status(app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let branch = existing_branch(&store, app)?;
    let doing = || format!("read what is open on {branch}");
    let Some(open) = store.open_merge(&branch).doing(doing)? else {
        app.deny(&no_merge(&branch));
        return Ok(Outcome::No);
    };
    let mut out = app.out()?;
    if app.globals.json {
        out.json(&conflicts::open_json(&open).done())?;
    } else {
        writeln!(out, "{}", conflicts::heading(&open))?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// The line on the terminal while a verb reads, plans and writes; Ctrl-C ends it, and nothing is written.
pub(crate) fn progress(verb: &'static str, app: &App) -> Progress {
    Progress::new(verb, "key", None, app.globals.quiet)
}

/// The verb that goes on with an operation.
pub(crate) fn verb_of(action: MergeAction) -> &'static str {
    match action {
        MergeAction::CherryPick => "cherry-pick",
        MergeAction::Revert => "revert",
        MergeAction::Rebase => "rebase",
        _ => "merge",
    }
}

/// What is open, in words.
pub(crate) fn describe(open: &OpenMerge) -> String {
    title(open.action, &open.source, open.target.as_str())
}

/// `merge of topic into main`, or what else it is.
pub(crate) fn title(action: MergeAction, source: &str, target: &str) -> String {
    let source = shorten(source, 60);
    match action {
        MergeAction::Merge | MergeAction::Squash => format!("{action} of {source} into {target}"),
        MergeAction::Rebase => format!("rebase of {target} onto {source}"),
        _ => format!("{action} of {source} on {target}"),
    }
}

/// The error of a merge, with a hint that fits the command line.
pub(crate) fn refused(store: &Store, branch: &str, e: withy::Error) -> withy::Error {
    if e.kind() != ErrorKind::Exists {
        return e;
    }
    let open = store.open_merge(branch).ok().flatten();
    let verb = open.map_or("merge", |open| verb_of(open.action));
    let (list, verb) = (command(store, branch, "conflicts"), command(store, branch, verb));
    e.with_hint(format!(
        "`{list}` lists its conflicts, `{verb} --continue` goes on, `{verb} --abort` gives up"
    ))
}

/// `withy VERB`, as it has to be typed to work on this branch.
pub(crate) fn command(store: &Store, branch: &str, verb: &str) -> String {
    match store.active() {
        Ok(active) if active.as_str() != branch => format!("withy -b {branch} {verb}"),
        _ => format!("withy {verb}"),
    }
}

/// How it goes on when no conflict is left.
pub(crate) fn none_left(store: &Store, open: &OpenMerge) -> String {
    let command = command(store, open.target.as_str(), verb_of(open.action));
    format!("none is left: `{command} --continue` goes on")
}

/// What to do about conflicts that are left.
pub(crate) fn some_left(store: &Store, branch: &str, action: MergeAction) -> String {
    let resolve = command(store, branch, "resolve");
    let verb = command(store, branch, verb_of(action));
    format!("`{resolve}`, then `{verb} --continue`; or `{verb} --abort`")
}

/// There is nothing to go on with.
pub(crate) fn no_merge(branch: &str) -> String {
    format!("no merge is open on {branch}")
}

/// The error of what needs an open merge.
pub(crate) fn none_open(doing: String, branch: &str) -> Failure {
    let failure = Failure::usage(doing, no_merge(branch));
    failure.hint("`withy conflicts --all` lists the open merges")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_back_as_it_is_shown() {
        for text in ["", "notes/", "*.json", "a/*.b", "a\\x2ab", "\\xff*\\x00", "a*b\\x2ac"] {
            let pattern = read_pattern(text.as_bytes(), Format::Text).expect("it is a pattern");
            assert_eq!(show_pattern(&pattern), text, "what is shown can be given again");
        }
    }
}

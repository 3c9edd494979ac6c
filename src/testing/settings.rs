//! What is said of an operation, line by line.

use super::parse::Lines;
use super::step::{Action, Choice, Setting};
use super::text::{show_word, word};
use crate::kv::check_key;
use crate::merge::{FastForward, KeyPattern, drivers};
use crate::sides::{Resolution, Strategy};

/// `NAME = CHOICE`, `NAME = CHOICE, CHOICE` or `NAME = each`; with a pattern or key after some names.
pub(super) fn setting(
    lines: &mut Lines<'_>,
    action: &Action,
    line: &str,
) -> Result<Setting, String> {
    let (name, rest) = word(line)?;
    let name = String::from_utf8_lossy(&name).into_owned();
    if !["strategy", "driver", "resolve", "strict", "fast-forward", "direction", "mainline"]
        .contains(&name.as_str())
        && !["keep-open", "quiet"].contains(&name.as_str())
    {
        return Err(format!("nothing is called `{name}` here"));
    }
    let of = if rest.starts_with('=') { None } else { Some(word(rest)?) };
    let (of, rest) = match of {
        Some((of, rest)) => (Some(of), rest),
        None => (None, rest),
    };
    let text = rest.strip_prefix('=').ok_or("expected `=`")?.trim_start();
    fits(action, &name)?;
    if of.is_some() && !matches!(name.as_str(), "strategy" | "driver" | "resolve") {
        return Err(format!("{name} is for all keys"));
    }
    let full = match &of {
        Some(of) => format!("{name} {}", show_word(of)),
        None => name.clone(),
    };
    if name == "resolve" {
        let key = of.ok_or("expected `resolve KEY = ..`")?;
        check_key(&key).map_err(|e| e.to_string())?;
        let ends = |rest: &&str| rest.is_empty() || rest.starts_with(char::is_whitespace);
        if let Some(text) = text.strip_prefix("value").filter(ends) {
            let value = lines.value(text.trim_start())?;
            let choice = Choice::Resolve(key, Resolution::Value(value));
            return Ok(Setting { name: full, choices: vec![("value".into(), choice)] });
        }
        let choices = choices(text, &["ours", "theirs", "base", "delete"], |word| {
            Ok(Choice::Resolve(key.clone(), resolution(word)?))
        })?;
        return Ok(Setting { name: full, choices });
    }
    let pattern = of.as_deref().map(KeyPattern::from);
    let choices = match name.as_str() {
        "strategy" => choices(text, &Strategy::ALL.map(Strategy::name), |word| {
            let strategy = word.parse().map_err(|e: crate::error::Error| e.to_string())?;
            Ok(Choice::Strategy(pattern.clone(), strategy))
        })?,
        "driver" => {
            let all = drivers::all();
            let known = all.iter().filter_map(|driver| driver.name().split('/').next());
            let known: Vec<&str> = std::iter::once("none").chain(known).collect();
            choices(text, &known, |word| {
                let driver = Some(word.to_owned()).filter(|word| word != "none");
                Ok(Choice::Driver(pattern.clone().unwrap_or_default(), driver))
            })?
        }
        "fast-forward" => choices(text, &["allowed", "only", "never"], |word| {
            Ok(Choice::FastForward(match word {
                "allowed" => FastForward::Allowed,
                "only" => FastForward::Only,
                "never" => FastForward::Never,
                _ => return Err(format!("fast-forward is allowed, only or never, not `{word}`")),
            }))
        })?,
        "direction" => choices(text, &["forward", "back"], |word| match word {
            "forward" => Ok(Choice::Back(false)),
            "back" => Ok(Choice::Back(true)),
            _ => Err(format!("direction is forward or back, not `{word}`")),
        })?,
        "mainline" => choices(text, &["1", "2"], |word| {
            let number = word.parse().map_err(|_| format!("`{word}` is no number of a parent"))?;
            Ok(Choice::Mainline(number))
        })?,
        _ => choices(text, &["no", "yes"], |word| {
            let yes = match word {
                "yes" => true,
                "no" => false,
                _ => return Err(format!("{name} is yes or no, not `{word}`")),
            };
            Ok(match name.as_str() {
                "strict" => Choice::Strict(yes),
                "quiet" => Choice::Quiet(yes),
                _ => Choice::KeepOpen(yes),
            })
        })?,
    };
    Ok(Setting { name: full, choices })
}

/// One or several words, separated by commas; `each` stands for all of them.
fn choices(
    text: &str,
    all: &[&str],
    make: impl Fn(&str) -> Result<Choice, String>,
) -> Result<Vec<(String, Choice)>, String> {
    let words: Vec<&str> = match text {
        "each" => all.to_vec(),
        text => text.split(',').map(str::trim).collect(),
    };
    if words.iter().any(|word| word.is_empty()) {
        return Err("expected a word".into());
    }
    words.into_iter().map(|word| Ok((word.to_owned(), make(word)?))).collect()
}

fn resolution(word: &str) -> Result<Resolution, String> {
    Ok(match word {
        "ours" => Resolution::Ours,
        "theirs" => Resolution::Theirs,
        "base" => Resolution::Base,
        "delete" => Resolution::Delete,
        _ => {
            let known = "ours, theirs, base, delete or value TEXT";
            return Err(format!("a resolution is {known}, not `{word}`"));
        }
    })
}

/// Refuses what an operation has no use for.
fn fits(action: &Action, name: &str) -> Result<(), String> {
    let merges = matches!(action, Action::Merge { .. } | Action::Squash { .. });
    let picks = matches!(action, Action::Pick { .. } | Action::Revert { .. });
    let fits = match (action, name) {
        (Action::Abort { .. }, _) => false,
        (Action::Continue { .. }, name) => name == "resolve",
        (_, "direction" | "fast-forward") => merges,
        (_, "mainline") => picks,
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let action = action.to_string();
    let action = action.split_once(' ').map_or(action.as_str(), |(verb, _)| verb);
    Err(format!("{name} does not go with {action}"))
}

//! `withy apply`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use withy::{Batch, Expect, Seq};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::text::{Format, from_hex};

/// Write a batch of changes, as one commit
#[derive(Args)]
#[command(after_help = "\
Each line is a JSON object:

  {\"key\": \"pear\", \"value\": \"green\"}        set a key
  {\"key\": \"plum\", \"delete\": true}          delete a key

Bytes that are not UTF-8 come as \"key_hex\", \"key_base64\", \"value_hex\" or \"value_base64\". A line may \
hold one condition: \"if_absent\": true, \"if_present\": true, \"if_seq\": 7, \"if_value\": \"green\". If a \
line is wrong or a condition does not hold, nothing is written.

Examples:
  withy apply changes.jsonl -m 'new prices'
  withy scan --at v1.0 --prefix fruit/ --json | withy apply -")]
pub(crate) struct Apply {
    /// File with the changes; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Message of the commit [default: `apply N changes`]
    #[arg(long, short)]
    message: Option<String>,
}

pub(crate) fn run(args: Apply, app: &mut App) -> Result<Outcome> {
    let batch = if args.file.as_os_str() == "-" {
        read("standard input", io::stdin().lock())?
    } else {
        let name = args.file.display().to_string();
        let file = File::open(&args.file).doing(|| format!("read {name}"))?;
        read(&name, BufReader::new(file))?
    };
    let what = plural(batch.len() as u64, "change");
    let store = app.open_write()?;
    let options = app.commit_options(args.message, || format!("apply {what}"))?;
    let branch = app.branch(&store)?;
    let handle = store.branch(&branch).doing(|| format!("apply {what}"))?;
    let committed = handle.write(batch, options).doing(|| format!("apply {what}"))?;
    app.report(&store, &branch, committed)?;
    Ok(Outcome::Done)
}

pub(crate) fn read(name: &str, input: impl BufRead) -> Result<Batch> {
    let mut batch = Batch::new();
    for (index, line) in input.split(b'\n').enumerate() {
        let at = || format!("read {name}, line {}", index + 1);
        let line = line.doing(at)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        add(&mut batch, &line).map_err(|cause| {
            Failure::usage(at(), cause).hint("see `withy apply --help`; nothing was written")
        })?;
    }
    Ok(batch)
}

/// Adds the change that a line describes.
fn add(batch: &mut Batch, line: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(line).map_err(|e| bad_json(&e))?;
    let Value::Object(mut object) = value else {
        return Err("not a JSON object".into());
    };
    let key = take_bytes(&mut object, "key")?.ok_or("no member \"key\"")?;
    let value = take_bytes(&mut object, "value")?;
    let is_delete = take_true(&mut object, "delete")?;
    let expect = take_condition(&mut object)?;
    if let Some(name) = object.keys().next() {
        return Err(format!("unknown member {name:?}"));
    }
    match (value, is_delete) {
        (Some(value), false) => batch.put_if(key, value, expect),
        (None, true) => batch.delete_if(key, expect),
        (Some(_), true) => return Err("both \"value\" and \"delete\"".into()),
        (None, false) => return Err("neither \"value\" nor \"delete\": true".into()),
    };
    Ok(())
}

/// The parser's message without its own line number: each line is a text of its own.
fn bad_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    format!("not JSON: {reason} (column {})", error.column())
}

/// Takes `name`, `name_hex` or `name_base64`.
fn take_bytes(object: &mut Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let forms = [name.to_owned(), format!("{name}_hex"), format!("{name}_base64")];
    let mut found = None;
    for (index, form) in forms.into_iter().enumerate() {
        let Some(value) = object.shift_remove(&form) else { continue };
        let Value::String(text) = value else {
            return Err(format!("{form:?} is not a string"));
        };
        let bytes = match index {
            0 => Ok(text.into_bytes()),
            1 => from_hex(text.as_bytes()),
            _ => Format::Base64.parse(text.as_bytes()),
        };
        if found.replace(bytes.map_err(|e| format!("{form:?} is {e}"))?).is_some() {
            return Err(format!("{name:?} is given twice"));
        }
    }
    Ok(found)
}

fn take_true(object: &mut Map<String, Value>, name: &str) -> Result<bool, String> {
    match object.shift_remove(name) {
        None => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(_) => Err(format!("{name:?} can only be true")),
    }
}

fn take_condition(object: &mut Map<String, Value>) -> Result<Expect, String> {
    let mut all = Vec::new();
    if take_true(object, "if_absent")? {
        all.push(Expect::Absent);
    }
    if take_true(object, "if_present")? {
        all.push(Expect::Present);
    }
    if let Some(seq) = object.shift_remove("if_seq") {
        let seq = seq.as_u64().ok_or("\"if_seq\" is not a sequence")?;
        all.push(Expect::Seq(Seq::new(seq)));
    }
    all.extend(take_bytes(object, "if_value")?.map(Expect::Value));
    match all.len() {
        0 => Ok(Expect::Any),
        1 => Ok(all.remove(0)),
        _ => Err("more than one condition".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: &str) -> String {
        add(&mut Batch::new(), line.as_bytes()).expect_err("the line is wrong")
    }

    #[test]
    fn lines_set_and_delete() {
        let input = "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key_hex\":\"ff\",\"delete\":true}\n";
        let Ok(batch) = read("test", input.as_bytes()) else { panic!("both lines are right") };
        assert_eq!(batch.len(), 2, "an empty line says nothing");
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        assert_eq!(fault("[]"), "not a JSON object");
        assert_eq!(fault("{}"), "no member \"key\"");
        assert_eq!(fault(r#"{"key":"a"}"#), "neither \"value\" nor \"delete\": true");
        assert_eq!(
            fault(r#"{"key":"a","value":"b","delete":true}"#),
            "both \"value\" and \"delete\""
        );
        assert_eq!(fault(r#"{"key":"a","key_hex":"00","delete":true}"#), "\"key\" is given twice");
        assert_eq!(fault(r#"{"key":"a","value":1}"#), "\"value\" is not a string");
        assert_eq!(fault(r#"{"key":"a","value":"b","colour":1}"#), "unknown member \"colour\"");
        assert_eq!(
            fault(r#"{"key":"a","value":"b","if_absent":true,"if_seq":1}"#),
            "more than one condition"
        );
    }
}

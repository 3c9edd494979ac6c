//! Values for each driver, and what they mean to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Values for one driver, and what they mean to it.
pub(super) struct Domain {
    pub(super) name: &'static str,
    /// A value.
    pub(super) value: fn(&mut Rng) -> Vec<u8>,
    /// The value after a change.
    pub(super) changed: fn(&mut Rng, &[u8]) -> Vec<u8>,
    /// Equal for values that mean the same.
    pub(super) meaning: fn(&[u8]) -> String,
    /// What a value is made of: the place, and what is there. A merge keeps what one side did to it.
    pub(super) pieces: fn(&[u8]) -> BTreeMap<String, String>,
    pub(super) equal_sides: EqualSides,
    pub(super) again: Again,
}

/// What two equal sides give.
#[derive(PartialEq)]
pub(super) enum EqualSides {
    ThatValue,
    /// Both changes count.
    Both,
}

/// What merging the result with a side once more gives.
#[derive(PartialEq)]
pub(super) enum Again {
    TheResult,
    NotPromised,
}

pub(super) const DOMAINS: [Domain; 5] = [
    Domain {
        name: "text/1",
        value: |random| lines(random, 0..30, 1_000),
        changed: |random, value| lines_changed(random, value, 1_000),
        meaning: as_text,
        pieces: each_line,
        equal_sides: EqualSides::ThatValue,
        again: Again::NotPromised,
    },
    Domain {
        name: "json/1",
        value: |random| object(random, 3).to_string().into_bytes(),
        changed: json_changed,
        meaning: |value| sorted(&parsed(value)).to_string(),
        pieces: leaves,
        equal_sides: EqualSides::ThatValue,
        again: Again::TheResult,
    },
    Domain {
        name: "counter/1",
        value: |random| random.i32(..).to_string().into_bytes(),
        changed: |random, value| (count(value) + i64::from(random.i8(..))).to_string().into(),
        meaning: |value| count(value).to_string(),
        pieces: |_| BTreeMap::new(),
        equal_sides: EqualSides::Both,
        again: Again::NotPromised,
    },
    Domain {
        name: "set/1",
        value: |random| lines(random, 0..8, 12),
        changed: |random, value| lines_changed(random, value, 12),
        meaning: |value| format!("{:?}", members(value)),
        pieces: each_line,
        equal_sides: EqualSides::ThatValue,
        again: Again::TheResult,
    },
    Domain {
        name: "last-write/1",
        value: |random| lines(random, 0..3, 3),
        changed: |random, value| lines_changed(random, value, 3),
        meaning: as_text,
        pieces: |_| BTreeMap::new(),
        equal_sides: EqualSides::ThatValue,
        again: Again::TheResult,
    },
];

fn as_text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

pub(super) fn count(value: &[u8]) -> i64 {
    as_text(value).trim_end().parse().expect("a counter holds a number")
}

fn lines(random: &mut Rng, number: Range<usize>, words: u32) -> Vec<u8> {
    let number = random.usize(number);
    (0..number).map(|_| format!("{}\n", random.u32(0..words))).collect::<String>().into_bytes()
}

fn lines_changed(random: &mut Rng, value: &[u8], words: u32) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = value.split_inclusive(|&byte| byte == b'\n').collect();
    let at = random.usize(0..=parts.len());
    let end = (at + random.usize(0..2)).min(parts.len());
    let new = lines(random, 0..3, words);
    parts.splice(at..end, [new.as_slice()]);
    parts.concat()
}

fn members(value: &[u8]) -> BTreeSet<String> {
    as_text(value).lines().map(str::to_owned).collect()
}

fn each_line(value: &[u8]) -> BTreeMap<String, String> {
    members(value).into_iter().map(|line| (line, String::new())).collect()
}

fn parsed(value: &[u8]) -> Value {
    serde_json::from_slice(value).expect("it is JSON")
}

/// An object whose member `l` is a list of items with ids, and `p` a plain one.
fn object(random: &mut Rng, depth: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..random.usize(0..5) {
        let (name, value) = member(random, depth);
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}

fn member(random: &mut Rng, depth: usize) -> (&'static str, Value) {
    let simple = json!(random.u8(0..5));
    match random.u8(0..if depth > 0 { 7 } else { 3 }) {
        0 => ("a", simple),
        1 => ("b/~", simple),
        2 => ("p", (0..random.usize(0..3)).map(|_| random.u8(0..3)).collect()),
        3 => ("o", object(random, depth - 1)),
        4 => ("q", object(random, depth - 1)),
        _ => {
            let mut ids: Vec<u8> = (0..8).collect();
            random.shuffle(&mut ids);
            ids.truncate(random.usize(0..4));
            ("l", ids.into_iter().map(|id| item(random, id, depth)).collect())
        }
    }
}

fn item(random: &mut Rng, id: u8, depth: usize) -> Value {
    let mut item = object(random, depth - 1);
    item["id"] = json!(id);
    item
}

fn json_changed(random: &mut Rng, value: &[u8]) -> Vec<u8> {
    let mut whole = parsed(value);
    change(random, &mut whole, 3);
    // As other programs write it.
    let text = if random.bool() { whole.to_string() } else { format!("{whole:#}\n") };
    text.into_bytes()
}

fn change(random: &mut Rng, value: &mut Value, depth: usize) {
    match value {
        Value::Object(members) => {
            let names: Vec<String> = members.keys().filter(|name| *name != "id").cloned().collect();
            match (random.u8(0..4), random.choice(names)) {
                (0, Some(name)) => drop(members.shift_remove(&name)),
                (1 | 2, Some(name)) => change(random, &mut members[&name], depth.saturating_sub(1)),
                _ => {
                    let (name, value) = member(random, depth);
                    members.insert(name.to_owned(), value);
                }
            }
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            let at = random.usize(0..=items.len());
            match (random.u8(0..4), items.get_mut(at)) {
                (0, Some(_)) => drop(items.remove(at)),
                (1, Some(item)) => change(random, item, depth),
                (2, Some(_)) => items.rotate_left(at),
                _ => {
                    let id = random.u8(8..20);
                    if items.iter().all(|item| item["id"] != json!(id)) {
                        items.insert(at, item(random, id, depth.max(1)));
                    }
                }
            }
        }
        _ => *value = json!(random.u8(5..8)),
    }
}

/// The same with the members sorted by name.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().map(|(k, v)| (k, sorted(v))).collect();
            members.into_iter().map(|(name, value)| (name.clone(), value)).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        _ => value.clone(),
    }
}

/// What stands at each place of a JSON value; items with an id have their place by that.
fn leaves(value: &[u8]) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, value)| walk(&format!("{path}/{name}"), value, out));
            }
            Value::Array(items) if items.iter().all(Value::is_object) => {
                items.iter().for_each(|item| walk(&format!("{path}[{}]", item["id"]), item, out));
            }
            _ => drop(out.insert(path.to_owned(), value.to_string())),
        }
    }
    let mut out = BTreeMap::new();
    walk("", &parsed(value), &mut out);
    out
}

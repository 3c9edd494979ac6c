//! Prepared transactions, what became of them, and the log of a coordinator.

use super::Context;
use super::blobs::Named;
use super::found::{Findings, Site};
use super::refs::Names;
use super::report::Check;
use super::scan::Walk;
use super::state::are_known;
use crate::format::prepared::{
    OutcomeRecord, PreparedMessage, PreparedPart, PreparedRecord, ReadRecord, TransactionRecord,
    part_of, parts_prefix, prepared_key,
};
use crate::format::row::{Cell, read_history};
use crate::format::{Corrupt, Family, keys, record};
use crate::graph::Place;

/// INV-46, INV-47, INV-65.
pub(super) fn check(context: &Context<'_>, findings: &Findings, names: &Names, named: &Named) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::PREPARED]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        let Ok(gid) = keys::name_of(key) else {
            findings.malformed(site(), "the name of a prepared transaction");
            continue;
        };
        match record::decode::<PreparedRecord>("prepared transaction", value) {
            Ok(prepared) => judge(context, findings, (names, named), (gid, &prepared)),
            Err(e) => findings.malformed(site(), e),
        }
    }
    check_owners(context, findings);
    check_outcomes(context, findings);
    check_coordinator(context, findings);
}

fn judge(
    context: &Context<'_>,
    findings: &Findings,
    (names, named): (&Names, &Named),
    (gid, prepared): (&str, &PreparedRecord),
) {
    let add = |invariant, what: String| {
        let site = Site::of(Family::State).key(&prepared_key(gid));
        findings.add(Check::State, invariant, site, format!("prepared transaction {gid} {what}"));
    };
    for branch in &prepared.branches {
        if !names.branches.contains_key(&branch.name) {
            add(46, format!("is on branch {}, which is not there", branch.name));
        }
        if !context.is_commit(Place::from(branch.base), findings) {
            add(
                65,
                format!(
                    "was begun at commit {} of line {}, which is not there",
                    branch.base.seq, branch.base.line
                ),
            );
        }
    }
    let prefix = parts_prefix(gid);
    let mut walk = Walk::prefix(context, findings, Family::State, &prefix);
    let mut writes = vec![0u64; prepared.branches.len()];
    let mut parts = 0;
    while walk.advance() {
        let (key, value) = walk.row();
        parts += 1;
        let part = match part_of(key, &prefix) {
            Ok(part) => part,
            Err(e) => {
                findings.malformed(Site::of(Family::State).key(key), e);
                continue;
            }
        };
        if let PreparedPart::Write(branch, _)
        | PreparedPart::Kept(branch, _)
        | PreparedPart::Read(branch, _) = part
        {
            match writes.get_mut(branch as usize) {
                Some(count) => *count += u64::from(matches!(part, PreparedPart::Write(..))),
                None => add(46, "has keys of a branch that it does not name".to_owned()),
            }
        }
        match content(part, value) {
            Ok(Some(Cell::Blob { hash, len })) => {
                if let Some(fault) = named.name(context, findings, &hash, Some(len)) {
                    add(14, format!("cannot be committed: {fault}"));
                }
            }
            Ok(_) => {}
            Err(e) => findings.malformed(Site::of(Family::State).key(key), e),
        }
    }
    let whole =
        writes.iter().zip(&prepared.branches).all(|(count, branch)| *count == branch.writes);
    if (parts != prepared.parts || !whole) && !context.is_stopped() {
        add(46, format!("has {} rows beside it, of which {parts} are there", prepared.parts));
    }
    if context.get(Family::State, &crate::format::prepared::outcome_key(gid), findings).is_some() {
        add(47, "has ended, and is still prepared".to_owned());
    }
}

/// What a row beside a prepared transaction holds, if that is a value.
fn content<'v>(part: PreparedPart<'_>, value: &'v [u8]) -> Result<Option<Cell<'v>>, Corrupt> {
    match part {
        PreparedPart::Write(..) => read_history(value).map(Some),
        PreparedPart::Kept(..) if value.is_empty() => Ok(None),
        PreparedPart::Kept(..) => {
            Err(Corrupt { record: "key that is held", at: 0, want: "nothing" })
        }
        PreparedPart::Read(..) => {
            record::decode::<ReadRecord>("keys that were read", value).map(|_| None)
        }
        PreparedPart::Message(_) => {
            record::decode::<PreparedMessage>("message", value).map(|_| None)
        }
    }
}

/// INV-65: rows beside a prepared transaction have one.
fn check_owners(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::PREPARED_PART]);
    let mut more = walk.advance();
    while more {
        let key = walk.key().to_vec();
        let site = Site::of(Family::State).key(&key);
        let end = key.iter().position(|byte| *byte == 0);
        let gid = end.and_then(|end| std::str::from_utf8(&key[1..end]).ok());
        let Some(gid) = gid else {
            findings.malformed(site, "the key of a part of a prepared transaction");
            more = walk.advance();
            continue;
        };
        if context.get(Family::State, &prepared_key(gid), findings).is_none() {
            let what = format!("there are rows of prepared transaction {gid}, which is not there");
            findings.add(Check::State, 65, site, what);
        }
        let mut behind = parts_prefix(gid);
        behind.pop();
        behind.push(1);
        more = walk.jump(&behind);
    }
}

fn check_outcomes(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::OUTCOME]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        match (keys::name_of(key), record::decode::<OutcomeRecord>("outcome", value)) {
            (Ok(gid), Ok(outcome)) => {
                if !are_known(context, outcome.commits.as_deref().unwrap_or_default()) {
                    let what =
                        format!("transaction {gid} is said to be commits that are not there");
                    findings.add(Check::State, 47, site(), what);
                }
            }
            (Err(e), _) | (_, Err(e)) => findings.malformed(site(), e),
        }
    }
}

fn check_coordinator(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::TRANSACTION]);
    let mut newest = 0u64;
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        // The number of the newest one comes first.
        let decoded = match key.len() {
            1 => record::decode::<u64>("number of a transaction", value)
                .map(|number| newest = number),
            _ => record::decode::<TransactionRecord>("transaction", value).map(|_| ()),
        };
        if let Err(e) = decoded {
            findings.malformed(site(), e);
            continue;
        }
        if key.len() == 1 {
            continue;
        }
        let gid = keys::name_of(key).unwrap_or_default();
        let number = gid.rsplit_once('.').and_then(|(_, hex)| u64::from_str_radix(hex, 16).ok());
        if number.is_none_or(|number| number > newest) {
            let what = format!(
                "transaction {gid} of the coordinator is beyond the newest number that was given"
            );
            findings.add(Check::State, 65, site(), what);
        }
    }
}

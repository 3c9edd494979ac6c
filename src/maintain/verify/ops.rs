//! The operation log: steps without gaps, in the order of time, about operations that are there.

use super::Context;
use super::found::{Findings, Site};
use super::report::Check;
use super::scan::Walk;
use crate::format::refs::{OpAt, OpKind, OperationRecord, RefEdit, RefName, RefState};
use crate::format::{Family, keys, record};
use crate::id::{OpId, Seq};

/// INV-3, INV-20.
pub(super) fn check(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::OPERATION]);
    let start = context.fixed.ops_start;
    let mut before = start.unwrap_or(OpId { seq: Seq::ROOT, step: 0 });
    let mut time = i64::MIN;
    while walk.advance() {
        let (key, value) = walk.row();
        let site = Site::of(Family::Refs).key(key);
        let (Ok(seq), Ok(step), 17) = (keys::number_at(key, 1), keys::number_at(key, 9), key.len())
        else {
            findings.malformed(site, "the key of an operation");
            continue;
        };
        let id = OpId { seq: Seq::new(seq), step };
        if start.is_some_and(|start| id <= start) {
            // What is left of operations that are gone is no fault.
            continue;
        }
        let site = site.seq(id.seq);
        let expected = if id.seq == before.seq { before.step + 1 } else { 1 };
        if id.step != expected {
            let what =
                format!("step {expected} after commit {seq} is missing from the operation log");
            findings.add(Check::Operations, 20, site.clone(), what);
        }
        before = id;
        if id.seq > context.fixed.latest {
            let what = format!("operation {id} comes after commit {seq}, which is not there");
            findings.add(Check::Operations, 20, site, what);
            continue;
        }
        match record::decode::<OperationRecord>("operation", value) {
            Ok(op) => {
                let commit =
                    context.header(id.seq, findings).map_or(i64::MIN, |header| header.time);
                if op.time < time.max(commit) {
                    let what =
                        format!("operation {id} is older by its time than what came before it");
                    findings.add(Check::Operations, 3, site.clone(), what);
                }
                time = op.time;
                judge(context, findings, id, &op);
            }
            Err(e) => findings.malformed(site, e),
        }
    }
}

fn judge(context: &Context<'_>, findings: &Findings, id: OpId, op: &OperationRecord) {
    let add = |what: String| {
        let site = Site::of(Family::Refs).seq(id.seq).key(&keys::operation(id));
        findings.add(Check::Operations, 20, site, what);
    };
    if op.since > id.seq.get() {
        add(format!("operation {id} begins after commit {}, behind itself", op.since));
    }
    let named: Vec<OpAt> = match op.kind {
        OpKind::Do => Vec::new(),
        OpKind::Undo { target, next, redo } => {
            [Some(target), next, redo].into_iter().flatten().collect()
        }
        OpKind::Redo { target, redo } => [Some(target), redo].into_iter().flatten().collect(),
    };
    for at in named {
        let other = OpId::from(at);
        let there = match other.step {
            // The log of commits may be cut; what is there of it has no gap.
            0 => other.seq <= context.fixed.latest,
            _ if context.fixed.ops_start.is_some_and(|start| other <= start) => true,
            _ => context.get(Family::Refs, &keys::operation(other), findings).is_some(),
        };
        if !there || other >= id {
            add(format!(
                "operation {id} takes back or redoes operation {other}, which is not there"
            ));
        }
    }
    if op.edits.iter().any(is_mixed) {
        add(format!("operation {id} mixes kinds of refs"));
    }
}

/// Whether an edit of one kind of ref holds the state of another.
fn is_mixed(edit: &RefEdit) -> bool {
    [&edit.before, &edit.after].into_iter().flatten().any(|state| {
        !matches!(
            (&edit.name, state),
            (RefName::Branch(_), RefState::Branch(..))
                | (RefName::Tag(_), RefState::Tag(_))
                | (RefName::Active, RefState::Active(_))
        )
    })
}

//! What is under way: open merges, messages, sagas. What they refer to is there.

use super::Context;
use super::blobs::Named;
use super::found::{Findings, Site};
use super::refs::{Names, want_pin};
use super::report::Check;
use super::scan::Walk;
use crate::format::coord::{
    AttemptsRecord, DeadRecord, MessageRecord, OutcomeCode, PhaseCode, SagaRecord,
};
use crate::format::cursor::CursorRecord;
use crate::format::merge::{OpenConflictRecord, OpenRecord};
use crate::format::refs::pin;
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{Seq, ValueHash};

/// INV-17, INV-35, INV-65.
pub(super) fn check(context: &Context<'_>, findings: &Findings, names: &Names, named: &Named) {
    check_open(context, findings, names);
    check_conflicts(context, findings, named);
    check_outbox(context, findings);
    check_sagas(context, findings);
    check_cursors(context, findings);
    super::prepared::check(context, findings, names, named);
    use keys::state;
    let known = [
        state::MERGE,
        state::CONFLICT,
        state::OUTBOX,
        state::SAGA,
        state::PREPARED,
        state::PREPARED_PART,
        state::OUTCOME,
        state::TRANSACTION,
        state::CURSOR,
    ];
    super::unknown_kinds(context, findings, Family::State, &known);
}

fn check_open(context: &Context<'_>, findings: &Findings, names: &Names) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::MERGE]);
    while walk.advance() {
        let (key, value) = walk.row();
        let Ok(branch) = keys::name_of(key) else {
            findings.malformed(Site::of(Family::State).key(key), "the key of an open merge");
            continue;
        };
        let site = || Site::of(Family::State).key(key).branch(branch);
        let open: OpenRecord = match record::decode("open merge", value) {
            Ok(open) => open,
            Err(e) => {
                findings.malformed(site(), e);
                continue;
            }
        };
        if !names.branches.contains_key(branch) {
            let what = format!("a merge is open on branch {branch}, which is not there");
            findings.add(Check::State, 65, site(), what);
        }
        for at in open.theirs.iter().chain([&open.ours]) {
            let place = Place::from(*at);
            if !context.is_commit(place, findings) {
                let what = format!(
                    "the merge that is open on {branch} needs commit {} of line {}, which is not there",
                    place.seq, place.line
                );
                findings.add(Check::State, 65, site().seq(place.seq), what);
            }
            let whose = format!("the merge that is open on {branch}");
            want_pin(context, findings, (place.seq, pin::MERGE, branch.as_bytes()), site(), &whose);
        }
    }
}

fn check_conflicts(context: &Context<'_>, findings: &Findings, named: &Named) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::CONFLICT]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
        let branch = key.get(1..end).and_then(|name| std::str::from_utf8(name).ok());
        let parts = key.get(..=end).map(|prefix| keys::open_conflict_parts(key, prefix));
        let (Some(branch), Some(Ok((at, _)))) = (branch, parts) else {
            findings.malformed(site(), "the key of an open conflict");
            continue;
        };
        if context.get(Family::State, &keys::open_merge(branch), findings).is_none() {
            let what = format!("there is a conflict on branch {branch}, and no open merge");
            findings.add(Check::State, 35, site().branch(branch), what);
        }
        if context.header(at, findings).is_none() {
            let what =
                format!("a conflict on branch {branch} is about commit {at}, which is not there");
            findings.add(Check::State, 65, site().branch(branch).seq(at), what);
        }
        match record::decode::<OpenConflictRecord>("open conflict", value) {
            Ok(conflict) => {
                let blob = conflict.resolution.and_then(|made| made.blob);
                let fault = blob.and_then(|(hash, len)| {
                    named.name(context, findings, &ValueHash::from_bytes(hash), Some(len))
                });
                if let Some(fault) = fault {
                    findings.add(Check::State, 14, site().branch(branch), fault);
                }
            }
            Err(e) => findings.malformed(site().branch(branch), e),
        }
    }
}

fn check_outbox(context: &Context<'_>, findings: &Findings) {
    use keys::outbox;
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::OUTBOX]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        let (topic, seq, number) = match keys::outbox_parts(key) {
            Ok(parts) => parts,
            Err(e) => {
                findings.malformed(site(), e);
                continue;
            }
        };
        if seq > context.fixed.latest {
            let what = format!("a message of topic {topic} is of commit {seq}, which is not there");
            findings.add(Check::State, 65, site().seq(seq), what);
        }
        let decoded = match key.get(1).copied() {
            Some(outbox::MESSAGE) => record::decode::<MessageRecord>("message", value).map(|_| ()),
            Some(outbox::DEAD) => record::decode::<DeadRecord>("dead letter", value).map(|_| ()),
            Some(outbox::ATTEMPTS) => {
                let message = keys::message(topic, seq, number);
                if context.get(Family::State, &message, findings).is_none() {
                    let what = format!(
                        "attempts are noted for message {seq}.{number} of topic {topic}, which is not there"
                    );
                    findings.add(Check::State, 65, site().seq(seq), what);
                }
                record::decode::<AttemptsRecord>("attempts", value).map(|_| ())
            }
            _ => {
                findings.malformed(site(), "the kind of a row of the outbox");
                continue;
            }
        };
        if let Err(e) = decoded {
            findings.malformed(site(), e);
        }
    }
}

fn check_sagas(context: &Context<'_>, findings: &Findings) {
    use keys::saga;
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::SAGA]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        let Ok(id) = keys::saga_id(key) else {
            findings.malformed(site(), "the id of a saga");
            continue;
        };
        let stored: SagaRecord = match record::decode("saga", value) {
            Ok(stored) => stored,
            Err(e) => {
                findings.malformed(site(), e);
                continue;
            }
        };
        let kind = match (stored.phase, stored.outcome) {
            (PhaseCode::Running, None | Some(OutcomeCode::Committed))
            | (PhaseCode::Compensating, Some(OutcomeCode::Compensated)) => Some(saga::UNFINISHED),
            (PhaseCode::Finished, Some(_)) => Some(saga::FINISHED),
            (PhaseCode::Running | PhaseCode::Compensating | PhaseCode::Finished, _) => None,
        };
        if kind.is_none() || kind != key.get(1).copied() {
            let what = format!(
                "the journal of saga {id} says {:?} with outcome {:?}, which cannot be",
                stored.phase, stored.outcome
            );
            findings.add(Check::State, 65, site(), what);
        }
        let other =
            if key.get(1) == Some(&saga::FINISHED) { saga::UNFINISHED } else { saga::FINISHED };
        if context.get(Family::State, &keys::saga(other, id), findings).is_some() {
            let what = format!("saga {id} is both finished and unfinished");
            findings.add(Check::State, 65, site(), what);
        }
    }
}

fn check_cursors(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::State, &[keys::state::CURSOR]);
    let mut newest = 0;
    while walk.advance() {
        let (key, value) = walk.row();
        let site = || Site::of(Family::State).key(key);
        let name = match keys::name_of(key) {
            Ok("") => {
                match record::decode::<u64>("number of the newest lease", value) {
                    Ok(number) => newest = number,
                    Err(e) => findings.malformed(site(), e),
                }
                continue;
            }
            Ok(name) => name,
            Err(e) => {
                findings.malformed(site(), e);
                continue;
            }
        };
        match record::decode::<CursorRecord>("cursor", value) {
            Ok(stored) => {
                let acked = Seq::new(stored.acked);
                if acked > context.fixed.latest {
                    let what = format!("cursor {name} is at commit {acked}, which is not there");
                    findings.add(Check::State, 67, site().seq(acked), what);
                }
                if stored.lease > newest {
                    let lease = stored.lease;
                    let what =
                        format!("cursor {name} has lease {lease}, above the newest, {newest}");
                    findings.add(Check::State, 67, site(), what);
                }
            }
            Err(e) => findings.malformed(site(), e),
        }
    }
}

/// Whether all commits of a list may be there.
pub(super) fn are_known(context: &Context<'_>, commits: &[u64]) -> bool {
    commits.iter().all(|seq| Seq::new(*seq) <= context.fixed.latest)
}

//! The index of commits: by line and by id, against the log.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::found::{Findings, Site};
use super::gone::name_missing;
use super::lines::Lines;
use super::log::mixed;
use super::report::Check;
use super::scan::Walk;
use crate::format::refs::{IdsRecord, IndexRecord};
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{LineId, Seq};

/// What the blocks of a line come to.
#[derive(Clone, Copy, Default)]
struct Blocks {
    last: Seq,
    /// Of all commits, and of those that are not gone.
    all: u64,
    count: u64,
    sum: u64,
    /// The newest that is gone.
    gone: Option<Seq>,
}

/// INV-63.
pub(super) fn check(context: &Context<'_>, findings: &Findings, lines: &Lines) {
    check_lines(context, findings, lines);
    check_ids(context, findings);
}

fn check_lines(context: &Context<'_>, findings: &Findings, lines: &Lines) {
    let mut found: BTreeMap<LineId, Blocks> = BTreeMap::new();
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::INDEX]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = Site::of(Family::Refs).key(key);
        let (Ok(line), Ok(last), 17) =
            (keys::number_at(key, 1), keys::number_at(key, 9), key.len())
        else {
            findings.malformed(site, "the key of an index block");
            continue;
        };
        let (line, last) = (LineId::new(line), Seq::new(last));
        if context.fixed.ignores(line) {
            continue;
        }
        let block: IndexRecord = match record::decode("index block", value) {
            Ok(block) => block,
            Err(e) => {
                findings.malformed(site.line(line), e);
                continue;
            }
        };
        let blocks = found.entry(line).or_default();
        if block.before != blocks.all {
            let what = format!(
                "an index block of line {line} says that {} commits come before it, there are {}",
                block.before, blocks.all
            );
            findings.add(Check::Index, 63, site.clone().line(line), what);
        }
        let mut seq = 0u64;
        for (i, delta) in block.deltas.iter().enumerate() {
            seq = seq.wrapping_add(*delta);
            let one = Seq::new(seq);
            if *delta == 0 || (i == 0 && one <= blocks.last) {
                let what = format!("an index block of line {line} is not in order");
                findings.add(Check::Index, 63, site.clone().line(line), what);
            }
            blocks.all += 1;
            if context.is_there(Place { line, seq: one }) {
                blocks.count += 1;
                blocks.sum = blocks.sum.wrapping_add(mixed(one));
            } else {
                blocks.gone = Some(one);
            }
        }
        blocks.last = Seq::new(seq);
        if blocks.last != last {
            let what = format!(
                "an index block of line {line} ends at commit {seq}, not where its key says"
            );
            findings.add(Check::Index, 63, site.line(line), what);
        }
    }
    for line in lines.all() {
        let blocks = found.remove(&line.id).unwrap_or_default();
        if let Some(gone) = blocks.gone.filter(|gone| *gone >= context.fixed.log_start) {
            let what = format!(
                "commit {gone} of line {} is said to be gone, but the log has no gap from commit {} on",
                line.id, context.fixed.log_start
            );
            findings.add(Check::Index, 1, Site::of(Family::Refs).line(line.id).seq(gone), what);
        }
        if (blocks.count, blocks.sum) != line.indexed && !context.is_stopped() {
            if name_missing(context, findings, line.id) {
                continue;
            }
            let what = format!(
                "the index of line {} has {} commits, and not the {} that are on it",
                line.id, blocks.count, line.indexed.0
            );
            findings.add(Check::Index, 63, Site::of(Family::Refs).line(line.id), what);
        }
    }
    for (line, _) in found {
        let what = format!("there is an index of line {line}, which is not there");
        findings.add(Check::Index, 63, Site::of(Family::Refs).line(line), what);
    }
}

/// Blocks of ids, each against the headers of its commits.
fn check_ids(context: &Context<'_>, findings: &Findings) {
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::COMMIT_IDS]);
    let mut before = Seq::ROOT;
    while walk.advance() {
        let (key, value) = walk.row();
        let site = Site::of(Family::Refs).key(key);
        let (Ok(last), 9) = (keys::number_at(key, 1), key.len()) else {
            findings.malformed(site, "the key of a block of ids");
            continue;
        };
        let last = Seq::new(last);
        if last > context.fixed.latest {
            continue;
        }
        match record::decode::<IdsRecord>("commit ids", value) {
            Ok(block) => {
                if !is_true(context, (before, last), &block) {
                    let what = format!(
                        "the block of ids of commits {} to {last} is not what their ids are",
                        before.next()
                    );
                    findings.add(Check::Index, 63, site.seq(last), what);
                }
            }
            Err(e) => findings.malformed(site, e),
        }
        before = last;
    }
    if before < context.fixed.indexed && !context.is_stopped() {
        let what = format!(
            "the index of ids ends at commit {before}, and should reach commit {}",
            context.fixed.indexed
        );
        findings.add(Check::Index, 63, Site::of(Family::Refs).seq(before), what);
    }
}

/// Whether a block has the ids of the commits behind one, up to another, and no others. Those of commits that
/// are gone may be in it still.
fn is_true(context: &Context<'_>, (before, last): (Seq, Seq), block: &IdsRecord) -> bool {
    let mut expected = Vec::with_capacity(block.ids.len());
    let mut left = BTreeSet::new();
    let (lower, upper) = (keys::log(before.next(), 0), keys::log(last.next(), 0));
    let mut rows = context.db.look(Family::Log, &lower, Some(&upper));
    rows.seek_to_first();
    while let Ok(Some((key, value))) = rows.current() {
        let Ok(Some((seq, _))) = keys::log_parts(key) else { break };
        let Ok((header, _)) = crate::format::commit::read_first(value) else {
            // Damage of the log is found where it is read.
            return true;
        };
        let id = header.id.first_chunk::<8>().map_or(0, |start| u64::from_be_bytes(*start));
        if context.is_there(Place { line: LineId::new(header.line), seq }) {
            expected.push((id, seq.get()));
            left.insert(seq.get());
        }
        // Whoever has more than the block is not it.
        if expected.len() > block.ids.len() {
            break;
        }
        rows.next();
        if let (false, 1..) = header.changes_at.parts() {
            rows.seek(&keys::log(seq.next(), 0));
        }
    }
    expected.sort_unstable();
    // From there on no commit is gone; those below were looked for in the log.
    let must = |seq: u64| seq >= context.fixed.log_start.get() || left.contains(&seq);
    let within = |seq: u64| before.get() < seq && seq <= last.get();
    let told: Vec<(u64, u64)> =
        block.ids.iter().filter(|(_, seq)| must(*seq) || !within(*seq)).copied().collect();
    expected == told && block.ids.is_sorted()
}

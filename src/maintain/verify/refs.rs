//! Branches, tags, pins and merges: what they refer to is there, and no pin is missing or left over.

use std::collections::BTreeMap;

use super::Context;
use super::found::{Findings, Site};
use super::lines::Lines;
use super::report::Check;
use super::scan::Walk;
use crate::format::merge::OpenRecord;
use crate::format::refs::{At, BranchRecord, LineRecord, TagRecord, pin};
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{LineId, Seq};
use crate::name::{BranchName, TagName};

/// Where the branches and tags are.
#[derive(Default)]
pub(super) struct Names {
    pub(super) branches: BTreeMap<String, LineId>,
    pub(super) tags: BTreeMap<String, Place>,
}

impl Names {
    pub(super) fn load(context: &Context<'_>, findings: &Findings) -> Self {
        let mut out = Self::default();
        let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::BRANCH]);
        while walk.advance() {
            let (key, value) = walk.row();
            let site = Site::of(Family::Refs).key(key);
            let Ok(name) = keys::name_of(key) else {
                findings.malformed(site, "the name of a branch");
                continue;
            };
            if let Err(e) = BranchName::new(name) {
                findings.malformed(site.branch(name), e);
                continue;
            }
            match record::decode::<BranchRecord>("branch", value) {
                Ok(branch) => {
                    out.branches.insert(name.to_owned(), LineId::new(branch.line));
                }
                Err(e) => findings.malformed(site.branch(name), e),
            }
        }
        let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::TAG]);
        while walk.advance() {
            let (key, value) = walk.row();
            let site = Site::of(Family::Refs).key(key);
            let Ok(name) = keys::name_of(key) else {
                findings.malformed(site, "the name of a tag");
                continue;
            };
            if let Err(e) = TagName::new(name) {
                findings.malformed(site.tag(name), e);
                continue;
            }
            match record::decode::<TagRecord>("tag", value) {
                Ok(tag) => {
                    out.tags.insert(name.to_owned(), tag.at.into());
                }
                Err(e) => findings.malformed(site.tag(name), e),
            }
        }
        out
    }
}

/// INV-9, INV-16, INV-17, INV-32, INV-64.
pub(super) fn check(context: &Context<'_>, findings: &Findings, names: &Names, lines: &Lines) {
    check_branches(context, findings, names, lines);
    for (name, at) in &names.tags {
        let site = || Site::of(Family::Refs).tag(name).seq(at.seq);
        if lines.judges(at.line) && !context.is_commit(*at, findings) {
            let what = format!(
                "tag {name} is at commit {} of line {}, which is not there",
                at.seq, at.line
            );
            findings.add(Check::Refs, 64, site(), what);
        }
        let owner = name.as_bytes();
        if lines.judges(at.line) {
            want_pin(
                context,
                findings,
                (at.seq, pin::TAG, owner),
                site().line(at.line),
                &format!("tag {name}"),
            );
        }
    }
    for line in lines.all().iter().filter(|line| lines.judges(line.id)) {
        let Some(fork) = line.fork else { continue };
        let site = Site::of(Family::Refs).line(line.id).seq(fork.seq);
        let owner = line.id.get().to_be_bytes();
        let whose = format!("the fork of line {}", line.id);
        want_pin(context, findings, (fork.seq, pin::LINE, &owner), site, &whose);
    }
    if !lines.is_all() {
        return;
    }
    check_active(context, findings, names);
    check_pins(context, findings, names, lines);
    check_merges(context, findings, lines);
    check_kinds(context, findings);
}

fn check_branches(context: &Context<'_>, findings: &Findings, names: &Names, lines: &Lines) {
    let mut owners: BTreeMap<LineId, &str> = BTreeMap::new();
    for (name, line) in names.branches.iter().filter(|(_, line)| lines.judges(**line)) {
        let site = || Site::of(Family::Refs).branch(name).line(*line);
        if lines.get(*line).is_none() || lines.made.contains_key(line) || lines.is_unnamed(*line) {
            let what = format!("branch {name} is on line {line}, which is not there");
            findings.add(Check::Refs, 64, site(), what);
        }
        let top = context.fixed.gone.get(line).and_then(|gone| gone.record().top);
        let head = lines.get(*line).and_then(|line| line.last);
        let is_whole = head.is_none_or(|seq| context.is_whole(Place { line: *line, seq }));
        if top.is_some() || !is_whole {
            let what = format!("the head of branch {name} on line {line} is said to be gone");
            findings.add(Check::Refs, 11, site(), what);
        }
        if let Some(other) = owners.insert(*line, name) {
            let what = format!("branches {other} and {name} are both on line {line}");
            findings.add(Check::Refs, 9, site(), what);
        }
    }
}

fn check_active(context: &Context<'_>, findings: &Findings, names: &Names) {
    use crate::format::refs::meta;
    if !names.branches.contains_key(BranchName::main().as_str()) {
        findings.add(Check::Refs, 16, Site::of(Family::Refs), "there is no branch main");
    }
    let Some(row) = context.get(Family::Meta, meta::ACTIVE, findings) else { return };
    let Ok(active) = record::decode::<String>("active branch", &row) else { return };
    if !names.branches.contains_key(&active) {
        let what = format!("the active branch {active} is not there");
        findings.add(Check::Refs, 16, Site::of(Family::Meta).key(meta::ACTIVE), what);
    }
}

/// INV-17: a pin that must be there.
pub(super) fn want_pin(
    context: &Context<'_>,
    findings: &Findings,
    (seq, kind, owner): (Seq, u8, &[u8]),
    site: Site,
    whose: &str,
) {
    if context.get(Family::Refs, &keys::pin(seq, kind, owner), findings).is_none() {
        findings.add(
            Check::Pins,
            17,
            site,
            format!("the pin of {whose} at commit {seq} is missing"),
        );
    }
}

/// INV-17: every pin has an owner that wants it.
fn check_pins(context: &Context<'_>, findings: &Findings, names: &Names, lines: &Lines) {
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::PIN]);
    while walk.advance() {
        let (key, _) = walk.row();
        let site = || Site::of(Family::Refs).key(key);
        let (Ok(seq), Some((kind, owner))) =
            (keys::number_at(key, 1), key.get(9..).and_then(<[u8]>::split_first))
        else {
            findings.malformed(site(), "the key of a pin");
            continue;
        };
        let seq = Seq::new(seq);
        let text = std::str::from_utf8(owner).unwrap_or_default();
        let wanted = match *kind {
            pin::LINE => {
                let line = keys::number_at(owner, 0).map(LineId::new).unwrap_or_default();
                let fork = lines.get(line).and_then(|line| line.fork);
                owner.len() == 8
                    && (context.fixed.ignores(line) || fork.is_some_and(|f| f.seq == seq))
            }
            pin::TAG => names.tags.get(text).is_some_and(|at| at.seq == seq),
            pin::MERGE => open_commits(context, findings, text).contains(&seq),
            _ => {
                findings.malformed(site(), "the kind of owner of a pin");
                continue;
            }
        };
        if !wanted {
            let what = format!("a pin at commit {seq} belongs to nobody that wants it");
            findings.add(Check::Pins, 17, site().seq(seq), what);
        }
    }
}

/// The commits that the merge that is open on a branch needs.
fn open_commits(context: &Context<'_>, findings: &Findings, branch: &str) -> Vec<Seq> {
    let row = context.get(Family::State, &keys::open_merge(branch), findings);
    let open: Option<OpenRecord> = row.and_then(|row| record::decode("open merge", &row).ok());
    let all = open.map(|open| open.theirs.into_iter().chain([open.ours]).collect::<Vec<_>>());
    all.unwrap_or_default().into_iter().map(|at| Seq::new(at.seq)).collect()
}

/// INV-32: what merges have merged is there, and is what the commit says.
fn check_merges(context: &Context<'_>, findings: &Findings, lines: &Lines) {
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::MERGE]);
    while walk.advance() {
        let (key, value) = walk.row();
        let (Ok(line), Ok(seq), 17) = (keys::number_at(key, 1), keys::number_at(key, 9), key.len())
        else {
            findings.malformed(Site::of(Family::Refs).key(key), "the key of a merge");
            continue;
        };
        let at = Place { line: LineId::new(line), seq: Seq::new(seq) };
        if context.fixed.ignores(at.line) {
            continue;
        }
        let site = || Site::of(Family::Refs).line(at.line).seq(at.seq);
        let merged: Vec<At> = match record::decode("merge", value) {
            Ok(merged) => merged,
            Err(e) => {
                findings.malformed(site(), e);
                continue;
            }
        };
        if !context.is_there(at) {
            // What is left of a commit that is gone is no fault.
            continue;
        }
        let is_there = |at: Place| {
            context.header(at.seq, findings).is_some_and(|header| header.line == at.line.get())
        };
        if lines.get(at.line).is_none() || !is_there(at) {
            let what = format!(
                "a merge is said to be commit {} of line {}, which is not there",
                at.seq, at.line
            );
            findings.add(Check::Merges, 64, site(), what);
            continue;
        }
        let lost = merged.iter().find(|one| {
            let one = Place::from(**one);
            context.is_there(one) && !is_there(one)
        });
        if let Some(lost) = lost {
            let what = format!(
                "commit {} has merged commit {} of line {}, which is not there",
                at.seq, lost.seq, lost.line
            );
            findings.add(Check::Merges, 64, site(), what);
        }
        // Lines that are gone are taken out of the row.
        let there = |parent: &&At| lines.get(LineId::new(parent.line)).is_some();
        let parents = context.header(at.seq, findings).map_or(0, |header| {
            let places = header.parents.iter().skip(1).map(|p| At { line: p.line, seq: p.seq });
            places.filter(|place| there(&place)).count()
        });
        if merged.len() < parents || merged.is_empty() {
            let what =
                format!("the row of merges of commit {} does not name all it has merged", at.seq);
            findings.add(Check::Merges, 32, site(), what);
        }
    }
}

/// INV-59: no row of a kind that is not known.
fn check_kinds(context: &Context<'_>, findings: &Findings) {
    use keys::kind;
    let known = [
        kind::BRANCH,
        kind::TAG,
        kind::LINE,
        kind::OPERATION,
        kind::PIN,
        kind::MERGE,
        kind::INDEX,
        kind::COMMIT_IDS,
        kind::LAYER,
        kind::GONE,
        kind::PURGE,
    ];
    super::unknown_kinds(context, findings, Family::Refs, &known);
}

/// The layers of a line, as stored.
pub(super) fn stored_layers(
    context: &Context<'_>,
    findings: &Findings,
    line: LineId,
) -> Vec<LineId> {
    let row = context.get(Family::Refs, &keys::line(line), findings);
    let record: Option<LineRecord> = row.and_then(|row| record::decode("line", &row).ok());
    let layers = record.map(|record| record.layers).unwrap_or_default();
    layers.into_iter().map(|at| LineId::new(at.line)).collect()
}

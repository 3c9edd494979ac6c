//! Which branches and tags read what is wrong.

use super::Context;
use super::found::{Findings, Touched};
use super::lines::Lines;
use super::refs::{Names, stored_layers};
use super::report::Finding;
use crate::graph::Place;
use crate::id::{LineId, Seq};

/// Names in each finding what reads the line, up to the commit that it is about or beyond.
pub(super) fn add(context: &Context<'_>, names: &Names, lines: &Lines, findings: &mut [Finding]) {
    let mut order: Vec<usize> =
        (0..findings.len()).filter(|&i| findings[i].line.is_some()).collect();
    order.sort_unstable_by_key(|&i| findings[i].line);
    let mut known: Option<(LineId, Readers)> = None;
    for i in order {
        let finding = &mut findings[i];
        let line = LineId::new(finding.line.unwrap_or_default());
        if known.as_ref().is_none_or(|(of, _)| *of != line) {
            known = Some((line, Readers::of(context, names, lines, line)));
        }
        if let Some((_, readers)) = &known {
            readers.tell(finding);
        }
    }
}

/// The branches and tags that read a line, each with the newest commit of it that it reads.
#[derive(Default)]
struct Readers {
    branches: Vec<(String, Seq)>,
    tags: Vec<(String, Seq)>,
}

impl Readers {
    fn of(context: &Context<'_>, names: &Names, lines: &Lines, line: LineId) -> Self {
        if lines.made.contains_key(&line) || lines.flat.contains_key(&line) {
            return Self::of_layer(context, names, lines, line);
        }
        let readers = lines.readers(line);
        let mut out = Self::default();
        for (name, on) in &names.branches {
            let from = Place { line: *on, seq: Seq::MAX };
            out.branches.extend(lines.reach(&readers, line, from).map(|upto| (name.clone(), upto)));
        }
        for (name, at) in &names.tags {
            out.tags.extend(lines.reach(&readers, line, *at).map(|upto| (name.clone(), upto)));
        }
        out
    }

    /// A read layer is read by the lines that list it, and by nobody else.
    fn of_layer(context: &Context<'_>, names: &Names, lines: &Lines, layer: LineId) -> Self {
        let muted = Findings::muted();
        let uses = |line: LineId| stored_layers(context, &muted, line).contains(&layer);
        let users: Vec<bool> = lines.all().iter().map(|line| uses(line.id)).collect();
        let on = |users: &[bool], line: LineId| {
            lines.all().binary_search_by_key(&line, |line| line.id).is_ok_and(|i| users[i])
        };
        let branches = names.branches.iter().filter(|(_, line)| on(&users, **line));
        let tags = names.tags.iter().filter(|(_, at)| on(&users, at.line));
        Self {
            branches: branches.map(|(name, _)| (name.clone(), Seq::MAX)).collect(),
            tags: tags.map(|(name, _)| (name.clone(), Seq::MAX)).collect(),
        }
    }

    fn tell(&self, finding: &mut Finding) {
        let from = finding.seq.unwrap_or(Seq::ROOT);
        let mut more = 0;
        for (readers, told) in
            [(&self.branches, &mut finding.branches), (&self.tags, &mut finding.tags)]
        {
            for (name, _) in readers.iter().filter(|(_, upto)| *upto >= from) {
                if told.contains(name) {
                    continue;
                }
                if told.len() < Touched::MOST { told.push(name.clone()) } else { more += 1 }
            }
            told.sort_unstable();
        }
        finding.more = more;
    }
}

//! A file as it may be found after the power went off.

/// A change of what a file holds.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Write(u64, Vec<u8>),
    /// Space that the file was given for a write, and nothing in it.
    Zeros(u64, usize),
    SetLen(u64),
    Extend(u64),
}

/// What a file holds for sure, and what was done to it since.
#[derive(Debug, Default)]
pub(super) struct Content {
    sure: Vec<u8>,
    edits: Vec<Edit>,
    /// How many edits were dropped from the front, because they are sure.
    gone: usize,
}

/// What is found in a file.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// Whether anything is there of what was written.
    pub(super) holds_any: bool,
    /// Whether something is missing of what was written and not on disk for sure.
    pub(super) is_short: bool,
    /// Whether something is there that was written behind what is missing.
    pub(super) has_hole: bool,
}

impl Content {
    /// A file that was there before, all of it on disk.
    pub(super) fn sure(bytes: Vec<u8>) -> Self {
        Self { sure: bytes, ..Self::default() }
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// How many edits there were.
    pub(super) fn edited(&self) -> usize {
        self.gone + self.edits.len()
    }

    /// So many edits are on disk.
    pub(super) fn synced(&mut self, upto: usize) {
        let count = upto.saturating_sub(self.gone);
        for edit in self.edits.drain(..count) {
            apply(&mut self.sure, &edit);
        }
        self.gone += count;
    }

    /// What the process sees.
    pub(super) fn seen(&self) -> Vec<u8> {
        let mut out = self.sure.clone();
        self.edits.iter().for_each(|edit| apply(&mut out, edit));
        out
    }

    /// What may be found in the file.
    pub(super) fn found(&self, random: &mut fastrand::Rng) -> Found {
        let kept = self.kept(random);
        let mut bytes = self.sure.clone();
        kept.iter().for_each(|edit| apply(&mut bytes, edit));
        let (wanted, there) = (written(&self.edits), written(&kept));
        let is_there = |at: usize| there.get(at).is_some_and(|is_there| *is_there);
        let missing = (0..wanted.len()).find(|&at| wanted[at] && !is_there(at));
        let has_hole = missing.is_some_and(|at| there.iter().skip(at).any(|is_there| *is_there));
        let holds_any = !self.sure.is_empty() || there.contains(&true);
        Found { bytes, holds_any, is_short: missing.is_some(), has_hole }
    }

    /// What of the edits reaches the disk.
    fn kept(&self, random: &mut fastrand::Rng) -> Vec<Edit> {
        match random.u32(0..4) {
            // All of it had been written, as by chance, or none.
            0 => self.edits.clone(),
            1 => Vec::new(),
            // The beginning, and a part of the next write.
            2 => {
                let count = random.usize(0..=self.edits.len());
                let mut out = self.edits[..count].to_vec();
                if let Some(Edit::Write(at, bytes)) = self.edits.get(count) {
                    tear(random, &mut out, *at, bytes);
                }
                out
            }
            // Any of it.
            _ => {
                let mut out = Vec::new();
                for edit in &self.edits {
                    match edit {
                        Edit::Write(at, bytes) => match random.u32(0..4) {
                            0 => out.push(edit.clone()),
                            1 => tear(random, &mut out, *at, bytes),
                            2 => out.extend(zeros(self.sure.len() as u64, *at, bytes.len())),
                            _ => {}
                        },
                        _ => {
                            if random.bool() {
                                out.push(edit.clone());
                            }
                        }
                    }
                }
                out
            }
        }
    }
}

/// Which bytes of a file some edits have written.
fn written(edits: &[Edit]) -> Vec<bool> {
    let mut out = Vec::new();
    for edit in edits {
        let (at, count, is_written) = match edit {
            Edit::Write(at, bytes) => (*at, bytes.len(), true),
            Edit::Zeros(at, count) => (*at, *count, false),
            Edit::SetLen(to) => {
                out.truncate(len(*to));
                continue;
            }
            Edit::Extend(_) => continue,
        };
        let (from, to) = (len(at), len(at) + count);
        if out.len() < to {
            out.resize(to, false);
        }
        out[from..to].fill(is_written);
    }
    out
}

/// No more than the space of a write. What was there before is not lost by that.
fn zeros(sure: u64, at: u64, len: usize) -> Option<Edit> {
    let from = at.max(sure);
    let count = (at + len as u64).checked_sub(from)?;
    Some(Edit::Zeros(from, usize::try_from(count).expect("a write is small")))
}

/// Some of the sectors that a write touches.
fn tear(random: &mut fastrand::Rng, out: &mut Vec<Edit>, at: u64, bytes: &[u8]) {
    let sector = if random.bool() { 512 } else { 4096 };
    let beginning = random.bool();
    let mut done = 0;
    while done < bytes.len() {
        let place = at + done as u64;
        let room = usize::try_from(sector - place % sector).expect("a sector is small");
        let end = bytes.len().min(done + room);
        if random.bool() {
            out.push(Edit::Write(place, bytes[done..end].to_vec()));
        } else if beginning {
            return;
        }
        done = end;
    }
}

fn len(len: u64) -> usize {
    usize::try_from(len).expect("files are small")
}

fn apply(out: &mut Vec<u8>, edit: &Edit) {
    let room = |out: &mut Vec<u8>, at: u64, count: usize| {
        let range = len(at)..len(at) + count;
        out.resize(out.len().max(range.end), 0);
        range
    };
    match edit {
        Edit::Write(at, bytes) => {
            let range = room(out, *at, bytes.len());
            out[range].copy_from_slice(bytes);
        }
        Edit::Zeros(at, count) => {
            let range = room(out, *at, *count);
            out[range].fill(0);
        }
        Edit::SetLen(to) => out.resize(len(*to), 0),
        Edit::Extend(to) => out.resize(out.len().max(len(*to)), 0),
    }
}

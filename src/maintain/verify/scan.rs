//! Reading rows one after the other, damaged places included: what cannot be read is a finding, and the
//! scan goes on behind it.

use super::Context;
use super::found::{Findings, Site};
use crate::engine::{Frozen, Rows};
use crate::error::ErrorKind;
use crate::format::{Family, keys, record};

/// Rows are counted in groups of this many.
const GROUP: u64 = 256;
/// So often the place where a damaged run ends is halved.
const HALVINGS: usize = 160;

/// A scan over a range of keys of one family.
pub(super) struct Walk<'a> {
    context: &'a Context<'a>,
    findings: &'a Findings,
    family: Family,
    upper: Option<Vec<u8>>,
    rows: Rows<'a>,
    /// The key it is at, or was at last.
    at: Vec<u8>,
    /// It is at the content of a large value that is elsewhere by now, or nowhere any more.
    moved: Option<Option<Vec<u8>>>,
    begun: bool,
    ended: bool,
    items: u64,
    bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        findings: &'a Findings,
        family: Family,
        (lower, upper): (&[u8], Option<&[u8]>),
    ) -> Self {
        Self {
            context,
            findings,
            family,
            upper: upper.map(<[u8]>::to_vec),
            rows: context.db.iter(family, lower, upper),
            at: lower.to_vec(),
            moved: None,
            begun: false,
            ended: false,
            items: 0,
            bytes: 0,
        }
    }

    /// All rows whose keys start so.
    pub(super) fn prefix(
        context: &'a Context<'a>,
        findings: &'a Findings,
        family: Family,
        prefix: &[u8],
    ) -> Self {
        let upper = crate::kv::after_prefix(prefix);
        Self::new(context, findings, family, (prefix, upper.as_deref()))
    }

    /// Goes to the next row; false behind the last one, and once the work is to stop.
    pub(super) fn advance(&mut self) -> bool {
        if self.ended {
            return false;
        }
        if self.moved.take().is_some() {
            let behind = [&self.at[..], &[0]].concat();
            self.rows.seek(&behind);
        } else if self.begun {
            self.rows.next();
        } else {
            self.rows.seek_to_first();
            self.begun = true;
        }
        self.settle()
    }

    /// Goes to the first row at or above a key, which is above the present one.
    pub(super) fn jump(&mut self, key: &[u8]) -> bool {
        if self.ended {
            return false;
        }
        self.moved = None;
        self.rows.seek(key);
        self.begun = true;
        self.settle()
    }

    fn settle(&mut self) -> bool {
        loop {
            let error = match self.rows.current() {
                Ok(Some((key, value))) => {
                    self.at.clear();
                    self.at.extend_from_slice(key);
                    self.items += 1;
                    self.bytes += (key.len() + value.len()) as u64;
                    if self.items == GROUP {
                        self.tell();
                    }
                    return true;
                }
                Ok(None) => {
                    self.ended = true;
                    self.tell();
                    return false;
                }
                Err(e) => e,
            };
            // A file that is not there is no damage if a writer has replaced it; what cannot be read is.
            if error.kind() == ErrorKind::Io && self.find_moved() {
                return true;
            }
            self.findings.unreadable(Site::of(self.family).key(&self.at), &error);
            if self.context.is_stopped() || !self.skip() {
                self.ended = true;
                return false;
            }
        }
    }

    fn tell(&mut self) {
        self.context.count(self.items, self.bytes);
        (self.items, self.bytes) = (0, 0);
        self.ended |= self.context.is_stopped();
    }

    /// The row it is at: key and value. Only after a step that came to one.
    pub(super) fn row(&self) -> (&[u8], &[u8]) {
        if let Some(moved) = &self.moved {
            return (&self.at, moved.as_deref().unwrap_or_default());
        }
        match self.rows.current() {
            Ok(Some(row)) => row,
            Ok(None) | Err(_) => (&[], &[]),
        }
    }

    /// The content that comes next, if its file is one that a writer in another process has replaced.
    fn find_moved(&mut self) -> bool {
        let Some((hash, [0])) = self.at.split_first_chunk::<32>() else { return false };
        if self.family != Family::Blob {
            return false;
        }
        let key = [&hash[..], &[1]].concat();
        match self.context.db.engine().find_moved(&key) {
            Ok(found) => {
                (self.at, self.moved) = (key, Some(found));
                true
            }
            Err(_) => false,
        }
    }

    /// Whether it is at a large value that was collected since the store was opened.
    pub(super) fn is_collected(&self) -> bool {
        self.moved == Some(None)
    }

    /// The key it is at.
    pub(super) fn key(&self) -> &[u8] {
        &self.at
    }

    /// Goes behind a place that cannot be read: to where a later data file begins, and from there back to
    /// the first key that can be read.
    fn skip(&mut self) -> bool {
        let mut low = self.at.clone();
        low.push(0);
        let upper = self.upper.clone();
        let inside = |key: &Vec<u8>| *key > low && upper.as_ref().is_none_or(|upper| key < upper);
        let starts = self.context.db.engine().file_starts(self.family);
        let end = upper.clone().unwrap_or_else(|| vec![0xFF; 64]);
        let mut high = None;
        for start in starts.into_iter().filter(inside).chain([end]) {
            self.rows.seek(&start);
            if self.rows.current().is_ok() {
                high = Some(start);
                break;
            }
        }
        let Some(mut high) = high else { return false };
        for _ in 0..HALVINGS {
            let middle = middle(&low, &high);
            if middle <= low || middle >= high {
                break;
            }
            self.rows.seek(&middle);
            if self.rows.current().is_ok() { high = middle } else { low = middle }
        }
        self.rows.seek(&high);
        self.at = high;
        true
    }
}

/// A key about half way between two others.
fn middle(low: &[u8], high: &[u8]) -> Vec<u8> {
    let same = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    let length = same + 16;
    let digit = |key: &[u8], i: usize| u16::from(key.get(i).copied().unwrap_or(0));
    let mut sum: Vec<u16> = (0..length).map(|i| digit(low, i) + digit(high, i)).collect();
    let mut carry = 0;
    for place in sum.iter_mut().rev() {
        *place += carry;
        carry = *place >> 8;
        *place &= 0xFF;
    }
    let mut out = Vec::with_capacity(length);
    for place in sum {
        let value = (carry << 8) | place;
        out.push(u8::try_from(value >> 1).unwrap_or(0xFF));
        carry = value & 1;
    }
    out
}

/// The rows of a kind of family `refs` whose keys are the kind and a number; what does not decode is
/// told with its place.
pub(super) fn numbered<R: record::Stored>(
    db: &Frozen<'_>,
    findings: &Findings,
    (kind, what, place): (u8, &'static str, fn(Site, u64) -> Site),
) -> Vec<(u64, R)> {
    let mut out = Vec::new();
    let upper = [kind + 1];
    let mut rows = db.look(Family::Refs, &[kind], Some(&upper));
    rows.seek_to_first();
    loop {
        let (key, value) = match rows.current() {
            Ok(Some(row)) => row,
            Ok(None) => return out,
            Err(e) => {
                findings.unreadable(Site::of(Family::Refs), &e);
                return out;
            }
        };
        let site = || Site::of(Family::Refs).key(key);
        match (keys::number_at(key, 1), key.len()) {
            (Ok(number), 9) => match record::decode(what, value) {
                Ok(record) => out.push((number, record)),
                Err(e) => findings.malformed(place(site(), number), e),
            },
            _ => findings.malformed(site(), format!("the key of {what}")),
        }
        rows.next();
    }
}

#[cfg(test)]
mod tests {
    use super::middle;

    #[test]
    fn the_middle_lies_between() {
        for (low, high) in
            [(&b"a"[..], &b"c"[..]), (b"a", b"a\x01"), (b"ab\xFF", b"ac"), (b"", b"\xFF")]
        {
            let middle = middle(low, high);
            assert!(
                low < middle.as_slice() && middle.as_slice() < high,
                "{low:?} {middle:?} {high:?}"
            );
        }
    }
}

//! The trace of a process: what it did to its files, in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One call that changed files, or something that the process said in between.
#[derive(Debug)]
pub(super) enum Op {
    Open {
        fd: u64,
        path: PathBuf,
        created: bool,
        emptied: bool,
        dir: bool,
    },
    Close(u64),
    Write {
        fd: u64,
        at: u64,
        bytes: Vec<u8>,
    },
    /// The file has this length now.
    SetLen(u64, u64),
    /// The file has at least this length now.
    Extend(u64, u64),
    SyncBegins(u64),
    SyncEnds(u64),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    Said(Vec<u8>),
}

/// The places in a trace by what was done there last, and to which kind of file.
pub(super) fn kinds(ops: &[Op]) -> BTreeMap<(&'static str, String), Vec<usize>> {
    let of_file = |path: &Path| match path.extension() {
        Some(extension) => extension.to_string_lossy().into_owned(),
        None => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_manifest = name.starts_with("MANIFEST-");
            if is_manifest { "manifest" } else { "other" }.to_owned()
        }
    };
    let (mut open, mut out) = (BTreeMap::new(), BTreeMap::<_, Vec<usize>>::new());
    for (at, op) in ops.iter().enumerate() {
        let of = |fd: &u64| open.get(fd).cloned().unwrap_or_default();
        let kind = match op {
            Op::Open { fd, path, created, .. } => {
                open.insert(*fd, of_file(path));
                if !created {
                    continue;
                }
                ("create", of_file(path))
            }
            Op::Close(_) => continue,
            Op::Write { fd, .. } => ("write", of(fd)),
            Op::SetLen(fd, _) | Op::Extend(fd, _) => ("length", of(fd)),
            Op::SyncBegins(fd) | Op::SyncEnds(fd) => ("sync", of(fd)),
            Op::Rename(_, to) => ("rename", of_file(to)),
            Op::Link(_, to) => ("link", of_file(to)),
            Op::Remove(path) => ("remove", of_file(path)),
            Op::MakeDir(path) => ("directory", of_file(path)),
            Op::Said(_) => ("say", String::new()),
        };
        out.entry(kind).or_default().push(at + 1);
    }
    out
}

/// Reads what `shim.c` has written.
pub(super) fn read(bytes: &[u8]) -> Vec<Op> {
    let (mut rest, mut out) = (bytes, Vec::new());
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let (a, b) = (number(&mut rest), number(&mut rest));
        let (x, y) = (string(&mut rest), string(&mut rest));
        let path = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
        out.push(match kind {
            b'o' => {
                let (created, emptied, dir) = (b & 1 != 0, b & 2 != 0, b & 4 != 0);
                Op::Open { fd: a, path: path(x), created, emptied, dir }
            }
            b'c' => Op::Close(a),
            b'w' => Op::Write { fd: a, at: b, bytes: x.to_vec() },
            b't' => Op::SetLen(a, b),
            b'e' => Op::Extend(a, b),
            b's' => Op::SyncBegins(a),
            b'S' => Op::SyncEnds(a),
            b'r' => Op::Rename(path(x), path(y)),
            b'l' => Op::Link(path(x), path(y)),
            b'u' => Op::Remove(path(x)),
            b'd' => Op::MakeDir(path(x)),
            b'a' => Op::Said(x.to_vec()),
            other => panic!("no kind of record: {other}"),
        });
    }
    out
}

fn number(rest: &mut &[u8]) -> u64 {
    let (head, after) = rest.split_first_chunk().expect("the record is whole");
    *rest = after;
    u64::from_le_bytes(*head)
}

fn string<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let len = usize::try_from(number(rest)).expect("a length");
    let (head, after) = rest.split_at(len);
    *rest = after;
    head
}

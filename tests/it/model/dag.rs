//! Imports of `git` streams with random graphs: merges, criss-cross, octopus, several roots.

use std::collections::BTreeMap;
use std::io::Write as _;

use withy::ErrorKind;
use withy::exchange::{GitImportOptions, import_git};

use super::world::{Node, World, Writes, told};
use crate::support::must_fail;

/// A stream being made, with the commits it will come to.
struct Stream {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    /// Mark `:n` is the commit with sequence `marks[n - 1]`.
    marks: Vec<usize>,
    heads: BTreeMap<String, usize>,
}

/// A path as a stream has it, every byte in octal.
fn quoted(path: &[u8]) -> String {
    let inner: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("\"{inner}\"")
}

impl World {
    pub(crate) fn import(&mut self) {
        let stream = self.any_stream();
        let options = GitImportOptions::default().replace(true);
        let done = import_git(&self.store, &stream.bytes[..], options)
            .unwrap_or_else(|e| panic!("the stream is taken: {e:?}"));
        assert_eq!(
            done.commits as usize,
            stream.nodes.len() - self.nodes.len(),
            "every commit is taken"
        );
        self.nodes = stream.nodes;
        let mut names = self.names.clone();
        names.branches.extend(stream.heads);
        self.did(names);
    }

    /// A stream that breaks at its end leaves nothing.
    pub(crate) fn import_fails(&mut self) {
        let mut stream = self.any_stream();
        self.note("... which breaks at its end");
        stream.bytes.extend_from_slice(b"nonsense\n");
        let options = GitImportOptions::default().replace(true);
        must_fail(import_git(&self.store, &stream.bytes[..], options), ErrorKind::Invalid);
    }

    fn any_stream(&mut self) -> Stream {
        let mut stream = Stream {
            bytes: Vec::new(),
            nodes: self.nodes.clone(),
            marks: Vec::new(),
            heads: BTreeMap::new(),
        };
        let count = self.rng.usize(2..=14);
        for _ in 0..count {
            self.add_commit(&mut stream);
        }
        if self.rng.bool() {
            let (name, (from, seq)) = (self.any_name(), self.any_parent(&stream));
            writeln!(stream.bytes, "reset refs/heads/{name}\nfrom {from}\n").expect("to memory");
            self.note(format!("... and {name} at {seq}"));
            stream.heads.insert(name, seq);
        }
        stream
    }

    /// A commit of the stream, or the head of a branch that the stream has not moved.
    fn any_parent(&mut self, stream: &Stream) -> (String, usize) {
        if !stream.marks.is_empty() && self.rng.u8(0..4) > 0 {
            // The newest ones, so that lines cross.
            let low = stream.marks.len().saturating_sub(5);
            let at = self.rng.usize(low..stream.marks.len());
            return (format!(":{}", at + 1), stream.marks[at]);
        }
        let name = self.any_branch();
        let seq = stream.heads.get(&name).copied().unwrap_or(self.names.branches[&name]);
        (format!("refs/heads/{name}^0"), seq)
    }

    fn add_commit(&mut self, stream: &mut Stream) {
        let name = self.any_name();
        let mark = stream.marks.len() + 1;
        write!(
            stream.bytes,
            "commit refs/heads/{name}\nmark :{mark}\ncommitter A <a@b> {mark} +0000\ndata 0\n"
        )
        .expect("to memory");
        let mut parents = Vec::new();
        // Without `from` a commit follows its ref in the stream, or begins anew.
        if self.rng.u8(0..8) > 0 {
            let (from, seq) = self.any_parent(stream);
            writeln!(stream.bytes, "from {from}").expect("to memory");
            parents.push(seq);
            for _ in 0..[0, 0, 1, 1, 1, 2, 3][self.rng.usize(0..7)] {
                let (other, seq) = self.any_parent(stream);
                writeln!(stream.bytes, "merge {other}").expect("to memory");
                if !parents.contains(&seq) {
                    parents.push(seq);
                }
            }
        } else {
            parents.push(stream.heads.get(&name).copied().unwrap_or(0));
        }
        let writes = self.any_changes(stream, &parents);
        let before = std::mem::replace(&mut self.nodes, std::mem::take(&mut stream.nodes));
        let node = self.child(parents.clone(), &name, &writes);
        stream.nodes = std::mem::replace(&mut self.nodes, before);
        let seq = stream.nodes.len();
        self.note(format!("import {seq} on {name} from {parents:?}: {}", told(&writes)));
        stream.nodes.push(node);
        stream.marks.push(seq);
        stream.heads.insert(name, seq);
    }

    /// Changes against the first parent: new ones, or what another parent has.
    fn any_changes(&mut self, stream: &mut Stream, parents: &[usize]) -> Writes {
        let first = stream.nodes[parents[0]].content.clone();
        let mut writes = Writes::new();
        if self.rng.u8(0..12) == 0 {
            stream.bytes.extend_from_slice(b"deleteall\n");
            writes.extend(first.keys().map(|key| (key.clone(), None)));
        }
        for &other in &parents[1..] {
            let theirs = stream.nodes[other].content.clone();
            for key in first.keys().chain(theirs.keys()).filter(|key| !key.contains(&0)) {
                if self.rng.bool() {
                    set(stream, &mut writes, key, theirs.get(key).cloned());
                }
            }
        }
        for (key, value) in self.any_writes(4).into_iter().filter(|(key, _)| !key.contains(&0)) {
            set(stream, &mut writes, &key, value);
        }
        stream.bytes.push(b'\n');
        writes
    }
}

fn set(stream: &mut Stream, writes: &mut Writes, key: &[u8], value: Option<Vec<u8>>) {
    let path = quoted(key);
    match &value {
        Some(value) => {
            write!(stream.bytes, "M 100644 inline {path}\ndata {}\n", value.len())
                .expect("to memory");
            stream.bytes.extend_from_slice(value);
            stream.bytes.push(b'\n');
        }
        None => writeln!(stream.bytes, "D {path}").expect("to memory"),
    }
    writes.insert(key.to_vec(), value);
}

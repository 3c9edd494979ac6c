//! Merges that somebody else made, by whatever rules: they come in with an import.

use std::io::Write as _;

use withy::exchange::{GitImportOptions, import_git};

use super::reference::Cell;
use super::world::{World, put};

impl World {
    /// A merge of two or three commits, with any content.
    pub(crate) fn import(&mut self) {
        let branch = self.any_branch();
        let mut parents = Vec::new();
        let mut bytes = Vec::new();
        write!(bytes, "commit refs/heads/{branch}\ncommitter A <a@b> 1 +0000\ndata 0\n")
            .expect("to memory");
        for word in ["from", "merge", "merge"] {
            let name = self.any_branch();
            let at = self.names.branches[&name];
            if !parents.contains(&at) {
                parents.push(at);
                let word = if parents.len() == 1 { "from" } else { word };
                writeln!(bytes, "{word} refs/heads/{name}^0").expect("to memory");
            }
        }
        let mut content = self.dag.content(parents[0]).clone();
        let keys: Vec<Vec<u8>> =
            (0..self.rng.usize(0..6)).map(|_| self.any_key()).filter(|k| !k.contains(&0)).collect();
        for key in keys {
            let at = parents[self.rng.usize(0..parents.len())];
            let cell: Cell =
                if self.rng.bool() { self.any_cell() } else { self.dag.cell(at, &key) };
            let path = String::from_utf8(key.clone()).expect("it is text");
            match &cell {
                Some(value) => {
                    write!(bytes, "M 100644 inline {path}\ndata {}\n", value.len())
                        .expect("to memory");
                    bytes.extend_from_slice(value);
                    bytes.push(b'\n');
                }
                None => writeln!(bytes, "D {path}").expect("to memory"),
            }
            put(&mut content, &key, cell);
        }
        bytes.push(b'\n');
        self.note(format!("import on {branch} a merge of {parents:?}"));
        let options = GitImportOptions::default().replace(true);
        let done = import_git(&self.store, &bytes[..], options).expect("the stream is taken");
        assert_eq!(done.commits, 1, "one commit is taken");
        let seq = self.dag.add(parents, Vec::new(), content);
        self.moved(&branch, seq);
    }
}

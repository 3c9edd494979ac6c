//! Which names were files, and which were folders, in any commit so far.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A file and a folder of one name can only meet where that name was both at some time. So nearly
/// all paths need no look at the tree that they go to. Names are kept as hashes: two with the same
/// one cost a look in vain.
#[derive(Default)]
pub(super) struct Seen {
    files: BTreeSet<u64>,
    folders: BTreeSet<u64>,
    /// Trees came in whose names are not known.
    is_partial: bool,
}

impl Seen {
    /// A tree comes in from elsewhere: from now on every name may be a file or a folder.
    pub(super) fn give_up(&mut self) {
        self.is_partial = true;
    }

    /// Notes a file and its folders. Whether it may replace a folder, or be below a file.
    pub(super) fn add(&mut self, path: &[u8]) -> bool {
        let mut may_clash = self.may_be_folder(path);
        self.files.insert(hash(path));
        for folder in folders(path) {
            let folder = hash(folder);
            may_clash |= self.files.contains(&folder);
            self.folders.insert(folder);
        }
        may_clash || self.is_partial
    }

    /// Whether there may be files below this path.
    pub(super) fn may_be_folder(&self, path: &[u8]) -> bool {
        self.is_partial || self.folders.contains(&hash(path))
    }
}

/// The folders that a path is in, from the outermost.
pub(super) fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| &path[..at])
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_both_can_clash() {
        let mut seen = Seen::default();
        assert!(!seen.add(b"a/b/c"), "nothing is there yet");
        assert!(!seen.add(b"a/b/d"), "a second file in a folder");
        assert!(!seen.add(b"ab"), "the beginning of a name is no folder");
        assert!(seen.add(b"a/b"), "a file where a folder was");
        assert!(seen.add(b"a/b/e"), "a folder where a file was");
        assert!(seen.may_be_folder(b"a") && !seen.may_be_folder(b"ab"), "folders are known");
        seen.give_up();
        assert!(seen.add(b"x") && seen.may_be_folder(b"y"), "now anything may be");
    }
}

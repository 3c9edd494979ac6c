//! OPS-1, OPS-2, OPS-8: what a crash leaves behind is recovered, and damage is never mistaken for that.
//!
//! Copying the files of an open store shows what the end of its process would leave: what was written is
//! in the files, synced or not.

mod files;
mod flips;
mod gap;
mod log;
mod manifest;
mod many;
mod meta;
mod power;
mod salvage;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use withy::{Durability, Store};

/// In memory where that can be had: hundreds of stores are made, and no disk is needed to show this.
fn scratch() -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    memory.expect("a scratch directory can be made")
}

fn open_buffered(path: &Path) -> Store {
    let options = Store::options().durability(Durability::Buffered).author("tester");
    options.open(path).expect("the store opens")
}

/// A copy of the files as they are now.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("mkdir");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, to.join(name)).expect("copy");
        }
    }
}

/// The newest file whose name ends so.
fn newest(store: &Path, suffix: &str) -> PathBuf {
    let names = fs::read_dir(store).expect("the directory can be read");
    let names = names.map(|entry| entry.expect("the entry can be read").path());
    let mut found: Vec<_> = names.filter(|p| p.to_string_lossy().ends_with(suffix)).collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("there is a file {suffix}"))
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).expect("the file is there").len()
}

fn cut(path: &Path, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("open");
    file.set_len(len).expect("truncate");
}

fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).expect("read");
    bytes[usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("write");
}

/// Makes a store look as if the machine had been started again since: as docs/format.md has the mark.
fn start_again(store: &Path) {
    let path = store.join("withy.synced");
    let mut bytes = fs::read(&path).expect("the mark is there");
    for slot in bytes.chunks_mut(4096) {
        slot[17..33].fill(0x5A);
        let sum = blake3::hash(&slot[..48]);
        slot[48..64].copy_from_slice(&sum.as_bytes()[..16]);
    }
    fs::write(&path, bytes).expect("write");
}

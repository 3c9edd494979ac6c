//! The rows of a closed store as they are on disk.

use std::collections::BTreeMap;
use std::path::Path;

/// The families of a store.
pub(crate) const FAMILIES: [&str; 7] = ["head", "history", "log", "blob", "refs", "state", "meta"];

/// All rows by family and key. The store must not be open for writing.
pub(crate) fn raw_rows(store: &Path) -> BTreeMap<(&'static str, Vec<u8>), Vec<u8>> {
    let mut options = rocksdb::Options::default();
    // Else RocksDB would write down that it is not, which it cannot in a database that it only reads.
    options.set_track_and_verify_wals_in_manifest(true);
    let names = FAMILIES.into_iter().chain(["default"]);
    let db = rocksdb::DB::open_cf_for_read_only(&options, store, names, false)
        .expect("the database opens");
    let mut out = BTreeMap::new();
    for family in FAMILIES {
        let cf = db.cf_handle(family).expect("every family is there");
        for row in db.iterator_cf(cf, rocksdb::IteratorMode::Start) {
            let (key, value) = row.expect("the row can be read");
            out.insert((family, key.into_vec()), value.into_vec());
        }
    }
    out
}

/// The rows of family `refs` of one kind, keys without the kind.
pub(crate) fn raw_refs(store: &Path, kind: u8) -> BTreeMap<Vec<u8>, Vec<u8>> {
    raw_rows(store)
        .into_iter()
        .filter(|((family, key), _)| *family == "refs" && key[0] == kind)
        .map(|((_, key), value)| (key[1..].to_vec(), value))
        .collect()
}

/// A closed store, open as the database it is: any row can be set or removed.
pub(crate) struct Raw(rocksdb::DB);

impl Raw {
    pub(crate) fn open(store: &Path) -> Self {
        let mut options = rocksdb::Options::default();
        options.set_track_and_verify_wals_in_manifest(true);
        let names = FAMILIES.into_iter().chain(["default"]);
        Self(rocksdb::DB::open_cf(&options, store, names).expect("the database opens"))
    }

    pub(crate) fn put(&self, family: &str, key: &[u8], value: &[u8]) {
        let cf = self.0.cf_handle(family).expect("every family is there");
        self.0.put_cf(cf, key, value).expect("the row can be written");
    }

    pub(crate) fn delete(&self, family: &str, key: &[u8]) {
        let cf = self.0.cf_handle(family).expect("every family is there");
        self.0.delete_cf(cf, key).expect("the row can be removed");
    }

    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Vec<u8> {
        let cf = self.0.cf_handle(family).expect("every family is there");
        let row = self.0.get_cf(cf, key).expect("the row can be read");
        row.unwrap_or_else(|| panic!("{family} has a row {}", key.escape_ascii()))
    }

    /// The keys of a family that start so, in order.
    pub(crate) fn keys(&self, family: &str, prefix: &[u8]) -> Vec<Vec<u8>> {
        let cf = self.0.cf_handle(family).expect("every family is there");
        let from = rocksdb::IteratorMode::From(prefix, rocksdb::Direction::Forward);
        let rows =
            self.0.iterator_cf(cf, from).map(|row| row.expect("it can be read").0.into_vec());
        rows.take_while(|key| key.starts_with(prefix)).collect()
    }

    /// Changes a row.
    pub(crate) fn edit(&self, family: &str, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let mut row = self.get(family, key);
        change(&mut row);
        self.put(family, key, &row);
    }
}

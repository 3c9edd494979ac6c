//! The rows of a closed store as they are on disk.

use std::collections::BTreeMap;
use std::path::Path;

/// The families of a store.
pub(crate) const FAMILIES: [&str; 7] = ["head", "history", "log", "blob", "refs", "state", "meta"];

/// All rows by family and key. The store must not be open for writing.
pub(crate) fn raw_rows(store: &Path) -> BTreeMap<(&'static str, Vec<u8>), Vec<u8>> {
    let options = rocksdb::Options::default();
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

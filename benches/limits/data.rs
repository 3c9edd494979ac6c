//! The rows, and the two stores that hold them: withy, and RocksDB with the same settings.

use std::path::Path;

use rocksdb::{OptimisticTransactionDB, OptimisticTransactionOptions, WriteOptions};
use withy::{Batch, Branch, CommitOptions, Committed, Durability, Read, Seq, Store};

use crate::harness::{Result, Setting};
use crate::settings::Settings;

/// Rows of one commit while a store is filled.
pub(crate) const FILL: u64 = 1_000;

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The key of row `i`: 16 bytes, in no order, no two alike.
pub(crate) fn key(i: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&mix(i).to_be_bytes());
    out[8..].copy_from_slice(&i.to_be_bytes());
    out
}

/// The value of row `i` in its `version`: 100 bytes that do not compress.
pub(crate) fn value(i: u64, version: u64) -> [u8; 100] {
    let mut out = [0; 100];
    let seed = mix(i) ^ mix(version.wrapping_mul(0x1234_5678_9ABC_DEF1));
    for (word, chunk) in (0_u64..).zip(out.chunks_mut(8)) {
        let bytes = mix(seed.wrapping_add(word)).to_be_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    out
}

pub(crate) fn open(path: &Path, setting: &Setting, durability: Durability) -> Result<Store> {
    let options = Store::options().durability(durability).cache_bytes(setting.cache);
    Ok(options.author("bench").open(path)?)
}

/// Commits rows to a branch, as one commit.
pub(crate) fn commit(branch: &Branch, rows: impl IntoIterator<Item = (u64, u64)>) -> Result<Seq> {
    let mut batch = Batch::new();
    for (i, version) in rows {
        batch.put(key(i), value(i, version));
    }
    match branch.write(batch, CommitOptions::default())? {
        Committed::At(seq) => Ok(seq),
        Committed::Unchanged => Err("a commit of the bench changes nothing".into()),
    }
}

/// Rows `0..n` in version 0, in commits of [`FILL`] rows.
pub(crate) fn fill(branch: &Branch, n: u64) -> Result<Seq> {
    let mut last = Seq::ROOT;
    for from in (0..n).step_by(FILL as usize) {
        last = commit(branch, (from..n.min(from + FILL)).map(|i| (i, 0)))?;
    }
    Ok(last)
}

/// Fails unless this view holds row `i` in this version, or does not hold it.
pub(crate) fn check(view: &impl Read, i: u64, version: Option<u64>) -> Result<()> {
    let found = view.get(&key(i))?;
    let want = version.map(|v| value(i, v).to_vec());
    if found == want {
        Ok(())
    } else {
        Err(format!("row {i} is not in version {version:?}").into())
    }
}

/// RocksDB with the settings that withy gives its family `head`.
pub(crate) struct Raw {
    pub(crate) db: OptimisticTransactionDB,
    write: WriteOptions,
}

impl Raw {
    /// A new database with the settings of this store.
    pub(crate) fn like(
        store: &Store,
        path: &Path,
        setting: &Setting,
        durability: Durability,
    ) -> Result<Self> {
        let settings = Settings::of(&database_of(store.path())?)?;
        let mut options = settings.family("head", setting.cache)?;
        options.create_if_missing(true);
        let mut write = WriteOptions::default();
        write.set_sync(durability == Durability::Sync);
        Ok(Self { db: OptimisticTransactionDB::open(&options, path)?, write })
    }

    /// One optimistic transaction, run again in the rare case that RocksDB cannot decide.
    pub(crate) fn commit(&self, rows: impl IntoIterator<Item = (u64, u64)> + Clone) -> Result<()> {
        loop {
            let options = OptimisticTransactionOptions::default();
            let transaction = self.db.transaction_opt(&self.write, &options);
            for (i, version) in rows.clone() {
                transaction.put(key(i), value(i, version))?;
            }
            match transaction.commit() {
                Ok(()) => return Ok(()),
                Err(e)
                    if matches!(
                        e.kind(),
                        rocksdb::ErrorKind::Busy | rocksdb::ErrorKind::TryAgain
                    ) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub(crate) fn fill(&self, n: u64) -> Result<()> {
        for from in (0..n).step_by(FILL as usize) {
            self.commit((from..n.min(from + FILL)).map(|i| (i, 0)))?;
        }
        Ok(())
    }

    pub(crate) fn compact(&self) -> Result<()> {
        self.db.flush()?;
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    pub(crate) fn check(&self, i: u64, version: u64) -> Result<()> {
        let found = self.db.get(key(i))?;
        if found.as_deref() == Some(&value(i, version)[..]) {
            Ok(())
        } else {
            Err(format!("rocksdb: row {i} is not in version {version}").into())
        }
    }
}

/// The directory of the database in a store.
pub(crate) fn database_of(store: &Path) -> Result<std::path::PathBuf> {
    if store.join("CURRENT").exists() {
        return Ok(store.to_owned());
    }
    for entry in std::fs::read_dir(store)? {
        let path = entry?.path();
        if path.join("CURRENT").exists() {
            return Ok(path);
        }
    }
    Err(format!("no database in {}", store.display()).into())
}

/// Bytes of the files that hold rows: sorted files and blob files.
pub(crate) fn size_of_rows(dir: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            total += size_of_rows(&path)?;
        } else if path.extension().is_some_and(|e| e == "sst" || e == "blob") {
            total += entry.metadata()?.len();
        }
    }
    Ok(total)
}

//! Data files as a whole against their checksums in the manifest: every bit of them counts, also those
//! that RocksDB does without, such as filters.

use std::fs::File;
use std::io::{ErrorKind as Io, Read as _};
use std::path::Path;

use super::manifest::{Manifest, unreadable};
use super::recovery::{Fault, blob_name, table_name};
use crate::error::Result;
use crate::format::Family;

/// What is read at once.
const CHUNK: usize = 1 << 20;

/// A data file with a checksum, and what is in it.
pub(crate) struct WholeFile<'m> {
    pub(crate) name: String,
    /// The name of its family.
    pub(crate) family: &'m str,
    /// First and last key; none for a file of large values.
    pub(crate) keys: Option<&'m (Vec<u8>, Vec<u8>)>,
    checksum: u32,
}

impl Manifest {
    /// Every data file that has a checksum.
    pub(crate) fn whole_files(&self) -> Vec<WholeFile<'_>> {
        let tables = self.tables.iter().filter_map(|(number, table)| {
            let (name, family) = (table_name(*number), self.family(table.family));
            let keys = Some(&table.keys);
            table.checksum.map(|checksum| WholeFile { name, family, keys, checksum })
        });
        let blobs = self.needed_blobs().filter_map(|(number, blob)| {
            let (name, family) = (blob_name(number), Family::Blob.name());
            blob.checksum.map(|checksum| WholeFile { name, family, keys: None, checksum })
        });
        tables.chain(blobs).collect()
    }
}

impl WholeFile<'_> {
    /// Reads all of the file; `step` is told how many bytes were read each time.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be read, and those of `step`.
    pub(crate) fn check(
        &self,
        store: &Path,
        mut step: impl FnMut(u64) -> Result<()>,
    ) -> Result<Option<Fault>> {
        let name = &self.name;
        let mut file = match File::open(store.join(name)) {
            Ok(file) => file,
            // A writer has replaced it meanwhile; files that are missing are looked for before.
            Err(e) if e.kind() == Io::NotFound => return Ok(None),
            Err(e) => return Err(unreadable(name, e)),
        };
        let (mut sum, mut chunk) = (0, vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk).map_err(|e| unreadable(name, e))? {
                0 => break,
                len => {
                    sum = crc32c::crc32c_append(sum, &chunk[..len]);
                    step(len as u64)?;
                }
            }
        }
        let what = || format!("the checksum of the data file {name} does not match");
        Ok((sum != self.checksum).then(|| Fault::new(name.clone(), what())))
    }
}

/// Reads every data file that has a checksum; `step` is told how many files and bytes are done.
pub(crate) fn check_files(
    store: &Path,
    manifest: &Manifest,
    mut step: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Vec<Fault>> {
    let (mut faults, mut bytes) = (Vec::new(), 0);
    for (files, file) in (0..).zip(manifest.whole_files()) {
        let add = |read| {
            bytes += read;
            step(files, bytes)
        };
        faults.extend(file.check(store, add)?);
    }
    Ok(faults)
}

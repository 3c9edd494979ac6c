//! Data files as a whole against their checksums in the manifest: every bit of them counts, also those
//! that RocksDB does without, such as filters.

use std::fs::File;
use std::io::{ErrorKind as Io, Read as _};
use std::path::Path;

use super::manifest::{Manifest, unreadable};
use super::recovery::{Fault, blob_name, table_name};
use crate::error::Result;

/// What is read at once.
const CHUNK: usize = 1 << 20;

/// Reads every data file that has a checksum; `step` is told how many files and bytes are done.
pub(crate) fn check_files(
    store: &Path,
    manifest: &Manifest,
    mut step: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Vec<Fault>> {
    let tables = manifest.tables.iter().map(|(n, table)| (table_name(*n), table.checksum));
    let needed = manifest.needed_blobs().filter_map(|n| Some((n, manifest.blobs.get(&n)?)));
    let blobs = needed.map(|(n, blob)| (blob_name(n), blob.checksum));
    let (mut faults, mut files, mut bytes, mut chunk) = (Vec::new(), 0, 0, vec![0; CHUNK]);
    for (name, checksum) in tables.chain(blobs) {
        let Some(expected) = checksum else { continue };
        let mut file = match File::open(store.join(&name)) {
            Ok(file) => file,
            // A writer has replaced it meanwhile; files that are missing are looked for before.
            Err(e) if e.kind() == Io::NotFound => continue,
            Err(e) => return Err(unreadable(&name, e)),
        };
        let mut sum = 0;
        loop {
            match file.read(&mut chunk).map_err(|e| unreadable(&name, e))? {
                0 => break,
                len => {
                    sum = crc32c::crc32c_append(sum, &chunk[..len]);
                    bytes += len as u64;
                    step(files, bytes)?;
                }
            }
        }
        files += 1;
        if sum != expected {
            let what = format!("the checksum of the data file {name} does not match");
            faults.push(Fault::new(name, what));
        }
    }
    Ok(faults)
}

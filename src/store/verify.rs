//! Verification of a store, open or not.

use std::path::Path;

use super::Store;
use super::open::open_engine_to_read;
use crate::error::Result;
use crate::maintain::{self, VerifyOptions, VerifyReport};

impl Store {
    /// Reads everything that is stored and holds it against everything that must be true of it: rows,
    /// commits, ids, fingerprints, counts, refs, pins, indexes, large values, and what is under way; and
    /// every byte of the data files against the checksums of the whole files, which covers filters too.
    ///
    /// What is wrong is a [`Finding`](crate::Finding) in the report, and does not end the work. It is one
    /// state of the store that is verified; writes go on meanwhile. Rows whose blocks are in the store's cache
    /// are taken from there; [`verify_at`](Self::verify_at) reads all of them from the disk, and the log.
    ///
    /// Cost: one pass over the files, one over all data, and a look-up for each row of a branch that hides one below it, on
    /// as many threads as the machine has. Memory grows with the number of lines, branches and tags, not
    /// with rows, commits or values; some 40 MiB more are taken to name rows that are wrong.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the branch that was named is not there;
    /// [`Interrupted`](crate::ErrorKind::Interrupted) if the progress callback broke off. Nothing is
    /// changed in any case.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// store.main()?.put("pear", "green")?;
    /// let report = store.verify(Default::default())?;
    /// for finding in &report.findings {
    ///     println!("{finding}; read by {:?}: {}", finding.branches, finding.check.advice());
    /// }
    /// assert!(report.is_clean());
    /// assert_eq!((report.commits, report.versions), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, options: VerifyOptions<'_>) -> Result<VerifyReport> {
        maintain::verify(self.engine(), options)
    }

    /// Verifies the store in a directory as it is on disk, beside whoever writes to it, and even if it is
    /// so damaged that it cannot be opened. No file is changed.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify), and those of [`OpenOptions::open`](crate::OpenOptions::open) for
    /// reading, as far as they are about the directory and the database: a manifest that RocksDB cannot
    /// read is [`Corrupt`](crate::ErrorKind::Corrupt).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{Store, VerifyOptions};
    /// Store::open(dir.path())?.main()?.put("pear", "green")?;
    /// assert!(Store::verify_at(dir.path(), VerifyOptions::default())?.is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_at(path: impl AsRef<Path>, options: VerifyOptions<'_>) -> Result<VerifyReport> {
        maintain::verify(&open_engine_to_read(path.as_ref())?, options)
    }
}

//! Purge, and its audit records.

use super::Store;
use crate::error::Result;
use crate::kv::KeyRange;
use crate::maintain::purge::{self, PurgeOptions, PurgeReport};

impl Store {
    /// Removes all values of a range of keys from all of history: of every commit, branch and tag.
    ///
    /// On each branch that has keys of the range a commit deletes them; these commits are one operation.
    /// Then every version that the store has of the range becomes the hash of its value: reads find no
    /// such key, at whatever commit. Ids, fingerprints and [counts of keys](crate::View::len) of commits
    /// stay as they are, because they rest on hashes. At the end no byte of the values is left in the
    /// store's directory. An audit record stays for good: [`purges`](Self::purges).
    ///
    /// What it does not reach: keys and hashes, which commits rest on, so a value that is short or one of
    /// few can be guessed from its hash; values that a view, scan or transaction that is open holds in
    /// memory; what was copied elsewhere before: checkpoints, backups, exports, followers, messages of
    /// the outbox and journals of sagas. Undo of the deletion brings the keys of branches back as
    /// absent. Merges, reverts and cherry-picks take what was purged for absent, on the sides and at the
    /// base: nothing of it comes back, and what is put again is a change, be it the very same value. While it
    /// goes on, they are refused ([`Busy`](crate::ErrorKind::Busy)), but for fast-forwards, and so is
    /// a [`restore`](Self::restore).
    ///
    /// Commits go on meanwhile; what they put into the range stays. From the first write on the purge
    /// comes to its end: if it is stopped, or the process is killed, or the disk has no room for the files that
    /// it writes anew, then at the next purge or open ([`RecoveryReport::purging`](crate::RecoveryReport) says
    /// if it could not). Until then reads of past commits may still find values, and files have them. A file
    /// that an open scan reads from goes when that is dropped. Verifications that begin meanwhile are waited for.
    ///
    /// Cost: one pass over the rows of the range on each line, over all rows if large values are among
    /// them, and all files of data are written anew; memory for the keys that branches have in the range.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy), naming it, if an open merge or a prepared transaction holds a key
    /// of the range, if the store is being verified, or if a `salvage-TIME` directory is in the store, whose
    /// files a purge does not reach: nothing has changed then. [`Interrupted`](crate::ErrorKind::Interrupted) if the caller
    /// stops it; [`ReadOnly`](crate::ErrorKind::ReadOnly); [`Io`](crate::ErrorKind::Io),
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Halted`](crate::ErrorKind::Halted): the purge may have
    /// begun, see [`purges`](Self::purges).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{KeyRange, PurgeOptions, Read, TagOptions};
    /// let main = store.main()?;
    /// main.put("user/7/mail", "ann@example.org")?;
    /// main.put("user/8/mail", "bob@example.org")?;
    /// store.create_tag("v1", "main", TagOptions::default())?;
    /// let id = store.commit("v1")?.id;
    /// store.purge(&KeyRange::prefix("user/7/"), PurgeOptions::default().reason("asked for"))?;
    /// assert_eq!(store.view("v1")?.get(b"user/7/mail")?, None);
    /// assert_eq!(store.view("v1")?.get(b"user/8/mail")?.as_deref(), Some(&b"bob@example.org"[..]));
    /// assert_eq!(store.commit("v1")?.id, id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn purge(&self, range: &KeyRange, options: PurgeOptions<'_>) -> Result<PurgeReport> {
        purge::purge(self.publisher()?, range, options)
    }

    /// The audit records of all purges, oldest first. Collection never removes them.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{KeyRange, PurgeOptions};
    /// store.purge(&KeyRange::key("secret"), PurgeOptions::default().reason("leaked"))?;
    /// let all = store.purges()?;
    /// assert_eq!((all[0].number, all[0].reason.as_str(), all[0].is_done), (1, "leaked", true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn purges(&self) -> Result<Vec<PurgeReport>> {
        purge::all(self.engine())
    }
}

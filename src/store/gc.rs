//! Retention and collection.

use super::Store;
use super::config::{self, Setting};
use crate::error::Result;
use crate::id::Seq;
use crate::maintain::gc::{self, GcOptions, GcReport, Policy, Retention, parse_age};
use crate::name::TagName;

impl Store {
    /// Removes what nothing needs any more: commits that the setting `retention` lets go, lines that no
    /// branch, tag or operation leads to, large values that no row names, tags over the setting
    /// `max-tags`. Reads and writes go on meanwhile.
    ///
    /// Every branch head, tag, open merge, prepared transaction, cursor with a lease, and every view,
    /// scan and transaction that is open stays exactly as it is; so does what branches and tags were before
    /// and after operations on them within the setting `undo-age`, and where the next merge of two branches
    /// starts from. The commit that a branch was made from stays as long as the branch shows something of it,
    /// or a merge may start there; a branch that has replaced most of it gets a copy of the rest. A commit can
    /// be undone if the one before it is kept. A rev whose commit is gone is answered with
    /// [`HistoryGone`](crate::ErrorKind::HistoryGone).
    ///
    /// Cost: one pass over the rows of lines of which something is gone, over the log below what is gone,
    /// and, if there are large values, over all rows; memory for the lines and pins that there are, and 16 MiB
    /// for large values, never for rows. A run that is interrupted, or killed, is finished by the next one.
    ///
    /// # Errors
    /// [`Interrupted`](crate::ErrorKind::Interrupted) if the caller stops it;
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly), [`Io`](crate::ErrorKind::Io),
    /// [`Corrupt`](crate::ErrorKind::Corrupt), [`Halted`](crate::ErrorKind::Halted). What is kept is as it
    /// was, whatever was removed by then.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{ErrorKind, GcOptions, Read, Setting, TagOptions};
    /// let main = store.main()?;
    /// for number in 1..=5 {
    ///     main.put("count", number.to_string())?;
    /// }
    /// store.create_tag("two", "seq:2", TagOptions::default())?;
    /// store.set_config(Setting::Retention, Some("count=2"))?;
    /// store.gc(GcOptions::default())?;
    /// assert_eq!(store.view("main~1")?.get(b"count")?.as_deref(), Some(&b"4"[..]));
    /// assert_eq!(store.view("two")?.get(b"count")?.as_deref(), Some(&b"2"[..]));
    /// assert_eq!(store.view("seq:3").err().map(|e| e.kind()), Some(ErrorKind::HistoryGone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gc(&self, options: GcOptions<'_>) -> Result<GcReport> {
        let publisher = self.publisher()?;
        let undo_age = config::read(self.engine(), Setting::UndoAge)?;
        let undo_age = undo_age.unwrap_or_else(|| Setting::UndoAge.default_value().to_owned());
        let policy = Policy { retention: self.retention()?, undo_age_ms: parse_age(&undo_age)? };
        self.drop_old_tags()?;
        gc::collect(publisher, &policy, self.inner.clock.now(), options)
    }

    /// How much of their past branches keep, as the setting `retention` says.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    pub fn retention(&self) -> Result<Retention> {
        config::read(self.engine(), Setting::Retention)?.unwrap_or_default().parse()
    }

    /// Deletes the oldest tags while there are more than the setting `max-tags` says: never one of the
    /// newest, as the setting `keep-tags` says, nor one that a branch starts from.
    fn drop_old_tags(&self) -> Result<()> {
        let Some(most) = config::number(self.engine(), Setting::MaxTags)? else { return Ok(()) };
        let spared = config::number(self.engine(), Setting::KeepTags)?.unwrap_or(0);
        if self.refs().tags()?.len() as u64 <= most {
            return Ok(());
        }
        self.publisher()?.move_refs(None, |plan| {
            let mut tags = plan.refs().tags()?;
            tags.sort_by_key(|(_, tag)| (tag.created, tag.at.seq));
            let mut over = (tags.len() as u64).saturating_sub(most);
            let newest = usize::try_from(spared).unwrap_or(usize::MAX);
            tags.truncate(tags.len().saturating_sub(newest));
            let starts = plan.refs().branches()?;
            let starts = |seq: u64| starts.iter().any(|(_, branch)| branch.created_seq == seq);
            let mut dropped = Vec::new();
            for (name, tag) in tags {
                if over > 0 && (tag.at.seq == Seq::ROOT.get() || !starts(tag.at.seq)) {
                    plan.set_tag(&TagName::new(&name)?, None)?;
                    dropped.push(name);
                    over -= 1;
                }
            }
            Ok((format!("drop old tags {}", dropped.join(", ")), ()))
        })
    }
}

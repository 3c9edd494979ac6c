//! From rows that wait to commits, or to nothing.

use super::super::{CommitOptions, Committed, Part, Publisher, Request, StateRows};
use super::{GidState, Stored, Values, check_gid, ended, gid_state, unknown};
use crate::engine::WriteSet;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{OutcomeRecord, outcome_key};
use crate::format::{Family, record};
use crate::id::Seq;
use crate::kv::Durability;
use crate::name::BranchName;

/// What happens to a name that nothing is known of when it is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnknown {
    Fail,
    /// It is remembered as rolled back, and cannot be prepared any more.
    Bar,
}

impl Publisher {
    /// Commits a prepared transaction; the commits that it became, now or earlier.
    pub(crate) fn commit_prepared(&self, gid: &str) -> Result<Vec<Seq>> {
        check_gid(gid)?;
        let tried = match Stored::find(self.engine(), gid, Values::Read) {
            Ok(Some(stored)) => self.commit_stored(gid, stored),
            Ok(None) => Err(unknown(gid)),
            Err(e) => Err(e),
        };
        match tried {
            // It may have been ended before, or by somebody else just now.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
                match gid_state(self.engine(), gid)? {
                    GidState::Prepared => Err(e),
                    // It may even have been forgotten since, while its parts were being read.
                    GidState::Unknown => Err(unknown(gid)),
                    GidState::Finished(outcome) => {
                        let Some(commits) = &outcome.commits else {
                            return Err(ended(gid, &outcome));
                        };
                        // It can be seen before it is on disk.
                        self.sync()?;
                        Ok(commits.iter().copied().map(Seq::new).collect())
                    }
                }
            }
            tried => tried,
        }
    }

    fn commit_stored(&self, gid: &str, mut stored: Stored) -> Result<Vec<Seq>> {
        let timer = self.counters.begin();
        let mut parts = Vec::with_capacity(stored.branches.len());
        for (named, branch) in stored.record.branches.iter().zip(&mut stored.branches) {
            let writes = std::mem::take(&mut branch.writes);
            parts.push(Part { branch: BranchName::new(&named.name)?, writes, seen: None });
        }
        let options = CommitOptions::default()
            .author(std::mem::take(&mut stored.record.author))
            .message(std::mem::take(&mut stored.record.message))
            .durability(Durability::Sync)
            .allow_empty(stored.record.allow_empty);
        let messages = std::mem::take(&mut stored.messages);
        let time = self.clock.now().as_millis();
        let finish = move |seqs: &[Seq]| {
            // Under the commit lock: from here on nobody else ends it.
            if gid_state(self.engine(), gid)? != GidState::Prepared {
                return Err(unknown(gid));
            }
            let commits = Some(seqs.iter().map(|seq| seq.get()).collect());
            Ok(stored.ended(gid, &OutcomeRecord { commits, time }))
        };
        let request = Request {
            parts,
            options,
            messages: messages.into_iter().map(|m| (m.topic, m.payload)).collect(),
            attached: vec![Box::new(finish)],
            ends: Some(gid),
            ..Request::default()
        };
        let done = self.commit(request);
        timer.end(&done);
        Ok(done?.into_iter().filter_map(Committed::seq).collect())
    }

    /// Rolls a prepared transaction back; nothing happens if that was done earlier.
    pub(crate) fn rollback_prepared(&self, gid: &str, if_unknown: IfUnknown) -> Result<()> {
        check_gid(gid)?;
        let mut guard = self.lock()?;
        let writer = &mut *guard;
        let outcome = OutcomeRecord { commits: None, time: self.time(writer) };
        let rows = match gid_state(self.engine(), gid)? {
            GidState::Prepared => {
                let stored = Stored::find(self.engine(), gid, Values::Left)?;
                stored.map(|stored| stored.ended(gid, &outcome)).unwrap_or_default()
            }
            GidState::Finished(OutcomeRecord { commits: None, .. }) => StateRows::new(),
            GidState::Finished(outcome) => return Err(ended(gid, &outcome)),
            GidState::Unknown if if_unknown == IfUnknown::Fail => return Err(unknown(gid)),
            GidState::Unknown => {
                vec![(Family::State, outcome_key(gid), Some(record::encode(&outcome)))]
            }
        };
        let mut set = WriteSet::default();
        self.put_rows(&mut set, &rows);
        if !set.is_empty() {
            // Begun and aborted: a prepare that held was one that ended well.
            let _aborted = self.counters.begin();
            self.engine().write(set)?;
            writer.held.remove(gid);
        }
        let write = self.wrote(writer);
        drop(guard);
        self.settle(write, Some(Durability::Sync))
    }

    /// Forgets what became of a prepared transaction; false if nothing was remembered.
    pub(crate) fn forget_prepared(&self, gid: &str) -> Result<bool> {
        check_gid(gid)?;
        // Nothing rests on it: what is remembered for too long can be forgotten again.
        self.update_state_as(Some(Durability::Buffered), || match gid_state(self.engine(), gid)? {
            GidState::Prepared => {
                let text = format!("transaction {gid} is prepared, and has not ended");
                Err(Error::new(ErrorKind::Invalid, text).with_hint("commit it or roll it back"))
            }
            GidState::Finished(_) => Ok((vec![(Family::State, outcome_key(gid), None)], true)),
            GidState::Unknown => Ok((StateRows::new(), false)),
        })
    }
}

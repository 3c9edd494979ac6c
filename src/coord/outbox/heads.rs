//! Where each topic begins: the oldest message of a topic is found without going over those that are gone.
//!
//! RocksDB keeps a mark for every row that was deleted until it is compacted away, and a search from the
//! start of a topic would pass all of them. So it is remembered per topic up to which message there is
//! none. That only grows, as commits do, but for a dead letter that is put back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::message::MessageId;
use super::rows::{behind, end_of, key, topics_between};
use crate::engine::Engine;
use crate::error::Result;
use crate::format::Family;
use crate::format::keys::{self, outbox};
use crate::id::Seq;

/// So many topics are remembered even if they are empty.
const KEPT: usize = 1_024;

const START: MessageId = MessageId { seq: Seq::ROOT, number: 0 };

/// Where topics begin.
#[derive(Default)]
pub(in crate::coord) struct Heads(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// By topic, a message before which there is none.
    heads: BTreeMap<String, MessageId>,
    /// How often a message was put back.
    put_back: u64,
}

impl Known {
    /// Forgets an empty topic, if it is one of many: names that are used once must not pile up. A few are
    /// worth keeping: the next search begins behind what was deleted.
    fn drop_if_many(&mut self, topic: &str) {
        if self.heads.len() > KEPT {
            self.heads.remove(topic);
        }
    }
}

impl Heads {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest message of a topic.
    pub(super) fn first(&self, engine: &Engine, topic: &str) -> Result<Option<MessageId>> {
        let (from, put_back) = {
            let known = self.known();
            (known.heads.get(topic).copied().unwrap_or(START), known.put_back)
        };
        let lower = key(outbox::MESSAGE, topic, from);
        let upper = behind(outbox::MESSAGE, topic);
        let mut rows = engine.iter(Family::State, &lower, Some(&upper));
        rows.seek_to_first();
        let Some((stored, _)) = rows.current()? else {
            self.known().drop_if_many(topic);
            return Ok(None);
        };
        let (_, seq, number) = keys::outbox_parts(stored)?;
        let found = MessageId { seq, number };
        let mut known = self.known();
        // If one was put back in between, there may be an older one that was not seen.
        if known.put_back == put_back {
            known.heads.insert(topic.to_owned(), found);
        }
        Ok(Some(found))
    }

    /// A message was put back that may be older than all others of its topic. Called once it is stored.
    pub(super) fn put_back(&self, topic: &str, id: MessageId) {
        let mut known = self.known();
        known.put_back += 1;
        let head = known.heads.entry(topic.to_owned()).or_insert(START);
        *head = id.min(*head);
    }

    /// The topics that have messages, by name. Cost: two seeks each.
    pub(super) fn topics(&self, engine: &Engine) -> Result<Vec<String>> {
        // Known topics are asked where they begin; others are looked for in the gaps between them.
        let known: Vec<String> = self.known().heads.keys().cloned().collect();
        let mut out = Vec::new();
        let kind = outbox::MESSAGE;
        let mut from = keys::outbox(kind).to_vec();
        for topic in known {
            let start = keys::outbox_topic(kind, &topic);
            topics_between(engine, kind, (&from, &start), &mut out)?;
            if self.first(engine, &topic)?.is_some() {
                out.push(topic.clone());
            }
            from = behind(kind, &topic);
        }
        topics_between(engine, kind, (&from, &end_of(kind)), &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_topics_are_forgotten_once_there_are_many() {
        let mut known = Known::default();
        let name = |n: usize| format!("t{n}");
        for n in 0..2 * KEPT {
            known.heads.insert(name(n), START);
        }
        (0..2 * KEPT).for_each(|n| known.drop_if_many(&name(n)));
        assert_eq!(known.heads.len(), KEPT, "some are kept, and no more than these");
    }
}

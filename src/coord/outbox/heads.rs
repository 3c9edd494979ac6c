//! Where each topic begins: the oldest message of a topic is found without going over those that are gone.
//!
//! RocksDB keeps a mark for every row that was deleted until it is compacted away, and a search from the
//! start of a topic would pass all of them. So it is remembered per topic up to which message there is
//! none. That only grows, as commits do, but for a dead letter that is put back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::message::MessageId;
use super::rows::key;
use crate::engine::{Engine, Rows};
use crate::error::Result;
use crate::format::Family;
use crate::format::keys::{self, outbox};
use crate::id::Seq;

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
        let upper = behind(topic);
        let mut rows = engine.iter(Family::State, &lower, Some(&upper));
        rows.seek_to_first();
        let Some((stored, _)) = rows.current()? else { return Ok(None) };
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
        let mut from = keys::outbox(outbox::MESSAGE).to_vec();
        for topic in known {
            let start = keys::outbox_topic(outbox::MESSAGE, &topic);
            gap(engine, &from, &start, &mut out)?;
            if self.first(engine, &topic)?.is_some() {
                out.push(topic.clone());
            }
            from = behind(&topic);
        }
        let end = [keys::outbox(outbox::MESSAGE)[0], outbox::MESSAGE + 1];
        gap(engine, &from, &end, &mut out)?;
        Ok(out)
    }
}

/// The first key behind those of a topic: a topic ends in 00, and no name has a byte as low as 01.
fn behind(topic: &str) -> Vec<u8> {
    let mut out = keys::outbox_topic(outbox::MESSAGE, topic);
    out.pop();
    out.push(1);
    out
}

/// Adds the topics between two keys.
fn gap(engine: &Engine, from: &[u8], to: &[u8], out: &mut Vec<String>) -> Result<()> {
    if from >= to {
        return Ok(());
    }
    let mut rows: Rows<'_> = engine.iter(Family::State, from, Some(to));
    rows.seek_to_first();
    while let Some((stored, _)) = rows.current()? {
        let topic = keys::outbox_parts(stored)?.0.to_owned();
        let next = behind(&topic);
        out.push(topic);
        rows.seek(&next);
    }
    Ok(())
}

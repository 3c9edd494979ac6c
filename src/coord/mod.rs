//! Coordination: what goes on beyond one commit, and is driven to its end whatever happens between.
//!
//! `outbox` delivers messages that were stored with a commit; `saga` runs steps that are taken back if
//! a later one fails. Both keep what they know in family `state`, written by `publish` and, where a
//! step has effects in the store, in the same write as these. `two_phase` commits over several stores.

mod action;
mod key;
pub(crate) mod outbox;
mod policy;
mod resume;
pub(crate) mod saga;
pub(crate) mod two_phase;

use std::sync::Arc;

pub(crate) use action::{Action, Registry};
pub use action::{ActionError, ActionResult};
pub use outbox::{
    Delivered, Delivery, MessageId, MessageState, Outbox, OutboxMessage, OutboxMessages,
    ParseMessageIdError,
};
pub use policy::RetryPolicy;
pub use resume::Resumed;
pub(crate) use resume::{Background, go_on, resume};
pub use saga::{
    CompensationInfo, CompensationState, SagaDef, SagaInfo, SagaOutcome, SagaPhase, SagaStep, Sagas,
};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::locks::LockTable;
use crate::name::BranchName;
use crate::publish::Publisher;
use crate::txn::{Txn, TxnOptions};

/// All that coordination needs of a store.
#[derive(Clone)]
pub(crate) struct Coord {
    pub(crate) graph: Arc<Graph>,
    /// What writing needs; absent in a store that is open for reading only.
    pub(crate) writer: Option<(Arc<Publisher>, Arc<LockTable>)>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store_id: [u8; 16],
}

impl Coord {
    fn engine(&self) -> &Engine {
        self.graph.engine()
    }

    fn writer(&self) -> Result<&(Arc<Publisher>, Arc<LockTable>)> {
        self.writer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                .with_hint("open it without `read_only`")
        })
    }

    fn publisher(&self) -> Result<&Arc<Publisher>> {
        self.writer().map(|(publisher, _)| publisher)
    }

    /// Milliseconds since 1970, as the store's clock says.
    fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    fn begin(&self, branch: &str) -> Result<Txn<'_>> {
        let (publisher, locks) = self.writer()?;
        Txn::new(publisher, locks, BranchName::new(branch)?, TxnOptions::default())
    }
}

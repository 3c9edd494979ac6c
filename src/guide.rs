#![doc = include_str!("../docs/guide.md")]
//!
//! [`Batch`]: crate::Batch
//! [`Branch`]: crate::Branch
//! [`Durability`]: crate::Durability
//! [`MergeOptions`]: crate::MergeOptions
//! [`Outbox`]: crate::Outbox
//! [`Read`]: crate::Read
//! [`SagaDef`]: crate::SagaDef
//! [`Store::feed`]: crate::Store::feed
//! [`Store::merge`]: crate::Store::merge
//! [`Store::view`]: crate::Store::view
//! [`Txn`]: crate::Txn
//! [`Txn::enqueue`]: crate::Txn::enqueue

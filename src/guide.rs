#![doc = include_str!("../docs/guide.md")]
//!
//! [`Batch`]: crate::Batch
//! [`Branch`]: crate::Branch
//! [`Durability`]: crate::Durability
//! [`MergeOptions`]: crate::MergeOptions
//! [`Read`]: crate::Read
//! [`Store::feed`]: crate::Store::feed
//! [`Store::merge`]: crate::Store::merge
//! [`Store::view`]: crate::Store::view
//! [`Txn`]: crate::Txn

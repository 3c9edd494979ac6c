#![doc = include_str!("../docs/guide.md")]
//!
//! [`Batch`]: crate::Batch
//! [`Branch`]: crate::Branch
//! [`Durability`]: crate::Durability
//! [`Read`]: crate::Read
//! [`Store::feed`]: crate::Store::feed
//! [`Store::view`]: crate::Store::view
//! [`Txn`]: crate::Txn

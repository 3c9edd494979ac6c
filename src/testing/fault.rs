//! Faults on demand, with the feature `fault`: any step that changes the disk can fail, or end the process.
//!
//! A test says which: by [`inject`] for stores of its own process, by the environment variable
//! `WITHY_FAULT` for a process that it starts. Trying step 1, 2, 3 and so on until all goes well visits
//! every state that a crash can leave behind.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! use withy::testing::fault::{Action, Moment, Plan, inject};
//! use withy::{BranchOptions, Store};
//! let path = dir.path();
//! for number in 1.. {
//!     let store = Store::open(path)?;
//!     let injected = inject(path, Plan::new(Action::Fail, Moment::After, number));
//!     let made = store.create_branch("topic", "main", BranchOptions::default()).is_ok();
//!     drop(injected);
//!     drop(store);
//!     let store = Store::open(path)?;
//!     match store.branch("topic") {
//!         Ok(_) => store.delete_branch("topic", Default::default())?,
//!         Err(_) => assert!(!made, "what was acknowledged is there"),
//!     }
//!     if made {
//!         break;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::engine::fault::{Action, Injected, Moment, PLAN_VARIABLE, Plan, Point, inject};

//! Running a transaction again until it wins.

use std::time::Duration;

use super::Txn;
use crate::error::{ErrorKind, Result};
use crate::publish::{CommitOptions, Committed};

/// A transaction that has lost this often gives up.
const MAX_TRIES: u32 = 64;
/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// Runs `work` in transactions from `begin` until one commits.
pub(crate) fn run<'s, T>(
    begin: impl Fn() -> Result<Txn<'s>>,
    options: &CommitOptions,
    mut work: impl FnMut(&mut Txn<'s>) -> Result<T>,
) -> Result<(T, Committed)> {
    let mut tries = 0;
    loop {
        let mut tx = begin()?;
        let attempt =
            work(&mut tx).and_then(|out| tx.commit(options.clone()).map(|done| (out, done)));
        match attempt {
            Err(e) if again(e.kind()) && tries + 1 < MAX_TRIES => {
                // The first tries are worth making at once; then others get time to finish.
                if tries >= 2 {
                    let pause = Duration::from_micros(50 << tries.min(9));
                    std::thread::sleep(pause.min(MAX_PAUSE));
                }
                tries += 1;
            }
            done => return done,
        }
    }
}

/// Whether another try may end otherwise without anybody having to let go of something first.
fn again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::Deadlock)
}

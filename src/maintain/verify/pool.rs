//! Many threads over many ranges, while the caller hears of the progress and may stop it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Context;
use crate::error::Result;
use crate::progress::Meter;

/// How often the caller is told.
const TELL: Duration = Duration::from_millis(50);

/// What waits, what is done, and how many threads are at work.
struct Work<T, R> {
    waiting: VecDeque<(usize, T)>,
    done: Vec<Option<R>>,
    busy: usize,
}

/// Does all tasks; what each has come to, in their order.
///
/// # Errors
/// [`Interrupted`](crate::ErrorKind::Interrupted) if the caller wants no more.
pub(super) fn run<T: Send, R: Send>(
    context: &Context<'_>,
    meter: &mut Meter<'_>,
    tasks: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Result<Vec<R>> {
    let threads = context.threads.min(tasks.len()).max(1);
    let done = std::iter::repeat_with(|| None).take(tasks.len()).collect();
    let shared =
        Mutex::new(Work { waiting: tasks.into_iter().enumerate().collect(), done, busy: threads });
    let bell = Condvar::new();
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut outcome = Ok(());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // However it ends, the one that waits must hear of it.
                let _end = OnEnd(|| {
                    lock().busy -= 1;
                    bell.notify_all();
                });
                loop {
                    let next = lock().waiting.pop_front();
                    let Some((i, task)) = next.filter(|_| !context.is_stopped()) else { break };
                    let result = work(task);
                    lock().done[i] = Some(result);
                }
            });
        }
        let mut state = lock();
        while state.busy > 0 {
            state = bell.wait_timeout(state, TELL).unwrap_or_else(PoisonError::into_inner).0;
            let (items, bytes) = context.counted();
            if outcome.is_ok() {
                outcome = meter.tell(items, bytes);
                if outcome.is_err() {
                    context.stop();
                }
            }
        }
    });
    outcome?;
    let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(shared.done.into_iter().flatten().collect())
}

struct OnEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

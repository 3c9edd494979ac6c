//! Ctrl-C and SIGTERM end long work in order; a second one ends the process at once, as does one before the
//! work has begun.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of a run that was interrupted: 128 and the number of SIGINT, as shells have it.
pub(crate) const EXIT: u8 = 130;

/// Set when the user wants the work to end; absent until something looks at it.
static WANTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether nothing looks at [`WANTED`] yet; absent in short work.
static EARLY: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on a signal ends the process at once, with [`EXIT`] like any that interrupts long work: the store
/// may take a while to open, and nothing can stop that in order.
pub(crate) fn await_work() {
    EARLY.get_or_init(|| {
        let early = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            // If it cannot be registered, the signal ends the process by itself.
            let _ =
                flag::register_conditional_shutdown(signal, i32::from(EXIT), Arc::clone(&early));
        }
        early
    });
}

/// From now on a signal only sets a flag, that [`is_wanted`] shows. For work that looks at it often.
pub(crate) fn watch() {
    WANTED.get_or_init(|| {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset and sets it, the second one ends it.
            // If they cannot be registered, a signal ends the process, as for short work.
            let second =
                flag::register_conditional_shutdown(signal, i32::from(EXIT), Arc::clone(&wanted));
            if second.is_ok() {
                let _ = flag::register(signal, Arc::clone(&wanted));
            }
        }
        wanted
    });
    if let Some(early) = EARLY.get() {
        early.store(false, Ordering::Relaxed);
    }
}

/// Whether the work is to end.
pub(crate) fn is_wanted() -> bool {
    WANTED.get().is_some_and(|wanted| wanted.load(Ordering::Relaxed))
}

//! OPS-7: retention, collection and purge.

mod keeps;
mod memory;
mod purge;
mod random;
mod retention;

/// Whether the long runs are asked for.
fn is_long() -> bool {
    std::env::var("WITHY_LONG").is_ok_and(|value| value == "1")
}

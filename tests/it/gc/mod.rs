//! OPS-7: retention, collection and purge.

mod keeps;
mod random;

/// Whether the long run is asked for.
fn is_long() -> bool {
    std::env::var("WITHY_LONG").is_ok_and(|value| value == "1")
}
mod memory;
mod purge;
mod retention;

/// Whether the long runs are asked for.
fn long() -> bool {
    std::env::var("WITHY_LONG").is_ok_and(|value| value == "1")
}

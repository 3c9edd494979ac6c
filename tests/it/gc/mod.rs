//! OPS-7: retention and collection.

mod keeps;
mod random;

/// Whether the long run is asked for.
fn is_long() -> bool {
    std::env::var("WITHY_LONG").is_ok_and(|value| value == "1")
}
mod purge;

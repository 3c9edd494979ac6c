//! OPS-7: retention and collection.

mod keeps;

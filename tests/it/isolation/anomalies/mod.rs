//! Every anomaly at every level, by the exact steps that bring it about where it is allowed. A scenario
//! runs at any level and says whether the anomaly happened; the tests say whether it may.

mod branches;
mod reads;
mod skew;
mod writes;

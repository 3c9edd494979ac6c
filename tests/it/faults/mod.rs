//! What crashes, power cuts and failing disks leave behind (OPS-1, OPS-3).
//!
//! `WITHY_LONG=1` visits every point, and kills and cuts as often as it takes to be sure.

mod calls;
mod content;
mod export;
mod fuzz;
mod hooks;
mod kill;
mod points;
mod power;
mod shim;

//! What crashes, power cuts and failing disks leave behind (OPS-1, OPS-3).

mod hooks;

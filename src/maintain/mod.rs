//! Work that keeps a store fast, whole and small.

mod backup;
mod checkpoint;
mod doctor;
pub(crate) mod gc;
mod overlay;
mod pace;
pub(crate) mod purge;
mod verify;
mod work;

pub use backup::{
    BackupFault, BackupInfo, BackupOptions, BackupReport, BackupWritten, Backups, PruneOptions,
    Pruned, RestoreOptions, Restored, VerifyBackupOptions,
};
pub(crate) use backup::{RESTORING, Source, create, remove_mark};
pub(crate) use checkpoint::checkpoint;
pub use checkpoint::{CheckpointInfo, CheckpointOptions};
pub(crate) use doctor::read_rows;
pub use doctor::{Checkup, CheckupOptions, Damage, RecoveryReport, SalvageReport, TornEnd};
pub(crate) use overlay::{Overlays, compact};
pub(crate) use verify::verify;
pub use verify::{Check, Finding, VerifyOptions, VerifyReport};
pub(crate) use work::remove_staging;

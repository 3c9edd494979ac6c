//! RocksDB's settings, family by family, each with its reason.

use rocksdb::{
    BlockBasedOptions, Cache, ChecksumType, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, DataBlockIndexType, LogLevel, Options,
};

use crate::format::Family;

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For writing; it may have to be made.
    Create,
    /// For writing; it must be there.
    Write,
    /// For reading only; no file is changed.
    Read,
}

/// What can be chosen when a database is opened.
#[derive(Clone)]
pub(crate) struct EngineOptions {
    pub(crate) mode: Mode,
    cache: Cache,
    has_shortened_logs: bool,
}

/// There is no other way to set this one.
const FILE_CHECKSUMS: &str = "file_checksum_gen_factory=FileChecksumGenCrc32cFactory";
/// Nor these. Each row in memory has eight bytes of checksum, and the blocks that a compaction has written are
/// read before those are dropped that it has read: 1 is that check, 1024 that it is done at all.
const CHECKS: &str = "memtable_protection_bytes_per_key=8;verify_output_flags=1025";
/// Memtable of the families that every commit writes to.
const LARGE_BUFFER: usize = 32 << 20;
/// Memtable of the others.
const SMALL_BUFFER: usize = 8 << 20;

impl EngineOptions {
    pub(crate) fn new(mode: Mode, cache_bytes: usize) -> Self {
        Self { mode, cache: Cache::new_lru_cache(cache_bytes), has_shortened_logs: false }
    }

    /// A salvage has cut logs or set them aside on purpose.
    pub(crate) fn with_shortened_logs(mut self) -> Self {
        self.has_shortened_logs = true;
        self
    }

    pub(super) fn is_for_salvage(&self) -> bool {
        self.has_shortened_logs
    }

    /// Settings of the whole database.
    pub(crate) fn database(&self) -> Options {
        let mut options = Options::default();
        let create = self.mode == Mode::Create;
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        options.set_max_background_jobs(2);
        options.set_max_total_wal_size(256 << 20);
        options.set_keep_log_file_num(2);
        options.set_log_level(LogLevel::Warn);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_skip_stats_update_on_db_open(true);
        // A log that was ended and is not as long as it was then, or is missing, is refused.
        options.set_track_and_verify_wals_in_manifest(!self.has_shortened_logs);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_paranoid_checks(true);
        self.tune(&mut options, SMALL_BUFFER);
        // A checksum of each data file as a whole goes into the manifest. It covers what RocksDB reads
        // without a word if it is damaged, such as filters.
        options.get_options_from_string(FILE_CHECKSUMS).unwrap_or(options)
    }

    /// What every family shares, RocksDB's unused default family included.
    fn tune(&self, options: &mut Options, buffer: usize) {
        options.set_write_buffer_size(buffer);
        options.set_max_write_buffer_number(3);
        // Optimistic transactions look for conflicts in memtables. Withy's own check decides when
        // they have forgotten too much, so little is kept; the default is 128 MiB a family.
        options.set_max_write_buffer_size_to_maintain(1 << 20);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
    }

    /// Settings of one family.
    pub(crate) fn family(&self, family: Family) -> Options {
        let mut options = Options::default();
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        // 6: the footer and the places of blocks are covered by checksums too.
        table.set_format_version(6);
        table.set_checksum_type(ChecksumType::XXH3);
        match family {
            Family::Head => {
                self.tune(&mut options, LARGE_BUFFER);
                // A child branch asks its own line first: a miss must be cheap.
                table.set_bloom_filter(10.0, false);
                options.set_memtable_whole_key_filtering(true);
                options.set_memtable_prefix_bloom_ratio(0.02);
                table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            }
            Family::History | Family::Log => {
                self.tune(&mut options, LARGE_BUFFER);
                // Old data is read in runs and should be small. One compression at all levels lets
                // RocksDB move the files of the log down as they are.
                table.set_block_size(16 << 10);
            }
            Family::Blob => {
                self.tune(&mut options, LARGE_BUFFER);
                table.set_bloom_filter(10.0, false);
                // Large values live in files of their own, so compaction does not copy them.
                options.set_enable_blob_files(true);
                options.set_min_blob_size(4 << 10);
                options.set_blob_compression_type(DBCompressionType::Lz4);
                options.set_enable_blob_gc(true);
                // Files of keys and places only: each stands for so many large values that a compaction
                // of more could not be stopped in time.
                options.set_target_file_size_base(1 << 20);
            }
            Family::Refs | Family::State | Family::Meta => {
                self.tune(&mut options, SMALL_BUFFER);
                table.set_bloom_filter(10.0, false);
            }
        }
        options.set_block_based_table_factory(&table);
        // A bit that flips between a write and the file it goes to, or in a compaction, is found.
        options.get_options_from_string(CHECKS).unwrap_or(options)
    }

    /// All families with their settings.
    pub(crate) fn families(&self) -> Vec<ColumnFamilyDescriptor> {
        let mut unused = Options::default();
        self.tune(&mut unused, 64 << 10);
        std::iter::once(ColumnFamilyDescriptor::new("default", unused))
            .chain(Family::ALL.map(|f| ColumnFamilyDescriptor::new(f.name(), self.family(f))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    /// RocksDB says what it was opened with; a setting whose name it does not know is left out without a word.
    #[test]
    fn every_family_has_its_checksums() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = EngineOptions::new(Mode::Create, 1 << 20);
        drop(Engine::open(dir.path(), &options, None).expect("it opens"));
        let mut files: Vec<_> = std::fs::read_dir(dir.path())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().contains("OPTIONS-"))
            .collect();
        files.sort();
        let text =
            std::fs::read_to_string(files.last().expect("there is one")).expect("it is text");
        let count = |setting: &str| text.lines().filter(|line| line.trim() == setting).count();
        // RocksDB has a family of its own, which withy leaves empty.
        let families = Family::ALL.len() + 1;
        assert_eq!(count("file_checksum_gen_factory=FileChecksumGenCrc32cFactory"), 1);
        assert_eq!(count("paranoid_checks=true"), 1);
        assert_eq!(count("memtable_protection_bytes_per_key=8"), families - 1);
        assert_eq!(count("verify_output_flags=1025"), families - 1);
        assert_eq!(count("checksum=kXXH3"), families);
        assert_eq!(count("format_version=6"), families - 1);
    }
}

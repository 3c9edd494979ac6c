//! Opening and making a store.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::config::{self, Setting};
use super::look::{Found, check_version, io, is_there, look, no_store, not_a_store};
use super::outbox::CoordOptions;
use super::{Inner, Store, StoreId};
use crate::clock::{Clock, Monotonic, SystemClock, SystemMonotonic};
use crate::coord::{self, Background, Coord, Resumed};
use crate::engine::files::{make_dir, write_marker};
use crate::engine::{Engine, EngineOptions, Mode, Owner};
use crate::error::Result;
use crate::format::refs::{ImportRecord, StoreRecord, meta};
use crate::format::{Family, record};
use crate::graph::Graph;
use crate::id::Seq;
use crate::kv::{Durability, MAX_VALUE_LEN};
use crate::locks::LockTable;
use crate::maintain::{Overlays, RecoveryReport, remove_mark, remove_staging};
use crate::merge::{MergeDriver, Registry};
use crate::publish::{
    Limits, Publisher, Settings, all_prepared, create, drop_unfinished, recover, remove_leftovers,
};
use crate::refs::Refs;

/// Whether a store may be made when it is opened.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Create, ErrorKind, Store};
/// let absent = Store::options().create(Create::Never).open(dir.path()).expect_err("no store yet");
/// assert_eq!(absent.kind(), ErrorKind::NotFound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Create {
    /// The store must be there.
    Never,
    /// It is made if the directory is absent or empty.
    #[default]
    IfMissing,
    /// It must not be there yet.
    New,
}

/// How a store is opened. Every choice has a default.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Durability, Store};
/// let store = Store::options().durability(Durability::Buffered).author("ann").open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// assert_eq!(store.commit("main")?.author, "ann");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpenOptions {
    create: Create,
    read_only: bool,
    wait: Duration,
    durability: Option<Durability>,
    author: Option<String>,
    blob_threshold: Option<usize>,
    max_branches: Option<u64>,
    limits: Limits,
    cache_bytes: usize,
    clock: Arc<dyn Clock>,
    monotonic: Arc<dyn Monotonic>,
    drivers: Vec<Arc<dyn MergeDriver>>,
    pub(super) coord: CoordOptions,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: Create::default(),
            read_only: false,
            wait: Duration::ZERO,
            durability: None,
            author: None,
            blob_threshold: None,
            max_branches: None,
            limits: Limits::default(),
            cache_bytes: 128 << 20,
            clock: Arc::new(SystemClock),
            monotonic: Arc::new(SystemMonotonic::default()),
            drivers: Vec::new(),
            coord: CoordOptions::default(),
        }
    }
}

impl OpenOptions {
    /// Whether the store may be made; if missing, unless told.
    pub fn create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// Open for reading only: works beside a live writer, and changes no file. What is read is the
    /// store as it was when it was opened.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How long to wait for another process that has the store open for writing; not at all unless
    /// told.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// What commits survive; as the store's settings say, or `Sync`, unless told.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// The author of commits that name none; as the store's settings say, or empty, unless told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// From how many bytes on values are stored once under their hash; 16 KiB unless told. Fixed when
    /// the store is made; at least 64.
    pub fn blob_threshold(mut self, bytes: usize) -> Self {
        self.blob_threshold = Some(bytes);
        self
    }

    /// At most this many branches; as the store's settings say, or no limit, unless told.
    pub fn max_branches(mut self, branches: u64) -> Self {
        self.max_branches = Some(branches);
        self
    }

    /// At most this many open transactions; as the store's settings say, or no limit, unless told.
    pub fn max_transactions(mut self, transactions: u64) -> Self {
        self.limits.active = Some(transactions);
        self
    }

    /// At most this many puts and deletions in a transaction that sets no limit itself; as the store's
    /// settings say, or no limit, unless told.
    pub fn max_operations(mut self, operations: u64) -> Self {
        self.limits.operations = Some(operations);
        self
    }

    /// At most this many bytes in a transaction that sets no limit itself, see
    /// [`TxnOptions::max_bytes`](crate::TxnOptions::max_bytes); as the store's settings say, or no
    /// limit, unless told.
    pub fn max_transaction_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = Some(bytes);
        self
    }

    /// How long a transaction that sets no limit itself may go on; as the store's settings say, or
    /// without limit, unless told.
    pub fn transaction_time(mut self, time: Duration) -> Self {
        self.limits.time = Some(time);
        self
    }

    /// Memory for data read from disk, in bytes; 128 MiB unless told.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Where the time comes from; the machine, unless told.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where leases of locks take their time from; the machine, unless told. The clock does not matter
    /// to them.
    pub fn monotonic(mut self, time: Arc<dyn Monotonic>) -> Self {
        self.monotonic = time;
        self
    }

    /// Makes a value driver known, beside those that withy brings along; one of the same name is
    /// replaced. Which keys it is for is said by [`Store::set_merge_driver`] or
    /// [`MergeOptions::driver_for`](crate::MergeOptions::driver_for).
    pub fn driver(mut self, driver: Arc<dyn MergeDriver>) -> Self {
        self.drivers.push(driver);
        self
    }

    /// Opens the store in this directory.
    ///
    /// What an interrupted import left behind is removed first, and a purge that was under way is
    /// finished. Claims of messages that nobody can
    /// answer any more are taken back, and unfinished sagas whose definition is registered are driven on:
    /// [`Store::resumed`] says what that came to.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no store and none may be made;
    /// [`Exists`](crate::ErrorKind::Exists) if one is there and must not be;
    /// [`Busy`](crate::ErrorKind::Busy), naming process id and start time, if another process has it open for
    /// writing; [`Invalid`](crate::ErrorKind::Invalid) if a saga or action that was registered makes no sense;
    /// [`Incompatible`](crate::ErrorKind::Incompatible) if the directory is something else, or a
    /// store of a newer format; [`Corrupt`](crate::ErrorKind::Corrupt) if it is damaged;
    /// [`Io`](crate::ErrorKind::Io) if the files cannot be read. Nothing is changed by a refused open.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref();
        self.coord.registry()?;
        let found = look(path)?;
        match (found, self.create) {
            (Found::Store, Create::New) => {
                return Err(is_there(path));
            }
            (Found::Store, Create::Never | Create::IfMissing) => {}
            (Found::Nothing, _) if self.read_only => return Err(no_store(path)),
            (Found::Nothing, Create::Never) => return Err(no_store(path)),
            (Found::Nothing, Create::IfMissing | Create::New) => {
                make_dir(path).map_err(|e| io("cannot make the directory", path, e))?;
            }
        }
        if self.read_only { self.open_to_read(path) } else { self.open_to_write(path, found) }
    }

    fn open_to_read(&self, path: &Path) -> Result<Store> {
        self.open_with_cache(path, &EngineOptions::new(Mode::Read, self.cache_bytes))
    }

    /// Opens for reading, with a cache that other opens may share.
    pub(super) fn open_with_cache(&self, path: &Path, options: &EngineOptions) -> Result<Store> {
        let time = SystemMonotonic::default();
        let engine = Arc::new(Engine::open(path, options, None)?);
        let stored = read_store_record(&engine, path)?;
        let graph = Arc::new(Graph::open(Arc::clone(&engine))?);
        // What an import is writing at this moment is not there yet.
        let fixed = match engine.get(Family::Meta, meta::IMPORT)? {
            Some(row) => {
                let import: ImportRecord = record::decode("import marker", &row)?;
                Seq::new(import.first_seq.saturating_sub(1))
            }
            None => graph.latest(),
        };
        let refs = Arc::new(Refs::new(engine));
        let recovery = RecoveryReport::new(graph.engine().report());
        let recovery = RecoveryReport { latest: fixed, time: time.elapsed(), ..recovery };
        self.store(graph, refs, None, &stored, recovery)
    }

    fn open_to_write(&self, path: &Path, found: Found) -> Result<Store> {
        let owner = Owner::take(path, self.wait, self.clock.now())?;
        // Another process may have made the store while this one waited.
        let found = if found == Found::Nothing { look(path)? } else { found };
        if found == Found::Store && self.create == Create::New {
            return Err(is_there(path));
        }
        let time = SystemMonotonic::default();
        // First: on a full disk they make the room that opening the database needs.
        let leftovers = remove_leftovers(path)?;
        remove_staging(path, self.clock.now())?;
        remove_mark(path)?;
        let mode = if found == Found::Store { Mode::Write } else { Mode::Create };
        let options = EngineOptions::new(mode, self.cache_bytes);
        let engine = Arc::new(Engine::open(path, &options, Some(owner))?);
        if found == Found::Nothing {
            if engine.get(Family::Meta, meta::STORE)?.is_none() {
                let threshold = self.blob_threshold.unwrap_or(16 << 10).clamp(64, MAX_VALUE_LEN);
                create(&engine, random_id(), self.clock.now(), threshold)?;
            }
            write_marker(path)?;
        }
        let stored = read_store_record(&engine, path)?;
        let (imports, layers) = (recover(&engine)?, drop_unfinished(&engine)?);
        let prepared = all_prepared(&engine)?.len() as u64;
        let graph = Arc::new(Graph::open(Arc::clone(&engine))?);
        let settings = self.settings(&engine, &stored)?;
        let refs = Arc::new(Refs::new(engine));
        let publisher = Publisher::open(
            Arc::clone(&graph),
            Arc::clone(&refs),
            Arc::clone(&self.clock),
            settings,
        )?;
        let publisher = Arc::new(publisher);
        let purging = crate::maintain::purge::resume(&publisher)?;
        let recovery = RecoveryReport {
            latest: graph.latest(),
            imports,
            layers,
            leftovers,
            prepared,
            purging,
            time: time.elapsed(),
            ..RecoveryReport::new(graph.engine().report())
        };
        self.store(graph, refs, Some(publisher), &stored, recovery)
    }

    /// What is given here goes before what the store says, and that before the defaults.
    fn settings(&self, engine: &Engine, stored: &StoreRecord) -> Result<Settings> {
        let author = match &self.author {
            Some(given) => given.clone(),
            None => config::read(engine, Setting::Author)?.unwrap_or_default(),
        };
        let durability = match self.durability {
            Some(given) => given,
            None => config::durability(engine)?.unwrap_or_default(),
        };
        let blob_threshold = usize::try_from(stored.blob_threshold).unwrap_or(MAX_VALUE_LEN);
        let given = self.limits;
        let number = |given: Option<u64>, setting| match given {
            Some(given) => Ok(Some(given)),
            None => config::number(engine, setting),
        };
        let time = match given.time {
            Some(given) => Some(given),
            None => number(None, Setting::TransactionTime)?.map(Duration::from_millis),
        };
        let max_branches = number(self.max_branches, Setting::MaxBranches)?;
        let limits = Limits {
            active: number(given.active, Setting::MaxTransactions)?,
            operations: number(given.operations, Setting::MaxOperations)?,
            bytes: number(given.bytes, Setting::MaxTransactionBytes)?,
            time,
        };
        Ok(Settings { durability, author, blob_threshold, max_branches, limits })
    }

    fn store(
        &self,
        graph: Arc<Graph>,
        refs: Arc<Refs>,
        publisher: Option<Arc<Publisher>>,
        stored: &StoreRecord,
        recovery: RecoveryReport,
    ) -> Result<Store> {
        let drivers = Registry::new(&self.drivers)?;
        let locks = publisher.as_ref().map(|publisher| self.lock_table(publisher));
        let coord = Coord {
            graph: Arc::clone(&graph),
            writer: publisher.clone().zip(locks.clone()),
            clock: Arc::clone(&self.clock),
            registry: Arc::new(self.coord.registry()?),
            store_id: stored.id,
        };
        let overlays = publisher.as_ref().map(Overlays::start);
        let (clock, id) = (Arc::clone(&self.clock), StoreId(stored.id));
        let is_writer = publisher.is_some();
        let resumed = if is_writer { coord::resume(&coord)? } else { Resumed::default() };
        let background = self.coord.background.filter(|_| is_writer);
        let background =
            background.map(|every| Background::start(coord.clone(), every)).transpose()?;
        Ok(Store {
            inner: Arc::new(Inner {
                _background: background,
                _overlays: overlays,
                graph,
                refs,
                clock,
                publisher,
                fixed: recovery.latest,
                id,
                drivers,
                locks,
                coord,
                resumed,
                recovery,
                coordinator: OnceLock::new(),
            }),
        })
    }

    fn lock_table(&self, publisher: &Arc<Publisher>) -> Arc<LockTable> {
        let publisher = Arc::clone(publisher);
        let reserve = Box::new(move |count| publisher.reserve_fences(count));
        let (time, clock) = (Arc::clone(&self.monotonic), Arc::clone(&self.clock));
        Arc::new(LockTable::new(reserve, time, clock))
    }
}

/// Refuses a directory in which there is no store that this version knows.
pub(super) fn must_be_store(path: &Path) -> Result<()> {
    match look(path)? {
        Found::Store => Ok(()),
        Found::Nothing => Err(no_store(path)),
    }
}

/// The database of a store, for reading, whatever the store's own rows are like.
pub(super) fn open_engine_to_read(path: &Path) -> Result<Engine> {
    /// Memory for blocks that are looked up again.
    const CACHE_BYTES: usize = 32 << 20;
    match look(path)? {
        Found::Store => Engine::open(path, &EngineOptions::new(Mode::Read, CACHE_BYTES), None),
        Found::Nothing => Err(no_store(path)),
    }
}

fn read_store_record(engine: &Engine, path: &Path) -> Result<StoreRecord> {
    let format = engine.get(Family::Meta, meta::FORMAT)?.ok_or_else(|| not_a_store(path))?;
    check_version(record::decode("format version", &format)?, path)?;
    let row = engine.get(Family::Meta, meta::STORE)?.ok_or_else(|| not_a_store(path))?;
    Ok(record::decode("store record", &row)?)
}

/// Sixteen bytes from the randomness that the standard library seeds its hash maps with.
fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    for half in id.as_chunks_mut::<8>().0 {
        *half = RandomState::new().build_hasher().finish().to_be_bytes();
    }
    id
}

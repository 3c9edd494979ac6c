//! What RocksDB's checks of its own memory and of files just written cost: the database with the settings of
//! the store, and with these checks off. Unsynced.

use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use withy::{Durability, Store};

use crate::data::{self, key, value};
use crate::harness::{Pair, Report, Result, Row, Setting, alternate, each, remove};
use crate::settings::Settings;

const PUT: &str = "integrity/put";
const GET: &str = "integrity/get";
const COMPACT: &str = "integrity/compact";
pub(crate) const ROWS: &[&str] = &[PUT, GET, COMPACT];

/// The most that they may cost.
const MOST: f64 = 1.03;
/// The settings that they are switched off with.
const OFF: &str = "memtable_protection_bytes_per_key=0;verify_output_flags=0";

/// A database with the settings of one family, and with the checks off.
struct Sides {
    on: DB,
    off: DB,
}

impl Sides {
    fn open(store: &Store, setting: &Setting) -> Result<Self> {
        let settings = Settings::of(store.path())?;
        let open = |name: &str, mut options: Options| -> Result<DB> {
            let path = setting.dir.join(name);
            remove(&path)?;
            options.create_if_missing(true);
            Ok(DB::open(&options, path)?)
        };
        let on = settings.family("head", setting.cache)?;
        let off = settings.family("head", setting.cache)?.get_options_from_string(OFF)?;
        Ok(Self { on: open("on", on)?, off: open("off", off)? })
    }
}

fn put(db: &DB, rows: std::ops::Range<u64>, each_batch: u64) -> Result<()> {
    let mut unsynced = WriteOptions::default();
    unsynced.set_sync(false);
    for from in rows.clone().step_by(each_batch as usize) {
        let mut batch = WriteBatch::default();
        (from..rows.end.min(from + each_batch)).for_each(|i| batch.put(key(i), value(i, 0)));
        db.write_opt(batch, &unsynced)?;
    }
    Ok(())
}

fn get(db: &DB, rows: u64, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..rows {
        let i = random.u64(0..rows);
        if db.get(key(i))?.as_deref() != Some(&value(i, 0)[..]) {
            return Err(format!("row {i} is not there").into());
        }
    }
    Ok(())
}

fn compact(db: &DB) -> Result<()> {
    db.flush()?;
    db.compact_range(None::<&[u8]>, None::<&[u8]>);
    Ok(())
}

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
    // What is in memory at the end of the rounds.
    let count = setting.sized(200_000) / setting.rounds as u64;
    let rows = |round: usize| round as u64 * count..(round as u64 + 1) * count;
    let mut add = |name, pair: &Pair| {
        report.add(Row::growth(name, pair.one, ("without", pair.other), 1.0 / pair.ratio, MOST));
    };
    let sides = Sides::open(&store, setting)?;
    let (on, off) = (&sides.on, &sides.off);
    let per_put = |db, round| each(count, || put(db, rows(round), 1));
    add(PUT, &alternate(setting.rounds, |round| per_put(on, round), |round| per_put(off, round))?);
    let all = count * setting.rounds as u64;
    let per_get = |db, round| each(all, || get(db, all, round as u64));
    add(GET, &alternate(setting.rounds, |round| per_get(on, round), |round| per_get(off, round))?);
    drop(sides);
    let sides = Sides::open(&store, setting)?;
    let many = setting.sized(1_000_000);
    let per_row = |db, round: usize| {
        put(db, round as u64 * many..(round as u64 + 1) * many, data::FILL)?;
        each(many, || compact(db))
    };
    let (on, off) = (&sides.on, &sides.off);
    add(
        COMPACT,
        &alternate(setting.rounds, |round| per_row(on, round), |round| per_row(off, round))?,
    );
    Ok(())
}

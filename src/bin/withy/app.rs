//! What every verb needs: the store, the branch, the settings in force.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use withy::{CommitOptions, Committed, Create, Durability, Setting, Store};

use crate::fail::{Doing as _, Failure, Result};
use crate::json::Object;
use crate::out::{Color, Out, Paint, complain};
use crate::settings::{Settings, environment};
use crate::text::{Format, escape, first_line, shorten};

/// The directory that is looked for when none is named.
pub(crate) const STORE_DIR: &str = ".withy";
/// The file that every store has.
const MARKER: &str = "withy.store";

/// Options that every verb takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Directory of the store [env: WITHY_STORE] [default: .withy here or in the nearest parent]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Branch to work on [env: WITHY_BRANCH] [default: the active branch]
    #[arg(long, short = 'b', global = true, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Author of new commits [env: WITHY_AUTHOR]; with `log`, show only authors that contain this
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// Seconds to wait while another process writes [env: WITHY_WAIT] [default: 0]
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS")]
    wait: Option<String>,
    /// What a commit survives: power loss, or a crash of the process [env: WITHY_DURABILITY]
    #[arg(long, global = true, hide_short_help = true, value_name = "LEVEL", value_parser = ["sync", "buffered"])]
    durability: Option<String>,
    /// Print JSON instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How keys are written and read [env: WITHY_KEY_FORMAT]
    #[arg(long, global = true, hide_short_help = true, value_name = "FORMAT", value_parser = ["text", "hex", "base64"])]
    key_format: Option<String>,
    /// How values are written and read [env: WITHY_VALUE_FORMAT]
    #[arg(long, global = true, hide_short_help = true, value_name = "FORMAT", value_parser = ["text", "hex", "base64"])]
    value_format: Option<String>,
    /// When to use colours [env: WITHY_COLOR]
    #[arg(long, global = true, hide_short_help = true, value_name = "WHEN", value_parser = ["auto", "always", "never"])]
    color: Option<String>,
    /// Do not send long output through a pager
    #[arg(long, global = true, hide_short_help = true)]
    no_pager: bool,
    /// Say nothing about what was done
    #[arg(long, short = 'q', global = true, hide_short_help = true)]
    pub(crate) quiet: bool,
}

/// One run of the command line.
pub(crate) struct App {
    pub(crate) globals: Globals,
    pub(crate) settings: Settings,
}

impl App {
    pub(crate) fn new(globals: Globals) -> Self {
        let mut settings = Settings::default();
        let flags = [
            ("author", &globals.author),
            ("color", &globals.color),
            ("durability", &globals.durability),
            ("key-format", &globals.key_format),
            ("value-format", &globals.value_format),
            ("wait", &globals.wait),
        ];
        for (name, flag) in flags {
            if let Some(value) = flag {
                settings.flags.insert(name, value.clone());
            }
        }
        Self { globals, settings }
    }

    /// The directory of the store, by flag, environment, or a look around.
    pub(crate) fn store_dir(&self) -> Result<PathBuf> {
        if let Some(dir) = self.named_store() {
            return Ok(dir);
        }
        let here = std::env::current_dir().doing(|| "find the store".into())?;
        let found = here.ancestors().find_map(|dir| {
            let inner = dir.join(STORE_DIR);
            let itself = || dir.join(MARKER).is_file().then(|| dir.to_owned());
            if inner.is_dir() { Some(inner) } else { itself() }
        });
        found.ok_or_else(|| {
            let cause = format!("no {STORE_DIR} in {} or above", here.display());
            Failure::usage("open the store", cause)
                .hint("make one with `withy init`, or name one with --store DIR")
        })
    }

    /// The directory of the store, if flag or environment names one.
    pub(crate) fn named_store(&self) -> Option<PathBuf> {
        let from_env = || environment("WITHY_STORE").map(PathBuf::from);
        let dir = self.globals.store.clone().or_else(from_env)?;
        // `withy init DIR` makes it in there.
        let inner = dir.join(STORE_DIR);
        Some(if inner.is_dir() { inner } else { dir })
    }

    /// Opens for reading, beside whoever writes.
    pub(crate) fn open_read(&mut self) -> Result<Store> {
        let store = open_read_at(&self.store_dir()?)?;
        self.load(&store)?;
        Ok(store)
    }

    /// Opens for writing; waits as long as it was told to.
    pub(crate) fn open_write(&mut self) -> Result<Store> {
        let dir = self.store_dir()?;
        let mut options = Store::options().create(Create::Never).wait(self.wait()?);
        if !self.settings.is_given("author") {
            // The name of the login counts only if the store has no author.
            self.open_read()?;
        }
        options = options.author(self.author());
        if self.settings.is_given("durability") {
            options = options.durability(self.durability()?);
        }
        if let Some(most) = self.number("max-branches")? {
            options = options.max_branches(most);
        }
        if let Some(most) = self.number("max-transactions")? {
            options = options.max_transactions(most);
        }
        if let Some(most) = self.number("max-operations")? {
            options = options.max_operations(most);
        }
        if let Some(most) = self.number("max-transaction-bytes")? {
            options = options.max_transaction_bytes(most);
        }
        if let Some(millis) = self.number("transaction-time")? {
            options = options.transaction_time(Duration::from_millis(millis));
        }
        let store = options.open(&dir).doing(|| opening(&dir))?;
        self.load(&store)?;
        Ok(store)
    }

    /// Takes the settings that the store holds.
    fn load(&mut self, store: &Store) -> Result<()> {
        for setting in Setting::ALL {
            let doing = || format!("read setting {}", setting.name());
            if let Some(value) = store.config(setting).doing(doing)? {
                self.settings.stored.insert(setting.name(), value);
            }
        }
        Ok(())
    }

    /// The branch to work on.
    pub(crate) fn branch(&self, store: &Store) -> Result<String> {
        let named = self.globals.branch.clone().or_else(|| environment("WITHY_BRANCH"));
        match named {
            Some(name) => Ok(name),
            None => Ok(store.active().doing(|| "find the active branch".into())?.to_string()),
        }
    }

    /// The rev that was asked for, or the head of the branch to work on.
    pub(crate) fn rev(&self, store: &Store, rev: Option<&str>) -> Result<String> {
        match rev {
            Some(rev) => Ok(rev.to_owned()),
            None => Ok(format!("heads/{}", self.branch(store)?)),
        }
    }

    pub(crate) fn author(&self) -> String {
        self.settings.named("author").0
    }

    pub(crate) fn wait(&self) -> Result<Duration> {
        let (text, _) = self.settings.named("wait");
        seconds(&text)
    }

    pub(crate) fn durability(&self) -> Result<Durability> {
        let (text, _) = self.settings.named("durability");
        match text.as_str() {
            "sync" => Ok(Durability::Sync),
            "buffered" => Ok(Durability::Buffered),
            _ => Err(bad_setting("durability", &text, "sync or buffered")),
        }
    }

    /// A limit that flag or environment give.
    fn number(&self, name: &'static str) -> Result<Option<u64>> {
        if !self.settings.is_given(name) {
            return Ok(None);
        }
        let (text, _) = self.settings.named(name);
        text.parse().map(Some).map_err(|_| bad_setting(name, &text, "the whole numbers"))
    }

    pub(crate) fn key_format(&self) -> Result<Format> {
        self.choice("key-format")
    }

    pub(crate) fn value_format(&self) -> Result<Format> {
        self.choice("value-format")
    }

    fn choice<T: ValueEnum>(&self, name: &'static str) -> Result<T> {
        let (text, _) = self.settings.named(name);
        let names = || {
            let all = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            all.map(|v| v.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        T::from_str(&text, false).map_err(|_| bad_setting(name, &text, &names()))
    }

    /// A key from the command line.
    pub(crate) fn key(&self, text: &OsStr) -> Result<Vec<u8>> {
        let parsed = self.key_format()?.parse(text.as_encoded_bytes());
        parsed.map_err(|e| {
            let shown = shorten(&text.to_string_lossy(), 80);
            Failure::usage(format!("read key {shown}"), e)
        })
    }

    /// A value from the command line.
    pub(crate) fn value(&self, text: &OsStr) -> Result<Vec<u8>> {
        let parsed = self.value_format()?.parse(text.as_encoded_bytes());
        parsed.map_err(|e| Failure::usage("read the value", e))
    }

    /// Author, durability and message of a new commit.
    pub(crate) fn commit_options(
        &self,
        message: Option<String>,
        otherwise: impl FnOnce() -> String,
    ) -> Result<CommitOptions> {
        Ok(CommitOptions::default()
            .author(self.author())
            .durability(self.durability()?)
            .message(message.unwrap_or_else(otherwise)))
    }

    /// Output without a pager.
    pub(crate) fn out(&self) -> Result<Out> {
        Ok(Out::plain(self.choice::<Color>("color")?))
    }

    /// Output that may be long.
    pub(crate) fn paged(&self) -> Result<Out> {
        let (pager, _) = self.settings.named("pager");
        let pager = if self.globals.no_pager || self.globals.json { "" } else { &pager };
        Ok(Out::paged(self.choice::<Color>("color")?, pager))
    }

    /// Tells what a writing verb did to a branch.
    pub(crate) fn report(&self, store: &Store, branch: &str, committed: Committed) -> Result<()> {
        let mut out = self.out()?;
        let Some(seq) = committed.seq() else {
            return self.unchanged(branch, "has this content already");
        };
        if self.globals.quiet {
            return Ok(());
        }
        let commit =
            store.commit(&format!("seq:{seq}")).doing(|| format!("read commit seq:{seq}"))?;
        if self.globals.json {
            out.json(&crate::json::commit(&commit).done())?;
            return out.finish();
        }
        let id = out.paint(Paint::Id, format!("seq:{seq} {}", commit.id.short()));
        let changes = plural(commit.changes, "key");
        let message = first_line(&commit.message, 72);
        use std::io::Write as _;
        writeln!(out, "[{branch} {id}] {message} ({changes})")?;
        out.finish()
    }

    /// Tells that a branch stays as it is.
    pub(crate) fn unchanged(&self, branch: &str, why: &str) -> Result<()> {
        let done = Object::new().with("branch", branch).with("unchanged", true);
        self.say(self.out()?, done, |_| format!("nothing to commit: {branch} {why}"))
    }

    /// Tells why the answer is no; programs see it by the exit code.
    pub(crate) fn deny(&self, text: &str) {
        if !self.globals.quiet && !self.globals.json {
            complain(&format!("{text}\n"));
        }
    }

    /// Tells in one line, or one object, what was done.
    pub(crate) fn say(
        &self,
        mut out: Out,
        object: Object,
        text: impl FnOnce(&Out) -> String,
    ) -> Result<()> {
        use std::io::Write as _;
        if self.globals.quiet {
            return Ok(());
        }
        if self.globals.json {
            out.json(&object.done())?;
        } else {
            let text = text(&out);
            writeln!(out, "{text}")?;
        }
        out.finish()
    }
}

/// The rev, as a user would write it.
pub(crate) fn plain(rev: &str) -> &str {
    rev.strip_prefix("heads/").unwrap_or(rev)
}

/// Opens the store in this directory for reading.
pub(crate) fn open_read_at(dir: &Path) -> Result<Store> {
    let options = Store::options().create(Create::Never).read_only(true);
    options.open(dir).doing(|| opening(dir))
}

fn opening(dir: &Path) -> String {
    format!("open the store {}", dir.display())
}

fn bad_setting(name: &str, value: &str, allowed: &str) -> Failure {
    let cause = format!("{} is not one of {allowed}", escape(value.as_bytes()));
    Failure::usage(format!("read setting {name}"), cause).hint(format!(
        "see where it comes from with `withy config {name}` or `withy config --list`"
    ))
}

/// A number of seconds, such as 2 or 0.5.
pub(crate) fn seconds(text: &str) -> Result<Duration> {
    let number = text.trim().parse().ok();
    number.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| {
        Failure::usage("read a number of seconds", format!("{text:?} is not one such as 2 or 0.5"))
    })
}

/// `1 key`, `2 keys`.
pub(crate) fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

//! RocksDB's settings as the store under measurement has them, read from its options file: whatever
//! withy sets, the other side has too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, Options};

use crate::harness::Result;

/// The sections of an options file, each as its settings, written `name=value`.
pub(crate) struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    /// Those that the database in this directory was last opened with.
    pub(crate) fn of(database: &Path) -> Result<Self> {
        let mut newest: Option<PathBuf> = None;
        for entry in std::fs::read_dir(database)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("OPTIONS-") && newest.as_ref().is_none_or(|last| path > *last) {
                newest = Some(path);
            }
        }
        let text = std::fs::read_to_string(newest.ok_or("the store has no options file")?)?;
        let mut sections = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if line.contains('=') && !line.starts_with('#') {
                sections.entry(section.clone()).or_insert_with(Vec::new).push(line.to_owned());
            }
        }
        Ok(Self(sections))
    }

    /// Names of the families.
    fn names(&self) -> Vec<String> {
        let names = self.0.keys().filter_map(|section| section.strip_prefix("CFOptions "));
        names.map(|quoted| quoted.trim_matches('"').to_owned()).collect()
    }

    /// The settings of the database and of one family, with a block cache of its own.
    pub(crate) fn family(&self, name: &str, cache: usize) -> Result<Options> {
        let part = |section: &str| -> Result<String> {
            let settings = self.0.get(section).ok_or(format!("no section {section}"))?;
            Ok(settings.iter().filter(|s| is_plain(s)).map(|s| format!("{s};")).collect())
        };
        let table = part(&format!("TableOptions/BlockBasedTable \"{name}\""))?
            // The file leaves out how many bits a key has in the filter.
            .replace("filter_policy=bloomfilter;", "filter_policy=bloomfilter:10:false;");
        let text = format!(
            "{}{}block_based_table_factory={{{table}block_cache={cache};}};",
            part("DBOptions")?,
            part(&format!("CFOptions \"{name}\""))?,
        );
        Ok(Options::default().get_options_from_string(text)?)
    }

    /// The settings of the database, and its families with theirs, to open it without withy.
    pub(crate) fn all(&self, cache: usize) -> Result<(Options, Vec<ColumnFamilyDescriptor>)> {
        let mut families = Vec::new();
        for name in self.names() {
            families.push(ColumnFamilyDescriptor::new(&name, self.family(&name, cache)?));
        }
        Ok((self.family("default", cache)?, families))
    }
}

/// Whether a setting is one that a text can set: not an object, nor the choice of one.
fn is_plain(setting: &str) -> bool {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    value != "nullptr" && !name.ends_with("_factory") && name != "comparator"
}

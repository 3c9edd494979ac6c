//! Settings: a flag beats the environment, that beats the store, that beats the default.

use std::collections::BTreeMap;

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    Store,
    Default,
}

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::Store => "store",
            Self::Default => "default",
        }
    }
}

/// A setting that the command line knows; [`withy::Setting`] are those that a store can hold.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// Its variable; empty for one that only the store can give.
    pub(crate) env: &'static str,
    pub(crate) default: &'static str,
}

/// Every setting of the command line, by name.
pub(crate) const SETTINGS: [Known; 16] = [
    Known { name: "author", env: "WITHY_AUTHOR", default: "" },
    Known { name: "color", env: "WITHY_COLOR", default: "auto" },
    Known { name: "durability", env: "WITHY_DURABILITY", default: "sync" },
    Known { name: "keep-tags", env: "", default: "0" },
    Known { name: "key-format", env: "WITHY_KEY_FORMAT", default: "text" },
    Known { name: "max-branches", env: "WITHY_MAX_BRANCHES", default: "unlimited" },
    Known { name: "max-operations", env: "WITHY_MAX_OPERATIONS", default: "unlimited" },
    Known { name: "max-tags", env: "", default: "unlimited" },
    Known {
        name: "max-transaction-bytes",
        env: "WITHY_MAX_TRANSACTION_BYTES",
        default: "unlimited",
    },
    Known { name: "max-transactions", env: "WITHY_MAX_TRANSACTIONS", default: "unlimited" },
    Known { name: "pager", env: "WITHY_PAGER", default: "" },
    Known { name: "retention", env: "", default: "forever" },
    Known { name: "transaction-time", env: "WITHY_TRANSACTION_TIME", default: "unlimited" },
    Known { name: "undo-age", env: "", default: "30d" },
    Known { name: "value-format", env: "WITHY_VALUE_FORMAT", default: "text" },
    Known { name: "wait", env: "WITHY_WAIT", default: "0" },
];

/// All the places a setting can come from.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) flags: BTreeMap<&'static str, String>,
    pub(crate) stored: BTreeMap<&'static str, String>,
}

impl Settings {
    /// The value in force, and where it comes from.
    pub(crate) fn get(&self, setting: &Known) -> (String, Source) {
        if let Some(value) = self.flags.get(setting.name) {
            return (value.clone(), Source::Flag);
        }
        if let Some(value) = environment(setting.env) {
            return (value, Source::Environment);
        }
        if let Some(value) = self.stored.get(setting.name) {
            return (value.clone(), Source::Store);
        }
        (default_of(setting), Source::Default)
    }

    /// Whether flag or environment give the setting.
    pub(crate) fn is_given(&self, name: &'static str) -> bool {
        matches!(self.named(name).1, Source::Flag | Source::Environment)
    }

    /// The value in force of a setting in [`SETTINGS`].
    pub(crate) fn named(&self, name: &'static str) -> (String, Source) {
        let setting = find(name).expect("the caller names a setting of the table");
        self.get(setting)
    }
}

/// The setting with this name, if the command line knows it.
pub(crate) fn find(name: &str) -> Option<&'static Known> {
    SETTINGS.iter().find(|s| s.name == name)
}

/// A variable that is set and not empty.
pub(crate) fn environment(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn default_of(setting: &Known) -> String {
    let derived = match setting.name {
        "author" => ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(environment),
        "pager" => Some(environment("PAGER").unwrap_or_else(|| "less".to_owned())),
        _ => None,
    };
    derived.unwrap_or_else(|| setting.default.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Known = Known { name: "pear", env: "WITHY_TEST_THAT_IS_NOT_SET", default: "green" };

    #[test]
    fn a_flag_beats_the_store_and_the_store_the_default() {
        let mut settings = Settings::default();
        assert_eq!(settings.get(&TEST), ("green".into(), Source::Default));
        settings.stored.insert("pear", "yellow".into());
        assert_eq!(settings.get(&TEST), ("yellow".into(), Source::Store));
        settings.flags.insert("pear", "red".into());
        assert_eq!(settings.get(&TEST), ("red".into(), Source::Flag));
    }

    #[test]
    fn the_table_is_sorted_by_name() {
        assert!(SETTINGS.is_sorted_by_key(|s| s.name), "config --list shows it in this order");
    }
}

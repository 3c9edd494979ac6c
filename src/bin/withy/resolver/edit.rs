//! Editing a value by hand: the text that is offered, the editor, and what comes back.

use std::io::Write as _;
use std::process::Command;

use withy::{MarkerLabels, has_markers, merge_text};

use super::panes::{Version, Versions};
use crate::settings::environment;
use crate::text::escape;

/// A text to edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) text: Vec<u8>,
    /// How the file's name ends, so that the editor knows the language.
    pub(super) suffix: String,
    /// Whether a newline at the end belongs to the value.
    keeps_newline: bool,
}

/// What came of an editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edited {
    Text(Vec<u8>),
    /// It could not be started, or said that it failed.
    Failed(String),
}

/// What becomes of an edited text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Store(Vec<u8>),
    /// Store it if the user says so, to this question.
    Ask(&'static str, Vec<u8>),
    /// It has conflict markers.
    Unfinished(Vec<u8>),
}

/// The text to begin with, or why there is none: the value of the only side that has one, or the lines
/// of both with conflict markers.
pub(super) fn offer(key: &[u8], versions: &Versions, names: (&str, &str)) -> Result<Offer, String> {
    let value = |version: &Version| match version {
        Version::Value(value) => Some(value.clone()),
        Version::Absent | Version::Lost => None,
    };
    let (ours, theirs) = (value(&versions.ours.1), value(&versions.theirs.1));
    let base = match versions.bases.as_slice() {
        [(_, version)] => value(version),
        _ => None,
    };
    let all = [&base, &ours, &theirs];
    if all.into_iter().flatten().any(|value| value.contains(&0)) {
        return Err("it has zero bytes, so it is not text to edit; take a side".into());
    }
    let keeps_newline = [&ours, &theirs].into_iter().flatten().any(|value| value.ends_with(b"\n"));
    let text = match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let labels = MarkerLabels::new(names.0, "base", names.1);
            merge_text(base.as_deref(), &ours, &theirs, &labels).text
        }
        (ours, theirs) => ours.or(theirs).unwrap_or_default(),
    };
    Ok(Offer { text, suffix: suffix(key), keeps_newline })
}

/// The extension that a key has, if it looks like one.
fn suffix(key: &[u8]) -> String {
    let extension = key.rsplit(|&byte| byte == b'/').next().and_then(|name| {
        let dot = name.iter().rposition(|&byte| byte == b'.')?;
        let extension = &name[dot + 1..];
        let fits = (1..=10).contains(&extension.len());
        (fits && extension.iter().all(u8::is_ascii_alphanumeric)).then_some(extension)
    });
    extension.map_or(".txt".into(), |extension| format!(".{}", escape(extension)))
}

/// Runs the user's editor on a text. The terminal is as the editor expects it.
pub(super) fn run(offer: &Offer) -> Edited {
    let named = || ["VISUAL", "EDITOR"].into_iter().find_map(environment);
    let editor = named().unwrap_or_else(|| "vi".into());
    edit_file(&editor, &offer.text, &offer.suffix)
        .unwrap_or_else(|e| Edited::Failed(format!("{editor}: {e}")))
}

fn edit_file(editor: &str, text: &[u8], suffix: &str) -> std::io::Result<Edited> {
    let mut file = tempfile::Builder::new().prefix("withy-").suffix(suffix).tempfile()?;
    file.write_all(text)?;
    // Some editors put a new file in the place of the old one, so it is read by its name.
    let path = file.into_temp_path();
    let line = format!("{editor} \"$1\"");
    let status = Command::new("sh").args(["-c", &line, "sh"]).arg(&path).status()?;
    Ok(match status.success() {
        true => Edited::Text(std::fs::read(&path)?),
        false => Edited::Failed(format!("{editor}: {status}; nothing is stored")),
    })
}

/// What becomes of a text that an editor has given back.
pub(super) fn judge(offer: &Offer, mut text: Vec<u8>) -> Verdict {
    let mut offered = offer.text.as_slice();
    if !offer.keeps_newline {
        // Most editors end the last line; the values do not.
        offered = without_end(offered);
        text.truncate(without_end(&text).len());
    }
    if has_markers(&text) {
        Verdict::Unfinished(text)
    } else if text.is_empty() {
        Verdict::Ask("The text is empty. Store an empty value?", text)
    } else if text == offered {
        Verdict::Ask("The text was not changed. Store it as it is?", text)
    } else {
        Verdict::Store(text)
    }
}

/// The text without the end of its last line.
fn without_end(text: &[u8]) -> &[u8] {
    match text.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(base: Option<&str>, ours: Option<&str>, theirs: Option<&str>) -> Versions {
        let version = |text: Option<&str>| match text {
            Some(text) => (String::new(), Version::Value(text.into())),
            None => (String::new(), Version::Absent),
        };
        Versions { bases: vec![version(base)], ours: version(ours), theirs: version(theirs) }
    }

    fn offered(base: Option<&str>, ours: Option<&str>, theirs: Option<&str>) -> Offer {
        offer(b"pear", &versions(base, ours, theirs), ("main", "topic")).expect("it is text")
    }

    #[test]
    fn both_sides_are_offered_with_markers() {
        let offer = offered(Some("a"), Some("b"), Some("c"));
        assert_eq!(
            String::from_utf8_lossy(&offer.text),
            "<<<<<<< main\nb\n||||||| base\na\n=======\nc\n>>>>>>> topic\n"
        );
        let left = judge(&offer, offer.text.clone());
        assert!(matches!(left, Verdict::Unfinished(_)), "markers are refused");
    }

    #[test]
    fn the_side_that_is_left_is_offered_alone() {
        let offer = offered(Some("a"), None, Some("c"));
        assert_eq!(offer.text, b"c");
        let unchanged = judge(&offer, b"c\n".to_vec());
        assert!(matches!(unchanged, Verdict::Ask(_, text) if text == b"c"), "it may be a mistake");
    }

    #[test]
    fn an_editor_adds_no_newline_to_values_that_have_none() {
        let without = offered(Some("a"), Some("b"), Some("c"));
        assert_eq!(judge(&without, b"d\n".to_vec()), Verdict::Store(b"d".to_vec()));
        let with = offered(Some("a\n"), Some("b\n"), Some("c\n"));
        assert_eq!(judge(&with, b"d\n".to_vec()), Verdict::Store(b"d\n".to_vec()));
    }

    #[test]
    fn an_empty_text_is_asked_about() {
        let offer = offered(None, Some("b"), Some("c"));
        assert!(matches!(judge(&offer, b"\n".to_vec()), Verdict::Ask(_, text) if text.is_empty()));
    }

    #[test]
    fn zero_bytes_are_not_edited() {
        let versions = versions(None, Some("a\0"), Some("b"));
        assert!(offer(b"pear", &versions, ("main", "topic")).is_err(), "they would be damaged");
    }

    #[test]
    fn the_file_is_named_after_the_key() {
        for (key, ends) in [("a/b.json", ".json"), ("a.b/c", ".txt"), ("a.$(x)", ".txt")] {
            assert_eq!(suffix(key.as_bytes()), ends, "{key}");
        }
    }

    #[test]
    fn an_editor_that_fails_changes_nothing() {
        assert!(matches!(edit_file("false", b"a", ".txt"), Ok(Edited::Failed(_))), "it said so");
        let edited = edit_file("printf b >", b"a", ".txt").expect("a file can be written");
        assert_eq!(edited, Edited::Text(b"b".to_vec()));
    }
}

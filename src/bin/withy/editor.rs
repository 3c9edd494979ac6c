//! A conflict in a text editor, with git's markers.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use withy::{MarkerLabels, OpenConflict, Resolution, Store, has_markers, merge_text};

use crate::conflicts::{Labels, value_of};
use crate::fail::{Code, Doing as _, Failure, Result};
use crate::settings::environment;
use crate::text::name_of;

/// A text to be edited.
#[derive(Debug)]
pub(crate) struct Draft {
    text: Vec<u8>,
    /// A line end at the end is the editor's doing.
    bare_end: bool,
    /// A side deleted the key, so nothing stands for a deletion.
    may_delete: bool,
}

/// A file that was edited. It stays until it is [closed](Self::close).
#[derive(Debug)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn close(self) -> std::io::Result<()> {
        fs::remove_file(self.0)
    }
}

/// What is put before the person: both sides, with markers where they disagree.
/// What was settled to a text before goes on from that.
pub(crate) fn draft(store: &Store, one: &OpenConflict, labels: &Labels) -> Result<Draft> {
    let conflict = &one.conflict;
    let chosen = match one.resolution.as_ref().map(|made| &made.resolution) {
        Some(Resolution::Value(value)) if is_text(value) => Some(value.clone()),
        _ => None,
    };
    let read = |side| Ok::<_, Failure>(value_of(store, conflict, side)?.flatten());
    let (ours, theirs) = (read(conflict.ours)?, read(conflict.theirs)?);
    let is_bare = |text: &Vec<u8>| !text.ends_with(b"\n");
    let may_delete = ours.is_none() || theirs.is_none();
    if let Some(text) = chosen {
        return Ok(Draft { bare_end: is_bare(&text), text, may_delete });
    }
    let base = match conflict.bases.as_slice() {
        [one] => read(*one)?,
        _ => None,
    };
    let sides = [&base, &ours, &theirs];
    let present = || sides.into_iter().flatten();
    if !present().all(|text| is_text(text)) {
        let cause = "its values are not text";
        return Err(Failure::usage(format!("edit {}", name_of(&conflict.key)), cause)
            .hint("settle it with --ours, --theirs, --value or --file"));
    }
    let at =
        |side: &withy::ConflictSide| side.at.map(|at| format!(" seq:{at}")).unwrap_or_default();
    let base_label = match conflict.bases.as_slice() {
        [one] => format!("base{}", at(one)),
        all => format!("{} bases that disagree", all.len()),
    };
    let text = match (&ours, &theirs) {
        (Some(ours), Some(theirs)) => {
            let labels = MarkerLabels::new(&labels.ours, &base_label, &labels.theirs);
            merge_text(base.as_deref(), ours, theirs, &labels).text
        }
        (ours, theirs) => {
            let (gone, stays) =
                (format!(": deleted; leave no text to delete {}", name_of(&conflict.key)), "");
            let tail = |side: &Option<Vec<u8>>| if side.is_none() { gone.as_str() } else { stays };
            let labels = [
                format!("{}{}", labels.ours, tail(ours)),
                base_label,
                format!("{}{}", labels.theirs, tail(theirs)),
            ];
            whole(labels, [ours, &base, theirs].map(|side| side.as_deref().unwrap_or_default()))
        }
    };
    Ok(Draft { text, bare_end: present().all(is_bare), may_delete })
}

fn is_text(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok() && !value.contains(&0)
}

/// All of a text against none of it.
fn whole([ours, base, theirs]: [String; 3], [our, old, their]: [&[u8]; 3]) -> Vec<u8> {
    let longest = [our, old, their].into_iter().flat_map(|text| text.split(|&b| b == b'\n'));
    let longest = longest.map(|line| {
        let sign = line.first().copied().unwrap_or_default();
        let is_marker = b"<|=>".contains(&sign);
        if is_marker { line.iter().take_while(|&&b| b == sign).count() } else { 0 }
    });
    let length = longest.max().map_or(7, |longest| if longest < 7 { 7 } else { longest + 1 });
    let mut out = Vec::new();
    for (sign, label, text) in
        [("<", ours, our), ("|", base, old), ("=", String::new(), their), (">", theirs, b"")]
    {
        let line = format!("{} {label}", sign.repeat(length));
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(text);
        if !text.is_empty() && !text.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    out
}

/// Opens the editor, and says what came of it; the text stays in the file until that is saved.
pub(crate) fn edit(key: &[u8], draft: &Draft) -> Result<(Resolution, Kept)> {
    let doing = || format!("edit {}", name_of(key));
    let editor = match ["VISUAL", "EDITOR"].into_iter().find_map(environment) {
        Some(editor) => editor,
        None if std::io::stdin().is_terminal() => "vi".into(),
        None => {
            let cause = "neither VISUAL nor EDITOR is set, and vi needs a terminal";
            return Err(Failure::usage(doing(), cause)
                .hint("set EDITOR, or settle it with --ours, --theirs, --value or --file"));
        }
    };
    let kept = Kept(write_file(key, &draft.text).doing(doing)?);
    let path = kept.path();
    // As git does it, so an editor may have arguments.
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{editor} \"$@\""), &editor]).arg(path);
    let status = command.status().doing(|| format!("start the editor {editor}"))?;
    if !status.success() {
        kept.close().doing(doing)?;
        return Err(Failure::new(
            Code::Other,
            doing(),
            format!("the editor failed: {editor}: {status}"),
        )
        .hint(match status.code() {
            // What a shell says of a command that it cannot find or run.
            Some(126 | 127) => "set EDITOR; nothing was settled",
            _ => "nothing was settled",
        }));
    }
    let mut text = fs::read(path).doing(doing)?;
    if has_markers(&text) {
        let path = path.display();
        return Err(Failure::usage(doing(), "there are conflict markers left").hint(format!(
            "the text is kept in {path}; when it is right: `withy resolve {} --file {path}`",
            name_of(key)
        )));
    }
    if draft.may_delete && text.iter().all(u8::is_ascii_whitespace) {
        return Ok((Resolution::Delete, kept));
    }
    if draft.bare_end && text.ends_with(b"\n") {
        text.pop();
    }
    Ok((Resolution::Value(text), kept))
}

/// A new file with the text, named after the key, for its owner only.
fn write_file(key: &[u8], text: &[u8]) -> std::io::Result<PathBuf> {
    let last = key.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = String::from_utf8_lossy(last).chars().filter(|c| plain(*c)).collect();
    // The end of the name tells an editor what kind of text it is.
    let name: String = name.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
    let file = tempfile::Builder::new().prefix("withy-").suffix(&format!("-{name}")).tempfile()?;
    let (mut file, path) = file.keep().map_err(|e| e.error)?;
    file.write_all(text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_around_a_whole_text_are_longer_than_those_in_it() {
        let labels = || ["main".into(), "base seq:1".into(), "topic: deleted".into()];
        let text = whole(labels(), [b"a\nb", b"a\n", b""]);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "<<<<<<< main\na\nb\n||||||| base seq:1\na\n=======\n>>>>>>> topic: deleted\n"
        );
        let text = whole(labels(), [b"======== x\n", b"", b""]);
        assert!(text.starts_with(b"<<<<<<<<< main\n"), "nine signs around eight");
        assert!(has_markers(&text), "what was marked is found");
    }
}

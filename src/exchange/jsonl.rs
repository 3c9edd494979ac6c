//! JSON Lines: one object a line, a key and a value in each.

use std::cell::Cell;
use std::io::{BufRead, Write};
use std::rc::Rc;

use serde::Deserialize;

use super::encoding::Encoding;
use super::meter::Metered;
use super::sort::Pair;
use super::{
    Exported, LoadOptions, Loaded, bulk, check_row, input_failed, line_error, output_failed,
};
use crate::error::{Error, Result};
use crate::kv::KeyRange;
use crate::progress::{Meter, takes_progress};
use crate::store::Store;
use crate::view::Read;

/// One line. Of each name exactly one form is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    key_hex: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_hex: Option<String>,
    value_base64: Option<String>,
}

/// Puts the rows of a JSON Lines input on a branch, as one commit.
///
/// Each line is an object with `key` (or `key_hex`, `key_base64`) and `value` (or `value_hex`,
/// `value_base64`), all of them strings. Blank lines are skipped. Rows may come in any order; of
/// several with one key the last wins, as in [`load`](super::load), which this is built on.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) or [`Limit`](crate::ErrorKind::Limit) for a bad line, with
/// its number and what is wrong: not JSON, an unknown member, a missing or doubled key or value.
/// Further as for [`load`](super::load). After an error the store is as it was before.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Read, exchange};
/// let input = br#"{"key": "pear", "value": "green"}
/// {"key_hex": "ff", "value_base64": "AAE="}
/// "#;
/// let loaded = exchange::import_jsonl(&store, "main", &input[..], exchange::LoadOptions::default())?;
/// assert_eq!(loaded.rows, 2);
/// assert_eq!(store.main()?.get(b"\xff")?, Some(vec![0, 1]));
///
/// let bad = exchange::import_jsonl(&store, "main", &b"{\"key\": \"a\"}\n"[..], Default::default());
/// assert_eq!(bad.unwrap_err().to_string(), "line 1: there is no value");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import_jsonl(
    store: &Store,
    branch: &str,
    input: impl BufRead,
    options: LoadOptions<'_>,
) -> Result<Loaded> {
    let bytes = Rc::new(Cell::new(0));
    let rows = rows(Metered::new(input, Rc::clone(&bytes)));
    bulk::load_counted(store, branch, rows, &bytes, options)
}

/// The rows of an input.
pub(super) fn rows(mut input: Metered<impl BufRead>) -> impl Iterator<Item = Result<Pair>> {
    let (mut text, mut line) = (Vec::new(), 0_u64);
    std::iter::from_fn(move || {
        loop {
            if let Err(e) = input.line(&mut text) {
                return Some(Err(input_failed(line, e)));
            }
            if text.is_empty() {
                return None;
            }
            line += 1;
            if !text.trim_ascii().is_empty() {
                return Some(row(&text, line));
            }
        }
    })
}

fn row(text: &[u8], line: u64) -> Result<Pair> {
    let text = if line == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
    let text = text.trim_ascii_end();
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(line_error(line, "not a JSON object"));
    }
    let fields: Line = serde_json::from_slice(text).map_err(|e| bad_json(line, &e))?;
    let key = one("key", line, [fields.key, fields.key_hex, fields.key_base64])?;
    let value = one("value", line, [fields.value, fields.value_hex, fields.value_base64])?;
    check_row(line, &key, &value)?;
    Ok((key, value))
}

/// The one form that is given, decoded.
fn one(what: &str, line: u64, forms: [Option<String>; 3]) -> Result<Vec<u8>> {
    let encodings = [Encoding::Text, Encoding::Hex, Encoding::Base64];
    let mut given = forms.into_iter().zip(encodings).filter_map(|(text, e)| Some((text?, e)));
    let (text, encoding) = match (given.next(), given.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(line_error(line, &format!("there is no {what}"))),
        (Some(_), Some(_)) => return Err(line_error(line, &format!("there are two {what}s"))),
    };
    if encoding == Encoding::Text {
        return Ok(text.into_bytes());
    }
    let name = if encoding == Encoding::Hex { "hex" } else { "base64" };
    let bytes = encoding.decode(text.as_bytes());
    bytes.map_err(|e| line_error(line, &format!("{what}_{name} is {e}")))
}

/// The parser's message without its own line number: each line is a text of its own.
fn bad_json(line: u64, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    line_error(line, &format!("{reason} (column {})", error.column()))
}

/// How JSON Lines are written.
///
/// # Examples
/// ```
/// use withy::exchange::{Encoding, JsonlOptions};
/// let options = JsonlOptions::default().range(withy::KeyRange::prefix("fruit/")).values(Encoding::Base64);
/// # let _ = options;
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct JsonlOptions<'a> {
    range: KeyRange,
    keys: Encoding,
    values: Encoding,
    meter: Meter<'a>,
}

impl<'a> JsonlOptions<'a> {
    /// Only the rows of this range.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = range;
        self
    }

    /// Keys in this encoding. [`Encoding::Text`], the default, falls back to base64 for a key that
    /// is not UTF-8.
    #[must_use]
    pub fn keys(mut self, encoding: Encoding) -> Self {
        self.keys = encoding;
        self
    }

    /// Values in this encoding, with the same fallback.
    #[must_use]
    pub fn values(mut self, encoding: Encoding) -> Self {
        self.values = encoding;
        self
    }
}

takes_progress!(JsonlOptions: "What was written until then is not a whole export.");

/// Writes rows as JSON Lines, in key order; [`import_jsonl`] reads them back as they were.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) if the output refuses bytes; errors of reading `from`.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// main.put("seed", b"\xff\x00")?;
/// let mut out = Vec::new();
/// withy::exchange::export_jsonl(&main.view()?, &mut out, Default::default())?;
/// assert_eq!(
///     String::from_utf8(out)?,
///     "{\"key\":\"pear\",\"value\":\"green\"}\n{\"key\":\"seed\",\"value_base64\":\"/wA=\"}\n"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_jsonl(
    from: &impl Read,
    mut output: impl Write,
    mut options: JsonlOptions<'_>,
) -> Result<Exported> {
    let mut done = Exported::default();
    let mut line = Vec::new();
    options.meter.tell(0, 0)?;
    for row in from.range(&options.range)? {
        let (key, value) = row?;
        line.clear();
        line.push(b'{');
        member(&mut line, "key", &key, options.keys)?;
        line.push(b',');
        member(&mut line, "value", &value, options.values)?;
        line.extend_from_slice(b"}\n");
        output.write_all(&line).map_err(output_failed)?;
        done.rows += 1;
        done.bytes += line.len() as u64;
        options.meter.step(done.rows, done.bytes)?;
    }
    output.flush().map_err(output_failed)?;
    options.meter.tell(done.rows, done.bytes)?;
    Ok(done)
}

/// Writes `"name":"text"`, with the encoding in the name where it is not plain text.
fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8], encoding: Encoding) -> Result<()> {
    let plain = std::str::from_utf8(bytes).ok().filter(|_| encoding == Encoding::Text);
    let (suffix, encoding) = match (plain, encoding) {
        (Some(_), _) => ("", Encoding::Text),
        (None, Encoding::Hex) => ("_hex", Encoding::Hex),
        (None, Encoding::Text | Encoding::Base64) => ("_base64", Encoding::Base64),
    };
    out.extend_from_slice(format!("\"{name}{suffix}\":").as_bytes());
    match plain {
        Some(text) => {
            serde_json::to_writer(&mut *out, text).map_err(|e| output_failed(e.into()))?
        }
        None => {
            out.push(b'"');
            out.extend_from_slice(&encoding.encode(bytes));
            out.push(b'"');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Pair>> {
        rows(Metered::new(text, Rc::default())).collect()
    }

    fn fault(text: &str) -> String {
        let last = read(text.as_bytes()).pop().expect("a row");
        last.expect_err("the line is bad").to_string()
    }

    #[test]
    fn lines_in_every_form_are_read() {
        let text = b"\xef\xbb\xbf{\"key\":\"a\",\"value\":\"\"}\r\n\n  \n{\"value_hex\":\"00fF\",\"key_base64\":\"AP8=\"}";
        let rows: Vec<Pair> = read(text).into_iter().map(|row| row.expect("a good line")).collect();
        assert_eq!(rows, [(b"a".to_vec(), vec![]), (vec![0, 255], vec![0, 255])]);
    }

    #[test]
    fn bad_lines_are_named() {
        let cases = [
            ("\n{\"key\":\"a\"", "line 2: EOF while parsing an object (column 10)"),
            ("{\"key\":\"a\"}", "line 1: there is no value"),
            ("{\"value\":\"a\"}", "line 1: there is no key"),
            ("{\"key\":\"a\",\"value\":null}", "line 1: there is no value"),
            ("{\"key\":\"a\",\"key_hex\":\"61\",\"value\":\"\"}", "line 1: there are two keys"),
            (
                "{\"key\":\"a\",\"key\":\"b\",\"value\":\"\"}",
                "line 1: duplicate field `key` (column 16)",
            ),
            (
                "{\"key_hex\":\"6\",\"value\":\"\"}",
                "line 1: key_hex is not hexadecimal digits in pairs",
            ),
            (
                "{\"key\":\"a\",\"value_base64\":\"?\"}",
                "line 1: value_base64 is not base64 with padding",
            ),
            ("{\"key\":\"\",\"value\":\"\"}", "line 1: key is empty, the shortest has 1 byte"),
            (
                "{\"key\":\"a\",\"value\":5}",
                "line 1: invalid type: integer `5`, expected a string (column 20)",
            ),
            ("[\"a\",null,null,\"b\",null,null]", "line 1: not a JSON object"),
        ];
        for (text, want) in cases {
            assert_eq!(fault(text), want, "{text}");
        }
        let unknown = fault("{\"key\":\"a\",\"colour\":\"b\"}");
        assert!(unknown.starts_with("line 1: unknown field `colour`"), "{unknown}");
        let long = format!("{{\"key\":\"{}\",\"value\":\"\"}}", "k".repeat(65_537));
        assert_eq!(fault(&long), "line 1: key of 65537 bytes is over the limit of 65536 bytes");
    }
}

//! Comma- and tab-separated values, with a header and a key column.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::rc::Rc;

use csv::{ByteRecord, QuoteStyle, ReaderBuilder, WriterBuilder};
use serde_json::{Map, Value};

use super::encoding::{DecodeError, Encoding};
use super::meter::Metered;
use super::sort::Pair;
use super::{
    Exported, LoadOptions, Loaded, bulk, check_row, input_failed, line_error, output_failed,
};
use crate::error::{Error, ErrorKind, Result};
use crate::kv::{KeyRange, show_key};
use crate::progress::{Meter, takes_progress};
use crate::store::Store;
use crate::view::Read;

/// What the value of a row is.
///
/// # Examples
/// ```
/// use withy::exchange::{CsvOptions, CsvValues};
/// let options = CsvOptions::default().key("id").values(CsvValues::Column("name".into()));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CsvValues {
    /// Reading: the other column if there is one, an [`Object`](Self::Object) if there are more, and
    /// empty if there is none. Writing: a column `value`.
    #[default]
    Auto,
    /// This column, as it stands.
    Column(String),
    /// A JSON object whose members are the columns other than the key. Reading makes every member a
    /// text; writing turns texts into cells as they are, `null` and absent into empty cells, and
    /// whatever else into JSON.
    Object,
}

/// The shape of comma- or tab-separated values.
///
/// # Examples
/// ```
/// use withy::exchange::{CsvOptions, Encoding};
/// let tsv = CsvOptions::tsv().key("id").key_encoding(Encoding::Hex);
/// # let _ = tsv;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CsvOptions {
    delimiter: u8,
    key: Option<String>,
    values: CsvValues,
    key_encoding: Encoding,
    value_encoding: Encoding,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            key: None,
            values: CsvValues::Auto,
            key_encoding: Encoding::Text,
            value_encoding: Encoding::Text,
        }
    }
}

impl CsvOptions {
    /// Tabs instead of commas.
    #[must_use]
    pub fn tsv() -> Self {
        Self { delimiter: b'\t', ..Self::default() }
    }

    /// Name of the key column; the first one, or `key` when writing, if it is not set.
    #[must_use]
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.key = Some(column.into());
        self
    }

    /// What the value of a row is.
    #[must_use]
    pub fn values(mut self, values: CsvValues) -> Self {
        self.values = values;
        self
    }

    /// Keys in this encoding.
    #[must_use]
    pub fn key_encoding(mut self, encoding: Encoding) -> Self {
        self.key_encoding = encoding;
        self
    }

    /// Values in this encoding; has no effect on the members of an object.
    #[must_use]
    pub fn value_encoding(mut self, encoding: Encoding) -> Self {
        self.value_encoding = encoding;
        self
    }
}

/// Puts the rows of a CSV or TSV input on a branch, as one commit.
///
/// The first row is the header. Cells may be in double quotes, and are taken byte for byte. Rows may
/// come in any order; of several with one key the last wins, as in [`load`](super::load).
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) or [`Limit`](ErrorKind::Limit) for a bad row, with its line and
/// what is wrong: too few or too many cells, an empty key, a cell that is not in its encoding, or not
/// UTF-8 where it becomes a member; a header without the columns asked for. Further as for
/// [`load`](super::load). After an error the store is as it was before.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Read, exchange::{CsvOptions, import_csv}};
/// let table = b"id,name,colour\n7,pear,green\n9,plum,\"dark, blue\"\n";
/// import_csv(&store, "main", &table[..], &CsvOptions::default(), Default::default())?;
/// assert_eq!(store.main()?.get(b"7")?, Some(br#"{"name":"pear","colour":"green"}"#.to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import_csv(
    store: &Store,
    branch: &str,
    input: impl BufRead,
    shape: &CsvOptions,
    options: LoadOptions<'_>,
) -> Result<Loaded> {
    let bytes = Rc::new(Cell::new(0));
    let rows = rows(Metered::new(input, Rc::clone(&bytes)), shape)?;
    bulk::load_counted(store, branch, rows, &bytes, options)
}

/// What to make of the cells of a row.
struct Columns {
    key: usize,
    values: Cells,
}

enum Cells {
    None,
    One(usize),
    Object(Vec<(usize, String)>),
}

pub(super) fn rows<'s, R: BufRead + 's>(
    input: Metered<R>,
    shape: &'s CsvOptions,
) -> Result<impl Iterator<Item = Result<Pair>> + 's> {
    let mut reader = ReaderBuilder::new().delimiter(shape.delimiter).from_reader(input);
    let header = reader.byte_headers().map_err(|e| bad_csv(0, e))?.clone();
    let columns = columns(&header, shape)?;
    let lines = Lines { feeds: reader.position().line() > line_feeds(&header) + 1 };
    let mut record = ByteRecord::new();
    let mut line = 1;
    Ok(std::iter::from_fn(move || {
        reader.get_mut().begin();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                line = lines.first(&reader, &record);
                Some(row(&record, &columns, shape, line))
            }
            Ok(false) => None,
            Err(e) => {
                if matches!(e.kind(), csv::ErrorKind::UnequalLengths { .. }) {
                    line = lines.first(&reader, &record);
                }
                Some(Err(bad_csv(line, e)))
            }
        }
    }))
}

/// Where records begin. The parser knows where the one before ended, which blank lines may follow.
struct Lines {
    /// Whether a record ends with a line feed that the parser has counted by then.
    feeds: bool,
}

impl Lines {
    /// The line on which a record begins that was just read.
    fn first<R: BufRead>(&self, reader: &csv::Reader<Metered<R>>, record: &ByteRecord) -> u64 {
        let end = reader.position();
        let cut = end.byte() == reader.get_ref().total() && !reader.get_ref().ends_line();
        let own = u64::from(self.feeds && !cut);
        end.line().saturating_sub(line_feeds(record) + own)
    }
}

fn line_feeds(record: &ByteRecord) -> u64 {
    record.as_slice().iter().filter(|&&b| b == b'\n').count() as u64
}

fn columns(header: &ByteRecord, shape: &CsvOptions) -> Result<Columns> {
    let names: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let find = |wanted: &str| {
        names.iter().position(|name| name == wanted).ok_or_else(|| {
            line_error(1, &format!("there is no column {wanted:?}, only {}", names.join(", ")))
        })
    };
    if names.is_empty() {
        return Err(line_error(1, "there is no header"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(line_error(1, &format!("two columns are named {twice:?}")));
    }
    let key = shape.key.as_deref().map_or(Ok(0), find)?;
    let others = || (0..names.len()).filter(move |&at| at != key);
    let object = || Cells::Object(others().map(|at| (at, names[at].clone())).collect());
    let values = match (&shape.values, names.len()) {
        (CsvValues::Column(name), _) => Cells::One(find(name)?),
        (CsvValues::Object, _) => object(),
        (CsvValues::Auto, 0..=2) => others().next().map_or(Cells::None, Cells::One),
        (CsvValues::Auto, _) => object(),
    };
    Ok(Columns { key, values })
}

fn row(record: &ByteRecord, columns: &Columns, shape: &CsvOptions, line: u64) -> Result<Pair> {
    let bad = |what: &str, e: DecodeError| line_error(line, &format!("the {what} is {e}"));
    let key = shape.key_encoding.decode(&record[columns.key]).map_err(|e| bad("key", e))?;
    let value = match &columns.values {
        Cells::None => Vec::new(),
        Cells::One(at) => shape.value_encoding.decode(&record[*at]).map_err(|e| bad("value", e))?,
        Cells::Object(members) => {
            let mut object = Map::new();
            for (at, name) in members {
                let cell = std::str::from_utf8(&record[*at]).map_err(|_| {
                    line_error(line, &format!("the cell in column {name:?} is not UTF-8"))
                })?;
                object.insert(name.clone(), Value::from(cell));
            }
            Value::Object(object).to_string().into_bytes()
        }
    };
    check_row(line, &key, &value)?;
    Ok((key, value))
}

fn bad_csv(line: u64, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => input_failed(line, e),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            line_error(line, &format!("{len} cells where the header has {expected_len}"))
        }
        other => line_error(line, &format!("not readable: {other:?}")),
    }
}

/// What part of a store is written as CSV, and who hears of the progress.
///
/// # Examples
/// ```
/// use withy::exchange::CsvExport;
/// let options = CsvExport::default().range(withy::KeyRange::prefix("fruit/"));
/// # let _ = options;
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CsvExport<'a> {
    range: KeyRange,
    meter: Meter<'a>,
}

impl<'a> CsvExport<'a> {
    /// Only the rows of this range.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = range;
        self
    }
}

takes_progress!(CsvExport: "What was written until then is not a whole export.");

/// Writes rows as CSV or TSV, in key order; [`import_csv`] with the same shape reads them back.
///
/// With [`CsvValues::Object`] the rows are read twice, the first time for the names of the columns.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) if a value should be a JSON object and is not one, or has a member
/// named as the key column; [`Io`](ErrorKind::Io) if the output refuses bytes; errors of reading
/// `from`.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::exchange::{CsvExport, CsvOptions, export_csv};
/// let main = store.main()?;
/// main.put("pear", "green, mostly")?;
/// let mut out = Vec::new();
/// export_csv(&main.view()?, &mut out, &CsvOptions::default(), CsvExport::default())?;
/// assert_eq!(out, b"key,value\npear,\"green, mostly\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_csv(
    from: &impl Read,
    output: impl Write,
    shape: &CsvOptions,
    mut options: CsvExport<'_>,
) -> Result<Exported> {
    let key_name = shape.key.as_deref().unwrap_or("key");
    let columns = match &shape.values {
        CsvValues::Object => Some(members(from, &options.range, key_name)?),
        CsvValues::Auto | CsvValues::Column(_) => None,
    };
    let value_name = match &shape.values {
        CsvValues::Column(name) => name,
        CsvValues::Auto | CsvValues::Object => "value",
    };
    let bytes = Rc::new(Cell::new(0));
    let output = Counted { output, bytes: Rc::clone(&bytes) };
    let mut writer = WriterBuilder::new()
        .delimiter(shape.delimiter)
        .quote_style(QuoteStyle::Necessary)
        .from_writer(output);
    let header: Vec<&str> = match &columns {
        Some(names) => std::iter::once(key_name).chain(names.iter().map(String::as_str)).collect(),
        None => vec![key_name, value_name],
    };
    options.meter.tell(0, 0)?;
    writer.write_record(header).map_err(csv_output)?;
    let mut done = Exported::default();
    let mut record = ByteRecord::new();
    for row in from.range(&options.range)? {
        let (key, value) = row?;
        record.clear();
        record.push_field(&shape.key_encoding.encode(&key));
        match &columns {
            None => record.push_field(&shape.value_encoding.encode(&value)),
            Some(names) => {
                let object = object(&key, &value)?;
                names.iter().for_each(|name| record.push_field(cell(object.get(name)).as_bytes()));
            }
        }
        writer.write_byte_record(&record).map_err(csv_output)?;
        done.rows += 1;
        options.meter.step(done.rows, bytes.get())?;
    }
    writer.flush().map_err(output_failed)?;
    done.bytes = bytes.get();
    options.meter.tell(done.rows, done.bytes)?;
    Ok(done)
}

/// The names of all members, in the order in which they first appear.
fn members(from: &impl Read, range: &KeyRange, key_name: &str) -> Result<Vec<String>> {
    let (mut names, mut seen) = (Vec::new(), BTreeSet::from([key_name.to_owned()]));
    for row in from.range(range)? {
        let (key, value) = row?;
        for name in object(&key, &value)?.keys() {
            if name == key_name {
                let why =
                    format!("a member of {} is named as the key column, {name:?}", show_key(&key));
                return Err(Error::new(ErrorKind::Invalid, why)
                    .with_hint("give the key column another name"));
            }
            if seen.insert(name.clone()) {
                names.push(name.clone());
            }
        }
    }
    Ok(names)
}

fn object(key: &[u8], value: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(value).map_err(|e| {
        let why = format!("the value of {} is not a JSON object", show_key(key));
        Error::new(ErrorKind::Invalid, why)
            .because(e)
            .with_hint("write the values as one column, without spreading objects")
    })
}

fn cell(member: Option<&Value>) -> String {
    match member {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn csv_output(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => output_failed(e),
        other => output_failed(io::Error::other(format!("{other:?}"))),
    }
}

/// An output that counts its bytes.
struct Counted<W> {
    output: W,
    bytes: Rc<Cell<u64>>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes.set(self.bytes.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], shape: &CsvOptions) -> Result<Vec<Pair>> {
        rows(Metered::new(text, Rc::default()), shape)?.collect()
    }

    fn pairs(rows: &[(&str, &str)]) -> Vec<Pair> {
        rows.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_number_of_columns_decides_what_a_value_is() {
        let auto = CsvOptions::default();
        let got = |text: &str| read(text.as_bytes(), &auto).expect("a good table");
        assert_eq!(got("\u{feff}id\na\nb\n"), pairs(&[("a", ""), ("b", "")]), "keys alone");
        assert_eq!(got("id,v\r\na,\"x\ny\"\r\nb,\r\n"), pairs(&[("a", "x\ny"), ("b", "")]), "one");
        let two = pairs(&[("a", r#"{"w":"1","v":"\"2\""}"#)]);
        assert_eq!(
            got("id,w,v\na,1,\"\"\"2\"\"\"\n"),
            two,
            "an object, in the order of the columns"
        );
        let chosen = CsvOptions::tsv().key("v").values(CsvValues::Column("id".into()));
        let text = "id\tw\tv\na\t1\t2\n";
        assert_eq!(read(text.as_bytes(), &chosen).expect("good"), pairs(&[("2", "a")]), "chosen");
        let raw = read(b"k,v\n\xff\x00,\xfe\n", &auto).expect("bytes are fine");
        assert_eq!(raw, [(vec![0xff, 0], vec![0xfe])], "cells are taken byte for byte");
    }

    #[test]
    fn bad_rows_are_named() {
        let hex = CsvOptions::default().key_encoding(Encoding::Hex);
        let auto = CsvOptions::default();
        let cases: [(&[u8], &CsvOptions, &str); 8] = [
            (b"", &auto, "line 1: there is no header"),
            (b"a,a\n", &auto, "line 1: two columns are named \"a\""),
            (b"a,b\n1,\"x\ny\"\n\n3\n", &auto, "line 5: 1 cells where the header has 2"),
            (b"a,b\r\n\r\n1,2\r\n1,2,3\r\n", &auto, "line 4: 3 cells where the header has 2"),
            (b"a,b\n1,2\n,3", &auto, "line 3: key is empty, the shortest has 1 byte"),
            (b"a,b\nxy,3\n", &hex, "line 2: the key is not hexadecimal digits in pairs"),
            (b"a,b,c\n1,2,\xff\n", &auto, "line 2: the cell in column \"c\" is not UTF-8"),
            (
                b"a,b\n",
                &CsvOptions::default().key("id"),
                "line 1: there is no column \"id\", only a, b",
            ),
        ];
        for (text, shape, want) in cases {
            let fault = read(text, shape).expect_err("the table is bad").to_string();
            assert_eq!(fault, want, "{}", text.escape_ascii());
        }
    }
}

//! What import and export share: formats, columns, encodings.

use std::path::Path;

use clap::{Args, ValueEnum};
use withy::exchange::{CsvOptions, CsvValues, Encoding};

use crate::app::App;
use crate::fail::{Failure, Result};
use crate::text::Format;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// JSON Lines: {"key": "pear", "value": "green"}
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// A stream as `git fast-export` writes it, with all of its history
    Git,
}

/// The columns of a table.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "CSV and TSV")]
pub(crate) struct Columns {
    /// Column of the keys [default: the first; in exports `key`]
    #[arg(long, value_name = "COLUMN")]
    key_column: Option<String>,
    /// Column of the values [default: the other one; with more, values are JSON objects]
    #[arg(long, value_name = "COLUMN", conflicts_with = "objects")]
    value_column: Option<String>,
    /// Values are JSON objects, with a column for each member
    #[arg(long)]
    objects: bool,
}

impl Columns {
    pub(crate) fn shape(&self, format: FileFormat, app: &App) -> Result<CsvOptions> {
        let mut shape =
            if format == FileFormat::Tsv { CsvOptions::tsv() } else { CsvOptions::default() };
        if let Some(column) = &self.key_column {
            shape = shape.key(column.as_str());
        }
        shape = match (&self.value_column, self.objects) {
            (Some(column), _) => shape.values(CsvValues::Column(column.clone())),
            (None, true) => shape.values(CsvValues::Object),
            (None, false) => shape,
        };
        Ok(shape
            .key_encoding(encoding(app.key_format()?))
            .value_encoding(encoding(app.value_format()?)))
    }
}

/// Files hold bytes as they are, not escaped.
pub(crate) const fn encoding(format: Format) -> Encoding {
    match format {
        Format::Text => Encoding::Text,
        Format::Hex => Encoding::Hex,
        Format::Base64 => Encoding::Base64,
    }
}

/// The format that was asked for, or the one that the name of the file tells.
pub(crate) fn format_of(asked: Option<FileFormat>, file: &Path) -> Result<FileFormat> {
    if let Some(format) = asked {
        return Ok(format);
    }
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("jsonl" | "ndjson" | "json") => Ok(FileFormat::Jsonl),
        Some("csv") => Ok(FileFormat::Csv),
        Some("tsv" | "tab") => Ok(FileFormat::Tsv),
        Some("fast-export" | "git" | "fi") => Ok(FileFormat::Git),
        _ => Err(Failure::usage("choose the format", "the name of the file does not tell it")
            .hint("use --format jsonl, csv, tsv or git")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_its_format() {
        let told = |name: &str| format_of(None, Path::new(name)).ok();
        assert_eq!(told("a.CSV"), Some(FileFormat::Csv));
        assert_eq!(told("a.b.jsonl"), Some(FileFormat::Jsonl));
        assert_eq!(told("advisories.fast-export"), Some(FileFormat::Git));
        assert_eq!(told("-"), None, "a pipe has no name");
    }
}

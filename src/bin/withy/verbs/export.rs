//! `withy export`

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use withy::exchange::{
    CsvExport, GitExportOptions, JsonlOptions, export_csv, export_git, export_jsonl,
};
use withy::{KeyRange, Store};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::progress::Progress;
use crate::transfer::{Columns, FileFormat, encoding, format_of};
use crate::verbs::scan::Range;

/// Write rows as JSON Lines, CSV or TSV, or the whole history for git
///
/// Files hold bytes as they are; --key-format and --value-format can make them hexadecimal or base64. A
/// file appears once it is complete. Git gets all branches and tags, or those of --branch and --tag.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy export fruit.jsonl --prefix fruit/
  withy export --at v1.0 v1.csv
  withy export --format tsv - | column -t
  git init copy && withy export --format git | git -C copy fast-import")]
pub(crate) struct Export {
    /// File to write; `-` is standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// What to write [default: as the name of the file tells]
    #[arg(long, short)]
    format: Option<FileFormat>,
    /// As of this rev [default: the head of the branch]
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    git: Git,
}

/// Options for git streams.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Git")]
struct Git {
    /// Only these tags
    #[arg(long, value_name = "NAME", num_args = 1..)]
    tag: Vec<String>,
    /// Write which mark is which commit to this file
    #[arg(long, value_name = "FILE")]
    export_marks: Option<PathBuf>,
}

/// What was written.
struct Done {
    items: u64,
    item: &'static str,
    bytes: u64,
}

pub(crate) fn run(args: &Export, app: &mut App) -> Result<Outcome> {
    let format = format_of(args.format, &args.file)?;
    let store = app.open_read()?;
    if args.file.as_os_str() == "-" {
        // Progress would be mixed with what is written.
        write(args, format, &store, io::stdout().lock(), app, true)?;
        return Ok(Outcome::Done);
    }
    let doing = || format!("write {}", args.file.display());
    let unfinished = beside(&args.file);
    let file = File::create(&unfinished).doing(doing)?;
    let done = write(args, format, &store, BufWriter::with_capacity(1 << 17, file), app, false)
        .and_then(|done| fs::rename(&unfinished, &args.file).doing(doing).map(|()| done))
        .inspect_err(|_| {
            // The error that led here matters more than a file that is left.
            let _ = fs::remove_file(&unfinished);
        })?;
    let object = Object::new()
        .with("file", args.file.display().to_string())
        .with(if format == FileFormat::Git { "commits" } else { "rows" }, done.items)
        .with("bytes", done.bytes);
    app.say(app.out()?, object, |_| {
        format!("exported {} to {}", plural(done.items, done.item), args.file.display())
    })?;
    Ok(Outcome::Done)
}

/// The name under which a file is written until it is complete.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn write(
    args: &Export,
    format: FileFormat,
    store: &Store,
    output: impl Write,
    app: &App,
    quiet: bool,
) -> Result<Done> {
    let item = if format == FileFormat::Git { "commit" } else { "row" };
    let mut progress = Progress::new("export", item, None, quiet || app.globals.quiet);
    if format == FileFormat::Git {
        return git(args, store, output, app, &mut progress);
    }
    let range: KeyRange = args.range.keys(app)?;
    let rev = app.rev(store, args.at.as_deref())?;
    let doing = || format!("export {rev}");
    let view = store.view(&rev).doing(doing)?;
    let exported = match format {
        FileFormat::Jsonl => {
            let options = JsonlOptions::default()
                .range(range)
                .keys(encoding(app.key_format()?))
                .values(encoding(app.value_format()?))
                .progress(|so_far| progress.tell(so_far));
            export_jsonl(&view, output, options)
        }
        FileFormat::Csv | FileFormat::Tsv | FileFormat::Git => {
            let shape = args.columns.shape(format, app)?;
            let options =
                CsvExport::default().range(range).progress(|so_far| progress.tell(so_far));
            export_csv(&view, output, &shape, options)
        }
    };
    let exported = exported.doing(doing)?;
    Ok(Done { items: exported.rows, item, bytes: exported.bytes })
}

fn git(
    args: &Export,
    store: &Store,
    output: impl Write,
    app: &App,
    progress: &mut Progress,
) -> Result<Done> {
    let is_part = args.at.is_some()
        || args.range.prefix.is_some()
        || args.range.from.is_some()
        || args.range.to.is_some();
    if is_part {
        return Err(Failure::usage("export", "a git stream holds whole histories")
            .hint("leave out --at, --prefix, --from and --to"));
    }
    let mut marks = Vec::new();
    let mut options = GitExportOptions::default().progress(|so_far| progress.tell(so_far));
    if let Some(branch) = &app.globals.branch {
        options = options.branches([branch.as_str()]);
    }
    if !args.git.tag.is_empty() {
        options = options.tags(args.git.tag.iter().map(String::as_str));
    }
    if args.git.export_marks.is_some() {
        options = options.marks(&mut marks);
    }
    let done = export_git(store, output, options).doing(|| "export".into())?;
    if let Some(path) = &args.git.export_marks {
        fs::write(path, &marks).doing(|| format!("write marks to {}", path.display()))?;
    }
    Ok(Done { items: done.commits, item: "commit", bytes: done.bytes })
}

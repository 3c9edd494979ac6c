//! `withy import`

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use clap::Args;
use withy::Store;
use withy::exchange::{
    GitImportOptions, GitImported, GitNotes, LoadOptions, Loaded, import_csv, import_git,
    import_jsonl,
};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::complain;
use crate::progress::Progress;
use crate::transfer::{Columns, FileFormat, format_of};

/// Bring in rows from JSON Lines, CSV or TSV, or a whole history from git
///
/// Rows become one commit on the branch. A stream of `git fast-export` keeps its commits, parents,
/// authors, times, branches and tags; paths become keys. An import is all or nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy import fruit.jsonl
  withy import prices.csv --key-column id -m 'new prices'
  withy import --branch load --from main big.tsv
  git -C repo fast-export --all | withy import --format git -
  xz -dc history.fast-export.xz | withy import --format git --export-marks marks.txt")]
pub(crate) struct Import {
    /// File to read; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// What the file holds [default: as its name tells]
    #[arg(long, short)]
    format: Option<FileFormat>,
    /// Message of the commit [default: `import FILE`]
    #[arg(long, short)]
    message: Option<String>,
    /// Make the branch at this rev if there is none of its name
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    git: Git,
}

/// Options for git streams.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Git")]
struct Git {
    /// Write which mark became which commit to this file
    #[arg(long, value_name = "FILE")]
    export_marks: Option<PathBuf>,
    /// Put this before the name of every branch
    #[arg(long, value_name = "PREFIX", default_value = "")]
    branch_prefix: String,
    /// Move branches and tags that exist, also backwards
    #[arg(long)]
    replace: bool,
    /// Replace characters that a name may not have by `-`
    #[arg(long)]
    fix_names: bool,
}

impl Import {
    fn is_pipe(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    fn name(&self) -> String {
        if self.is_pipe() { "standard input".to_owned() } else { self.file.display().to_string() }
    }
}

pub(crate) fn run(args: Import, app: &mut App) -> Result<Outcome> {
    let format = format_of(args.format, &args.file)?;
    let (mut input, total): (Box<dyn BufRead>, _) = if args.is_pipe() {
        (Box::new(io::stdin().lock()), None)
    } else {
        let doing = || format!("read {}", args.name());
        let file = File::open(&args.file).doing(doing)?;
        let total = file.metadata().doing(doing)?.len();
        (Box::new(BufReader::with_capacity(1 << 17, file)), Some(total))
    };
    let store = app.open_write()?;
    let item = if format == FileFormat::Git { "commit" } else { "row" };
    let mut progress = Progress::new("import", item, total, app.globals.quiet);
    if format == FileFormat::Git {
        let done = git(&args, &store, &mut input, &mut progress)?;
        drop(progress);
        return report_git(&done, app);
    }
    let branch = app.branch(&store)?;
    let message = args.message.clone().unwrap_or_else(|| match args.is_pipe() {
        true => "import".to_owned(),
        false => format!("import {}", args.name()),
    });
    let mut options = LoadOptions::default()
        .author(app.author())
        .message(message)
        .progress(|so_far| progress.tell(so_far));
    if let Some(rev) = &args.from {
        options = options.from(rev.as_str());
    }
    let loaded = match format {
        FileFormat::Jsonl => import_jsonl(&store, &branch, input, options),
        FileFormat::Csv | FileFormat::Tsv | FileFormat::Git => {
            let shape = args.columns.shape(format, app)?;
            import_csv(&store, &branch, input, &shape, options)
        }
    };
    let loaded = loaded.doing(|| format!("import {}", args.name()))?;
    drop(progress);
    report_rows(&loaded, &branch, app)
}

fn git(
    args: &Import,
    store: &Store,
    input: &mut dyn BufRead,
    progress: &mut Progress,
) -> Result<GitImported> {
    let mut marks = Vec::new();
    let mut options = GitImportOptions::default()
        .prefix(args.git.branch_prefix.as_str())
        .replace(args.git.replace)
        .fix_names(args.git.fix_names)
        .progress(|so_far| progress.tell(so_far));
    if args.git.export_marks.is_some() {
        options = options.marks(&mut marks);
    }
    let done = import_git(store, input, options).map_err(|e| {
        let is_taken = e.hint().is_some_and(|hint| hint.contains("replace"));
        let hint = "--branch-prefix PREFIX puts the branches beside those, --replace moves those";
        if is_taken { e.with_hint(hint) } else { e }
    });
    let done = done.doing(|| format!("import {}", args.name()))?;
    if let Some(path) = &args.git.export_marks {
        let doing = || format!("write marks to {}", path.display());
        let mut file = BufWriter::new(File::create(path).doing(doing)?);
        file.write_all(&marks).and_then(|()| file.flush()).doing(doing)?;
    }
    Ok(done)
}

fn report_rows(loaded: &Loaded, branch: &str, app: &App) -> Result<Outcome> {
    let seq = loaded.commit.seq();
    let object = Object::new()
        .with("branch", branch)
        .with("rows", loaded.rows)
        .with("duplicates", loaded.duplicates)
        .with("bytes", loaded.bytes)
        .with("seq", seq.map(|seq| seq.get()));
    app.say(app.out()?, object, |_| {
        let mut text = format!("imported {} into {branch}", plural(loaded.rows, "row"));
        match seq {
            Some(seq) => text.push_str(&format!(" as seq:{seq}")),
            None => text.push_str(", which had them already"),
        }
        if loaded.duplicates > 0 {
            let again = plural(loaded.duplicates, "row");
            text.push_str(&format!("; {again} had a key that came again later"));
        }
        text
    })?;
    Ok(Outcome::Done)
}

fn report_git(done: &GitImported, app: &App) -> Result<Outcome> {
    let notes = notes(&done.notes);
    let object = Object::new()
        .with("commits", done.commits)
        .with("merges", done.merges)
        .with("contents", done.contents)
        .with("branches", done.branches)
        .with("tags", done.tags)
        .with("bytes", done.bytes);
    let lost =
        notes.iter().fold(Object::new(), |object, (name, count, _)| object.with(name, *count));
    app.say(app.out()?, object.with("lost", lost.done()), |_| {
        let branches = if done.branches == 1 {
            "1 branch".into()
        } else {
            format!("{} branches", done.branches)
        };
        format!(
            "imported {} ({}), {branches}, {}",
            plural(done.commits, "commit"),
            plural(done.merges, "merge"),
            plural(done.tags, "tag")
        )
    })?;
    if !app.globals.quiet && !app.globals.json {
        for (_, count, text) in notes.iter().filter(|(_, count, _)| *count > 0) {
            complain(&format!("note: {text}: {count}\n"));
        }
    }
    Ok(Outcome::Done)
}

/// What could not be kept: name, count, text.
fn notes(notes: &GitNotes) -> [(&'static str, u64, &'static str); 7] {
    [
        ("modes", notes.modes, "executable files and links, kept as plain content"),
        ("submodules", notes.submodules, "submodules, left out"),
        ("commit_notes", notes.commit_notes, "notes on commits, left out"),
        ("signatures", notes.signatures, "signatures, left out"),
        ("texts", notes.texts, "names and messages that were not UTF-8, converted"),
        ("refs", notes.refs, "refs that are neither branch nor tag, left out"),
        ("names", notes.names, "names in which characters were replaced"),
    ]
}

//! `withy tag`

use std::io::Write as _;

use clap::{Args, ValueEnum};
use withy::{ErrorKind, TagInfo, TagListOptions, TagOptions, TagOrder};

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::Paint;
use crate::text::{escape, first_line};

/// List, create or delete tags
#[derive(Args)]
#[command(after_help = "\
A tag never moves, and what it names stays readable until the tag is deleted.

Examples:
  withy tag                           list by name
  withy tag --sort -time -n 5         the newest five
  withy tag --list 'v1.*'
  withy tag v1.0 -m 'first release'   tag the head of the branch
  withy tag v0.9 main~3
  withy tag --force v1.0              replace
  withy tag --show v1.0
  withy tag -d v0.9")]
pub(crate) struct Tag {
    /// Tag to create; without it, list
    #[arg(group = "action")]
    name: Option<String>,
    /// What it names [default: the head of the branch]
    #[arg(requires = "name")]
    rev: Option<String>,
    /// Description of the new tag
    #[arg(long, short, value_name = "TEXT", requires = "name")]
    message: Option<String>,
    /// Replace a tag of that name
    #[arg(long, short, requires = "name")]
    force: bool,
    /// List tags, those that match PATTERN
    #[arg(long, short, group = "action", value_name = "PATTERN", num_args = 0..=1, default_missing_value = "*")]
    list: Option<String>,
    /// Order of the list; `-` in front turns it round
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true, default_value = "name")]
    sort: Sort,
    /// List only so many
    #[arg(long, short = 'n', value_name = "TAGS")]
    limit: Option<usize>,
    /// Delete tags
    #[arg(long, short, group = "action", value_name = "NAME", num_args = 1..)]
    delete: Vec<String>,
    /// Show all about a tag
    #[arg(long, group = "action", value_name = "NAME")]
    show: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    Name,
    #[value(name = "-name")]
    NameDown,
    Time,
    #[value(name = "-time")]
    TimeDown,
    Seq,
    #[value(name = "-seq")]
    SeqDown,
}

pub(crate) fn run(args: Tag, app: &mut App) -> Result<Outcome> {
    if let Some(name) = &args.show {
        show(name, app)?;
    } else if let Some(name) = &args.name {
        create(name, &args, app)?;
    } else if !args.delete.is_empty() {
        let store = app.open_write()?;
        for name in &args.delete {
            let doing = || format!("delete tag {name}");
            let seq = store.tag(name).doing(doing)?.seq;
            store.delete_tag(name).doing(doing)?;
            let object = Object::new().with("deleted", name.as_str()).with("seq", seq.get());
            app.say(app.out()?, object, |_| format!("deleted tag {name} (was seq:{seq})"))?;
        }
    } else {
        list(&args, app)?;
    }
    Ok(Outcome::Done)
}

fn create(name: &str, args: &Tag, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let rev = app.rev(&store, args.rev.as_deref())?;
    let options = TagOptions::default()
        .creator(app.author())
        .description(args.message.as_deref().unwrap_or_default())
        .force(args.force);
    let tag = store.create_tag(name, &rev, options).map_err(|e| match e.kind() {
        ErrorKind::Exists => e.with_hint(format!("`withy tag --force {name}` replaces it")),
        _ => e,
    });
    let tag = tag.doing(|| format!("create tag {name}"))?;
    app.say(app.out()?, as_json(&tag), |_| format!("created tag {name} at seq:{}", tag.seq))
}

fn show(name: &str, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let doing = || format!("show tag {name}");
    let tag = store.tag(name).doing(doing)?;
    let commit = store.commit(&format!("seq:{}", tag.seq)).doing(doing)?;
    let mut out = app.out()?;
    if app.globals.json {
        out.json(&as_json(&tag).done())?;
        return out.finish();
    }
    writeln!(out, "tag         {}", out.paint(Paint::Ref, &tag.name))?;
    writeln!(out, "commit      seq:{} {}", tag.seq, tag.commit)?;
    writeln!(out, "keys        {}", commit.keys)?;
    writeln!(out, "created     {}", tag.created)?;
    if !tag.creator.is_empty() {
        writeln!(out, "creator     {}", escape(tag.creator.as_bytes()))?;
    }
    if !tag.description.is_empty() {
        writeln!(out, "description {}", escape(tag.description.as_bytes()))?;
    }
    out.finish()
}

fn list(args: &Tag, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let (order, reverse) = match args.sort {
        Sort::Name => (TagOrder::Name, false),
        Sort::NameDown => (TagOrder::Name, true),
        Sort::Time => (TagOrder::Time, false),
        Sort::TimeDown => (TagOrder::Time, true),
        Sort::Seq => (TagOrder::Seq, false),
        Sort::SeqDown => (TagOrder::Seq, true),
    };
    let mut options = TagListOptions::default().order(order).reverse(reverse);
    if let Some(limit) = args.limit {
        options = options.limit(limit);
    }
    if let Some(pattern) = &args.list {
        options = options.pattern(pattern.as_str());
    }
    let tags = store.tags(options).doing(|| "list tags".into())?;
    let mut out = app.paged()?;
    let width = tags.iter().map(|t| t.name.as_str().len()).max().unwrap_or_default();
    for tag in &tags {
        if app.globals.json {
            out.json(&as_json(tag).done())?;
            continue;
        }
        let id = out.paint(Paint::Id, format!("seq:{} {}", tag.seq, tag.commit.short()));
        let line = format!("{:width$} {id} {}", tag.name, first_line(&tag.description, 72));
        writeln!(out, "{}", line.trim_end())?;
    }
    out.finish()
}

fn as_json(tag: &TagInfo) -> Object {
    Object::new()
        .with("name", tag.name.as_str())
        .with("seq", tag.seq.get())
        .with("id", tag.commit.to_string())
        .with("description", tag.description.as_str())
        .with("creator", tag.creator.as_str())
        .with("created", tag.created.to_string())
}

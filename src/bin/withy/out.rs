//! The one way to standard output and standard error: colours, pager, progress.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::Value;

use crate::fail::Result;

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What a piece of output is; decides its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Id,
    Ref,
    Added,
    Removed,
    Hunk,
    Heading,
}

impl Paint {
    const fn style(self) -> Style {
        match self {
            Self::Id => AnsiColor::Yellow.on_default(),
            Self::Ref => AnsiColor::Green.on_default().bold(),
            Self::Added => AnsiColor::Green.on_default(),
            Self::Removed => AnsiColor::Red.on_default(),
            Self::Hunk => AnsiColor::Cyan.on_default(),
            Self::Heading => Style::new().bold(),
        }
    }
}

/// Where the output of a verb goes.
pub(crate) struct Out {
    sink: Sink,
    color: bool,
}

enum Sink {
    Stdout(BufWriter<io::Stdout>),
    Pager { process: Child, input: Option<BufWriter<ChildStdin>> },
    Buffer(Vec<u8>),
}

impl Out {
    /// Straight to standard output.
    pub(crate) fn plain(color: Color) -> Self {
        Self { sink: Sink::Stdout(BufWriter::new(io::stdout())), color: wants_color(color) }
    }

    /// Through this pager, if it can be started; standard output must be a terminal.
    pub(crate) fn paged(color: Color, pager: &str) -> Self {
        let is_off = pager.trim().is_empty() || pager.trim() == "cat";
        if is_off || !io::stdout().is_terminal() {
            return Self::plain(color);
        }
        let mut command = Command::new("sh");
        command.args(["-c", pager]).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            // Stay out of the way for short output, show colours, leave the text on the screen.
            command.env("LESS", "FRX");
        }
        let Ok(mut process) = command.spawn() else { return Self::plain(color) };
        let input = process.stdin.take().map(BufWriter::new);
        Self { sink: Sink::Pager { process, input }, color: wants_color(color) }
    }

    /// Output that is kept, in the same colours.
    pub(crate) fn buffer(&self) -> Self {
        Self { sink: Sink::Buffer(Vec::new()), color: self.color }
    }

    /// What a [`buffer`](Self::buffer) holds.
    pub(crate) fn into_text(mut self) -> String {
        match &mut self.sink {
            Sink::Buffer(buffer) => String::from_utf8_lossy(buffer).into_owned(),
            Sink::Stdout(_) | Sink::Pager { .. } => String::new(),
        }
    }

    /// The text in the colour of what it is.
    pub(crate) fn paint(&self, paint: Paint, text: impl Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let style = paint.style();
        format!("{style}{text}{style:#}")
    }

    /// Whether there are to be colours.
    pub(crate) const fn is_colored(&self) -> bool {
        self.color
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> Result<()> {
        Ok(writeln!(self, "{value}")?)
    }

    /// Writes what is left and waits for the pager.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        Ok(())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Stdout(out) => out.write(bytes),
            Sink::Pager { input: Some(input), .. } => input.write(bytes),
            Sink::Pager { input: None, .. } => Ok(bytes.len()),
            Sink::Buffer(buffer) => buffer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout(out) => out.flush(),
            Sink::Pager { input: Some(input), .. } => input.flush(),
            Sink::Pager { input: None, .. } | Sink::Buffer(_) => Ok(()),
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // Errors were reported by `finish`; here the run has failed already.
        let _ = self.flush();
        if let Sink::Pager { process, input } = &mut self.sink {
            drop(input.take());
            let _ = process.wait();
        }
    }
}

fn wants_color(color: Color) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && !set("NO_COLOR") && !is_dumb,
    }
}

/// Text for standard error. Nothing can be done if it is closed.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

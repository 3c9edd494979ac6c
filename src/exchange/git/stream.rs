//! Reads `git fast-export` streams: one command at a time, byte-exact, in bounded memory.
//!
//! Contents of files go to a sink while they are read; all else comes as an [`Event`]. Any bytes may
//! come in: what breaks the grammar is a [`Fault`] with the number of the line.

use std::io::{self, BufRead, Write};

use super::event::{Change, CommitHead, Content, Event, Mode, TagHead};
use super::text::{self, DateFormat, Person};

/// Longest command line; the longest key, twice, with every byte escaped, fits.
const MAX_LINE: usize = 1 << 20;
/// Longest message of a commit or tag.
const MAX_MESSAGE: u64 = 1 << 20;
/// Longest content of one file: the longest value.
const MAX_CONTENT: u64 = crate::kv::MAX_VALUE_LEN as u64;

/// What is wrong with a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The input could not be read.
    #[error("cannot read the input after line {line}")]
    Input {
        line: u64,
        #[source]
        source: io::Error,
    },
    /// The place where contents are kept refused them.
    #[error("cannot keep a file content")]
    Sink(#[source] io::Error),
    /// The stream breaks the grammar.
    #[error("line {line}: {reason}")]
    Syntax { line: u64, reason: String },
}

/// A stream being read.
pub(super) struct StreamReader<R> {
    input: R,
    /// Line feeds read so far.
    feeds: u64,
    /// Number of the line that `current` was on.
    line: u64,
    /// Number of the line on which the last event began.
    begun: u64,
    bytes: u64,
    current: Vec<u8>,
    /// `current` was looked at and not used.
    held: bool,
    in_commit: bool,
    /// The stream promised to end with `done`.
    wants_done: bool,
    ended: bool,
    dates: DateFormat,
}

impl<R: BufRead> StreamReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            feeds: 0,
            line: 0,
            begun: 0,
            bytes: 0,
            current: Vec::new(),
            held: false,
            in_commit: false,
            wants_done: false,
            ended: false,
            dates: DateFormat::Raw,
        }
    }

    /// Number of the line on which the last event began.
    pub(super) fn event_line(&self) -> u64 {
        self.begun
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next event; contents go to `sink` first. `None` at the end.
    pub(super) fn next(&mut self, sink: &mut dyn Write) -> Result<Option<Event>, Fault> {
        if self.in_commit {
            if let Some(change) = self.change(sink)? {
                return Ok(Some(Event::Change(change)));
            }
            self.in_commit = false;
            return Ok(Some(Event::CommitEnd));
        }
        while !self.ended && self.command()? {
            if let Some(event) = self.top(sink)? {
                return Ok(Some(event));
            }
        }
        if self.wants_done && !self.ended {
            return Err(self.fault("the stream ends without the `done` it promised: it is cut off"));
        }
        self.ended = true;
        Ok(None)
    }

    /// One command outside of commits.
    fn top(&mut self, sink: &mut dyn Write) -> Result<Option<Event>, Fault> {
        self.begun = self.line;
        let line = std::mem::take(&mut self.current);
        let (word, rest) = match line.iter().position(|&b| b == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (&line[..], &line[line.len()..]),
        };
        match word {
            b"" if line.is_empty() => {}
            b"blob" if rest.is_empty() => return self.blob(sink).map(Some),
            b"commit" => return self.commit(rest).map(Some),
            b"tag" => return self.tag(rest).map(Some),
            b"reset" => {
                let reference = self.reference(rest)?;
                let from = self.optional(b"from ")?;
                return Ok(Some(Event::Reset { reference, from }));
            }
            b"alias" if rest.is_empty() => {
                let mark = self.mark()?.ok_or_else(|| self.fault("an alias wants a mark"))?;
                let to = self.optional(b"to ")?;
                let to = to.ok_or_else(|| self.fault("an alias wants a `to`"))?;
                return Ok(Some(Event::Alias { mark, to }));
            }
            b"feature" => self.feature(rest)?,
            b"done" if rest.is_empty() => self.ended = true,
            b"checkpoint" | b"progress" | b"option" => {}
            b"ls" | b"cat-blob" | b"get-mark" => return Err(self.fault(ASKS)),
            _ => return Err(self.fault(&format!("unknown command {}", shown(&line)))),
        }
        Ok(None)
    }

    fn blob(&mut self, sink: &mut dyn Write) -> Result<Event, Fault> {
        let mark = self.mark()?;
        self.optional(b"original-oid ")?;
        let len = self.data(sink, MAX_CONTENT, "content")?;
        Ok(Event::Blob { mark, len })
    }

    fn commit(&mut self, reference: &[u8]) -> Result<Event, Fault> {
        let reference = self.reference(reference)?;
        let mark = self.mark()?;
        let (mut original, mut author, mut committer, mut encoding) = (None, None, None, None);
        let mut signed = false;
        loop {
            if let Some(oid) = self.optional(b"original-oid ")? {
                original = Some(oid);
            } else if let Some(text) = self.optional(b"author ")? {
                author = Some(self.person("author", &text)?);
            } else if let Some(text) = self.optional(b"committer ")? {
                committer = Some(self.person("committer", &text)?);
            } else if let Some(name) = self.optional(b"encoding ")? {
                encoding = Some(name);
            } else if self.optional(b"gpgsig ")?.is_some() {
                self.data(&mut io::sink(), MAX_CONTENT, "signature")?;
                signed = true;
            } else {
                break;
            }
        }
        let committer = committer.ok_or_else(|| self.fault("the commit has no committer"))?;
        let mut message = Vec::new();
        self.data(&mut message, MAX_MESSAGE, "message")?;
        let from = self.optional(b"from ")?;
        let mut merges = Vec::new();
        while let Some(other) = self.optional(b"merge ")? {
            merges.push(other);
        }
        self.in_commit = true;
        Ok(Event::Commit(Box::new(CommitHead {
            reference,
            mark,
            original,
            author,
            committer,
            encoding,
            signed,
            message,
            from,
            merges,
        })))
    }

    fn tag(&mut self, name: &[u8]) -> Result<Event, Fault> {
        let name = self.reference(name)?;
        let mark = self.mark()?;
        let from = self.optional(b"from ")?;
        let from = from.ok_or_else(|| self.fault("the tag does not say what it is `from`"))?;
        self.optional(b"original-oid ")?;
        let tagger = match self.optional(b"tagger ")? {
            Some(text) => Some(self.person("tagger", &text)?),
            None => None,
        };
        let mut message = Vec::new();
        self.data(&mut message, MAX_MESSAGE, "message")?;
        Ok(Event::Tag(Box::new(TagHead { name, mark, from, tagger, message })))
    }

    /// One change of a commit; `None` when the commit is complete.
    fn change(&mut self, sink: &mut dyn Write) -> Result<Option<Change>, Fault> {
        if !self.command()? || self.current.is_empty() {
            return Ok(None);
        }
        self.begun = self.line;
        let line = std::mem::take(&mut self.current);
        let change = match line.split_at_checked(2) {
            Some((b"M ", rest)) => self.modify(rest, sink)?,
            Some((b"D ", rest)) => {
                let path = text::last_path(rest).map_err(|why| self.fault(&format!("D {why}")))?;
                if !path.is_empty() {
                    self.path(&path)?;
                }
                Change::Delete(path)
            }
            Some((verb @ (b"C " | b"R "), rest)) => {
                let paths = text::two_paths(rest);
                let (from, to) =
                    paths.map_err(|why| self.fault(&format!("{} {why}", shown(verb))))?;
                self.path(&from)?;
                self.path(&to)?;
                if verb == b"C " { Change::Copy { from, to } } else { Change::Rename { from, to } }
            }
            Some((b"N ", rest)) => {
                if rest.starts_with(b"inline ") {
                    self.data(&mut io::sink(), MAX_CONTENT, "note")?;
                }
                Change::Note
            }
            _ if line == b"deleteall" => Change::DeleteAll,
            _ if [&b"ls "[..], b"cat-blob ", b"get-mark "].iter().any(|w| line.starts_with(w)) => {
                return Err(self.fault(ASKS));
            }
            _ => {
                self.current = line;
                self.held = true;
                return Ok(None);
            }
        };
        Ok(Some(change))
    }

    fn modify(&mut self, rest: &[u8], sink: &mut dyn Write) -> Result<Change, Fault> {
        let mut parts = rest.splitn(3, |&b| b == b' ');
        let (Some(mode), Some(dataref), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(self.fault("M wants a mode, a content and a path"));
        };
        let mode = match mode {
            b"100644" | b"644" => Mode::File,
            b"100755" | b"755" => Mode::Executable,
            b"120000" => Mode::Symlink,
            b"160000" => Mode::Gitlink,
            b"040000" => {
                return Err(self.fault("M of a whole tree: its content is not in the stream"));
            }
            _ => return Err(self.fault(&format!("M has an unknown mode {}", shown(mode)))),
        };
        let path = text::last_path(path).map_err(|why| self.fault(&format!("M {why}")))?;
        self.path(&path)?;
        let content = if dataref == b"inline" {
            if mode == Mode::Gitlink {
                return Err(self.fault("M of a submodule cannot have its content inline"));
            }
            Content::Inline(self.data(sink, MAX_CONTENT, "content")?)
        } else if dataref.starts_with(b":") {
            let mark = text::mark(dataref);
            Content::Mark(mark.ok_or_else(|| self.fault("M has a mark that is not a number"))?)
        } else if dataref.len() >= 40 && dataref.iter().all(u8::is_ascii_hexdigit) {
            Content::Object(dataref.to_vec())
        } else {
            return Err(self.fault(&format!("M has an unknown content {}", shown(dataref))));
        };
        Ok(Change::Modify { mode, content, path })
    }

    fn feature(&mut self, text: &[u8]) -> Result<(), Fault> {
        let (name, value) = match text.iter().position(|&b| b == b'=') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &text[text.len()..]),
        };
        match (name, value) {
            (b"done", _) => self.wants_done = true,
            (b"date-format", b"raw" | b"raw-permissive") => self.dates = DateFormat::Raw,
            (b"date-format", b"rfc2822") => self.dates = DateFormat::Rfc2822,
            (
                b"force" | b"notes" | b"export-marks" | b"relative-marks" | b"no-relative-marks",
                _,
            )
            | (b"import-marks-if-exists" | b"cat-blob" | b"ls" | b"get-mark", _) => {}
            _ => return Err(self.fault(&format!("feature {} is not supported", shown(text)))),
        }
        Ok(())
    }

    fn person(&self, role: &str, text: &[u8]) -> Result<Person, Fault> {
        text::person(text, self.dates).map_err(|why| self.fault(&format!("{role} {why}")))
    }

    fn reference(&self, name: &[u8]) -> Result<Vec<u8>, Fault> {
        if name.is_empty() { Err(self.fault("a name is missing")) } else { Ok(name.to_vec()) }
    }

    fn path(&self, path: &[u8]) -> Result<(), Fault> {
        let problem = if path.is_empty() {
            "the path is empty"
        } else if !text::is_key_path(path) {
            "the path has an empty component"
        } else if path.len() > crate::kv::MAX_KEY_LEN {
            "the path is longer than a key may be (65536 bytes)"
        } else {
            return Ok(());
        };
        Err(self.fault(&format!("{problem}: {}", shown(path))))
    }

    fn mark(&mut self) -> Result<Option<u64>, Fault> {
        let Some(text) = self.optional(b"mark ")? else { return Ok(None) };
        match text::mark(&text) {
            Some(mark) => Ok(Some(mark)),
            None => Err(self.fault(&format!("{} is not a mark such as :17", shown(&text)))),
        }
    }

    /// What follows `word`, if the next line begins with it; else the line stays for the next reader.
    fn optional(&mut self, word: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if !self.command()? {
            return Ok(None);
        }
        let rest = self.current.strip_prefix(word).map(<[u8]>::to_vec);
        self.held = rest.is_none();
        Ok(rest)
    }

    /// Reads a `data` command; the bytes go to `sink`. Gives their number.
    fn data(&mut self, sink: &mut dyn Write, limit: u64, what: &str) -> Result<u64, Fault> {
        let header = self.optional(b"data ")?;
        let header = header.ok_or_else(|| self.fault(&format!("`data` is missing: no {what}")))?;
        let len = if let Some(delimiter) = header.strip_prefix(b"<<") {
            self.delimited(delimiter, sink, limit, what)?
        } else {
            let len = text::number(&header);
            let len = len.ok_or_else(|| self.fault("`data` wants a number of bytes"))?;
            if len > limit {
                return Err(self.over(what, limit));
            }
            self.counted(len, sink)?;
            len
        };
        if self.buffer()?.first() == Some(&b'\n') {
            self.consume(1, 1);
        }
        Ok(len)
    }

    fn counted(&mut self, len: u64, sink: &mut dyn Write) -> Result<(), Fault> {
        let mut left = len;
        while left > 0 {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                let why =
                    format!("`data` wants {len} bytes, and the stream ends {left} bytes short");
                return Err(self.fault(&why));
            }
            let take = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece = &buffer[..take];
            sink.write_all(piece).map_err(Fault::Sink)?;
            let feeds = piece.iter().filter(|&&b| b == b'\n').count();
            self.consume(take, feeds as u64);
            left -= take as u64;
        }
        Ok(())
    }

    /// Reads up to a line that is the delimiter, in pieces.
    fn delimited(
        &mut self,
        delimiter: &[u8],
        sink: &mut dyn Write,
        limit: u64,
        what: &str,
    ) -> Result<u64, Fault> {
        if delimiter.is_empty() {
            return Err(self.fault("`data <<` wants a delimiter"));
        }
        let (mut len, mut at_start) = (0, true);
        let mut piece = Vec::new();
        loop {
            piece.clear();
            self.piece(&mut piece)?;
            let whole = piece.last() == Some(&b'\n');
            if at_start && piece.strip_suffix(b"\n").unwrap_or(&piece) == delimiter {
                return Ok(len);
            }
            if piece.is_empty() {
                return Err(self.fault("the stream ends before the delimiter of `data <<`"));
            }
            len += piece.len() as u64;
            if len > limit {
                return Err(self.over(what, limit));
            }
            sink.write_all(&piece).map_err(Fault::Sink)?;
            at_start = whole;
        }
    }

    /// Reads the next command line into `current`, without comments. `false` at the end.
    fn command(&mut self) -> Result<bool, Fault> {
        if std::mem::take(&mut self.held) {
            return Ok(true);
        }
        loop {
            self.line = self.feeds + 1;
            let mut line = std::mem::take(&mut self.current);
            line.clear();
            self.piece(&mut line)?;
            let ended = line.is_empty();
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() >= MAX_LINE {
                return Err(self.fault("the line is over 1 MiB"));
            }
            let comment = line.first() == Some(&b'#');
            self.current = line;
            if ended || !comment {
                return Ok(!ended);
            }
        }
    }

    /// Reads up to and with the next line feed, but no more than [`MAX_LINE`] bytes.
    fn piece(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        while out.len() < MAX_LINE {
            let room = MAX_LINE - out.len();
            let buffer = self.buffer()?;
            let window = &buffer[..buffer.len().min(room)];
            let feed = window.iter().position(|&b| b == b'\n');
            let take = feed.map_or(window.len(), |at| at + 1);
            out.extend_from_slice(&window[..take]);
            self.consume(take, u64::from(feed.is_some()));
            if feed.is_some() || take == 0 {
                break;
            }
        }
        Ok(())
    }

    fn buffer(&mut self) -> Result<&[u8], Fault> {
        let line = self.feeds;
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Fault::Input { line, source }),
            }
        }
        // The buffer is full now: this gives the same bytes without reading again.
        self.input.fill_buf().map_err(|source| Fault::Input { line, source })
    }

    fn consume(&mut self, bytes: usize, feeds: u64) {
        self.input.consume(bytes);
        self.bytes += bytes as u64;
        self.feeds += feeds;
    }

    fn over(&self, what: &str, limit: u64) -> Fault {
        self.fault(&format!("the {what} is over the limit of {limit} bytes"))
    }

    /// A fault on the line that was last read.
    pub(super) fn fault(&self, reason: &str) -> Fault {
        Fault::Syntax { line: self.line, reason: reason.into() }
    }
}

const ASKS: &str = "the command asks for an answer, and an import gives none";

/// The beginning of a text, fit for a message.
pub(super) fn shown(text: &[u8]) -> String {
    let mut out: String =
        String::from_utf8_lossy(&text[..text.len().min(80)]).escape_debug().collect();
    if text.len() > 80 {
        out.push_str("...");
    }
    format!("`{out}`")
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

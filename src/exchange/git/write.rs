//! Writes `git fast-export` streams that [`super::stream`] and git read.

use std::io::{self, Write};

use super::text::{self, Person};

/// A stream being written. Marks are given by the caller, from 1.
pub(super) struct StreamWriter<W> {
    output: W,
    bytes: u64,
}

/// What a commit needs besides its changes.
pub(super) struct CommitParts<'a> {
    pub(super) reference: &'a str,
    pub(super) mark: u64,
    pub(super) author: &'a Person,
    pub(super) committer: &'a Person,
    pub(super) message: &'a [u8],
    pub(super) from: Option<u64>,
    pub(super) merges: &'a [u64],
}

impl<W: Write> StreamWriter<W> {
    /// Begins a stream that promises to end with `done`.
    pub(super) fn new(output: W) -> io::Result<Self> {
        let mut writer = Self { output, bytes: 0 };
        writer.text("feature done\n")?;
        Ok(writer)
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A content that changes can name by its mark.
    pub(super) fn blob(&mut self, mark: u64, content: &[u8]) -> io::Result<()> {
        self.text(&format!("blob\nmark :{mark}\n"))?;
        self.data(content)?;
        self.text("\n")
    }

    /// Makes `reference` name no commit, so that the next commit on it has no parent.
    pub(super) fn clear(&mut self, reference: &str) -> io::Result<()> {
        self.text(&format!("reset {reference}\n"))
    }

    /// Begins a commit; its changes follow, deletions first, then [`Self::end`].
    pub(super) fn commit(&mut self, parts: &CommitParts<'_>) -> io::Result<()> {
        self.text(&format!("commit {}\nmark :{}\n", parts.reference, parts.mark))?;
        self.person("author", parts.author)?;
        self.person("committer", parts.committer)?;
        self.data(parts.message)?;
        if parts.message.last().is_some_and(|&b| b != b'\n') {
            self.text("\n")?;
        }
        if let Some(from) = parts.from {
            self.text(&format!("from :{from}\n"))?;
        }
        parts.merges.iter().try_for_each(|other| self.text(&format!("merge :{other}\n")))
    }

    /// Sets a file of the commit to a content written before.
    pub(super) fn modify(&mut self, blob: u64, path: &[u8]) -> io::Result<()> {
        self.text(&format!("M 100644 :{blob} "))?;
        self.path_line(path)
    }

    /// Removes a file of the commit.
    pub(super) fn delete(&mut self, path: &[u8]) -> io::Result<()> {
        self.text("D ")?;
        self.path_line(path)
    }

    /// Ends a commit.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.text("\n")
    }

    /// Points a branch or a plain tag at a commit.
    pub(super) fn reset(&mut self, reference: &str, commit: u64) -> io::Result<()> {
        self.text(&format!("reset {reference}\nfrom :{commit}\n\n"))
    }

    /// An annotated tag.
    pub(super) fn tag(
        &mut self,
        name: &str,
        commit: u64,
        tagger: &Person,
        message: &[u8],
    ) -> io::Result<()> {
        self.text(&format!("tag {name}\nfrom :{commit}\n"))?;
        self.person("tagger", tagger)?;
        self.data(message)?;
        self.text("\n")
    }

    /// Ends the stream and hands everything on; gives the bytes written in all.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.text("done\n")?;
        self.output.flush()?;
        Ok(self.bytes)
    }

    fn person(&mut self, role: &str, person: &Person) -> io::Result<()> {
        self.text(role)?;
        self.text(" ")?;
        self.raw(&person.name)?;
        let mut date = Vec::with_capacity(24);
        text::write_date(&mut date, person.when)?;
        self.text(" ")?;
        self.raw(&date)?;
        self.text("\n")
    }

    fn path_line(&mut self, path: &[u8]) -> io::Result<()> {
        let mut line = Vec::with_capacity(path.len() + 1);
        text::write_path(&mut line, path)?;
        line.push(b'\n');
        self.raw(&line)
    }

    fn data(&mut self, content: &[u8]) -> io::Result<()> {
        self.text(&format!("data {}\n", content.len()))?;
        self.raw(content)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.raw(text.as_bytes())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.output.write_all(bytes)
    }
}

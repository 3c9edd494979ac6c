//! Words, keys and values of a line, in and out. Values stand as in scenario files: the rest of the
//! line, or in quotes; the escapes are those of the command line.

use crate::changes::Formats;
use crate::text::{Format, escape};

/// No value of a script is larger if it is made by repeating a text.
const MAX_REPEATED: usize = 16 << 20;

/// What is left of a line.
pub(super) struct Words<'t> {
    rest: &'t str,
    formats: Formats,
}

/// A word as it stands in the line, its quotes taken away.
struct Raw {
    text: String,
    is_quoted: bool,
}

impl<'t> Words<'t> {
    pub(super) fn new(line: &'t str, formats: Formats) -> Self {
        Self { rest: line.trim(), formats }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word, if it is bare.
    pub(super) fn peek(&self) -> Option<&'t str> {
        let (word, _) = self.rest.split_at(end_of_word(self.rest, true));
        (!word.is_empty() && !word.starts_with('"')).then_some(word)
    }

    /// Takes the next word if it is this one, without quotes.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.rest = self.rest[word.len()..].trim_start();
        }
        found
    }

    /// Takes `=`.
    pub(super) fn equals(&mut self) -> bool {
        let after = self.rest.strip_prefix('=');
        self.rest = after.map_or(self.rest, str::trim_start);
        after.is_some()
    }

    /// Takes a name, of a branch or savepoint or the like; `what` says of what for the error.
    pub(super) fn name(&mut self, what: &str) -> Result<String, String> {
        Ok(self.raw(what, true)?.text)
    }

    /// Takes a whole number.
    pub(super) fn number(&mut self, what: &str) -> Result<u64, String> {
        let word = self.name(what)?;
        word.parse().map_err(|_| format!("{what} is a whole number, not `{word}`"))
    }

    /// Takes a key, or the prefix of keys.
    pub(super) fn key(&mut self, what: &str) -> Result<Vec<u8>, String> {
        let raw = self.raw(what, true)?;
        decode(&raw, self.formats.key)
    }

    /// Takes a prefix of keys if there is one before the end or `=`; all keys otherwise.
    pub(super) fn prefix(&mut self) -> Result<Vec<u8>, String> {
        if self.rest.is_empty() || self.rest.starts_with('=') {
            return Ok(Vec::new());
        }
        self.key("a prefix")
    }

    /// Takes a value that is a word.
    pub(super) fn short_value(&mut self) -> Result<Vec<u8>, String> {
        let raw = self.raw("a value", false)?;
        decode(&raw, self.formats.value)
    }

    /// Takes the rest of the line as a value.
    pub(super) fn value(&mut self) -> Result<Vec<u8>, String> {
        let text = std::mem::take(&mut self.rest);
        if text.is_empty() {
            return Err("expected a value; an empty one is `\"\"`".into());
        }
        let Some(inner) = text.strip_prefix('"') else {
            return decode(&Raw { text: text.to_owned(), is_quoted: false }, self.formats.value);
        };
        let (text, rest) = quoted(inner)?;
        let bytes = decode(&Raw { text, is_quoted: true }, self.formats.value)?;
        let rest = rest.trim();
        if rest.is_empty() {
            return Ok(bytes);
        }
        let times = rest.strip_prefix('*').and_then(|times| times.trim().parse::<usize>().ok());
        let times = times.ok_or("expected the end, or `* NUMBER`, after the closing quote")?;
        match bytes.len().checked_mul(times) {
            Some(len) if len <= MAX_REPEATED => Ok(bytes.repeat(times)),
            _ => Err(format!("a repeated value has at most {MAX_REPEATED} bytes")),
        }
    }

    /// Takes the rest of the line as text for people.
    pub(super) fn text(&mut self) -> Result<String, String> {
        let formats = std::mem::replace(
            &mut self.formats,
            Formats { key: Format::Text, value: Format::Text },
        );
        let bytes = self.value();
        self.formats = formats;
        String::from_utf8(bytes?).map_err(|_| "the text is not UTF-8".into())
    }

    /// Demands that nothing is left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.rest {
            "" => Ok(()),
            rest => Err(format!("expected the end of the line, not `{rest}`")),
        }
    }

    fn raw(&mut self, what: &str, ends_at_equals: bool) -> Result<Raw, String> {
        if let Some(inner) = self.rest.strip_prefix('"') {
            let (text, rest) = quoted(inner)?;
            self.rest = rest.trim_start();
            return Ok(Raw { text, is_quoted: true });
        }
        let (word, rest) = self.rest.split_at(end_of_word(self.rest, ends_at_equals));
        if word.is_empty() {
            return Err(format!("expected {what}"));
        }
        self.rest = rest.trim_start();
        Ok(Raw { text: word.to_owned(), is_quoted: false })
    }
}

fn end_of_word(text: &str, ends_at_equals: bool) -> usize {
    let ends = |c: char| c.is_whitespace() || (ends_at_equals && c == '=');
    text.find(ends).unwrap_or(text.len())
}

/// What stands up to the closing quote, with the escapes as they are, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match chars.next() {
                // The only escape that there is in quotes alone.
                Some((_, '"')) => out.push('"'),
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("no closing quote".into())
}

fn decode(raw: &Raw, format: Format) -> Result<Vec<u8>, String> {
    let bytes = format.parse(raw.text.as_bytes())?;
    if bytes.is_empty() && !raw.is_quoted {
        return Err("expected something; what is empty is written `\"\"`".into());
    }
    Ok(bytes)
}

/// A key, or a value among others, as it would stand in a script.
pub(super) fn show_word(bytes: &[u8], format: Format) -> String {
    let shown = format.show(bytes);
    let ends = |c: char| c.is_whitespace() || c == '=';
    if shown.is_empty() || shown.starts_with('"') || shown.contains(ends) {
        in_quotes(&shown)
    } else {
        shown
    }
}

/// A value as it would stand in a script.
pub(super) fn show_value(bytes: &[u8], format: Format) -> String {
    let shown = format.show(bytes);
    if shown.is_empty() || shown.starts_with(['"', '=']) || shown.trim() != shown {
        in_quotes(&shown)
    } else {
        shown
    }
}

/// A name as it would stand in a script.
pub(super) fn show_name(name: &str) -> String {
    show_word(name.as_bytes(), Format::Text)
}

fn in_quotes(shown: &str) -> String {
    format!("\"{}\"", shown.replace('"', "\\\""))
}

/// A line of text, without what a terminal would not show.
pub(super) fn show_line(text: &str) -> String {
    escape(text.as_bytes()).replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words<'_> {
        Words::new(line, Formats { key: Format::Text, value: Format::Text })
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let all: Vec<u8> = (0..=255).collect();
        for format in [Format::Text, Format::Hex, Format::Base64] {
            for bytes in [&all[..], b"", b"pear", b"a b", b"\"", b"a=b", b"=", b"\\\"", b" ", b"#"]
            {
                let formats = Formats { key: format, value: format };
                let shown = format!("{} = x", show_word(bytes, format));
                let mut words = Words::new(&shown, formats);
                assert_eq!(words.key("a key"), Ok(bytes.to_vec()), "{shown}");
                assert!(words.equals(), "{shown}");
                let shown = show_value(bytes, format);
                assert_eq!(Words::new(&shown, formats).value(), Ok(bytes.to_vec()), "{shown}");
                let shown = show_word(bytes, format);
                let value = Words::new(&shown, formats).short_value();
                assert_eq!(value, Ok(bytes.to_vec()), "{shown}");
            }
        }
    }

    #[test]
    fn a_word_ends_at_a_space_or_an_equals_sign() {
        let mut words = words(r#"a=b "c d" e"#);
        assert_eq!(words.key("a key").as_deref(), Ok(&b"a"[..]));
        assert!(words.equals() && !words.equals(), "one is there");
        assert_eq!(words.peek(), Some("b"));
        assert!(!words.keyword("c") && words.keyword("b"), "a keyword is a whole word");
        assert_eq!(words.peek(), None, "a word in quotes is never a keyword");
        assert_eq!(words.name("a name").as_deref(), Ok("c d"));
        assert!(words.end().is_err(), "something is left");
        assert_eq!(words.text().as_deref(), Ok("e"));
        assert_eq!(words.end(), Ok(()));
        assert_eq!(words.key("a key"), Err("expected a key".into()));
    }

    #[test]
    fn a_value_is_the_rest_of_the_line_or_in_quotes() {
        let value = |line: &str| words(line).value();
        assert_eq!(value("green and ripe ").as_deref(), Ok(&b"green and ripe"[..]));
        assert_eq!(value(r#"{"a":1}"#).as_deref(), Ok(&br#"{"a":1}"#[..]));
        assert_eq!(value(r#"" a\"\\\n\x00""#).as_deref(), Ok(&b" a\"\\\n\0"[..]));
        assert_eq!(value(r#""ab" * 3"#).as_deref(), Ok(&b"ababab"[..]));
        for bad in ["", "\"a", "\"a\\", "\"a\" b", "\"a\" * 99999999", r"\q", "\"a\" * x"] {
            assert!(value(bad).is_err(), "{bad} is refused");
        }
    }
}

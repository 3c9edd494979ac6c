//! Bytes as text and back: escapes, hexadecimal, base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum;

/// How bytes are written in arguments and in output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text, with \n, \t, \r, \\ and \xNN for what is not printable
    #[default]
    Text,
    /// Hexadecimal digits
    Hex,
    /// Base64 with padding
    Base64,
}

impl Format {
    /// The bytes, as one line of text.
    pub(crate) fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::Text => escape(bytes),
            Self::Hex => hex(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }

    /// The bytes that a text stands for.
    pub(crate) fn parse(self, text: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Text => unescape(text),
            Self::Hex => from_hex(text),
            Self::Base64 => BASE64.decode(text).map_err(|e| format!("not base64: {e}")),
        }
    }
}

/// Text in which every byte can be seen; [`unescape`] reads it back.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\\' => out.push_str("\\\\"),
                c if is_hidden(c) => {
                    let mut buffer = [0; 4];
                    push_bytes(&mut out, c.encode_utf8(&mut buffer).as_bytes());
                }
                c => out.push(c),
            }
        }
        push_bytes(&mut out, chunk.invalid());
    }
    out
}

/// Characters that a terminal does not show, or that change how it shows others.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn push_bytes(out: &mut String, bytes: &[u8]) {
    for b in bytes {
        out.push_str("\\x");
        push_hex(out, *b);
    }
}

fn push_hex(out: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        out.push(char::from_digit(u32::from(digit), 16).expect("four bits are a digit"));
    }
}

/// The bytes behind [`escape`]d text.
pub(crate) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        let Some((&kind, after)) = rest.split_first() else {
            return Err("a backslash at the end; write \\\\ for a backslash".into());
        };
        rest = after;
        out.push(match kind {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'\\' => b'\\',
            b'x' => {
                let digits = rest.split_at_checked(2).and_then(|(pair, after)| {
                    rest = after;
                    hex_pair(pair)
                });
                digits.ok_or("\\x needs two hexadecimal digits")?
            }
            other => {
                let other = escape(&[other]);
                return Err(format!("unknown escape \\{other}; write \\\\ for a backslash"));
            }
        });
    }
    Ok(out)
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        push_hex(&mut out, *b);
    }
    out
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err("not hexadecimal: an odd number of digits".into());
    }
    let bytes: Option<Vec<u8>> = text.chunks_exact(2).map(hex_pair).collect();
    bytes.ok_or_else(|| "not hexadecimal: only 0-9 and a-f are allowed".into())
}

/// Bytes as base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes as text that can be shown line by line, if that is what they are.
pub(crate) fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |c: char| matches!(c, '\n' | '\t' | '\r') || !is_hidden(c);
    text.chars().all(plain).then_some(text)
}

/// The first line, cut to a width, for tables and summaries.
pub(crate) fn first_line(text: &str, width: usize) -> String {
    shorten(&escape(text.lines().next().unwrap_or_default().as_bytes()), width)
}

/// The text, cut to a width.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(3)).collect();
    cut.push_str("...");
    cut
}

/// A key for a sentence: escaped, and cut where it is long.
pub(crate) fn name_of(key: &[u8]) -> String {
    shorten(&escape(key), 80)
}

/// Whether a name matches a pattern of `*` (anything) and `?` (one character).
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star is, and what it has swallowed up to.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_show_every_byte_and_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(escape(&all).as_bytes()), Ok(all), "every byte survives");
        assert_eq!(escape(b"a\n\t\r\\\0\x7f\xff"), r"a\n\t\r\\\x00\x7f\xff");
        assert_eq!(escape("grün".as_bytes()), "grün", "printable text stays");
        assert_eq!(
            escape("\u{202e}".as_bytes()),
            r"\xe2\x80\xae",
            "text direction cannot be turned"
        );
    }

    #[test]
    fn unknown_escapes_are_refused() {
        for bad in [r"\", r"\q", r"\x", r"\x4", r"\xg0"] {
            assert!(unescape(bad.as_bytes()).is_err(), "{bad} is refused");
        }
    }

    #[test]
    fn hexadecimal_and_base64_read_back() {
        for format in [Format::Hex, Format::Base64] {
            let shown = format.show(b"\x00\xffpear");
            assert_eq!(format.parse(shown.as_bytes()).as_deref(), Ok(&b"\x00\xffpear"[..]));
        }
        assert!(from_hex(b"0").is_err(), "an odd number of digits is refused");
        assert!(from_hex(b"0g").is_err(), "other letters are refused");
    }

    #[test]
    fn text_is_what_can_be_shown_by_lines() {
        assert_eq!(as_text(b"a\tb\r\nc"), Some("a\tb\r\nc"));
        assert_eq!(as_text(b"a\0"), None, "a zero byte is not text");
        assert_eq!(as_text(b"\x1b[2J"), None, "a terminal command is not text");
        assert_eq!(as_text(b"\xff"), None, "invalid UTF-8 is not text");
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in
            [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*/*", "a/b"), ("a*b*", "acb")]
        {
            assert!(glob(pattern, name), "{pattern} matches {name}");
        }
        for (pattern, name) in [("", "a"), ("a?", "a"), ("a*c", "abd"), ("b", "abc")] {
            assert!(!glob(pattern, name), "{pattern} does not match {name}");
        }
    }

    #[test]
    fn a_summary_is_one_short_line() {
        assert_eq!(first_line("one\ntwo", 10), "one");
        assert_eq!(first_line("0123456789", 8), "01234...");
    }
}

//! Words and values of a scenario, in and out.

use crate::id::ValueHash;

/// No value of a scenario is larger.
const MAX_VALUE: usize = 16 << 20;
/// Longer values are cut short in reports.
const SHOWN: usize = 2_000;

/// The next word, bare or in quotes, and what follows it.
pub(super) fn word(text: &str) -> Result<(Vec<u8>, &str), String> {
    if let Some(rest) = text.strip_prefix('"') {
        let (bytes, rest) = quoted(rest)?;
        return Ok((bytes, rest.trim_start()));
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("expected a word".into()),
        (bare, rest) => Ok((bare.as_bytes().to_vec(), rest.trim_start())),
    }
}

/// A value on a line: all of it as it stands, or in quotes, repeated or not.
pub(super) fn value(text: &str) -> Result<Vec<u8>, String> {
    let Some(rest) = text.strip_prefix('"') else { return Ok(text.as_bytes().to_vec()) };
    let (bytes, rest) = quoted(rest)?;
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(bytes);
    }
    let times = rest.strip_prefix('*').and_then(|times| times.trim().parse::<usize>().ok());
    let times = times.ok_or("expected the end, or `* NUMBER`, after the closing quote")?;
    match bytes.len().checked_mul(times) {
        Some(len) if len <= MAX_VALUE => Ok(bytes.repeat(times)),
        _ => Err(format!("a value of a scenario has at most {MAX_VALUE} bytes")),
    }
}

/// What stands up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut out = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push(b'\n'),
                Some('r') => out.push(b'\r'),
                Some('t') => out.push(b'\t'),
                Some(same @ ('\\' | '"')) => out.extend(same.to_string().bytes()),
                Some('x') => {
                    let mut digit = || chars.next().and_then(|(_, c)| c.to_digit(16));
                    let (high, low) = (digit(), digit());
                    let byte = high.zip(low).and_then(|(h, l)| u8::try_from(h * 16 + l).ok());
                    out.push(byte.ok_or("expected two hexadecimal digits after `\\x`")?);
                }
                _ => return Err("expected one of n r t \\ \" x after `\\`".into()),
            },
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("no closing quote".into())
}

/// A key as it would stand in a scenario.
pub(super) fn show_word(bytes: &[u8]) -> String {
    let bare = |c: char| !c.is_whitespace() && !c.is_control() && !"\"=#[|,".contains(c);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(bare) && !hidden(text) => text.to_owned(),
        _ => in_quotes(bytes),
    }
}

/// A value in a report.
pub(super) enum Shown {
    Line(String),
    /// Text of several lines.
    Lines(Vec<String>),
}

pub(super) fn show(value: &[u8]) -> Shown {
    if value.len() > SHOWN {
        let hash = ValueHash::of(value).to_string();
        let start = value.get(..24).unwrap_or(value);
        let hash = hash.get(..16).unwrap_or(&hash);
        return Shown::Line(format!("{}... ({} bytes, {hash})", in_quotes(start), value.len()));
    }
    let plain = |line: &&str| !line.chars().any(char::is_control) && line.trim_end() == *line;
    match std::str::from_utf8(value) {
        Ok(text) if text.contains('\n') && text.split('\n').all(|l| plain(&l)) && !hidden(text) => {
            let lines = text.split_inclusive('\n');
            Shown::Lines(
                lines
                    .map(|line| match line.strip_suffix('\n') {
                        Some("") => "|".to_owned(),
                        Some(line) => format!("| {line}"),
                        None => format!("|~ {line}"),
                    })
                    .collect(),
            )
        }
        Ok(text) if !text.is_empty() && plain(&text) && !hidden(text) && stands(text) => {
            Shown::Line(text.to_owned())
        }
        _ => Shown::Line(in_quotes(value)),
    }
}

/// Whether a value can stand in a file as it is.
fn stands(text: &str) -> bool {
    text.trim() == text && !text.starts_with(['"', '|'])
}

fn in_quotes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() || hidden(c.encode_utf8(&mut [0; 4])) => {
                    in_hex(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut out);
                }
                c => out.push(c),
            }
        }
        in_hex(chunk.invalid(), &mut out);
    }
    out.push('"');
    out
}

fn in_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        out.push_str(&format!("\\x{byte:02x}"));
    }
}

/// Whether there is something in it that cannot be seen.
fn hidden(text: &str) -> bool {
    let seen = |c: char| c == '\n' || !c.escape_debug().to_string().starts_with("\\u");
    !text.chars().all(seen)
}

#[cfg(test)]
mod tests {
    use super::{Shown, ValueHash, show, show_word, value, word};

    #[test]
    fn what_is_shown_can_be_read_again() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all[..], b"", b"pear", b"a b", b"\"", b"a=b", "\u{200b}é".as_bytes(), b"|"]
        {
            assert_eq!(word(&show_word(bytes)), Ok((bytes.to_vec(), "")), "{bytes:?}");
            let Shown::Line(shown) = show(bytes) else { panic!("{bytes:?}: it is one line") };
            assert_eq!(value(&shown), Ok(bytes.to_vec()), "{bytes:?}");
        }
    }

    #[test]
    fn text_of_several_lines_is_shown_by_lines() {
        let lines = |bytes: &[u8]| match show(bytes) {
            Shown::Lines(lines) => lines.join("/"),
            Shown::Line(line) => line,
        };
        assert_eq!(lines(b"a\n\nb"), "| a/|/|~ b");
        assert_eq!(lines(b"a \nb\n"), r#""a \nb\n""#, "an end that cannot be seen");
        assert_eq!(lines(b"a\r\n"), r#""a\r\n""#);
        let large = b"ab".repeat(5_000);
        let hash = ValueHash::of(&large).to_string();
        let want = format!("\"{}\"... (10000 bytes, {})", "ab".repeat(12), &hash[..16]);
        assert_eq!(lines(&large), want, "long ones are cut short");
    }

    #[test]
    fn faults_are_told() {
        assert_eq!(value("\"a"), Err("no closing quote".into()));
        assert!(value("\"a\\q\"").is_err(), "no such escape");
        assert!(value("\"a\\x4\"").is_err(), "half a byte");
        assert!(value("\"a\" b").is_err(), "something behind");
        assert!(value("\"a\" * 999999999999").is_err(), "too large");
        assert!(value("\"\" * 99999999999999999999999").is_err(), "not a number");
        assert_eq!(value("\"ab\" * 3"), Ok(b"ababab".to_vec()));
        assert_eq!(word("").map(|(word, _)| word), Err("expected a word".into()));
    }
}

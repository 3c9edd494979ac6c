//! The small grammars inside a stream's lines: paths, people, dates, marks.

use std::io::{self, Write};

use chrono::DateTime;

use crate::clock::ZonedTime;

/// How the stream writes its dates (`feature date-format=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateFormat {
    /// Seconds since 1970 and an offset: `1479340800 +0100`.
    Raw,
    /// As in mail: `Thu, 17 Nov 2016 00:00:00 +0000`.
    Rfc2822,
}

/// Who and when: `Name <mail>`, as bytes, and a time with zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: Vec<u8>,
    pub(super) when: ZonedTime,
}

/// Reads `Name <mail> DATE`; the name may be empty.
pub(super) fn person(text: &[u8], dates: DateFormat) -> Result<Person, &'static str> {
    let angle = |from: usize| {
        let at = text[from..].iter().position(|b| matches!(b, b'<' | b'>'));
        at.map(|at| from + at)
    };
    let open = angle(0).filter(|&at| text[at] == b'<').ok_or("wants a `<mail>` after the name")?;
    if open > 0 && text[open - 1] != b' ' {
        return Err("wants a space before the `<`");
    }
    let close =
        angle(open + 1).filter(|&at| text[at] == b'>').ok_or("wants a `>` after the mail")?;
    let date = text[close + 1..].strip_prefix(b" ").ok_or("wants a date after the `>`")?;
    let date = std::str::from_utf8(date).map_err(|_| "wants a date after the `>`")?;
    let when = match dates {
        DateFormat::Raw => raw_date(date),
        DateFormat::Rfc2822 => mail_date(date),
    };
    let when = when.ok_or("wants a date such as `1479340800 +0100`")?;
    Ok(Person { name: text[..=close].to_vec(), when })
}

fn raw_date(text: &str) -> Option<ZonedTime> {
    let (seconds, zone) = text.split_once(' ')?;
    let (sign, digits) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    if digits.is_empty() || digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    // A zone that no clock has (old tools wrote them) is kept if it fits, else taken for UTC.
    let offset_minutes = i16::try_from(sign * (number / 100 * 60 + number % 100)).unwrap_or(0);
    Some(ZonedTime { seconds: seconds.parse().ok()?, offset_minutes })
}

fn mail_date(text: &str) -> Option<ZonedTime> {
    let time = DateTime::parse_from_rfc2822(text).ok()?;
    let minutes = time.offset().local_minus_utc() / 60;
    Some(ZonedTime { seconds: time.timestamp(), offset_minutes: i16::try_from(minutes).ok()? })
}

/// Writes a date the way [`person`] reads it. A zone beyond 14 hours becomes UTC, as git refuses it.
pub(super) fn write_date(out: &mut dyn Write, when: ZonedTime) -> io::Result<()> {
    let minutes = when.offset_minutes;
    let (sign, size) = if minutes < 0 { ('-', -i32::from(minutes)) } else { ('+', minutes.into()) };
    let zone = if size > 14 * 60 { 0 } else { size / 60 * 100 + size % 60 };
    write!(out, "{} {sign}{zone:04}", when.seconds)
}

/// Reads `:17`.
pub(super) fn mark(text: &[u8]) -> Option<u64> {
    number(text.strip_prefix(b":")?).filter(|&n| n > 0)
}

/// Reads decimal digits and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0_u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
}

/// Reads the path that ends the line: in quotes, or as it stands.
pub(super) fn last_path(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (path, rest) = match text.first() {
        Some(b'"') => unquote(text)?,
        _ => (text.to_vec(), &text[text.len()..]),
    };
    if rest.is_empty() { Ok(path) } else { Err("has text after the closing quote of the path") }
}

/// Reads two paths: the first in quotes or up to the first space, the second to the end.
pub(super) fn two_paths(text: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let (from, rest) = if text.first() == Some(&b'"') {
        unquote(text)?
    } else {
        let space = text.iter().position(|&b| b == b' ').ok_or("wants two paths")?;
        (text[..space].to_vec(), &text[space..])
    };
    let rest = rest.strip_prefix(b" ").ok_or("wants a space between the paths")?;
    Ok((from, last_path(rest)?))
}

/// Whether every component of the path has a name.
pub(super) fn is_key_path(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').all(|part| !part.is_empty())
}

/// Reads a C-style string in double quotes and gives what follows it.
fn unquote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    const OPEN: &str = "has a path without a closing quote";
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.strip_prefix(b"\"").ok_or(OPEN)?;
    loop {
        let (&byte, after) = rest.split_first().ok_or(OPEN)?;
        rest = after;
        match byte {
            b'"' => return Ok((out, rest)),
            b'\\' => {
                let (&escape, after) = rest.split_first().ok_or(OPEN)?;
                rest = after;
                out.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    b'\\' | b'"' => escape,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2).ok_or(OPEN)?;
                        if !digits.iter().all(|b| matches!(b, b'0'..=b'7')) {
                            return Err("has an octal escape that is not three digits");
                        }
                        rest = after;
                        (escape - b'0') * 64 + (digits[0] - b'0') * 8 + (digits[1] - b'0')
                    }
                    _ => return Err("has an unknown escape in a path"),
                });
            }
            _ => out.push(byte),
        }
    }
}

/// Writes a path so that [`last_path`] reads the same bytes: quoted only where it must be.
pub(super) fn write_path(out: &mut dyn Write, path: &[u8]) -> io::Result<()> {
    let special = |b: &u8| matches!(b, 0..=0x1f | 0x7f | b'"' | b'\\');
    if !path.iter().any(special) && std::str::from_utf8(path).is_ok() {
        return out.write_all(path);
    }
    out.write_all(b"\"")?;
    for &byte in path {
        match byte {
            b'"' | b'\\' => out.write_all(&[b'\\', byte])?,
            b'\n' => out.write_all(b"\\n")?,
            b'\t' => out.write_all(b"\\t")?,
            b' '..=b'~' => out.write_all(&[byte])?,
            _ => write!(out, "\\{byte:03o}")?,
        }
    }
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_reads_back_as_it_was_written() {
        let all: Vec<u8> = (0..=255).collect();
        let paths: [&[u8]; 8] = [
            b"a/b",
            b"a b",
            b"\"q\"",
            b"back\\slash",
            b"tab\tnl\n",
            "\u{e4}/\u{1f350}".as_bytes(),
            b"\xff\xfe",
            &all,
        ];
        for path in paths {
            let mut line = Vec::new();
            write_path(&mut line, path).expect("a vector takes all");
            assert!(!line.contains(&b'\n'), "a path stays on its line");
            assert_eq!(last_path(&line).as_deref(), Ok(path), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn two_paths_are_told_apart() {
        let read = |text: &str| two_paths(text.as_bytes());
        assert_eq!(read("a b c"), Ok((b"a".to_vec(), b"b c".to_vec())), "the second keeps spaces");
        assert_eq!(read("\"a b\" \"c\\303\\244\""), Ok((b"a b".to_vec(), "cä".into())), "quoted");
        for bad in ["a", "\"a b\"c", "\"a", "\"a\" \"b\"x", "\"\\9\" b", "\"\\40\" b", "\"\\8"] {
            assert!(read(bad).is_err(), "{bad} is refused");
        }
    }

    #[test]
    fn people_and_dates_are_read_as_git_writes_them() {
        let read = |text: &str| person(text.as_bytes(), DateFormat::Raw);
        let got = read("A U Thor <a@example.org> 1479340800 -0530").expect("a person");
        assert_eq!(got.name, b"A U Thor <a@example.org>");
        assert_eq!(got.when, ZonedTime { seconds: 1_479_340_800, offset_minutes: -330 });
        assert_eq!(read("<> 0 +0000").expect("no name").name, b"<>");
        for bad in [
            "A 0 +0000",
            "A <b 0 +0000",
            "A <b>0 +0000",
            "A<b> 0 +0000",
            "A <b> 0",
            "A <b> x +0000",
            "A <b> 0 0000",
            "A <b> 0 +",
            "A <b> 0 +00000000",
            "A <b<c> 0 +0000",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad} is refused");
        }
        let mail = person(b"A <b> Thu, 17 Nov 2016 01:00:00 +0100", DateFormat::Rfc2822);
        assert_eq!(
            mail.expect("a date").when,
            ZonedTime { seconds: 1_479_340_800, offset_minutes: 60 }
        );
    }

    #[test]
    fn dates_are_written_as_they_were_read() {
        for text in ["0 +0000", "1479340800 -0530", "-5 +1400", "7 -0001"] {
            let mut out = Vec::new();
            write_date(&mut out, raw_date(text).expect("a date")).expect("a vector takes all");
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn marks_are_positive_numbers() {
        assert_eq!(mark(b":17"), Some(17));
        for bad in ["17", ":", ":0", ":-1", ":+1", ":1x", ":99999999999999999999"] {
            assert_eq!(mark(bad.as_bytes()), None, "{bad} is refused");
        }
    }
}

//! Hostile bytes into the parsers of imports, which take them without a store; for tests and fuzzers.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

use super::csv::CsvOptions;
use super::meter::Metered;
use super::{Encoding, csv, git, jsonl};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every function, by the name of its target.
pub const TARGETS: [(&str, Target); 4] =
    [("jsonl", jsonl), ("csv", csv), ("git", git), ("encodings", encodings)];

fn metered(bytes: &[u8]) -> Metered<&[u8]> {
    Metered::new(bytes, Rc::new(Cell::new(0)))
}

/// JSON Lines, up to the first fault.
pub fn jsonl(bytes: &[u8]) {
    jsonl::rows(metered(bytes)).all(|row| row.is_ok());
}

/// CSV and TSV, up to the first fault.
pub fn csv(bytes: &[u8]) {
    for shape in [CsvOptions::default(), CsvOptions::tsv()] {
        if let Ok(mut rows) = csv::rows(metered(bytes), &shape) {
            rows.all(|row| row.is_ok());
        }
    }
}

/// Streams of `git fast-export`, up to the first fault.
pub fn git(bytes: &[u8]) {
    git::read_all(bytes);
}

/// Encodings of keys and values: what is written is read back, and what is read is bytes.
pub fn encodings(bytes: &[u8]) {
    let mut all = std::io::sink();
    for encoding in [Encoding::Text, Encoding::Hex, Encoding::Base64] {
        if let Ok(decoded) = encoding.decode(bytes) {
            let _ = all.write_all(&decoded);
        }
        let encoded = encoding.encode(bytes);
        let back = encoding.decode(&encoded).expect("what was encoded is decoded");
        assert_eq!(back, bytes, "what is written is read back");
    }
}

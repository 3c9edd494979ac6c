//! Records encoded with bincode behind a version byte; this file alone names bincode's functions.

use bincode::{Decode, Encode, config};

use super::Corrupt;

/// Version of every record that starts with one.
const VERSION: u8 = 1;
/// No stored record comes near this size; a longer length in one is a fault, not an allocation.
const LIMIT: usize = 256 << 20;

const CONFIG: config::Configuration<config::LittleEndian, config::Varint, config::Limit<LIMIT>> =
    config::standard().with_limit::<LIMIT>();

/// A type that can be read from a record.
pub(crate) trait Stored: Decode<()> {}
impl<T: Decode<()>> Stored for T {}

/// Appends the encoding of a value, without a version.
pub(crate) fn append(value: &impl Encode, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, CONFIG)
        .expect("a record is in memory and within the limit, and a Vec takes all bytes");
}

/// The encoding of a record, version first.
pub(crate) fn encode(value: &impl Encode) -> Vec<u8> {
    let mut out = vec![VERSION];
    append(value, &mut out);
    out
}

/// Takes the version off a record.
pub(crate) fn strip_version<'a>(
    record: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8], Corrupt> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        _ => Err(Corrupt { record, at: 0, want: "known version" }),
    }
}

/// Reads one value off the front of `bytes`; also says how many bytes it took.
pub(crate) fn read<T: Stored>(record: &'static str, bytes: &[u8]) -> Result<(T, usize), Corrupt> {
    bincode::decode_from_slice(bytes, CONFIG).map_err(|_| Corrupt {
        record,
        at: 0,
        want: "complete record",
    })
}

/// Reads a whole record, version first; nothing may follow it.
pub(crate) fn decode<T: Stored>(record: &'static str, bytes: &[u8]) -> Result<T, Corrupt> {
    let body = strip_version(record, bytes)?;
    let (value, used) = read(record, body)?;
    if used == body.len() { Ok(value) } else { Err(Corrupt { record, at: used + 1, want: "end" }) }
}

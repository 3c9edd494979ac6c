//! Records encoded with bincode behind a version byte; this file alone names bincode's functions.

use bincode::{Decode, Encode, config};

use super::Corrupt;

/// Version of every record that starts with one.
const VERSION: u8 = 1;
type Config<const LIMIT: usize> =
    config::Configuration<config::LittleEndian, config::Varint, config::Limit<LIMIT>>;

/// What is read may take this much memory. A longer length in a record is a fault, not an allocation.
const fn within<const LIMIT: usize>() -> Config<LIMIT> {
    config::standard().with_limit::<LIMIT>()
}

/// A type that can be read from a record, and written to one.
pub(crate) trait Stored: Decode<()> + Encode {}
impl<T: Decode<()> + Encode> Stored for T {}

/// Appends the encoding of a value, without a version.
pub(crate) fn append(value: &impl Encode, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, config::standard()).expect("a Vec takes all bytes");
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
    // In memory no stored value takes 64 times the bytes that it is read from, small ones aside.
    let read = match bytes.len() {
        0..=0x1000 => bincode::decode_from_slice(bytes, within::<{ 256 << 10 }>()),
        0x1001..=0x1_0000 => bincode::decode_from_slice(bytes, within::<{ 4 << 20 }>()),
        0x1_0001..=0x10_0000 => bincode::decode_from_slice(bytes, within::<{ 64 << 20 }>()),
        _ => bincode::decode_from_slice(bytes, within::<{ 256 << 20 }>()),
    };
    read.map_err(|_| Corrupt { record, at: 0, want: "complete record" })
}

/// Reads a whole record, version first; nothing may follow it.
pub(crate) fn decode<T: Stored>(record: &'static str, bytes: &[u8]) -> Result<T, Corrupt> {
    let body = strip_version(record, bytes)?;
    let (value, used) = read(record, body)?;
    if used == body.len() { Ok(value) } else { Err(Corrupt { record, at: used + 1, want: "end" }) }
}

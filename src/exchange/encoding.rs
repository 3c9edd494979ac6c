//! Bytes as text, for formats that hold only text.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How bytes are written where a format wants text.
///
/// # Examples
/// ```
/// use withy::exchange::Encoding;
/// assert_eq!(*Encoding::Hex.encode(b"\xff\x00"), *b"ff00");
/// assert_eq!(Encoding::Base64.decode(b"/wA="), Ok(b"\xff\x00".to_vec()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    #[default]
    Text,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// The text is not in the encoding it should be in.
///
/// # Examples
/// ```
/// use withy::exchange::Encoding;
/// let error = Encoding::Hex.decode(b"f").unwrap_err();
/// assert_eq!(error.to_string(), "not hexadecimal digits in pairs");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct DecodeError(&'static str);

impl Encoding {
    /// The bytes in this encoding.
    #[must_use]
    pub fn encode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        match self {
            Self::Text => Cow::Borrowed(bytes),
            Self::Hex => {
                let digits = bytes.iter().flat_map(|b| [b >> 4, b & 15]);
                Cow::Owned(digits.map(|d| DIGITS[usize::from(d)]).collect())
            }
            Self::Base64 => Cow::Owned(STANDARD.encode(bytes).into_bytes()),
        }
    }

    /// The bytes that this text stands for.
    ///
    /// # Errors
    /// [`DecodeError`] if the text breaks the rules of the encoding.
    pub fn decode(self, text: &[u8]) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Text => Ok(text.to_vec()),
            Self::Hex => unhex(text).ok_or(DecodeError("hexadecimal digits in pairs")),
            Self::Base64 => STANDARD.decode(text).map_err(|_| DecodeError("base64 with padding")),
        }
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| u8::try_from((b as char).to_digit(16)?).ok();
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_every_encoding() {
        let all: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Text, Encoding::Hex, Encoding::Base64] {
            for bytes in [&all[..], &all[..1], b""] {
                let text = encoding.encode(bytes);
                assert_eq!(encoding.decode(&text).as_deref(), Ok(bytes), "{encoding:?}");
            }
        }
        for bad in ["0", "0g", "\u{e4}"] {
            assert!(Encoding::Hex.decode(bad.as_bytes()).is_err(), "{bad} is refused");
        }
        assert!(Encoding::Base64.decode(b"/wA").is_err(), "padding is wanted");
    }
}

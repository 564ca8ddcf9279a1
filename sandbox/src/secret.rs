//! Random values, digests and comparisons.

use aws_lc_rs::{constant_time, digest, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// A fresh unguessable value with a prefix that tells what it is.
///
/// Should the system have no randomness the value is empty of it; then nothing can be verified
/// against it either, because an empty value is refused everywhere.
pub(crate) fn token(prefix: &str) -> String {
    let mut bytes = [0_u8; 24];
    if rand::fill(&mut bytes).is_err() {
        return String::new();
    }
    format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Letters that are not mistaken for one another and spell no word.
const USER_CODE_LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A code that a person types, such as `BCDF-GHJK`.
pub(crate) fn user_code() -> String {
    let mut bytes = [0_u8; 8];
    if rand::fill(&mut bytes).is_err() {
        return String::new();
    }
    let mut code = String::with_capacity(9);
    for (place, byte) in bytes.iter().enumerate() {
        if place == 4 {
            code.push('-');
        }
        let letter =
            USER_CODE_LETTERS.get(usize::from(*byte) % USER_CODE_LETTERS.len()).copied().unwrap_or(b'B');
        code.push(char::from(letter));
    }
    code
}

/// The SHA-256 of a value, in hexadecimal: how tokens are kept and how [`crate::Counters`] names them.
pub fn digest(value: &str) -> String {
    hex(digest::digest(&digest::SHA256, value.as_bytes()).as_ref())
}

/// The PKCE challenge of a verifier (RFC 7636, S256).
pub(crate) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// Compares without telling by the time taken where two values differ. Empty values never match.
pub(crate) fn same(left: &str, right: &str) -> bool {
    !left.is_empty() && constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

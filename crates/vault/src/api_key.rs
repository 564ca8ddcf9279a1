//! Keys of Jackfield's own API.
//!
//! A key is its kind's prefix, 32 random letters of base62 (190 bits), and 6 letters of base62 that hold the
//! CRC-32 (ISO-HDLC, as in zlib; RFC 1952 §8) of everything before them:
//!
//! ```text
//! jfp_ 0aZ…32 letters… 1xY2z3
//! ```
//!
//! The checksum tells a mistyped or shortened key from a revoked one without a look into the store, and lets
//! scanners for leaked secrets recognise a key. It adds no secrecy.
//!
//! The store keeps the digest only. A plain SHA-256 is enough for it: 190 random bits cannot be guessed,
//! so there is nothing for a slow hash to slow down.

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{random, token};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: usize = 4;
const BODY: usize = 32;
const CHECKSUM: usize = 6;

/// Length of each key: 42 ASCII letters.
pub const LENGTH: usize = PREFIX + BODY + CHECKSUM;

/// Whom a key acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `jfp_…`: a member.
    Personal,
    /// `jfa_…`: an application in one environment.
    Application,
}

impl KeyKind {
    /// `jfp_` or `jfa_`.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "jfp_",
            Self::Application => "jfa_",
        }
    }
}

/// What a well-formed key says about itself. Whether it is known, and not revoked, only the store can tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParsedKey {
    /// Read from the prefix.
    pub kind: KeyKind,
    /// SHA-256 of the whole key; what the store keeps and looks for.
    pub digest: [u8; 32],
}

impl std::fmt::Debug for ParsedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the digest: a log that holds it could be matched against keys.
        f.debug_struct("ParsedKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why a text is no key. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKey {
    /// Neither `jfp_` nor `jfa_` stands at its beginning.
    #[error("an API key begins with jfp_ or jfa_")]
    Prefix,
    /// Letters are missing or left over.
    #[error("an API key has {LENGTH} characters; it was cut off, or something was added")]
    Length,
    /// There is something other than digits and ASCII letters after the prefix.
    #[error("an API key holds letters and digits only")]
    Alphabet,
    /// A letter was changed.
    #[error("the checksum of the API key is wrong; it was mistyped")]
    Checksum,
}

/// Makes a new key. Show it once, store its digest only.
pub fn generate(kind: KeyKind) -> SecretString {
    let body = random::letters(ALPHABET, BODY);
    let mut key = Zeroizing::new(String::with_capacity(LENGTH));
    key.push_str(kind.prefix());
    key.push_str(&body);
    let checksum = checksum(key.as_bytes());
    key.extend(checksum.map(char::from));
    SecretString::from(std::mem::take(&mut *key))
}

/// Reads a key as it was given, without trimming. Costs well below a microsecond for whatever length, so that
/// it can stand before each call.
pub fn parse(text: &str) -> Result<ParsedKey, MalformedKey> {
    let kind = [KeyKind::Personal, KeyKind::Application]
        .into_iter()
        .find(|kind| text.starts_with(kind.prefix()))
        .ok_or(MalformedKey::Prefix)?;
    if text.len() != LENGTH {
        return Err(MalformedKey::Length);
    }
    let bytes = text.as_bytes();
    if !bytes[PREFIX..].iter().all(u8::is_ascii_alphanumeric) {
        return Err(MalformedKey::Alphabet);
    }
    let (signed, given) = bytes.split_at(PREFIX + BODY);
    if checksum(signed) != given {
        return Err(MalformedKey::Checksum);
    }
    Ok(ParsedKey { kind, digest: token::digest(bytes) })
}

fn checksum(data: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32(data) as usize;
    let mut letters = [ALPHABET[0]; CHECKSUM];
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    letters
}

/// The reflected CRC-32 with polynomial 0x04C11DB7; here, since 15 lines are no reason for a dependency.
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            #[allow(clippy::cast_possible_truncation)] // below 256
            let mut entry = index as u32;
            let mut bit = 0;
            while bit < 8 {
                entry = if entry & 1 == 1 { 0xedb8_8320 ^ (entry >> 1) } else { entry >> 1 };
                bit += 1;
            }
            table[index] = entry;
            index += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc: u32, byte| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn crc_is_the_one_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926); // the check value of CRC-32/ISO-HDLC
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_key_of_yesterday_reads_today() {
        let key = "jfp_0123456789ABCDEFGHIJKLMNOPQRSTUV0rZmlI";
        let parsed = parse(key).unwrap();
        assert_eq!(parsed.kind, KeyKind::Personal);
        assert_eq!(parsed.digest, token::digest(key.as_bytes()));
    }

    #[test]
    fn what_is_generated_parses() {
        for kind in [KeyKind::Personal, KeyKind::Application] {
            let (key, other) = (generate(kind), generate(kind));
            let parsed = parse(key.expose_secret()).unwrap();
            assert_eq!(parsed.kind, kind);
            assert_eq!(key.expose_secret().len(), LENGTH);
            assert_ne!(parsed.digest, parse(other.expose_secret()).unwrap().digest);
        }
    }

    #[test]
    fn each_kind_of_mistake_is_told() {
        let key = generate(KeyKind::Application);
        let key = key.expose_secret();
        assert_eq!(parse(""), Err(MalformedKey::Prefix));
        assert_eq!(parse(&key[1..]), Err(MalformedKey::Prefix));
        assert_eq!(parse(&format!(" {key}")), Err(MalformedKey::Prefix));
        assert_eq!(parse("jfa_"), Err(MalformedKey::Length));
        assert_eq!(parse(&key[..LENGTH - 1]), Err(MalformedKey::Length));
        assert_eq!(parse(&format!("{key}0")), Err(MalformedKey::Length));
        assert_eq!(parse(&format!("{}-", &key[..LENGTH - 1])), Err(MalformedKey::Alphabet));
        // An umlaut takes two bytes, and must not be cut through.
        assert_eq!(parse(&format!("{}ä", &key[..LENGTH - 2])), Err(MalformedKey::Alphabet));
        assert_eq!(parse(&format!("jfp_{}", &key[4..])), Err(MalformedKey::Checksum));
    }

    #[test]
    fn each_changed_letter_and_each_swap_is_told() {
        let key = generate(KeyKind::Personal);
        let key = key.expose_secret().as_bytes();
        for place in PREFIX..LENGTH {
            let mut altered = key.to_vec();
            altered[place] = if altered[place] == b'x' { b'y' } else { b'x' };
            assert_eq!(parse(std::str::from_utf8(&altered).unwrap()), Err(MalformedKey::Checksum));
        }
        for place in PREFIX..LENGTH - 1 {
            let mut altered = key.to_vec();
            altered.swap(place, place + 1);
            let same = altered == key;
            assert_eq!(parse(std::str::from_utf8(&altered).unwrap()).is_ok(), same);
        }
    }

    #[test]
    fn neither_errors_nor_debug_show_the_key() {
        let key = generate(KeyKind::Personal);
        let text = key.expose_secret();
        let error = parse(&text[..LENGTH - 1]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&text[4..10]));
        assert_eq!(format!("{:?}", parse(text).unwrap()), "ParsedKey { kind: Personal, .. }");
    }
}

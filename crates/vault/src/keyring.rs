//! The sealing keys of an installation.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};
use secrecy::{ExposeSecret as _, ExposeSecretMut as _, SecretBox, SecretString};
use zeroize::Zeroizing;

use crate::{random, token};

const SCHEME: &str = "jfk1";
const KEY: usize = 32;

/// Names a key without telling it: the first 32 bits of a SHA-256 of the key, written as 8 lower-case hex
/// digits.
///
/// A different key has a different id (but for one chance in four thousand million), so that a foreign key is
/// recognised as such and a mistyped one as mistyped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Reads the 8 hex digits that [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    fn of(key: &[u8; KEY]) -> Self {
        // The label keeps this digest apart from every other use of SHA-256 on a key.
        let mut labelled = Zeroizing::new([0; 16 + KEY]);
        labelled[..16].copy_from_slice(b"jackfield key id");
        labelled[16..].copy_from_slice(key);
        let [a, b, c, d, ..] = token::digest(labelled.as_slice());
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// One key. On the heap, in one place, and wiped with its last owner.
pub(crate) struct Key {
    id: KeyId,
    bytes: SecretBox<[u8; KEY]>,
}

impl Key {
    fn new(bytes: SecretBox<[u8; KEY]>) -> Self {
        Self { id: KeyId::of(bytes.expose_secret()), bytes }
    }

    fn generate() -> Self {
        Self::new(SecretBox::init_with_mut(|bytes: &mut [u8; KEY]| random::fill(bytes)))
    }

    /// 32 bytes in base64 or base64url, padded or not (RFC 4648 §4, §5).
    fn decode(text: &str) -> Option<Self> {
        // The decoder wants room for its estimate, not for the exact length; longer texts it refuses.
        let mut buffer = Zeroizing::new([0; KEY + 4]);
        let engine =
            if text.contains(['+', '/']) { STANDARD_PAD_INDIFFERENT } else { URL_SAFE_PAD_INDIFFERENT };
        let length = engine.decode_slice(text, buffer.as_mut_slice()).ok()?;
        let decoded = buffer.get(..length).filter(|decoded| decoded.len() == KEY)?;
        let mut bytes = SecretBox::new(Box::new([0; KEY]));
        bytes.expose_secret_mut().copy_from_slice(decoded);
        Some(Self::new(bytes))
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        self.bytes.expose_secret()
    }
}

/// Keys of AES-256-GCM by [`KeyId`]. The current one seals; all of them open. Never empty.
///
/// Cloning is cheap and copies no key. There is no `Debug` on purpose:
///
/// ```compile_fail,E0277
/// println!("{:?}", jackfield_vault::Keyring::generate());
/// ```
///
/// # Text form
///
/// What a key file holds: a key a line, `jfk1:<key id>:<32 bytes in base64url>`, the first one current, the
/// others in use until everything is resealed. Blank lines and lines that begin with `#` are passed over.
///
/// ```text
/// # made on the second of May
/// jfk1:0f3a91c2:m0Qb…
/// # the one before
/// jfk1:77b0e4d1:9vPz…
/// ```
#[derive(Clone)]
pub struct Keyring {
    current: Arc<Key>,
    older: Vec<Arc<Key>>,
}

/// Why there is no keyring, or why it was not stored. No text here holds any part of a key.
///
/// What comes from a provider names the setting, the place and the mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key in the text, or no text at all.
    #[error("it holds no key")]
    Empty,
    /// A line is not in the text form.
    #[error("line {line} is malformed: {reason}")]
    Malformed {
        /// Counted from 1, comments and blank lines included.
        line: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// Key and key id of a line do not belong together: one of them was changed.
    #[error("line {line} is damaged: the key does not match its key id")]
    Mismatch {
        /// Counted from 1.
        line: usize,
    },
    /// A key stands there twice.
    #[error("line {line} repeats a key that stands above it")]
    Duplicate {
        /// Counted from 1.
        line: usize,
    },
    /// What a provider gave cannot be used.
    #[error("{setting}: {place} cannot be used: {cause}. {mend}")]
    Unusable {
        /// The setting to look at, `JACKFIELD_KEY…`.
        setting: &'static str,
        /// What the setting points to.
        place: String,
        /// What is wrong with it.
        cause: Box<KeyError>,
        /// What to do.
        mend: &'static str,
    },
    /// Others than its owner may read or write the key file.
    #[error("others can get at it (mode {mode:04o}); mend it with: chmod 600 {}", path.display())]
    Permissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is something else in the place of the key file: a folder, a device, a link to nothing.
    #[error("it is not a file")]
    NotAFile,
    /// The operating system refused.
    #[error("{action}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The answer.
        cause: io::Error,
    },
    /// A key would have been overwritten.
    #[error("there is something in its place already, and keys are never overwritten")]
    Exists,
    /// A key that is still in use would have been lost.
    #[error("it holds the key {0}, which the new keys lack")]
    WouldLose(KeyId),
    /// This provider can be read only.
    #[error("Jackfield cannot write a key there")]
    ReadOnly,
    /// The command did not end in time, and was ended.
    #[error("the command did not end within {limit:?}")]
    TimedOut {
        /// What it was given.
        limit: Duration,
    },
    /// The command failed.
    #[error("the command {problem}")]
    Command {
        /// How: exit status, and the beginning of what it wrote to standard error, with all that could be a
        /// key masked.
        problem: String,
    },
}

impl Keyring {
    /// A keyring of one new random key.
    pub fn generate() -> Self {
        Self { current: Arc::new(Key::generate()), older: Vec::new() }
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`KeyError::Empty`], [`KeyError::Malformed`], [`KeyError::Mismatch`], [`KeyError::Duplicate`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // Editors of one operating system put a byte order mark before the first line.
        let text = text.trim_start_matches('\u{feff}');
        let mut keys: Vec<Arc<Key>> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line, number)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyError::Duplicate { line: number });
            }
            keys.push(Arc::new(key));
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(KeyError::Empty)?;
        Ok(Self { current, older: keys.collect() })
    }

    /// Reads what people put into one value of a secret manager: the text form, also with spaces or commas
    /// between the keys, or a single bare key of 32 bytes in base64 or base64url.
    pub(crate) fn parse_value(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.contains(['\n', '#']) {
            return Self::parse(text);
        }
        if !text.is_empty() && !text.contains(':') {
            return Key::decode(text).map(|key| Self { current: Arc::new(key), older: Vec::new() }).ok_or(
                KeyError::Malformed {
                    line: 1,
                    reason: "neither jfk1:<key id>:<key> nor 32 bytes in base64, as `openssl rand -base64 32` prints them",
                },
            );
        }
        let mut lines = Zeroizing::new(String::with_capacity(text.len()));
        lines.extend(
            text.chars().map(|letter| if matches!(letter, ' ' | '\t' | ',') { '\n' } else { letter }),
        );
        Self::parse(&lines)
    }

    /// Reads bytes of the outside as text. Where they are no UTF-8, the line is told.
    pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, KeyError> {
        std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            KeyError::Malformed { line, reason: "it is not text" }
        })
    }

    /// The text form, the current key first, a line break after each key. No comments.
    pub fn to_text(&self) -> SecretString {
        // "jfk1:", 8 hex digits, ":", 43 letters, line break. Of the exact size: growing would leave copies
        // behind.
        let mut text = Zeroizing::new(String::with_capacity(58 * (1 + self.older.len())));
        for key in self.keys() {
            let mut encoded = Zeroizing::new([0; 44]);
            let length =
                URL_SAFE_NO_PAD.encode_slice(key.bytes(), encoded.as_mut_slice()).unwrap_or_default();
            text.push_str(SCHEME);
            text.push(':');
            text.push_str(&key.id.to_string());
            text.push(':');
            text.extend(encoded.iter().take(length).map(|byte| char::from(*byte)));
            text.push('\n');
        }
        SecretString::from(std::mem::take(&mut *text))
    }

    /// Id of the key that seals.
    pub fn current_id(&self) -> KeyId {
        self.current.id
    }

    /// Ids of all keys, the current one first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys().map(|key| key.id).collect()
    }

    /// The same keys behind a new random current one: the first step of a rotation. Store it before sealing
    /// anything with it.
    #[must_use]
    pub fn with_new_current(&self) -> Self {
        loop {
            let new = Key::generate();
            if self.find(new.id).is_none() {
                return Self { current: Arc::new(new), older: self.keys().map(Arc::clone).collect() };
            }
        }
    }

    pub(crate) fn current(&self) -> &Key {
        &self.current
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id == id).map(AsRef::as_ref)
    }

    fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

fn parse_line(line: &str, number: usize) -> Result<Key, KeyError> {
    let malformed = |reason| KeyError::Malformed { line: number, reason };
    let (scheme, rest) = line.split_once(':').ok_or_else(|| malformed("expected jfk1:<key id>:<key>"))?;
    if scheme != SCHEME {
        return Err(malformed(
            "expected jfk1: at its beginning; another version of Jackfield may have written it",
        ));
    }
    let (id, key) = rest.split_once(':').ok_or_else(|| malformed("expected jfk1:<key id>:<key>"))?;
    let id = KeyId::parse(id).ok_or_else(|| malformed("the key id is not 8 hex digits"))?;
    let key = Key::decode(key)
        .ok_or_else(|| malformed("the key is not 32 bytes in base64url; it may be cut off"))?;
    if key.id == id { Ok(key) } else { Err(KeyError::Mismatch { line: number }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> KeyError {
        Keyring::parse(text).err().unwrap()
    }

    fn line(keyring: &Keyring) -> String {
        keyring.to_text().expose_secret().trim().to_owned()
    }

    #[test]
    fn text_form_round_trips() {
        let keyring = Keyring::generate().with_new_current().with_new_current();
        let text = keyring.to_text();
        let again = Keyring::parse(text.expose_secret()).ok().unwrap();
        assert_eq!(again.ids(), keyring.ids());
        assert_eq!(again.ids().len(), 3);
        assert_eq!(again.current_id(), keyring.current_id());
        assert_eq!(again.to_text().expose_secret(), text.expose_secret());
        assert_eq!(text.expose_secret().len(), 58 * 3);
        assert!(!format!("{text:?}").contains("jfk1"));
    }

    #[test]
    fn rotation_puts_the_new_key_first_and_keeps_the_others() {
        let old = Keyring::generate();
        let new = old.with_new_current();
        assert_ne!(new.current_id(), old.current_id());
        assert_eq!(new.ids(), [new.current_id(), old.current_id()]);
        assert_eq!(old.ids().len(), 1, "the old one is left as it was");
    }

    #[test]
    fn the_id_of_a_key_never_changes() {
        let keyring = Keyring::parse_value("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").ok().unwrap();
        assert_eq!(keyring.current_id().to_string(), "2b937d28");
        assert_ne!(Keyring::generate().current_id(), Keyring::generate().current_id());
    }

    #[test]
    fn ids_read_what_they_write() {
        let id = Keyring::generate().current_id();
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_eq!(KeyId::parse("0000000a").unwrap().to_string(), "0000000a");
        for text in ["", "0f3a91c", "0f3a91c22", "0F3A91C2", "0f3a91cg", "+f3a91c2"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn comments_blank_lines_and_foreign_line_ends_do_not_matter() {
        let (one, two) = (Keyring::generate(), Keyring::generate());
        let text = format!("\u{feff}# keys\r\n\r\n  {}  \r\n   # older\r\n{}", line(&one), line(&two));
        let keyring = Keyring::parse(&text).ok().unwrap();
        assert_eq!(keyring.ids(), [one.current_id(), two.current_id()]);
    }

    #[test]
    fn errors_name_what_is_wrong_and_where() {
        let good = line(&Keyring::generate());
        let other = line(&Keyring::generate());
        for empty in ["", "\n\n", "# only a comment\n", "   "] {
            assert!(matches!(error(empty), KeyError::Empty), "{empty:?}");
        }
        for malformed in [
            "nonsense",
            "jfk1",
            "jfk1:",
            "jfk1:00000000",
            "jfk2:00000000:AAAA",
            "jfk1:xyz:AAAA",
            &good[..57 - 4],
        ] {
            let text = format!("# first\n{other}\n{malformed}");
            assert!(matches!(error(&text), KeyError::Malformed { line: 3, .. }), "{malformed}");
        }
        assert!(matches!(error(&format!("{good}A")), KeyError::Malformed { line: 1, .. }));
        assert!(matches!(error(&format!("{good}{}", "A".repeat(1000))), KeyError::Malformed { line: 1, .. }));
        // The id of one key before another key: what a mistake with the clipboard makes.
        let crossed = format!("{}{}", &good[..14], &other[14..]);
        assert!(matches!(error(&format!("{other}\n{crossed}")), KeyError::Mismatch { line: 2 }));
        assert!(matches!(error(&format!("{good}\n{other}\n{good}")), KeyError::Duplicate { line: 3 }));
    }

    #[test]
    fn each_changed_letter_of_a_key_is_seen() {
        let good = line(&Keyring::generate());
        for place in 0..good.len() {
            let mut altered = good.clone().into_bytes();
            altered[place] = if altered[place] == b'5' { b'6' } else { b'5' };
            assert!(Keyring::parse(std::str::from_utf8(&altered).unwrap()).is_err(), "letter {place}");
        }
    }

    #[test]
    fn no_error_shows_any_part_of_a_key() {
        let good = line(&Keyring::generate());
        let key = &good[14..];
        let texts = [
            format!("{good}\n{good}"),
            format!("{good}x"),
            format!("jfk1:00000000:{key}"),
            format!("jfk1:{key}"),
            format!("jfk9:{key}:{key}"),
            format!("{key}:{key}"),
            key.to_owned(),
            good[..40].to_owned(),
        ];
        for text in texts {
            let errors = [
                Keyring::parse(&text).err().unwrap(),
                Keyring::parse_value(&format!("{text} x")).err().unwrap(),
            ];
            for error in errors {
                let shown = format!("{error} {error:?} {error:#?}");
                assert!(
                    !key.as_bytes().windows(6).any(|part| shown.contains(std::str::from_utf8(part).unwrap())),
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn one_value_may_hold_a_bare_key_or_several_keys_on_one_line() {
        let (one, two) = (Keyring::generate(), Keyring::generate());
        for (bytes, padded) in [
            ([0xfb; 32], STANDARD_PAD_INDIFFERENT.encode([0xfb; 32])),
            ([7; 32], URL_SAFE_PAD_INDIFFERENT.encode([7; 32])),
        ] {
            let url_safe = URL_SAFE_NO_PAD.encode(bytes);
            let expected = KeyId::of(&bytes);
            for text in [
                padded.clone(),
                padded.trim_end_matches('=').to_owned(),
                url_safe.clone(),
                format!(" {url_safe}\n"),
            ] {
                assert_eq!(Keyring::parse_value(&text).ok().unwrap().ids(), [expected], "{text}");
            }
        }
        // Nothing keeps a bare key from beginning like a line of the text form.
        assert!(Keyring::parse_value(&format!("jfk1{}", "A".repeat(39))).is_ok());
        for between in ["\n", " ", ",", ", ", "\n# older\n"] {
            let text = format!("{}{between}{}", line(&one), line(&two));
            assert_eq!(
                Keyring::parse_value(&text).ok().unwrap().ids(),
                [one.current_id(), two.current_id()],
                "{between:?}"
            );
        }
        assert!(matches!(Keyring::parse_value(" \n").err().unwrap(), KeyError::Empty));
        for text in ["short", &"A".repeat(64), &"0".repeat(42), &format!("{0} {0}", "A".repeat(43))] {
            assert!(
                matches!(Keyring::parse_value(text).err().unwrap(), KeyError::Malformed { line: 1, .. }),
                "{text}"
            );
        }
    }
}

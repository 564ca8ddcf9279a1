//! The sealed form of a secret.
//!
//! Envelope encryption with AES-256-GCM (NIST SP 800-38D): each record has a random data key of its own,
//! which encrypts the secret; a key of the [`Keyring`] encrypts ("wraps") the data key. Rotation therefore
//! rewraps 32 bytes and never opens a secret.
//!
//! ```text
//!  offset  bytes  content
//!       0      1  version of the form: 1
//!       1      4  id of the key that wraps
//!       5     12  nonce of the wrapping, random
//!      17     48  data key, encrypted, and its tag
//!      65     12  nonce of the secret, random
//!      77  n + 16  secret of n bytes, encrypted, and its tag
//! ```
//!
//! Both encryptions are bound by associated data to the version and to the [`Context`], the wrapping to the
//! key id as well, so that a sealed value opens in no other record, field or organization, even for one who
//! can write to the database. Putting an *older* value of the *same* field back is not seen here; a caller
//! who needs that puts a version into [`Context::record`].
//!
//! Random nonces of 96 bits allow 2^32 seals under one key (SP 800-38D §8.3; 50 days at a thousand a second).
//! Each data key seals once; for the key of the ring, rotate before.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use zeroize::Zeroizing;

use crate::{KeyId, Keyring, random, token};

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;
const HEADER: usize = 1 + KEY_ID;
const WRAPPED: usize = NONCE + KEY + TAG;

/// How many bytes longer a sealed value is than its plaintext: 93.
pub const OVERHEAD: usize = HEADER + WRAPPED + NONCE + TAG;

/// Where a secret stands: a sealed value opens there and nowhere else.
///
/// Every part is free text, also empty; parts are encoded with their lengths, so that `("ab", "c")` is not
/// `("a", "bc")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// Id of the organization that owns the record.
    pub organization: &'a str,
    /// Table of the store.
    pub table: &'a str,
    /// Id of the record.
    pub record: &'a str,
    /// Column, or path inside it.
    pub field: &'a str,
}

/// What [`Keyring::check_value`] seals. No organization and no table has an empty name, so that no secret
/// shares this place.
const CHECK: Context<'static> = Context { organization: "", table: "", record: "", field: "key check" };
const CHECK_TEXT: &[u8] = b"jackfield";

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// AES-GCM refused: the plaintext is longer than 64 GiB, or memory is short.
    #[error("the secret could not be sealed")]
    Cipher,
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The keyring lacks the key that sealed it: the wrong key is configured, or an old one was dropped too
    /// early.
    #[error("it is sealed under the key {0}, which is not among the configured keys")]
    UnknownKey(KeyId),
    /// Not in a sealed form that this version reads; from [`Keyring::open_string`] also: the plaintext is no
    /// text.
    #[error("it is not in a sealed form that this version reads")]
    Malformed,
    /// Altered, or moved from another record, field or organization.
    #[error("it was altered, or belongs to another record")]
    Tampered,
}

/// Why a sealed value was not rewrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResealError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not seal.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Which key a sealed value needs, as it says itself (unverified). For [`OpenError::Malformed`] see there.
pub fn sealed_key_id(sealed: &[u8]) -> Result<KeyId, OpenError> {
    Ok(Parts::read(sealed)?.key_id)
}

impl Keyring {
    /// Seals a secret of any length under the current key. The result is [`OVERHEAD`] bytes longer, and
    /// another each time.
    pub fn seal(&self, context: &Context<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut data_key = Zeroizing::new([0; KEY]);
        random::fill(data_key.as_mut_slice());
        let mut sealed = Vec::with_capacity(OVERHEAD.saturating_add(plaintext.len()));
        self.wrap(context, &data_key, &mut sealed)?;
        encrypt(&data_key, &data_binding(context), plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// Opens what [`Keyring::seal`] made, with whichever key of the ring it needs.
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, OpenError> {
        self.open_bytes(context, sealed)
            .map(|mut bytes| SecretBox::new(Box::new(std::mem::take(&mut *bytes))))
    }

    /// Opens a secret that is text. Bytes that are no UTF-8 give [`OpenError::Malformed`].
    pub fn open_string(&self, context: &Context<'_>, sealed: &[u8]) -> Result<SecretString, OpenError> {
        let mut bytes = self.open_bytes(context, sealed)?;
        // Checked first: a failed `String::from_utf8` would hand the bytes back outside of what wipes them.
        if std::str::from_utf8(&bytes).is_err() {
            return Err(OpenError::Malformed);
        }
        String::from_utf8(std::mem::take(&mut *bytes))
            .map(SecretString::from)
            .map_err(|_| OpenError::Malformed)
    }

    /// Rewraps a sealed value under the current key; `None` when it is there already.
    ///
    /// The secret itself stays encrypted, and is not checked: what was tampered with before stays so. Of the
    /// context everything is checked.
    pub fn reseal(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, ResealError> {
        let parts = Parts::read(sealed)?;
        if parts.key_id == self.current_id() {
            return Ok(None);
        }
        let data_key = self.unwrap_key(context, &parts)?;
        let mut resealed = Vec::with_capacity(sealed.len());
        self.wrap(context, &data_key, &mut resealed)?;
        resealed.extend_from_slice(parts.data);
        Ok(Some(resealed))
    }

    /// A sealed constant for the store to keep, by which [`Keyring::verify_check`] later knows the keyring.
    ///
    /// It is sealed under the current key: write it anew after a rotation.
    pub fn check_value(&self) -> Vec<u8> {
        // A constant of nine bytes fails only when memory runs out, for which Rust aborts as well.
        self.seal(&CHECK, CHECK_TEXT).unwrap_or_else(|_| std::process::abort())
    }

    /// Whether this keyring belongs to the store that keeps `check`: [`OpenError::UnknownKey`] says that it
    /// does not.
    pub fn verify_check(&self, check: &[u8]) -> Result<(), OpenError> {
        let opened = self.open(&CHECK, check)?;
        if opened.expose_secret().as_slice() == CHECK_TEXT { Ok(()) } else { Err(OpenError::Tampered) }
    }

    fn open_bytes(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = Parts::read(sealed)?;
        let data_key = self.unwrap_key(context, &parts)?;
        // Of exactly the right size: growing or shrinking would leave a copy behind.
        let mut plaintext = Zeroizing::new(vec![0; sealed.len() - OVERHEAD]);
        decrypt(&data_key, &data_binding(context), parts.data, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Appends everything that stands before the secret.
    fn wrap(&self, context: &Context<'_>, data_key: &[u8; KEY], out: &mut Vec<u8>) -> Result<(), SealError> {
        let key = self.current();
        out.push(VERSION);
        out.extend_from_slice(&key.id().to_bytes());
        encrypt(key.bytes(), &wrap_binding(key.id(), context), data_key, out)
    }

    fn unwrap_key(
        &self,
        context: &Context<'_>,
        parts: &Parts<'_>,
    ) -> Result<Zeroizing<[u8; KEY]>, OpenError> {
        let key = self.find(parts.key_id).ok_or(OpenError::UnknownKey(parts.key_id))?;
        let mut data_key = Zeroizing::new([0; KEY]);
        decrypt(key.bytes(), &wrap_binding(key.id(), context), parts.wrapped, data_key.as_mut_slice())?;
        Ok(data_key)
    }
}

/// A sealed value, taken apart; the lengths are right, nothing else is known of it.
struct Parts<'a> {
    key_id: KeyId,
    wrapped: &'a [u8],
    data: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let (version, rest) = sealed.split_first().ok_or(OpenError::Malformed)?;
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(OpenError::Malformed)?;
        let (wrapped, data) = rest.split_at_checked(WRAPPED).ok_or(OpenError::Malformed)?;
        if *version != VERSION || data.len() < NONCE + TAG {
            return Err(OpenError::Malformed);
        }
        Ok(Self { key_id: KeyId::from_bytes(*key_id), wrapped, data })
    }
}

fn wrap_binding(key_id: KeyId, context: &Context<'_>) -> Vec<u8> {
    let mut binding = b"jackfield wrap".to_vec();
    binding.push(VERSION);
    binding.extend_from_slice(&key_id.to_bytes());
    bind(context, binding)
}

/// Without the key id: rewrapping leaves the secret as it is.
fn data_binding(context: &Context<'_>) -> Vec<u8> {
    let mut binding = b"jackfield data".to_vec();
    binding.push(VERSION);
    bind(context, binding)
}

fn bind(context: &Context<'_>, mut binding: Vec<u8>) -> Vec<u8> {
    for part in [context.organization, context.table, context.record, context.field] {
        binding.extend_from_slice(&(part.len() as u64).to_be_bytes());
        binding.extend_from_slice(part.as_bytes());
    }
    binding
}

/// Appends nonce, ciphertext and tag. The plaintext is never in `out`, not even for a moment.
fn encrypt(key: &[u8; KEY], binding: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
    let nonce = token::random_bytes::<NONCE>();
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.resize(start + plaintext.len() + TAG, 0);
    let (ciphertext, tag) = out[start..].split_at_mut(plaintext.len());
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher(key)
        .and_then(|key| {
            key.seal_out_of_place_scatter(nonce, Aad::from(binding), plaintext, ciphertext, &[], tag)
        })
        .map_err(|Unspecified| SealError::Cipher)
}

/// Reads nonce, ciphertext and tag from `sealed`; `out` has the length of the ciphertext. On failure `out`
/// holds nothing to use.
fn decrypt(key: &[u8; KEY], binding: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(OpenError::Malformed)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::Malformed)?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    cipher(key)
        .and_then(|key| key.open_separate_gather(nonce, Aad::from(binding), ciphertext, tag, out))
        .map_err(|Unspecified| OpenError::Tampered)
}

/// Built for each use. It costs a fraction of a microsecond, and leaves the key in one place of memory only.
fn cipher(key: &[u8; KEY]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const HERE: Context<'static> =
        Context { organization: "org_1", table: "authorizations", record: "aut_1", field: "credential" };

    fn open(keyring: &Keyring, context: &Context<'_>, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        keyring.open(context, sealed).map(|secret| secret.expose_secret().clone())
    }

    #[test]
    fn what_another_implementation_sealed_opens() {
        // Made once, after the description above, by a few lines of Python. A change that breaks this test
        // loses every secret of every installation.
        let keyring = Keyring::parse("jfk1:2b937d28:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")
            .unwrap_or_else(|error| panic!("{error}"));
        let sealed = STANDARD.decode(SEALED_ELSEWHERE).unwrap();
        assert_eq!(open(&keyring, &HERE, &sealed).unwrap(), b"a refresh token");
    }
    const SEALED_ELSEWHERE: &str = "ASuTfSgBAQEBAQEBAQEBAQFcy6OdupXGJPv+9gtaHVobgtE+3jK9ETlyG2lITJ4ckZvX66TG4KSrCbjfg4EvF\
        +sCAgICAgICAgICAgJKYJKj0utvyZRiTGQQA/uPvd/6ss+6If4fP/H3pgWe";

    #[test]
    fn each_seal_is_another_and_shows_nothing() {
        let keyring = Keyring::generate();
        let one = keyring.seal(&HERE, b"a refresh token").unwrap();
        let two = keyring.seal(&HERE, b"a refresh token").unwrap();
        assert_eq!(one.len(), 15 + OVERHEAD);
        assert_eq!(one[..HEADER], two[..HEADER]);
        for (start, length) in [(HEADER, NONCE), (HEADER + NONCE, KEY), (65, NONCE), (77, 15)] {
            assert_ne!(one[start..start + length], two[start..start + length]);
        }
        assert!(!one.windows(7).any(|window| window == b"refresh"));
    }

    #[test]
    fn text_opens_as_text() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&HERE, "Grüße".as_bytes()).unwrap();
        let secret = keyring.open_string(&HERE, &sealed).unwrap();
        assert_eq!(secret.expose_secret(), "Grüße");
        assert!(!format!("{secret:?} {:?}", keyring.open(&HERE, &sealed).unwrap()).contains("Gr"));
        let sealed = keyring.seal(&HERE, &[0xff, 0xfe]).unwrap();
        assert_eq!(keyring.open_string(&HERE, &sealed).err(), Some(OpenError::Malformed));
    }

    #[test]
    fn each_part_of_the_context_binds() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&HERE, b"secret").unwrap();
        let elsewhere = [
            Context { organization: "org_2", ..HERE },
            Context { table: "connections", ..HERE },
            Context { record: "aut_2", ..HERE },
            Context { field: "other", ..HERE },
            Context { organization: "org_1a", table: "uthorizations", ..HERE },
            Context { record: "aut_1c", field: "redential", ..HERE },
            Context { record: "", field: "aut_1credential", ..HERE },
        ];
        for context in elsewhere {
            assert_eq!(open(&keyring, &context, &sealed), Err(OpenError::Tampered), "{context:?}");
            let rotated = keyring.with_new_current();
            assert_eq!(
                rotated.reseal(&context, &sealed),
                Err(ResealError::Open(OpenError::Tampered)),
                "{context:?}"
            );
        }
    }

    #[test]
    fn the_secret_itself_is_bound_and_not_only_its_key() {
        // Who can write to the database joins the wrapping of one record with the secret of another.
        let keyring = Keyring::generate();
        let one = keyring.seal(&HERE, b"secret").unwrap();
        let two = keyring.seal(&HERE, b"secret").unwrap();
        let mixed = [&one[..HEADER + WRAPPED], &two[HEADER + WRAPPED..]].concat();
        assert_eq!(open(&keyring, &HERE, &mixed), Err(OpenError::Tampered));
        assert_ne!(wrap_binding(keyring.current_id(), &HERE), data_binding(&HERE));
        assert_ne!(data_binding(&HERE), data_binding(&Context { record: "aut_2", ..HERE }));
    }

    #[test]
    fn a_foreign_key_is_named() {
        let (ours, foreign) = (Keyring::generate(), Keyring::generate());
        let sealed = foreign.seal(&HERE, b"secret").unwrap();
        assert_eq!(sealed_key_id(&sealed), Ok(foreign.current_id()));
        let error = open(&ours, &HERE, &sealed).unwrap_err();
        assert_eq!(error, OpenError::UnknownKey(foreign.current_id()));
        assert!(error.to_string().contains(&foreign.current_id().to_string()));
        assert_eq!(ours.reseal(&HERE, &sealed), Err(ResealError::Open(error)));
    }

    #[test]
    fn another_key_under_the_same_id_is_tampering() {
        // Ids are 32 bits: a clash can be made on purpose, and must not open anything.
        let (ours, foreign) = (Keyring::generate(), Keyring::generate());
        let mut sealed = foreign.seal(&HERE, b"secret").unwrap();
        sealed[1..HEADER].copy_from_slice(&ours.current_id().to_bytes());
        assert_eq!(open(&ours, &HERE, &sealed), Err(OpenError::Tampered));
    }

    #[test]
    fn rotation_rewraps_and_keeps_the_secret_as_it_is() {
        let old = Keyring::generate();
        let sealed = old.seal(&HERE, b"secret").unwrap();
        assert_eq!(old.reseal(&HERE, &sealed), Ok(None));

        let new = old.with_new_current();
        assert_eq!(open(&new, &HERE, &sealed).unwrap(), b"secret");
        let resealed = new.reseal(&HERE, &sealed).unwrap().unwrap();
        assert_eq!(sealed_key_id(&resealed), Ok(new.current_id()));
        assert_eq!(resealed[HEADER + WRAPPED..], sealed[HEADER + WRAPPED..]);
        assert_eq!(open(&new, &HERE, &resealed).unwrap(), b"secret");
        assert_eq!(new.reseal(&HERE, &resealed), Ok(None));
        assert_eq!(open(&old, &HERE, &resealed), Err(OpenError::UnknownKey(new.current_id())));
    }

    #[test]
    fn other_versions_of_the_form_are_refused() {
        let keyring = Keyring::generate();
        for version in [0, 2, 255] {
            let mut sealed = keyring.seal(&HERE, b"secret").unwrap();
            sealed[0] = version;
            assert_eq!(open(&keyring, &HERE, &sealed), Err(OpenError::Malformed));
            assert_eq!(sealed_key_id(&sealed), Err(OpenError::Malformed));
        }
    }

    #[test]
    fn a_store_knows_its_key() {
        let keyring = Keyring::generate();
        let check = keyring.check_value();
        assert_eq!(keyring.verify_check(&check), Ok(()));
        assert_eq!(keyring.with_new_current().verify_check(&check), Ok(()));
        let foreign = Keyring::generate();
        assert_eq!(foreign.verify_check(&check), Err(OpenError::UnknownKey(keyring.current_id())));
        assert_eq!(keyring.verify_check(&[]), Err(OpenError::Malformed));
        assert_eq!(keyring.verify_check(&keyring.seal(&HERE, CHECK_TEXT).unwrap()), Err(OpenError::Tampered));
        assert_eq!(keyring.verify_check(&keyring.seal(&CHECK, b"other").unwrap()), Err(OpenError::Tampered));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_of_one_value_is_seen() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&HERE, b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0 => OpenError::Malformed,
                1..HEADER => OpenError::UnknownKey(sealed_key_id(&altered).unwrap()),
                _ => OpenError::Tampered,
            };
            assert_eq!(open(&keyring, &HERE, &altered), Err(expected), "bit {bit}");
        }
        for length in 0..sealed.len() {
            let expected = if length < OVERHEAD { OpenError::Malformed } else { OpenError::Tampered };
            assert_eq!(open(&keyring, &HERE, &sealed[..length]), Err(expected), "length {length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_come_back(
            plaintext in proptest::collection::vec(any::<u8>(), 0..2000),
            parts in proptest::array::uniform4(".{0,20}"),
        ) {
            let keyring = Keyring::generate();
            let [organization, table, record, field] = &parts;
            let context = Context { organization, table, record, field };
            let sealed = keyring.seal(&context, &plaintext).unwrap();
            prop_assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
            prop_assert_eq!(&open(&keyring, &context, &sealed).unwrap(), &plaintext);
            let rotated = keyring.with_new_current();
            let resealed = rotated.reseal(&context, &sealed).unwrap().unwrap();
            prop_assert_eq!(&open(&rotated, &context, &resealed).unwrap(), &plaintext);
        }

        #[test]
        fn any_flipped_bit_is_seen(plaintext in proptest::collection::vec(any::<u8>(), 0..300), bit in any::<prop::sample::Index>()) {
            let keyring = Keyring::generate();
            let mut sealed = keyring.seal(&HERE, &plaintext).unwrap();
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&keyring, &HERE, &sealed).is_err());
        }

        #[test]
        fn any_truncation_or_extension_is_seen(
            plaintext in proptest::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
            more in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let keyring = Keyring::generate();
            let sealed = keyring.seal(&HERE, &plaintext).unwrap();
            prop_assert!(open(&keyring, &HERE, &sealed[..cut.index(sealed.len())]).is_err());
            prop_assert_eq!(open(&keyring, &HERE, &[sealed, more].concat()), Err(OpenError::Tampered));
        }

        #[test]
        fn any_other_context_is_seen(
            one in proptest::array::uniform4("[a-c]{0,3}"),
            two in proptest::array::uniform4("[a-c]{0,3}"),
        ) {
            prop_assume!(one != two);
            let keyring = Keyring::generate();
            let context = |parts: &'static [String; 4]| Context {
                organization: &parts[0], table: &parts[1], record: &parts[2], field: &parts[3],
            };
            let (one, two) = (Box::leak(Box::new(one)), Box::leak(Box::new(two)));
            let sealed = keyring.seal(&context(one), b"secret").unwrap();
            prop_assert_eq!(open(&keyring, &context(two), &sealed), Err(OpenError::Tampered));
        }

        #[test]
        fn any_other_key_is_seen(plaintext in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sealed = Keyring::generate().seal(&HERE, &plaintext).unwrap();
            prop_assert!(open(&Keyring::generate(), &HERE, &sealed).is_err());
        }

        #[test]
        fn no_bytes_panic(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
            let keyring = Keyring::generate();
            // As it is, and with a beginning that leads further in.
            let led = [&[VERSION], &keyring.current_id().to_bytes()[..], &garbage].concat();
            let rotated = keyring.with_new_current();
            for bytes in [&garbage, &led] {
                prop_assert!(open(&keyring, &HERE, bytes).is_err());
                prop_assert!(keyring.verify_check(bytes).is_err());
                prop_assert!(rotated.reseal(&HERE, bytes).is_err());
                let _ = sealed_key_id(bytes);
            }
        }
    }
}

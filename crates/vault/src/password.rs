//! Passwords that people sign in with.
//!
//! Argon2id (RFC 9106) with the parameters of the OWASP Password Storage Cheat Sheet: 19 MiB of memory, 2
//! passes, 1 lane. The hash is a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`) that carries its
//! parameters, so that they can be raised later while old hashes still verify.
//!
//! Each hash takes some 20 ms of a processor and 19 MiB: call it where blocking is allowed, and bound how
//! many run at once.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{random, token};

/// Memory in KiB.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a stored hash may ask for at most. A corrupt row must not make the process ask for terabytes and die.
const MEMORY_MOST: u32 = 1 << 20;
const PASSES_MOST: u32 = 32;
const LANES_MOST: u32 = 16;

/// Lower-case letters and digits without those that are mistaken for one another: no `i`, `l`, `1`, `o`, `0`.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 6;
const GROUP: usize = 4;

/// Why there is no answer. Shows neither password nor hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The stored text is no argon2id hash in PHC form, or asks for more than 1 GiB, 32 passes or 16 lanes.
    #[error("the stored password hash is corrupt")]
    MalformedHash,
    /// Argon2 refused, which it does for a password beyond 4 GiB only.
    #[error("the password could not be hashed")]
    Hash,
}

/// Hashes a password under a fresh random salt of 16 bytes.
///
/// Takes as long as [`verify`]: somebody who signs in with an unknown address can be kept waiting with it, so
/// that the time does not tell who is a member.
pub fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|_| PasswordError::Hash)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.expose_secret().as_bytes(), &token::random_bytes::<16>())
        .map(|hash| hash.to_string())
        .map_err(|_| PasswordError::Hash)
}

/// Whether this is the password of the hash `phc`. The comparison takes constant time.
pub fn verify(password: &SecretString, phc: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(phc).map_err(|_| PasswordError::MalformedHash)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordError::MalformedHash)?;
    let sound = hash.algorithm.as_str() == "argon2id"
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= MEMORY_MOST
        && params.t_cost() <= PASSES_MOST
        && params.p_cost() <= LANES_MOST;
    if !sound {
        return Err(PasswordError::MalformedHash);
    }
    match Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::MalformedHash),
    }
}

/// A random password of 118 bits that can be read out and typed: `k7mw-x2ap-…`, six groups of four.
pub fn generate() -> SecretString {
    let letters = random::letters(ALPHABET, GROUPS * GROUP);
    let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP + 1) - 1));
    for (place, letter) in letters.chars().enumerate() {
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(letter);
    }
    SecretString::from(std::mem::take(&mut *text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_verifies_and_no_other() {
        let phc = hash(&"correct horse".into()).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify(&"correct horse".into(), &phc), Ok(true));
        assert_eq!(verify(&"correct horsf".into(), &phc), Ok(false));
        assert_eq!(verify(&"".into(), &phc), Ok(false));
        assert_ne!(hash(&"correct horse".into()).unwrap(), phc, "each hash has its own salt");
    }

    #[test]
    fn hashes_with_other_parameters_still_verify() {
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 3, 2, None).unwrap());
        let phc = hasher.hash_password_with_salt(b"old", &[7; 16]).unwrap().to_string();
        assert_eq!(verify(&"old".into(), &phc), Ok(true));
        assert_eq!(verify(&"new".into(), &phc), Ok(false));
    }

    #[test]
    fn a_corrupt_hash_is_an_error_and_not_a_wrong_password() {
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let good = hasher.hash_password_with_salt(b"old", &[7; 16]).unwrap().to_string();
        let without_hash = &good[..good.rfind('$').unwrap()];
        let altered = [
            String::new(),
            "old".into(),
            without_hash.into(),
            without_hash[..without_hash.rfind('$').unwrap()].into(),
            good.replace("argon2id", "argon2i"),
            good.replace("argon2id", "scrypt"),
            good.replace("m=64", "m=4294967295"),
            good.replace("t=1", "t=4294967295"),
            good.replace("m=64,t=1,p=1", "m=1048576,t=1,p=17"),
            good.replace("v=19", "v=18"),
        ];
        for phc in altered {
            assert_eq!(verify(&"old".into(), &phc), Err(PasswordError::MalformedHash), "{phc}");
        }
    }

    #[test]
    fn generated_passwords_are_long_readable_and_new() {
        let (one, two) = (generate(), generate());
        let text = one.expose_secret();
        assert_ne!(text, two.expose_secret());
        let groups: Vec<&str> = text.split('-').collect();
        assert!(groups.iter().all(|group| group.len() == GROUP), "{text}");
        assert!(text.chars().all(|letter| letter == '-' || ALPHABET.contains(&(letter as u8))));
        assert!("il1o0".bytes().all(|letter| !ALPHABET.contains(&letter)));
        let letters = u32::try_from(text.len() - (groups.len() - 1)).unwrap();
        assert!(f64::from(letters) * 31_f64.log2() >= 100.0);
    }
}

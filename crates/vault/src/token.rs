//! Random tokens, digests, comparison in constant time.

use aws_lc_rs::digest as sha;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::random;

/// `N` random bytes, for nonces, salts and ids. For a secret that is kept, [`random_token`] is the better
/// choice: it wipes itself.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random::fill(&mut bytes);
    bytes
}

/// 32 random bytes (256 bits) as 43 characters of base64url without padding (RFC 4648 §5).
///
/// Fits an OAuth `state` (RFC 6749 §10.12), a session cookie, a set-up link, and a PKCE `code_verifier`
/// (RFC 7636 §4.1 recommends exactly this).
pub fn random_token() -> SecretString {
    let bytes = Zeroizing::new(random_bytes::<32>());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// SHA-256 (FIPS 180-4). For tokens of high entropy only; passwords go to [`crate::password`].
pub fn digest(data: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(sha::digest(&sha::SHA256, data).as_ref());
    bytes
}

/// SHA-256 of a text as 43 characters of base64url without padding: how a token is stored, and at the same
/// time the PKCE `code_challenge` of a `code_verifier` under `S256` (RFC 7636 §4.2).
pub fn digest_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(text.as_bytes()))
}

/// Whether both are equal, in a time that depends on their lengths only. Different lengths are told at once.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) of the parts, one after the other.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn tokens_are_base64url_of_32_bytes_and_never_the_same() {
        let (one, two) = (random_token(), random_token());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose_secret()).unwrap().len(), 32);
        assert_eq!(one.expose_secret().len(), 43);
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_ne!(random_bytes::<16>(), random_bytes::<16>());
        assert!(!format!("{one:?}").contains(one.expose_secret()));
    }

    #[test]
    fn digest_is_sha_256() {
        // FIPS 180-4, example "abc".
        assert_eq!(digest(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        // RFC 7636, appendix B.
        assert_eq!(
            digest_text("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn hmac_is_hmac_sha_256() {
        // RFC 4231, test case 2.
        let tag = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn comparison_sees_each_difference() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sama"));
        assert!(!constant_time_eq(b"same", b"xame"));
        assert!(!constant_time_eq(b"same", b"same "));
        assert!(!constant_time_eq(b"same", b""));
    }
}

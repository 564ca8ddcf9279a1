//! Private keys in PEM, and the JWTs signed with them (RFC 7515 §3.1, RFC 7518 §3).

use std::str::FromStr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// No private key is as long; what is longer is not one.
const MAX_PEM_BYTES: usize = 32 * 1024;

/// The mend of most faults of a key.
const MEND: &str = "paste the whole unencrypted PEM file, from `-----BEGIN PRIVATE KEY-----` to its END line";

/// Why a private key cannot be used. The text starts with the connection parameter's name, `private_key`,
/// says the mend, and never holds any of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM block with a private key in it.
    #[error("private_key: this is not a private key in PEM form; {MEND}")]
    NotPem,
    /// The PEM block is damaged.
    #[error("private_key: the PEM text is damaged or cut off; {MEND}")]
    Damaged,
    /// The key is protected by a passphrase.
    #[error(
        "private_key: the key is encrypted with a passphrase; decrypt it first, for example with \
         `openssl pkey -in key.pem -out plain.pem`, and paste the result"
    )]
    Encrypted,
    /// A certificate or public key was given.
    #[error("private_key: this is a certificate or a public key; paste the private key that belongs to it")]
    Public,
    /// The key does not fit the algorithm.
    #[error("private_key: the key does not fit; {algorithm} needs {needed}")]
    Unfit {
        /// The signature algorithm.
        algorithm: &'static str,
        /// What kind of key it takes.
        needed: &'static str,
    },
    /// The cryptographic library could not sign.
    #[error("private_key: signing failed; check that the key is intact, or create a new one")]
    Signing,
}

impl KeyError {
    /// The connection parameter at fault.
    pub fn parameter(&self) -> &'static str {
        "private_key"
    }
}

/// A name that stands for no algorithm or method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a known name; use one of {expected}")]
pub struct UnknownName {
    /// The names that would do.
    pub expected: &'static str,
}

/// Algorithms for JWT assertions (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    /// The `alg` value of RFC 7518 §3.1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }
}

impl FromStr for SigningAlgorithm {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "RS256" => Ok(Self::Rs256),
            "PS256" => Ok(Self::Ps256),
            "ES256" => Ok(Self::Es256),
            _ => Err(UnknownName { expected: "RS256, PS256, ES256" }),
        }
    }
}

/// The private key in a PEM text: PKCS#8, PKCS#1 (RSA) or SEC1 (EC). Line ends written as `\n`, as they are
/// in JSON key files, are understood.
pub(crate) fn parse_pem(pem: &SecretString) -> Result<PrivateKeyDer<'static>, KeyError> {
    let pem = pem.expose_secret();
    if pem.len() > MAX_PEM_BYTES {
        return Err(KeyError::NotPem);
    }
    let text = Zeroizing::new(pem.trim().replace("\\n", "\n"));
    let legacy_encryption = text.contains("Proc-Type:") && text.contains("ENCRYPTED");
    if legacy_encryption || text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(KeyError::Encrypted);
    }
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(key),
        Err(_) if text.contains("PRIVATE KEY-----") => Err(KeyError::Damaged),
        Err(_) if text.contains("-----BEGIN") => Err(KeyError::Public),
        Err(_) => Err(KeyError::NotPem),
    }
}

fn rsa_key(pem: &SecretString, algorithm: SigningAlgorithm) -> Result<RsaKeyPair, KeyError> {
    let unfit = KeyError::Unfit { algorithm: algorithm.as_str(), needed: "an RSA key of 2048 to 8192 bits" };
    match parse_pem(pem)? {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| unfit),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| unfit),
        _ => Err(unfit),
    }
}

fn ec_key(pem: &SecretString) -> Result<EcdsaKeyPair, KeyError> {
    let key = match parse_pem(pem)? {
        PrivateKeyDer::Sec1(der) => {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_sec1_der()).ok()
        }
        PrivateKeyDer::Pkcs8(der) => {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).ok()
        }
        _ => None,
    };
    key.ok_or(KeyError::Unfit { algorithm: "ES256", needed: "an EC key on the curve P-256" })
}

fn rsa_sign(
    key: &RsaKeyPair,
    padding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(|_| KeyError::Signing)?;
    Ok(signature)
}

fn sign(pem: &SecretString, algorithm: SigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    match algorithm {
        SigningAlgorithm::Rs256 => rsa_sign(&rsa_key(pem, algorithm)?, &RSA_PKCS1_SHA256, message),
        SigningAlgorithm::Ps256 => rsa_sign(&rsa_key(pem, algorithm)?, &RSA_PSS_SHA256, message),
        SigningAlgorithm::Es256 => ec_key(pem)?
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeyError::Signing),
    }
}

/// Says whether a PEM text holds a key that fits the algorithm, for the moment it is entered in a form.
pub fn check_private_key(pem: &SecretString, algorithm: SigningAlgorithm) -> Result<(), KeyError> {
    match algorithm {
        SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => rsa_key(pem, algorithm).map(drop),
        SigningAlgorithm::Es256 => ec_key(pem).map(drop),
    }
}

/// A JWT in JWS compact form (RFC 7515 §7.1) over these claims (RFC 7519 §4).
pub fn sign_jwt(
    claims: &Map<String, Value>,
    algorithm: SigningAlgorithm,
    key_id: Option<&str>,
    private_key_pem: &SecretString,
) -> Result<SecretString, KeyError> {
    let mut header = Map::new();
    header.insert("alg".into(), algorithm.as_str().into());
    header.insert("typ".into(), "JWT".into());
    if let Some(key_id) = key_id.filter(|key_id| !key_id.is_empty()) {
        header.insert("kid".into(), key_id.into());
    }
    let encode = |part: &Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part.clone()).to_string());
    let mut token = format!("{}.{}", encode(&header), encode(claims));
    let signature = sign(private_key_pem, algorithm, token.as_bytes())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(SecretString::from(token))
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    pub(crate) const RSA_PKCS8: &str = include_str!("../tests/keys/rsa_pkcs8.pem");
    pub(crate) const RSA_PKCS1: &str = include_str!("../tests/keys/rsa_pkcs1.pem");
    pub(crate) const EC_PKCS8: &str = include_str!("../tests/keys/ec_pkcs8.pem");
    pub(crate) const EC_SEC1: &str = include_str!("../tests/keys/ec_sec1.pem");
    const EC_P384: &str = include_str!("../tests/keys/ec_p384_pkcs8.pem");
    const ENCRYPTED: &str = include_str!("../tests/keys/rsa_pkcs8_encrypted.pem");
    const ENCRYPTED_LEGACY: &str = include_str!("../tests/keys/rsa_pkcs1_encrypted.pem");
    const PUBLIC: &str = include_str!("../tests/keys/rsa_public.pem");

    pub(crate) fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    /// Splits a JWT into header, claims, signed bytes and signature.
    pub(crate) fn open(token: &str) -> (Value, Value, Vec<u8>, Vec<u8>) {
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice(&bytes(part)).unwrap();
        let signed = token.rsplit_once('.').unwrap().0.as_bytes().to_vec();
        (json(parts[0]), json(parts[1]), signed, bytes(parts[2]))
    }

    fn verify(algorithm: SigningAlgorithm, signed: &[u8], signature: &[u8]) -> bool {
        let (alg, public): (&'static dyn VerificationAlgorithm, Vec<u8>) =
            if algorithm == SigningAlgorithm::Es256 {
                let key = ec_key(&secret(EC_PKCS8)).unwrap();
                (&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref().to_vec())
            } else {
                let key = rsa_key(&secret(RSA_PKCS8), algorithm).unwrap();
                let pss = algorithm == SigningAlgorithm::Ps256;
                let alg = if pss { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                (alg, key.public_key().as_ref().to_vec())
            };
        UnparsedPublicKey::new(alg, public).verify(signed, signature).is_ok()
    }

    #[test]
    fn every_algorithm_signs_with_every_form_of_key() {
        let claims = serde_json::json!({"iss": "client", "n": 1}).as_object().unwrap().clone();
        for (algorithm, pem) in [
            (SigningAlgorithm::Rs256, RSA_PKCS8),
            (SigningAlgorithm::Rs256, RSA_PKCS1),
            (SigningAlgorithm::Ps256, RSA_PKCS8),
            (SigningAlgorithm::Ps256, RSA_PKCS1),
            (SigningAlgorithm::Es256, EC_PKCS8),
            (SigningAlgorithm::Es256, EC_SEC1),
        ] {
            let token = sign_jwt(&claims, algorithm, Some("k1"), &secret(pem)).unwrap();
            let (header, body, signed, mut signature) = open(token.expose_secret());
            assert_eq!(header, serde_json::json!({"alg": algorithm.as_str(), "typ": "JWT", "kid": "k1"}));
            assert_eq!(body, Value::Object(claims.clone()));
            assert!(verify(algorithm, &signed, &signature), "{algorithm:?}");
            signature[7] ^= 1;
            assert!(!verify(algorithm, &signed, &signature), "{algorithm:?}");
            assert!(check_private_key(&secret(pem), algorithm).is_ok());
        }
    }

    #[test]
    fn a_key_may_come_with_escaped_or_foreign_line_ends_and_surroundings() {
        for text in [
            RSA_PKCS8.replace('\n', "\\n"),
            RSA_PKCS8.replace('\n', "\r\n"),
            format!("\n  {RSA_PKCS8}  \n"),
            format!("Bag Attributes\n    friendlyName: x\n{RSA_PKCS8}"),
        ] {
            assert!(check_private_key(&secret(&text), SigningAlgorithm::Rs256).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_unusable_key_says_so_and_how_to_mend_it() {
        let check = |pem: &str, algorithm| check_private_key(&secret(pem), algorithm).unwrap_err();
        let rs = SigningAlgorithm::Rs256;
        assert_eq!(check("", rs), KeyError::NotPem);
        assert_eq!(check("hunter2", rs), KeyError::NotPem);
        assert_eq!(check(&"x".repeat(MAX_PEM_BYTES + 1), rs), KeyError::NotPem);
        assert_eq!(check(&RSA_PKCS8[..400], rs), KeyError::Damaged);
        assert_eq!(check(&RSA_PKCS8.replacen("MII", "*II", 1), rs), KeyError::Damaged);
        assert_eq!(check(ENCRYPTED, rs), KeyError::Encrypted);
        assert_eq!(check(ENCRYPTED_LEGACY, rs), KeyError::Encrypted);
        assert_eq!(check(PUBLIC, rs), KeyError::Public);
        let garbage = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";
        for (pem, algorithm) in [
            (EC_PKCS8, rs),
            (EC_SEC1, SigningAlgorithm::Ps256),
            (garbage, rs),
            (RSA_PKCS8, SigningAlgorithm::Es256),
            (RSA_PKCS1, SigningAlgorithm::Es256),
            (EC_P384, SigningAlgorithm::Es256),
            (garbage, SigningAlgorithm::Es256),
        ] {
            assert!(matches!(check(pem, algorithm), KeyError::Unfit { .. }), "{pem} {algorithm:?}");
        }
        for fault in [KeyError::NotPem, KeyError::Damaged, KeyError::Encrypted, KeyError::Public] {
            let text = fault.to_string();
            assert!(text.starts_with("private_key: ") && text.contains("paste"), "{text}");
        }
    }

    #[test]
    fn algorithm_names_round_trip() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Ps256, SigningAlgorithm::Es256] {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert!("none".parse::<SigningAlgorithm>().is_err());
        assert!("HS256".parse::<SigningAlgorithm>().is_err());
    }
}

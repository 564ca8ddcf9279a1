//! Signed assertions: `private_key_jwt` and the JWT bearer grant (RFC 7523).

use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{App, clock};

/// How far the clocks may differ, in seconds.
const SKEW: i64 = 60;
/// The longest life of an assertion, in seconds.
const LONGEST_LIFE: i64 = 3600;

/// The claims of an assertion before its signature is verified, to learn whose it is.
pub(crate) fn unverified_claims(assertion: &str) -> Option<Map<String, Value>> {
    let payload = assertion.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Verifies signature, audience, times and single use; gives the claims.
pub(crate) fn verify(app: &App, assertion: &str, public_key: &[u8]) -> Result<Map<String, Value>, String> {
    let mut parts = assertion.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the assertion is no JWT".to_owned());
    };
    let decode =
        |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "the assertion is not base64url");
    let head: Map<String, Value> = serde_json::from_slice(&decode(header)?)
        .map_err(|_| "the header of the assertion is no JSON object")?;
    let algorithm: &dyn VerificationAlgorithm = match head.get("alg").and_then(Value::as_str) {
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("RS384") => &RSA_PKCS1_2048_8192_SHA384,
        Some("RS512") => &RSA_PKCS1_2048_8192_SHA512,
        Some("PS256") => &RSA_PSS_2048_8192_SHA256,
        Some("ES256") => &ECDSA_P256_SHA256_FIXED,
        Some("ES384") => &ECDSA_P384_SHA384_FIXED,
        Some("EdDSA") => &ED25519,
        _ => return Err("the algorithm of the assertion is not supported".to_owned()),
    };
    let signed = format!("{header}.{payload}");
    UnparsedPublicKey::new(algorithm, public_key)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| "the signature of the assertion is wrong")?;
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(payload)?).map_err(|_| "the assertion has no JSON claims")?;

    let expected = [app.base.to_string(), format!("{}/oauth2/token", app.base)];
    let meant_for_us = match claims.get("aud") {
        Some(Value::String(audience)) => expected.contains(audience),
        Some(Value::Array(audiences)) => audiences
            .iter()
            .filter_map(Value::as_str)
            .any(|audience| expected.iter().any(|known| known == audience)),
        _ => false,
    };
    if !meant_for_us {
        return Err("aud of the assertion is neither the issuer nor the token endpoint".to_owned());
    }
    let now = clock::unix();
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let Some(expires) = time("exp") else { return Err("the assertion has no exp".to_owned()) };
    if expires + SKEW < now {
        return Err("the assertion has expired".to_owned());
    }
    if expires > now + LONGEST_LIFE + SKEW {
        return Err("the assertion is valid for too long".to_owned());
    }
    if time("nbf").or_else(|| time("iat")).is_some_and(|start| start > now + SKEW) {
        return Err("the assertion is not valid yet".to_owned());
    }
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if let Some(id) = claims.get("jti").and_then(Value::as_str) {
        let life = Duration::from_secs(u64::try_from(expires + SKEW - now).unwrap_or_default());
        if !app.sandbox.state().first_use(format!("jti {issuer} {id}"), life) {
            return Err("the assertion was used before".to_owned());
        }
    }
    Ok(claims)
}

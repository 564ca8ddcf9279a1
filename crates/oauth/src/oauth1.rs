//! OAuth 1.0a: RFC 5849.
//!
//! Three requests of the flow, and [`authorization_header`] for every call afterwards.

use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use crate::answer::TokenError;
use crate::answer::{MAX_CODE_CHARS, MAX_DESCRIPTION_CHARS, clean, read, text};
pub use crate::encoding::RequestError;
use crate::encoding::{form_pairs, parse_url, percent_encode, with_query};
use crate::key::{KeyError, UnknownName};

/// How requests are signed (RFC 5849 §3.4; HMAC-SHA256 in its manner, as services offer it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureMethod {
    /// RFC 5849 §3.4.2.
    #[default]
    HmacSha1,
    /// RFC 5849 §3.4.2 with SHA-256.
    HmacSha256,
    /// RFC 5849 §3.4.3.
    RsaSha1,
    /// RFC 5849 §3.4.4: no signature at all, the secrets themselves. Only over TLS.
    Plaintext,
}

impl SignatureMethod {
    /// The value of `oauth_signature_method`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::RsaSha1 => "RSA-SHA1",
            Self::Plaintext => "PLAINTEXT",
        }
    }
}

impl FromStr for SignatureMethod {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "HMAC-SHA1" => Ok(Self::HmacSha1),
            "HMAC-SHA256" => Ok(Self::HmacSha256),
            "RSA-SHA1" => Ok(Self::RsaSha1),
            "PLAINTEXT" => Ok(Self::Plaintext),
            _ => Err(UnknownName { expected: "HMAC-SHA1, HMAC-SHA256, RSA-SHA1, PLAINTEXT" }),
        }
    }
}

/// The client's credentials (RFC 5849 §1.1).
#[derive(Clone, Copy)]
pub struct Consumer<'a> {
    /// The consumer key.
    pub key: &'a str,
    /// The consumer secret, which every method but RSA-SHA1 needs.
    pub secret: Option<&'a SecretString>,
    /// The private key in PEM (PKCS#8 or PKCS#1), which RSA-SHA1 needs.
    pub private_key_pem: Option<&'a SecretString>,
}

/// Temporary or token credentials (RFC 5849 §1.1).
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// `oauth_token`.
    pub token: &'a str,
    /// `oauth_token_secret`.
    pub secret: &'a SecretString,
}

/// Everything a signature is made of, but for the request.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// How to sign.
    pub method: SignatureMethod,
    /// The client.
    pub consumer: Consumer<'a>,
    /// The token, when there is one already.
    pub token: Option<Token<'a>>,
    /// `realm` of the header (RFC 5849 §3.5.1).
    pub realm: Option<&'a str>,
    /// At least 128 random bits as text, unlike all others (RFC 5849 §3.3).
    pub nonce: &'a str,
    /// Unix seconds (RFC 5849 §3.3).
    pub timestamp: i64,
}

/// Why a request could not be signed. The text names the parameter and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A URL is not one a request can go to.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The method needs a parameter that was not given.
    #[error("{parameter}: {method} needs it; enter it in the connection")]
    Missing {
        /// The connection parameter.
        parameter: &'static str,
        /// The signature method.
        method: &'static str,
    },
    /// The realm is not one a header can carry.
    #[error("realm: it has characters that an HTTP header cannot carry; correct it")]
    Realm,
    /// The URI to sign is not absolute.
    #[error("the address to sign must be absolute, with scheme and host")]
    RelativeUri,
    /// This build lacks RSA-SHA1.
    #[error("signature_method: this build has no RSA-SHA1 (feature `rsa-sha1`); use another method or build")]
    Unsupported,
}

/// RFC 5849 §3.4.1: the signature base string. `parameters` are the `oauth_…` ones of the header.
fn base_string(
    method: &Method,
    uri: &Uri,
    form_body: Option<&[u8]>,
    parameters: &[(&str, &str)],
) -> Result<String, SignError> {
    let scheme = uri.scheme_str().ok_or(SignError::RelativeUri)?.to_ascii_lowercase();
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(SignError::RelativeUri)?.to_ascii_lowercase();
    // §3.4.1.2: the port only where it is not the default of the scheme.
    let port = match (scheme.as_str(), uri.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    let address = format!("{scheme}://{host}{port}{path}");

    // §3.4.1.3.1: query, header, and form body; §3.4.1.3.2: encode, then sort by name, then by value.
    let mut pairs: Vec<(String, String)> = parameters
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .chain(form_pairs(uri.query().unwrap_or("").as_bytes()))
        .chain(form_pairs(form_body.unwrap_or(b"")))
        .filter(|(name, _)| name != b"oauth_signature")
        .map(|(name, value)| (percent_encode(&name), percent_encode(&value)))
        .collect();
    pairs.sort_unstable();
    let normalized: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();

    Ok(format!(
        "{}&{}&{}",
        percent_encode(method.as_str().to_ascii_uppercase().as_bytes()),
        percent_encode(address.as_bytes()),
        percent_encode(normalized.join("&").as_bytes()),
    ))
}

/// The two secrets, encoded and joined: the key of the HMAC methods (§3.4.2), the signature of PLAINTEXT (§3.4.4).
fn joined_secrets(signing: &Signing<'_>) -> Result<Zeroizing<String>, SignError> {
    let consumer = signing
        .consumer
        .secret
        .ok_or(SignError::Missing { parameter: "consumer_secret", method: signing.method.as_str() })?;
    let consumer = Zeroizing::new(percent_encode(consumer.expose_secret().as_bytes()));
    let token = signing.token.map_or("", |token| token.secret.expose_secret());
    let token = Zeroizing::new(percent_encode(token.as_bytes()));
    Ok(Zeroizing::new(format!("{}&{}", *consumer, *token)))
}

fn signature(signing: &Signing<'_>, base: &str) -> Result<Zeroizing<String>, SignError> {
    let hmac = |algorithm| -> Result<_, SignError> {
        let key = hmac::Key::new(algorithm, joined_secrets(signing)?.as_bytes());
        Ok(Zeroizing::new(STANDARD.encode(hmac::sign(&key, base.as_bytes()))))
    };
    match signing.method {
        SignatureMethod::HmacSha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SignatureMethod::HmacSha256 => hmac(hmac::HMAC_SHA256),
        SignatureMethod::Plaintext => joined_secrets(signing),
        SignatureMethod::RsaSha1 => {
            let pem = signing
                .consumer
                .private_key_pem
                .ok_or(SignError::Missing { parameter: "private_key", method: signing.method.as_str() })?;
            Ok(Zeroizing::new(STANDARD.encode(rsa_sha1(pem, base.as_bytes())?)))
        }
    }
}

/// RSASSA-PKCS1-v1_5 with SHA-1 (RFC 5849 §3.4.3), blinded.
#[cfg(feature = "rsa-sha1")]
fn rsa_sha1(pem: &SecretString, message: &[u8]) -> Result<Vec<u8>, SignError> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::{Pkcs1v15Sign, RsaPrivateKey};
    use rustls_pki_types::PrivateKeyDer;

    /// DER of the `DigestInfo` of SHA-1 up to the digest (RFC 8017 §9.2, note 1).
    const DIGEST_INFO: [u8; 15] = [0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14];

    let unfit = KeyError::Unfit { algorithm: "RSA-SHA1", needed: "an RSA key" };
    let key = match crate::key::parse_pem(pem)? {
        PrivateKeyDer::Pkcs8(der) => {
            RsaPrivateKey::from_pkcs8_der(der.secret_pkcs8_der()).map_err(|_| unfit)?
        }
        PrivateKeyDer::Pkcs1(der) => {
            RsaPrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).map_err(|_| unfit)?
        }
        _ => return Err(unfit.into()),
    };
    let padding = Pkcs1v15Sign { hash_len: Some(20), prefix: Box::new(DIGEST_INFO) };
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, message);
    key.sign_with_rng(&mut rsa::rand_core::OsRng, padding, hash.as_ref())
        .map_err(|_| KeyError::Signing.into())
}

#[cfg(not(feature = "rsa-sha1"))]
fn rsa_sha1(_: &SecretString, _: &[u8]) -> Result<Vec<u8>, SignError> {
    Err(SignError::Unsupported)
}

/// The `Authorization` header of a request (RFC 5849 §3.5.1), marked sensitive. `form_body` is the body when, and
/// only when, its content type is `application/x-www-form-urlencoded` (§3.4.1.3.1); `uri` must be the one that
/// is sent, byte for byte. `extra` are further protocol parameters such as `oauth_callback`.
pub fn authorization_header(
    signing: &Signing<'_>,
    method: &Method,
    uri: &Uri,
    form_body: Option<&[u8]>,
    extra: &[(&str, &str)],
) -> Result<HeaderValue, SignError> {
    let timestamp = signing.timestamp.to_string();
    let mut parameters = vec![
        ("oauth_consumer_key", signing.consumer.key),
        ("oauth_nonce", signing.nonce),
        ("oauth_signature_method", signing.method.as_str()),
        ("oauth_timestamp", timestamp.as_str()),
        ("oauth_version", "1.0"),
    ];
    if let Some(token) = signing.token {
        parameters.push(("oauth_token", token.token));
    }
    parameters.extend_from_slice(extra);
    let base = Zeroizing::new(base_string(method, uri, form_body, &parameters)?);
    let signature = signature(signing, &base)?;
    parameters.push(("oauth_signature", &signature));

    let mut pieces = Vec::with_capacity(parameters.len() + 1);
    if let Some(realm) = signing.realm {
        pieces.push(format!("realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    for (name, value) in parameters {
        pieces.push(format!("{}=\"{}\"", percent_encode(name.as_bytes()), percent_encode(value.as_bytes())));
    }
    let header = Zeroizing::new(format!("OAuth {}", pieces.join(", ")));
    // Everything else in it is percent-encoded: only the realm can be at fault.
    let mut header = HeaderValue::from_str(&header).map_err(|_| SignError::Realm)?;
    header.set_sensitive(true);
    Ok(header)
}

fn signed_post(
    signing: &Signing<'_>,
    parameter: &'static str,
    url: &str,
    extra: &[(&str, &str)],
) -> Result<Request<Bytes>, SignError> {
    let uri = parse_url(parameter, url)?;
    let header = authorization_header(signing, &Method::POST, &uri, None, extra)?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(AUTHORIZATION, header);
    Ok(request)
}

/// Asks for a request token (RFC 5849 §2.1). `signing` has no token yet; parameters of the service's own go into
/// the query of `request_token_url`. `callback` is `oob` where there is none.
pub fn request_token_request(
    signing: &Signing<'_>,
    request_token_url: &str,
    callback: &str,
) -> Result<Request<Bytes>, SignError> {
    signed_post(signing, "request_token_url", request_token_url, &[("oauth_callback", callback)])
}

/// Exchanges the request token, which `signing` holds, for an access token (RFC 5849 §2.3).
pub fn access_token_request(
    signing: &Signing<'_>,
    access_token_url: &str,
    verifier: &SecretString,
) -> Result<Request<Bytes>, SignError> {
    let extra = [("oauth_verifier", verifier.expose_secret())];
    signed_post(signing, "access_token_url", access_token_url, &extra)
}

/// Where to send the browser (RFC 5849 §2.2). `extra` cannot replace the token.
pub fn authorize_url(url: &str, token: &str, extra: &[(String, String)]) -> Result<String, RequestError> {
    parse_url("authorize_url", url)?;
    let mut parameters = vec![("oauth_token", token)];
    for (name, value) in extra {
        if name == "oauth_token" {
            return Err(RequestError::ReservedParameter { name: name.clone() });
        }
        parameters.push((name, value));
    }
    Ok(with_query(url, &parameters))
}

/// Temporary credentials (RFC 5849 §2.1).
pub struct RequestToken {
    /// `oauth_token`, which comes back in the callback.
    pub token: String,
    /// `oauth_token_secret`.
    pub secret: SecretString,
    /// `oauth_callback_confirmed`: RFC 5849 §2.1 demands that it is there and true. A service that leaves it out
    /// speaks OAuth 1.0 without the mend of its session fixation.
    pub callback_confirmed: bool,
}

/// Token credentials (RFC 5849 §2.3).
pub struct AccessToken {
    /// `oauth_token`.
    pub token: String,
    /// `oauth_token_secret`; some services leave it empty.
    pub secret: SecretString,
    /// Everything else in the answer, such as `user_id` and `screen_name`.
    pub parameters: Vec<(String, String)>,
}

/// Reads the answer to a request token request (RFC 5849 §2.1).
pub fn parse_request_token(response: &Response<Bytes>, now: i64) -> Result<RequestToken, TokenError> {
    let mut members = read_credentials(response, now)?;
    let callback_confirmed = match members.get("oauth_callback_confirmed") {
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        Some(Value::Bool(confirmed)) => *confirmed,
        _ => false,
    };
    let (token, secret) = credentials(response, &mut members)?;
    Ok(RequestToken { token, secret, callback_confirmed })
}

/// Reads the answer to an access token request (RFC 5849 §2.3).
pub fn parse_access_token(response: &Response<Bytes>, now: i64) -> Result<AccessToken, TokenError> {
    let mut members = read_credentials(response, now)?;
    let (token, secret) = credentials(response, &mut members)?;
    let parameters = members
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect();
    Ok(AccessToken { token, secret, parameters })
}

fn credentials(
    response: &Response<Bytes>,
    members: &mut Map<String, Value>,
) -> Result<(String, SecretString), TokenError> {
    let missing = |reason| TokenError::unreadable(response.status(), reason);
    let token = text(members, "oauth_token").ok_or(missing("it has no oauth_token"))?.to_owned();
    let Some(Value::String(secret)) = members.remove("oauth_token_secret") else {
        return Err(missing("it has no oauth_token_secret"));
    };
    members.remove("oauth_token");
    Ok((token, SecretString::from(secret)))
}

/// Like answers of OAuth 2.0, but a refusal may be a bare status (RFC 5849 §3.2 names 400 and 401), with its reason in
/// plain text or in `WWW-Authenticate`.
fn read_credentials(response: &Response<Bytes>, now: i64) -> Result<Map<String, Value>, TokenError> {
    match read(response, now) {
        Err(TokenError::Unreadable { status, .. }) if matches!(status, 400 | 401 | 403) => {
            let stated =
                response.headers().get(WWW_AUTHENTICATE).and_then(|value| problem(value.to_str().ok()?));
            let code = stated.unwrap_or_else(|| {
                match status {
                    400 => "bad_request",
                    401 => "unauthorized",
                    _ => "forbidden",
                }
                .to_owned()
            });
            let plain = std::str::from_utf8(response.body()).unwrap_or("").trim();
            let description = Some(plain)
                .filter(|text| !text.starts_with(['<', '{', '[']))
                .map(|text| clean(text, MAX_DESCRIPTION_CHARS))
                .filter(|text| !text.is_empty());
            Err(TokenError::Refused { code, description, status })
        }
        other => other,
    }
}

/// `oauth_problem` of a `WWW-Authenticate: OAuth …` header.
fn problem(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("oauth_problem=")?;
    let end = |c: char| matches!(c, '"' | ',' | '&') || c.is_whitespace();
    let code = rest.trim_start_matches('"').split(end).next()?;
    let code = clean(code, MAX_CODE_CHARS);
    (!code.is_empty()).then_some(code)
}

#[cfg(test)]
mod tests;

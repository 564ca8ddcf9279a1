//! OAuth 2.0: RFC 6749 and its companions.
//!
//! Build a request, send it, hand the answer to the `parse_…` function of the same name.

mod answer;
mod authorize;
mod device;
mod request;

pub use answer::{
    PushedAuthorization, TokenAnswer, TokenQuirks, parse_pushed_authorization, parse_revocation,
    parse_token_response,
};
pub use authorize::{
    AuthorizeRequest, authorize_parameters, authorize_url, authorize_url_for_request_uri, pkce_challenge,
};
pub use device::{
    DeviceAuthorization, DeviceTokenAnswer, device_authorization_request, device_token_request,
    parse_device_authorization, parse_device_token_response,
};
pub use request::{
    ASSERTION_LIFETIME_SECONDS, JwtGrant, client_credentials_request, code_request, jwt_bearer_request,
    pushed_authorization_request, refresh_request, revocation_request,
};

pub use crate::answer::TokenError;
pub use crate::encoding::RequestError;
pub use crate::key::SigningAlgorithm;
use secrecy::SecretString;

/// How a client proves itself to the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2).
#[derive(Clone, Copy)]
pub enum ClientAuthentication<'a> {
    /// Not at all: a public client sends its id alone (RFC 6749 §3.2.1).
    None,
    /// HTTP Basic with form-encoded id and secret (RFC 6749 §2.3.1). The id is not repeated in the body.
    SecretBasic(&'a SecretString),
    /// Id and secret in the body (RFC 6749 §2.3.1).
    SecretPost(&'a SecretString),
    /// A JWT signed with the client's private key (RFC 7523 §2.2 and §3). The id is sent beside it, which
    /// RFC 7521 §4.2 allows and some servers demand.
    PrivateKeyJwt {
        /// The key: PKCS#8, PKCS#1 or SEC1 in PEM.
        private_key_pem: &'a SecretString,
        /// `kid` of the JWT's header.
        key_id: Option<&'a str>,
        /// `alg` of the JWT's header.
        algorithm: SigningAlgorithm,
    },
}

/// The organization's own client at the service.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The client's id.
    pub client_id: &'a str,
    /// What the service calls it; `client_id` but for a few.
    pub client_id_name: &'a str,
    /// How it proves itself.
    pub authentication: ClientAuthentication<'a>,
}

/// Method of token requests: POST (RFC 6749 §3.2), or GET for the services that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenMethod {
    /// POST with a body.
    #[default]
    Post,
    /// GET with everything in the query.
    Get,
}

/// Encoding of the body of token requests: a form (RFC 6749 Appendix B), or JSON for the services that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenEncoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// `application/json`, every value a string.
    Json,
}

/// A token endpoint (RFC 6749 §3.2) and what is odd about it.
#[derive(Clone, Copy)]
pub struct TokenEndpoint<'a> {
    /// Its URL.
    pub url: &'a str,
    /// The method it takes.
    pub method: TokenMethod,
    /// The encoding it takes.
    pub encoding: TokenEncoding,
    /// Extra parameters; one with the name of a parameter of the protocol replaces it, with an empty value removes it.
    pub parameters: &'a [(String, String)],
    /// Extra headers; one with the name of a header of the protocol replaces it.
    pub headers: &'a [(String, String)],
    /// `aud` of client assertions; the URL when there is none.
    pub assertion_audience: Option<&'a str>,
}

/// When a request is made, and a value that makes it unlike all others.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Unix seconds.
    pub now: i64,
    /// At least 128 random bits as text: `jti` of assertions. Never use one twice.
    pub nonce: &'a str,
}

//! OAuth 2.0, OAuth 1.0a and JWT assertions, sans-IO: `http` types in, `http` types out.
//!
//! This crate builds the requests of the protocols and reads their answers. It sends nothing, reads no
//! clock (the time comes in as unix seconds) and draws no randomness where the caller can pass it in
//! (nonces, PKCE verifiers); only the signature algorithms that need randomness draw their own.
//!
//! * [`oauth2`]: RFC 6749 and its companions (7009, 7523, 7636, 8628, 9126, 9207)
//! * [`oauth1`]: RFC 5849
//! * [`parse_callback`]: what a browser brings back to the redirect URI, for both
//!
//! Secrets go in and come out as [`secrecy::SecretString`]; no type that holds one implements `Debug`,
//! `Display` or `Serialize`, and no error carries one.

mod answer;
mod callback;
mod encoding;
mod key;
pub mod oauth1;
pub mod oauth2;

pub use answer::TokenError;
pub use callback::{
    Callback, CallbackFault, IssuerMismatch, MAX_CALLBACK_BYTES, MAX_CALLBACK_PARAMETERS, check_issuer,
    parse_callback,
};
pub use encoding::RequestError;
pub use key::{KeyError, SigningAlgorithm, UnknownName, check_private_key, sign_jwt};

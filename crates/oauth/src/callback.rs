//! What a browser brings back to the redirect URI: RFC 6749 §4.1.2, RFC 9207 §2, RFC 5849 §2.2.

use secrecy::SecretString;

use crate::answer::{MAX_CODE_CHARS, MAX_DESCRIPTION_CHARS, clean};
use crate::encoding::form_pairs;

/// A longer query is refused unread.
pub const MAX_CALLBACK_BYTES: usize = 16 * 1024;
/// More parameters are refused.
pub const MAX_CALLBACK_PARAMETERS: usize = 64;

/// The parameters of a callback, of OAuth 2.0 and 1.0a alike. An empty value counts as absent (RFC 6749 §3.1).
/// Where there is a [`fault`](Self::fault) every other field is empty, so that nothing of it can be used.
#[derive(Default)]
pub struct Callback {
    /// `state`.
    pub state: Option<String>,
    /// `code`, the authorization code.
    pub code: Option<SecretString>,
    /// `error`, cleaned for display.
    pub error: Option<String>,
    /// `error_description`, cleaned for display.
    pub error_description: Option<String>,
    /// `iss` (RFC 9207 §2).
    pub iss: Option<String>,
    /// `oauth_token`, the request token of OAuth 1.0a.
    pub oauth_token: Option<String>,
    /// `oauth_verifier` of OAuth 1.0a.
    pub oauth_verifier: Option<SecretString>,
    /// `denied`: the request token the user refused, as OAuth 1.0a services send it.
    pub denied: Option<String>,
    /// Every other parameter, in order, repeated ones included; see [`Self::other`].
    pub others: Vec<(String, String)>,
    /// Why the callback must not be used.
    pub fault: Option<CallbackFault>,
}

/// Why a callback is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    /// The query is longer than [`MAX_CALLBACK_BYTES`].
    #[error("the callback is longer than 16 KiB")]
    TooLong,
    /// There are more than [`MAX_CALLBACK_PARAMETERS`].
    #[error("the callback has more than 64 parameters")]
    TooMany,
    /// A parameter the protocol rests on came twice (RFC 6749 §3.1).
    #[error("the callback has the parameter `{name}` more than once")]
    Repeated {
        /// Which one.
        name: &'static str,
    },
}

impl Callback {
    /// A parameter of the service's own, such as QuickBooks' `realmId`: `None` when it is absent, and when it
    /// came more than once, since nobody can say which is meant.
    pub fn other(&self, name: &str) -> Option<&str> {
        let mut found = self.others.iter().filter(|(present, _)| present == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// Reads the query of a callback. Never fails: what is wrong stands in [`Callback::fault`].
pub fn parse_callback(query: &str) -> Callback {
    read(query).unwrap_or_else(|fault| Callback { fault: Some(fault), ..Callback::default() })
}

fn read(query: &str) -> Result<Callback, CallbackFault> {
    if query.len() > MAX_CALLBACK_BYTES {
        return Err(CallbackFault::TooLong);
    }
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs = form_pairs(query.as_bytes());
    if pairs.len() > MAX_CALLBACK_PARAMETERS {
        return Err(CallbackFault::TooMany);
    }
    let mut known = Known::default();
    let mut others = Vec::new();
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(&name).into_owned();
        let value = String::from_utf8_lossy(&value).into_owned();
        if let Some(value) = known.take(&name, value)? {
            others.push((name, value));
        }
    }
    let [state, code, error, error_description, iss, oauth_token, oauth_verifier, denied] =
        known.0.map(|value| value.filter(|text| !text.is_empty()));
    Ok(Callback {
        state,
        code: code.map(SecretString::from),
        error: error.map(|text| clean(&text, MAX_CODE_CHARS)),
        error_description: error_description.map(|text| clean(&text, MAX_DESCRIPTION_CHARS)),
        iss,
        oauth_token,
        oauth_verifier: oauth_verifier.map(SecretString::from),
        denied,
        others,
        fault: None,
    })
}

const KNOWN: [&str; 8] =
    ["state", "code", "error", "error_description", "iss", "oauth_token", "oauth_verifier", "denied"];

/// The values of [`KNOWN`], in its order.
#[derive(Default)]
struct Known([Option<String>; 8]);

impl Known {
    /// Keeps the value of a known parameter, hands back any other.
    fn take(&mut self, name: &str, value: String) -> Result<Option<String>, CallbackFault> {
        for (known, slot) in KNOWN.into_iter().zip(&mut self.0) {
            if known == name {
                return match slot.replace(value) {
                    None => Ok(None),
                    Some(_) => Err(CallbackFault::Repeated { name: known }),
                };
            }
        }
        Ok(Some(value))
    }
}

/// The callback does not come from the authorization server it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerMismatch {
    /// `iss` is missing though the connector names an issuer.
    #[error("the callback names no issuer (`iss`), and the connector demands one")]
    Missing,
    /// `iss` is another one.
    #[error("the callback comes from another issuer than the connector's")]
    Different,
}

/// RFC 9207 §2.4: where an issuer is expected, `iss` must be present and the same string, with no
/// normalization whatsoever. Where none is expected, none is checked.
pub fn check_issuer(expected: Option<&str>, got: Option<&str>) -> Result<(), IssuerMismatch> {
    match (expected, got) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(IssuerMismatch::Missing),
        (Some(expected), Some(got)) if expected == got => Ok(()),
        (Some(_), Some(_)) => Err(IssuerMismatch::Different),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_code_arrives_with_the_parameters_of_the_service() {
        let callback =
            parse_callback("?code=Spl%2Fxl+OBe&state=xyz&iss=https%3A%2F%2Fas.example&realmId=123&x=");
        assert_eq!(callback.fault, None);
        assert_eq!(callback.code.as_ref().map(ExposeSecret::expose_secret), Some("Spl/xl OBe"));
        assert_eq!(callback.state.as_deref(), Some("xyz"));
        assert_eq!(callback.iss.as_deref(), Some("https://as.example"));
        assert_eq!(callback.other("realmId"), Some("123"));
        assert_eq!(callback.other("x"), Some(""));
        assert_eq!(callback.other("code"), None);
    }

    #[test]
    fn a_refusal_is_cleaned_for_display() {
        let callback =
            parse_callback("error=access_denied&error_description=no%0A%1b%5B31m%E2%80%AEway&state=s");
        assert_eq!(callback.error.as_deref(), Some("access_denied"));
        assert_eq!(callback.error_description.as_deref(), Some("no [31mway"));
        let long = parse_callback(&format!("error=x&error_description={}", "ab".repeat(900)));
        assert_eq!(long.error_description.unwrap().chars().count(), MAX_DESCRIPTION_CHARS);
    }

    #[test]
    fn oauth1_callbacks_are_read_too() {
        let callback = parse_callback("oauth_token=hh5s93j4hdidpola&oauth_verifier=hfdp7dh39dks9884");
        assert_eq!(callback.oauth_token.as_deref(), Some("hh5s93j4hdidpola"));
        let verifier = callback.oauth_verifier.unwrap();
        assert_eq!(verifier.expose_secret(), "hfdp7dh39dks9884");
        assert_eq!(parse_callback("denied=abc").denied.as_deref(), Some("abc"));
    }

    #[test]
    fn a_repeated_parameter_spoils_the_whole_callback() {
        for name in KNOWN {
            for query in [format!("{name}=a&{name}=b"), format!("{name}=&state2=x&{name}=b")] {
                let callback = parse_callback(&query);
                assert_eq!(callback.fault, Some(CallbackFault::Repeated { name }), "{query}");
                assert!(callback.code.is_none() && callback.state.is_none() && callback.others.is_empty());
            }
        }
        let hidden = parse_callback("state=s&code=a&c%6Fde=b");
        assert_eq!(hidden.fault, Some(CallbackFault::Repeated { name: "code" }));
        let other = parse_callback("state=s&code=a&realmId=1&realmId=2");
        assert_eq!((other.fault.clone(), other.other("realmId")), (None, None));
    }

    #[test]
    fn empty_values_count_as_absent() {
        let callback = parse_callback("code=&state&error=&oauth_verifier=");
        assert!(callback.code.is_none() && callback.state.is_none() && callback.error.is_none());
        assert!(callback.oauth_verifier.is_none() && callback.fault.is_none());
    }

    #[test]
    fn the_bounds_hold() {
        let fill = |length: usize| format!("a={}", "x".repeat(length - 2));
        assert_eq!(parse_callback(&fill(MAX_CALLBACK_BYTES)).fault, None);
        assert_eq!(parse_callback(&fill(MAX_CALLBACK_BYTES + 1)).fault, Some(CallbackFault::TooLong));
        assert_eq!(parse_callback(&"a=1&".repeat(MAX_CALLBACK_PARAMETERS)).fault, None);
        let many = "a=1&".repeat(MAX_CALLBACK_PARAMETERS + 1);
        assert_eq!(parse_callback(&many).fault, Some(CallbackFault::TooMany));
    }

    #[test]
    fn an_issuer_is_compared_byte_for_byte() {
        let expected = Some("https://as.example");
        assert_eq!(check_issuer(expected, Some("https://as.example")), Ok(()));
        assert_eq!(check_issuer(expected, None), Err(IssuerMismatch::Missing));
        for other in ["https://as.example/", "https://AS.example", "https://as.example:443", ""] {
            assert_eq!(check_issuer(expected, Some(other)), Err(IssuerMismatch::Different), "{other}");
        }
        assert_eq!(check_issuer(None, Some("https://anyone.example")), Ok(()));
        assert_eq!(check_issuer(None, None), Ok(()));
    }

    proptest! {
        #[test]
        fn reading_never_panics(query in ".{0,200}") {
            let _ = parse_callback(&query);
        }

        #[test]
        fn reading_dense_queries_never_panics(query in "(code|state|iss|denied|%|=|&|\\+|%f[0-9]|x){0,40}") {
            let callback = parse_callback(&query);
            prop_assert!(callback.fault.is_none() || callback.code.is_none());
        }
    }
}

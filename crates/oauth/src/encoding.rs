//! Percent and form encoding, and URLs with parameters added to their query.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::key::KeyError;

/// Everything but the unreserved characters of RFC 3986 §2.3, as RFC 5849 §3.6 demands.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request could not be built. The text names the parameter and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A URL of the connector is not one a request can go to.
    #[error("{parameter}: {reason}; give a full https URL without user name, password or fragment")]
    Url {
        /// Which field holds the URL.
        parameter: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An extra header is not one HTTP can carry.
    #[error("the header `{name}` has a name or value that HTTP cannot carry; correct it in the connector")]
    Header {
        /// The header's name as given.
        name: String,
    },
    /// An extra parameter would replace one that protects the flow.
    #[error("the parameter `{name}` is set by the flow itself; remove it from authorize_parameters")]
    ReservedParameter {
        /// The parameter's name.
        name: String,
    },
    /// The PKCE verifier breaks RFC 7636 §4.1.
    #[error("the PKCE verifier must have 43 to 128 characters out of A-Z a-z 0-9 - . _ ~ (RFC 7636 §4.1)")]
    Verifier,
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// RFC 5849 §3.6: every byte but the unreserved characters as `%XX`, upper case.
pub(crate) fn percent_encode(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, ENCODED).to_string()
}

/// Decodes one name or value of `application/x-www-form-urlencoded`, to bytes: nothing is lost.
pub(crate) fn form_decode(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_encoding::percent_decode(&spaced).collect()
}

/// Splits `application/x-www-form-urlencoded` into decoded pairs; empty pieces between `&` are skipped.
pub(crate) fn form_pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    text.split(|&byte| byte == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => (form_decode(&piece[..at]), form_decode(&piece[at + 1..])),
            None => (form_decode(piece), Vec::new()),
        })
        .collect()
}

/// An absolute http or https URL without user info and fragment.
pub(crate) fn parse_url(parameter: &'static str, url: &str) -> Result<Uri, RequestError> {
    let wrong = |reason| RequestError::Url { parameter, reason };
    if url.contains('#') {
        return Err(wrong("it has a fragment (`#…`)"));
    }
    let uri: Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it does not start with https://"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(wrong("it carries a user name")),
        Some(authority) if !authority.host().is_empty() => Ok(uri),
        _ => Err(wrong("it has no host")),
    }
}

/// The URL with `parameters` in its query. What the query already holds is kept byte for byte (RFC 6749
/// §3.1), except where a parameter of the same name takes its place: none may appear twice.
pub(crate) fn with_query<N: AsRef<str>, V: AsRef<str>>(url: &str, parameters: &[(N, V)]) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut pieces: Vec<String> = query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .filter(|piece| {
            let name = form_decode(piece.split('=').next().unwrap_or(piece).as_bytes());
            !parameters.iter().any(|(ours, _)| ours.as_ref().as_bytes() == name)
        })
        .map(str::to_owned)
        .collect();
    for (name, value) in parameters {
        let name = percent_encode(name.as_ref().as_bytes());
        pieces.push(format!("{name}={}", percent_encode(value.as_ref().as_bytes())));
    }
    if pieces.is_empty() { base.to_owned() } else { format!("{base}?{}", pieces.join("&")) }
}

/// Whether the query of `url` has a parameter of this name.
pub(crate) fn query_has(url: &str, name: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    form_pairs(query.as_bytes()).iter().any(|(present, _)| present == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_unreserved_characters_stay() {
        assert_eq!(percent_encode(b"AZaz09-._~"), "AZaz09-._~");
        assert_eq!(percent_encode(b" !*'()+/=&%"), "%20%21%2A%27%28%29%2B%2F%3D%26%25");
        assert_eq!(percent_encode("\u{2603}".as_bytes()), "%E2%98%83");
    }

    #[test]
    fn a_query_is_kept_and_never_holds_a_name_twice() {
        assert_eq!(with_query("https://a/b", &[("x", "1 2")]), "https://a/b?x=1%202");
        assert_eq!(with_query("https://a/b?k=%41+c&", &[("x", "1")]), "https://a/b?k=%41+c&x=1");
        assert_eq!(with_query("https://a/b?x=0&%78=9&k", &[("x", "1")]), "https://a/b?k&x=1");
        assert_eq!(with_query::<&str, &str>("https://a/b?", &[]), "https://a/b");
    }

    #[test]
    fn only_plain_urls_pass() {
        assert!(parse_url("token_url", "https://a.example/token?x=1").is_ok());
        assert!(parse_url("token_url", "http://[::1]:8080/token").is_ok());
        for bad in
            ["", "/token", "ftp://a/", "https://u:p@a/", "https://a/#f", "https://", "https:///x", "a b"]
        {
            assert!(parse_url("token_url", bad).is_err(), "{bad}");
        }
        let text = parse_url("token_url", "https://u:hunter2@a/").unwrap_err().to_string();
        assert!(text.starts_with("token_url: ") && !text.contains("hunter2"), "{text}");
    }

    proptest! {
        #[test]
        fn percent_encoding_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = percent_encode(&bytes);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(form_decode(text.as_bytes()), bytes);
        }

        #[test]
        fn form_pairs_agree_with_form_urlencoded(text in "[a-c=&+%0-9]{0,24}") {
            let ours: Vec<_> = form_pairs(text.as_bytes()).into_iter()
                .map(|(n, v)| (String::from_utf8_lossy(&n).into_owned(), String::from_utf8_lossy(&v).into_owned()))
                .collect();
            let theirs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}

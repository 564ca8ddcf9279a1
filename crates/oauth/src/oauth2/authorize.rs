//! The way of the browser to the service: RFC 6749 §4.1.1, RFC 7636, RFC 9126 §4.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Client;
use crate::encoding::{RequestError, parse_url, query_has, with_query};

/// What goes into an authorization request (RFC 6749 §4.1.1).
#[derive(Clone, Copy)]
pub struct AuthorizeRequest<'a> {
    /// The authorization endpoint; it may already have a query, which is kept (RFC 6749 §3.1).
    pub authorize_url: &'a str,
    /// What the service calls the client's id; `client_id` but for a few.
    pub client_id_name: &'a str,
    /// The client's id.
    pub client_id: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// The value that ties the callback to the flow (RFC 6749 §10.12).
    pub state: &'a str,
    /// Scopes to ask for; without any, the parameter is left out.
    pub scopes: &'a [String],
    /// What stands between them; a space in RFC 6749 §3.3.
    pub scope_delimiter: &'a str,
    /// The challenge of [`pkce_challenge`]; sent with method `S256`.
    pub pkce_challenge: Option<&'a str>,
    /// `authorize_parameters` of the connector. They may replace `response_type` and `scope`, with an empty value
    /// remove them, and add any other; those that protect the flow they may not touch.
    pub parameters: &'a [(String, String)],
}

/// RFC 7636 §4.2: the S256 challenge of a verifier.
pub fn pkce_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
pub(super) fn check_verifier(verifier: &str) -> Result<(), RequestError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if (43..=128).contains(&verifier.len()) && verifier.bytes().all(allowed) {
        Ok(())
    } else {
        Err(RequestError::Verifier)
    }
}

/// The parameters of an authorization request, for [`authorize_url`] or to be pushed (RFC 9126 §2.1). A
/// `response_type` in the query of the authorization URL takes the place of `code`, unless overridden.
pub fn authorize_parameters(request: &AuthorizeRequest<'_>) -> Result<Vec<(String, String)>, RequestError> {
    let reserved = [
        "client_id",
        request.client_id_name,
        "redirect_uri",
        "state",
        "code_challenge",
        "code_challenge_method",
    ];
    let reserved_too = ["request_uri", "request"];
    if let Some((name, _)) = request
        .parameters
        .iter()
        .find(|(name, _)| reserved.contains(&name.as_str()) || reserved_too.contains(&name.as_str()))
    {
        return Err(RequestError::ReservedParameter { name: name.clone() });
    }
    let scope = request.scopes.join(request.scope_delimiter);
    let mut parameters = vec![
        (request.client_id_name, request.client_id),
        ("redirect_uri", request.redirect_uri),
        ("state", request.state),
    ];
    if !query_has(request.authorize_url, "response_type") {
        parameters.push(("response_type", "code"));
    }
    if !scope.is_empty() {
        parameters.push(("scope", scope.as_str()));
    }
    if let Some(challenge) = request.pkce_challenge {
        parameters.push(("code_challenge", challenge));
        parameters.push(("code_challenge_method", "S256"));
    }
    let mut parameters: Vec<(String, String)> =
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    override_with(&mut parameters, request.parameters);
    Ok(parameters)
}

/// Extra parameters: one of the same name is replaced, or removed when the value is empty; others are added.
pub(super) fn override_with(parameters: &mut Vec<(String, String)>, extra: &[(String, String)]) {
    for (name, value) in extra {
        match parameters.iter_mut().find(|(present, _)| present == name) {
            Some(_) if value.is_empty() => parameters.retain(|(present, _)| present != name),
            Some((_, present)) => present.clone_from(value),
            None => parameters.push((name.clone(), value.clone())),
        }
    }
}

/// Where to send the browser (RFC 6749 §4.1.1).
pub fn authorize_url(request: &AuthorizeRequest<'_>) -> Result<String, RequestError> {
    parse_url("authorize_url", request.authorize_url)?;
    Ok(with_query(request.authorize_url, &authorize_parameters(request)?))
}

/// Where to send the browser once the parameters were pushed: the client's id and the `request_uri`, and
/// nothing else (RFC 9126 §4).
pub fn authorize_url_for_request_uri(
    authorize_url: &str,
    client: &Client<'_>,
    request_uri: &str,
) -> Result<String, RequestError> {
    parse_url("authorize_url", authorize_url)?;
    let parameters = [(client.client_id_name, client.client_id), ("request_uri", request_uri)];
    Ok(with_query(authorize_url, &parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth2::ClientAuthentication;

    fn request<'a>(scopes: &'a [String], parameters: &'a [(String, String)]) -> AuthorizeRequest<'a> {
        AuthorizeRequest {
            authorize_url: "https://as.example/authorize",
            client_id_name: "client_id",
            client_id: "s6BhdRkqt3",
            redirect_uri: "https://app.example/oauth/callback",
            state: "xyz",
            scopes,
            scope_delimiter: " ",
            pkce_challenge: None,
            parameters,
        }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn pkce_matches_rfc_7636_appendix_b() {
        let challenge = pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_keep_to_rfc_7636() {
        assert_eq!(check_verifier(&"a".repeat(43)), Ok(()));
        assert_eq!(check_verifier(&"~".repeat(128)), Ok(()));
        for bad in ["a".repeat(42), "a".repeat(129), "+".repeat(43), "\u{e9}".repeat(43)] {
            assert_eq!(check_verifier(&bad), Err(RequestError::Verifier));
        }
    }

    #[test]
    fn a_plain_request_has_what_rfc_6749_asks_for() {
        assert_eq!(
            authorize_url(&request(&[], &[])).unwrap(),
            "https://as.example/authorize?client_id=s6BhdRkqt3\
             &redirect_uri=https%3A%2F%2Fapp.example%2Foauth%2Fcallback&state=xyz&response_type=code"
        );
    }

    #[test]
    fn scopes_pkce_and_odd_names_are_placed() {
        let scopes = ["a.read".to_owned(), "b:write".to_owned()];
        let extra = [pair("access_type", "offline"), pair("audience", "a&b")];
        let url = authorize_url(&AuthorizeRequest {
            authorize_url: "https://as.example/authorize?prompt=a%20b",
            client_id_name: "client_key",
            scope_delimiter: ",",
            pkce_challenge: Some("CHALLENGE"),
            ..request(&scopes, &extra)
        })
        .unwrap();
        assert_eq!(
            url,
            "https://as.example/authorize?prompt=a%20b&client_key=s6BhdRkqt3\
             &redirect_uri=https%3A%2F%2Fapp.example%2Foauth%2Fcallback&state=xyz&response_type=code\
             &scope=a.read%2Cb%3Awrite&code_challenge=CHALLENGE&code_challenge_method=S256\
             &access_type=offline&audience=a%26b"
        );
    }

    #[test]
    fn extra_parameters_replace_or_remove_but_not_the_protection() {
        let scopes = ["a".to_owned()];
        let extra = [pair("response_type", "code id_token"), pair("scope", ""), pair("user_scope", "b")];
        let url = authorize_url(&request(&scopes, &extra)).unwrap();
        assert!(url.ends_with("&state=xyz&response_type=code%20id_token&user_scope=b"), "{url}");
        for name in
            ["state", "client_id", "redirect_uri", "code_challenge", "code_challenge_method", "request_uri"]
        {
            let extra = [pair(name, "x")];
            let error = authorize_url(&request(&scopes, &extra)).unwrap_err();
            assert_eq!(error, RequestError::ReservedParameter { name: name.to_owned() });
        }
    }

    #[test]
    fn the_urls_own_query_never_doubles_a_parameter() {
        let scopes = ["a".to_owned()];
        let url = authorize_url(&AuthorizeRequest {
            authorize_url: "https://as.example/authorize?response_type=code%20token&state=evil&scope=z",
            ..request(&scopes, &[])
        })
        .unwrap();
        assert!(
            url.starts_with("https://as.example/authorize?response_type=code%20token&client_id="),
            "{url}"
        );
        assert_eq!(url.matches("state=").count(), 1);
        assert_eq!(url.matches("response_type=").count(), 1);
        assert!(url.contains("&scope=a") && !url.contains("scope=z"));
    }

    #[test]
    fn a_fragment_is_refused() {
        let request = AuthorizeRequest { authorize_url: "https://as.example/#x", ..request(&[], &[]) };
        assert!(matches!(authorize_url(&request), Err(RequestError::Url { parameter: "authorize_url", .. })));
    }

    #[test]
    fn a_pushed_request_leaves_two_parameters() {
        let client = Client {
            client_id: "a b",
            client_id_name: "client_id",
            authentication: ClientAuthentication::None,
        };
        let url =
            authorize_url_for_request_uri("https://as.example/a", &client, "urn:ietf:params:x").unwrap();
        assert_eq!(url, "https://as.example/a?client_id=a%20b&request_uri=urn%3Aietf%3Aparams%3Ax");
    }
}

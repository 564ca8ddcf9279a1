//! Requests to the endpoints of an authorization server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::authorize::{check_verifier, override_with};
use super::{
    Client, ClientAuthentication, Moment, SigningAlgorithm, TokenEncoding, TokenEndpoint, TokenMethod,
};
use crate::encoding::{RequestError, parse_url, with_query};
use crate::key::sign_jwt;

/// How long an assertion is good for: long enough for clocks that differ, short enough for servers that
/// demand little (RFC 7523 §3, items 4 and 5).
pub const ASSERTION_LIFETIME_SECONDS: i64 = 120;

const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) type Parameters = Vec<(String, String)>;

pub(super) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Exchanges an authorization code (RFC 6749 §4.1.3, with the verifier of RFC 7636 §4.5).
pub fn code_request(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    code: &SecretString,
    redirect_uri: &str,
    verifier: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let mut parameters = vec![
        pair("grant_type", "authorization_code"),
        pair("code", code.expose_secret()),
        pair("redirect_uri", redirect_uri),
    ];
    if let Some(verifier) = verifier {
        check_verifier(verifier)?;
        parameters.push(pair("code_verifier", verifier));
    }
    token_request(Some(client), endpoint, parameters, moment)
}

/// Refreshes a token (RFC 6749 §6).
pub fn refresh_request(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    refresh_token: &SecretString,
    scope: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let mut parameters =
        vec![pair("grant_type", "refresh_token"), pair("refresh_token", refresh_token.expose_secret())];
    push_scope(&mut parameters, scope);
    token_request(Some(client), endpoint, parameters, moment)
}

/// A token for the client itself (RFC 6749 §4.4.2).
pub fn client_credentials_request(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    scope: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let mut parameters = vec![pair("grant_type", "client_credentials")];
    push_scope(&mut parameters, scope);
    token_request(Some(client), endpoint, parameters, moment)
}

/// The assertion of [`jwt_bearer_request`] (RFC 7523 §3).
#[derive(Clone, Copy)]
pub struct JwtGrant<'a> {
    /// `iss`: the client's id or service account.
    pub issuer: &'a str,
    /// `sub`: whom the token is for. Left out when there is none, for the services that take the issuer.
    pub subject: Option<&'a str>,
    /// `aud`; when there is none, `assertion_audience` of the endpoint, then its URL.
    pub audience: Option<&'a str>,
    /// Further claims. They replace claims of the same name but for `jti`, `iat` and `exp`.
    pub claims: &'a Map<String, Value>,
    /// The key: PKCS#8, PKCS#1 or SEC1 in PEM.
    pub private_key_pem: &'a SecretString,
    /// `kid` of the JWT's header.
    pub key_id: Option<&'a str>,
    /// `alg` of the JWT's header.
    pub algorithm: SigningAlgorithm,
}

/// A token for an assertion (RFC 7523 §2.1). The client is optional there: give none for services that know
/// the caller by the assertion alone.
pub fn jwt_bearer_request(
    client: Option<&Client<'_>>,
    endpoint: &TokenEndpoint<'_>,
    grant: &JwtGrant<'_>,
    scope: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let audience = grant.audience.or(endpoint.assertion_audience).unwrap_or(endpoint.url);
    let mut claims = Map::new();
    claims.insert("iss".into(), grant.issuer.into());
    if let Some(subject) = grant.subject {
        claims.insert("sub".into(), subject.into());
    }
    claims.insert("aud".into(), audience.into());
    claims.extend(grant.claims.clone());
    let assertion = assertion(claims, moment, grant.algorithm, grant.key_id, grant.private_key_pem)?;
    let mut parameters = vec![pair("grant_type", JWT_BEARER), pair("assertion", assertion.expose_secret())];
    push_scope(&mut parameters, scope);
    token_request(client, endpoint, parameters, moment)
}

/// Pushes authorization parameters (RFC 9126 §2.1); `parameters` come from `authorize_parameters`. The audience
/// of a client assertion is `par_url`, which RFC 9126 §2 has every server accept.
pub fn pushed_authorization_request(
    client: &Client<'_>,
    par_url: &str,
    parameters: &[(String, String)],
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let endpoint = plain_endpoint(par_url);
    build("par_url", Some(client), &endpoint, parameters.to_vec(), moment)
}

/// Revokes a token (RFC 7009 §2.1). `hint` is `access_token` or `refresh_token`. `audience` is that of a client assertion: the token endpoint
/// or the issuer, for the address of the revocation endpoint is not one that servers have to know themselves by (RFC 7523 §3, item 3).
pub fn revocation_request(
    client: &Client<'_>,
    revoke_url: &str,
    token: &SecretString,
    hint: Option<&str>,
    audience: &str,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let mut parameters = vec![pair("token", token.expose_secret())];
    if let Some(hint) = hint {
        parameters.push(pair("token_type_hint", hint));
    }
    let endpoint = TokenEndpoint { assertion_audience: Some(audience), ..plain_endpoint(revoke_url) };
    build("revoke_url", Some(client), &endpoint, parameters, moment)
}

fn push_scope(parameters: &mut Parameters, scope: Option<&str>) {
    if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
        parameters.push(pair("scope", scope));
    }
}

pub(super) fn plain_endpoint(url: &str) -> TokenEndpoint<'_> {
    TokenEndpoint {
        url,
        method: TokenMethod::Post,
        encoding: TokenEncoding::Form,
        parameters: &[],
        headers: &[],
        assertion_audience: None,
    }
}

pub(super) fn token_request(
    client: Option<&Client<'_>>,
    endpoint: &TokenEndpoint<'_>,
    parameters: Parameters,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    build("token_url", client, endpoint, parameters, moment)
}

/// A signed JWT with the times and the id every assertion has (RFC 7523 §3, items 4 to 7).
fn assertion(
    mut claims: Map<String, Value>,
    moment: &Moment<'_>,
    algorithm: SigningAlgorithm,
    key_id: Option<&str>,
    private_key_pem: &SecretString,
) -> Result<SecretString, RequestError> {
    claims.insert("jti".into(), moment.nonce.into());
    claims.insert("iat".into(), moment.now.into());
    claims.insert("exp".into(), moment.now.saturating_add(ASSERTION_LIFETIME_SECONDS).into());
    Ok(sign_jwt(&claims, algorithm, key_id, private_key_pem)?)
}

/// RFC 6749 §2.3.1: id and secret are form-encoded (Appendix B) before they are joined.
fn basic(client_id: &str, secret: &SecretString) -> HeaderValue {
    // `~` stays: every decoder leaves it alone, and services that do not decode know it only so.
    let encode = |text: &str| -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace("%7E", "~")
    };
    let joined = Zeroizing::new(format!("{}:{}", encode(client_id), encode(secret.expose_secret())));
    let header = Zeroizing::new(format!("Basic {}", STANDARD.encode(joined.as_bytes())));
    // Base64 is always a header value; the fallback is never taken.
    let mut value = HeaderValue::from_str(&header).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// Adds the parameters of client authentication; the header it needs is the answer.
fn authenticate(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    parameters: &mut Parameters,
    moment: &Moment<'_>,
) -> Result<Option<HeaderValue>, RequestError> {
    let id = || pair(client.client_id_name, client.client_id);
    let mut own = Vec::new();
    let header = match client.authentication {
        ClientAuthentication::None => {
            own.push(id());
            None
        }
        ClientAuthentication::SecretBasic(secret) => Some(basic(client.client_id, secret)),
        ClientAuthentication::SecretPost(secret) => {
            own.extend([id(), pair("client_secret", secret.expose_secret())]);
            None
        }
        ClientAuthentication::PrivateKeyJwt { private_key_pem, key_id, algorithm } => {
            let mut claims = Map::new();
            claims.insert("iss".into(), client.client_id.into());
            claims.insert("sub".into(), client.client_id.into());
            claims.insert("aud".into(), endpoint.assertion_audience.unwrap_or(endpoint.url).into());
            let assertion = assertion(claims, moment, algorithm, key_id, private_key_pem)?;
            own.extend([
                id(),
                pair("client_assertion_type", CLIENT_ASSERTION_TYPE),
                pair("client_assertion", assertion.expose_secret()),
            ]);
            None
        }
    };
    override_with(parameters, &own);
    Ok(header)
}

/// The one place where a request is put together.
pub(super) fn build(
    url_field: &'static str,
    client: Option<&Client<'_>>,
    endpoint: &TokenEndpoint<'_>,
    mut parameters: Parameters,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    parse_url(url_field, endpoint.url)?;
    let authorization = match client {
        Some(client) => authenticate(client, endpoint, &mut parameters, moment)?,
        None => None,
    };
    override_with(&mut parameters, endpoint.parameters);

    let (method, url, body, content_type) = match (endpoint.method, endpoint.encoding) {
        (TokenMethod::Get, _) => (Method::GET, with_query(endpoint.url, &parameters), Bytes::new(), None),
        (TokenMethod::Post, TokenEncoding::Form) => {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
            let content_type = "application/x-www-form-urlencoded";
            (Method::POST, endpoint.url.to_owned(), Bytes::from(body), Some(content_type))
        }
        (TokenMethod::Post, TokenEncoding::Json) => {
            let members: Map<String, Value> =
                parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
            let body = Value::Object(members).to_string();
            (Method::POST, endpoint.url.to_owned(), Bytes::from(body), Some("application/json"))
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = parse_url(url_field, &url)?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in endpoint.headers {
        let wrong = || RequestError::Header { name: name.clone() };
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true); // it may be one, as in `Api-Key: {client_secret}`
        headers.insert(parsed, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use serde_json::json;

    use super::*;
    use crate::key::KeyError;
    use crate::key::tests::{EC_SEC1, RSA_PKCS8, open, secret};

    const NOW: i64 = 1_800_000_000;
    const MOMENT: Moment<'static> = Moment { now: NOW, nonce: "n-0S6_WzA2Mj" };

    fn client(authentication: ClientAuthentication<'_>) -> Client<'_> {
        Client { client_id: "s6BhdRkqt3", client_id_name: "client_id", authentication }
    }

    fn endpoint() -> TokenEndpoint<'static> {
        plain_endpoint("https://as.example/token")
    }

    fn form(request: &Request<Bytes>) -> Vec<(String, String)> {
        form_urlencoded::parse(request.body()).into_owned().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| pair(name, value)).collect()
    }

    fn get<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let mut found = pairs.iter().filter(|(present, _)| present == name);
        let first = found.next();
        assert!(found.next().is_none(), "{name} twice");
        first.map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_code_is_exchanged_as_rfc_6749_4_1_3_shows() {
        let password = secret("gX1fBat3bV");
        let basic = client(ClientAuthentication::SecretBasic(&password));
        let code = secret("SplxlOBeZQQYbYS6WxSbIA");
        let request =
            code_request(&basic, &endpoint(), &code, "https://client.example.com/cb", None, &MOMENT).unwrap();
        assert_eq!(
            (request.method(), request.uri()),
            (&Method::POST, &Uri::from_static("https://as.example/token"))
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(request.headers()[ACCEPT], "application/json");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert_eq!(
            request.body(),
            "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA\
             &redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb"
        );
    }

    #[test]
    fn basic_encodes_before_it_joins() {
        // The text of RFC 6749 Appendix B, and what a colon in an id would do otherwise.
        let value = basic("a:b c", &secret(" %&+\u{a3}\u{20ac}"));
        let decoded = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(decoded, b"a%3Ab+c:+%25%26%2B%C2%A3%E2%82%AC");
        let value = basic("id-1_2.3", &secret("a~b%7E"));
        let decoded = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(decoded, b"id-1_2.3:a~b%257E");
    }

    #[test]
    fn every_client_authentication_sends_what_it_should() {
        let (password, key) = (secret("p&w"), secret(RSA_PKCS8));
        let token = secret("tGzv3JOkF0XG5Qx2TlKWIA");
        let send = |authentication| {
            let client = Client { client_id_name: "client_key", ..client(authentication) };
            let request = refresh_request(&client, &endpoint(), &token, Some("a b"), &MOMENT).unwrap();
            (request.headers().contains_key(AUTHORIZATION), form(&request))
        };
        let common =
            [("grant_type", "refresh_token"), ("refresh_token", "tGzv3JOkF0XG5Qx2TlKWIA"), ("scope", "a b")];
        let with = |more: &[(&str, &str)]| pairs(&[common.as_slice(), more].concat());

        assert_eq!(send(ClientAuthentication::None), (false, with(&[("client_key", "s6BhdRkqt3")])));
        assert_eq!(send(ClientAuthentication::SecretBasic(&password)), (true, with(&[])));
        let post = with(&[("client_key", "s6BhdRkqt3"), ("client_secret", "p&w")]);
        assert_eq!(send(ClientAuthentication::SecretPost(&password)), (false, post));
        let jwt = ClientAuthentication::PrivateKeyJwt {
            private_key_pem: &key,
            key_id: Some("k1"),
            algorithm: SigningAlgorithm::Rs256,
        };
        let (header, body) = send(jwt);
        assert!(!header);
        assert_eq!(get(&body, "client_key"), Some("s6BhdRkqt3"));
        assert_eq!(get(&body, "client_assertion_type"), Some(CLIENT_ASSERTION_TYPE));
        let (header, claims, ..) = open(get(&body, "client_assertion").unwrap());
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let expected = json!({
            "iss": "s6BhdRkqt3", "sub": "s6BhdRkqt3", "aud": "https://as.example/token",
            "jti": "n-0S6_WzA2Mj", "iat": NOW, "exp": NOW + 120,
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_malformed_key_is_named() {
        let key = secret("nonsense");
        let jwt = ClientAuthentication::PrivateKeyJwt {
            private_key_pem: &key,
            key_id: None,
            algorithm: SigningAlgorithm::Es256,
        };
        let error = client_credentials_request(&client(jwt), &endpoint(), None, &MOMENT).unwrap_err();
        assert_eq!(error, RequestError::Key(KeyError::NotPem));
        assert!(error.to_string().starts_with("private_key: "));
    }

    #[test]
    fn the_verifier_goes_with_the_code() {
        let public = client(ClientAuthentication::None);
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let request =
            code_request(&public, &endpoint(), &secret("c"), "https://a/cb", Some(verifier), &MOMENT)
                .unwrap();
        assert_eq!(get(&form(&request), "code_verifier"), Some(verifier));
        assert_eq!(get(&form(&request), "client_id"), Some("s6BhdRkqt3"));
        let short = code_request(&public, &endpoint(), &secret("c"), "https://a/cb", Some("short"), &MOMENT);
        assert_eq!(short.unwrap_err(), RequestError::Verifier);
    }

    #[test]
    fn an_odd_endpoint_gets_its_way() {
        let password = secret("pw");
        let post = client(ClientAuthentication::SecretPost(&password));
        let parameters =
            pairs(&[("grant_type", "account_credentials"), ("client_secret", ""), ("account", "7")]);
        let headers = pairs(&[("Api-Key", "k"), ("accept", "*/*")]);
        let odd = TokenEndpoint { parameters: &parameters, headers: &headers, ..endpoint() };
        let request = client_credentials_request(&post, &odd, Some(""), &MOMENT).unwrap();
        let expected = [("grant_type", "account_credentials"), ("client_id", "s6BhdRkqt3"), ("account", "7")];
        assert_eq!(form(&request), pairs(&expected));
        assert_eq!(request.headers()["api-key"], "k");
        assert_eq!(request.headers()[ACCEPT], "*/*");

        let json = TokenEndpoint { encoding: TokenEncoding::Json, ..odd };
        let request = client_credentials_request(&post, &json, None, &MOMENT).unwrap();
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(
            body,
            json!({"grant_type": "account_credentials", "client_id": "s6BhdRkqt3", "account": "7"})
        );

        let by_get =
            TokenEndpoint { url: "https://as.example/token?x=1&account=0", method: TokenMethod::Get, ..odd };
        let request = client_credentials_request(&post, &by_get, None, &MOMENT).unwrap();
        assert_eq!(request.method(), Method::GET);
        assert!(request.body().is_empty() && !request.headers().contains_key(CONTENT_TYPE));
        assert_eq!(
            request.uri(),
            "https://as.example/token?x=1&grant_type=account_credentials&client_id=s6BhdRkqt3&account=7"
        );
    }

    #[test]
    fn unusable_urls_and_headers_are_named() {
        let public = client(ClientAuthentication::None);
        let bad_url =
            client_credentials_request(&public, &plain_endpoint("as.example"), None, &MOMENT).unwrap_err();
        assert!(bad_url.to_string().starts_with("token_url: "), "{bad_url}");
        for (name, value) in [("a b", "x"), ("x", "a\r\nb: c")] {
            let headers = pairs(&[(name, value)]);
            let odd = TokenEndpoint { headers: &headers, ..endpoint() };
            let error = client_credentials_request(&public, &odd, None, &MOMENT).unwrap_err();
            assert_eq!(error, RequestError::Header { name: name.to_owned() });
        }
        let error = revocation_request(&public, "ftp://x/", &secret("t"), None, "x", &MOMENT).unwrap_err();
        assert!(error.to_string().starts_with("revoke_url: "), "{error}");
    }

    #[test]
    fn a_jwt_grant_carries_its_claims() {
        let key = secret(EC_SEC1);
        let extra =
            json!({"scope": "a", "aud": "https://other.example", "exp": 1, "box_sub_type": "enterprise"});
        let grant = JwtGrant {
            issuer: "issuer",
            subject: Some("subject"),
            audience: None,
            claims: extra.as_object().unwrap(),
            private_key_pem: &key,
            key_id: None,
            algorithm: SigningAlgorithm::Es256,
        };
        let request = jwt_bearer_request(None, &endpoint(), &grant, Some("s"), &MOMENT).unwrap();
        let body = form(&request);
        assert_eq!((get(&body, "grant_type"), get(&body, "scope")), (Some(JWT_BEARER), Some("s")));
        assert_eq!(get(&body, "client_id"), None);
        let (header, claims, ..) = open(get(&body, "assertion").unwrap());
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT"}));
        let expected = json!({
            "iss": "issuer", "sub": "subject", "aud": "https://other.example", "scope": "a",
            "box_sub_type": "enterprise", "jti": "n-0S6_WzA2Mj", "iat": NOW, "exp": NOW + 120,
        });
        assert_eq!(claims, expected);

        let empty = Map::new();
        let grant = JwtGrant { subject: None, claims: &empty, ..grant };
        let named = TokenEndpoint { assertion_audience: Some("https://as.example"), ..endpoint() };
        for (endpoint, audience, expected) in [
            (endpoint(), None, "https://as.example/token"),
            (named, None, "https://as.example"),
            (named, Some("urn:x"), "urn:x"),
        ] {
            let grant = JwtGrant { audience, ..grant };
            let public = client(ClientAuthentication::None);
            let request = jwt_bearer_request(Some(&public), &endpoint, &grant, None, &MOMENT).unwrap();
            let body = form(&request);
            let (_, claims, ..) = open(get(&body, "assertion").unwrap());
            assert_eq!((&claims["aud"], claims.get("sub")), (&json!(expected), None));
            assert_eq!(get(&body, "client_id"), Some("s6BhdRkqt3"));
        }
    }

    #[test]
    fn pushing_and_revoking_authenticate_like_the_token_endpoint() {
        let (password, key) = (secret("pw"), secret(RSA_PKCS8));
        let parameters = pairs(&[("client_id", "s6BhdRkqt3"), ("state", "xyz")]);
        let basic = client(ClientAuthentication::SecretBasic(&password));
        let request =
            pushed_authorization_request(&basic, "https://as.example/par", &parameters, &MOMENT).unwrap();
        assert!(request.headers().contains_key(AUTHORIZATION));
        assert_eq!(form(&request), parameters);

        let jwt = client(ClientAuthentication::PrivateKeyJwt {
            private_key_pem: &key,
            key_id: None,
            algorithm: SigningAlgorithm::Ps256,
        });
        let request =
            pushed_authorization_request(&jwt, "https://as.example/par", &parameters, &MOMENT).unwrap();
        let body = form(&request);
        assert_eq!(get(&body, "client_id"), Some("s6BhdRkqt3"));
        let (_, claims, ..) = open(get(&body, "client_assertion").unwrap());
        assert_eq!(claims["aud"], "https://as.example/par");

        let request = revocation_request(
            &basic,
            "https://as.example/revoke",
            &secret("t"),
            Some("refresh_token"),
            "https://as.example/token",
            &MOMENT,
        )
        .unwrap();
        assert_eq!(form(&request), pairs(&[("token", "t"), ("token_type_hint", "refresh_token")]));
        let (url, audience) = ("https://as.example/revoke", "https://as.example/token");
        let request = revocation_request(&jwt, url, &secret("t"), None, audience, &MOMENT).unwrap();
        let (_, claims, ..) = open(get(&form(&request), "client_assertion").unwrap());
        assert_eq!(claims["aud"], audience);
    }
}

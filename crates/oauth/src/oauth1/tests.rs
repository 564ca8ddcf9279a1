use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::key::tests::{RSA_PKCS8, secret};

/// The signature in a header, decoded.
fn signature_of(header: &HeaderValue) -> String {
    let text = header.to_str().unwrap();
    let (_, rest) = text.split_once("oauth_signature=\"").unwrap();
    let encoded = rest.split('"').next().unwrap();
    percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
}

fn signing<'a>(method: SignatureMethod, secret: &'a SecretString, token: Option<Token<'a>>) -> Signing<'a> {
    let consumer = Consumer { key: "dpf43f3p2l4k3l03", secret: Some(secret), private_key_pem: None };
    Signing { method, consumer, token, realm: Some("Photos"), nonce: "wIjqoS", timestamp: 137_131_200 }
}

#[test]
fn the_base_string_is_that_of_rfc_5849_section_3_4_1_1() {
    let uri = "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b".parse().unwrap();
    let parameters = [
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
        ("oauth_signature", "bYT5CMsGcbgUdFHObYMEfcx6bsw="),
    ];
    let base = base_string(&Method::POST, &uri, Some(b"c2&a3=2+q"), &parameters).unwrap();
    assert_eq!(
        base,
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D\
         %26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1\
         %26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    );
}

/// The requests of RFC 5849 §1.2 carry no `oauth_version`, so their signatures are checked below the header.
#[test]
fn the_signatures_are_those_of_rfc_5849_section_1_2() {
    let consumer = secret("kd94hf93k423kf44");
    let request = signing(SignatureMethod::HmacSha1, &consumer, None);
    let parameters = [
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131200"),
        ("oauth_nonce", "wIjqoS"),
        ("oauth_callback", "http://printer.example.com/ready"),
    ];
    let uri = "https://photos.example.net/initiate".parse().unwrap();
    let base = base_string(&Method::POST, &uri, None, &parameters).unwrap();
    assert_eq!(*signature(&request, &base).unwrap(), "74KNZJeDHnMBp0EMJ9ZHt/XKycU=");

    let temporary = secret("hdhd0244k9j7ao03");
    let token = Token { token: "hh5s93j4hdidpola", secret: &temporary };
    let request = signing(SignatureMethod::HmacSha1, &consumer, Some(token));
    let parameters = [
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_token", "hh5s93j4hdidpola"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "walatlh"),
        ("oauth_verifier", "hfdp7dh39dks9884"),
    ];
    let uri = "https://photos.example.net/token".parse().unwrap();
    let base = base_string(&Method::POST, &uri, None, &parameters).unwrap();
    assert_eq!(*signature(&request, &base).unwrap(), "gKgrFCywp7rO0OXSjdot/IHF7IU=");

    let access = secret("pfkkdhi9sl3r4s00");
    let token = Token { token: "nnch734d00sl2jdk", secret: &access };
    let request = signing(SignatureMethod::HmacSha1, &consumer, Some(token));
    let parameters = [
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_token", "nnch734d00sl2jdk"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131202"),
        ("oauth_nonce", "chapoH"),
    ];
    let uri = "http://photos.example.net/photos?file=vacation.jpg&size=original".parse().unwrap();
    let base = base_string(&Method::GET, &uri, None, &parameters).unwrap();
    assert_eq!(*signature(&request, &base).unwrap(), "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
}

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    uri: String,
    form_body: Option<String>,
    signature_method: String,
    consumer_key: String,
    consumer_secret: String,
    token: Option<String>,
    token_secret: Option<String>,
    realm: Option<String>,
    nonce: String,
    timestamp: i64,
    extra: Vec<(String, String)>,
    base_string: Option<String>,
    signature: String,
}

#[test]
fn the_signatures_are_those_of_an_independent_implementation() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../tests/vectors/oauth1.json")).unwrap();
    assert!(vectors.cases.len() >= 100);
    for case in vectors.cases {
        let method = case.signature_method.parse().unwrap();
        if method == SignatureMethod::RsaSha1 && !cfg!(feature = "rsa-sha1") {
            continue;
        }
        let (consumer_secret, key) = (secret(&case.consumer_secret), secret(RSA_PKCS8));
        let token_secret = case.token_secret.as_deref().map(secret);
        let token = case.token.as_deref().zip(token_secret.as_ref());
        let signing = Signing {
            method,
            consumer: Consumer {
                key: &case.consumer_key,
                secret: Some(&consumer_secret),
                private_key_pem: Some(&key),
            },
            token: token.map(|(token, secret)| Token { token, secret }),
            realm: case.realm.as_deref(),
            nonce: &case.nonce,
            timestamp: case.timestamp,
        };
        let extra: Vec<_> = case.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = case.method.parse().unwrap();
        let uri: Uri = case.uri.parse().unwrap();
        let body = case.form_body.as_deref().map(str::as_bytes);

        let timestamp = case.timestamp.to_string();
        let mut parameters = vec![
            ("oauth_consumer_key", case.consumer_key.as_str()),
            ("oauth_nonce", &case.nonce),
            ("oauth_signature_method", &case.signature_method),
            ("oauth_timestamp", &timestamp),
            ("oauth_version", "1.0"),
        ];
        parameters.extend(case.token.as_deref().map(|token| ("oauth_token", token)));
        parameters.extend_from_slice(&extra);
        let base = base_string(&method, &uri, body, &parameters).unwrap();
        if let Some(expected) = case.base_string {
            assert_eq!(base, expected, "{}", case.uri);
        }

        let header = authorization_header(&signing, &method, &uri, body, &extra).unwrap();
        assert_eq!(signature_of(&header), case.signature, "{} {}", case.signature_method, case.uri);
    }
}

#[test]
fn the_header_has_the_form_of_section_3_5_1() {
    let consumer = secret("kd94&hf");
    let token_secret = secret("hdhd");
    let token = Token { token: "a/b", secret: &token_secret };
    let request =
        Signing { realm: Some("a \"b\" \\"), ..signing(SignatureMethod::Plaintext, &consumer, Some(token)) };
    let uri = "https://photos.example.net/token".parse().unwrap();
    let header =
        authorization_header(&request, &Method::POST, &uri, None, &[("oauth_verifier", "v")]).unwrap();
    assert!(header.is_sensitive());
    assert_eq!(
        header.to_str().unwrap(),
        r#"OAuth realm="a \"b\" \\", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_nonce="wIjqoS", oauth_signature_method="PLAINTEXT", oauth_timestamp="137131200", oauth_version="1.0", oauth_token="a%2Fb", oauth_verifier="v", oauth_signature="kd94%2526hf%26hdhd""#
    );
    let bad = Signing { realm: Some("a\nb"), ..request };
    assert_eq!(authorization_header(&bad, &Method::POST, &uri, None, &[]), Err(SignError::Realm));
    let relative = "/token".parse().unwrap();
    assert_eq!(
        authorization_header(&request, &Method::POST, &relative, None, &[]),
        Err(SignError::RelativeUri)
    );
}

#[test]
fn hosts_ports_and_paths_are_normalized() {
    let base = |uri: &str| {
        let base = base_string(&Method::GET, &uri.parse().unwrap(), None, &[]).unwrap();
        let part = base.split('&').nth(1).unwrap().to_owned();
        percent_encoding::percent_decode_str(&part).decode_utf8().unwrap().into_owned()
    };
    assert_eq!(base("HTTPS://API.Example.com:443/A/b"), "https://api.example.com/A/b");
    assert_eq!(base("http://example.com:80"), "http://example.com/");
    assert_eq!(base("http://example.com:443/"), "http://example.com:443/");
    assert_eq!(base("https://example.com:80/"), "https://example.com:80/");
    assert_eq!(base("https://example.com:8443/x?y"), "https://example.com:8443/x");
    assert_eq!(base("http://[::1]:8080/a%20b"), "http://[::1]:8080/a%20b");
}

#[test]
fn a_missing_secret_is_named() {
    let consumer = secret("x");
    let uri = "https://a.example/".parse().unwrap();
    let header = |request: &Signing<'_>| authorization_header(request, &Method::GET, &uri, None, &[]);
    let mut request = signing(SignatureMethod::RsaSha1, &consumer, None);
    let missing = |parameter, method| Err(SignError::Missing { parameter, method });
    assert_eq!(header(&request), missing("private_key", "RSA-SHA1"));
    request.consumer.secret = None;
    for method in [SignatureMethod::HmacSha1, SignatureMethod::HmacSha256, SignatureMethod::Plaintext] {
        request.method = method;
        assert_eq!(header(&request), missing("consumer_secret", method.as_str()));
    }
}

#[cfg(feature = "rsa-sha1")]
#[test]
fn rsa_sha1_signs_with_either_form_of_key_and_verifies() {
    use crate::key::tests::{EC_PKCS8, RSA_PKCS1};
    use aws_lc_rs::signature::{
        KeyPair as _, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RsaKeyPair, UnparsedPublicKey,
    };
    let rustls_pki_types::PrivateKeyDer::Pkcs8(der) = crate::key::parse_pem(&secret(RSA_PKCS8)).unwrap()
    else {
        panic!("not PKCS#8");
    };
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public =
        UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, pair.public_key().as_ref());
    for pem in [RSA_PKCS8, RSA_PKCS1] {
        let signed = rsa_sha1(&secret(pem), b"message").unwrap();
        assert!(public.verify(b"message", &signed).is_ok());
        assert!(public.verify(b"massage", &signed).is_err());
    }
    for pem in [EC_PKCS8, "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(rsa_sha1(&secret(pem), b"m"), Err(SignError::Key(KeyError::Unfit { .. }))));
    }
    let text = rsa_sha1(&secret("nonsense"), b"m").unwrap_err().to_string();
    assert!(text.starts_with("private_key: "), "{text}");
}

#[test]
fn the_requests_of_the_flow_are_signed_posts() {
    let consumer = secret("kd94hf93k423kf44");
    let request = signing(SignatureMethod::HmacSha1, &consumer, None);
    let built =
        request_token_request(&request, "https://a.example/initiate?scope=r", "https://b/cb").unwrap();
    assert_eq!(built.method(), Method::POST);
    assert_eq!(built.uri(), "https://a.example/initiate?scope=r");
    let header = built.headers()[AUTHORIZATION].to_str().unwrap();
    assert!(header.contains("oauth_callback=\"https%3A%2F%2Fb%2Fcb\"") && !header.contains("oauth_token="));

    let temporary = secret("s");
    let token = Token { token: "tmp", secret: &temporary };
    let request = signing(SignatureMethod::HmacSha1, &consumer, Some(token));
    let built = access_token_request(&request, "https://a.example/token", &secret("v1")).unwrap();
    let header = built.headers()[AUTHORIZATION].to_str().unwrap();
    assert!(header.contains("oauth_token=\"tmp\"") && header.contains("oauth_verifier=\"v1\""));

    let refused = request_token_request(&request, "a.example", "oob").unwrap_err().to_string();
    assert!(refused.starts_with("request_token_url: "), "{refused}");
}

#[test]
fn the_browser_is_sent_with_the_token() {
    let extra = [("scope".to_owned(), "read,write".to_owned())];
    let url = authorize_url("https://a.example/authorize?x=1&oauth_token=evil", "t/k", &extra).unwrap();
    assert_eq!(url, "https://a.example/authorize?x=1&oauth_token=t%2Fk&scope=read%2Cwrite");
    let extra = [("oauth_token".to_owned(), "evil".to_owned())];
    assert!(authorize_url("https://a.example/authorize", "t", &extra).is_err());
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn error<T>(result: Result<T, TokenError>) -> TokenError {
    result.err().expect("an error")
}

#[test]
fn credentials_are_read() {
    let body = "oauth_token=hh5s93j4hdidpola&oauth_token_secret=hdhd%2B0244&oauth_callback_confirmed=true";
    let token = parse_request_token(&answer(200, body), 0).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((token.token.as_str(), token.secret.expose_secret()), ("hh5s93j4hdidpola", "hdhd+0244"));
    assert!(token.callback_confirmed);
    let old = parse_request_token(&answer(200, "oauth_token=a&oauth_token_secret=b\n"), 0);
    assert!(!old.unwrap_or_else(|e| panic!("{e}")).callback_confirmed);

    let body = "oauth_token=a&oauth_token_secret=&user_id=7&screen_name=j%20d";
    let token = parse_access_token(&answer(200, body), 0).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((token.token.as_str(), token.secret.expose_secret()), ("a", ""));
    let pairs = [("screen_name", "j d"), ("user_id", "7")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let mut parameters = token.parameters;
    parameters.sort();
    assert_eq!(parameters, pairs);
}

#[test]
fn refusals_are_read_in_every_form() {
    let refused = |code: &str, description: Option<&str>, status| TokenError::Refused {
        code: code.to_owned(),
        description: description.map(str::to_owned),
        status,
    };
    for (status, body, expected) in [
        (401, "oauth_problem=token_expired", refused("token_expired", None, 401)),
        (
            401,
            "Failed to validate signature",
            refused("unauthorized", Some("Failed to validate signature"), 401),
        ),
        (400, "", refused("bad_request", None, 400)),
        (403, "<html>no</html>", refused("forbidden", None, 403)),
        (401, r#"{"errors":[{"code":32,"message":"no"}]}"#, refused("32", Some("no"), 401)),
    ] {
        assert_eq!(error(parse_access_token(&answer(status, body), 0)), expected);
    }
    let mut response = answer(401, "");
    let header = r#"OAuth realm="x", oauth_problem="signature_invalid", y="z""#;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(header));
    assert_eq!(error(parse_request_token(&response, 0)), refused("signature_invalid", None, 401));

    assert!(matches!(error(parse_access_token(&answer(503, ""), 0)), TokenError::Passing { .. }));
    for body in ["oauth_token=a", "oauth_token=&oauth_token_secret=b", "oauth_token_secret=b", "<html>"] {
        assert!(matches!(error(parse_access_token(&answer(200, body), 0)), TokenError::Unreadable { .. }));
    }
}

proptest! {
    #[test]
    fn the_base_string_never_panics(
        path in "/[a-z%0-9]{0,10}",
        query in "[a-z%0-9=&+;!]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..80),
        value in ".{0,20}",
    ) {
        if let Ok(uri) = format!("https://a.example{path}?{query}").parse() {
            prop_assert!(base_string(&Method::POST, &uri, Some(&body), &[("oauth_nonce", &value)]).is_ok());
        }
    }

    #[test]
    fn the_base_string_does_not_depend_on_order_or_place(
        pairs in proptest::collection::vec(("[a-c]{1,2}", "[ a-c=&%+]{0,3}"), 0..8).prop_shuffle(),
        at in any::<prop::sample::Index>(),
    ) {
        let write = |pairs: &[(String, String)]| -> String {
            form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        };
        let base = |query: &str, body: &str| {
            let uri = format!("https://a.example/p?{query}").parse().unwrap();
            base_string(&Method::GET, &uri, Some(body.as_bytes()), &[("oauth_nonce", "n")]).unwrap()
        };
        let mut sorted = pairs.clone();
        sorted.sort();
        let (left, right) = pairs.split_at(at.index(pairs.len() + 1));
        prop_assert_eq!(base(&write(&pairs), ""), base(&write(&sorted), ""));
        prop_assert_eq!(base(&write(left), &write(right)), base(&write(&sorted), ""));
    }

    #[test]
    fn reading_credentials_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100u16..600) {
        let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
        let _ = parse_request_token(&response, 0);
        let _ = parse_access_token(&response, 0);
    }
}

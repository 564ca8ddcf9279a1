//! The answers of token, pushed authorization and revocation endpoints.

use bytes::Bytes;
use http::Response;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::answer::{TokenError, read, seconds, text};

/// What a service does oddly in its token answers.
#[derive(Debug, Clone, Copy)]
pub struct TokenQuirks<'a> {
    /// JSON pointer (RFC 6901) to the object that holds the token. Where an answer has nothing there, its root is
    /// taken: services that nest the first token answer a refresh flat.
    pub token_at: Option<&'a str>,
    /// What stands between scopes. White space and commas separate them in any case.
    pub scope_delimiter: &'a str,
}

impl Default for TokenQuirks<'_> {
    fn default() -> Self {
        Self { token_at: None, scope_delimiter: " " }
    }
}

/// A token answer (RFC 6749 §5.1).
pub struct TokenAnswer {
    /// `access_token`, never empty.
    pub access_token: SecretString,
    /// `refresh_token`. When a refresh brings none the old one stays in force (RFC 6749 §6).
    pub refresh_token: Option<SecretString>,
    /// `token_type` as answered.
    pub token_type: Option<String>,
    /// Seconds until it expires, at least 1 and at most a hundred years. `None` when the service does not say;
    /// zero and negative numbers count as not saying.
    pub expires_in: Option<u64>,
    /// The scopes granted. `None` means those asked for (RFC 6749 §5.1).
    pub scopes: Option<Vec<String>>,
    /// `id_token` of OpenID Connect, unchecked.
    pub id_token: Option<SecretString>,
    /// The whole answer, with `access_token`, `refresh_token` and `id_token` taken out at every depth.
    pub raw: Value,
}

impl TokenAnswer {
    /// The text or number a JSON pointer (RFC 6901) leads to in the whole answer, as `base_url_from` needs it.
    pub fn text_at(&self, pointer: &str) -> Option<String> {
        match self.raw.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Reads the answer to a token request (RFC 6749 §5), however the service wrote it down. `now` is unix seconds,
/// for a `Retry-After` that is a date.
pub fn parse_token_response(
    response: &Response<Bytes>,
    quirks: &TokenQuirks<'_>,
    now: i64,
) -> Result<TokenAnswer, TokenError> {
    let mut raw = Value::Object(read(response, now)?);
    let at =
        quirks.token_at.filter(|pointer| raw.pointer(pointer).is_some_and(Value::is_object)).unwrap_or("");
    let missing = || TokenError::unreadable(response.status(), "it has no access_token");
    let members = raw.pointer_mut(at).and_then(Value::as_object_mut).ok_or_else(missing)?;
    let answer = TokenAnswer {
        access_token: take(members, "access_token").ok_or_else(missing)?,
        refresh_token: take(members, "refresh_token"),
        token_type: text(members, "token_type").map(str::to_owned),
        expires_in: seconds(members.get("expires_in")),
        scopes: members.get("scope").and_then(|scope| scopes(scope, quirks.scope_delimiter)),
        id_token: take(members, "id_token"),
        raw: Value::Null,
    };
    remove_tokens(&mut raw);
    Ok(TokenAnswer { raw, ..answer })
}

/// Moves a text that is not empty out of the answer.
fn take(members: &mut Map<String, Value>, name: &str) -> Option<SecretString> {
    match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(SecretString::from(text)),
        _ => None,
    }
}

fn remove_tokens(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !matches!(name.as_str(), "access_token" | "refresh_token" | "id_token"));
            members.values_mut().for_each(remove_tokens);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_tokens),
        _ => {}
    }
}

fn scopes(value: &Value, delimiter: &str) -> Option<Vec<String>> {
    let split = |text: &str| -> Vec<String> {
        let text = if delimiter.is_empty() { text.to_owned() } else { text.replace(delimiter, " ") };
        text.split(|c: char| c.is_whitespace() || c == ',')
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect()
    };
    match value {
        Value::String(text) => Some(split(text)),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).flat_map(split).collect()),
        _ => None,
    }
}

/// The answer to a pushed authorization request (RFC 9126 §2.2).
pub struct PushedAuthorization {
    /// `request_uri`, for `authorize_url_for_request_uri`.
    pub request_uri: String,
    /// Seconds it is good for; 60 when the service does not say.
    pub expires_in: u64,
}

/// Reads the answer to a pushed authorization request (RFC 9126 §2.2 and §2.3).
pub fn parse_pushed_authorization(
    response: &Response<Bytes>,
    now: i64,
) -> Result<PushedAuthorization, TokenError> {
    let members = read(response, now)?;
    let request_uri = text(&members, "request_uri")
        .ok_or(TokenError::unreadable(response.status(), "it has no request_uri"))?
        .to_owned();
    Ok(PushedAuthorization { request_uri, expires_in: seconds(members.get("expires_in")).unwrap_or(60) })
}

/// Reads the answer to a revocation request. Success is the status alone, whatever the body is (RFC 7009
/// §2.2), unless the body states an error in spite of it.
pub fn parse_revocation(response: &Response<Bytes>, now: i64) -> Result<(), TokenError> {
    match read(response, now) {
        Err(TokenError::Unreadable { .. }) if response.status().is_success() => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn good(body: &str, quirks: &TokenQuirks<'_>) -> TokenAnswer {
        parse_token_response(&answer(200, body), quirks, 0).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    fn bad(body: &str) -> TokenError {
        parse_token_response(&answer(200, body), &TokenQuirks::default(), 0).err().expect("an error")
    }

    fn exposed(secret: Option<&SecretString>) -> Option<&str> {
        secret.map(ExposeSecret::expose_secret)
    }

    #[test]
    fn the_answer_of_rfc_6749_5_1_is_read() {
        let token = good(
            r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,
                "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"example_value","scope":"a b"}"#,
            &TokenQuirks::default(),
        );
        assert_eq!(token.access_token.expose_secret(), "2YotnFZFEjr1zCsicMWpAA");
        assert_eq!(exposed(token.refresh_token.as_ref()), Some("tGzv3JOkF0XG5Qx2TlKWIA"));
        assert_eq!(token.token_type.as_deref(), Some("example"));
        assert_eq!(token.expires_in, Some(3600));
        assert_eq!(token.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(token.text_at("/example_parameter").as_deref(), Some("example_value"));
        assert!(token.id_token.is_none());
    }

    #[test]
    fn a_bare_token_is_enough_in_json_or_form() {
        for body in [
            r#"{"access_token":"t"}"#,
            "\u{feff}  {\"access_token\":\"t\"}\n",
            r#"{"access_token":"t","refresh_token":null,"expires_in":null,"scope":null,"error":null}"#,
            r#"{"access_token":"t","refresh_token":"","token_type":""}"#,
            "access_token=t",
            "access_token=t&refresh_token=&expires_in=",
        ] {
            let token = good(body, &TokenQuirks::default());
            assert_eq!(token.access_token.expose_secret(), "t", "{body}");
            assert!(token.refresh_token.is_none() && token.token_type.is_none(), "{body}");
            assert!(token.expires_in.is_none() && token.scopes.is_none(), "{body}");
        }
        let token = good(
            "access_token=a%2Bb&expires_in=28800&scope=repo%2Cgist&token_type=bearer",
            &TokenQuirks::default(),
        );
        assert_eq!(token.access_token.expose_secret(), "a+b");
        assert_eq!((token.expires_in, token.scopes.unwrap().len()), (Some(28_800), 2));
    }

    #[test]
    fn scopes_come_in_many_forms() {
        let of = |scope: Value, scope_delimiter| {
            let body = json!({"access_token": "t", "scope": scope}).to_string();
            good(&body, &TokenQuirks { token_at: None, scope_delimiter }).scopes
        };
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        for scope in
            [json!("a b"), json!("a,b"), json!("a, b "), json!(["a", "b"]), json!(["a b"]), json!("a;b")]
        {
            assert_eq!(of(scope, ";"), both);
        }
        assert_eq!(of(json!("a;b"), " "), Some(vec!["a;b".to_owned()]));
        assert_eq!(of(json!("a b"), ""), both);
        assert_eq!(of(json!(""), " "), Some(vec![]));
        assert_eq!(of(json!(7), " "), None);
    }

    #[test]
    fn a_nested_token_is_found_and_a_flat_one_too() {
        let quirks = TokenQuirks { token_at: Some("/authed_user"), scope_delimiter: "," };
        let nested = r#"{"ok":true,"access_token":"bot","refresh_token":"bot-r","team":{"id":"T1"},
            "authed_user":{"id":"U1","access_token":"user","scope":"a,b"}}"#;
        let token = good(nested, &quirks);
        assert_eq!(token.access_token.expose_secret(), "user");
        assert!(token.refresh_token.is_none());
        assert_eq!(token.text_at("/team/id").as_deref(), Some("T1"));
        assert_eq!(token.text_at("/authed_user/id").as_deref(), Some("U1"));
        let raw = token.raw.to_string();
        assert!(!raw.contains("bot") && !raw.contains("\"user\""), "{raw}");

        assert_eq!(good(r#"{"ok":true,"access_token":"new"}"#, &quirks).access_token.expose_secret(), "new");
        let without = r#"{"ok":true,"access_token":"bot","authed_user":{"id":"U1"}}"#;
        assert!(parse_token_response(&answer(200, without), &quirks, 0).is_err());
    }

    #[test]
    fn no_token_is_an_error_that_holds_none() {
        for body in [
            r#"{"access_token":"","refresh_token":"sekrit"}"#,
            r#"{"access_token":null,"refresh_token":"sekrit"}"#,
            r#"{"access_token":{"a":"sekrit"}}"#,
            r#"{"token":"sekrit"}"#,
            "token=sekrit",
            "access_token=sekrit&access_token=sekrit",
            r#"{"access_token":"sekrit""#,
        ] {
            let error = bad(body);
            assert!(matches!(error, TokenError::Unreadable { status: 200, .. }), "{body}");
            assert!(!format!("{error} {error:?}").contains("sekrit"), "{body}");
        }
    }

    #[test]
    fn tokens_are_taken_out_of_what_is_left() {
        let body =
            r#"{"access_token":"s1","id_token":"s2","refresh_token":"s3","a":[{"access_token":"s4"}],"n":7}"#;
        let token = good(body, &TokenQuirks::default());
        assert_eq!(exposed(token.id_token.as_ref()), Some("s2"));
        assert_eq!(token.raw, json!({"a": [{}], "n": 7}));
        assert_eq!((token.text_at("/n").as_deref(), token.text_at("/a")), (Some("7"), None));
    }

    #[test]
    fn a_pushed_request_is_answered_with_its_uri() {
        let body = r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc","expires_in":90}"#;
        let pushed = parse_pushed_authorization(&answer(201, body), 0).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (pushed.request_uri.as_str(), pushed.expires_in),
            ("urn:ietf:params:oauth:request_uri:6esc", 90)
        );
        let pushed = parse_pushed_authorization(&answer(201, r#"{"request_uri":"u"}"#), 0);
        assert_eq!(pushed.unwrap_or_else(|e| panic!("{e}")).expires_in, 60);
        assert!(parse_pushed_authorization(&answer(201, r#"{"expires_in":90}"#), 0).is_err());
        let refused = parse_pushed_authorization(&answer(400, r#"{"error":"invalid_request"}"#), 0);
        assert!(matches!(refused, Err(TokenError::Refused { .. })));
    }

    #[test]
    fn revoking_succeeds_by_status() {
        for body in ["", "{}", "ok", "<html></html>", r#"{"ok":true}"#] {
            assert_eq!(parse_revocation(&answer(200, body), 0), Ok(()), "{body}");
        }
        assert_eq!(parse_revocation(&answer(204, ""), 0), Ok(()));
        let unsupported = parse_revocation(&answer(400, r#"{"error":"unsupported_token_type"}"#), 0);
        assert!(matches!(unsupported, Err(TokenError::Refused { .. })));
        assert!(matches!(parse_revocation(&answer(503, ""), 0), Err(TokenError::Passing { .. })));
        assert!(matches!(parse_revocation(&answer(404, ""), 0), Err(TokenError::Unreadable { .. })));
        assert!(parse_revocation(&answer(200, r#"{"ok":false,"error":"not_authed"}"#), 0).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100u16..600) {
            let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            let _ = parse_token_response(&response, &TokenQuirks { token_at: Some("/a/b"), scope_delimiter: "" }, 0);
            let _ = parse_pushed_authorization(&response, 0);
            let _ = parse_revocation(&response, 0);
        }

        #[test]
        fn a_token_never_reaches_an_error(
            token in "[A-Za-z]{12,40}",
            shape in prop::sample::select(vec![
                r#"{"access_token":["@"]}"#, r#"{"access_token":"@""#, r#"["@"]"#, r#"{"refresh_token":"@"}"#,
                "<html>@", "@", "access_token=@&access_token=@", r#""@""#,
            ]),
            status in prop::sample::select(vec![200u16, 302, 400, 404, 500]),
        ) {
            let response = answer(status, &shape.replace('@', &token));
            if let Err(error) = parse_token_response(&response, &TokenQuirks::default(), 0) {
                let text = format!("{error} {error:?}");
                prop_assert!(!text.contains(&token));
            }
        }
    }
}

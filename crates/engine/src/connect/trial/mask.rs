//! What of a trial may be shown: everything but secrets, whatever form they take on their way.
//!
//! Two nets. What stands in a secret's place is hidden by its place; and every secret that is known is taken out of whatever is left, in
//! each form in which a service may send it back.

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jackfield_core::connector::{Connector, Place, Source, placements};
use serde_json::Value;

use super::{TrialAnswer, TrialRequest};
use crate::call::concealed::{Concealed, HIDDEN};
use crate::call::egress::Seen;

/// Characters of a body that are shown.
const SHOWN: usize = 4000;

/// Parameters of a token request that are no secret.
const OPEN_ASKED: &[&str] = &[
    "grant_type",
    "scope",
    "response_type",
    "redirect_uri",
    "audience",
    "resource",
    "client_assertion_type",
    "code_challenge_method",
];
/// Members of a token answer that are no secret.
const OPEN_ANSWERED: &[&str] = &[
    "token_type",
    "expires_in",
    "refresh_token_expires_in",
    "scope",
    "ok",
    "error",
    "error_code",
    "error_description",
    "error_uri",
    "message",
    "oauth_callback_confirmed",
    "oauth_problem",
];
/// Headers of an answer that tell what is wrong.
const TOLD: [HeaderName; 4] = [CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE, RETRY_AFTER];

/// Where a value of the connector goes, and what stands before it.
struct Spot {
    place: Place,
    name: String,
    prefix: String,
}

/// What is to be hidden.
pub(super) struct Mask {
    secrets: Concealed,
    spots: Vec<Spot>,
    /// headers that carry a parameter which is no secret
    open: Vec<String>,
}

impl Mask {
    pub fn of(connector: &Connector) -> Self {
        let is_secret = |name: &str| connector.parameters.iter().any(|p| p.name == name && p.secret);
        let (mut spots, mut open) = (Vec::new(), Vec::new());
        for placed in placements(connector) {
            match &placed.source {
                Source::Parameter(name) if !is_secret(name) => open.push(placed.name),
                _ => spots.push(Spot { place: placed.place, name: placed.name, prefix: placed.prefix }),
            }
        }
        Self { secrets: Concealed::default(), spots, open }
    }

    /// A secret that is known.
    pub fn add(&mut self, secret: &str) {
        self.secrets.add(secret);
    }

    /// A text without any secret that is known.
    pub fn text(&self, text: &str) -> String {
        self.secrets.text(text)
    }

    fn spot(&self, place: Place, name: &str) -> Option<&Spot> {
        self.spots.iter().find(|spot| {
            spot.place == place
                && if place == Place::Header {
                    spot.name.eq_ignore_ascii_case(name)
                } else {
                    spot.name == name
                }
        })
    }

    /// A request; `token` is whether it is one for a token, whose parameters are the client's.
    pub fn request(&self, seen: &Seen, token: bool) -> TrialRequest {
        let hides = |place, name: &str| {
            if token { !OPEN_ASKED.contains(&name) } else { self.spot(place, name).is_some() }
        };
        let uri = seen.uri.to_string();
        let url = match uri.split_once('?') {
            Some((url, query)) => format!("{url}?{}", pairs(query, |name| hides(Place::Query, name))),
            None => uri,
        };
        let body = String::from_utf8_lossy(&seen.body);
        let body = match serde_json::from_str::<Value>(&body) {
            Ok(value) => pretty(&masked(value, &|name| name.is_some_and(|name| hides(Place::Body, name)))),
            Err(_) if is_form(&seen.headers) => pairs(&body, |name| hides(Place::Body, name)),
            Err(_) => body.into_owned(),
        };
        let headers = seen.headers.iter();
        TrialRequest {
            method: seen.method.to_string(),
            url: self.text(&url),
            headers: headers.map(|(name, value)| (name.to_string(), self.header(name, value))).collect(),
            body: self.text(&body),
        }
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> String {
        let text = String::from_utf8_lossy(value.as_bytes());
        if name == COOKIE {
            let hide = |pair: &str| match pair.trim().split_once('=') {
                Some((name, _)) if self.spot(Place::Cookie, name).is_some() => format!("{name}={HIDDEN}"),
                _ => pair.trim().to_owned(),
            };
            return self.text(&text.split(';').map(hide).collect::<Vec<_>>().join("; "));
        }
        if let Some(spot) = self.spot(Place::Header, name.as_str()) {
            // What stands before the credential is worth seeing: where it is missing services refuse.
            let prefix = if text.starts_with(&spot.prefix) { spot.prefix.as_str() } else { "" };
            return format!("{prefix}{HIDDEN}");
        }
        if value.is_sensitive() && !self.open.iter().any(|open| open.eq_ignore_ascii_case(name.as_str())) {
            let prefix = ["Basic ", "Bearer ", "OAuth "].into_iter().find(|prefix| text.starts_with(prefix));
            return format!("{}{HIDDEN}", prefix.unwrap_or(""));
        }
        self.text(&text)
    }

    /// What came back. Of an answer of a token endpoint only what is known to be no secret is shown.
    pub fn answer(
        &self,
        (status, headers, body): &(StatusCode, HeaderMap, bytes::Bytes),
        token: bool,
        millis: u64,
    ) -> TrialAnswer {
        let told = TOLD.iter().filter_map(|name| Some((name.to_string(), headers.get(name)?)));
        let headers: Vec<(String, String)> =
            told.map(|(name, value)| (name, self.text(&String::from_utf8_lossy(value.as_bytes())))).collect();
        let hides = |name: Option<&str>| {
            token && !status.is_client_error() && name.is_none_or(|name| !OPEN_ANSWERED.contains(&name))
        };
        let text = match std::str::from_utf8(body) {
            Err(_) => format!("({} bytes that are no text)", body.len()),
            Ok(text) => match serde_json::from_str::<Value>(text) {
                Ok(value) => pretty(&masked(value, &hides)),
                Err(_) if token && text.contains('=') && !text.contains(['<', '\n']) => {
                    pairs(text, |name| hides(Some(name)))
                }
                Err(_) if token && !text.trim_start().starts_with('<') && status.is_success() => {
                    format!("({} bytes)", body.len())
                }
                Err(_) => text.to_owned(),
            },
        };
        // Masked before it is cut: half a secret is no word that is looked for.
        let text = self.text(&text);
        let cut = text.char_indices().nth(SHOWN).map(|(at, _)| at);
        let body = cut.and_then(|at| text.get(..at)).unwrap_or(&text).to_owned();
        TrialAnswer { status: status.as_u16(), headers, body, cut: cut.is_some(), millis }
    }

    /// The address where somebody accepts, as a browser would be sent there.
    pub fn authorize_url(&self, url: &str) -> String {
        let masked = match url.split_once('?') {
            Some((url, query)) => {
                let hides = ["client_id", "state", "code_challenge", "nonce", "request_uri", "oauth_token"];
                format!("{url}?{}", pairs(query, |name| hides.contains(&name)))
            }
            None => url.to_owned(),
        };
        self.text(&masked)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.starts_with("application/x-www-form-urlencoded")
}

/// `a=1&b=2`, as it stands but for what is hidden.
fn pairs(text: &str, hides: impl Fn(&str) -> bool) -> String {
    let hide = |pair: &str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
        match (name, pair.split_once('=')) {
            (Some(name), Some((raw, _))) if hides(&name) => format!("{raw}={HIDDEN}"),
            _ => pair.to_owned(),
        }
    };
    text.split('&').map(hide).collect::<Vec<_>>().join("&")
}

/// The same document with what is hidden out of it: texts and numbers, down to the last. `hides` is asked with the name of the member of the
/// whole, and with none for what has no name.
fn masked(value: Value, hides: &dyn Fn(Option<&str>) -> bool) -> Value {
    fn all(value: Value) -> Value {
        match value {
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, all(value))).collect(),
            Value::Array(items) => items.into_iter().map(all).collect(),
            Value::String(_) | Value::Number(_) => HIDDEN.into(),
            other => other,
        }
    }
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = if hides(Some(&name)) { all(value) } else { value };
                (name, value)
            })
            .collect(),
        other if hides(None) => all(other),
        other => other,
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::Method;
    use serde_json::json;

    use super::*;
    use base64::Engine as _;

    const SECRET: &str = "s3cret/of \"me\"+ü";

    fn connector(auth: &Value) -> Connector {
        let document = json!({"name": "A", "base_url": "https://a.example", "auth": auth, "parameters": [
            {"name": "tenant", "in": "header", "as": "X-Tenant"},
            {"name": "signing", "in": "body", "as": "sign", "secret": true},
        ]});
        Connector::from_json(document).unwrap()
    }

    fn seen(url: &str, headers: &[(&'static str, &str)], body: &str) -> Seen {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value).unwrap();
            value.set_sensitive(true);
            map.append(*name, value);
        }
        Seen {
            method: Method::POST,
            uri: url.parse().unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
            answer: Err(crate::call::egress::EgressError::Timeout { sent: true }),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_secret_is_hidden_in_its_place_and_in_every_form() {
        let fields = json!([
            {"name": "key", "in": "header", "as": "X-Key", "prefix": "Token "},
            {"name": "q", "in": "query", "as": "api key"},
            {"name": "c", "in": "cookie", "as": "sid"},
        ]);
        let mut mask = Mask::of(&connector(&json!({"type": "api_key", "fields": fields})));
        mask.add(SECRET);
        let form: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let url = format!("https://a.example/x?a=1&api+key={form}&echo={form}&b");
        let headers =
            [("x-key", "Token abc"), ("x-tenant", "acme"), ("cookie", "sid=abc; other=1"), ("x-else", "abc")];
        let body = json!({"sign": "abc", "note": format!("it is {SECRET}!"), "n": 1}).to_string();
        let shown = mask.request(&seen(&url, &headers, &body), false);
        assert_eq!(shown.url, "https://a.example/x?a=1&api+key=••••&echo=••••&b");
        let header = |name: &str| shown.headers.iter().find(|(n, _)| n == name).unwrap().1.as_str();
        assert_eq!((header("x-key"), header("x-tenant")), ("Token ••••", "acme"));
        assert_eq!((header("cookie"), header("x-else")), ("sid=••••; other=1", "••••"));
        let body: Value = serde_json::from_str(&shown.body).unwrap();
        assert_eq!(body, json!({"sign": "••••", "note": "it is ••••!", "n": 1}));
        // A service that sends it back does so in any form.
        let base64 = base64::engine::general_purpose::STANDARD.encode(SECRET);
        for echo in [SECRET.to_owned(), form.replace('+', "%20").to_lowercase(), base64] {
            let shown =
                mask.answer(&(StatusCode::OK, HeaderMap::new(), format!("<p>{echo}</p>").into()), false, 1);
            assert_eq!(shown.body, "<p>••••</p>");
        }
    }

    #[test]
    fn of_a_token_only_what_is_no_secret_is_shown() {
        let mask = Mask::of(&connector(&json!({"type": "none"})));
        let body = "grant_type=client_credentials&client_id=me&client_secret=x&code=y&odd=z&scope=a+b";
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("authorization", "Basic bWU6eA==")];
        let shown = mask.request(&seen("https://a.example/t?k=1", &headers, body), true);
        assert_eq!(shown.url, "https://a.example/t?k=••••");
        let all =
            "grant_type=client_credentials&client_id=••••&client_secret=••••&code=••••&odd=••••&scope=a+b";
        assert_eq!(shown.body, all);
        assert!(shown.headers.contains(&("authorization".to_owned(), "Basic ••••".to_owned())));
        let answer = |status: StatusCode, body: &str| {
            mask.answer(&(status, HeaderMap::new(), body.to_owned().into()), true, 1).body
        };
        let ok = json!({"access_token": "abc", "expires_in": 60, "user": {"id": 7, "t": ["x"]}, "ok": true});
        let shown: Value = serde_json::from_str(&answer(StatusCode::OK, &ok.to_string())).unwrap();
        let wanted = json!({"access_token": "••••", "expires_in": 60, "user": {"id": "••••", "t": ["••••"]}, "ok": true});
        assert_eq!(shown, wanted);
        assert_eq!(
            answer(StatusCode::OK, "oauth_token=a&oauth_token_secret=b"),
            "oauth_token=••••&oauth_token_secret=••••"
        );
        assert_eq!(answer(StatusCode::OK, "some-token-alone"), "(16 bytes)");
        assert_eq!(answer(StatusCode::OK, "\"some-token-alone\""), "\"••••\"");
        let refused = answer(StatusCode::BAD_REQUEST, r#"{"error":"invalid_client","tid":"7"}"#);
        assert!(refused.contains("invalid_client") && refused.contains("\"7\""), "{refused}");
    }

    #[test]
    fn a_secret_at_the_edge_of_what_is_shown_is_not_cut_in_half() {
        let mut mask = Mask::of(&connector(&json!({"type": "none"})));
        mask.add("a-secret-of-some-length");
        let body = format!("{}a-secret-of-some-length and more", "x".repeat(SHOWN - 6));
        let shown = mask.answer(&(StatusCode::OK, HeaderMap::new(), body.into()), false, 1);
        assert!(shown.cut && shown.body.ends_with(&format!("x{HIDDEN} a")), "{}", &shown.body[SHOWN - 20..]);
    }
}

//! What token endpoints answer, well-behaved or not, sorted into answers and three kinds of errors.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde_json::{Map, Value};

/// Longest description of a service that is passed on.
pub(crate) const MAX_DESCRIPTION_CHARS: usize = 300;
/// Longest error code of a service that is passed on.
pub(crate) const MAX_CODE_CHARS: usize = 100;
/// A longer answer is no token answer.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest life of anything, a hundred years: sums of times never overflow.
const MAX_SECONDS: f64 = 3_155_760_000.0;

/// Why a token endpoint gave no token. The three kinds call for different reactions: a refusal is final for
/// what was presented, a passing fault is tried again, an unreadable answer is somebody's mistake.
/// No variant ever holds any of the answer but the service's error code and its description, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The service answered an OAuth error (RFC 6749 §5.2; RFC 5849 §3.2).
    #[error("the service refused (status {status}): {code}{}", suffix(description.as_deref()))]
    Refused {
        /// The error code, for instance `invalid_grant`.
        code: String,
        /// The service's description, at most 300 characters without control characters.
        description: Option<String>,
        /// The HTTP status.
        status: u16,
    },
    /// The service cannot answer now: 408, 425, 429, 5xx, or an error code that says as much.
    #[error("the service cannot answer at the moment (status {status})")]
    Passing {
        /// The HTTP status.
        status: u16,
        /// Seconds to wait, from `Retry-After` (RFC 9110 §10.2.3).
        retry_after: Option<u64>,
    },
    /// The answer is not one of OAuth.
    #[error("the answer of the service (status {status}) cannot be read: {reason}")]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it, in words of this crate.
        reason: &'static str,
    },
}

fn suffix(description: Option<&str>) -> String {
    description.map(|text| format!(": {text}")).unwrap_or_default()
}

impl TokenError {
    /// Takes these secrets out of the service's words: some services repeat in their error what was presented.
    /// Words that look like tokens are taken out anyway; this catches those that look like plain words.
    #[must_use]
    pub fn without(self, secrets: &[&str]) -> Self {
        let scrub = |text: String| {
            secrets.iter().filter(|secret| secret.len() >= 4).fold(text, |text, s| text.replace(s, REMOVED))
        };
        match self {
            Self::Refused { code, description, status } => {
                Self::Refused { code: scrub(code), description: description.map(scrub), status }
            }
            other => other,
        }
    }

    pub(crate) fn unreadable(status: StatusCode, reason: &'static str) -> Self {
        Self::Unreadable { status: status.as_u16(), reason }
    }
}

/// What stands where a token was.
const REMOVED: &str = "[removed]";

/// A text of a service, fit to be shown: control and invisible formatting characters are gone, runs of white
/// space are one space, words that look like tokens are replaced, and no more than `limit` characters are left.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let visible: String = text
        .chars()
        .take(16 * limit)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| !c.is_control() && !is_formatting(c))
        .collect();
    let words: Vec<&str> =
        visible.split_whitespace().map(|word| if looks_like_token(word) { REMOVED } else { word }).collect();
    let mut text: String = words.join(" ").chars().take(limit).collect();
    text.truncate(text.trim_end().len());
    text
}

/// Characters that change how others are shown: bidirectional controls, zero widths, byte order marks.
fn is_formatting(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A word with a run of 20 or more characters of the alphabets of tokens, letters and digits among them. UUIDs
/// stay, since services give them as the ids their support asks for.
fn looks_like_token(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.~+=".contains(c))).any(|run| {
        let letters = run.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        run.len() >= 20 && letters >= 4 && digits >= 1 && !is_uuid(run.trim_end_matches('.'))
    })
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `Retry-After` as seconds from `now`: a number or an HTTP date (RFC 9110 §10.2.3).
fn retry_after(response: &Response<Bytes>, now: i64) -> Option<u64> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let seconds = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    Some(seconds.saturating_sub(u64::try_from(now).unwrap_or(0)))
}

/// A status that says nothing about what was presented.
fn is_passing_status(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// An error code that says nothing about what was presented: RFC 6749 §4.1.2.1, RFC 8628 §3.5, and what
/// services say in their own words.
fn is_passing_code(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable"
            | "server_error"
            | "slow_down"
            | "service_unavailable"
            | "internal_error"
            | "internal_server_error"
            | "rate_limited"
            | "ratelimited"
            | "rate_limit_exceeded"
            | "too_many_requests"
            | "request_timeout"
    )
}

/// The members of an answer: JSON or form-encoded, whatever its content type says.
pub(crate) fn members(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    if body.len() > MAX_BODY_BYTES {
        return Err("it is longer than 1 MiB");
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    match body.first() {
        None => Err("it is empty"),
        Some(b'<') => Err("it is an HTML or XML page; check the URL"),
        Some(b'{') => match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err("it is not valid JSON"),
        },
        Some(b'[' | b'"') => Err("it is JSON, but not an object"),
        Some(_) => form_members(body),
    }
}

fn form_members(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    const NEITHER: &str = "it is neither JSON nor form-encoded";
    let text = std::str::from_utf8(body).map_err(|_| NEITHER)?;
    if !text.contains('=') || text.contains(['\n', '<', '{']) {
        return Err(NEITHER);
    }
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if members.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err("a parameter is there more than once");
        }
    }
    Ok(members)
}

/// A member that is a string with something in it.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The first of these members that is a string, or failing that a number.
fn named(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| text(members, name).map(str::to_owned)).or_else(|| {
        names.iter().find_map(|name| members.get(*name).filter(|v| v.is_number()).map(Value::to_string))
    })
}

const CODES: &[&str] = &["code", "error_code", "errorCode", "type", "status", "name", "error"];
const DESCRIPTIONS: &[&str] = &[
    "error_description",
    "errorDescription",
    "message",
    "error_message",
    "errorMessage",
    "description",
    "detail",
    "details",
    "oauth_problem_advice",
];

/// The error an answer states: as RFC 6749 §5.2 has it, nested as many services have it, or in the manner of
/// OAuth Problem Reporting.
fn stated_error(members: &Map<String, Value>, failed: bool) -> Option<(String, Option<String>)> {
    let description = named(members, DESCRIPTIONS);
    let nested = |inner: &Map<String, Value>| {
        let code = named(inner, CODES).unwrap_or_else(|| "error".to_owned());
        Some((code, named(inner, DESCRIPTIONS).or_else(|| description.clone())))
    };
    match members.get("error") {
        Some(Value::String(code)) if !code.is_empty() => return Some((code.clone(), description)),
        Some(Value::Object(inner)) if !inner.is_empty() => return nested(inner),
        Some(Value::Number(code)) if code.as_i64() != Some(0) => {
            return Some((code.to_string(), description));
        }
        Some(Value::Bool(true)) => return nested(members),
        _ => {}
    }
    if let Some(problem) = text(members, "oauth_problem") {
        return Some((problem.to_owned(), description));
    }
    match members.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
        Some(Value::Object(inner)) => return nested(inner),
        Some(Value::String(only)) => return Some(("error".to_owned(), Some(only.clone()))),
        _ => {}
    }
    if members.get("ok") == Some(&Value::Bool(false)) || members.get("success") == Some(&Value::Bool(false)) {
        return nested(members);
    }
    if failed {
        named(members, &["error_code", "errorCode", "code"]).map(|code| (code, description))
    } else {
        None
    }
}

/// The members of a good answer, or the error.
pub(crate) fn read(response: &Response<Bytes>, now: i64) -> Result<Map<String, Value>, TokenError> {
    let status = response.status();
    let passing = || TokenError::Passing { status: status.as_u16(), retry_after: retry_after(response, now) };
    if is_passing_status(status) {
        return Err(passing());
    }
    if status.is_redirection() {
        return Err(TokenError::unreadable(
            status,
            "it is a redirect, which is never followed; check the URL",
        ));
    }
    let members = members(response.body()).map_err(|reason| TokenError::unreadable(status, reason))?;
    if let Some((code, description)) = stated_error(&members, !status.is_success()) {
        if is_passing_code(&code) {
            return Err(passing());
        }
        return Err(TokenError::Refused {
            code: clean(&code, MAX_CODE_CHARS),
            description: description
                .map(|text| clean(&text, MAX_DESCRIPTION_CHARS))
                .filter(|text| !text.is_empty()),
            status: status.as_u16(),
        });
    }
    if status.is_success() {
        Ok(members)
    } else {
        Err(TokenError::unreadable(status, "it is an error without an OAuth error code"))
    }
}

/// A number of seconds, as number, text or fraction. What is not above zero says nothing: services write `0`
/// and `-1` for a token that does not expire, and a token expired at birth is of no use to anybody.
pub(crate) fn seconds(value: Option<&Value>) -> Option<u64> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    if seconds.is_nan() || seconds < 1.0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 1 and MAX_SECONDS
    let whole = seconds.min(MAX_SECONDS) as u64;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn refused(status: u16, body: &str) -> (String, Option<String>) {
        match read(&answer(status, body), 0) {
            Err(TokenError::Refused { code, description, status: got }) if got == status => {
                (code, description)
            }
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn errors_are_found_wherever_services_put_them() {
        for (status, body, code, description) in [
            (400, r#"{"error":"invalid_grant","error_description":"no"}"#, "invalid_grant", Some("no")),
            (401, r#"{"error":"invalid_client"}"#, "invalid_client", None),
            (200, r#"{"error":"bad_verification_code"}"#, "bad_verification_code", None),
            (
                200,
                "error=bad_verification_code&error_description=The+code",
                "bad_verification_code",
                Some("The code"),
            ),
            (200, r#"{"ok":false,"error":"invalid_code"}"#, "invalid_code", None),
            (200, r#"{"ok":false}"#, "error", None),
            (400, r#"{"error":{"code":"x","message":"m"}}"#, "x", Some("m")),
            (
                400,
                r#"{"error":{"message":"m","type":"OAuthException","code":190}}"#,
                "OAuthException",
                Some("m"),
            ),
            (400, r#"{"error":{"code":400,"message":"m"}}"#, "400", Some("m")),
            (400, r#"{"error":401,"message":"m"}"#, "401", Some("m")),
            (400, r#"{"errors":[{"code":32,"message":"m"}]}"#, "32", Some("m")),
            (400, r#"{"errors":["m"]}"#, "error", Some("m")),
            (400, r#"{"errorCode":"invalid_grant","errorMessage":"m"}"#, "invalid_grant", Some("m")),
            (401, "oauth_problem=token_rejected&oauth_problem_advice=no", "token_rejected", Some("no")),
            (400, "\u{feff}{\"error\":\"invalid_scope\"}", "invalid_scope", None),
        ] {
            assert_eq!(refused(status, body), (code.to_owned(), description.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn an_absent_error_is_none() {
        for body in [
            r#"{"error":null,"a":1}"#,
            r#"{"error":"","a":1}"#,
            r#"{"error":false}"#,
            r#"{"error":0}"#,
            r#"{"errors":[]}"#,
            r#"{"ok":true,"code":"x","message":"m"}"#,
        ] {
            assert!(read(&answer(200, body), 0).is_ok(), "{body}");
        }
    }

    #[test]
    fn passing_faults_are_told_from_refusals() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let error = read(&answer(status, r#"{"error":"invalid_grant"}"#), 0).unwrap_err();
            assert_eq!(error, TokenError::Passing { status, retry_after: None });
        }
        for code in ["temporarily_unavailable", "server_error", "slow_down", "ratelimited"] {
            for status in [200, 400, 403] {
                let error = read(&answer(status, &format!(r#"{{"error":"{code}"}}"#)), 0).unwrap_err();
                assert_eq!(error, TokenError::Passing { status, retry_after: None }, "{code}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let after = |value: &str, now| {
            let mut response = answer(429, "");
            response.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
            match read(&response, now) {
                Err(TokenError::Passing { status: 429, retry_after }) => retry_after,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(after("120", 0), Some(120));
        assert_eq!(after(" 0 ", 0), Some(0));
        assert_eq!(after("99999999999999999999999", 0), Some(u64::MAX));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_700), Some(77));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_800), Some(0));
        assert_eq!(after("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_700), Some(77));
        assert_eq!(after("soon", 0), None);
        assert_eq!(after("-5", 0), None);
    }

    #[test]
    fn what_is_no_oauth_answer_is_unreadable() {
        for (status, body) in [
            (200, "<!DOCTYPE html><title>Log in</title>"),
            (404, "<html>"),
            (200, ""),
            (200, "  \r\n "),
            (200, "{\"access_token\":\"abc"),
            (200, "[1,2]"),
            (200, "\"abc\""),
            (200, "not found"),
            (200, "access_token=a&access_token=b"),
            (400, r#"{"message":"m"}"#),
            (404, r#"{"access_token":"sekrit"}"#),
            (302, r#"{"access_token":"sekrit"}"#),
        ] {
            match read(&answer(status, body), 0) {
                Err(TokenError::Unreadable { status: got, reason }) => {
                    assert_eq!(got, status, "{body}");
                    assert!(!reason.contains("sekrit"));
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        let redirect = read(&answer(302, ""), 0).unwrap_err().to_string();
        assert!(redirect.contains("redirect"), "{redirect}");
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES));
        assert!(matches!(read(&answer(200, &huge), 0), Err(TokenError::Unreadable { .. })));
        let deep = "{\"a\":".repeat(4000);
        assert!(matches!(read(&answer(200, &deep), 0), Err(TokenError::Unreadable { .. })));
    }

    #[test]
    fn descriptions_are_short_and_carry_no_tokens() {
        let body = serde_json::json!({
            "error": "invalid_grant",
            "error_description":
                "Token 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0' is\u{7} unknown.\r\nTrace 0f8fad5b-d9cb-469f-a165-70867728950e",
        });
        let (_, description) = refused(400, &body.to_string());
        let expected = "Token [removed] is unknown. Trace 0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(description.as_deref(), Some(expected));
        let long = serde_json::json!({"error": "x", "error_description": "\u{e9} ".repeat(5000)});
        assert!(refused(400, &long.to_string()).1.unwrap().chars().count() <= MAX_DESCRIPTION_CHARS);
        assert_eq!(refused(400, r#"{"error":"x","error_description":"\u0001\u202e"}"#).1, None);
    }

    #[test]
    fn known_secrets_are_taken_out_of_a_refusal() {
        let error = TokenError::Refused {
            code: "x".into(),
            description: Some("hunter2 is not a known token".into()),
            status: 400,
        };
        let text = error.without(&["hunter2", "", "is"]).to_string();
        assert_eq!(text, "the service refused (status 400): x: [removed] is not a known token");
    }

    #[test]
    fn seconds_are_read_in_every_form() {
        let of = |json: &str| seconds(Some(&serde_json::from_str(json).unwrap()));
        for (json, expected) in [
            ("3600", Some(3600)),
            ("3600.0", Some(3600)),
            ("3599.9", Some(3599)),
            ("\"3600\"", Some(3600)),
            ("\" 3600.5 \"", Some(3600)),
            ("null", None),
            ("\"\"", None),
            ("\"soon\"", None),
            ("\"NaN\"", None),
            ("-1", None),
            ("\"-1\"", None),
            ("0", None),
            ("true", None),
            ("1e300", Some(3_155_760_000)),
            ("\"inf\"", Some(3_155_760_000)),
            ("18446744073709551615", Some(3_155_760_000)),
        ] {
            assert_eq!(of(json), expected, "{json}");
        }
        assert_eq!(seconds(None), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100u16..600) {
            let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            let _ = read(&response, 0);
        }

        #[test]
        fn cleaned_text_is_clean(text in ".{0,600}", limit in 1usize..300) {
            let cleaned = clean(&text, limit);
            prop_assert!(cleaned.chars().count() <= limit);
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_formatting(c)));
        }
    }
}

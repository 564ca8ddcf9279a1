//! The device authorization grant: RFC 8628.

use bytes::Bytes;
use http::{Request, Response};
use secrecy::{ExposeSecret as _, SecretString};

use super::request::{Parameters, build, pair, token_request};
use super::{Client, Moment, TokenAnswer, TokenEndpoint, TokenQuirks, parse_token_response};
use crate::answer::{TokenError, members, read, seconds, text};
use crate::encoding::{RequestError, parse_url};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A longer code is typed by nobody (RFC 8628 §6.1).
const LONGEST_CODE: usize = 100;
const LONGEST_URI: usize = 2048;

/// Asks for a device and a user code (RFC 8628 §3.1). The URL of `endpoint` is the device authorization endpoint's.
/// The client's id is always in the body, as RFC 8628 §3.1 demands of clients that do not authenticate.
pub fn device_authorization_request(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    scope: Option<&str>,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let mut parameters: Parameters = vec![pair(client.client_id_name, client.client_id)];
    if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
        parameters.push(pair("scope", scope));
    }
    build("device_authorization_url", Some(client), endpoint, parameters, moment)
}

/// Asks whether the user has decided (RFC 8628 §3.4).
pub fn device_token_request(
    client: &Client<'_>,
    endpoint: &TokenEndpoint<'_>,
    device_code: &SecretString,
    moment: &Moment<'_>,
) -> Result<Request<Bytes>, RequestError> {
    let parameters = vec![pair("grant_type", DEVICE_CODE), pair("device_code", device_code.expose_secret())];
    token_request(Some(client), endpoint, parameters, moment)
}

/// The answer to a device authorization request (RFC 8628 §3.2).
pub struct DeviceAuthorization {
    /// What the client asks with.
    pub device_code: SecretString,
    /// What the user types.
    pub user_code: String,
    /// Where the user types it: an http or https URL.
    pub verification_uri: String,
    /// The same with the code in it, when the service has one.
    pub verification_uri_complete: Option<String>,
    /// Seconds until both codes expire; 600 when the service does not say.
    pub expires_in: u64,
    /// Seconds between two questions, 5 when the service does not say.
    pub interval: u64,
}

/// Reads the answer to a device authorization request (RFC 8628 §3.2).
pub fn parse_device_authorization(
    response: &Response<Bytes>,
    now: i64,
) -> Result<DeviceAuthorization, TokenError> {
    let members = read(response, now)?;
    let missing = |reason| TokenError::unreadable(response.status(), reason);
    // What people are shown is short, and of letters that can be shown.
    let shown = |name, longest| {
        text(&members, name).filter(|text| text.len() <= longest && !text.chars().any(char::is_control))
    };
    let link = |name| shown(name, LONGEST_URI).filter(|url| parse_url("verification_uri", url).is_ok());
    Ok(DeviceAuthorization {
        device_code: text(&members, "device_code").ok_or(missing("it has no device_code"))?.into(),
        user_code: shown("user_code", LONGEST_CODE)
            .ok_or(missing("it has no user_code that a person could type"))?
            .to_owned(),
        verification_uri: link("verification_uri")
            .or_else(|| link("verification_url"))
            .ok_or(missing("it has no verification_uri that is a web address"))?
            .to_owned(),
        verification_uri_complete: link("verification_uri_complete")
            .or_else(|| link("verification_url_complete"))
            .map(str::to_owned),
        expires_in: seconds(members.get("expires_in")).unwrap_or(600),
        interval: seconds(members.get("interval")).unwrap_or(5),
    })
}

/// The answer to a device token request (RFC 8628 §3.5).
pub enum DeviceTokenAnswer {
    /// The user has agreed.
    Token(Box<TokenAnswer>),
    /// The user has not decided yet.
    Pending,
    /// Not yet, and the interval grows by 5 seconds from now on.
    SlowDown,
}

/// Reads the answer to a device token request (RFC 8628 §3.5). `access_denied` and `expired_token` are refusals.
pub fn parse_device_token_response(
    response: &Response<Bytes>,
    quirks: &TokenQuirks<'_>,
    now: i64,
) -> Result<DeviceTokenAnswer, TokenError> {
    if response.status().is_client_error() || response.status().is_success() {
        let code =
            members(response.body()).ok().and_then(|members| text(&members, "error").map(str::to_owned));
        match code.as_deref() {
            Some("authorization_pending") => return Ok(DeviceTokenAnswer::Pending),
            Some("slow_down") => return Ok(DeviceTokenAnswer::SlowDown),
            _ => {}
        }
    }
    parse_token_response(response, quirks, now).map(|answer| DeviceTokenAnswer::Token(Box::new(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth2::ClientAuthentication;
    use crate::oauth2::request::plain_endpoint;

    const MOMENT: Moment<'static> = Moment { now: 1_800_000_000, nonce: "n" };

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn the_requests_are_those_of_rfc_8628() {
        let client = Client {
            client_id: "1406020730",
            client_id_name: "client_id",
            authentication: ClientAuthentication::None,
        };
        let endpoint = plain_endpoint("https://as.example/device_authorization");
        let request =
            device_authorization_request(&client, &endpoint, Some("example_scope"), &MOMENT).unwrap();
        assert_eq!(request.body(), "client_id=1406020730&scope=example_scope");
        let code = SecretString::from("GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS");
        let request = device_token_request(&client, &endpoint, &code, &MOMENT).unwrap();
        assert_eq!(
            request.body(),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
             &device_code=GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS&client_id=1406020730"
        );
    }

    #[test]
    fn codes_are_read() {
        let body = r#"{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device",
            "verification_uri_complete":"javascript:alert(1)","expires_in":1800}"#;
        let codes = parse_device_authorization(&answer(200, body), 0).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(codes.device_code.expose_secret(), "d");
        assert_eq!((codes.user_code.as_str(), codes.expires_in, codes.interval), ("WDJB-MJHT", 1800, 5));
        assert_eq!(codes.verification_uri, "https://example.com/device");
        assert_eq!(codes.verification_uri_complete, None);
        let google =
            r#"{"device_code":"d","user_code":"u","verification_url":"https://g.example","interval":"7"}"#;
        let codes = parse_device_authorization(&answer(200, google), 0).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((codes.verification_uri.as_str(), codes.interval), ("https://g.example", 7));
        let script = r#"{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}"#;
        assert!(parse_device_authorization(&answer(200, script), 0).is_err());
        let endless = format!(
            r#"{{"device_code":"d","user_code":"{}","verification_uri":"https://g.example"}}"#,
            "u".repeat(101)
        );
        assert!(parse_device_authorization(&answer(200, &endless), 0).is_err());
    }

    #[test]
    fn waiting_is_told_from_refusal() {
        let read = |status, body: &str| {
            parse_device_token_response(&answer(status, body), &TokenQuirks::default(), 0)
        };
        let pending = r#"{"error":"authorization_pending"}"#;
        assert!(matches!(read(400, pending), Ok(DeviceTokenAnswer::Pending)));
        assert!(matches!(read(200, pending), Ok(DeviceTokenAnswer::Pending)));
        assert!(matches!(read(400, r#"{"error":"slow_down"}"#), Ok(DeviceTokenAnswer::SlowDown)));
        assert!(matches!(read(400, r#"{"error":"access_denied"}"#), Err(TokenError::Refused { .. })));
        assert!(matches!(read(400, r#"{"error":"expired_token"}"#), Err(TokenError::Refused { .. })));
        assert!(matches!(read(503, pending), Err(TokenError::Passing { .. })));
        assert!(matches!(read(200, r#"{"access_token":"t"}"#), Ok(DeviceTokenAnswer::Token(_))));
    }
}

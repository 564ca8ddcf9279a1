//! Browser sessions over HTTP: the cookie, and the defence against requests that another site made a browser send.

use http::header::{COOKIE, HeaderName, ORIGIN, SET_COOKIE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use jackfield_core::{Code, Error, Result};
use jackfield_engine::govern::sessions::{LIFE, check_csrf, csrf_token};
use jackfield_engine::{Caller, Engine, clock};
use secrecy::{ExposeSecret, SecretString};

/// What a browser sends beside the cookie to change anything.
pub(crate) const CSRF: HeaderName = HeaderName::from_static("jackfield-csrf");

pub(crate) fn is_https(engine: &Engine) -> bool {
    engine.settings().public_url.starts_with("https://")
}

/// With `__Host-` a browser takes the cookie from this very host alone, and only over TLS (RFC 6265bis §4.1.3.2).
fn cookie_name(engine: &Engine) -> &'static str {
    if is_https(engine) { "__Host-jackfield_session" } else { "jackfield_session" }
}

/// The token in the session's cookie.
pub(crate) fn token(engine: &Engine, headers: &HeaderMap) -> Option<SecretString> {
    let name = cookie_name(engine);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, value)| *found == name && !value.is_empty())
        .map(|(_, value)| SecretString::from(value))
}

/// Who is calling, by the session's cookie. `None`: there is no such cookie.
pub(crate) async fn authenticate(
    engine: &Engine,
    method: &Method,
    headers: &HeaderMap,
    always: bool,
) -> Result<Option<Caller>> {
    let Some(token) = token(engine, headers) else { return Ok(None) };
    let caller = engine.authenticate_session(&token, clock::now()).await?;
    // A WebSocket begins with a GET, and no browser asks whether the other site may open one.
    let safe = matches!(*method, Method::GET | Method::HEAD) && !headers.contains_key(UPGRADE);
    if always || !safe {
        same_origin(engine, headers)?;
        let given = headers.get(&CSRF).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !check_csrf(&token, given) {
            return Err(Error::new(
                Code::Forbidden,
                "A browser session needs the header Jackfield-CSRF here: its value is `csrf` in the answer of GET /v1/sessions/current.",
            ));
        }
    }
    Ok(Some(caller))
}

/// Refuses what a browser says that another site made it send. Programs say neither.
pub(crate) fn same_origin(engine: &Engine, headers: &HeaderMap) -> Result<()> {
    let own = origin(&engine.settings().public_url);
    let site = headers.get("sec-fetch-site");
    let foreign_site = site.is_some_and(|value| value != "same-origin");
    let foreign_origin = headers.get(ORIGIN).is_some_and(|value| {
        // A form on a page that tells nobody where it is has no origin; the browser's other word says that it is ours.
        let withheld = value == "null" && site.is_some();
        !withheld && !value.as_bytes().eq_ignore_ascii_case(own.as_bytes())
    });
    if foreign_origin || foreign_site {
        return Err(Error::new(
            Code::Forbidden,
            format!(
                "This request comes from a page of another site. Send it from {own} (JACKFIELD_PUBLIC_URL)."
            ),
        ));
    }
    Ok(())
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or(url)
}

/// Hands the browser its token, and what it has to send beside it.
pub(crate) fn give(engine: &Engine, token: &SecretString, headers: &mut HeaderMap) {
    set(engine, token.expose_secret(), LIFE.as_secs(), headers);
    if let Ok(value) = HeaderValue::from_str(&csrf_token(token)) {
        headers.insert(CSRF, value);
    }
}

/// Takes the token from the browser.
pub(crate) fn take(engine: &Engine, headers: &mut HeaderMap) {
    set(engine, "", 0, headers);
}

fn set(engine: &Engine, value: &str, seconds: u64, headers: &mut HeaderMap) {
    let secure = if is_https(engine) { "; Secure" } else { "" };
    let name = cookie_name(engine);
    let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(mut line) = HeaderValue::from_str(&line) {
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
}

/// Takes the session's cookie out of a request that goes on to a service.
pub(crate) fn hide(engine: &Engine, headers: &mut HeaderMap) {
    let name = cookie_name(engine);
    let kept: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| pair.split_once('=').is_none_or(|(found, _)| found != name) && !pair.is_empty())
        .map(str::to_owned)
        .collect();
    headers.remove(COOKIE);
    if let Ok(line) = HeaderValue::from_str(&kept.join("; "))
        && !kept.is_empty()
    {
        headers.insert(COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(origin("https://jackfield.example:8443/under/here"), "https://jackfield.example:8443");
        assert_eq!(origin("http://127.0.0.1:8484"), "http://127.0.0.1:8484");
    }
}

//! OAuth 1 (RFC 5849): three legs, verified here from the text of the specification alone.

use std::time::Duration;

use aws_lc_rs::{
    hmac,
    signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey},
};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, header, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    App,
    accounts::{Consumer, Person},
    clock,
    faults::{FORM_LIMIT, no_store},
    pages,
    params::{Params, is_form},
    secret,
    state::{Lasting, Temporary, Wish},
};

const TEMPORARY_LIFE: Duration = Duration::from_mins(10);
/// How far a timestamp may be from the clock, in seconds.
const SKEW: i64 = 300;
/// Everything but `ALPHA DIGIT - . _ ~` (section 3.6).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What clients call.
pub(crate) fn machine_routes() -> Router<App> {
    Router::new()
        .route("/oauth1/request_token", post(request_token).get(request_token))
        .route("/oauth1/access_token", post(access_token).get(access_token))
}

/// What browsers open.
pub(crate) fn browser_routes() -> Router<App> {
    Router::new().route("/oauth1/authorize", get(authorize))
}

/// Why a signed request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// The name from the *OAuth Problem Reporting* extension.
    problem: &'static str,
    advice: String,
}

impl Refusal {
    fn unauthorized(problem: &'static str, advice: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, problem, advice: advice.into() }
    }

    fn bad_request(problem: &'static str, advice: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem, advice: advice.into() }
    }
}

impl Refusal {
    /// The name of the problem.
    pub(crate) fn problem(&self) -> &'static str {
        self.problem
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = form(&[("oauth_problem", self.problem), ("oauth_problem_advice", &self.advice)]);
        let mut response = answer(body);
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = format!("OAuth realm=\"sandbox\", oauth_problem=\"{}\"", self.problem);
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn answer(body: String) -> Response {
    no_store(([(header::CONTENT_TYPE, "application/x-www-form-urlencoded")], body).into_response())
}

/// A request whose signature holds.
struct Signed<'a> {
    consumer: &'a Consumer,
    token: Option<String>,
    params: Params,
}

/// Whose secret, besides the consumer's, signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// No token yet.
    Request,
    /// The request token.
    Exchange,
    /// The access token.
    Call,
}

async fn request_token(State(app): State<App>, request: Request) -> Response {
    let made = async {
        let (parts, body) = read(request).await?;
        let signed = verify(&app, &parts, &body, Leg::Request)?;
        let callback = signed
            .params
            .get("oauth_callback")
            .ok_or_else(|| Refusal::bad_request("parameter_absent", "oauth_callback is missing"))?;
        if callback != "oob" && !signed.consumer.redirects.allow(callback) {
            return Err(Refusal::bad_request("parameter_rejected", "oauth_callback is not registered"));
        }
        let (token, token_secret) = (secret::token("sb1r_"), secret::token(""));
        let temporary = Temporary {
            consumer: signed.consumer.key.clone(),
            secret: token_secret.clone(),
            callback: callback.to_owned(),
            until: clock::now() + TEMPORARY_LIFE,
            allowed: None,
        };
        app.sandbox.state().temporary.insert(token.clone(), temporary);
        Ok(answer(form(&[
            ("oauth_token", &token),
            ("oauth_token_secret", &token_secret),
            ("oauth_callback_confirmed", "true"),
        ])))
    };
    made.await.unwrap_or_else(IntoResponse::into_response)
}

async fn authorize(State(app): State<App>, request: Request) -> Response {
    let params = Params::of_query(request.uri().query());
    let token = params.get("oauth_token").unwrap_or_default().to_owned();
    let wish = app
        .sandbox
        .state()
        .temporary
        .get(&token)
        .filter(|temporary| clock::now() < temporary.until && temporary.allowed.is_none())
        .map(|temporary| Wish::OAuth1 {
            consumer: temporary.consumer.clone(),
            token: token.clone(),
            callback: temporary.callback.clone(),
        });
    match wish {
        Some(wish) => pages::ask(&app, request.headers(), wish),
        None => pages::trouble(StatusCode::BAD_REQUEST, "The request token is unknown, used or expired."),
    }
}

/// The person allowed: the verifier, unless the token has run out.
pub(crate) fn allowed(app: &App, token: &str, person: &'static Person) -> Option<String> {
    let mut state = app.sandbox.state();
    let temporary = state
        .temporary
        .get_mut(token)
        .filter(|temporary| clock::now() < temporary.until && temporary.allowed.is_none())?;
    let verifier = secret::token("");
    temporary.allowed = Some((verifier.clone(), person));
    Some(verifier)
}

/// The person denied: the token is gone.
pub(crate) fn denied(app: &App, token: &str) {
    app.sandbox.state().temporary.remove(token);
}

/// Where the browser goes: `oauth_token` and `oauth_verifier`, or `denied`.
pub(crate) fn back(callback: &str, token: &str, verifier: Option<&str>) -> String {
    let Ok(mut url) = url::Url::parse(callback) else { return callback.to_owned() };
    match verifier {
        Some(verifier) => {
            url.query_pairs_mut().append_pair("oauth_token", token).append_pair("oauth_verifier", verifier);
        }
        None => {
            url.query_pairs_mut().append_pair("denied", token);
        }
    }
    url.into()
}

async fn access_token(State(app): State<App>, request: Request) -> Response {
    let made = async {
        let (parts, body) = read(request).await?;
        let signed = verify(&app, &parts, &body, Leg::Exchange)?;
        let token = signed.token.unwrap_or_default();
        let verifier = signed.params.get("oauth_verifier").unwrap_or_default();
        let mut state = app.sandbox.state();
        // Used up, right or wrong: a verifier is not to be guessed.
        let temporary = state.temporary.remove(&token);
        let person = match temporary.and_then(|temporary| temporary.allowed) {
            Some((known, person)) if secret::same(&known, verifier) => person,
            Some(_) => return Err(Refusal::unauthorized("parameter_rejected", "oauth_verifier is wrong")),
            None => return Err(Refusal::unauthorized("permission_unknown", "nobody has allowed this token")),
        };
        let (token, token_secret) = (secret::token("sb1a_"), secret::token(""));
        let lasting = Lasting { consumer: signed.consumer.key.clone(), secret: token_secret.clone(), person };
        state.lasting.insert(token.clone(), lasting);
        Ok(answer(form(&[
            ("oauth_token", &token),
            ("oauth_token_secret", &token_secret),
            ("user_id", person.sub),
            ("screen_name", person.email),
        ])))
    };
    made.await.unwrap_or_else(IntoResponse::into_response)
}

async fn read(request: Request) -> Result<(Parts, Bytes), Refusal> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, FORM_LIMIT)
        .await
        .map_err(|_| Refusal::bad_request("parameter_rejected", "the request is too long"))?;
    Ok((parts, body))
}

/// Whose access token signed a call to the API. `body` is what a form body holds.
pub(crate) fn caller(app: &App, parts: &Parts, body: &Bytes) -> Result<(String, &'static Person), Refusal> {
    let signed = verify(app, parts, body, Leg::Call)?;
    let token = signed.token.unwrap_or_default();
    let state = app.sandbox.state();
    let lasting = state
        .lasting
        .get(&token)
        .ok_or_else(|| Refusal::unauthorized("token_rejected", "the token is gone"))?;
    Ok((lasting.consumer.clone(), lasting.person))
}

/// Whether the header is one of OAuth 1.
pub(crate) fn is_oauth1(authorization: &str) -> bool {
    authorization.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("oauth "))
}

fn verify<'a>(app: &'a App, parts: &Parts, body: &Bytes, leg: Leg) -> Result<Signed<'a>, Refusal> {
    let params = collect(parts, body)?;
    for (name, _) in &params.0 {
        if name.starts_with("oauth_") && params.all(name).count() > 1 {
            return Err(Refusal::bad_request("parameter_rejected", format!("{name} is given twice")));
        }
    }
    let need = |name: &'static str| {
        params
            .get(name)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::bad_request("parameter_absent", format!("{name} is missing")))
    };
    if params.get("oauth_version").is_some_and(|version| version != "1.0") {
        return Err(Refusal::bad_request("version_rejected", "oauth_version must be 1.0"));
    }
    let method = need("oauth_signature_method")?;
    let signature = need("oauth_signature")?;
    let key = need("oauth_consumer_key")?;
    let consumer = app
        .sandbox
        .consumer(&key)
        .ok_or_else(|| Refusal::unauthorized("consumer_key_unknown", "the consumer key is unknown"))?;
    let token = if leg == Leg::Request { None } else { Some(need("oauth_token")?) };
    let token_secret = match &token {
        None => String::new(),
        Some(token) => token_secret(app, leg, token, &key)?,
    };
    let signing_key = format!(
        "{}&{}",
        utf8_percent_encode(&consumer.secret, ESCAPED),
        utf8_percent_encode(&token_secret, ESCAPED)
    );
    let base = || base_string(app, parts, &params);
    let decoded = || BASE64_STANDARD.decode(&signature).unwrap_or_default();
    let by_hmac = |algorithm| {
        let key = hmac::Key::new(algorithm, signing_key.as_bytes());
        hmac::verify(&key, base().as_bytes(), &decoded()).is_ok()
    };
    let right = match method.as_str() {
        "PLAINTEXT" => secret::same(&signing_key, &signature),
        "HMAC-SHA1" => by_hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "HMAC-SHA256" => by_hmac(hmac::HMAC_SHA256),
        "RSA-SHA1" => consumer.public_key.as_deref().is_some_and(|public_key| {
            UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key)
                .verify(base().as_bytes(), &decoded())
                .is_ok()
        }),
        _ => {
            return Err(Refusal::bad_request(
                "signature_method_rejected",
                "the signature method is not supported",
            ));
        }
    };
    if !right {
        return Err(Refusal::unauthorized(
            "signature_invalid",
            format!("expected a signature over {}", base()),
        ));
    }
    if method != "PLAINTEXT" {
        let timestamp: i64 = need("oauth_timestamp")?
            .parse()
            .map_err(|_| Refusal::bad_request("timestamp_refused", "oauth_timestamp is no number"))?;
        if (timestamp - clock::unix()).abs() > SKEW {
            return Err(Refusal::unauthorized(
                "timestamp_refused",
                "oauth_timestamp is too far from the clock",
            ));
        }
        let nonce = need("oauth_nonce")?;
        let used = format!("nonce {key} {} {timestamp} {nonce}", token.as_deref().unwrap_or_default());
        let life = Duration::from_secs(2 * SKEW.unsigned_abs());
        if !app.sandbox.state().first_use(used, life) {
            return Err(Refusal::unauthorized("nonce_used", "oauth_nonce was used before"));
        }
    }
    Ok(Signed { consumer, token, params })
}

fn token_secret(app: &App, leg: Leg, token: &str, consumer: &str) -> Result<String, Refusal> {
    let state = app.sandbox.state();
    let found = if leg == Leg::Exchange {
        state
            .temporary
            .get(token)
            .filter(|temporary| clock::now() < temporary.until)
            .map(|temporary| (&temporary.consumer, &temporary.secret))
    } else {
        state.lasting.get(token).map(|lasting| (&lasting.consumer, &lasting.secret))
    };
    match found {
        Some((owner, secret)) if owner == consumer => Ok(secret.clone()),
        _ => Err(Refusal::unauthorized(
            "token_rejected",
            "the token is unknown, used, revoked or another consumer's",
        )),
    }
}

/// All parameters of a request: header, query and form body (section 3.4.1.3.1).
fn collect(parts: &Parts, body: &Bytes) -> Result<Params, Refusal> {
    let mut params = Params::of_query(parts.uri.query());
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(list) = header.filter(|header| is_oauth1(header)).and_then(|header| header.get(6..)) {
        for item in list.split(',') {
            let malformed =
                || Refusal::bad_request("parameter_rejected", "the Authorization header is malformed");
            let (name, value) = item.trim().split_once('=').ok_or_else(malformed)?;
            let value = value
                .trim()
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .ok_or_else(malformed)?;
            if !name.trim().eq_ignore_ascii_case("realm") {
                params.0.push((decode(name.trim()), decode(value)));
            }
        }
    }
    if is_form(&parts.headers) {
        params.0.extend(Params::parse(body).0);
    }
    Ok(params)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The signature base string (section 3.4.1).
fn base_string(app: &App, parts: &Parts, params: &Params) -> String {
    let mut pairs: Vec<(String, String)> = params
        .0
        .iter()
        .filter(|(name, _)| name != "oauth_signature")
        .map(|(name, value)| (escape(name), escape(value)))
        .collect();
    pairs.sort();
    let normalized =
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    // The scheme is the one people use, the host the one this request names, without a default port.
    let (scheme, known_host) = app.base.split_once("://").unwrap_or(("http", &app.base));
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_else(|| known_host.split('/').next().unwrap_or_default())
        .to_lowercase();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    let uri = format!("{scheme}://{host}{}", parts.uri.path());
    format!("{}&{}&{}", escape(parts.method.as_str()), escape(&uri), escape(&normalized))
}

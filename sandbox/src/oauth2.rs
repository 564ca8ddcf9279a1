//! OAuth 2: authorization code with PKCE, refresh with rotation, client credentials, JWT bearer,
//! device code, revocation, pushed requests and metadata.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::{Map, Value, json};

use crate::{
    App,
    accounts::{self, Client, Person, Redirects, SCOPES},
    assertion, clock,
    faults::{FORM_LIMIT, WithoutRefreshToken, no_store},
    pages,
    params::Params,
    secret,
    state::{Access, Code, CodeWish, Decision, Device, Fading, Grant, Refresh, Spent, State as Store, Wish},
};

const CODE_LIFE: Duration = Duration::from_mins(1);
const PUSHED_LIFE: Duration = Duration::from_secs(90);
const DEVICE_LIFE: Duration = Duration::from_mins(10);
const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const JWT_BEARER_CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What clients call.
pub(crate) fn machine_routes() -> Router<App> {
    Router::new()
        .route("/oauth2/token", post(token))
        .route("/oauth2/revoke", post(revoke))
        .route("/oauth2/par", post(push))
        .route("/oauth2/device_authorization", post(device_authorization))
}

/// What browsers open, and what anybody may read.
pub(crate) fn browser_routes() -> Router<App> {
    Router::new()
        .route("/oauth2/authorize", get(authorize))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

/// An error answer of RFC 6749, section 5.2.
#[derive(Debug)]
struct Refusal {
    error: &'static str,
    description: String,
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let body = Json(json!({"error": self.error, "error_description": self.description}));
        let mut response = no_store((status, body).into_response());
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"sandbox\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

async fn metadata(State(app): State<App>) -> Json<Value> {
    let base = &app.base;
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"];
    let scopes: Vec<&str> = SCOPES.iter().map(|scope| scope.name).collect();
    Json(json!({
        "issuer": &**base,
        "authorization_endpoint": format!("{base}/oauth2/authorize"),
        "token_endpoint": format!("{base}/oauth2/token"),
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "pushed_authorization_request_endpoint": format!("{base}/oauth2/par"),
        "device_authorization_endpoint": format!("{base}/oauth2/device_authorization"),
        "require_pushed_authorization_requests": app.sandbox.options().require_par,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported":
            ["authorization_code", "refresh_token", "client_credentials", JWT_BEARER_GRANT, DEVICE_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "scopes_supported": scopes,
        "authorization_response_iss_parameter_supported": true,
        "service_documentation": format!("{base}/"),
    }))
}

/// Reads the parameters of a request and refuses what nobody can answer.
async fn read(request: Request) -> Result<(Parts, Params), Refusal> {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, FORM_LIMIT)
        .await
        .map_err(|_| Refusal::new("invalid_request", "the request is too long"))?;
    let params = Params::of_body(&parts.headers, &body).ok_or_else(|| {
        Refusal::new("invalid_request", "the body must be application/x-www-form-urlencoded")
    })?;
    params
        .unique()
        .map_err(|repeated| Refusal::new("invalid_request", format!("{} is given twice", repeated.0)))?;
    Ok((parts, params))
}

/// Who the client is: Basic, secret in the body, signed assertion, or a public client's bare id.
fn authenticate<'a>(app: &'a App, headers: &HeaderMap, params: &Params) -> Result<&'a Client, Refusal> {
    let refuse = |why: &str| Refusal::new("invalid_client", why);
    let basic = headers
        .get(header::AUTHORIZATION)
        .map(|value| {
            let (id, secret) =
                value.to_str().ok().and_then(basic_credentials).ok_or_else(|| refuse("unreadable"))?;
            // RFC 6749, section 2.3.1: both halves are form-encoded before they are joined.
            let decode = |half: &str| Params::parse(format!("v={}", half.replace('&', "%26")).as_bytes());
            let half = |half: &str| decode(half).get("v").unwrap_or_default().to_owned();
            Ok((half(&id), half(&secret)))
        })
        .transpose()?;
    let assertion = params.get("client_assertion");
    let in_body = params.get("client_secret");
    if usize::from(basic.is_some()) + usize::from(assertion.is_some()) + usize::from(in_body.is_some()) > 1 {
        return Err(Refusal::new("invalid_request", "the client authenticates in more than one way"));
    }
    let unknown = || refuse("the client is unknown or its authentication is wrong");
    if let Some((id, secret)) = basic {
        if params.get("client_id").is_some_and(|other| other != id) {
            return Err(Refusal::new("invalid_request", "client_id differs from the authenticated client"));
        }
        let client = app.sandbox.client(&id).ok_or_else(unknown)?;
        let right = client.secret.as_deref().is_some_and(|known| secret::same(known, &secret));
        return if right { Ok(client) } else { Err(unknown()) };
    }
    if let Some(assertion) = assertion {
        if params.get("client_assertion_type") != Some(JWT_BEARER_CLIENT) {
            return Err(refuse("client_assertion_type is not the one for JWT"));
        }
        let claims =
            assertion::unverified_claims(assertion).ok_or_else(|| refuse("the assertion is no JWT"))?;
        let id = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if params.get("client_id").is_some_and(|other| other != id)
            || claims.get("iss").and_then(Value::as_str) != Some(id)
        {
            return Err(refuse("iss and sub of the assertion must be the client id"));
        }
        let client = app.sandbox.client(id).ok_or_else(unknown)?;
        let key = client.public_key.as_deref().ok_or_else(unknown)?;
        assertion::verify(app, assertion, key).map_err(|why| Refusal::new("invalid_client", why))?;
        return Ok(client);
    }
    let id = params.get("client_id").ok_or_else(|| refuse("the client does not say who it is"))?;
    let client = app.sandbox.client(id).ok_or_else(unknown)?;
    let right = match in_body {
        Some(secret) => client.secret.as_deref().is_some_and(|known| secret::same(known, secret)),
        None => client.is_public(),
    };
    if right { Ok(client) } else { Err(unknown()) }
}

/// User name and password of a Basic header, not decoded further.
pub(crate) fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The scopes of a request, each known and allowed to the client.
fn scopes_of(params: &Params, client: &Client) -> Result<Option<BTreeSet<String>>, Refusal> {
    let Some(asked) = params.get("scope") else { return Ok(None) };
    let scopes: BTreeSet<String> =
        asked.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match scopes.iter().find(|name| !client.scopes.contains(name)) {
        Some(name) => {
            Err(Refusal::new("invalid_scope", format!("the scope {name} is unknown or not for this client")))
        }
        None => Ok((!scopes.is_empty()).then_some(scopes)),
    }
}

fn default_scopes(client: &Client) -> BTreeSet<String> {
    client.scopes.first().cloned().into_iter().collect()
}

fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

// ---- The authorization request ----

/// Why an authorization request goes no further.
enum Stop {
    /// The redirect URI cannot be trusted: the person is told, the client is not.
    Here(String),
    /// The client is told.
    There { redirect_uri: String, state: Option<String>, refusal: Refusal },
}

fn wish_of(params: &Params, client: &Client) -> Result<CodeWish, Stop> {
    let named = params.get("redirect_uri");
    let redirect_uri = match (named, &client.redirects) {
        (Some(uri), redirects) if redirects.allow(uri) => uri.to_owned(),
        (Some(uri), _) => return Err(Stop::Here(format!("The redirect address {uri} is not registered."))),
        (None, Redirects::Exactly(registered)) if registered.len() == 1 => {
            registered.first().cloned().unwrap_or_default()
        }
        (None, _) => return Err(Stop::Here("The request names no redirect address.".to_owned())),
    };
    let state = params.get("state").map(str::to_owned);
    let asked = || -> Result<CodeWish, Refusal> {
        params
            .unique()
            .map_err(|repeated| Refusal::new("invalid_request", format!("{} is given twice", repeated.0)))?;
        match params.get("response_type") {
            Some("code") => {}
            Some(_) => {
                return Err(Refusal::new("unsupported_response_type", "only response_type=code is known"));
            }
            None => return Err(Refusal::new("invalid_request", "response_type is missing")),
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(Refusal::new("invalid_request", "only response_mode=query is known"));
        }
        let challenge = params.get("code_challenge").map(str::to_owned);
        match (&challenge, params.get("code_challenge_method")) {
            (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
            (Some(_), Some("S256")) => {
                return Err(Refusal::new(
                    "invalid_request",
                    "code_challenge is not the SHA-256 of a verifier",
                ));
            }
            (Some(_), _) => {
                return Err(Refusal::new("invalid_request", "code_challenge_method must be S256"));
            }
            (None, Some(_)) => return Err(Refusal::new("invalid_request", "code_challenge is missing")),
            (None, None) if client.is_public() => {
                return Err(Refusal::new("invalid_request", "a public client must send code_challenge"));
            }
            (None, None) => {}
        }
        let scopes = scopes_of(params, client)?.unwrap_or_else(|| default_scopes(client));
        Ok(CodeWish {
            client_id: client.id.clone(),
            redirect_uri: redirect_uri.clone(),
            redirect_named: named.is_some(),
            state: state.clone(),
            scopes,
            challenge,
            login_hint: params.get("login_hint").map(str::to_owned),
        })
    };
    asked().map_err(|refusal| Stop::There {
        redirect_uri: redirect_uri.clone(),
        state: state.clone(),
        refusal,
    })
}

fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

async fn authorize(State(app): State<App>, request: Request) -> Response {
    let params = Params::of_query(request.uri().query());
    let Some(client) = params.get("client_id").and_then(|id| app.sandbox.client(id)) else {
        return pages::trouble(
            StatusCode::BAD_REQUEST,
            "The request comes from a client that the Sandbox does not know.",
        );
    };
    let wish = match params.get("request_uri") {
        Some(uri) => {
            let pushed = app.sandbox.state().pushed.remove(&secret::digest(uri));
            match pushed {
                Some(pushed) if pushed.alive() && pushed.value.client_id == client.id => Ok(pushed.value),
                _ => Err(Stop::Here("The pushed request is unknown, used or expired.".to_owned())),
            }
        }
        None if app.sandbox.options().require_par => {
            Err(Stop::Here("This Sandbox answers pushed requests only.".to_owned()))
        }
        None => wish_of(&params, client),
    };
    match wish {
        Ok(wish) => pages::ask(&app, request.headers(), Wish::Code(wish)),
        Err(Stop::Here(why)) => pages::trouble(StatusCode::BAD_REQUEST, &why),
        Err(Stop::There { redirect_uri, state, refusal }) => {
            pages::see_other(&error_redirect(&app, &redirect_uri, state.as_deref(), &refusal))
        }
    }
}

fn back(redirect_uri: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let Ok(mut url) = url::Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    url.query_pairs_mut()
        .extend_pairs(pairs.iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    url.into()
}

fn error_redirect(app: &App, redirect_uri: &str, state: Option<&str>, refusal: &Refusal) -> String {
    let pairs = [
        ("error", Some(refusal.error)),
        ("error_description", Some(refusal.description.as_str())),
        ("state", state),
        ("iss", Some(&*app.base)),
    ];
    back(redirect_uri, &pairs)
}

/// The person allowed: where the browser goes with the code.
pub(crate) fn allowed(
    app: &App,
    mut wish: CodeWish,
    person: &'static Person,
    scopes: BTreeSet<String>,
) -> String {
    let code = secret::token("sbc_");
    wish.scopes = scopes;
    let pairs = [("code", Some(code.as_str())), ("state", wish.state.as_deref()), ("iss", Some(&*app.base))];
    let location = back(&wish.redirect_uri, &pairs);
    let mut state = app.sandbox.state();
    state.counters.codes += 1;
    state
        .codes
        .insert(secret::digest(&code), Code { wish, person, until: clock::now() + CODE_LIFE, spent: None });
    location
}

/// The person denied: where the browser goes with the error.
pub(crate) fn denied(app: &App, wish: &CodeWish) -> String {
    let refusal = Refusal::new("access_denied", "The person denied the request.");
    error_redirect(app, &wish.redirect_uri, wish.state.as_deref(), &refusal)
}

/// The person decided for a device. False when its code has run out.
pub(crate) fn decide_device(app: &App, device: &str, decision: Decision) -> bool {
    let mut state = app.sandbox.state();
    match state.devices.get_mut(device) {
        Some(waiting) if clock::now() < waiting.until && waiting.decision.is_none() => {
            waiting.decision = Some(decision);
            true
        }
        _ => false,
    }
}

/// The device that shows this code, as a wish to consent to.
pub(crate) fn device_wish(app: &App, user_code: &str) -> Option<Wish> {
    let letters =
        |code: &str| code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
    let wanted = letters(user_code);
    let state = app.sandbox.state();
    let (device, waiting) = state.devices.iter().find(|(_, waiting)| {
        letters(&waiting.user_code) == wanted && clock::now() < waiting.until && waiting.decision.is_none()
    })?;
    Some(Wish::Device {
        client_id: waiting.client_id.clone(),
        device: device.clone(),
        scopes: waiting.scopes.clone(),
    })
}

// ---- Endpoints for clients ----

async fn push(State(app): State<App>, request: Request) -> Response {
    let pushed = async {
        let (parts, params) = read(request).await?;
        let client = authenticate(&app, &parts.headers, &params)?;
        if params.get("request_uri").is_some() {
            return Err(Refusal::new("invalid_request", "request_uri has no place in a pushed request"));
        }
        let wish = wish_of(&params, client).map_err(|stop| match stop {
            Stop::Here(why) => Refusal::new("invalid_request", why),
            Stop::There { refusal, .. } => refusal,
        })?;
        let uri = secret::token("urn:ietf:params:oauth:request_uri:");
        app.sandbox.state().pushed.insert(secret::digest(&uri), Fading::new(wish, PUSHED_LIFE));
        let body = Json(json!({"request_uri": uri, "expires_in": PUSHED_LIFE.as_secs()}));
        Ok(no_store((StatusCode::CREATED, body).into_response()))
    };
    pushed.await.unwrap_or_else(IntoResponse::into_response)
}

async fn device_authorization(State(app): State<App>, request: Request) -> Response {
    let begun = async {
        let (parts, params) = read(request).await?;
        let client = authenticate(&app, &parts.headers, &params)?;
        let scopes = scopes_of(&params, client)?.unwrap_or_else(|| default_scopes(client));
        let (code, user_code) = (secret::token("sbd_"), secret::user_code());
        let decision = app
            .sandbox
            .options()
            .auto_consent
            .as_deref()
            .and_then(accounts::person)
            .map(|person| Decision::Allowed(person, scopes.clone()));
        let device = Device {
            client_id: client.id.clone(),
            user_code: user_code.clone(),
            scopes,
            until: clock::now() + DEVICE_LIFE,
            asked: None,
            decision,
        };
        app.sandbox.state().devices.insert(secret::digest(&code), device);
        let base = &app.base;
        Ok::<_, Refusal>(no_store(
            Json(json!({
                "device_code": code,
                "user_code": user_code,
                "verification_uri": format!("{base}/device"),
                "verification_uri_complete": format!("{base}/device?user_code={user_code}"),
                "expires_in": DEVICE_LIFE.as_secs(),
                "interval": app.sandbox.options().device_interval.as_secs().max(1),
            }))
            .into_response(),
        ))
    };
    begun.await.unwrap_or_else(IntoResponse::into_response)
}

async fn revoke(State(app): State<App>, request: Request) -> Response {
    let revoked = async {
        let (parts, params) = read(request).await?;
        let client = authenticate(&app, &parts.headers, &params)?;
        let token = params.get("token").ok_or_else(|| Refusal::new("invalid_request", "token is missing"))?;
        let token = secret::digest(token);
        let mut state = app.sandbox.state();
        let of_refresh = state.refresh.get(&token).map(|refresh| refresh.grant.clone());
        let of_access = state.access.get(&token).map(|access| access.grant.clone());
        if let Some(grant) = of_refresh.as_ref().or(of_access.as_ref()) {
            if state.grants.get(grant).is_some_and(|grant| grant.client_id != client.id) {
                return Err(Refusal::new("invalid_grant", "the token was issued to another client"));
            }
            if of_refresh.is_some() {
                state.end_grant(grant);
            } else {
                state.access.remove(&token);
            }
        }
        // RFC 7009, section 2.2: an unknown token is as good as a revoked one.
        Ok(no_store(Response::new(Body::empty())))
    };
    revoked.await.unwrap_or_else(IntoResponse::into_response)
}

async fn token(State(app): State<App>, request: Request) -> Response {
    let plain = request.extensions().get::<WithoutRefreshToken>().is_none();
    let answered = async {
        let (parts, params) = read(request).await?;
        let grant_type = params
            .get("grant_type")
            .ok_or_else(|| Refusal::new("invalid_request", "grant_type is missing"))?
            .to_owned();
        if grant_type == JWT_BEARER_GRANT {
            return jwt_bearer(&app, &params);
        }
        let client = authenticate(&app, &parts.headers, &params)?;
        match grant_type.as_str() {
            "authorization_code" => exchange(&app, client, &params, plain),
            "refresh_token" => refresh(&app, client, &params, plain),
            "client_credentials" => client_credentials(&app, client, &params),
            DEVICE_GRANT => device_token(&app, client, &params, plain),
            _ => Err(Refusal::new("unsupported_grant_type", "the grant type is not known")),
        }
    };
    match answered.await {
        Ok(answer) => no_store(Json(answer).into_response()),
        Err(refusal) => refusal.into_response(),
    }
}

/// Makes an access token, and a refresh token if wanted.
fn issue(store: &mut Store, app: &App, grant: &str, scopes: &BTreeSet<String>, with_refresh: bool) -> Value {
    let life = app.sandbox.options().access_token_life;
    let access = secret::token("sba_");
    let entry = Access { grant: grant.to_owned(), scopes: scopes.clone(), until: clock::now() + life };
    store.access.insert(secret::digest(&access), entry);
    let mut answer = Map::new();
    answer.insert("access_token".to_owned(), access.into());
    answer.insert("token_type".to_owned(), "Bearer".into());
    answer.insert("expires_in".to_owned(), life.as_secs().into());
    if with_refresh {
        let token = secret::token("sbr_");
        store.refresh.insert(secret::digest(&token), Refresh { grant: grant.to_owned(), spent: None });
        answer.insert("refresh_token".to_owned(), token.into());
    }
    answer.insert("scope".to_owned(), joined(scopes).into());
    Value::Object(answer)
}

fn new_grant(
    store: &mut Store,
    client: &Client,
    person: Option<&'static Person>,
    scopes: BTreeSet<String>,
) -> String {
    let id = secret::token("sbg_");
    store.grants.insert(id.clone(), Grant { client_id: client.id.clone(), person, scopes });
    id
}

fn exchange(app: &App, client: &Client, params: &Params, with_refresh: bool) -> Result<Value, Refusal> {
    let invalid = |why: &str| Refusal::new("invalid_grant", why);
    let code = params.get("code").ok_or_else(|| Refusal::new("invalid_request", "code is missing"))?;
    let code = secret::digest(code);
    let mut state = app.sandbox.state();
    let entry = state.codes.get(&code).ok_or_else(|| invalid("the code is unknown"))?;
    if entry.wish.client_id != client.id {
        return Err(invalid("the code was issued to another client"));
    }
    if let Some(grant) = entry.spent.clone() {
        state.end_grant(&grant);
        return Err(invalid("the code was used before; what came of it is revoked"));
    }
    if clock::now() >= entry.until {
        state.codes.remove(&code);
        return Err(invalid("the code has expired"));
    }
    let (wish, person) = (entry.wish.clone(), entry.person);
    // Whatever is wrong from here on, a guess costs the code.
    let verified = verify_exchange(&wish, params);
    if let Err(refusal) = verified {
        state.codes.remove(&code);
        return Err(refusal);
    }
    let grant = new_grant(&mut state, client, Some(person), wish.scopes.clone());
    if let Some(entry) = state.codes.get_mut(&code) {
        entry.spent = Some(grant.clone());
    }
    Ok(issue(&mut state, app, &grant, &wish.scopes, with_refresh))
}

fn verify_exchange(wish: &CodeWish, params: &Params) -> Result<(), Refusal> {
    let invalid = |why: &str| Refusal::new("invalid_grant", why);
    match params.get("redirect_uri") {
        Some(uri) if uri == wish.redirect_uri => {}
        None if !wish.redirect_named => {}
        _ => return Err(invalid("redirect_uri differs from that of the authorization request")),
    }
    match (&wish.challenge, params.get("code_verifier")) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(invalid("there was no code_challenge for this code_verifier")),
        (Some(_), None) => Err(invalid("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => {
            let well_formed = (43..=128).contains(&verifier.len())
                && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            if !well_formed {
                return Err(Refusal::new("invalid_request", "code_verifier is malformed"));
            }
            if secret::same(challenge, &secret::challenge(verifier)) {
                Ok(())
            } else {
                Err(invalid("code_verifier does not match code_challenge"))
            }
        }
    }
}

fn refresh(app: &App, client: &Client, params: &Params, with_refresh: bool) -> Result<Value, Refusal> {
    let invalid = |why: &str| Refusal::new("invalid_grant", why);
    let token = params
        .get("refresh_token")
        .ok_or_else(|| Refusal::new("invalid_request", "refresh_token is missing"))?;
    let token = secret::digest(token);
    let asked = scopes_of(params, client)?;
    let options = app.sandbox.options();
    let mut state = app.sandbox.state();
    let entry =
        state.refresh.get(&token).ok_or_else(|| invalid("the refresh token is unknown or revoked"))?;
    let grant_id = entry.grant.clone();
    let grant = state.grants.get(&grant_id).ok_or_else(|| invalid("the grant is revoked"))?.clone();
    if grant.client_id != client.id {
        return Err(invalid("the refresh token was issued to another client"));
    }
    if let Some(spent) = state.refresh.get(&token).and_then(|entry| entry.spent.as_ref()) {
        let age = clock::now().saturating_duration_since(spent.at);
        if age < options.reuse_grace {
            let answer = spent.answer.clone();
            *state.counters.refreshes.entry(token).or_default() += 1;
            return Ok(answer);
        }
        state.counters.reuses += 1;
        state.end_grant(&grant_id);
        return Err(invalid("the refresh token was used before; the grant is revoked"));
    }
    let scopes = asked.unwrap_or_else(|| grant.scopes.clone());
    if !scopes.is_subset(&grant.scopes) {
        return Err(Refusal::new("invalid_scope", "a refresh cannot widen the scopes"));
    }
    let rotate = options.rotate_refresh_tokens && with_refresh;
    let answer = issue(&mut state, app, &grant_id, &scopes, rotate);
    if rotate && let Some(entry) = state.refresh.get_mut(&token) {
        entry.spent = Some(Spent { at: clock::now(), answer: answer.clone() });
    }
    if state.counters.refreshes.len() < 100_000 {
        *state.counters.refreshes.entry(token).or_default() += 1;
    }
    Ok(answer)
}

fn client_credentials(app: &App, client: &Client, params: &Params) -> Result<Value, Refusal> {
    if client.is_public() {
        return Err(Refusal::new("unauthorized_client", "a public client cannot act for itself"));
    }
    let scopes = scopes_of(params, client)?.unwrap_or_else(|| client.scopes.iter().cloned().collect());
    let mut state = app.sandbox.state();
    let grant = new_grant(&mut state, client, None, scopes.clone());
    Ok(issue(&mut state, app, &grant, &scopes, false))
}

fn jwt_bearer(app: &App, params: &Params) -> Result<Value, Refusal> {
    let invalid = |why: String| Refusal::new("invalid_grant", why);
    let assertion =
        params.get("assertion").ok_or_else(|| Refusal::new("invalid_request", "assertion is missing"))?;
    let issuer = assertion::unverified_claims(assertion)
        .and_then(|claims| claims.get("iss").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_default();
    let client = app.sandbox.client(&issuer).filter(|client| client.public_key.is_some());
    let Some((client, key)) = client.and_then(|client| client.public_key.as_deref().map(|key| (client, key)))
    else {
        return Err(invalid("iss of the assertion is no client with a key".to_owned()));
    };
    let claims = assertion::verify(app, assertion, key).map_err(invalid)?;
    let person = match claims.get("sub").and_then(Value::as_str) {
        Some(sub) if sub != client.id => Some(
            accounts::person(sub).ok_or_else(|| invalid("sub of the assertion is nobody here".to_owned()))?,
        ),
        _ => None,
    };
    let claimed = claims.get("scope").and_then(Value::as_str).unwrap_or_default();
    let asked = params.get("scope").unwrap_or(claimed).to_owned();
    let scopes = scopes_of(&Params(vec![("scope".to_owned(), asked)]), client)?
        .unwrap_or_else(|| client.scopes.iter().cloned().collect());
    let mut state = app.sandbox.state();
    let grant = new_grant(&mut state, client, person, scopes.clone());
    Ok(issue(&mut state, app, &grant, &scopes, false))
}

fn device_token(app: &App, client: &Client, params: &Params, with_refresh: bool) -> Result<Value, Refusal> {
    let code =
        params.get("device_code").ok_or_else(|| Refusal::new("invalid_request", "device_code is missing"))?;
    let code = secret::digest(code);
    let interval = app.sandbox.options().device_interval;
    let now = clock::now();
    let mut state = app.sandbox.state();
    let device = match state.devices.get_mut(&code) {
        Some(device) if device.client_id == client.id => device,
        _ => return Err(Refusal::new("invalid_grant", "the device code is unknown or used")),
    };
    if now >= device.until {
        state.devices.remove(&code);
        return Err(Refusal::new("expired_token", "the device code has expired"));
    }
    let too_soon = device.asked.is_some_and(|asked| now.saturating_duration_since(asked) < interval);
    device.asked = Some(now);
    match &device.decision {
        None if too_soon => Err(Refusal::new("slow_down", "ask less often")),
        None => Err(Refusal::new("authorization_pending", "nobody has decided yet")),
        Some(Decision::Denied) => {
            state.devices.remove(&code);
            Err(Refusal::new("access_denied", "the person denied the request"))
        }
        Some(Decision::Allowed(person, scopes)) => {
            let (person, scopes) = (*person, scopes.clone());
            state.devices.remove(&code);
            let grant = new_grant(&mut state, client, Some(person), scopes.clone());
            Ok(issue(&mut state, app, &grant, &scopes, with_refresh))
        }
    }
}

//! Who calls the API, by whichever kind of credential.

use std::collections::BTreeSet;

use axum::{
    Json,
    body::Bytes,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use crate::{
    App,
    accounts::{PEOPLE, Person, person},
    clock, oauth1, oauth2,
    params::{Params, cookie},
    secret,
};

/// An authenticated caller.
pub(crate) struct Caller {
    /// `bearer`, `oauth1`, `api_key` or `basic`.
    pub(crate) kind: &'static str,
    pub(crate) person: Option<&'static Person>,
    pub(crate) client: Option<String>,
    /// `None` where the kind of credential knows no scopes: everything is allowed.
    pub(crate) scopes: Option<BTreeSet<String>>,
}

impl Caller {
    /// The person's address, or the client that acts for itself.
    pub(crate) fn label(&self) -> String {
        match (self.person, &self.client) {
            (Some(person), _) => person.email.to_owned(),
            (None, Some(client)) => client.clone(),
            (None, None) => String::new(),
        }
    }

    /// The answer of `/me`.
    pub(crate) fn identity(&self, app: &App) -> Value {
        let client_name =
            self.client.as_deref().and_then(|id| app.sandbox.client(id)).map(|client| &client.name);
        json!({
            "sub": self.person.map_or_else(|| self.label(), |person| person.sub.to_owned()),
            "name": self.person.map(|person| person.name).or(client_name.map(String::as_str)),
            "email": self.person.map(|person| person.email),
            "credential": self.kind,
            "client": self.client,
            "scopes": self.scopes,
        })
    }
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Nothing,
    Several,
    Invalid(&'static str),
}

/// An error of the API.
pub(crate) fn error(status: StatusCode, code: &str, message: &str, field: Option<&str>) -> Response {
    let mut body = json!({"error": {"code": code, "message": message}});
    if let Some(field) = field {
        body["error"]["field"] = field.into();
    }
    (status, Json(body)).into_response()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Several => error(
                StatusCode::BAD_REQUEST,
                "several_credentials",
                "The request carries more than one credential.",
                None,
            ),
            Self::Nothing => challenge(
                error(
                    StatusCode::UNAUTHORIZED,
                    "unauthenticated",
                    "The request carries no credential.",
                    None,
                ),
                "Bearer realm=\"sandbox\"",
            ),
            Self::Invalid(why) => challenge(
                error(StatusCode::UNAUTHORIZED, "invalid_token", why, None),
                &format!("Bearer realm=\"sandbox\", error=\"invalid_token\", error_description=\"{why}\""),
            ),
        }
    }
}

fn challenge(mut response: Response, bearer: &str) -> Response {
    for value in [bearer, "Basic realm=\"sandbox\", charset=\"UTF-8\"", "OAuth realm=\"sandbox\""] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}

/// The answer to a token that does not reach that far (RFC 6750, section 3.1).
pub(crate) fn insufficient_scope(scope: &str) -> Response {
    let message = format!("This needs the scope {scope}.");
    let mut response = error(StatusCode::FORBIDDEN, "insufficient_scope", &message, None);
    let value = format!("Bearer realm=\"sandbox\", error=\"insufficient_scope\", scope=\"{scope}\"");
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// Something in a request that claims to be a credential.
enum Presented {
    Bearer(String),
    OAuth1,
    Basic(String),
    ApiKey(String),
}

fn presented(parts: &Parts) -> Vec<Presented> {
    let mut found = Vec::new();
    for value in parts.headers.get_all(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        if oauth1::is_oauth1(value) {
            found.push(Presented::OAuth1);
        } else if let Some((scheme, rest)) = value.split_once(' ') {
            if scheme.eq_ignore_ascii_case("bearer") {
                found.push(Presented::Bearer(rest.trim().to_owned()));
            } else if scheme.eq_ignore_ascii_case("basic") {
                found.push(Presented::Basic(value.to_owned()));
            }
        }
    }
    let query = Params::of_query(parts.uri.query());
    if query.get("oauth_signature").is_some() {
        found.push(Presented::OAuth1);
    }
    if let Some(token) = query.get("access_token") {
        found.push(Presented::Bearer(token.to_owned()));
    }
    let header_key = parts.headers.get("x-api-key").map(|value| value.to_str().unwrap_or_default());
    for key in [header_key, query.get("api_key"), cookie(&parts.headers, "api_key")].into_iter().flatten() {
        found.push(Presented::ApiKey(key.to_owned()));
    }
    found
}

/// Whose request it is. The body counts for OAuth 1 when it is a form.
pub(crate) fn caller(app: &App, parts: &Parts, body: &Bytes) -> Result<Caller, Refused> {
    let mut found = presented(parts);
    let Some(credential) = found.pop() else { return Err(Refused::Nothing) };
    if !found.is_empty() {
        return Err(Refused::Several);
    }
    let of_person = |kind, person| Caller { kind, person: Some(person), client: None, scopes: None };
    match credential {
        Presented::Bearer(token) => {
            let state = app.sandbox.state();
            let access = state
                .access
                .get(&secret::digest(&token))
                .ok_or(Refused::Invalid("The access token is unknown or revoked."))?;
            if clock::now() >= access.until {
                return Err(Refused::Invalid("The access token has expired."));
            }
            let grant =
                state.grants.get(&access.grant).ok_or(Refused::Invalid("The access token is revoked."))?;
            Ok(Caller {
                kind: "bearer",
                person: grant.person,
                client: Some(grant.client_id.clone()),
                scopes: Some(access.scopes.clone()),
            })
        }
        Presented::OAuth1 => match oauth1::caller(app, parts, body) {
            Ok((consumer, person)) => Ok(Caller { client: Some(consumer), ..of_person("oauth1", person) }),
            Err(refusal) => Err(Refused::Invalid(refusal.problem())),
        },
        Presented::Basic(value) => oauth2::basic_credentials(&value)
            .and_then(|(user, password)| {
                person(&user).filter(|person| secret::same(person.password, &password))
            })
            .map(|person| of_person("basic", person))
            .ok_or(Refused::Invalid("The user name or the password is wrong.")),
        Presented::ApiKey(key) => person_of_key(&key)
            .map(|person| of_person("api_key", person))
            .ok_or(Refused::Invalid("The API key is unknown.")),
    }
}

fn person_of_key(key: &str) -> Option<&'static Person> {
    let owner = PEOPLE.into_iter().find(|person| secret::same(person.api_key, key))?;
    person(owner.sub)
}

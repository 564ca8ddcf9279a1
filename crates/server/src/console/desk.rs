//! What a person's request to the console is: who, where, under which view; and what goes back.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{Html, IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, LOCATION, REFERER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jackfield_core::{Action, Code, Environment, Error, Resource, Result, Role, permit};
use jackfield_engine::govern::organizations::SignedIn;
use jackfield_engine::govern::sessions::{check_form_token, form_token};
use jackfield_engine::{Engine, Op};

use super::form::{Fields, encoded};
use super::parts::role_word;
use crate::pages::cookie;
use crate::{input, session};

/// Largest form, in bytes: a connector document fits.
const FORM_LIMIT: usize = 1024 * 1024;
/// The same with a file in it: ten MiB of text, of which each character may take three on the way.
const FILE_FORM_LIMIT: usize = 31 * 1024 * 1024;

/// Nothing foreign runs, nothing is framed, forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ENVIRONMENT: &str = "jackfield_environment";
const THEME: &str = "jackfield_theme";
const NEWS: &str = "jackfield_news";
/// How long a choice of view is remembered, in seconds.
const REMEMBERED: u64 = 365 * 24 * 3600;

/// What stands around every page.
pub(crate) struct Frame {
    pub who: SignedIn,
    /// what each form of the page carries in `form_token`
    pub token: String,
    pub environment: Environment,
    /// `light`, `dark`, or empty: as the system has it
    pub theme: &'static str,
    /// the part of the console: the word after `/console/`
    pub section: String,
    /// path and query of this page, to come back to
    pub here: String,
    /// what the last action did
    pub news: Option<String>,
    /// whether he makes connections and connectors; the engine decides again, this only spares him a refusal
    manages: bool,
    /// whether he invites people
    invites: bool,
    /// whether he makes applications
    makes_applications: bool,
}

impl Frame {
    pub fn role(&self) -> &'static str {
        role_word(&self.who.role)
    }

    pub fn is_admin(&self) -> bool {
        self.who.role.is_admin()
    }

    pub fn is_super_admin(&self) -> bool {
        self.who.role == Role::SuperAdmin
    }

    pub fn manages(&self) -> bool {
        self.manages
    }

    pub fn invites(&self) -> bool {
        self.invites
    }

    pub fn makes_applications(&self) -> bool {
        self.makes_applications
    }

    /// Super admin, admin or developer: those who see everything.
    pub fn sees_all(&self) -> bool {
        self.who.role != Role::User
    }

    pub fn environments(&self) -> &'static [Environment] {
        Environment::ALL
    }
}

/// A request of somebody who is signed in.
pub(crate) struct Desk {
    pub op: Op,
    pub frame: Frame,
    pub query: Fields,
    secure: bool,
}

/// A form that somebody who is signed in sent from a page of his.
pub(crate) struct Sent {
    pub desk: Desk,
    pub form: Fields,
}

/// Path and query of where to go after signing in: of this origin alone.
pub(crate) fn own_path(text: &str) -> Option<&str> {
    let fits = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\r', '\n'])
        && text.len() < 2048;
    fits.then_some(text)
}

fn to_sign_in(next: &str) -> Response {
    see_other(&format!("/signin?next={}", encoded(next)))
}

pub(crate) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/console"));
    response.headers_mut().insert(LOCATION, location);
    guard(response.headers_mut());
    response
}

pub(crate) fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
}

/// A page of the console.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Response {
    let mut response = match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.\n").into_response()
        }
    };
    guard(response.headers_mut());
    response
}

fn environment(headers: &HeaderMap) -> Environment {
    cookie(headers, ENVIRONMENT).and_then(|word| Environment::parse(&word)).unwrap_or(Environment::Production)
}

pub(crate) fn theme(headers: &HeaderMap) -> &'static str {
    match cookie(headers, THEME).as_deref() {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

/// Who is signed in by this request's cookie.
async fn known(engine: &Engine, parts: &Parts) -> Result<Desk> {
    let token = session::token(engine, &parts.headers)
        .ok_or_else(|| Error::new(Code::Unauthenticated, "Sign in first."))?;
    let op = input::op_of_session(engine, parts, &token).await?;
    let who = engine.signed_in(&op).await?;
    let path = parts.uri.path();
    let connectors = Resource::Connectors { managed_by_admins: who.managed_by_admins };
    let manages = |resource| permit(&op.principal, Action::Manage, &resource).is_ok();
    let frame = Frame {
        manages: manages(connectors),
        invites: manages(Resource::Members),
        makes_applications: manages(Resource::Applications),
        who,
        token: form_token(&token),
        environment: environment(&parts.headers),
        theme: theme(&parts.headers),
        section: match path.split('/').nth(2) {
            Some("flows") => "connections".to_owned(),
            section => section.unwrap_or("").to_owned(),
        },
        here: parts.uri.path_and_query().map_or_else(|| path.to_owned(), ToString::to_string),
        news: cookie(&parts.headers, NEWS).map(|text| Fields::decode(&text)).filter(|text| !text.is_empty()),
    };
    let query = Fields::parse(parts.uri.query().unwrap_or("").as_bytes());
    Ok(Desk { op, frame, query, secure: session::is_https(engine) })
}

impl FromRequestParts<Engine> for Desk {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Response> {
        match known(engine, parts).await {
            Ok(desk) => Ok(desk),
            Err(error) if error.code == Code::Unauthenticated => {
                let here = parts.uri.path_and_query().map_or("/console", |here| here.as_str());
                Err(to_sign_in(here))
            }
            Err(error) => Err(crate::pages::trouble(&error, input::request_id(parts))),
        }
    }
}

/// A form with a file in it, whose text may be larger.
pub(super) struct SentFile(pub Sent);

/// A record with the files that were chosen for it.
pub(super) struct SentRecord(pub Sent);

impl FromRequest<Engine> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Response> {
        Self::read(request, engine, FORM_LIMIT).await
    }
}

impl FromRequest<Engine> for SentFile {
    type Rejection = Response;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Response> {
        Sent::read(request, engine, FILE_FORM_LIMIT).await.map(Self)
    }
}

impl FromRequest<Engine> for SentRecord {
    type Rejection = Response;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Response> {
        let limit = engine.settings().request_limit.max(FORM_LIMIT);
        Sent::read(request, engine, limit).await.map(Self)
    }
}

impl Sent {
    async fn read(request: Request, engine: &Engine, limit: usize) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request_id = input::request_id(&parts);
        let desk = match known(engine, &parts).await {
            Ok(desk) => desk,
            Err(error) if error.code == Code::Unauthenticated => {
                // Back to the page with the form: what it is sent to shows nothing by itself.
                let from = parts.headers.get(REFERER).and_then(|value| value.to_str().ok());
                let own = from.and_then(|url| url.strip_prefix(&engine.settings().public_url));
                return Err(to_sign_in(own.and_then(own_path).unwrap_or("/console")));
            }
            Err(error) => return Err(crate::pages::trouble(&error, request_id)),
        };
        match form_of(engine, &parts, body, limit).await {
            Ok(form) => Ok(Self { desk, form }),
            Err(error) => Err(desk.trouble(&error)),
        }
    }
}

async fn form_of(engine: &Engine, parts: &Parts, body: axum::body::Body, limit: usize) -> Result<Fields> {
    session::same_origin(engine, &parts.headers)?;
    let form = Fields::read(parts, body, limit).await?;
    let token = session::token(engine, &parts.headers);
    if !token.is_some_and(|token| check_form_token(&token, form.get("form_token"))) {
        return Err(Error::new(
            Code::Forbidden,
            "This form was made for another session. Load the page again and send it once more.",
        ));
    }
    if form.holds_nul() {
        return Err(Error::new(Code::InvalidInput, "The form holds the character U+0000. Leave it out."));
    }
    Ok(form)
}

#[derive(Template)]
#[template(path = "console/trouble.html")]
struct Trouble<'a> {
    frame: &'a Frame,
    title: &'static str,
    error: &'a Error,
    request_id: &'a str,
}

impl Desk {
    /// Whether he may, by the rule that decides the act itself: who may not is told so before he has typed.
    pub fn may(&self, action: Action, resource: &Resource<'_>) -> Result<()> {
        permit(&self.op.principal, action, resource).map(drop)
    }

    /// The connectors of the organization, for [`Desk::may`].
    pub fn connectors(&self) -> Resource<'static> {
        Resource::Connectors { managed_by_admins: self.frame.who.managed_by_admins }
    }

    /// A page, or what went wrong instead.
    pub fn show<T: Template>(&self, page: Result<T>) -> Response {
        match page {
            Ok(page) => self.page(StatusCode::OK, &page),
            Err(error) => self.trouble(&error),
        }
    }

    /// The page with its form once more: what was typed, and what is wrong with it.
    pub fn again(&self, error: &Error, page: Result<impl Template>) -> Response {
        match page {
            Ok(page) => self.page(status_of(error), &page),
            Err(error) => self.trouble(&error),
        }
    }

    pub fn page(&self, status: StatusCode, page: &impl Template) -> Response {
        let mut response = html(status, page);
        if self.frame.news.is_some() {
            self.remember(&mut response, NEWS, "", 0);
        }
        response
    }

    /// The page of an error that no form can say.
    pub fn trouble(&self, error: &Error) -> Response {
        let title = match error.code {
            Code::NotFound => "There is nothing here",
            Code::Forbidden => "This is not yours to do",
            Code::RateLimited => "Too fast",
            code if code.status() >= 500 => "Something failed here",
            _ => "This did not work",
        };
        if let Some(cause) = &error.cause {
            let (request_id, code) = (&self.op.request_id, error.code.as_str());
            tracing::error!(request_id, code, %cause, "a page failed");
        }
        let page = Trouble { frame: &self.frame, title, error, request_id: &self.op.request_id };
        html(status_of(error), &page)
    }

    /// On to another page.
    pub fn go(&self, path: &str) -> Response {
        see_other(path)
    }

    /// On to another page, which says what was done.
    pub fn done(&self, path: &str, news: &str) -> Response {
        let mut response = see_other(path);
        self.remember(&mut response, NEWS, &encoded(news), 60);
        response
    }

    /// On to another page if it was done, else what went wrong.
    pub fn then<T>(&self, result: Result<T>, path: &str, news: &str) -> Response {
        match result {
            Ok(_) => self.done(path, news),
            Err(error) => self.trouble(&error),
        }
    }

    fn remember(&self, response: &mut Response, name: &str, value: &str, seconds: u64) {
        let secure = if self.secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        if let Ok(line) = HeaderValue::from_str(&line) {
            response.headers_mut().append(SET_COOKIE, line);
        }
    }
}

fn status_of(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// There is no such page.
pub(crate) async fn nothing(desk: Desk) -> Response {
    desk.trouble(&Error::not_found(format_args!("page {}", desk.frame.here)))
}

/// The environment and the theme, as chosen in the bar.
pub(crate) async fn choose_view(sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let mut response = see_other(own_path(form.get("back")).unwrap_or("/console"));
    if let Some(environment) = Environment::parse(form.get("environment")) {
        desk.remember(&mut response, ENVIRONMENT, environment.as_str(), REMEMBERED);
    }
    if let theme @ ("light" | "dark") = form.get("theme") {
        desk.remember(&mut response, THEME, theme, REMEMBERED);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_only_comes_back_to_this_origin() {
        assert_eq!(own_path("/console?a=1"), Some("/console?a=1"));
        for foreign in ["", "console", "https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nb"]
        {
            assert_eq!(own_path(foreign), None, "{foreign:?}");
        }
    }
}

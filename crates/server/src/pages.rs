//! The pages a browser sees: the start and the end of a flow, and the set-up of an empty store. They work without JavaScript and load
//! nothing from elsewhere.

use askama::Template;
use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jackfield_core::flow::FlowState;
use jackfield_core::{Code, Error};
use jackfield_engine::Engine;
use jackfield_engine::connect::flows::{DeviceCode, Ended, Opened, cookie_name};
use jackfield_engine::connect::setup::SetupView;
use jackfield_engine::connect::trial::Tried;
use jackfield_engine::govern::passwords::Password;
use jackfield_engine::govern::sessions::SignIn;
use secrecy::{ExposeSecret, SecretString};

use crate::console::desk::see_other;
use crate::console::form::{Fields, Form};
use crate::console::parts;
use crate::front::RequestId;
use crate::{input, session};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<Engine> {
    Router::new()
        .route("/flows/{id}/start", get(start))
        .route("/flows/{id}/setup", axum::routing::post(choose))
        .route("/oauth/callback", get(callback))
        .route("/setup", get(set_up_form).post(set_up))
}

/// How a page looks at its news.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Neutral,
    Bad,
}

impl Tone {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "connected",
            Self::Neutral => "neutral",
            Self::Bad => "failed",
        }
    }
}

/// One piece of news.
#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    pub tone: Tone,
    pub title: String,
    pub lines: Vec<String>,
    /// shown small, to be named when asking for help
    pub request_id: String,
    /// whether a pop-up that was opened for this is to be closed
    pub closes: bool,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetUp {
    token: String,
    form: Form,
}

#[derive(Template)]
#[template(path = "setup_done.html")]
struct SetUpDone {
    organization: String,
    email: String,
    password: Option<String>,
    key: String,
    url: String,
}

pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    let Ok(html) = template.render() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.\n").into_response();
    };
    guarded((status, Html(html)).into_response())
}

/// What protects every page: nothing is kept, no address leaks, nothing foreign runs.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    response
}

pub(crate) fn trouble(error: &Error, request_id: String) -> Response {
    let title = match error.code {
        Code::FlowExpired => "The time is over",
        Code::Forbidden => "Open in another browser",
        Code::NotFound => "This link is not valid",
        code if code.status() >= 500 => "Something failed here",
        _ => "This did not work",
    };
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if let Some(cause) = &error.cause {
        tracing::error!(request_id, code = error.code.as_str(), %cause, "a page failed");
    }
    page(
        status,
        &Notice {
            tone: Tone::Bad,
            title: title.to_owned(),
            lines: vec![error.detail.clone()],
            request_id,
            closes: false,
        },
    )
}

fn id_of(request: &Request) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// Where the service is reached over TLS, its cookies go over nothing else.
fn secure(engine: &Engine) -> &'static str {
    if session::is_https(engine) { "; Secure" } else { "" }
}

async fn start(State(engine): State<Engine>, Path(id): Path<String>, request: Request) -> Response {
    let request_id = id_of(&request);
    let query = request.uri().query().unwrap_or("");
    let token = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, value)| value.into_owned());
    let own = cookie(request.headers(), &cookie_name(&id));
    let back = field(query.as_bytes(), "back");
    match engine.open_flow(&id, &token.unwrap_or_default(), own.as_deref()).await {
        Ok(Opened::Away { redirect, cookie }) => {
            let Ok(location) = HeaderValue::from_str(&redirect) else {
                return trouble(&Error::internal("the service's address cannot be sent"), request_id);
            };
            let mut response = guarded(StatusCode::SEE_OTHER.into_response());
            response.headers_mut().insert(LOCATION, location);
            if let Some(value) = &cookie.value {
                let line = format!(
                    "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}",
                    cookie.name,
                    value.expose_secret(),
                    cookie.max_age.as_secs(),
                    secure(&engine)
                );
                if let Ok(mut line) = HeaderValue::from_str(&line) {
                    line.set_sensitive(true);
                    response.headers_mut().append(SET_COOKIE, line);
                }
            }
            if PLACES.contains(&back.as_str()) {
                let (age, secure) = (cookie.max_age.as_secs(), secure(&engine));
                let line = format!(
                    "{BACK}={back}/flows/{id}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}"
                );
                if let Ok(line) = HeaderValue::from_str(&line) {
                    response.headers_mut().append(SET_COOKIE, line);
                }
            }
            response
        }
        Ok(Opened::Code(code)) => page(StatusCode::OK, &TypeCode { code: &code }),
        Ok(Opened::Over(ended)) => end(&ended, &HeaderMap::new(), request_id),
        Err(error) => trouble(&error, request_id),
    }
}

async fn callback(State(engine): State<Engine>, RawQuery(query): RawQuery, request: Request) -> Response {
    let request_id = id_of(&request);
    let headers = request.headers();
    match engine.callback(&query.unwrap_or_default(), |name| cookie(headers, name)).await {
        Ok(ended) => end(&ended, headers, request_id),
        // The tab that waits for it says that the time is over, and offers to try again.
        Err(error) => match way_back(headers, None).filter(|_| error.code == Code::FlowExpired) {
            Some(path) => see_other(&path),
            None => trouble(&error, request_id),
        },
    }
}

/// What is typed on another screen.
#[derive(Template)]
#[template(path = "device.html")]
struct TypeCode<'a> {
    code: &'a DeviceCode,
}

/// A trial of a connector, after somebody has come back from the service.
#[derive(Template)]
#[template(path = "trial.html")]
struct TrialEnded<'a> {
    tried: &'a Tried,
}

/// One thing is still to be chosen: a site, a company, a workspace.
#[derive(Template)]
#[template(path = "choice.html")]
struct Choice<'a> {
    account: &'a str,
    connector: &'a str,
    flow: &'a str,
    step: &'a SetupView,
}

/// The flow's cookie is not sent by other sites (SameSite), and only its browser has it: it stands for the defence against forged requests.
async fn choose(State(engine): State<Engine>, Path(id): Path<String>, request: Request) -> Response {
    let request_id = id_of(&request);
    let (parts, body) = request.into_parts();
    let own = cookie(&parts.headers, &cookie_name(&id));
    let Ok(form) = axum::body::to_bytes(body, 64 * 1024).await else {
        let error = Error::new(Code::RequestTooLarge, "The form is too large.");
        return trouble(&error, request_id);
    };
    match engine.choose_in_flow(&id, &field(&form, "step"), &field(&form, "value"), own.as_deref()).await {
        Ok(ended) => end(&ended, &parts.headers, request_id),
        Err(error) => trouble(&error, request_id),
    }
}

/// Names the page that shows how a flow ended which was begun in the same tab: `console/flows/{id}`.
const BACK: &str = "jackfield_back";
/// Where such pages are.
const PLACES: [&str; 2] = ["console", "connect"];

/// The path of the page that waits in this tab for the flow, or for any.
fn way_back(headers: &HeaderMap, flow: Option<&str>) -> Option<String> {
    let kept = cookie(headers, BACK)?;
    let (place, id) = kept.split_once("/flows/")?;
    let is_id = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let fits = PLACES.contains(&place) && is_id && flow.is_none_or(|flow| flow == id);
    fits.then(|| format!("/{place}/flows/{id}"))
}

fn end(ended: &Ended, headers: &HeaderMap, request_id: String) -> Response {
    if let Some(tried) = &ended.trial {
        return page(StatusCode::OK, &TrialEnded { tried });
    }
    if let Some((flow, step)) = &ended.choice {
        let account = ended.account_name.as_deref().unwrap_or("your account");
        return page(StatusCode::OK, &Choice { account, connector: &ended.connector, flow, step });
    }
    if let Some(path) = way_back(headers, Some(&ended.flow)) {
        return see_other(&path);
    }
    let why = ended.error.as_ref().map_or_else(String::new, |error| error.detail.clone());
    let (status, notice) = match ended.state {
        FlowState::Authorized => {
            let account = ended.account_name.as_deref().unwrap_or("your account");
            let mut lines = vec![format!(
                "{} now uses {} as this account. You can close this window.",
                ended.connection, ended.connector
            )];
            if ended.different_account {
                lines.push(format!(
                    "It is another person at {} than before. If that was not meant, authorize again with the right account.",
                    ended.connector
                ));
            }
            (
                StatusCode::OK,
                Notice {
                    tone: Tone::Good,
                    title: format!("Connected as {account}"),
                    lines,
                    request_id: String::new(),
                    closes: true,
                },
            )
        }
        FlowState::Denied => {
            let lines = vec![
                why,
                "Nothing was connected. You can close this window, or start again where you came from."
                    .to_owned(),
            ];
            let title = format!("{} was not connected", ended.connection);
            (
                StatusCode::OK,
                Notice { tone: Tone::Neutral, title, lines, request_id: String::new(), closes: true },
            )
        }
        _ => {
            let lines = vec![why, "Nothing was connected. Start again where you came from.".to_owned()];
            let title = format!("{} could not be connected", ended.connection);
            (StatusCode::BAD_REQUEST, Notice { tone: Tone::Bad, title, lines, request_id, closes: true })
        }
    };
    page(status, &notice)
}

pub(crate) fn field(form: &[u8], name: &str) -> String {
    form_urlencoded::parse(form)
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

async fn set_up_form(State(engine): State<Engine>, request: Request) -> Response {
    let token = field(request.uri().query().unwrap_or("").as_bytes(), "token");
    match engine.check_set_up_token(&token).await {
        Ok(()) => page(StatusCode::OK, &SetUp { token, form: Form::default() }),
        Err(error) => trouble(&error, id_of(&request)),
    }
}

/// The token in the form is what another site cannot know: it stands for the defence against forged requests. Whoever set it up is signed in.
async fn set_up(State(engine): State<Engine>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let visit = input::visit(&parts);
    let Ok(form) = axum::body::to_bytes(body, 64 * 1024).await else {
        let error = Error::new(Code::RequestTooLarge, "The form is too large.");
        return trouble(&error, visit.request_id);
    };
    let fields = Fields::parse(&form);
    let token = fields.get("token").to_owned();
    if let Err(error) = engine.check_set_up_token(&token).await {
        return trouble(&error, visit.request_id);
    }
    let password = fields.get("password");
    let own = (!password.is_empty()).then(|| SecretString::from(password));
    let chosen = own.is_some();
    let (organization, email) = (fields.get("organization"), fields.get("email"));
    match engine.set_up(organization, email, fields.given("region").as_deref(), own, visit.now).await {
        Ok(made) => {
            let done = SetUpDone {
                organization: organization.to_owned(),
                email: made.email.clone(),
                password: (!chosen).then(|| made.password.expose_secret().to_owned()),
                key: made.key.expose_secret().to_owned(),
                url: engine.settings().public_url.clone(),
            };
            let mut response = page(StatusCode::OK, &done);
            let asked = SignIn { email: made.email, password: Password(made.password), organization: None };
            if let Ok(started) = engine.sign_in(&visit, asked).await {
                session::give(&engine, &started.token, response.headers_mut());
            }
            response
        }
        Err(error) if error.code == Code::InvalidInput => {
            let form = Form::refused(fields, &error);
            page(StatusCode::UNPROCESSABLE_ENTITY, &SetUp { token, form })
        }
        Err(error) => trouble(&error, visit.request_id),
    }
}

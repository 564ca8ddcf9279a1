//! Every connector of the catalogue drives a whole authorization, a refresh and a call, against a simulator that plays what its
//! document says: parameters, places, quirks. What it sends at the two endpoints of OAuth is kept in `catalogue.txt`.
//!
//! A document becomes a custom connector whose URLs lead to the simulator: `https://host/path` as `/link/host/path` there. The
//! simulator is this test's own: it shares no code with Jackfield but the templates.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::prelude::*;
use futures_util::StreamExt as _;
use jackfield_core::connector::{
    Auth, Connector, Place, Template, built_in, check_connection_parameters, check_credentials,
    credential_fields, effective_parameters,
};
use jackfield_testkit::browser::Browser;
use jackfield_testkit::reqwest::Url;
use serde_json::{Map, Value, json};

use crate::support::{Home, Server};
use crate::upstream::{Message, Upstream, json_reply, reply};
use crate::world::{past, until};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/catalogue.txt");
const CLIENT: (&str, &str) = ("client-1", "secret/1");
/// How many are played at a time.
const TOGETHER: usize = 6;

/// Something that fits each pattern of the catalogue; the first that is accepted is taken.
const SAMPLES: &[&str] = &[
    "acme",
    "acme.example.com",
    "acme.crm4.dynamics.com",
    "na3.docusign.net",
    "eu-central-1",
    "us6",
    "na1",
    "v62.0",
    "pub_1",
    "api.mailgun.net",
    "fleet-api.prd.eu.vn.cloud.tesla.com",
    "1234567",
    "2024-10",
    "ada@acme.example",
    "acme.myshopify.com",
    "AC0123456789abcdef0123456789abcdef",
    "rzp_test_0123456789abcd",
    "sk_test_0123456789abcdef",
    "SG.0123456789abcdef.x",
    "ck_0123456789abcdef0123456789abcdef01234567",
    "cs_0123456789abcdef0123456789abcdef01234567",
    "whsec_0123456789abcdef",
    "https://acme.example.com",
    "nl",
    "0123456789abcdef0123456789abcdef",
];

/// A connector as the simulator plays it.
struct Part {
    link: String,
    document: Connector,
    /// the same with its URLs at the simulator
    played: Value,
    /// parameters, regions, and what the simulator hands out
    values: BTreeMap<String, String>,
    parameters: Map<String, Value>,
    credentials: Map<String, Value>,
    scopes: Option<Vec<String>>,
    origin: String,
}

/// What was seen of one connector.
#[derive(Default)]
struct Seen {
    faults: Vec<String>,
    challenge: Option<String>,
    redirect: Option<String>,
    /// lines of the snapshot
    lines: Vec<String>,
    tokens: u32,
    called: bool,
}

type Stage = Arc<Mutex<BTreeMap<String, (Arc<Part>, Seen)>>>;

/// `https://host/path` as a path at the simulator.
fn moved(url: &str, link: &str, origin: &str) -> String {
    let Some(rest) = url.strip_prefix("https://") else { return url.to_owned() };
    format!("{origin}/{link}/{rest}")
}

fn move_urls(value: &mut Value, key: &str, link: &str, origin: &str) {
    match value {
        Value::Object(members) => {
            members.iter_mut().for_each(|(key, value)| move_urls(value, key, link, origin));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_urls(item, key, link, origin)),
        Value::String(text)
            if matches!(key, "url" | "path" | "operation" | "issuer") || key.ends_with("_url") =>
        {
            let (method, url) =
                text.split_once(' ').map_or(("", text.as_str()), |(method, url)| (method, url));
            let url = moved(url, link, origin);
            *text = if method.is_empty() { url } else { format!("{method} {url}") };
        }
        _ => {}
    }
}

/// Puts a value where a JSON pointer leads; numbers are places in lists.
fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut here = root;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        here = if let Ok(place) = name.parse::<usize>() {
            if !here.is_array() {
                *here = json!([]);
            }
            let list = here.as_array_mut().unwrap();
            while list.len() <= place {
                list.push(Value::Null);
            }
            &mut list[place]
        } else {
            if !here.is_object() {
                *here = json!({});
            }
            here.as_object_mut().unwrap().entry(name).or_insert(Value::Null)
        };
    }
    if here.is_null() {
        *here = value;
    }
}

/// The names with this beginning in all templates of a document.
fn names_of(document: &Value, beginning: &str) -> Vec<String> {
    let text = document.to_string();
    let mut names: Vec<String> = text
        .split(&format!("{{{beginning}."))
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

impl Part {
    fn of(document: &Connector, origin: &str) -> Self {
        let link = document.effective_link_name();
        let mut played = document.to_json();
        let members = played.as_object_mut().unwrap();
        // Where the service is offered is the organization's matter, not the service's.
        for name in ["documentation_url", "registration", "logo", "sources", "payment", "regions"] {
            members.remove(name);
        }
        let mut values = BTreeMap::new();
        for name in names_of(&played, "token") {
            values.insert(format!("token.{name}"), format!("t-{name}"));
        }
        for name in document.auth.callback_parameters() {
            values.insert(format!("callback.{name}"), format!("c-{name}"));
        }
        for step in &document.setup {
            values.insert(format!("setup.{}", step.id), format!("s-{}", step.id));
        }
        move_urls(&mut played, "", &link, origin);
        let host = origin.strip_prefix("http://").unwrap();
        played["hosts"] = json!([host, host.replace("127.0.0.1", "localhost")]);
        played["link_name"] = format!("sim_{link}").into();
        let (parameters, credentials) = (parameters_for(document), credentials_for(document));
        let checked = check_connection_parameters(document, &parameters)
            .unwrap_or_else(|e| panic!("{link}: no sample fits: {e:?}"));
        values.extend(checked.public);
        if let Some(row) = document.region_row(&values, "us") {
            values.extend(row.iter().map(|(name, value)| (format!("region.{name}"), value.clone())));
        }
        let scopes = document.auth.has_scopes().then(|| scopes_for(document));
        Self {
            link,
            document: document.clone(),
            played,
            values,
            parameters,
            credentials,
            scopes,
            origin: origin.to_owned(),
        }
    }

    fn text(&self, template: &str) -> Option<String> {
        let joined = self.joined();
        let value = |name: &str| {
            if name == "scopes" { joined.as_deref() } else { self.values.get(name).map(String::as_str) }
        };
        Template::parse(template).unwrap().text(value).ok()
    }

    /// A URL of the document, as a path and query at the simulator.
    fn url(&self, template: &str) -> String {
        let template = moved(template, &self.link, &self.origin);
        let url = Template::parse(&template).unwrap().url(|name| self.values.get(name).map(String::as_str));
        let url = url.unwrap_or_else(|e| panic!("{}: {template}: {e:?}", self.link));
        url.strip_prefix(&self.origin).unwrap().to_owned()
    }

    /// A path joined to the base URL, or a URL.
    fn at_base(&self, path: &str) -> String {
        if path.starts_with("https://") {
            return self.url(path);
        }
        let path =
            Template::parse(path).unwrap().path(|name| self.values.get(name).map(String::as_str)).unwrap();
        let base = self.url(&self.document.base_url);
        if path.starts_with('?') || path.is_empty() {
            return format!("{base}{path}");
        }
        format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
    }

    fn joined(&self) -> Option<String> {
        let scopes = self.scopes.as_ref().filter(|scopes| !scopes.is_empty())?;
        Some(scopes.join(self.document.auth.scope_delimiter().unwrap_or(" ")))
    }

    /// What the service answers at a path of its API, as far as the document says.
    fn answer(&self, target: &str) -> Value {
        let mut answer = json!({});
        let here = |path: &str| self.at_base(path) == target;
        for step in &self.document.setup {
            let path = step.operation.split_once(' ').map_or(step.operation.as_str(), |(_, path)| path);
            let ready = !path.contains("{setup.") || step.id != self.document.setup[0].id;
            if ready && here(path) {
                // A service that answers whose account it is at the same place answers one thing, which stands for a list of one.
                let same =
                    self.document.identity.as_ref().is_some_and(|i| i.url.as_deref().is_some_and(here));
                let item =
                    if step.items.is_empty() && same { String::new() } else { format!("{}/0", step.items) };
                let value = self.values[&format!("setup.{}", step.id)].clone();
                put(&mut answer, &format!("{item}{}", step.value), value.into());
                if let Some(label) = &step.label {
                    put(&mut answer, &format!("{item}{label}"), "The one".into());
                }
            }
        }
        if let Some(identity) = &self.document.identity
            && identity.url.as_deref().is_some_and(here)
        {
            for (pointer, value) in [(&identity.name, "Ada"), (&identity.subject, "u-1")] {
                if let Some(pointer) = pointer.as_deref().filter(|pointer| pointer.starts_with('/')) {
                    put(&mut answer, pointer, value.into());
                }
            }
        }
        if let Some(expect) = self.document.test.as_ref().and_then(|test| test.expect.as_ref())
            && let Some(pointer) = &expect.pointer
        {
            put(&mut answer, pointer, expect.equals.clone().unwrap_or_else(|| "there".into()));
        }
        answer
    }
}

/// Takes for every name the first sample that makes its error go away.
fn fitted(
    names: impl Iterator<Item = (String, Option<String>)>,
    field: &str,
    faults: impl Fn(&Map<String, Value>) -> Vec<String>,
) -> Map<String, Value> {
    let mut given = Map::new();
    for (name, choice) in names {
        let own = format!("{field}.{name}");
        let samples = choice.as_deref().into_iter().chain(SAMPLES.iter().copied());
        for sample in samples {
            given.insert(name.clone(), sample.into());
            if !faults(&given).contains(&own) {
                break;
            }
        }
    }
    given
}

fn parameters_for(document: &Connector) -> Map<String, Value> {
    let names = effective_parameters(document).into_iter().map(|parameter| {
        let own = match parameter.name.as_str() {
            "client_id" | "consumer_key" => Some(CLIENT.0.to_owned()),
            "client_secret" | "consumer_secret" => Some(CLIENT.1.to_owned()),
            "private_key" => Some(include_str!("../../../oauth/tests/keys/rsa_pkcs8.pem").to_owned()),
            "signing_algorithm" => Some("RS256".to_owned()),
            _ => parameter.choices.last().map(|choice| choice.value.clone()).or(parameter.default.clone()),
        };
        (parameter.name, own)
    });
    fitted(names, "parameters", |given| {
        check_connection_parameters(document, given)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|e| e.field)
            .collect()
    })
}

fn credentials_for(document: &Connector) -> Map<String, Value> {
    let names = credential_fields(document).into_iter().map(|field| (field.name, None));
    fitted(names, "credentials", |given| {
        check_credentials(document, given).err().unwrap_or_default().into_iter().map(|e| e.field).collect()
    })
}

/// Those ticked from the start, or two where there are, so that the delimiter is seen.
fn scopes_for(document: &Connector) -> Vec<String> {
    let all: Vec<&str> = document.scopes.iter().map(|scope| scope.name.as_str()).collect();
    let ticked: Vec<&str> =
        document.scopes.iter().filter(|scope| scope.default).map(|scope| scope.name.as_str()).collect();
    let chosen = match (all.len(), ticked.len()) {
        (0, _) => vec!["one", "two"],
        (_, 0 | 1) => all.into_iter().take(2).collect(),
        _ => ticked,
    };
    chosen.into_iter().map(str::to_owned).collect()
}

/// What somebody sent: path, query, form or JSON.
struct Asked<'m> {
    message: &'m Message,
    path: String,
    query: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

impl<'m> Asked<'m> {
    fn of(message: &'m Message) -> Self {
        let url = Url::parse(&format!("http://sim{}", message.target())).unwrap();
        let pairs =
            |url: &Url| url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect::<Vec<_>>();
        let fields = match serde_json::from_slice::<Map<String, Value>>(&message.body) {
            Ok(members) => members
                .into_iter()
                .map(|(n, v)| (n, v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
                .collect(),
            Err(_) => pairs(
                &Url::parse(&format!("http://sim/?{}", String::from_utf8_lossy(&message.body))).unwrap(),
            ),
        };
        let path = message.target().split('?').next().unwrap().to_owned();
        Self { message, path, query: pairs(&url), fields }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Seen {
    fn same(&mut self, what: &str, got: Option<&str>, wanted: Option<&str>) {
        if got != wanted {
            self.faults.push(format!("{what}: got {got:?}, the document says {wanted:?}"));
        }
    }
}

/// Path and query of a rendered URL, which may have a query of its own.
fn split(url: &str) -> (&str, Vec<(String, String)>) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = Url::parse(&format!("http://sim/?{query}")).unwrap();
    (path, pairs.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect())
}

fn play(stage: &Stage, message: &Message) -> Vec<u8> {
    let link = message.target().split('/').nth(1).unwrap_or_default().to_owned();
    let mut stage = stage.lock().unwrap();
    let Some((part, seen)) = stage.get_mut(&link) else { return reply(404, &[], "") };
    let part = Arc::clone(part);
    let asked = Asked::of(message);
    let path_of = |url: &str| split(&part.url(url)).0.to_owned();
    match &part.document.auth {
        Auth::OAuth2Code(auth) => {
            if message.method() == "GET"
                && asked.path == path_of(&auth.authorize_url)
                && asked.parameter("state").is_some()
            {
                return consent(&part, seen, &asked, auth);
            }
            let refresh = auth.token.refresh_url.as_deref().unwrap_or(&auth.token.token_url);
            let grant = asked.field("grant_type").or(asked.parameter("grant_type"));
            if asked.path == path_of(&auth.token.token_url) && grant == Some("authorization_code") {
                return token(&part, seen, &asked, &auth.token, false);
            }
            let second = asked.field("refresh_token").or(asked.parameter("refresh_token")).is_some();
            if asked.path == path_of(refresh) && second {
                return token(&part, seen, &asked, &auth.token, true);
            }
        }
        Auth::OAuth2DeviceCode(auth) if asked.path == path_of(&auth.device_authorization_url) => {
            seen.same("the client", asked.field(&auth.token.client_id_name), Some(CLIENT.0));
            seen.lines.push(format!("{} {}", message.method(), original(&part, message.target())));
            return json_reply(&json!({
                "device_code": "dc-1", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                "verification_uri": "https://device.example/",
            }));
        }
        Auth::OAuth2DeviceCode(auth) if asked.path == path_of(&auth.token.token_url) => {
            seen.same("the device code", asked.field("device_code"), Some("dc-1"));
            return token(&part, seen, &asked, &auth.token, false);
        }
        Auth::OAuth2ClientCredentials(auth) if asked.path == path_of(&auth.token.token_url) => {
            return token(&part, seen, &asked, &auth.token, false);
        }
        Auth::JwtBearer(auth) if asked.path == path_of(&auth.token.token_url) => {
            let dots = asked.field("assertion").map(|assertion| assertion.matches('.').count().to_string());
            seen.same("dots of the assertion", dots.as_deref(), Some("2"));
            return token(&part, seen, &asked, &auth.token, false);
        }
        Auth::OAuth1(auth) => {
            let signed = message.header("authorization").unwrap_or_default().to_owned();
            let form =
                |body: &str| reply(200, &[("content-type", "application/x-www-form-urlencoded")], body);
            if asked.path == path_of(&auth.request_token_url) && !signed.contains("oauth_verifier") {
                seen.same(
                    "consumer",
                    signed.contains("oauth_consumer_key=\"client-1\"").then_some(""),
                    Some(""),
                );
                seen.same("callback", signed.contains("oauth_callback=").then_some(""), Some(""));
                seen.lines.push(format!("{} {}", message.method(), original(&part, message.target())));
                seen.redirect = signed
                    .split("oauth_callback=\"")
                    .nth(1)
                    .and_then(|r| r.split('"').next())
                    .map(|encoded| split(&format!("?u={encoded}")).1[0].1.clone());
                return form(&format!(
                    "oauth_token=rt-{link}&oauth_token_secret=rs&oauth_callback_confirmed=true"
                ));
            }
            if asked.path == path_of(&auth.access_token_url) && signed.contains("oauth_verifier") {
                return form("oauth_token=at-1&oauth_token_secret=as");
            }
            if asked.path == path_of(&auth.authorize_url) {
                for (name, template) in &auth.authorize_parameters {
                    seen.same(name, asked.parameter(name), part.text(template).as_deref());
                }
                seen.lines.push(format!("GET {}", original(&part, message.target())));
                let back = seen.redirect.clone().unwrap_or_default();
                return reply(
                    302,
                    &[(
                        "location",
                        &format!(
                            "{back}{}oauth_token=rt-{link}&oauth_verifier=v",
                            if back.contains('?') { '&' } else { '?' }
                        ),
                    )],
                    "",
                );
            }
        }
        _ => {}
    }
    call(&part, seen, &asked)
}

/// A path at the simulator as the URL that the document means, with what differs each time blotted out.
fn original(part: &Part, target: &str) -> String {
    let rest = target.strip_prefix(&format!("/{}/", part.link)).unwrap();
    let (path, pairs) = rest.split_once('?').unwrap_or((rest, ""));
    let mut text = format!("https://{path}");
    for (index, (name, value)) in split(&format!("?{pairs}")).1.into_iter().enumerate() {
        let value = match name.as_str() {
            "state" | "code_challenge" => "…".to_owned(),
            "redirect_uri" => "REDIRECT".to_owned(),
            _ => value,
        };
        let mark = if index == 0 { '?' } else { '&' };
        write!(text, "{mark}{name}={value}").unwrap();
    }
    text
}

fn consent(
    part: &Part,
    seen: &mut Seen,
    asked: &Asked<'_>,
    auth: &jackfield_core::connector::OAuth2Code,
) -> Vec<u8> {
    seen.same("response_type", asked.parameter("response_type"), Some(&auth.response_type));
    seen.same("the client", asked.parameter(&auth.token.client_id_name), Some(CLIENT.0));
    let method = auth.pkce.then_some("S256");
    seen.same("code_challenge_method", asked.parameter("code_challenge_method"), method);
    seen.challenge = asked.parameter("code_challenge").map(str::to_owned);
    seen.same("whether there is a challenge", seen.challenge.clone().map(|_| ""), method.map(|_| ""));
    let own = auth.authorize_parameters.get("scope").map(|template| part.text(template));
    let wanted = own.unwrap_or_else(|| part.joined());
    seen.same("the scopes", asked.parameter(&auth.token.scope_parameter), wanted.as_deref());
    for (name, template) in &auth.authorize_parameters {
        seen.same(name, asked.parameter(name), part.text(template).as_deref());
    }
    for (name, value) in split(&part.url(&auth.authorize_url)).1 {
        seen.same(&name, asked.parameter(&name), Some(&value));
    }
    seen.lines.push(format!("GET {}", original(part, asked.message.target())));
    seen.redirect = asked.parameter("redirect_uri").map(str::to_owned);
    let mut back = Url::parse(seen.redirect.as_deref().unwrap()).unwrap();
    back.query_pairs_mut()
        .append_pair("code", "code-1")
        .append_pair("state", asked.parameter("state").unwrap());
    for name in &auth.callback_parameters {
        back.query_pairs_mut().append_pair(name, &part.values[&format!("callback.{name}")]);
    }
    reply(302, &[("location", back.as_str())], "")
}

fn token(
    part: &Part,
    seen: &mut Seen,
    asked: &Asked<'_>,
    endpoint: &jackfield_core::connector::TokenEndpoint,
    again: bool,
) -> Vec<u8> {
    let said = part.played["auth"].clone();
    let word = |name: &str, default: &str| said[name].as_str().unwrap_or(default).to_owned();
    seen.same("method of a token request", Some(asked.message.method()), Some(&word("token_method", "POST")));
    let in_query = word("token_method", "POST") == "GET";
    let given = |name: &str| if in_query { asked.parameter(name) } else { asked.field(name) };
    if !in_query {
        let kind = if word("token_request", "form") == "json" {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        seen.same("content type", asked.message.header("content-type"), Some(kind));
    }
    let header = asked.message.header("authorization");
    let basic = format!("Basic {}", BASE64_STANDARD.encode("client-1:secret%2F1"));
    let (id, secret) = (given(&endpoint.client_id_name), given(&endpoint.client_secret_name));
    let jwt = part.document.auth.kind().as_str() == "jwt_bearer";
    match word("client_authentication", "client_secret_basic").as_str() {
        _ if jwt => {}
        "client_secret_basic" => {
            seen.same("Authorization of the client", header, Some(&basic));
            seen.same("the secret in the body", secret, None);
        }
        "client_secret_post" => {
            seen.same("Authorization of the client", header, None);
            seen.same("the client in the body", id, Some(CLIENT.0));
            seen.same("the secret in the body", secret, Some(CLIENT.1));
        }
        "none" => {
            seen.same("the client in the body", id, Some(CLIENT.0));
            seen.same("the secret in the body", secret.or(header), None);
        }
        other => seen.faults.push(format!("the simulator does not know {other}")),
    }
    let more = if again { &endpoint.refresh_parameters } else { &endpoint.token_parameters };
    for (name, template) in more {
        seen.same(name, given(name), part.text(template).as_deref());
    }
    for (name, template) in &endpoint.token_headers {
        seen.same(name, asked.message.header(name), part.text(template).as_deref());
    }
    if again {
        seen.same("the refresh token", given("refresh_token"), Some("rt-1"));
    } else if let Auth::OAuth2Code(auth) = &part.document.auth {
        seen.same("the code", given("code"), Some("code-1"));
        seen.same("redirect_uri", given("redirect_uri"), seen.redirect.clone().as_deref());
        let proof = given("code_verifier").map(|verifier| {
            BASE64_URL_SAFE_NO_PAD.encode(jackfield_vault::token::digest(verifier.as_bytes()))
        });
        seen.same(
            "the proof of the code",
            proof.as_deref(),
            seen.challenge.clone().filter(|_| auth.pkce).as_deref(),
        );
    }
    let mut line = format!("{} {}", asked.message.method(), original(part, asked.message.target()));
    if header.is_some() {
        line.push_str(" Basic");
    }
    let mut fields: Vec<String> = asked
        .fields
        .iter()
        .map(|(name, value)| match name.as_str() {
            "code_verifier" | "assertion" => format!("{name}=…"),
            "redirect_uri" => format!("{name}=REDIRECT"),
            _ => format!("{name}={value}"),
        })
        .collect();
    fields.sort();
    seen.lines.push(format!("{line} {}", fields.join("&")).trim_end().to_owned());
    seen.tokens += 1;

    // The first token ends at once, so that the call needs another.
    let ends = if again || !matches!(part.document.auth, Auth::OAuth2Code(_)) { 3600 } else { 1 };
    let mut granted = json!({
        "ok": true, "access_token": if again { "at-2" } else { "at-1" }, "token_type": "bearer",
        "refresh_token": if again { "rt-2" } else { "rt-1" }, "expires_in": ends,
    });
    for (name, value) in part.values.iter().filter_map(|(n, v)| Some((n.strip_prefix("token.")?, v))) {
        granted[name] = value.as_str().into();
    }
    let mut answer = json!({"ok": true});
    if let Some(pointer) = &endpoint.token_at {
        put(&mut answer, pointer, granted);
    } else {
        answer = granted;
    }
    if let Some(pointer) = &endpoint.base_url_from {
        put(&mut answer, pointer, part.origin.replace("127.0.0.1", "localhost").into());
    }
    if let Some(identity) = &part.document.identity {
        let mut said = json!({});
        for (pointer, value) in [(&identity.name, "Ada"), (&identity.subject, "u-1")] {
            if let Some(pointer) = pointer.as_deref().filter(|pointer| pointer.starts_with('/')) {
                put(if identity.url.is_none() { &mut answer } else { &mut said }, pointer, value.into());
                put(&mut said, pointer, value.into());
            }
        }
        let claims = BASE64_URL_SAFE_NO_PAD.encode(said.to_string());
        answer["id_token"] =
            format!("{}.{claims}.x", BASE64_URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}")).into();
    }
    json_reply(&answer)
}

/// Whether a call carries what the document says; the answer of the API.
fn call(part: &Part, seen: &mut Seen, asked: &Asked<'_>) -> Vec<u8> {
    let document = &part.document;
    let token = if seen.tokens > 1 { "at-2" } else { "at-1" };
    let mut wanted: Vec<(Place, String, String)> = Vec::new();
    let text = |name: &str| part.credentials.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match &document.auth {
        Auth::ApiKey(auth) => {
            for field in &auth.fields {
                let name = field.wire_name.clone().unwrap_or_else(|| field.name.clone());
                let value = format!("{}{}", field.prefix.clone().unwrap_or_default(), text(&field.name));
                wanted.push((field.place, name, value));
            }
        }
        Auth::Basic(auth) => {
            let half = |field: &jackfield_core::connector::BasicField, name: &str| {
                field.fixed.clone().unwrap_or_else(|| text(name))
            };
            let both = format!("{}:{}", half(&auth.username, "username"), half(&auth.password, "password"));
            wanted.push((
                Place::Header,
                "Authorization".to_owned(),
                format!("Basic {}", BASE64_STANDARD.encode(both)),
            ));
        }
        Auth::OAuth1(_) => {
            let header = asked.message.header("authorization").unwrap_or_default();
            seen.same("OAuth 1 token", header.contains("oauth_token=\"at-1\"").then_some(""), Some(""));
        }
        Auth::None(_) => {}
        _ => match &part.played["auth"]["place"] {
            Value::Null => {
                wanted.push((Place::Header, "Authorization".to_owned(), format!("Bearer {token}")));
            }
            place => {
                let kind = if place["in"] == "query" { Place::Query } else { Place::Header };
                let name = place["name"].as_str().unwrap_or("Authorization").to_owned();
                let prefix = place["prefix"].as_str().unwrap_or("");
                wanted.push((kind, name, format!("{prefix}{token}")));
            }
        },
    }
    for parameter in &document.parameters {
        if let Some(place) = parameter.place {
            let name = parameter.wire_name.clone().unwrap_or_else(|| parameter.name.clone());
            let given = part.parameters[&parameter.name].as_str().unwrap();
            wanted.push((place, name, format!("{}{given}", parameter.prefix.clone().unwrap_or_default())));
        }
    }
    let last = asked.path.ends_with("/ping");
    if last {
        for (name, template) in &document.headers {
            let value = part.text(template);
            seen.same(name, asked.message.header(name), value.as_deref());
        }
        for (name, template) in &document.query {
            let value = part.text(template);
            seen.same(name, asked.parameter(name), value.as_deref());
        }
        let path = part.at_base("/ping");
        seen.same("the path of a call", Some(&asked.path), Some(&path));
        let own = document.auth.token_endpoint().is_some_and(|token| token.base_url_from.is_some());
        let host = if own { "localhost" } else { "127.0.0.1" };
        seen.same(
            "the host of a call",
            asked.message.header("host").and_then(|h| h.split(':').next()),
            Some(host),
        );
        seen.called = true;
    }
    for (place, name, value) in wanted {
        match place {
            Place::Header => seen.same(&name, asked.message.header(&name), Some(&value)),
            Place::Query => seen.same(&name, asked.parameter(&name), Some(&value)),
            Place::Cookie | Place::Body => {}
        }
    }
    json_reply(&part.answer(asked.message.target()))
}

/// Connects, and authorizes as its scheme demands.
async fn authorize(server: &Server, part: &Part) -> Result<(), String> {
    let link = &part.link;
    let no = |what: &str, answer: &crate::support::Answer| {
        format!("{link}: {what}: {} {}", answer.status, answer.text)
    };
    let made = server.post("/v1/connectors", part.played.clone()).await;
    if made.status != 201 {
        return Err(no("connector", &made));
    }
    server.post(&format!("/v1/connectors/sim_{link}/publish"), json!({})).await;
    let level = part.document.levels[0];
    let mut new = json!({
        "connector": format!("sim_{link}"), "name": link, "link_name": link, "parameters": part.parameters, "level": level,
    });
    if let Some(scopes) = &part.scopes {
        new["scopes"] = scopes.as_slice().into();
    }
    let made = server.post("/v1/connections", new).await;
    if made.status != 201 {
        return Err(no("connection", &made));
    }
    let body = if part.credentials.is_empty() { json!({}) } else { json!({"credentials": part.credentials}) };
    let answer = server.post(&format!("/v1/connections/{link}/authorizations"), body).await;
    if answer.status == 201 {
        return Ok(());
    }
    if answer.status != 202 {
        return Err(no("authorization", &answer));
    }
    let flow = answer.json()["flow"].clone();
    let page =
        Browser::new().get(flow["start_url"].as_str().unwrap()).await.map_err(|e| format!("{link}: {e}"))?;
    let path = format!("/v1/flows/{}", flow["id"].as_str().unwrap());
    // With a device code the service is asked until it says so; else the page comes when all is over.
    let device = flow["user_code"].is_string();
    let ended = until("the end of the flow", async || {
        Some(server.get(&path).await.json()).filter(|flow| !device || flow["state"] != "pending")
    })
    .await;
    if ended["state"] == "authorized" {
        Ok(())
    } else {
        Err(format!("{link}: {} {} {}", page.url, ended, page.body))
    }
}

/// Plays all of it; faults, and the lines of the snapshot.
async fn play_all() -> (Vec<String>, String) {
    let home = Home::sqlite().set("JACKFIELD_REGIONS", "us");
    let server = home.start();
    let stage: Stage = Arc::default();
    let stand = Arc::clone(&stage);
    let upstream = Upstream::answering(move |message| play(&stand, message)).await;
    let parts: Vec<Arc<Part>> =
        built_in().iter().map(|document| Arc::new(Part::of(document, &upstream.url))).collect();
    {
        let mut stage = stage.lock().unwrap();
        for part in &parts {
            stage.insert(part.link.clone(), (Arc::clone(part), Seen::default()));
        }
    }
    let mut faults: Vec<String> = futures_util::stream::iter(&parts)
        .map(|part| authorize(&server, part))
        .buffer_unordered(TOGETHER)
        .filter_map(|done| async { done.err() })
        .collect()
        .await;
    // The first tokens live a second.
    past(&jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(1)).unwrap().to_string().into())
        .await;
    let called: Vec<(String, u16, String)> = futures_util::stream::iter(&parts)
        .map(|part| async {
            let answer = server.invoke(&part.link, json!({"method": "GET", "url": "/ping"})).await;
            (part.link.clone(), answer.status, answer.text)
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    faults.extend(
        called
            .into_iter()
            .filter(|(_, status, _)| *status != 200)
            .map(|(l, s, t)| format!("{l}: call: {s} {t}")),
    );
    let mut text = String::from(
        "# What every connector that uses OAuth sends: its authorize URL, its token request, its refresh.\n\
         # Rewritten by: cargo test -p jackfield --test it -- --ignored rewrite_what_the_catalogue_sends\n",
    );
    for (link, (part, seen)) in stage.lock().unwrap().iter() {
        faults.extend(seen.faults.iter().map(|fault| format!("{link}: {fault}")));
        if !seen.called {
            faults.push(format!("{link}: no call arrived"));
        }
        let exchanges = if matches!(part.document.auth, Auth::OAuth2Code(_)) { 2 } else { 0 };
        if seen.tokens < exchanges {
            faults.push(format!("{link}: no refresh"));
        }
        if !seen.lines.is_empty() {
            write!(text, "\n{link}\n").unwrap();
            for line in &seen.lines {
                writeln!(text, "  {line}").unwrap();
            }
        }
    }
    (faults, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connector_does_what_its_document_says() {
    let (faults, text) = play_all().await;
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    let known = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let (old, new): (Vec<&str>, Vec<&str>) = (known.lines().collect(), text.lines().collect());
    let changed: Vec<&&str> = new
        .iter()
        .filter(|line| !old.contains(line))
        .chain(old.iter().filter(|line| !new.contains(line)))
        .collect();
    assert!(known == text, "catalogue.txt is no longer what is sent:\n{changed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes catalogue.txt"]
async fn rewrite_what_the_catalogue_sends() {
    let (faults, text) = play_all().await;
    std::fs::write(SNAPSHOT, text).unwrap();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

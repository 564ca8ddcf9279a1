//! The API of a server, as the commands of a terminal use it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use jackfield_engine::{Egress, EgressOptions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::{Failure, Result, sentence};
use crate::say;
use crate::settings::{API_KEY, URL, environment};

/// How long an answer may take; invoke needs its own forty seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// An answer of invoke may be base64 of the largest that a server can be told to accept.
const LARGEST: usize = 2 << 30;
/// Where a server listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8484";
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Which server, as whom, and how to answer.
#[derive(Args, Clone, Default)]
pub struct Server {
    /// Address of the server [JACKFIELD_URL, or what `jackfield login` saved]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub url: Option<String>,
    /// API key. Other users of the machine see command lines: better set JACKFIELD_API_KEY, or save it by `jackfield login`
    #[arg(long, global = true, value_name = "KEY", help_heading = "Server")]
    pub key: Option<String>,
    /// Answer with the API's JSON, for programs
    #[arg(long, global = true, help_heading = "Server")]
    pub json: bool,
}

/// A server and a key.
pub struct Client {
    egress: Egress,
    base: String,
    key: SecretString,
}

/// A good answer: its JSON, and its bytes for whoever wants them as they are.
pub struct Reply {
    value: Value,
    pub raw: Bytes,
}

impl Reply {
    /// Puts names beside what stands at `from` in each item of a list, the id of a member: at `to`, which is the id where nobody says the name.
    pub async fn name_members(&mut self, client: &Client, from: &str, to: &str) {
        let mut names: HashMap<String, String> = HashMap::new();
        for item in self.value.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(id) = item.get(from).and_then(Value::as_str).map(str::to_owned) else { continue };
            if !names.contains_key(&id) {
                let member = client.get(&path(&["members", &id])).await.ok();
                let name = member.and_then(|member| member.get("name")?.as_str().map(str::to_owned));
                names.insert(id.clone(), name.unwrap_or_else(|| id.clone()));
            }
            item[to] = names.get(&id).cloned().unwrap_or(id).into();
        }
    }
}

impl std::ops::Deref for Reply {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// What a server answered.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn json(&self) -> Result<Reply> {
        let value = serde_json::from_slice(&self.body).map_err(|_| {
            Failure::new(format!(
                "The server's answer ({}) is no JSON. Is it a Jackfield? Check JACKFIELD_URL.",
                self.status
            ))
        })?;
        Ok(Reply { value, raw: self.body.clone() })
    }
}

impl Client {
    /// Finds out where and as whom: flags, environment, what was saved.
    pub fn new(server: &Server) -> Result<Self> {
        let saved = Profile::load()?;
        let given_url = server.url.clone().or_else(|| environment(URL).filter(|url| !url.is_empty()));
        let given_key = server.key.clone().or_else(|| environment(API_KEY).filter(|key| !key.is_empty()));
        let saved_url = saved.as_ref().map(|profile| profile.url.clone());
        let base = base(given_url.or_else(|| saved_url.clone()).as_deref().unwrap_or(DEFAULT_URL))?;
        let key = match (given_key, saved) {
            (Some(key), _) => SecretString::from(key),
            (None, Some(profile)) if saved_url.as_deref() == Some(&base) => profile.key,
            (None, Some(profile)) => {
                return Err(Failure::new(format!(
                    "The saved API key belongs to {}, not to {base}. Set JACKFIELD_API_KEY, or use `jackfield login`.",
                    profile.url
                )));
            }
            (None, None) => {
                return Err(Failure::new(
                    "No API key. Set JACKFIELD_API_KEY, or save one with `jackfield login`.",
                ));
            }
        };
        Self::with(base, key)
    }

    /// A server at `base`, without a slash at the end.
    pub fn with(base: String, key: SecretString) -> Result<Self> {
        // The address is the operator's own choice, most often of this very machine.
        let options = EgressOptions { unrestricted: true, ..Default::default() };
        let egress = Egress::new(options).map_err(|e| Failure::new(sentence(&e.to_string())))?;
        Ok(Self { egress, base, key })
    }

    /// Where the server is, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request. An answer is an answer, whatever its status.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let unusable =
            |what| Failure::usage(format!("{what} cannot be sent as it is. Look for stray characters."));
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.key.expose_secret().trim()))
            .map_err(|_| unusable("The API key"))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("jackfield/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(body).map_err(|_| unusable("The address"))?;
        let answer =
            self.egress.exchange(request, LARGEST, Instant::now() + PATIENCE).await.map_err(|e| {
                Failure::new(format!(
                    "{}: {} Does the service run there? Its address is JACKFIELD_URL.",
                    self.base,
                    sentence(&e.to_string())
                ))
            })?;
        let (head, body) = answer.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends a request whose answer must be good.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.send(method, path, body).await?;
        if answer.is_good() { Ok(answer) } else { Err(refused(&answer)) }
    }

    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.ask(Method::GET, path, None).await?.json()
    }
}

/// The path of something: each part is a name, and no part of a path.
pub fn path(parts: &[&str]) -> String {
    parts.iter().fold("/v1".to_owned(), |path, part| format!("{path}/{}", utf8_percent_encode(part, SEGMENT)))
}

/// The path with a query.
pub fn with_query(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query {
        if let Some(value) = value {
            text.append_pair(name, value);
        }
    }
    let text = text.finish();
    if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") }
}

fn base(url: &str) -> Result<String> {
    let parsed =
        url::Url::parse(url).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    if parsed.is_none() {
        return Err(Failure::usage(format!(
            "\"{url}\" is no address of a server. Say for example {DEFAULT_URL}."
        )));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// A refusal in words: what, why, each field, the mend, and how to find it in the log.
pub fn refused(answer: &Answer) -> Failure {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let member = |name: &str| problem.get(name).and_then(Value::as_str).map(say::visible);
    let Some(title) = member("title") else {
        return Failure::new(format!(
            "The server answered {}, and not as a Jackfield does. Check JACKFIELD_URL.",
            answer.status
        ));
    };
    let mut lines = vec![sentence(&title)];
    let list = |name: &str| problem.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let errors = list("errors");
    if errors.is_empty() {
        lines.extend(member("detail"));
    }
    let text =
        |value: &Value, name: &str| say::visible(value.get(name).and_then(Value::as_str).unwrap_or_default());
    for error in &errors {
        lines.push(format!("  {}: {}", text(error, "field"), text(error, "message")));
    }
    for reference in list("references") {
        lines.push(format!(
            "  used by {} / {}",
            text(&reference, "application"),
            text(&reference, "component")
        ));
    }
    lines.extend(member("code").as_deref().and_then(mend));
    lines.extend(member("request_id").map(|id| format!("Request {id}")));
    Failure::new(lines.join("\n"))
}

/// What to do about it, from a terminal.
fn mend(code: &str) -> Option<String> {
    let own = match code {
        "unauthenticated" | "key_malformed" | "key_revoked" | "key_expired" => {
            "Set JACKFIELD_API_KEY to a key that is valid, or save one with `jackfield login`."
        }
        "not_connected" => "Authorize it with `jackfield connections authorize`.",
        "reauthorization_required" => {
            "Find it with `jackfield authorizations list`, then use `jackfield authorizations reauthorize`."
        }
        "connection_disabled" => "An admin enables it with `jackfield connections enable`.",
        // The detail says it already.
        _ => return None,
    };
    Some(own.to_owned())
}

/// What `jackfield login` saved.
pub struct Profile {
    pub url: String,
    pub key: SecretString,
}

impl Profile {
    /// `~/.config/jackfield/profile.toml`, or where the desktop's rules put it.
    pub fn file() -> Option<PathBuf> {
        let set = |name| environment(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("jackfield").join("profile.toml"))
    }

    fn load() -> Result<Option<Self>> {
        let Some(file) = Self::file() else { return Ok(None) };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(e) => return Err(Failure::new(format!("{}: it cannot be read: {e}.", file.display()))),
        };
        let table: toml::Table = text.parse().unwrap_or_default();
        let member = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        match (member("url"), member("key")) {
            (Some(url), Some(key)) => Ok(Some(Self { url, key: key.into() })),
            _ => Err(Failure::new(format!(
                "{}: it is damaged. Remove it, or use `jackfield login` again.",
                file.display()
            ))),
        }
    }

    /// Writes it for its owner alone, whole or not at all.
    pub fn save(&self) -> Result<PathBuf> {
        use std::io::Write;
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

        let file = Self::file().ok_or_else(|| {
            Failure::new("There is no home folder to save it in. Set HOME, or JACKFIELD_API_KEY.")
        })?;
        let table = toml::Table::from_iter([
            ("url".to_owned(), self.url.clone().into()),
            ("key".to_owned(), self.key.expose_secret().into()),
        ]);
        let draft = file.with_extension("new");
        let write = || {
            if let Some(folder) = file.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            match std::fs::remove_file(&draft) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut out =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            out.write_all(table.to_string().as_bytes())?;
            out.sync_all()?;
            std::fs::rename(&draft, &file)
        };
        write().map_err(|e| Failure::new(format!("{}: it cannot be written: {e}.", file.display())))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(body: &Value) -> Answer {
        Answer { status: 409, headers: HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn problems_are_told_in_order() {
        let problem = json!({
            "title": "Some of the input is wrong", "detail": "name: must be given", "code": "invalid_input", "status": 422,
            "errors": [{"field": "name", "code": "required", "message": "must be given"}], "request_id": "req_1",
        });
        assert_eq!(
            refused(&answer(&problem)).message,
            "Some of the input is wrong.\n  name: must be given\nRequest req_1"
        );
        let problem = json!({"title": "The connection is not authorized", "detail": "Nobody\u{1b}[2J has.", "code": "not_connected"});
        let shown = refused(&answer(&problem)).message;
        assert!(shown.ends_with("Authorize it with `jackfield connections authorize`."), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(refused(&answer(&json!("<html>"))).message.contains("not as a Jackfield"));
    }

    #[test]
    fn paths_take_names_for_names() {
        assert_eq!(path(&["connections", "../a b"]), "/v1/connections/..%2Fa%20b");
        assert_eq!(with_query("/v1/x", &[("a", Some("b&c".into())), ("d", None)]), "/v1/x?a=b%26c");
        assert_eq!(with_query("/v1/x", &[("d", None)]), "/v1/x");
        assert!(
            base("localhost:8484").is_err() && base("http://h:1/").is_ok_and(|base| base == "http://h:1")
        );
    }
}

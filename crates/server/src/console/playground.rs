//! The playground of a connection: one call, and what came back.

use std::time::{Duration, Instant};

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Code, Error, FieldError, Result};
use jackfield_engine::Engine;
use jackfield_engine::call::invoke::{Invocation, Invoked, ReplyBody};
use jackfield_engine::connect::connectors::ConnectorAt;
use serde_json::{Map, Value, json};

use super::desk::{Desk, Frame, Sent};
use super::details::{Head, head};
use super::form::{Fields, Form};
use super::parts::{self, Status};

/// Characters of an answer that are shown.
const SHOWN: usize = 64 * 1024;

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console/connections/{link}/playground", get(show).post(call))
}

/// What came back, for people.
struct Reply {
    status: u16,
    class: Status,
    headers: Vec<(String, String)>,
    body: String,
    cut: bool,
    service: u128,
    ours: u128,
}

/// Jackfield's own refusal.
struct Refusal {
    code: &'static str,
    detail: String,
}

#[derive(Template)]
#[template(path = "console/playground.html")]
struct Playground<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    form: Form,
    /// paths of the connector's operations, with their names
    operations: Vec<(String, String)>,
    reply: Option<Reply>,
    refusal: Option<Refusal>,
    /// the same call elsewhere
    curl: String,
    cli: String,
    json: String,
}

async fn page<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Playground<'a>> {
    let head = head(engine, desk, link, "playground").await?;
    let connector = engine
        .read_connector_at(&desk.op, &head.connection.connector.link_name, &ConnectorAt::of(&head.connection))
        .await?;
    let asked = invocation(&form, desk);
    let (curl, cli, json) = elsewhere(&engine.settings().public_url, link, &form, desk);
    let wrong = asked.err();
    let form = match wrong {
        Some(error) if !form.value("url").is_empty() => form.with_errors(&error),
        _ => form,
    };
    Ok(Playground {
        frame: &desk.frame,
        head,
        form,
        operations: operations(&connector.document),
        reply: None,
        refusal: None,
        curl,
        cli,
        json,
    })
}

/// `GET /vendors` and its name, for each operation that the connector describes.
fn operations(document: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut found = Vec::new();
    let modules = document.get("modules").and_then(Value::as_object);
    for (module, content) in modules.into_iter().flatten() {
        let operations = content.get("operations").and_then(Value::as_object);
        for (name, operation) in operations.into_iter().flatten() {
            found.push((text(operation, "path"), format!("{module}: {name}")));
        }
    }
    if let Some(test) = document.get("test") {
        let path = text(test, "path");
        if !path.is_empty() && !found.iter().any(|(known, _)| *known == path) {
            found.insert(0, (path, "the test of this connector".to_owned()));
        }
    }
    found
}

fn invocation(form: &Form, desk: &Desk) -> Result<Invocation> {
    let body = form.value("body");
    let body = if body.trim().is_empty() {
        None
    } else {
        Some(serde_json::from_str(body).map_err(|error| {
            Error::invalid(vec![FieldError::new("body", "invalid", format!("This is not JSON: {error}."))])
        })?)
    };
    Ok(Invocation {
        method: form.value("method").to_owned(),
        url: form.value("url").to_owned(),
        query: Map::new(),
        headers: Map::new(),
        body,
        body_encoding: None,
        environment: Some(desk.frame.environment.as_str().to_owned()),
        acting_for: None,
        detailed: true,
        timeout_ms: None,
    })
}

/// The same call by curl, by the command line, and as JSON.
fn elsewhere(url: &str, link: &str, form: &Form, desk: &Desk) -> (String, String, String) {
    let (method, path) = (form.value("method"), form.value("url"));
    let body: Option<Value> = serde_json::from_str(form.value("body")).ok();
    let environment = desk.frame.environment.as_str();
    let mut call = json!({"method": method, "url": path, "environment": environment});
    if let (Some(body), Some(call)) = (&body, call.as_object_mut()) {
        call.insert("body".to_owned(), body.clone());
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let curl = format!(
        "curl {url}/v1/connections/{link}/invoke \\\n  -H \"Authorization: Bearer $JACKFIELD_API_KEY\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  -d {}",
        quoted(&call.to_string())
    );
    let body = body.map_or_else(String::new, |body| format!(" --body {}", quoted(&body.to_string())));
    let cli = format!("jackfield invoke {link} {method} {} --environment {environment}{body}", quoted(path));
    (curl, cli, serde_json::to_string_pretty(&call).unwrap_or_default())
}

async fn show(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let path = desk.query.given("url").unwrap_or_else(|| "/".to_owned());
    let form = Form::new(Fields::default().with("method", "GET").with("url", path));
    let page = page(&engine, &desk, &link, form).await;
    desk.show(page)
}

async fn call(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let form = Form::new(form);
    let asked = invocation(&form, &desk);
    let result = async {
        let mut page = page(&engine, &desk, &link, form).await?;
        let Ok(asked) = asked else { return Ok(page) };
        let begun = Instant::now();
        match engine.invoke(&desk.op, &link, &asked).await {
            Ok(invoked) => page.reply = Some(reply(&invoked, begun.elapsed())),
            Err(error) if error.code == Code::Internal => return Err(error),
            Err(error) => page.refusal = Some(refusal(&error)),
        }
        Ok(page)
    };
    desk.show(result.await)
}

fn refusal(error: &Error) -> Refusal {
    let fields = error.fields.iter().map(|field| format!(" {}: {}", field.field, field.message));
    Refusal { code: error.code.as_str(), detail: fields.fold(error.detail.clone(), |all, one| all + &one) }
}

fn reply(invoked: &Invoked, whole: Duration) -> Reply {
    let described = invoked.detailed();
    let mut body = match described.body {
        ReplyBody::Nothing => String::new(),
        ReplyBody::Text(text) => text.to_owned(),
        ReplyBody::Base64(text) => text,
        ReplyBody::Json(written) => match serde_json::from_str(written.get()) {
            Ok(Value::String(text)) => text,
            Ok(value) => serde_json::to_string_pretty::<Value>(&value).unwrap_or_default(),
            Err(_) => written.get().to_owned(),
        },
    };
    let cut = body.char_indices().nth(SHOWN).map(|(at, _)| at);
    if let Some(at) = cut {
        body.truncate(at);
    }
    let headers = described.headers.into_iter();
    let service = invoked.service_time.min(whole);
    Reply {
        status: invoked.status,
        class: if invoked.status < 400 { Status::Connected } else { Status::Failed },
        headers: headers.map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
        body,
        cut: cut.is_some(),
        service: service.as_millis(),
        ours: whole.saturating_sub(service).as_millis(),
    }
}

impl Reply {
    fn said(&self) -> String {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("");
        format!("{} {reason}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_offered_for_completion() {
        let document = json!({
            "test": {"path": "/me"},
            "modules": {"vendor": {"operations": {"list": {"method": "GET", "path": "/vendors"}}}}
        });
        let found = operations(document.as_object().unwrap());
        assert_eq!(
            found,
            [
                ("/me".to_owned(), "the test of this connector".to_owned()),
                ("/vendors".to_owned(), "vendor: list".to_owned())
            ]
        );
    }
}

//! `jackfield connectors test`: a document tried with real calls, before anybody uses it.

use clap::Args;
use http::Method;
use jackfield_core::connector::{self, Connector};
use serde_json::{Map, Value, json};

use crate::client::{Client, path};
use crate::commands::authorize;
use crate::failure::{Failure, Result};
use crate::view::text;
use crate::{input, say};

use super::lint;

#[derive(Args)]
pub struct Test {
    /// A document (TOML or JSON in a file; - for JSON from standard input), or the link name of a connector of your own
    what: String,
    /// A parameter of the connection; again for more. What is missing is asked for, secrets without showing them
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = input::pair)]
    parameters: Vec<(String, String)>,
    /// A file with such parameters as a JSON object; - for standard input. The place for secrets
    #[arg(long = "parameters", value_name = "FILE")]
    parameters_file: Option<String>,
    /// A credential; again for more
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = input::pair)]
    fields: Vec<(String, String)>,
    /// A file with such credentials as a JSON object; - for standard input
    #[arg(long = "fields", value_name = "FILE")]
    fields_file: Option<String>,
    /// A scope to ask for; again for more. Those that are ticked from the start unless given
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Print the link and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub async fn run(client: &Client, test: Test, as_json: bool) -> Result<()> {
    let mut body = Map::new();
    let (for_connection, for_authorization);
    if test.what == "-" || std::path::Path::new(&test.what).exists() {
        let text = input::read(&test.what)?;
        let read = connector::lint(&text, lint::format_of(&test.what));
        let Ok(connector) = read else { return lint::run(&[test.what], as_json) };
        (for_connection, for_authorization) = asked(&connector);
        body.insert("document".to_owned(), connector.to_json());
    } else {
        let view = client.get(&path(&["connectors", &test.what])).await?;
        let of = |name: &str| view.get(name).cloned().unwrap_or_default();
        (for_connection, for_authorization) = (of("asked_for_connection"), of("asked_for_authorization"));
        body.insert("connector".to_owned(), test.what.into());
    }
    let mut parameters = test.parameters_file.as_deref().map(input::object).transpose()?.unwrap_or_default();
    parameters.extend(test.parameters.into_iter().map(|(name, value)| (name, value.into())));
    input::ask_missing(&for_connection, &mut parameters, "--parameter").await?;
    let mut credentials = test.fields_file.as_deref().map(input::object).transpose()?.unwrap_or_default();
    credentials.extend(test.fields.into_iter().map(|(name, value)| (name, value.into())));
    input::ask_missing(&for_authorization, &mut credentials, "--field").await?;
    body.insert("parameters".to_owned(), parameters.into());
    body.insert("credentials".to_owned(), credentials.into());
    if !test.scopes.is_empty() {
        body.insert("scopes".to_owned(), test.scopes.into());
    }
    let tried = client.ask(Method::POST, &path(&["connectors", "test"]), Some(&body.into())).await?.json()?;
    let mut steps = steps_of(&tried, "/steps");
    if !as_json {
        show(&steps)?;
    }
    if let Some(flow) = tried.get("flow").filter(|flow| !flow.is_null()) {
        let ended = authorize::visit(client, flow, test.no_browser).await?;
        let rest = steps_of(&ended, "/trial");
        if !as_json {
            show(&rest)?;
        }
        if rest.is_empty() {
            let why = say::visible(&text(&ended, "/error/detail"));
            return Err(Failure::new(format!("The trial ended before the service had answered. {why}")));
        }
        steps.extend(rest);
    }
    let failed = steps.iter().any(|step| text(step, "/outcome") == "failed");
    if as_json {
        say::line(json!({"works": !failed, "steps": steps}).to_string())?;
    }
    match (failed, as_json) {
        (false, true) => Ok(()),
        (false, false) if steps.iter().all(|step| text(step, "/outcome") == "skipped") => {
            say::line("\nThere was nothing to try. Nothing was kept.")
        }
        (false, false) => say::line("\nIt works as far as it was tried. Nothing was kept."),
        (true, true) => Err(Failure::silent(1)),
        (true, false) => Err(Failure::new("\nIt does not work yet.")),
    }
}

/// What has to be given, in the words of the API.
fn asked(connector: &Connector) -> (Value, Value) {
    let json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    (
        json(serde_json::to_value(connector::effective_parameters(connector))),
        json(serde_json::to_value(connector::credential_fields(connector))),
    )
}

fn steps_of(value: &Value, at: &str) -> Vec<Value> {
    value.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn show(steps: &[Value]) -> Result<()> {
    steps.iter().try_for_each(|step| say::line(laid_out(step)))
}

/// A step for people: what was tried, what it means, and what went to and fro.
fn laid_out(step: &Value) -> String {
    let what = match text(step, "/kind").as_str() {
        "authorize" => "Accepting",
        "token" => "Token",
        "identity" => "Whose account it is",
        _ => "Test",
    };
    let outcome = match text(step, "/outcome").as_str() {
        "passed" => "passed",
        "failed" => "FAILED",
        "skipped" => "not tried",
        _ => "look at it",
    };
    let mut lines = vec![format!("{what}: {outcome}"), format!("  {}", text(step, "/words"))];
    if let Some(request) = step.get("request").filter(|request| !request.is_null()) {
        lines.push(format!("  > {} {}", text(request, "/method"), text(request, "/url")));
        lines.extend(headers(request, '>'));
        lines.extend(body(request, '>'));
    }
    if let Some(answer) = step.get("answer").filter(|answer| !answer.is_null()) {
        lines.push(format!("  < {} after {} ms", text(answer, "/status"), text(answer, "/millis")));
        lines.extend(headers(answer, '<'));
        lines.extend(body(answer, '<'));
        if answer.get("cut") == Some(&Value::Bool(true)) {
            lines.push("  < …".to_owned());
        }
    }
    format!("\n{}", lines.iter().map(|line| say::visible(line)).collect::<Vec<_>>().join("\n"))
}

fn headers(of: &Value, mark: char) -> Vec<String> {
    let pairs = of.get("headers").and_then(Value::as_array).into_iter().flatten();
    pairs.map(|pair| format!("  {mark} {}: {}", text(pair, "/0"), text(pair, "/1"))).collect()
}

fn body(of: &Value, mark: char) -> Vec<String> {
    let body = text(of, "/body");
    body.lines().map(|line| format!("  {mark} {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_laid_out_for_people() {
        let step = json!({"kind": "token", "outcome": "failed", "words": "The service refused.",
            "request": {"method": "POST", "url": "https://a.example/t", "headers": [["accept", "x"]], "body": "a=1\u{1b}[2J"},
            "answer": {"status": 400, "millis": 3, "headers": [], "body": "{\n}", "cut": true}});
        let shown = laid_out(&step);
        assert!(
            shown.contains(
                "Token: FAILED\n  The service refused.\n  > POST https://a.example/t\n  > accept: x"
            ),
            "{shown}"
        );
        assert!(shown.contains("  < 400 after 3 ms\n  < {\n  < }\n  < …"), "{shown}");
        assert!(shown.starts_with("\nToken") && !shown.contains('\u{1b}'), "{shown}");
    }
}

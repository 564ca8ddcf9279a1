//! `jackfield invoke`: one call through a connection.

use std::io::{IsTerminal, stdout};

use clap::Args;
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use crate::client::{Client, Server, path, refused};
use crate::failure::{Failure, Result};
use crate::{input, say};

#[derive(Args)]
pub struct Invoke {
    /// Link name of the connection
    connection: String,
    /// GET, POST and so on
    method: String,
    /// Path at the service, or an address on one of its hosts
    address: String,
    /// A header of the call; again for more
    #[arg(long, value_name = "NAME:VALUE", value_parser = input::header)]
    header: Vec<(String, String)>,
    /// A part of the query; again for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
    query: Vec<(String, String)>,
    /// The body as JSON; @FILE takes it from a file, @- from standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["form", "text"])]
    data: Option<String>,
    /// A field of a form, which becomes the body; again for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
    form: Vec<(String, String)>,
    /// The body as text; @FILE takes it from a file, @- from standard input
    #[arg(long, value_name = "TEXT", conflicts_with = "form")]
    text: Option<String>,
    /// development, stage or production; production unless told
    #[arg(long)]
    environment: Option<String>,
    /// Id of the member for whom an application calls
    #[arg(long, value_name = "MEMBER")]
    acting_for: Option<String>,
    /// Milliseconds that the whole call may take, at most 40000
    #[arg(long, value_name = "MILLISECONDS")]
    timeout_ms: Option<u64>,
    /// Answer with status and headers too, as JSON
    #[arg(long)]
    detailed: bool,
    #[command(flatten)]
    server: Server,
}

pub async fn run(args: Invoke) -> Result<()> {
    let client = Client::new(&args.server)?;
    let (connection, detailed) = (args.connection.clone(), args.detailed || args.server.json);
    let body = request(args, detailed)?;
    let answer =
        client.send(Method::POST, &path(&["connections", &connection, "invoke"]), Some(&body)).await?;
    let failed_here = answer.headers.contains_key("jackfield-error");
    if failed_here || (detailed && !answer.is_good()) {
        return Err(refused(&answer));
    }
    let mut status = answer.status;
    if detailed {
        let reply = answer.json()?;
        status =
            reply.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok()).unwrap_or(status);
        say::json(&reply)?;
    } else {
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        // People get it laid out, programs as it came.
        match (stdout().is_terminal() && content_type.contains("json")).then(|| answer.json()) {
            Some(Ok(reply)) => say::json(&reply)?,
            _ => say::bytes(&answer.body)?,
        }
        if stdout().is_terminal() && !content_type.contains("json") && !answer.body.ends_with(b"\n") {
            say::line("")?;
        }
    }
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(Failure::new(format!("The service answered {status}.")))
    }
}

fn request(args: Invoke, detailed: bool) -> Result<Value> {
    let mut body = json!({
        "method": args.method.to_ascii_uppercase(),
        "url": args.address,
        "query": input::collect(args.query),
        "headers": input::collect(args.header),
        "detailed": detailed,
    });
    let mut more = Map::new();
    if let Some(data) = args.data {
        let text = from_file(data)?;
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            Failure::usage(format!("--data is no JSON: {e}. To send something else use --text or --form."))
        })?;
        more.insert("body".to_owned(), value);
    } else if let Some(text) = args.text {
        more.insert("body".to_owned(), from_file(text)?.into());
        more.insert("body_encoding".to_owned(), "text".into());
    } else if !args.form.is_empty() {
        more.insert("body".to_owned(), input::collect(args.form).into());
        more.insert("body_encoding".to_owned(), "form".into());
    }
    for (name, value) in [
        ("environment", args.environment.map(Value::from)),
        ("acting_for", args.acting_for.map(Value::from)),
        ("timeout_ms", args.timeout_ms.map(Value::from)),
    ] {
        if let Some(value) = value {
            more.insert(name.to_owned(), value);
        }
    }
    if let Some(body) = body.as_object_mut() {
        body.extend(more);
    }
    Ok(body)
}

fn from_file(text: String) -> Result<String> {
    match text.strip_prefix('@') {
        Some(file) => input::read(file),
        None => Ok(text),
    }
}

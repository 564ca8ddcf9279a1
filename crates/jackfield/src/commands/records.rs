//! `jackfield records …`.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Server, path, with_query};
use crate::failure::{Failure, Result};
use crate::view::{Column, PageArgs, list, text, time};
use crate::{input, say};

/// How often is asked how far an import is.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub struct Records {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Place {
    /// Link name of the application
    application: String,
    /// Link name of the form
    form: String,
    /// development, stage or production; production unless told
    #[arg(long)]
    environment: Option<String>,
}

impl Place {
    fn path(&self, more: &[&str]) -> String {
        let mut parts = vec!["applications", &self.application, "forms", &self.form];
        parts.extend(more);
        with_query(&path(&parts), &[("environment", self.environment.clone())])
    }
}

#[derive(Subcommand)]
enum Command {
    /// List the records of a form, the latest first
    List {
        #[command(flatten)]
        place: Place,
        /// Text that one of their values holds
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Write all records of a form out as comma-separated values
    Export {
        #[command(flatten)]
        place: Place,
    },
    /// Read a file of comma-separated values in, and wait until it is
    Import {
        #[command(flatten)]
        place: Place,
        /// The file; - reads standard input
        file: String,
        /// `id`, or a unique field: rows with the value of a record change that record
        #[arg(long, value_name = "FIELD")]
        match_by: Option<String>,
        /// The records set off no workflows
        #[arg(long)]
        quiet: bool,
    },
}

pub async fn run(args: Records) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    match args.command {
        Command::List { place, search, page } => {
            let at = path(&["applications", &place.application, "forms", &place.form, "records"]);
            let query = [("environment", place.environment), ("q", search)];
            let answer = client.get(&page.path(&at, &query)).await?;
            let columns: &[Column] = &[
                ("Id", |r| text(r, "/id")),
                ("Made", |r| time(r, "/created_at")),
                ("Version", |r| text(r, "/version")),
                ("Values", |r| r.pointer("/data").map(Value::to_string).unwrap_or_default()),
            ];
            list(&answer, as_json, "Nothing was sent in here.", columns)
        }
        Command::Export { place } => {
            let answer = client.ask(Method::GET, &place.path(&["records.csv"]), None).await?;
            say::bytes(&answer.body)
        }
        Command::Import { place, file, match_by, quiet } => {
            let csv = input::read(&file)?;
            let body = json!({"csv": csv, "match_by": match_by, "workflows": !quiet});
            let begun = client.ask(Method::POST, &place.path(&["imports"]), Some(&body)).await?.json()?;
            let at = place.path(&["imports", &text(&begun, "/id")]);
            let import = loop {
                let import = client.get(&at).await?;
                if text(&import, "/state") != "running" {
                    break import;
                }
                if say::watched() && !as_json {
                    say::over(format!("{} of {} rows", text(&import, "/done"), text(&import, "/rows")));
                }
                tokio::time::sleep(LOOK).await;
            };
            if as_json {
                say::json(&import)?;
            } else {
                tell(&import)?;
            }
            match text(&import, "/state").as_str() {
                "done" if text(&import, "/refused") == "0" => Ok(()),
                "done" => Err(Failure::new("Some rows were refused; the others are kept.".to_owned())),
                _ => Err(Failure::new(format!(
                    "The import has not come to its end. {}",
                    text(&import, "/reason")
                ))),
            }
        }
    }
}

fn tell(import: &Value) -> Result<()> {
    say::line(format!(
        "{} rows: {} created, {} changed, {} refused.",
        text(import, "/done"),
        text(import, "/created"),
        text(import, "/changed"),
        text(import, "/refused")
    ))?;
    for fault in import.pointer("/faults").and_then(Value::as_array).into_iter().flatten() {
        let (line, field) = (text(fault, "/line"), text(fault, "/field"));
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        say::line(say::visible(&format!("line {line}: {field}{}", text(fault, "/message"))))?;
    }
    Ok(())
}

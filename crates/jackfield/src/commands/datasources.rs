//! `jackfield datasources …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Server, path};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, text, time};

#[derive(Args)]
pub struct Datasources {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the datasources of an application, as development has them
    List {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one: its rows, columns and pulls in each environment
    Show { application: String, datasource: String },
    /// Pull one now
    Pull {
        application: String,
        datasource: String,
        /// Everything, though what changed could be asked for
        #[arg(long)]
        full: bool,
        /// development, stage or production; production unless told
        #[arg(long)]
        environment: Option<String>,
    },
    /// Look through the rows
    Rows {
        application: String,
        datasource: String,
        /// development, stage or production; production unless told
        #[arg(long)]
        environment: Option<String>,
        /// Somewhere in the row
        #[arg(long)]
        find: Option<String>,
        /// A column, one of = < > ~ and a value, such as Balance>100
        #[arg(long)]
        filter: Option<String>,
        /// A column; with a minus sign before it the greatest first
        #[arg(long, allow_hyphen_values = true)]
        sort: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
}

pub async fn run(args: Datasources) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let one = |application: &str, name: &str| path(&["applications", application, "datasources", name]);
    match args.command {
        Command::List { application, page } => {
            let at = page.path(&path(&["applications", &application, "datasources"]), &[]);
            let answer = client.get(&at).await?;
            let columns: &[Column] = &[
                ("Link name", |d| text(d, "/link_name")),
                ("Name", |d| text(d, "/name")),
                ("Connection", |d| text(d, "/definition/connection")),
                ("Lists", |d| {
                    format!("{}.{}", text(d, "/definition/module"), text(d, "/definition/operation"))
                }),
                ("Next in development", |d| time(d, "/next/0")),
            ];
            list(&answer, as_json, "There is no datasource here.", columns)
        }
        Command::Show { application, datasource } => {
            let answer = client.get(&one(&application, &datasource)).await?;
            if as_json {
                return say::json(&answer);
            }
            say::line(say::visible(&text(&answer, "/name")))?;
            for table in answer.pointer("/tables").and_then(Value::as_array).into_iter().flatten() {
                tell(table)?;
            }
            Ok(())
        }
        Command::Pull { application, datasource, full, environment } => {
            let mut body = Map::from_iter([("full".to_owned(), Value::Bool(full))]);
            if let Some(environment) = environment {
                body.insert("environment".to_owned(), environment.into());
            }
            let at = format!("{}/pull", one(&application, &datasource));
            let answer = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
            if as_json {
                return say::json(&answer);
            }
            say::line(format!(
                "{} of {} is {}",
                text(&answer, "/id"),
                text(&answer, "/component"),
                text(&answer, "/state")
            ))
        }
        Command::Rows { application, datasource, environment, find, filter, sort, page } => {
            let query = [("environment", environment), ("q", find), ("filter", filter), ("sort", sort)];
            let at = page.path(&format!("{}/rows", one(&application, &datasource)), &query);
            let answer = client.get(&at).await?;
            if as_json {
                return say::json(&answer);
            }
            let columns: &[Column] = &[
                ("Key", |r| text(r, "/key")),
                ("Changed", |r| time(r, "/updated_at")),
                ("Data", |r| r.get("data").unwrap_or(&json!(null)).to_string().chars().take(200).collect()),
            ];
            list(&answer, as_json, "There are no such rows.", columns)
        }
    }
}

/// What an environment has, in lines.
fn tell(table: &Value) -> Result<()> {
    let pulled = time(table, "/pulled_at");
    let pulled = if pulled.is_empty() { "never".to_owned() } else { pulled };
    say::line(format!("{}: {} rows, pulled {pulled}", text(table, "/environment"), text(table, "/rows")))?;
    if table.get("pulling").is_some_and(|pulling| !pulling.is_null()) {
        let percent = text(table, "/pulling/percent");
        let percent = if percent.is_empty() { String::new() } else { format!(", {percent} %") };
        say::line(format!(
            "  pulling: {} pages, {} rows{percent}",
            text(table, "/pulling/pages"),
            text(table, "/pulling/rows")
        ))?;
    }
    for column in table.get("columns").and_then(Value::as_array).into_iter().flatten() {
        say::line(format!("  {} ({})", say::visible(&text(column, "/name")), text(column, "/type")))?;
    }
    Ok(())
}

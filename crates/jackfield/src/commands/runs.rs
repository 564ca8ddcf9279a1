//! `jackfield runs …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Server, path};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, text, time};

#[derive(Args)]
pub struct Runs {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the runs of an application, the latest first
    List {
        application: String,
        /// development, stage or production
        #[arg(long)]
        environment: Option<String>,
        /// Link name of a workflow
        #[arg(long, conflicts_with = "component")]
        workflow: Option<String>,
        /// What they are of, such as schedule:nightly
        #[arg(long)]
        component: Option<String>,
        /// queued, running, paused, succeeded, failed or cancelled
        #[arg(long)]
        state: Option<String>,
        /// Id of a record
        #[arg(long)]
        record: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one run, with every try of its actions
    Get { application: String, id: String },
    /// Replay a run that has failed or was cancelled, where it stopped
    Replay { application: String, id: String },
    /// Replay all runs that have failed
    ReplayFailed {
        application: String,
        /// development, stage or production
        #[arg(long)]
        environment: Option<String>,
        /// Link name of a workflow
        #[arg(long)]
        workflow: Option<String>,
    },
    /// Cancel a run that waits
    Cancel { application: String, id: String },
}

pub async fn run(args: Runs) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let one = |application: &str, id: &str| path(&["applications", application, "runs", id]);
    match args.command {
        Command::List { application, environment, workflow, component, state, record, page } => {
            let query = [
                ("environment", environment),
                ("workflow", workflow),
                ("component", component),
                ("state", state),
                ("record", record),
            ];
            let answer =
                client.get(&page.path(&path(&["applications", &application, "runs"]), &query)).await?;
            let columns: &[Column] = &[
                ("Id", |r| text(r, "/id")),
                ("Component", |r| text(r, "/component")),
                ("Environment", |r| text(r, "/environment")),
                ("Record", |r| text(r, "/record")),
                ("Event", |r| text(r, "/event")),
                ("State", |r| text(r, "/state")),
                ("Why", |r| text(r, "/reason")),
                ("Made", |r| time(r, "/created_at")),
            ];
            list(&answer, as_json, "Nothing has run here.", columns)
        }
        Command::Get { application, id } => {
            let answer = client.get(&one(&application, &id)).await?;
            if as_json {
                return say::json(&answer);
            }
            tell(&answer)?;
            let steps = answer.pointer("/steps").and_then(Value::as_array).cloned().unwrap_or_default();
            for step in &steps {
                let doubt = if step.get("doubt") == Some(&Value::Bool(true)) {
                    " (may have been done twice)"
                } else {
                    ""
                };
                let message = text(step, "/message");
                let line = format!(
                    "{}  {} {}{doubt} {}",
                    time(step, "/at"),
                    text(step, "/action"),
                    text(step, "/outcome"),
                    say::visible(&message)
                );
                say::line(line.trim_end())?;
            }
            Ok(())
        }
        Command::Replay { application, id } => {
            let at = format!("{}/replay", one(&application, &id));
            let answer = client.ask(Method::POST, &at, Some(&json!({}))).await?.json()?;
            if as_json { say::json(&answer) } else { tell(&answer) }
        }
        Command::ReplayFailed { application, environment, workflow } => {
            let mut body = Map::new();
            for (name, value) in [("environment", environment), ("workflow", workflow)] {
                if let Some(value) = value {
                    body.insert(name.to_owned(), value.into());
                }
            }
            let at = path(&["applications", &application, "runs", "replay"]);
            let answer = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
            if as_json {
                return say::json(&answer);
            }
            let count = answer.pointer("/runs").and_then(Value::as_array).map_or(0, Vec::len);
            say::line(format!("{count} queued again."))
        }
        Command::Cancel { application, id } => {
            let at = format!("{}/cancel", one(&application, &id));
            let answer = client.ask(Method::POST, &at, Some(&json!({}))).await?.json()?;
            if as_json { say::json(&answer) } else { tell(&answer) }
        }
    }
}

/// A run in a line.
fn tell(run: &Value) -> Result<()> {
    let reason = text(run, "/reason");
    let because = if reason.is_empty() { String::new() } else { format!(": {}", say::visible(&reason)) };
    say::line(format!(
        "{} of {} is {}{because}",
        text(run, "/id"),
        text(run, "/component"),
        text(run, "/state")
    ))
}

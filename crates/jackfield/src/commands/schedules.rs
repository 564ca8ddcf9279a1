//! `jackfield schedules …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Server, path};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, text, time};

#[derive(Args)]
pub struct Schedules {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the schedules of an application, as development has them
    List {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one: its next ticks, and what each environment does of it
    Show { application: String, schedule: String },
    /// Run one now
    Run {
        application: String,
        schedule: String,
        /// development, stage or production; production unless told
        #[arg(long)]
        environment: Option<String>,
    },
}

pub async fn run(args: Schedules) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let one = |application: &str, name: &str| path(&["applications", application, "schedules", name]);
    match args.command {
        Command::List { application, page } => {
            let at = page.path(&path(&["applications", &application, "schedules"]), &[]);
            let answer = client.get(&at).await?;
            let columns: &[Column] = &[
                ("Link name", |s| text(s, "/link_name")),
                ("Name", |s| text(s, "/name")),
                ("When", when),
                ("On", |s| text(s, "/definition/enabled")),
                ("Next in development", |s| time(s, "/next/0")),
            ];
            list(&answer, as_json, "Nothing runs at times here.", columns)
        }
        Command::Show { application, schedule } => {
            let answer = client.get(&one(&application, &schedule)).await?;
            if as_json {
                return say::json(&answer);
            }
            say::line(format!("{}: {}", say::visible(&text(&answer, "/name")), text(&answer, "/words")))?;
            for tick in answer.pointer("/next").and_then(Value::as_array).into_iter().flatten() {
                say::line(format!("  next in development: {}", time(&json!({"at": tick}), "/at")))?;
            }
            for row in answer.pointer("/environments").and_then(Value::as_array).into_iter().flatten() {
                let (next, last) = (time(row, "/next_at"), time(row, "/last_at"));
                let or = |text: String| if text.is_empty() { "never".to_owned() } else { text };
                say::line(format!(
                    "{}: version {}, next {}, last {}, left out {}",
                    text(row, "/environment"),
                    text(row, "/version"),
                    or(next),
                    or(last),
                    text(row, "/skipped"),
                ))?;
            }
            Ok(())
        }
        Command::Run { application, schedule, environment } => {
            let query = environment.map_or_else(String::new, |word| format!("?environment={word}"));
            let at = format!("{}/run{query}", one(&application, &schedule));
            let answer = client.ask(Method::POST, &at, Some(&json!({}))).await?.json()?;
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
    }
}

/// The timing as it was written.
fn when(schedule: &Value) -> String {
    let at = |name: &str| text(schedule, &format!("/definition/at/{name}"));
    let zone = at("time_zone");
    let words = [at("cron"), at("every"), at("once")].concat();
    if zone.is_empty() { words } else { format!("{words} ({zone})") }
}

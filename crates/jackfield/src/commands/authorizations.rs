//! `jackfield authorizations …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Reply, Server, path};
use crate::commands::authorize::{self, How};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, status, text, time};

#[derive(Args)]
pub struct Authorizations {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the accounts that a connection holds
    List {
        connection: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one account
    Get { connection: String, authorization: String },
    /// Give an account another name
    Rename { connection: String, authorization: String, account_name: String },
    /// Take an account from a connection, and tell the service when no other connection uses it
    Revoke { connection: String, authorization: String },
    /// Authorize again; the present account serves until the new one is proven
    Reauthorize {
        connection: String,
        authorization: String,
        #[command(flatten)]
        how: How,
    },
    /// Let another account of the connection serve an environment
    Switch { connection: String, environment: String, authorization: String },
    /// Where each person authorizes for himself: choose whose account schedules and datasources use
    Primary { connection: String, environment: String, authorization: String },
    /// Show what is to be chosen at the service (a site, a company), or choose it
    Setup {
        connection: String,
        authorization: String,
        /// The step to answer; all are shown unless given
        #[arg(requires = "value")]
        step: Option<String>,
        /// One of the values that the service offers for it
        value: Option<String>,
    },
}

pub async fn run(args: Authorizations) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let at = |connection: &str, id: &str| path(&["connections", connection, "authorizations", id]);
    match args.command {
        Command::List { connection, page } => {
            let answer =
                client.get(&page.path(&path(&["connections", &connection, "authorizations"]), &[])).await?;
            let columns: &[Column] = &[
                ("Id", |a| text(a, "/id")),
                ("Account", |a| text(a, "/account_name")),
                ("Environments", |a| text(a, "/environments")),
                ("Status", |a| status(a, "/status")),
                ("Last used", |a| time(a, "/last_used_at")),
            ];
            list(
                &answer,
                as_json,
                "Nobody has authorized it yet. Use `jackfield connections authorize`.",
                columns,
            )
        }
        Command::Get { connection, authorization } => {
            show(&client.get(&at(&connection, &authorization)).await?, as_json)
        }
        Command::Rename { connection, authorization, account_name } => {
            let body = json!({"account_name": account_name});
            let answer = client.ask(Method::PATCH, &at(&connection, &authorization), Some(&body)).await?;
            show(&answer.json()?, as_json)
        }
        Command::Revoke { connection, authorization } => {
            client.ask(Method::DELETE, &at(&connection, &authorization), None).await?;
            if as_json { Ok(()) } else { say::line("It is revoked.") }
        }
        Command::Reauthorize { connection, authorization, how } => {
            authorize::again(&client, &connection, &authorization, how, as_json).await
        }
        Command::Switch { connection, environment, authorization } => {
            let path = path(&["connections", &connection, "bindings", &environment]);
            let body = json!({"authorization": authorization});
            show(&client.ask(Method::PUT, &path, Some(&body)).await?.json()?, as_json)
        }
        Command::Primary { connection, environment, authorization } => {
            let path = path(&["connections", &connection, "primary", &environment]);
            let body = json!({"authorization": authorization});
            let answer = client.ask(Method::PUT, &path, Some(&body)).await?.json()?;
            if as_json {
                say::json(&answer)
            } else {
                say::line("Schedules and datasources use this account.")
            }
        }
        Command::Setup { connection, authorization, step: Some(step), value } => {
            let path = path(&["connections", &connection, "authorizations", &authorization, "setup", &step]);
            let body = json!({"value": value});
            show(&client.ask(Method::PUT, &path, Some(&body)).await?.json()?, as_json)
        }
        Command::Setup { connection, authorization, step: None, .. } => {
            let path = path(&["connections", &connection, "authorizations", &authorization, "setup"]);
            let steps = client.get(&path).await?;
            if as_json {
                return say::json(&steps);
            }
            let steps = steps.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            if steps.is_empty() {
                return say::line("Nothing is to be chosen for it.");
            }
            let rows = steps.iter().flat_map(|step| {
                let choices = step.get("choices").and_then(Value::as_array).cloned().unwrap_or_default();
                choices.into_iter().map(|choice| {
                    let value = text(&choice, "/value");
                    let chosen = if text(step, "/chosen") == value { "chosen" } else { "" };
                    vec![text(step, "/id"), value, text(&choice, "/label"), chosen.to_owned()]
                })
            });
            say::table(&["Step", "Value", "What it is", ""], rows)
        }
    }
}

fn show(authorization: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(authorization);
    }
    let mut facts = vec![
        ("Id", text(authorization, "/id")),
        ("Account", text(authorization, "/account_name")),
        ("Connector", text(authorization, "/connector")),
        ("Owner", text(authorization, "/owner")),
        ("Environments", text(authorization, "/environments")),
        ("Status", status(authorization, "/status")),
        ("Reason", text(authorization, "/reason")),
        (
            "Set-up",
            if authorization.get("setup_pending") == Some(&Value::Bool(true)) {
                "something is to be chosen: see `jackfield authorizations setup`".to_owned()
            } else {
                String::new()
            },
        ),
        ("Scopes", text(authorization, "/scopes")),
        ("Missing scopes", text(authorization, "/missing_scopes")),
        ("Authorized", time(authorization, "/created_at")),
        ("Expires", time(authorization, "/expires_at")),
        ("Last used", time(authorization, "/last_used_at")),
        ("Last refreshed", time(authorization, "/last_refreshed_at")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

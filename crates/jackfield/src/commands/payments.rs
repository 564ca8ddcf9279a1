//! `jackfield payments …`.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Client, Server, path};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, text, time};

#[derive(Args)]
pub struct Payments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the payments of an application, the latest first
    List {
        application: String,
        /// development, stage or production
        #[arg(long)]
        environment: Option<String>,
        /// creating, open, approved, processing, paid, failed, expired or cancelled
        #[arg(long)]
        state: Option<String>,
        /// Id of a record
        #[arg(long)]
        record: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one payment, with the address of its payer's page
    Show { application: String, id: String },
}

pub async fn run(args: Payments) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    match args.command {
        Command::List { application, environment, state, record, page } => {
            let query = [("environment", environment), ("state", state), ("record", record)];
            let at = path(&["applications", &application, "payments"]);
            let answer = client.get(&page.path(&at, &query)).await?;
            let columns: &[Column] = &[
                ("Id", |p| text(p, "/id")),
                ("Amount", |p| amount(p)),
                ("State", |p| text(p, "/state")),
                ("For", |p| text(p, "/description")),
                ("Environment", |p| text(p, "/environment")),
                ("Record", |p| text(p, "/record")),
                ("Made", |p| time(p, "/created_at")),
            ];
            list(&answer, as_json, "Nothing was asked for here.", columns)
        }
        Command::Show { application, id } => {
            let answer = client.get(&path(&["applications", &application, "payments", &id])).await?;
            if as_json {
                return say::json(&answer);
            }
            say::line(format!("{}  {}  {}", text(&answer, "/id"), amount(&answer), text(&answer, "/state")))?;
            for (title, value) in [
                ("for", text(&answer, "/description")),
                ("reference", text(&answer, "/reference")),
                ("connection", text(&answer, "/connection")),
                ("checkout", text(&answer, "/checkout")),
                ("record", text(&answer, "/record")),
                ("run", text(&answer, "/run")),
                ("until", time(&answer, "/expires_at")),
                ("paid", time(&answer, "/paid_at")),
                ("why", text(&answer, "/reason")),
                ("page", text(&answer, "/page")),
            ] {
                if !value.is_empty() {
                    say::line(format!("{title}: {}", say::visible(&value)))?;
                }
            }
            Ok(())
        }
    }
}

fn amount(payment: &Value) -> String {
    format!("{} {}", text(payment, "/amount"), text(payment, "/currency"))
}

//! `jackfield audit …`: what was done, and the proof that nobody has altered the record.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{Client, Server, path};
use crate::commands::init;
use crate::failure::{Failure, Result};
use crate::open::Purpose;
use crate::say;
use crate::settings::{Flags, Settings};
use crate::view::{Column, PageArgs, list, text, time};

#[derive(Subcommand)]
pub enum Audit {
    /// List what was done, newest first
    List(List),
    /// Print all of it, a JSON object a line, newest first
    Export(Export),
    /// Check the chains of every organization of this store; fails where one was altered
    Verify(Verify),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Args)]
pub struct Verify {
    /// Answer in JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Flags,
}

#[derive(Args)]
struct Filter {
    /// Only this: connection.created, or connection for all that happened to connections
    #[arg(long)]
    action: Option<String>,
    /// Only what this member or application did, by id
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only what happened to this id or link name
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only what happened to this connection and its accounts
    #[arg(long, value_name = "LINK_NAME")]
    connection: Option<String>,
    /// From this time on, such as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Filter {
    fn query(&self) -> [(&'static str, Option<String>); 6] {
        [
            ("action", self.action.clone()),
            ("actor", self.actor.clone()),
            ("subject", self.subject.clone()),
            ("connection", self.connection.clone()),
            ("from", self.from.clone()),
            ("until", self.until.clone()),
        ]
    }
}

pub async fn run(command: Audit) -> Result<()> {
    match command {
        Audit::List(args) => show(args).await,
        Audit::Export(args) => export(args).await,
        Audit::Verify(args) => verify(args).await,
    }
}

async fn show(args: List) -> Result<()> {
    let client = Client::new(&args.server)?;
    let answer = client.get(&args.page.path(&path(&["audit"]), &args.filter.query())).await?;
    let columns: &[Column] = &[
        ("No.", |a| text(a, "/seq")),
        ("At", |a| time(a, "/at")),
        ("Who", |a| {
            let id = text(a, "/actor/id");
            if id.is_empty() { text(a, "/actor/kind") } else { id }
        }),
        ("What", |a| text(a, "/action")),
        ("To", |a| text(a, "/subject")),
        ("From", |a| text(a, "/address")),
    ];
    list(&answer, args.server.json, "Nothing that fits was done.", columns)
}

async fn export(args: Export) -> Result<()> {
    let client = Client::new(&args.server)?;
    let mut cursor = None;
    loop {
        let page = PageArgs::of(200, cursor);
        let answer = client.get(&page.path(&path(&["audit"]), &args.filter.query())).await?;
        for row in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
            say::line(row.to_string())?;
        }
        cursor = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn verify(args: Verify) -> Result<()> {
    let settings = Settings::load(&args.settings)?;
    let (engine, store, _) = init::open(&settings, Purpose::Use).await?;
    let chains = engine.verify_all_audits().await;
    store.close().await;
    let chains = chains?;
    if args.json {
        say::line(json!({ "items": chains }).to_string())?;
    } else {
        for chain in &chains {
            say::line(match &chain.fault {
                None => format!("{}: intact, {} rows.", chain.organization, chain.rows),
                Some(fault) => format!("{}: ALTERED. {fault}", chain.organization),
            })?;
        }
    }
    if chains.iter().all(|chain| chain.intact) {
        return Ok(());
    }
    Err(Failure::new(
        "The audit trail was altered. Compare it with a backup, and find out who can write to the database.",
    ))
}

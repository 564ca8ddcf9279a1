//! `jackfield whoami`, `keys`, `login` and `flows`: what concerns the caller himself.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use http::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::client::{Client, Profile, Server, path};
use crate::failure::{Failure, Result};
use crate::settings::{API_KEY, environment};
use crate::view::{Column, PageArgs, list, text, time};
use crate::{input, say};

#[derive(Args)]
pub struct Whoami {
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub struct Login {
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub struct Keys {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// List your API keys
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make an API key; it is shown this once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// Days until it expires; never unless given
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
    },
    /// Revoke an API key by its id
    Revoke { id: String },
}

#[derive(Args)]
pub struct Flows {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: FlowsCommand,
}

#[derive(Subcommand)]
enum FlowsCommand {
    /// Show an attempt to authorize
    Get { id: String },
    /// Give up an attempt to authorize
    Cancel { id: String },
}

pub async fn whoami(args: Whoami) -> Result<()> {
    let me = Client::new(&args.server)?.get(&path(&["me"])).await?;
    if args.server.json {
        return say::json(&me);
    }
    say::facts([
        ("E-mail", text(&me, "/email")),
        ("Name", text(&me, "/name")),
        ("Role", text(&me, "/role")),
        ("Organization", text(&me, "/organization/name")),
        ("Id", text(&me, "/id")),
    ])
}

/// Saves address and key once they are proven.
pub async fn login(args: Login) -> Result<()> {
    let given = args.server.key.clone().or_else(|| environment(API_KEY).filter(|key| !key.is_empty()));
    let key = match given {
        Some(key) => key,
        None if std::io::stdin().is_terminal() => input::ask("API key: ".to_owned(), true).await?,
        None => input::read("-")?,
    };
    let key = key.trim().to_owned();
    if key.is_empty() {
        return Err(Failure::usage("No API key. Type it, or send it by standard input."));
    }
    let client = Client::new(&Server { key: Some(key.clone()), ..args.server.clone() })?;
    let me = client.get(&path(&["me"])).await?;
    let profile = Profile { url: client.base().to_owned(), key: SecretString::from(key) };
    let file = profile.save()?;
    if args.server.json {
        return say::json(&me);
    }
    say::line(format!("Signed in as {} at {}.", say::visible(&text(&me, "/email")), profile.url))?;
    say::aside(format!("Saved in {}, for you alone.", file.display()));
    Ok(())
}

pub async fn keys(args: Keys) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    match args.command {
        KeysCommand::List { page } => {
            let answer = client.get(&page.path(&path(&["me", "keys"]), &[])).await?;
            let columns: &[Column] = &[
                ("Id", |k| text(k, "/id")),
                ("Name", |k| text(k, "/name")),
                ("Begins with", |k| text(k, "/hint")),
                ("Made", |k| time(k, "/created_at")),
                ("Expires", |k| time(k, "/expires_at")),
                ("Last used", |k| time(k, "/last_used_at")),
            ];
            list(&answer, as_json, "You have no API key.", columns)
        }
        KeysCommand::Create { name, expires_in_days } => {
            let mut body = json!({"name": name});
            if let (Some(days), Some(body)) = (expires_in_days, body.as_object_mut()) {
                body.insert("expires_in_days".to_owned(), days.into());
            }
            let made = client.ask(Method::POST, &path(&["me", "keys"]), Some(&body)).await?.json()?;
            if as_json {
                return say::json(&made);
            }
            say::aside("Keep it now; it is not shown again.");
            say::line(text(&made, "/key"))
        }
        KeysCommand::Revoke { id } => {
            client.ask(Method::DELETE, &path(&["me", "keys", &id]), None).await?;
            if as_json { Ok(()) } else { say::line("It is revoked.") }
        }
    }
}

pub async fn flows(args: Flows) -> Result<()> {
    let client = Client::new(&args.server)?;
    let answer = match args.command {
        FlowsCommand::Get { id } => client.ask(Method::GET, &path(&["flows", &id]), None).await?,
        FlowsCommand::Cancel { id } => client.ask(Method::DELETE, &path(&["flows", &id]), None).await?,
    };
    if answer.body.is_empty() {
        return Ok(());
    }
    let flow = answer.json()?;
    if args.server.json {
        return say::json(&flow);
    }
    let mut facts = vec![
        ("Id", text(&flow, "/id")),
        ("Connection", text(&flow, "/connection")),
        ("State", text(&flow, "/state")),
        ("Expires", time(&flow, "/expires_at")),
        ("Account", text(&flow, "/authorization")),
        ("Error", text(&flow, "/error/detail")),
        ("Link", text(&flow, "/start_url")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

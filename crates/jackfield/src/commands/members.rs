//! `jackfield members …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Reply, Server, path};
use crate::failure::{Failure, Result};
use crate::say;
use crate::view::{Column, PageArgs, list, status, text, time};

#[derive(Args)]
pub struct Members {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the members
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a member
    Get { id: String },
    /// Invite somebody, or again somebody who has not joined; the link is shown this once
    Invite {
        /// The e-mail address; for somebody who was invited before, his id
        email: String,
        /// What he is called; what stands before the @ unless given
        #[arg(long)]
        name: Option<String>,
        /// admin, developer or user
        #[arg(long, default_value = "user")]
        role: String,
    },
    /// Change name or role
    Update {
        id: String,
        #[arg(long)]
        name: Option<String>,
        /// admin, developer or user
        #[arg(long)]
        role: Option<String>,
    },
    /// End somebody's sessions, and let his keys open nothing until he is reactivated
    Deactivate { id: String },
    /// Let somebody in again who was deactivated
    Reactivate { id: String },
    /// Remove a member: what he authorized for all becomes yours, his own accounts are revoked
    Remove { id: String },
    /// List what a member authorized
    Authorizations {
        id: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Give what a member authorized for all to an admin
    HandOver {
        id: String,
        /// Id of an admin or the super admin
        #[arg(long)]
        to: String,
    },
    /// Make another member super admin; you become admin
    Transfer { id: String },
    /// Make a link by which a member chooses a new password
    ResetPassword { id: String },
}

pub async fn run(args: Members) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let at = |id: &str| path(&["members", id]);
    match args.command {
        Command::List { page } => {
            let answer = client.get(&page.path(&path(&["members"]), &[])).await?;
            let columns: &[Column] = &[
                ("Id", |m| text(m, "/id")),
                ("Name", |m| text(m, "/name")),
                ("E-mail", |m| text(m, "/email")),
                ("Role", |m| text(m, "/role")),
                ("Status", |m| status(m, "/status")),
                ("Last seen", |m| time(m, "/last_seen_at")),
            ];
            list(&answer, as_json, "There is no member.", columns)
        }
        Command::Get { id } => show(&client.get(&at(&id)).await?, as_json),
        Command::Invite { email, name, role } => {
            let made = if email.contains('@') {
                let mut body = json!({"email": email, "role": role});
                if let (Some(name), Some(body)) = (name, body.as_object_mut()) {
                    body.insert("name".to_owned(), name.into());
                }
                client.ask(Method::POST, &path(&["members"]), Some(&body)).await?
            } else {
                let path = path(&["members", &email, "invitation"]);
                client.ask(Method::POST, &path, Some(&json!({}))).await?
            };
            link(
                &made.json()?,
                "/invitation",
                as_json,
                "Send this link to whom you invited; it is good for one use",
            )
        }
        Command::Update { id, name, role } => {
            let mut body = Map::new();
            for (field, value) in [("name", name), ("role", role)] {
                if let Some(value) = value {
                    body.insert(field.to_owned(), value.into());
                }
            }
            if body.is_empty() {
                return Err(Failure::usage("Nothing to change. Say --name or --role."));
            }
            change(&client, &at(&id), &Value::Object(body), as_json).await
        }
        Command::Deactivate { id } => change(&client, &at(&id), &json!({"active": false}), as_json).await,
        Command::Reactivate { id } => change(&client, &at(&id), &json!({"active": true}), as_json).await,
        Command::Transfer { id } => change(&client, &at(&id), &json!({"role": "super_admin"}), as_json).await,
        Command::Remove { id } => {
            client.ask(Method::DELETE, &at(&id), None).await?;
            if as_json { Ok(()) } else { say::line("He is removed.") }
        }
        Command::Authorizations { id, page } => {
            let path = path(&["members", &id, "authorizations"]);
            list(&client.get(&page.path(&path, &[])).await?, as_json, "He authorized nothing.", OWNED)
        }
        Command::HandOver { id, to } => {
            let path = path(&["members", &id, "hand-over"]);
            let answer = client.ask(Method::POST, &path, Some(&json!({"to": to}))).await?.json()?;
            if as_json {
                return say::json(&answer);
            }
            for (name, heading) in
                [("handed_over", "Handed over"), ("not_handed_over", "Not handed over: personal accounts")]
            {
                let items = answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                say::line(format!("{heading}: {}", items.len()))?;
                if !items.is_empty() {
                    let heads: Vec<&str> = OWNED.iter().map(|(head, _)| *head).collect();
                    let rows = items.iter().map(|item| OWNED.iter().map(|(_, text)| text(item)).collect());
                    say::table(&heads, rows)?;
                }
            }
            Ok(())
        }
        Command::ResetPassword { id } => {
            let path = path(&["members", &id, "password-reset"]);
            let made = client.ask(Method::POST, &path, Some(&json!({}))).await?.json()?;
            link(&made, "", as_json, "Send this link to him; it is good for one use")
        }
    }
}

/// The columns of what somebody authorized.
const OWNED: &[Column] = &[
    ("Id", |a| text(a, "/id")),
    ("Account", |a| text(a, "/account_name")),
    ("Connector", |a| text(a, "/connector")),
    ("Level", |a| text(a, "/level")),
    ("Connections", |a| text(a, "/connections")),
    ("Status", |a| status(a, "/status")),
];

async fn change(client: &Client, path: &str, body: &Value, as_json: bool) -> Result<()> {
    show(&client.ask(Method::PATCH, path, Some(body)).await?.json()?, as_json)
}

fn link(made: &Reply, at: &str, as_json: bool, what: &str) -> Result<()> {
    if as_json {
        return say::json(made);
    }
    say::aside(format!("{what}, until {}.", time(made, &format!("{at}/expires_at"))));
    say::line(text(made, &format!("{at}/url")))
}

fn show(member: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(member);
    }
    let mut facts = vec![
        ("Id", text(member, "/id")),
        ("Name", text(member, "/name")),
        ("E-mail", text(member, "/email")),
        ("Role", text(member, "/role")),
        ("Status", status(member, "/status")),
        ("Since", time(member, "/created_at")),
        ("Last seen", time(member, "/last_seen_at")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

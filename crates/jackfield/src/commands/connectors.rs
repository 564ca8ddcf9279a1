//! `jackfield connectors …`.

mod import;
mod lint;
mod trial;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use crate::client::{Client, Reply, Server, path, with_query};
use crate::failure::Result;
use crate::view::{Column, PageArgs, list, text, time};
use crate::{input, say};

#[derive(Args)]
pub struct Connectors {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the connectors: the built-in ones and your own
    List {
        /// Only those that name, description or category fit
        #[arg(value_name = "WORDS")]
        q: Option<String>,
        /// Only these: built_in or custom
        #[arg(long)]
        kind: Option<String>,
        /// Only this category
        #[arg(long)]
        category: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one connector
    Get { connector: String },
    /// Make a connector of a document (JSON, or TOML in a file called so); it is a draft at first
    Create {
        /// The document; - for JSON from standard input
        file: String,
    },
    /// Change a connector of your own to a document
    Update {
        connector: String,
        /// The document; - for JSON from standard input
        file: String,
    },
    /// Let connections be made of a draft, or keep what was changed as the next version
    Publish { connector: String },
    /// Let no more connections be made of it
    Disable { connector: String },
    /// Let connections be made of it again
    Enable { connector: String },
    /// Delete a connector of your own. Not while a connection uses it
    Delete { connector: String },
    /// List the published versions of a connector of your own, the newest first
    Versions {
        connector: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say what differs between two versions, and what it asks of people
    Diff {
        connector: String,
        /// Number of a version, or draft; the newest version unless given
        #[arg(long, value_name = "VERSION")]
        from: Option<String>,
        /// The same; draft, which is what was changed since, unless given
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Print the document of a connector as TOML, as a catalogue file has it
    Export {
        connector: String,
        /// A published version in place of the document that is worked on
        #[arg(long, value_name = "NUMBER")]
        version: Option<i64>,
    },
    /// Make a connector of your own like another one, built-in or not; it is a draft at first
    Clone {
        connector: String,
        /// A published version in place of the document that is worked on
        #[arg(long, value_name = "NUMBER")]
        version: Option<i64>,
        /// What it is to be called
        #[arg(long)]
        name: String,
    },
    /// Draft a connector out of an OpenAPI document, a cURL command or OAuth metadata; the document is printed as TOML
    Import(import::Import),
    /// Say what is wrong with documents, line by line. It asks no server
    Lint {
        /// The documents, TOML or JSON; - for JSON from standard input
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Try a document, or a connector of your own, with real calls. Nothing is kept
    Test(trial::Test),
}

pub async fn run(args: Connectors) -> Result<()> {
    let as_json = args.server.json;
    match &args.command {
        Command::Lint { files } => return lint::run(files, as_json),
        Command::Import(import) if import.is_offline() => return import::offline(import, as_json),
        _ => {}
    }
    let client = Client::new(&args.server)?;
    let step = async |connector: &str, step: &str| {
        show(&client.ask(Method::POST, &path(&["connectors", connector, step]), None).await?.json()?, as_json)
    };
    match args.command {
        Command::List { q, kind, category, page } => {
            let query = [("q", q), ("kind", kind), ("category", category)];
            let answer = client.get(&page.path(&path(&["connectors"]), &query)).await?;
            let columns: &[Column] = &[
                ("Link name", |c| text(c, "/link_name")),
                ("Name", |c| text(c, "/name")),
                ("Category", |c| text(c, "/category")),
                ("Authentication", |c| text(c, "/auth_type")),
                ("Kind", |c| text(c, "/kind")),
                ("Stage", |c| text(c, "/stage")),
            ];
            list(&answer, as_json, "No connector fits.", columns)
        }
        Command::Get { connector } => show(&client.get(&path(&["connectors", &connector])).await?, as_json),
        Command::Create { file } => {
            let document = input::document(&file)?;
            show(&client.ask(Method::POST, &path(&["connectors"]), Some(&document)).await?.json()?, as_json)
        }
        Command::Update { connector, file } => {
            let document = input::document(&file)?;
            let path = path(&["connectors", &connector]);
            show(&client.ask(Method::PATCH, &path, Some(&document)).await?.json()?, as_json)
        }
        Command::Publish { connector } => step(&connector, "publish").await,
        Command::Disable { connector } => step(&connector, "disable").await,
        Command::Enable { connector } => step(&connector, "enable").await,
        Command::Delete { connector } => {
            client.ask(Method::DELETE, &path(&["connectors", &connector]), None).await?;
            if as_json { Ok(()) } else { say::line(format!("{connector} is deleted.")) }
        }
        Command::Versions { connector, page } => {
            let at = path(&["connectors", &connector, "versions"]);
            let mut answer = client.get(&page.path(&at, &[])).await?;
            if !as_json {
                answer.name_members(&client, "created_by", "by").await;
            }
            let columns: &[Column] = &[
                ("Version", |v| text(v, "/number")),
                ("Published", |v| time(v, "/created_at")),
                ("By", |v| text(v, "/by")),
                ("Connections", |v| text(v, "/connections")),
            ];
            list(&answer, as_json, "Nothing of it was published yet.", columns)
        }
        Command::Diff { connector, from, to } => {
            let at = path(&["connectors", &connector, "diff"]);
            diff(&client.get(&with_query(&at, &[("from", from), ("to", to)])).await?, as_json)
        }
        Command::Export { connector, version } => {
            let answer = client.ask(Method::GET, &document_of(&connector, version), None).await?;
            say::bytes(&answer.body)
        }
        Command::Clone { connector, version, name } => {
            let answer = client.ask(Method::GET, &document_of(&connector, version), None).await?;
            let text = String::from_utf8_lossy(&answer.body);
            let document = import::copy_of(&text, &name)?;
            show(&client.ask(Method::POST, &path(&["connectors"]), Some(&document)).await?.json()?, as_json)
        }
        Command::Import(import) => import::run(&client, import, as_json).await,
        Command::Lint { files } => lint::run(&files, as_json),
        Command::Test(test) => trial::run(&client, test, as_json).await,
    }
}

/// The newest version, and whether something was changed since.
fn published(connector: &Value) -> String {
    let ahead = connector.get("unpublished_changes") == Some(&Value::Bool(true));
    let number = text(connector, "/published_version");
    if ahead { format!("{number}; what was changed since is not published") } else { number }
}

/// Where a document stands as TOML.
fn document_of(connector: &str, version: Option<i64>) -> String {
    match version {
        None => path(&["connectors", connector, "document.toml"]),
        Some(number) => path(&["connectors", connector, "versions", &number.to_string(), "document.toml"]),
    }
}

fn diff(diff: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(diff);
    }
    let changes: Vec<&Value> = diff.get("changes").and_then(Value::as_array).into_iter().flatten().collect();
    if changes.is_empty() {
        let word = |of: &str| {
            let version = text(diff, of);
            if version == "draft" { "what is worked on".to_owned() } else { format!("version {version}") }
        };
        return say::line(format!("Nothing differs between {} and {}.", word("/from"), word("/to")));
    }
    for change in changes {
        let asks = match text(change, "/asks").as_str() {
            "parameter" => " Moving asks for it.",
            "authorization" => " Moving asks to authorize again.",
            _ => "",
        };
        say::line(format!("{}{asks}", say::visible(&text(change, "/says"))))?;
    }
    Ok(())
}

fn show(connector: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(connector);
    }
    let names = |pointer: &str| {
        let all = connector.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        all.map(|entry| text(entry, "/name")).collect::<Vec<_>>().join(", ")
    };
    let at = |pointer: &str| text(connector, pointer);
    let words = |pointer: &str| {
        let all = connector.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut facts = vec![
        ("Link name", text(connector, "/link_name")),
        ("Name", text(connector, "/name")),
        ("Description", text(connector, "/description")),
        ("Category", text(connector, "/category")),
        ("Kind", text(connector, "/kind")),
        ("Stage", text(connector, "/stage")),
        ("Published version", published(connector)),
        ("Authentication", text(connector, "/auth_type")),
        ("Base URL", text(connector, "/base_url")),
        ("Hosts", text(connector, "/hosts")),
        ("Levels", text(connector, "/levels")),
        ("Scopes", names("/scopes")),
        ("Register an app at", at("/before_you_start/registration_url")),
        ("There", at("/before_you_start/registration_help")),
        ("With the redirect URI", at("/before_you_start/redirect_uri")),
        ("And the scopes", words("/before_you_start/scopes")),
        ("Bring from there", words("/before_you_start/bring")),
        ("Look up", words("/before_you_start/look_up")),
        ("Asked for a connection", names("/asked_for_connection")),
        ("Asked to authorize", names("/asked_for_authorization")),
        ("Documentation", text(connector, "/documentation_url")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

//! `jackfield connections …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Reply, Server, path, with_query};
use crate::commands::authorize::{self, Authorize};
use crate::failure::Result;
use crate::view::{Column, PageArgs, list, statuses, text, time};
use crate::{input, say};

#[derive(Args)]
pub struct Connections {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the connections
    List {
        /// Only those whose name or link name holds this
        #[arg(value_name = "TEXT")]
        q: Option<String>,
        /// Only those of this connector
        #[arg(long, value_name = "LINK_NAME")]
        connector: Option<String>,
        /// Only those of this level: system, admin or user
        #[arg(long)]
        level: Option<String>,
        /// Only those that this application may use
        #[arg(long, value_name = "LINK_NAME")]
        application: Option<String>,
        /// Only those that are connected, not_connected, reauthorization_required or disabled
        #[arg(long)]
        status: Option<String>,
        /// Where the status is asked: development, stage or production; production unless told
        #[arg(long)]
        environment: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one connection
    Get { connection: String },
    /// Make a connection
    Create(Create),
    /// Change a connection; what is not named stays
    Update(Update),
    /// Delete a connection that nothing uses
    Delete { connection: String },
    /// Move a connection to another version of its connector. What it asks of people is said first
    Move(Move),
    /// Let a disabled connection be used again
    Enable { connection: String },
    /// Let nobody use a connection for the time being
    Disable { connection: String },
    /// Authorize a connection: with credentials, or in a browser
    Authorize(Authorize),
    /// List the recent calls through a connection
    Calls {
        connection: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the components of applications that use a connection
    References {
        connection: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// List the further fields that an operation takes, as the service itself says
    Fields {
        connection: String,
        /// The operation, as record.create
        #[arg(value_name = "MODULE.OPERATION")]
        operation: String,
        /// A field of the operation with which the service is asked, as object=Lead; again for more
        #[arg(long, value_name = "NAME=VALUE", value_parser = input::pair)]
        given: Vec<(String, String)>,
        /// development, stage or production; production unless told
        #[arg(long)]
        environment: Option<String>,
        /// Id of the member for whom an application asks, at level user
        #[arg(long, value_name = "MEMBER")]
        acting_for: Option<String>,
        /// Ask the service, whatever it said in the last ten minutes
        #[arg(long)]
        refresh: bool,
    },
    /// List the accounts you have authorized already that this connection could use
    Reusable { connection: String },
}

#[derive(Args)]
struct Create {
    /// Link name of the connector
    #[arg(long, value_name = "LINK_NAME")]
    connector: String,
    /// Display name
    #[arg(long)]
    name: String,
    /// Permanent name in addresses; made of the name unless given
    #[arg(long)]
    link_name: Option<String>,
    /// Who authorizes it: admin (for everybody) or user (each for himself)
    #[arg(long)]
    level: Option<String>,
    /// A scope to ask for; again for more. The connector's default scopes unless given
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    parameters: Parameters,
    /// Authorize each environment by itself
    #[arg(long)]
    separate_environments: bool,
    /// Link name of an application that may use it; again for more. All unless given
    #[arg(long = "application", value_name = "LINK_NAME")]
    applications: Vec<String>,
}

#[derive(Args)]
struct Update {
    connection: String,
    /// New display name
    #[arg(long)]
    name: Option<String>,
    /// The scopes from now on; again for more
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    parameters: Parameters,
    /// One authorization for all environments (true) or one each (false)
    #[arg(long, value_name = "TRUE|FALSE")]
    same_authorization: Option<bool>,
    /// The applications that may use it from now on; again for more, * for all
    #[arg(long = "application", value_name = "LINK_NAME")]
    applications: Vec<String>,
}

#[derive(Args)]
struct Move {
    /// Link name of the connection
    connection: String,
    /// Number of the version; the newest unless given
    #[arg(long, value_name = "NUMBER")]
    to: Option<i64>,
    /// Only say what the move would change and ask for
    #[arg(long)]
    preview: bool,
    /// The scopes from then on; again for more. Those that stay and the new default ones unless given
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    parameters: Parameters,
}

#[derive(Args)]
struct Parameters {
    /// A value that the connector asks for, such as client_id=…; again for more
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = input::pair)]
    parameters: Vec<(String, String)>,
    /// A file with such values as a JSON object; - for standard input. The place for secrets
    #[arg(long = "parameters", value_name = "FILE")]
    file: Option<String>,
}

impl Parameters {
    fn read(&self) -> Result<Map<String, Value>> {
        let mut all = self.file.as_deref().map(input::object).transpose()?.unwrap_or_default();
        all.extend(self.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into())));
        Ok(all)
    }
}

pub async fn run(args: Connections) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    match args.command {
        Command::List { q, connector, level, application, status, environment, page } => {
            let query = [
                ("connector", connector),
                ("level", level),
                ("application", application),
                ("q", q),
                ("status", status),
                ("environment", environment),
            ];
            let filtered = query.iter().any(|(_, value)| value.is_some());
            let answer = client.get(&page.path(&path(&["connections"]), &query)).await?;
            let columns: &[Column] = &[
                ("Link name", |c| text(c, "/link_name")),
                ("Name", |c| text(c, "/name")),
                ("Connector", |c| text(c, "/connector/link_name")),
                ("Level", |c| text(c, "/level")),
                ("Status", statuses),
                ("Used by", |c| text(c, "/references")),
            ];
            list(
                &answer,
                as_json,
                if filtered {
                    "No connection is like that."
                } else {
                    "There is no connection yet. Make one with `jackfield connections create`."
                },
                columns,
            )
        }
        Command::Get { connection } => {
            show(&client.get(&path(&["connections", &connection])).await?, as_json)
        }
        Command::Create(new) => create(&client, new, as_json).await,
        Command::Update(change) => {
            let mut patch = Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    patch.insert(name.to_owned(), value);
                }
            };
            let some = |list: Vec<String>| (!list.is_empty()).then(|| list.into());
            let parameters = change.parameters.read()?;
            put("name", change.name.map(Value::from));
            put("scopes", some(change.scopes));
            put("parameters", (!parameters.is_empty()).then(|| parameters.into()));
            put("same_authorization", change.same_authorization.map(Value::from));
            put("applications", some(change.applications));
            let path = path(&["connections", &change.connection]);
            show(&client.ask(Method::PATCH, &path, Some(&patch.into())).await?.json()?, as_json)
        }
        Command::Delete { connection } => {
            client.ask(Method::DELETE, &path(&["connections", &connection]), None).await?;
            if as_json { Ok(()) } else { say::line(format!("{connection} is deleted.")) }
        }
        Command::Move(to) => moved(&client, to, as_json).await,
        Command::Enable { connection } => {
            let path = path(&["connections", &connection, "enable"]);
            show(&client.ask(Method::POST, &path, None).await?.json()?, as_json)
        }
        Command::Disable { connection } => {
            let path = path(&["connections", &connection, "disable"]);
            show(&client.ask(Method::POST, &path, None).await?.json()?, as_json)
        }
        Command::Authorize(how) => authorize::run(&client, how, as_json).await,
        Command::Calls { connection, page } => {
            let answer = client.get(&page.path(&path(&["connections", &connection, "calls"]), &[])).await?;
            let columns: &[Column] = &[
                ("At", |c| time(c, "/at")),
                ("Environment", |c| text(c, "/environment")),
                ("Via", |c| text(c, "/via")),
                ("Call", |c| format!("{} {}{}", text(c, "/method"), text(c, "/host"), text(c, "/path"))),
                ("Outcome", |c| {
                    let status = text(c, "/status");
                    if status.is_empty() { text(c, "/error") } else { status }
                }),
                ("ms", |c| {
                    c.get("duration_ms")
                        .and_then(Value::as_f64)
                        .map_or_else(String::new, |ms| format!("{ms:.1}"))
                }),
                ("Service ms", |c| {
                    c.get("service_ms")
                        .and_then(Value::as_f64)
                        .map_or_else(String::new, |ms| format!("{ms:.1}"))
                }),
                ("Request", |c| text(c, "/request_id")),
            ];
            list(&answer, as_json, "Nobody has called through it yet.", columns)
        }
        Command::References { connection, page } => {
            let at = path(&["connections", &connection, "references"]);
            let answer = client.get(&page.path(&at, &[])).await?;
            let columns: &[Column] =
                &[("Application", |r| text(r, "/application")), ("Component", |r| text(r, "/component"))];
            list(&answer, as_json, "No component of an application uses it.", columns)
        }
        Command::Fields { connection, operation, given, environment, acting_for, refresh } => {
            let given: Map<String, Value> =
                given.into_iter().map(|(name, value)| (name, value.into())).collect();
            let query = [
                ("operation", Some(operation)),
                ("environment", environment),
                ("acting_for", acting_for),
                ("given", Some(Value::Object(given).to_string())),
                ("refresh", refresh.then(|| "true".to_owned())),
            ];
            let answer =
                client.get(&with_query(&path(&["connections", &connection, "fields"]), &query)).await?;
            let columns: &[Column] = &[
                ("Name", |f| text(f, "/name")),
                ("Label", |f| text(f, "/label")),
                ("Type", |f| text(f, "/type")),
                ("Required", |f| text(f, "/required")),
                ("Choices", |f| {
                    let all: Vec<&Value> = array(f, "/choices").collect();
                    let few: Vec<String> = all.iter().take(5).map(|choice| text(choice, "/value")).collect();
                    let rest = if all.len() > few.len() { ", …" } else { "" };
                    format!("{}{rest}", few.join(", "))
                }),
            ];
            list(&answer, as_json, "The service describes no further fields.", columns)
        }
        Command::Reusable { connection } => {
            let answer = client.get(&path(&["connections", &connection, "reusable"])).await?;
            let columns: &[Column] = &[
                ("Id", |a| text(a, "/id")),
                ("Account", |a| text(a, "/account_name")),
                ("Scopes", |a| text(a, "/scopes")),
            ];
            list(&answer, as_json, "You have authorized no account that it could use.", columns)
        }
    }
}

async fn moved(client: &Client, to: Move, as_json: bool) -> Result<()> {
    let at = path(&["connections", &to.connection, "move"]);
    let asked = to.to.map_or_else(|| at.clone(), |number| format!("{at}?to={number}"));
    let preview = client.get(&asked).await?;
    if to.preview {
        return show_preview(&preview, as_json);
    }
    let mut parameters = to.parameters.read()?;
    let missing = preview.get("parameters").cloned().unwrap_or_default();
    input::ask_missing(&missing, &mut parameters, "--parameter").await?;
    // The same version as was looked at, whatever is published in between.
    let mut body = json!({
        "to": preview.get("to"),
        "version": preview.get("version"),
        "parameters": parameters,
    });
    if let (false, Some(body)) = (to.scopes.is_empty(), body.as_object_mut()) {
        body.insert("scopes".to_owned(), to.scopes.into());
    }
    let done = client.ask(Method::POST, &at, Some(&body)).await?.json()?;
    if as_json {
        return say::json(&done);
    }
    let (from, to) = (text(&done, "/from"), text(&done, "/to"));
    if from == to {
        return say::line(format!("{} is on version {to} already.", text(&done, "/connection")));
    }
    say::line(format!("{} was moved from version {from} to version {to}.", text(&done, "/connection")))?;
    for one in array(&done, "/authorizations") {
        let account = say::visible(&text(one, "/account_name"));
        say::line(format!("{account} must be authorized again. {}", say::visible(&text(one, "/reason"))))?;
    }
    Ok(())
}

fn array<'a>(answer: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn show_preview(preview: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(preview);
    }
    if preview.get("from") == preview.get("to") {
        return say::line(format!("It is on version {} already.", text(preview, "/to")));
    }
    say::line(format!("From version {} to version {}:", text(preview, "/from"), text(preview, "/to")))?;
    for change in array(preview, "/changes") {
        say::line(format!("  {}", say::visible(&text(change, "/says"))))?;
    }
    for parameter in array(preview, "/parameters") {
        say::line(format!("Give the parameter {}.", text(parameter, "/name")))?;
    }
    for one in array(preview, "/authorizations") {
        say::line(format!("{} must be authorized again.", say::visible(&text(one, "/account_name"))))?;
    }
    for one in array(preview, "/uses") {
        let (application, component) = (text(one, "/application"), text(one, "/component"));
        let wrong = say::visible(&text(one, "/wrong/0/message"));
        say::line(format!("{component} of the application {application} would not work: {wrong}"))?;
    }
    for why in array(preview, "/refused") {
        say::line(format!("It is not possible: {}", text(why, "")))?;
    }
    Ok(())
}

async fn create(client: &Client, new: Create, as_json: bool) -> Result<()> {
    let mut parameters = new.parameters.read()?;
    let connector = client.get(&format!("{}?version=newest", path(&["connectors", &new.connector]))).await?;
    let asked = connector.get("asked_for_connection").cloned().unwrap_or_default();
    // What may stay empty is not asked for: most people want the connection, not the questions.
    let needed: Vec<Value> = asked
        .as_array()
        .into_iter()
        .flatten()
        .filter(|field| {
            let required = field.get("required") == Some(&Value::Bool(true));
            required && field.get("default").is_none_or(Value::is_null)
        })
        .cloned()
        .collect();
    input::ask_missing(&needed.into(), &mut parameters, "--parameter").await?;
    let mut body = json!({
        "connector": new.connector,
        "name": new.name,
        "parameters": parameters,
        "same_authorization": !new.separate_environments,
    });
    for (name, value) in [
        ("link_name", new.link_name.map(Value::from)),
        ("level", new.level.map(Value::from)),
        ("scopes", (!new.scopes.is_empty()).then(|| new.scopes.into())),
        ("applications", (!new.applications.is_empty()).then(|| new.applications.into())),
    ] {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.to_owned(), value);
        }
    }
    let made = client.ask(Method::POST, &path(&["connections"]), Some(&body)).await?.json()?;
    show(&made, as_json)?;
    if !as_json {
        say::aside(format!(
            "Authorize it with: jackfield connections authorize {}",
            text(&made, "/link_name")
        ));
    }
    Ok(())
}

/// The version of the connector that the connection is on, and whether there is a newer one.
fn version_of(connection: &Value) -> String {
    let (on, newest) =
        (text(connection, "/connector_version"), text(connection, "/newest_connector_version"));
    if on == newest { on } else { format!("{on}; {newest} is published") }
}

fn show(connection: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(connection);
    }
    let shared = connection.get("same_authorization") == Some(&Value::Bool(true));
    let mut facts = vec![
        ("Link name", text(connection, "/link_name")),
        ("Name", text(connection, "/name")),
        (
            "Connector",
            format!("{} ({})", text(connection, "/connector/name"), text(connection, "/connector/link_name")),
        ),
        ("Version", version_of(connection)),
        ("Level", text(connection, "/level")),
        ("Scopes", text(connection, "/scopes")),
        (
            "Authorization",
            if shared { "the same for all environments" } else { "one for each environment" }.to_owned(),
        ),
        ("Applications", text(connection, "/applications")),
        ("Status", statuses(connection)),
    ];
    for (name, value) in connection.get("parameters").and_then(Value::as_object).into_iter().flatten() {
        let shown = if value.is_object() { "set".to_owned() } else { text(value, "") };
        facts.push(("Parameter", format!("{name} = {shown}")));
    }
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

//! `jackfield applications …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, Reply, Server, path};
use crate::failure::Result;
use crate::say;
use crate::view::{Column, PageArgs, list, status, text, time};

#[derive(Args)]
pub struct Applications {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the applications
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one application
    Get { application: String },
    /// Make an application
    Create {
        /// Display name
        #[arg(long)]
        name: String,
        /// Permanent name in addresses; made of the name unless given
        #[arg(long)]
        link_name: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// List the templates to start from, or show what one of them needs
    Templates { template: Option<String> },
    /// Start an application from a template
    Start {
        template: String,
        /// Display name
        #[arg(long)]
        name: String,
        /// Permanent name in addresses; made of the name unless given
        #[arg(long)]
        link_name: Option<String>,
        /// Which connection serves a need; again for more
        #[arg(long = "connection", value_name = "NEED=LINK_NAME", value_parser = pair)]
        connections: Vec<(String, String)>,
        /// An answer to what the template asks; again for more
        #[arg(long = "answer", value_name = "QUESTION=ANSWER", value_parser = pair)]
        answers: Vec<(String, String)>,
    },
    /// Change an application; what is not named stays
    Update {
        application: String,
        /// New display name
        #[arg(long)]
        name: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete an application, with its keys and components
    Delete { application: String },
    /// Who has access to an application
    #[command(subcommand)]
    Members(Members),
    /// The keys with which an application calls
    #[command(subcommand)]
    Keys(Keys),
    /// The parts of an application, and which connections each uses
    #[command(subcommand)]
    Components(Components),
    /// List the connections of an application: all it may use, or those of one component
    Connections {
        application: String,
        /// development, stage or production
        #[arg(long)]
        environment: Option<String>,
        /// The component that is edited, such as workflow:orders
        #[arg(long, value_name = "KIND:NAME", conflicts_with = "environment")]
        component: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say what publishing would do, and what is not ready for it
    Preflight {
        application: String,
        /// stage or production
        #[arg(long, default_value = "stage")]
        to: String,
    },
    /// Publish: development to stage, or stage to production
    Publish {
        application: String,
        /// stage or production
        #[arg(long)]
        to: String,
        /// Number of a former release, to roll back
        #[arg(long)]
        release: Option<i64>,
        /// What is new
        #[arg(long)]
        note: Option<String>,
        /// Although something is not ready
        #[arg(long)]
        anyway: bool,
    },
    /// List the releases, the latest first
    Releases {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Allow an application to use a connection
    Allow { application: String, connection: String },
    /// Forbid an application to use a connection
    Forbid { application: String, connection: String },
}

#[derive(Subcommand)]
enum Members {
    /// List the members who have access
    List {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Give a member access, by his id
    Add { application: String, member: String },
    /// Take access from a member
    Remove { application: String, member: String },
}

#[derive(Subcommand)]
enum Keys {
    /// List the keys
    List {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Make a key for one environment; it is shown this once
    Create {
        application: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// development, stage or production
        #[arg(long)]
        environment: String,
        /// What it may be used for: read, use, act_for; again for more. All of them unless given
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Days until it expires; never unless given
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
    },
    /// Revoke a key by its id
    Revoke { application: String, id: String },
}

#[derive(Subcommand)]
enum Components {
    /// List the components
    List {
        application: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Say which connections a component uses, whatever it used before
    Declare {
        application: String,
        /// Such as workflow:orders
        #[arg(value_name = "KIND:NAME")]
        component: String,
        /// Link name of a connection that it uses; again for more
        #[arg(long = "connection", value_name = "LINK_NAME")]
        connections: Vec<String>,
    },
    /// Take a component away, with its references
    Remove {
        application: String,
        #[arg(value_name = "KIND:NAME")]
        component: String,
    },
}

pub async fn run(args: Applications) -> Result<()> {
    let client = Client::new(&args.server)?;
    let as_json = args.server.json;
    let one = |application: &str| path(&["applications", application]);
    match args.command {
        Command::List { page } => {
            let answer = client.get(&page.path(&path(&["applications"]), &[])).await?;
            let columns: &[Column] = &[
                ("Link name", |a| text(a, "/link_name")),
                ("Name", |a| text(a, "/name")),
                ("Description", |a| text(a, "/description")),
                ("Made", |a| time(a, "/created_at")),
            ];
            let nothing = "There is no application yet. Make one with `jackfield applications create`.";
            list(&answer, as_json, nothing, columns)
        }
        Command::Get { application } => show(&client.get(&one(&application)).await?, as_json),
        Command::Create { name, link_name, description } => {
            let mut body = some([("link_name", link_name), ("description", description)]);
            body.insert("name".to_owned(), name.into());
            let made =
                client.ask(Method::POST, &path(&["applications"]), Some(&body.into())).await?.json()?;
            show(&made, as_json)
        }
        Command::Templates { template: None } => {
            let answer = client.get(&path(&["application-templates"])).await?;
            let columns: &[Column] = &[
                ("Template", |t| text(t, "/link_name")),
                ("Name", |t| text(t, "/name")),
                ("Description", |t| text(t, "/description")),
            ];
            list(&answer, as_json, "There is no template.", columns)
        }
        Command::Templates { template: Some(template) } => {
            let answer = client.get(&path(&["application-templates", &template])).await?;
            if as_json { say::json(&answer) } else { show_template(&answer) }
        }
        Command::Start { template, name, link_name, connections, answers } => {
            let object = |pairs: Vec<(String, String)>| -> Map<String, Value> {
                pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
            };
            let mut body = some([("link_name", link_name)]);
            body.insert("name".to_owned(), name.into());
            body.insert("connections".to_owned(), object(connections).into());
            body.insert("answers".to_owned(), object(answers).into());
            let at = path(&["application-templates", &template, "start"]);
            let made = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
            if as_json {
                return say::json(&made);
            }
            say::line(format!("{} is made.", text(&made, "/link_name")))?;
            for one in made.pointer("/components").and_then(Value::as_array).into_iter().flatten() {
                let part = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                say::line(format!("  {}  {}", part("component"), say::visible(&part("name"))))?;
            }
            say::line(text(&made, "/next"))
        }
        Command::Update { application, name, description } => {
            let patch = some([("name", name), ("description", description)]);
            let answer = client.ask(Method::PATCH, &one(&application), Some(&patch.into())).await?;
            show(&answer.json()?, as_json)
        }
        Command::Delete { application } => {
            client.ask(Method::DELETE, &one(&application), None).await?;
            if as_json { Ok(()) } else { say::line(format!("{application} is deleted.")) }
        }
        Command::Members(command) => members(&client, command, as_json).await,
        Command::Keys(command) => keys(&client, command, as_json).await,
        Command::Components(command) => components(&client, command, as_json).await,
        Command::Connections { application, environment, component, page } => {
            let mode = component.as_ref().map(|_| "edit".to_owned());
            let query = [("mode", mode), ("environment", environment), ("component", component)];
            let at = path(&["applications", &application, "connections"]);
            let answer = client.get(&page.path(&at, &query)).await?;
            let columns: &[Column] = &[
                ("Link name", |c| text(c, "/link_name")),
                ("Name", |c| text(c, "/name")),
                ("Service", |c| text(c, "/connector/name")),
                ("Level", |c| text(c, "/level")),
                ("Status", |c| {
                    let off = c.get("enabled") == Some(&Value::Bool(false));
                    if off { "Disabled".to_owned() } else { status(c, "/status") }
                }),
                ("Account", |c| text(c, "/authorized_account")),
                ("You may authorize", |c| text(c, "/can_authorize")),
            ];
            list(&answer, as_json, "It has no connection that you see.", columns)
        }
        Command::Preflight { application, to } => {
            let at = format!("{}?to={to}", path(&["applications", &application, "preflight"]));
            let answer = client.get(&at).await?;
            if as_json {
                return say::json(&answer);
            }
            let open = answer.pointer("/open").and_then(Value::as_array).cloned().unwrap_or_default();
            if open.is_empty() {
                return say::line(format!("{application} is ready for {to}."));
            }
            for point in &open {
                say::line(say::visible(&text(point, "/message")))?;
            }
            Ok(())
        }
        Command::Publish { application, to, release, note, anyway } => {
            let mut body = some([("note", note)]);
            body.insert("to".to_owned(), to.as_str().into());
            body.insert("anyway".to_owned(), anyway.into());
            if let Some(release) = release {
                body.insert("release".to_owned(), release.into());
            }
            let at = path(&["applications", &application, "publish"]);
            let made = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
            if as_json {
                return say::json(&made);
            }
            say::line(format!("{to} serves release {}.", text(&made, "/number")))
        }
        Command::Releases { application, page } => {
            let answer =
                client.get(&page.path(&path(&["applications", &application, "releases"]), &[])).await?;
            let columns: &[Column] = &[
                ("Release", |r| text(r, "/number")),
                ("Served in", |r| text(r, "/environments")),
                ("Note", |r| text(r, "/note")),
                ("Made", |r| time(r, "/created_at")),
            ];
            list(&answer, as_json, "Nothing was published yet.", columns)
        }
        Command::Allow { application, connection } => {
            let at = path(&["connections", &connection, "applications", &application]);
            let answer = client.ask(Method::PUT, &at, None).await?.json()?;
            allowed(&answer, as_json)
        }
        Command::Forbid { application, connection } => {
            let at = path(&["connections", &connection, "applications", &application]);
            let answer = client.ask(Method::DELETE, &at, None).await?.json()?;
            allowed(&answer, as_json)
        }
    }
}

async fn members(client: &Client, command: Members, as_json: bool) -> Result<()> {
    match command {
        Members::List { application, page } => {
            let at = path(&["applications", &application, "members"]);
            let answer = client.get(&page.path(&at, &[])).await?;
            let columns: &[Column] = &[
                ("Member", |m| text(m, "/member")),
                ("Name", |m| text(m, "/name")),
                ("Role", |m| text(m, "/role")),
                ("Active", |m| text(m, "/active")),
                ("Since", |m| time(m, "/created_at")),
            ];
            list(&answer, as_json, "No user has access; those who manage applications need none.", columns)
        }
        Members::Add { application, member } => {
            let at = path(&["applications", &application, "members"]);
            let answer = client.ask(Method::POST, &at, Some(&json!({"member": member}))).await?.json()?;
            if as_json {
                return say::json(&answer);
            }
            say::line(format!("{} has access to {application}.", say::visible(&text(&answer, "/name"))))
        }
        Members::Remove { application, member } => {
            let at = path(&["applications", &application, "members", &member]);
            client.ask(Method::DELETE, &at, None).await?;
            if as_json { Ok(()) } else { say::line("The access is taken away.") }
        }
    }
}

async fn keys(client: &Client, command: Keys, as_json: bool) -> Result<()> {
    match command {
        Keys::List { application, page } => {
            let at = path(&["applications", &application, "keys"]);
            let answer = client.get(&page.path(&at, &[])).await?;
            let columns: &[Column] = &[
                ("Id", |k| text(k, "/id")),
                ("Name", |k| text(k, "/name")),
                ("Environment", |k| text(k, "/environment")),
                ("Begins with", |k| text(k, "/hint")),
                ("Scopes", |k| text(k, "/scopes")),
                ("Expires", |k| time(k, "/expires_at")),
                ("Last used", |k| time(k, "/last_used_at")),
            ];
            list(
                &answer,
                as_json,
                "It has no key. Make one with `jackfield applications keys create`.",
                columns,
            )
        }
        Keys::Create { application, name, environment, scopes, expires_in_days } => {
            let mut body = Map::new();
            body.insert("name".to_owned(), name.into());
            body.insert("environment".to_owned(), environment.into());
            if !scopes.is_empty() {
                body.insert("scopes".to_owned(), scopes.into());
            }
            if let Some(days) = expires_in_days {
                body.insert("expires_in_days".to_owned(), days.into());
            }
            let at = path(&["applications", &application, "keys"]);
            let made = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
            if as_json {
                return say::json(&made);
            }
            say::aside("Keep it now; it is not shown again.");
            say::line(text(&made, "/key"))
        }
        Keys::Revoke { application, id } => {
            let at = path(&["applications", &application, "keys", &id]);
            client.ask(Method::DELETE, &at, None).await?;
            if as_json { Ok(()) } else { say::line("It is revoked.") }
        }
    }
}

async fn components(client: &Client, command: Components, as_json: bool) -> Result<()> {
    match command {
        Components::List { application, page } => {
            let at = path(&["applications", &application, "components"]);
            let answer = client.get(&page.path(&at, &[])).await?;
            let columns: &[Column] = &[
                ("Component", |c| text(c, "/component")),
                ("Connections", |c| text(c, "/connections")),
                ("Declared", |c| time(c, "/updated_at")),
            ];
            list(&answer, as_json, "It has declared no component.", columns)
        }
        Components::Declare { application, component, connections } => {
            let at = path(&["applications", &application, "components", &component]);
            let body = json!({"connections": connections});
            let answer = client.ask(Method::PUT, &at, Some(&body)).await?.json()?;
            if as_json {
                return say::json(&answer);
            }
            let used = text(&answer, "/connections");
            let used = if used.is_empty() { "no connection".to_owned() } else { used };
            say::line(format!("{} uses {used}.", text(&answer, "/component")))
        }
        Components::Remove { application, component } => {
            let at = path(&["applications", &application, "components", &component]);
            client.ask(Method::DELETE, &at, None).await?;
            if as_json { Ok(()) } else { say::line(format!("{component} is gone.")) }
        }
    }
}

/// `name=value`.
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() {
        Err("a name stands before the =".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

/// What a template needs, and how it is given.
fn show_template(template: &Reply) -> Result<()> {
    let all = |at: &str| template.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let part = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    say::line(text(template, "/description"))?;
    if let Some(warning) = template.get("warning").and_then(Value::as_str) {
        say::line(warning)?;
    }
    for need in all("/needs") {
        let fitting = need.get("fitting").and_then(Value::as_array).cloned().unwrap_or_default();
        let names: Vec<String> = fitting.iter().map(|one| part(one, "connection")).collect();
        let connectors = need.get("connectors").and_then(Value::as_array).cloned().unwrap_or_default();
        let connectors: Vec<&str> = connectors.iter().filter_map(Value::as_str).collect();
        let which = if names.is_empty() {
            format!("no connection fits yet; make one to {}", connectors.join(", "))
        } else {
            format!("fitting: {}", names.join(", "))
        };
        let (name, purpose) = (part(&need, "name"), part(&need, "purpose"));
        say::line(format!("  --connection {name}=…  {purpose} ({which})"))?;
    }
    for question in all("/questions") {
        let default = question.get("default").and_then(Value::as_str);
        let unless = default.map_or_else(String::new, |default| format!(" ({default} unless told)"));
        let (name, label, help) =
            (part(&question, "name"), part(&question, "label"), part(&question, "help"));
        say::line(format!("  --answer {name}=…  {label}. {help}{unless}"))?;
    }
    for one in all("/components") {
        say::line(format!("  makes {}  {}", part(&one, "component"), part(&one, "name")))?;
    }
    Ok(())
}

/// Those that were given.
fn some<const N: usize>(fields: [(&str, Option<String>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

fn allowed(connection: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(connection);
    }
    let applications = text(connection, "/applications");
    let who = match applications.as_str() {
        "" => "no application".to_owned(),
        "*" => "every application".to_owned(),
        _ => applications,
    };
    say::line(format!("{} may be used by {who}.", text(connection, "/link_name")))
}

fn show(application: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(application);
    }
    let mut facts = vec![
        ("Link name", text(application, "/link_name")),
        ("Name", text(application, "/name")),
        ("Description", text(application, "/description")),
        ("Id", text(application, "/id")),
        ("Made", time(application, "/created_at")),
        ("Changed", time(application, "/updated_at")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    say::facts(facts)
}

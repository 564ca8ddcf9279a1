//! `jackfield init` and `jackfield organizations`: what is done to organizations on the machine itself.

use clap::Args;
use jackfield_engine::govern::organizations::NewOrganization;
use jackfield_engine::{Egress, EgressOptions, Engine, clock};
use jackfield_store::Store;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::open::{self, Purpose};
use crate::say;
use crate::settings::{Flags, Settings};

#[derive(Args)]
pub struct Init {
    /// Name of the organization
    #[arg(long, value_name = "NAME")]
    organization: String,
    /// E-mail address of its super admin
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Answer in JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Flags,
}

#[derive(Args)]
pub struct Create {
    /// Name of the organization
    #[arg(long, value_name = "NAME")]
    name: String,
    /// E-mail address of its super admin
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// Answer in JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Flags,
}

#[derive(Args)]
pub struct Plan {
    /// Id of the organization
    organization: String,
    /// Name of the plan; `unlimited` has no limits
    #[arg(value_name = "PLAN")]
    name: String,
    #[command(flatten)]
    settings: Flags,
}

pub async fn plan(args: Plan) -> Result<()> {
    let settings = Settings::load(&args.settings)?;
    let (engine, store, _) = open(&settings, Purpose::Use).await?;
    let set = engine.set_plan(&args.organization, &args.name, clock::now()).await;
    store.close().await;
    set?;
    say::line(format!(
        "{} has the plan {} now. A service that runs on SQLite counts calls by it within five minutes.",
        args.organization, args.name
    ))
}

pub async fn init(args: Init) -> Result<()> {
    let settings = Settings::load(&args.settings)?;
    let (engine, store, url) = open(&settings, Purpose::SetUp).await?;
    let made = engine.set_up(&args.organization, &args.email, None, None, clock::now()).await;
    store.close().await;
    show(&made?, &args.organization, &url, args.json)
}

pub async fn create(args: Create) -> Result<()> {
    let settings = Settings::load(&args.settings)?;
    let (engine, store, url) = open(&settings, Purpose::Use).await?;
    let made = engine.create_organization(&args.name, &args.email, clock::now()).await;
    store.close().await;
    show(&made?, &args.name, &url, args.json)
}

/// An engine on the store of these settings, for what is done on the machine itself.
pub async fn open(settings: &Settings, purpose: Purpose) -> Result<(Engine, Store, String)> {
    let opened = open::open(settings, purpose).await?;
    let url = settings.public_url(settings.listen);
    // Nothing is called: the rules about addresses need not be known.
    let egress = Egress::new(EgressOptions::default()).map_err(|e| Failure::new(e.to_string()))?;
    let engine = Engine::new(opened.store.clone(), opened.keyring, egress, settings.engine(url.clone()));
    Ok((engine, opened.store, url))
}

/// The only time that password and key are shown.
fn show(made: &NewOrganization, name: &str, url: &str, as_json: bool) -> Result<()> {
    let (password, key) = (made.password.expose_secret(), made.key.expose_secret());
    if as_json {
        return say::line(
            json!({"email": made.email, "password": password, "key": key, "url": url}).to_string(),
        );
    }
    say::line(format!("{} is set up. Keep these now; they are not shown again.\n", say::visible(name)))?;
    say::facts([
        ("E-mail", made.email.clone()),
        ("Password", password.to_owned()),
        ("API key", key.to_owned()),
        ("Address", url.to_owned()),
    ])
}

//! `jackfield demo`: a store for the time being, a service to practise on, and what to try.

use std::io;
use std::net::SocketAddr;

use clap::Args;
use http::Method;
use jackfield_core::Environment;
use jackfield_engine::govern::applications::{NewApplication, NewApplicationKey};
use jackfield_engine::{Engine, Op, clock};
use jackfield_sandbox::{ADA_API_KEY, Options, PEOPLE, Running, Sandbox};
use jackfield_server::ServerOptions;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::client::{Client, path};
use crate::commands::serve::{egress, local_address, stop_asked};
use crate::failure::{Failure, Result};
use crate::open::{self, Opened, Purpose};
use crate::settings::Settings;
use crate::view::text;
use crate::{logging, say};

const ORGANIZATION: &str = "Demo";
const EMAIL: &str = "demo@jackfield.example";

#[derive(Args)]
pub struct Demo {
    /// Where to listen; a free port of this machine when 8484 is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Do the main job once without a browser, say how it went, and end
    #[arg(long)]
    check: bool,
}

pub async fn run(args: Demo) -> Result<()> {
    let stop = stop_asked()?;
    // Removed when it is dropped, however this function is left.
    let folder = tempfile::Builder::new()
        .prefix("jackfield-demo-")
        .tempdir()
        .map_err(|e| Failure::new(format!("No folder for the time being can be made: {e}.")))?;
    let demo = Stage::start(&args, folder.path()).await?;
    let told = if args.check {
        demo.check().await
    } else {
        match demo.introduce() {
            Ok(()) => {
                stop.await;
                say::aside("\nGone, with all that was in it.");
                Ok(())
            }
            failed => failed,
        }
    };
    demo.stop().await;
    told
}

/// The service and the Sandbox, running.
struct Stage {
    url: String,
    key: SecretString,
    password: SecretString,
    /// of the example application, for production
    application_key: SecretString,
    sandbox: Running,
    end: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
    store: jackfield_store::Store,
}

impl Stage {
    async fn start(args: &Demo, folder: &std::path::Path) -> Result<Self> {
        let mut settings = Settings::in_folder(folder)?;
        settings.log = Targets::new().with_default(LevelFilter::WARN);
        settings.egress_allow = vec![std::net::IpAddr::from([127, 0, 0, 1]).into()];
        logging::start(&settings)?;

        let failed = |e: io::Error| Failure::new(format!("The Sandbox cannot be started: {e}."));
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let sandbox = Sandbox::start(Options::default(), TcpListener::bind(free).await.map_err(failed)?);
        let sandbox = sandbox.map_err(failed)?;

        let listener = listen(args, free).await?;
        let url = settings.public_url(local_address(&listener)?);
        let Opened { store, keyring, lock: _ } = open::open(&settings, Purpose::Serve).await?;
        let engine =
            Engine::new(store.clone(), keyring, egress(&settings).await?, settings.engine(url.clone()));
        engine.start_background(true).await?;
        let made = engine.set_up(ORGANIZATION, EMAIL, None, None, clock::now()).await?;
        let application_key = furnish(&engine, made.key.expose_secret(), &sandbox).await?;

        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(jackfield_server::serve(
            engine,
            listener,
            ServerOptions { docs: true, trusted_proxies: Vec::new() },
            async {
                let _ = ended.await;
            },
        ));
        Ok(Self {
            url,
            key: made.key,
            password: made.password,
            application_key,
            sandbox,
            end,
            serving,
            store,
        })
    }

    fn introduce(&self) -> Result<()> {
        let program = std::env::args().next().unwrap_or_else(|| "jackfield".to_owned());
        let (url, key) = (&self.url, self.key.expose_secret());
        let people: Vec<String> =
            PEOPLE.iter().map(|p| format!("  {:<22}  {}", p.email, p.password)).collect();
        say::line(format!(
            "Jackfield runs at {url} (its API: {url}/docs),\n\
             and the Sandbox, a service to practise on, at {sandbox}. All of it is gone when you press Ctrl-C.\n\
             \n\
             Open {url} in a browser and sign in:\n\
             \n  \
             {EMAIL}\n  \
             {password}\n\
             \n\
             Or, in another terminal, say where it is and who you are:\n\
             \n  \
             export JACKFIELD_URL={url}\n  \
             export JACKFIELD_API_KEY={key}\n\
             \n\
             A connection with an API key. When it asks for the key, Ada's is {ADA_API_KEY}\n\
             \n  \
             {program} connections create --connector sandbox_api_key --name Vendors\n  \
             {program} connections authorize vendors\n  \
             {program} invoke vendors GET /vendors\n\
             \n\
             The same call from any program, without a credential of the service:\n\
             \n  \
             curl \"$JACKFIELD_URL/v1/proxy/vendors/vendors\" -H \"Authorization: Bearer $JACKFIELD_API_KEY\"\n\
             \n\
             The same call by the example application, Vendor portal. Its key reaches production and nothing else:\n\
             \n  \
             curl \"$JACKFIELD_URL/v1/proxy/vendors/vendors\" -H \"Authorization: Bearer {application_key}\"\n  \
             {program} applications connections vendor_portal\n\
             \n\
             A connection by OAuth: a browser opens, and you have {ttl} seconds to accept there.\n\
             \n  \
             {program} connections create --connector sandbox --name \"Vendors by OAuth\" --link-name by_oauth\n  \
             {program} connections authorize by_oauth\n  \
             {program} invoke by_oauth GET /me\n\
             \n\
             People of the Sandbox, and their passwords:\n\
             \n{people}",
            application_key = self.application_key.expose_secret(),
            password = self.password.expose_secret(),
            sandbox = self.sandbox.url,
            ttl = 90,
            people = people.join("\n"),
        ))
    }

    /// The main job, by the API: connect, authorize, call.
    async fn check(&self) -> Result<()> {
        let client = Client::with(self.url.clone(), self.key.clone())?;
        let new = json!({"connector": "sandbox_api_key", "name": "Vendors"});
        let connection = client.ask(Method::POST, &path(&["connections"]), Some(&new)).await?.json()?;
        let name = text(&connection, "/link_name");
        let credentials = json!({"credentials": {"api_key": ADA_API_KEY}});
        let at = path(&["connections", &name, "authorizations"]);
        let authorized = client.ask(Method::POST, &at, Some(&credentials)).await?.json()?;
        say::line(format!("Connected as {}", text(&authorized, "/authorization/account_name")))?;

        let call = json!({"method": "GET", "url": "/vendors", "detailed": true});
        let reply =
            client.ask(Method::POST, &path(&["connections", &name, "invoke"]), Some(&call)).await?.json()?;
        let good = |who: &str, reply: &Value| {
            let status = reply.get("status").and_then(Value::as_u64).unwrap_or_default();
            say::line(format!("{who}: {status}"))?;
            if status == 200 {
                Ok(())
            } else {
                Err(Failure::new("That should have been 200. The log above may say why."))
            }
        };
        good("Called the Sandbox through the connection", &reply)?;
        let application = Client::with(self.url.clone(), self.application_key.clone())?;
        let at = path(&["connections", &name, "invoke"]);
        let reply = application.ask(Method::POST, &at, Some(&call)).await?.json()?;
        good("The example application called it, too", &reply)
    }

    async fn stop(self) {
        let _ = self.end.send(());
        let _ = self.serving.await;
        self.sandbox.shutdown().await;
        self.store.close().await;
    }
}

/// The usual port, so that the address is the one of the documents; another when it is taken.
async fn listen(args: &Demo, free: SocketAddr) -> Result<TcpListener> {
    let failed = |address| {
        move |e| Failure::new(format!("{address} cannot be bound: {e}. Choose another with --listen."))
    };
    if let Some(address) = args.listen {
        return TcpListener::bind(address).await.map_err(failed(address));
    }
    if !args.check
        && let Ok(listener) = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8484))).await
    {
        return Ok(listener);
    }
    TcpListener::bind(free).await.map_err(failed(free))
}

/// Makes the connectors of the Sandbox, and an example application; its key.
async fn furnish(engine: &Engine, key: &str, sandbox: &Running) -> Result<SecretString> {
    let now = clock::now();
    let caller = engine.authenticate(key, now).await?;
    let op = Op {
        principal: caller.principal.clone(),
        organization: caller.organization.clone(),
        now,
        request_id: clock::new_id(jackfield_core::id::Prefix::Request, now),
        address: String::new(),
        session: None,
        idempotency: None,
    };
    for document in sandbox.handle.connector_documents(&sandbox.url) {
        let made = engine.create_connector(&op, document).await?;
        engine.stage_connector(&op, &made.card.link_name, "publish").await?;
    }
    let new = NewApplication {
        name: "Vendor portal".to_owned(),
        link_name: None,
        description: Some("An example of a program that calls services through Jackfield".to_owned()),
    };
    let application = engine.create_application(&op, new).await?;
    let new = NewApplicationKey {
        name: "Demo".to_owned(),
        environment: Environment::Production,
        scopes: None,
        expires_in_days: None,
    };
    let made = engine.create_application_key(&op, &application.link_name, new).await?;
    Ok(made.key.into())
}

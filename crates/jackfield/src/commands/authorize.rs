//! Authorizing from a terminal: credentials are asked for; for OAuth a browser goes to the service while the command counts down.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::client::{Client, Reply, path};
use crate::failure::{Failure, Result};
use crate::settings::environment;
use crate::view::text;
use crate::{input, say};

/// How often the flow is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long the server may be out of reach while somebody is at the service.
const OUT_OF_REACH: Duration = Duration::from_secs(15);

#[derive(Args)]
pub struct Authorize {
    /// Link name of the connection
    connection: String,
    /// An environment to authorize: development, stage or production; again for more
    #[arg(long = "environment", value_name = "ENVIRONMENT")]
    environments: Vec<String>,
    /// Id of an account that you have authorized already, to use instead
    #[arg(long, value_name = "AUTHORIZATION", conflicts_with_all = ["account_name", "fields", "file"])]
    reuse: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Args)]
pub struct How {
    /// Name for the account; the service proposes one
    #[arg(long, value_name = "NAME")]
    account_name: Option<String>,
    /// A credential that the connector asks for; again for more. What is missing is asked for, secrets without showing them
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = input::pair)]
    fields: Vec<(String, String)>,
    /// A file with such credentials as a JSON object; - for standard input. The place for secrets
    #[arg(long = "fields", value_name = "FILE")]
    file: Option<String>,
    /// Print the link and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub async fn run(client: &Client, args: Authorize, as_json: bool) -> Result<()> {
    let mut body = Map::new();
    if !args.environments.is_empty() {
        body.insert("environments".to_owned(), args.environments.into());
    }
    let at = path(&["connections", &args.connection, "authorizations"]);
    if let Some(id) = args.reuse {
        body.insert("reuse".to_owned(), id.into());
        let answer = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
        return connected(&answer, as_json);
    }
    begin(client, &args.connection, &at, body, args.how, as_json).await
}

pub async fn again(client: &Client, connection: &str, id: &str, how: How, as_json: bool) -> Result<()> {
    let at = path(&["connections", connection, "authorizations", id, "reauthorize"]);
    begin(client, connection, &at, Map::new(), how, as_json).await
}

async fn begin(
    client: &Client,
    connection: &str,
    at: &str,
    mut body: Map<String, Value>,
    how: How,
    as_json: bool,
) -> Result<()> {
    if let Some(name) = how.account_name {
        body.insert("account_name".to_owned(), name.into());
    }
    let mut credentials = how.file.as_deref().map(input::object).transpose()?.unwrap_or_default();
    credentials.extend(how.fields.into_iter().map(|(name, value)| (name, value.into())));

    let own = client.get(&path(&["connections", connection])).await?;
    let mut described = path(&["connectors", &text(&own, "/connector/link_name")]);
    let version = text(&own, "/connector_version");
    if !version.is_empty() {
        described = format!("{described}?version={version}");
    }
    let connector = client.get(&described).await?;
    let asked = connector.get("asked_for_authorization").cloned().unwrap_or_default();
    input::ask_missing(&asked, &mut credentials, "--field").await?;
    if !credentials.is_empty() {
        body.insert("credentials".to_owned(), credentials.into());
    }
    let answer = client.ask(Method::POST, at, Some(&body.into())).await?.json()?;
    match answer.get("flow") {
        Some(flow) => follow(client, connection, flow, how.no_browser, as_json).await,
        None => connected(&answer, as_json),
    }
}

fn connected(answer: &Reply, as_json: bool) -> Result<()> {
    if as_json {
        return say::json(answer);
    }
    say::line(format!("Connected as {}", say::visible(&text(answer, "/authorization/account_name"))))
}

/// Sends somebody to the service and waits for what comes of it.
async fn follow(
    client: &Client,
    connection: &str,
    flow: &Value,
    no_browser: bool,
    as_json: bool,
) -> Result<()> {
    let ended = visit(client, flow, no_browser).await?;
    if text(&ended, "/state") != "authorized" {
        return Err(Failure::new(outcome(&ended, connection)));
    }
    for warning in ended.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        say::aside(match text(warning, "/code").as_str() {
            "different_account" => "Note: this is another account at the service than before.".to_owned(),
            other => format!("Note: {}", say::visible(other)),
        });
    }
    let authorization = client
        .get(&path(&["connections", connection, "authorizations", &text(&ended, "/authorization")]))
        .await?;
    if as_json {
        return say::json(&authorization);
    }
    say::line(format!("Connected as {}", say::visible(&text(&authorization, "/account_name"))))
}

/// Sends somebody to the service, and waits until the flow has ended.
pub async fn visit(client: &Client, flow: &Value, no_browser: bool) -> Result<Reply> {
    let id = text(flow, "/id");
    let (words, link) = invitation(flow);
    say::aside(words);
    if !no_browser {
        open_browser(&link);
    }
    let at = path(&["flows", &id]);
    tokio::select! {
        ended = wait(client, &at, lifetime(flow)) => ended,
        _ = tokio::signal::ctrl_c() => {
            if say::watched() {
                say::over("");
            }
            // It would end by itself; this way nobody can finish it behind our back.
            let _ = client.send(Method::DELETE, &at, None).await;
            Err(Failure { message: "Cancelled. Nothing has changed.".to_owned(), code: 130 })
        }
    }
}

/// What somebody has to do, and the address at which a browser does it.
fn invitation(flow: &Value) -> (String, String) {
    let [code, uri, complete] =
        ["/user_code", "/verification_uri", "/verification_uri_complete"].map(|at| text(flow, at));
    if code.is_empty() {
        let link = text(flow, "/start_url");
        return (format!("Authorize it here:\n\n  {}\n", say::visible(&link)), link);
    }
    let words = format!(
        "Type this code:\n\n  {}\n\nhere, in a browser on any screen:\n\n  {}\n",
        say::visible(&code),
        say::visible(&uri)
    );
    if complete.is_empty() {
        return (words, uri);
    }
    (format!("{words}\nor open it with the code filled in:\n\n  {}\n", say::visible(&complete)), complete)
}

fn outcome(flow: &Value, connection: &str) -> String {
    let why = say::visible(&text(flow, "/error/detail"));
    let why = match text(flow, "/state").as_str() {
        _ if !why.is_empty() => why,
        "denied" => "The service was told not to allow it.".to_owned(),
        "expired" => "The time to authorize is over.".to_owned(),
        "cancelled" => "It was cancelled.".to_owned(),
        _ => "It did not work.".to_owned(),
    };
    format!("Not connected. {why}\nTry again: jackfield connections authorize {connection}")
}

/// How long the server gives, by its own clock.
fn lifetime(flow: &Value) -> Duration {
    let at = |name: &str| text(flow, name).parse::<jiff::Timestamp>().ok();
    let until = at("/created_at").zip(at("/expires_at")).map(|(from, to)| to.duration_since(from));
    until.and_then(|life| Duration::try_from(life).ok()).unwrap_or(Duration::from_secs(90))
}

/// Looks at the flow until it has ended, and counts down where somebody watches.
async fn wait(client: &Client, at: &str, life: Duration) -> Result<Reply> {
    let end = Instant::now() + life;
    let mut last_seen = Instant::now();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        looks.tick().await;
        if say::watched() {
            let left = end.saturating_duration_since(Instant::now()).as_millis().div_ceil(1000);
            say::over(format!("Waiting for you at the service: {left} s"));
        }
        match client.send(Method::GET, at, None).await {
            Ok(answer) if answer.is_good() => {
                last_seen = Instant::now();
                let flow = answer.json()?;
                if text(&flow, "/state") != "pending" {
                    break Ok(flow);
                }
            }
            // A server that restarts or is busy will be back.
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                break Err(crate::client::refused(&answer));
            }
            Ok(answer) if last_seen.elapsed() > OUT_OF_REACH => break Err(crate::client::refused(&answer)),
            Err(failure) if last_seen.elapsed() > OUT_OF_REACH => break Err(failure),
            _ => sleep(LOOK).await,
        }
    };
    if say::watched() {
        say::over("");
    }
    ended
}

/// Opens the link in the browser of whoever sits here. Where it does not work, the link is on the screen.
fn open_browser(link: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| environment(name).is_some_and(|v| !v.is_empty()))
    {
        "xdg-open"
    } else {
        return;
    };
    let opened = tokio::process::Command::new(program)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(opened);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_server_says_how_long() {
        let flow = json!({"created_at": "2026-11-22T02:08:51.5Z", "expires_at": "2026-11-22T02:10:21.5Z"});
        assert_eq!(lifetime(&flow), Duration::from_secs(90));
        assert_eq!(lifetime(&json!({})), Duration::from_secs(90));
    }

    #[test]
    fn a_code_is_shown_with_the_place_where_it_is_typed() {
        let flow = json!({"start_url": "https://j.example/flows/1/start", "user_code": "WDJB-\u{1b}MJHT",
            "verification_uri": "https://a.example/device"});
        let (words, link) = invitation(&flow);
        assert!(words.contains("  WDJB-") && words.contains("  https://a.example/device\n"), "{words}");
        assert!(!words.contains('\u{1b}') && link == "https://a.example/device");
        let complete = "https://a.example/device?user_code=WDJB";
        let flow = json!({"user_code": "WDJB", "verification_uri": "https://a.example/device",
            "verification_uri_complete": complete});
        let (words, link) = invitation(&flow);
        assert!(words.contains(complete) && link == complete, "{words}");
        assert_eq!(invitation(&json!({"start_url": "https://j.example/s"})).1, "https://j.example/s");
    }

    #[test]
    fn an_end_is_told_with_its_reason_and_what_to_do() {
        let flow =
            json!({"state": "denied", "error": {"code": "access_denied", "detail": "Intuit says: no."}});
        assert_eq!(
            outcome(&flow, "acme"),
            "Not connected. Intuit says: no.\nTry again: jackfield connections authorize acme"
        );
        assert!(
            outcome(&json!({"state": "expired"}), "a")
                .starts_with("Not connected. The time to authorize is over.\n")
        );
    }
}

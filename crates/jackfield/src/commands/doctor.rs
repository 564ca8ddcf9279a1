//! `jackfield doctor`: looks at everything the service needs, and changes nothing.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use jackfield_core::Timestamp;
use jackfield_engine::clock;
use jackfield_store::{Kind, Store};
use serde_json::{Value, json};

use crate::commands::serve;
use crate::failure::{Failure, Result};
use crate::open::{blocking, known_key, load_key, provider};
use crate::say;
use crate::settings::{Flags, Settings};

/// How far clocks may be apart.
const APART: Duration = Duration::from_secs(5);
/// No clock that is right shows a time before this: the first of January 2026.
const EARLIEST: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

#[derive(Args)]
pub struct Doctor {
    /// Answer in JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Flags,
}

/// What was looked at, and what was found.
struct Check {
    name: &'static str,
    ok: bool,
    words: String,
}

impl Check {
    fn of(name: &'static str, found: Result<String>) -> Self {
        match found {
            Ok(words) => Self { name, ok: true, words },
            Err(failure) => Self { name, ok: false, words: failure.message },
        }
    }
}

pub async fn run(args: Doctor) -> Result<()> {
    let checks = look(&args.settings).await;
    let ok = checks.iter().all(|check| check.ok);
    if args.json {
        let list: Vec<Value> = checks
            .iter()
            .map(|check| json!({"check": check.name, "ok": check.ok, "detail": check.words}))
            .collect();
        say::line(json!({"ok": ok, "checks": list}).to_string())?;
    } else {
        for Check { name, ok, words } in &checks {
            let word = if *ok { "ok" } else { "wrong" };
            say::line(format!("{word:<5}  {name:<13}  {}", words.replace('\n', "\n                      ")))?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::silent(1)) }
}

async fn look(flags: &Flags) -> Vec<Check> {
    let settings = match Settings::load(flags) {
        Ok(settings) => settings,
        Err(failure) => return vec![Check::of("configuration", Err(failure))],
    };
    let store = Store::look(&settings.database_url, &settings.database()).await.map_err(Failure::from);
    let checks = vec![
        Check::of("configuration", configuration(&settings)),
        Check::of("key", key(&settings, store.as_ref().map(Option::as_ref)).await),
        Check::of(
            "store",
            match &store {
                Ok(store) => store_state(&settings, store.as_ref()).await,
                Err(failure) => Err(Failure::new(failure.message.clone())),
            },
        ),
        Check::of("clock", time(&settings, store.as_ref().ok().and_then(Option::as_ref)).await),
        Check::of("outbound", outbound(&settings).await),
        Check::of("mail", mail(&settings).await),
    ];
    if let Ok(Some(store)) = store {
        store.close().await;
    }
    checks
}

fn configuration(settings: &Settings) -> Result<String> {
    if let Some((name, meant)) = settings.mistyped.first() {
        return Err(Failure::new(format!("{name} is no setting. Did you mean {meant}? Rename or unset it.")));
    }
    let file = settings.file.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    let url = settings.public_url(settings.listen);
    Ok(format!("{file}; listens on {}, reached at {url}", settings.listen))
}

/// `store`: what came of looking at it.
async fn key(settings: &Settings, store: Result<Option<&Store>, &Failure>) -> Result<String> {
    let provider = provider(&settings.key);
    let Ok(store) = store else {
        let there = if load_key(settings).await?.is_some() { "is there" } else { "is not there" };
        return Ok(format!("{} {there}; whether the store goes with it is not known", provider.describe()));
    };
    let known = known_key(store).await?;
    match (load_key(settings).await?, known) {
        (Some(keyring), Some(known)) => {
            if keyring.verify_check(&known).is_err() {
                return Err(Failure::new(format!(
                    "{}: {} is not the key of this store. Put back the key that the store was made with.",
                    provider.setting(),
                    provider.describe()
                )));
            }
            Ok(format!("{} is the key of this store ({})", provider.describe(), keyring.current_id()))
        }
        (Some(keyring), None) => {
            Ok(format!("{} is there ({}), and the store is new", provider.describe(), keyring.current_id()))
        }
        (None, None) => Ok(format!("{} will be made with the store", provider.describe())),
        (None, Some(_)) => Err(Failure::new(format!(
            "{}: {} is not there, and the store exists. Put back the key that the store was made with.",
            provider.setting(),
            provider.describe()
        ))),
    }
}

async fn store_state(settings: &Settings, store: Option<&Store>) -> Result<String> {
    let place = shown(&settings.database_url);
    let Some(store) = store else { return Ok(format!("{place} will be made at the first start")) };
    store.ping().await?;
    if store.is_new().await? {
        return Ok(format!("{place} answers; its tables will be made at the first start"));
    }
    if !store.is_current().await? {
        return Ok(format!("{place} answers; its tables will be brought up to date at the next start"));
    }
    let empty = if store.is_empty().await? { ", and nobody has set it up yet" } else { "" };
    Ok(format!("{place} answers, its tables are up to date{empty}"))
}

async fn time(settings: &Settings, store: Option<&Store>) -> Result<String> {
    let now = clock::now();
    if now < EARLIEST {
        return Err(Failure::new(format!("It shows {now}. Set it, best by NTP: tokens expire by it.")));
    }
    let theirs = match store {
        Some(store) if store.kind() == Kind::Postgres => {
            store.clock().await?.map(|at| (at, "the database's time"))
        }
        _ => file_time(&settings.data_dir)
            .await?
            .map(|at| (at, "the time of the last write in the data folder")),
    };
    let Some((other, whose)) = theirs else { return Ok(format!("it shows {now}")) };
    let apart = Duration::from_micros(now.micros().abs_diff(other.micros()));
    // Files may be old, but not from the future.
    let is_file = store.is_none_or(|store| store.kind() == Kind::Sqlite);
    if apart > APART && (!is_file || other > now) {
        return Err(Failure::new(format!(
            "It shows {now}, and {whose} is {other}. Set both, best by NTP: tokens expire by them."
        )));
    }
    Ok(format!("it shows {now}, and goes with {whose}"))
}

/// When something in the folder was last written.
async fn file_time(folder: &Path) -> Result<Option<Timestamp>> {
    let folder = folder.to_owned();
    blocking(move || {
        let times = std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
            let since = entry.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_micros()).ok().map(Timestamp::from_micros)
        });
        times.max()
    })
    .await
}

async fn outbound(settings: &Settings) -> Result<String> {
    serve::egress(settings).await?;
    let found = blocking(rustls_native_certs::load_native_certs).await?;
    if found.certs.is_empty() && settings.egress_roots.is_none() {
        return Err(Failure::new(
            "The system has no root certificates, so that no service can be reached by https. Install them (Debian: \
             ca-certificates), or name some with JACKFIELD_EGRESS_ROOTS.",
        ));
    }
    let extra = if settings.egress_roots.is_some() { " and those of JACKFIELD_EGRESS_ROOTS" } else { "" };
    let inside = if settings.egress_allow.is_empty() {
        "private addresses and plain http are refused".to_owned()
    } else {
        let networks: Vec<String> = settings.egress_allow.iter().map(ToString::to_string).collect();
        format!("private addresses and plain http are refused, but for {}", networks.join(", "))
    };
    Ok(format!("{} root certificates{extra}; {inside}", found.certs.len()))
}

async fn mail(settings: &Settings) -> Result<String> {
    let Some(mail) = settings.mail(&settings.public_url(settings.listen)) else {
        return Ok("none is sent: JACKFIELD_SMTP_URL is not set".to_owned());
    };
    let place = mail.place().to_owned();
    mail.check().await.map_err(|why| {
        Failure::new(format!(
            "The mail server at {place} cannot be used: {} Check JACKFIELD_SMTP_URL.",
            crate::failure::sentence(&why)
        ))
    })?;
    Ok(format!("{place} takes it"))
}

/// The store's address, without a password.
fn shown(database_url: &str) -> String {
    match url::Url::parse(database_url) {
        Ok(url) if url.scheme().starts_with("postgres") => {
            let host = url.host_str().unwrap_or("localhost");
            format!("PostgreSQL at {host}:{}{}", url.port().unwrap_or(5432), url.path())
        }
        _ => database_url.strip_prefix("sqlite:").unwrap_or("the store").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(
            shown("postgres://jack:hunter2@db.example:5433/field?sslmode=require"),
            "PostgreSQL at db.example:5433/field"
        );
        assert_eq!(shown("sqlite:/var/lib/jackfield/jackfield.db"), "/var/lib/jackfield/jackfield.db");
    }
}

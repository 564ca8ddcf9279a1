//! What a setting's text means. The error ends a sentence that begins with the name of the setting.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jackfield_engine::govern::mail::Mail;
use secrecy::SecretString;
use tracing_subscriber::filter::{LevelFilter, Targets};

pub(super) fn path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(PathBuf::from(text)) }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().or_else(|_| match text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        Some(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        None => Err("is no address with a port"),
    })
}

pub(super) fn public_url(text: &str) -> Result<String, &'static str> {
    let url = url::Url::parse(text).map_err(|_| "is no URL")?;
    if url.scheme() != "http" && url.scheme() != "https" {
        return Err("begins neither with https:// nor with http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("names a user; browsers go there without one");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment, behind which nothing can be added");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

pub(super) fn database(text: &str) -> Result<String, &'static str> {
    let path = text.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some("") => Err("names no file"),
        Some(_) => Ok(text.to_owned()),
        None if text.starts_with("postgres://") || text.starts_with("postgresql://") => Ok(text.to_owned()),
        None => Err("begins neither with sqlite: nor with postgres://"),
    }
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, &'static str> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let network = entry.parse::<IpNet>().map(|network| network.trunc());
            network.or_else(|_| entry.parse::<IpAddr>().map(IpNet::from))
        })
        .collect::<Result<_, _>>()
        .map_err(|_| "is no list of networks or addresses, separated by commas")
}

pub(super) fn smtp(text: &str) -> Result<SecretString, &'static str> {
    Mail::from_url(text, "Jackfield <jackfield@localhost>").map(|_| SecretString::from(text))
}

pub(super) fn mailbox(text: &str) -> Result<String, &'static str> {
    Mail::from_url("smtp://localhost", text).map_err(|_| "is no e-mail address").map(|_| text.to_owned())
}

pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse::<u64>() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Ok(_) => Err("is not between 1 and 86400 seconds"),
        Err(_) => Err("is no whole number of seconds"),
    }
}

pub(super) fn size(text: &str) -> Result<usize, &'static str> {
    const WHY: &str = "is no number of bytes";
    let lower = text.to_ascii_lowercase();
    let (number, unit) = match lower.as_bytes().last() {
        Some(b'k') => (lower.trim_end_matches('k'), 1_usize << 10),
        Some(b'm') => (lower.trim_end_matches('m'), 1 << 20),
        _ => (lower.as_str(), 1),
    };
    let bytes = number.parse::<usize>().map_err(|_| WHY)?.checked_mul(unit).ok_or(WHY)?;
    if (1..=1 << 30).contains(&bytes) { Ok(bytes) } else { Err("is not between 1 byte and 1024m") }
}

pub(super) fn filter(text: &str) -> Result<Targets, &'static str> {
    const WHY: &str = "is no filter of log levels";
    let level = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(WHY),
    };
    text.split(',').try_fold(Targets::new(), |targets, part| match part.split_once('=') {
        Some((target, _)) if target.trim().is_empty() => Err(WHY),
        Some((target, word)) => Ok(targets.with_target(target.trim(), level(word)?)),
        None => Ok(targets.with_default(level(part)?)),
    })
}

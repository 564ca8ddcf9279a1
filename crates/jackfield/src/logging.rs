//! The log: on standard error, as text or JSON.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::failure::{Failure, Result};
use crate::settings::{LogFormat, Settings};

pub fn start(settings: &Settings) -> Result<()> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => lines.with_filter(settings.log.clone()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(settings.log.clone()).boxed(),
    };
    Registry::default()
        .with(lines)
        .try_init()
        .map_err(|e| Failure::new(format!("The log could not be started: {e}.")))
}

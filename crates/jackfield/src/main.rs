//! `jackfield`: the service, and the commands of a terminal.

mod commands;
mod failure;
mod logging;
mod open;
mod say;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{init, serve};
use crate::failure::{Failure, Result};

/// Keeps an organization's connections to cloud services, and calls them without handing out credentials.
#[derive(Parser)]
#[command(name = "jackfield", version, disable_help_subcommand = true, propagate_version = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    /// Make store, key and super admin without a browser
    Init(init::Init),
    /// Organizations of this store
    #[command(subcommand)]
    Organizations(Organizations),
}

#[derive(Subcommand)]
enum Organizations {
    /// Add an organization and its super admin, also while the service runs
    Create(init::Create),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                say::aside(&failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn start(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Names are resolved and passwords hashed there. Idle ones end after ten seconds.
        .max_blocking_threads(32)
        .build()
        .map_err(|e| Failure::new(format!("The runtime cannot be started: {e}.")))?;
    let done = runtime.block_on(run(cli));
    // A name that is still being resolved keeps nobody waiting.
    runtime.shutdown_background();
    done
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Init(args) => init::init(args).await,
        Command::Organizations(Organizations::Create(args)) => init::create(args).await,
    }
}

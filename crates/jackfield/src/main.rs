//! `jackfield`: the service, and the commands of a terminal.

mod client;
mod commands;
mod failure;
mod input;
mod logging;
mod open;
mod say;
mod settings;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    account, applications, audit, authorizations, connections, connectors, datasources, demo, doctor, init,
    invoke, members, pages, payments, records, runs, schedules, serve,
};
use crate::failure::{Failure, Result};

/// Keeps an organization's connections to cloud services, and calls them without handing out credentials.
#[derive(Parser)]
#[command(
    name = "jackfield",
    version,
    disable_help_subcommand = true,
    after_help = "Begin with `jackfield demo`, which needs nothing, or with `jackfield serve`.\n\
                  Commands about connectors, connections, applications, records, runs, payments, authorizations, flows, members, keys and the audit trail, invoke and whoami talk to a server: \
                  JACKFIELD_URL and JACKFIELD_API_KEY say to which and as whom, or `jackfield login` saves it."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    /// Try everything on a store for the time being, with a service to practise on
    Demo(demo::Demo),
    /// Make store, key and super admin without a browser
    Init(init::Init),
    /// Organizations of this store
    #[command(subcommand)]
    Organizations(Organizations),
    /// Look at configuration, key, store, clock and outbound access, and say what is wrong
    Doctor(doctor::Doctor),
    /// Save the address of a server and an API key, once they are proven
    Login(account::Login),
    /// Show who the API key is
    Whoami(account::Whoami),
    /// Connectors: what can be connected to
    Connectors(connectors::Connectors),
    /// Connections: make, authorize, watch
    Connections(connections::Connections),
    /// Applications: what uses connections, with which keys
    Applications(applications::Applications),
    /// Records: what was sent in by forms, as files too
    Records(records::Records),
    /// Schedules: what runs at times, and running it now
    Schedules(schedules::Schedules),
    /// Datasources: tables of what services list
    Datasources(datasources::Datasources),
    /// Runs: what workflows and schedules did, and replaying what failed
    Runs(runs::Runs),
    /// Payments that runs ask for
    Payments(payments::Payments),
    /// Authorizations: the accounts that a connection holds
    Authorizations(authorizations::Authorizations),
    /// Flows: attempts to authorize in a browser
    Flows(account::Flows),
    /// Call a service through a connection
    Invoke(Box<invoke::Invoke>),
    /// What was done, by whom, and whether the record is intact
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Members: invite, change, deactivate, remove
    Members(members::Members),
    /// Your own API keys
    Keys(account::Keys),
    /// Print what makes a shell complete these commands
    Completions(pages::Completions),
    /// Print the manual page, or write one for every command
    Man(pages::Man),
    #[command(hide = true)]
    Reference(pages::Reference),
}

#[derive(Subcommand)]
enum Organizations {
    /// Add an organization and its super admin, also while the service runs
    Create(init::Create),
    /// Give an organization a plan of the operator's file of plans (JACKFIELD_PLANS)
    Plan(init::Plan),
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
        Command::Demo(args) => demo::run(args).await,
        Command::Init(args) => init::init(args).await,
        Command::Organizations(Organizations::Create(args)) => init::create(args).await,
        Command::Organizations(Organizations::Plan(args)) => init::plan(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Login(args) => account::login(args).await,
        Command::Whoami(args) => account::whoami(args).await,
        Command::Connectors(args) => connectors::run(args).await,
        Command::Connections(args) => connections::run(args).await,
        Command::Applications(args) => applications::run(args).await,
        Command::Records(args) => records::run(args).await,
        Command::Schedules(args) => schedules::run(args).await,
        Command::Datasources(args) => datasources::run(args).await,
        Command::Runs(args) => runs::run(args).await,
        Command::Payments(args) => payments::run(args).await,
        Command::Authorizations(args) => authorizations::run(args).await,
        Command::Flows(args) => account::flows(args).await,
        Command::Invoke(args) => invoke::run(*args).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Members(args) => members::run(args).await,
        Command::Keys(args) => account::keys(args).await,
        Command::Completions(args) => pages::completions(&args, Cli::command()),
        Command::Man(args) => pages::man(&args, Cli::command()),
        Command::Reference(args) => pages::reference(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }
}

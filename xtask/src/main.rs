//! The house's own tools: `cargo xtask test`, `tidy`, `errors`, `catalogue`, `foreign`, `console`.
//!
//! Standard library and little else, so that it is built in seconds.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the command line: printing is what it does"
)]

mod browser;
mod catalogue;
mod errors;
mod foreign;
mod metadata;
mod prerequisites;
mod shell;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test      everything CI checks, in order; installs what is missing (as root, with apt-get)
  tidy      the rules of the house that no compiler knows
  errors    writes docs/errors.md from crates/core/src/error.rs
  catalogue import SERVICES.csv [SCOPES.csv]
            begins connector files from a table of facts; docs/connectors.md says what it holds
  foreign   prepares the npm and PyPI servers that tests run against, and prints where they are
  console   the console in a real browser; what follows goes to Playwright
";

fn main() -> ExitCode {
    let root = root();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(&root),
        ["tidy"] => tidy::run(&root),
        ["errors"] => errors::write(&root),
        ["catalogue", "import", services] => catalogue::import(&root, services, None),
        ["catalogue", "import", services, scopes] => catalogue::import(&root, services, Some(scopes)),
        ["foreign"] => foreign::run(&root),
        ["console", rest @ ..] => browser::run(&root, rest),
        [] | ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown command `{}`\n\n{USAGE}", words.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // On standard output like everything before it, so that it is the last line wherever the two streams go.
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

//! What is made of the commands and settings themselves: completions, manual, reference.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use jackfield_core::EventKind;

use crate::failure::{Failure, Result};
use crate::{say, settings};

#[derive(Args)]
pub struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

#[derive(Args)]
pub struct Man {
    /// Write a page for every command into this folder, instead of the first page on standard output
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Args)]
pub struct Reference {
    page: Page,
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    /// docs/reference/settings.md
    Settings,
    /// docs/reference/events.md
    Events,
    /// docs/permissions.md
    Permissions,
    /// the description of the API
    Openapi,
}

pub fn completions(args: &Completions, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "jackfield", &mut script);
    say::bytes(&script)
}

pub fn man(args: &Man, command: Command) -> Result<()> {
    let failed = |e: std::io::Error| Failure::new(format!("The manual cannot be written: {e}."));
    if let Some(folder) = &args.folder {
        return clap_mangen::generate_to(command, folder).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
    say::bytes(&page)
}

pub fn reference(args: &Reference) -> Result<()> {
    match args.page {
        Page::Settings => say::bytes(settings::reference().as_bytes()),
        Page::Permissions => say::bytes(jackfield_core::permissions::page().as_bytes()),
        Page::Events => say::bytes(events().as_bytes()),
        Page::Openapi => say::line(jackfield_server::openapi_json()),
    }
}

/// `docs/reference/events.md`.
fn events() -> String {
    let mut page = "# Events\n\n\
        <!-- Written by `jackfield reference events` from crates/core/src/event.rs. -->\n\n\
        What can happen, by the words that stand in the audit trail (`GET /v1/audit`, `jackfield audit list`) and in the history of a\n\
        connection (`GET /v1/connections/{link_name}/events`, kept for a month).\n\n\
        | event | means | audit | history |\n|---|---|---|---|\n"
        .to_owned();
    let yes = |is: bool| if is { "yes" } else { "" };
    for kind in EventKind::ALL {
        let (word, meaning) = (kind.as_str(), kind.meaning());
        let (audited, history) = (yes(kind.is_audited()), yes(kind.is_history()));
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{word}` | {meaning} | {audited} | {history} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_pages_are_what_the_code_says() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let found = std::fs::read_to_string(docs.join("reference/events.md")).unwrap_or_default();
        assert!(found == super::events(), "write docs/reference/events.md anew: jackfield reference events");
        let found = std::fs::read_to_string(docs.join("permissions.md")).unwrap_or_default();
        let page = jackfield_core::permissions::page();
        assert!(found == page, "write docs/permissions.md anew: jackfield reference permissions");
    }
}

//! What is made of the commands and settings themselves: completions, manual, reference.

use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;

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
        Page::Openapi => say::line(jackfield_server::openapi_json()),
    }
}

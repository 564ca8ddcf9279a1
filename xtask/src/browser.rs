//! The console in a real browser: `e2e/` with Playwright and the machine's Chromium.
//!
//! Like `testkit/foreign/` it is copied to the target folder and its packages are installed there. It drives the binary that is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{foreign, metadata, shell};

pub const SOURCE: &str = "e2e";

/// `cargo xtask console`: builds the binary first; what follows is for Playwright, a file's name for example.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let target = metadata::read(root)?.target;
    shell::run(shell::cargo().args(["build", "--bin", "jackfield"]).current_dir(root))?;
    let servers = foreign::prepare(root, &target)?.ok_or("there is no testkit/foreign")?;
    drive(root, &target, &servers, arguments)
}

/// Installs and runs the tests against `<target>/debug/jackfield`.
pub fn drive(root: &Path, target: &Path, servers: &Path, arguments: &[&str]) -> Result<(), String> {
    let binary = target.join("debug/jackfield");
    if !binary.is_file() {
        return Err(format!("{} is not there; build it first", binary.display()));
    }
    let folder = target.join(SOURCE);
    foreign::install_at(&root.join(SOURCE), &folder)?;
    let pictures: PathBuf = folder.join("results");
    let mut node = Command::new("node");
    node.args(["node_modules/@playwright/test/cli.js", "test"])
        .args(arguments)
        .current_dir(&folder)
        .env("JACKFIELD_BIN", &binary)
        .env(foreign::VARIABLE, servers)
        .env("JACKFIELD_E2E_RESULTS", &pictures);
    // A program of this family may be asked to write in colour by whoever runs it; both at once it complains about.
    node.env_remove("FORCE_COLOR");
    shell::run(&mut node).map_err(|e| format!("{e}; the pages as they were are in {}", pictures.display()))
}

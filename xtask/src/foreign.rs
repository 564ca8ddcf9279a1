//! Servers of other projects, from npm and PyPI, that our tests run against.
//!
//! `testkit/foreign/` holds their manifests and start scripts. They are copied to `<target>/foreign/` and installed
//! there, so that the clone stays clean; again only when a manifest or an interpreter has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{metadata, shell};

/// Where tests find them.
pub const VARIABLE: &str = "JACKFIELD_FOREIGN";

const SOURCE: &str = "testkit/foreign";
const MANIFESTS: [&str; 3] = ["package.json", "package-lock.json", "requirements.txt"];
const INSTALLED: [&str; 2] = ["node_modules", "venv"];
const STAMP: &str = ".installed";

type Install = fn(&Path) -> Result<(), String>;

/// `cargo xtask foreign`.
pub fn run(root: &Path) -> Result<(), String> {
    let target = metadata::read(root)?.target;
    match prepare(root, &target)? {
        Some(folder) => println!("export {VARIABLE}={}", folder.display()),
        None => println!("there is no {SOURCE}"),
    }
    Ok(())
}

pub fn has(root: &Path, manifest: &str) -> bool {
    root.join(SOURCE).join(manifest).is_file()
}

/// The folder with everything installed, or `None` when there is nothing to install.
pub fn prepare(root: &Path, target: &Path) -> Result<Option<PathBuf>, String> {
    prepare_with(root, target, install)
}

fn prepare_with(root: &Path, target: &Path, install: Install) -> Result<Option<PathBuf>, String> {
    let source = root.join(SOURCE);
    if !source.is_dir() {
        return Ok(None);
    }
    let folder = target.join("foreign");
    install_at_with(&source, &folder, install)?;
    Ok(Some(folder))
}

/// Copies a folder to another place, outside the clone, and installs there what its manifests name.
pub fn install_at(source: &Path, folder: &Path) -> Result<(), String> {
    install_at_with(source, folder, install)
}

fn install_at_with(source: &Path, folder: &Path, install: Install) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    clear_scripts(folder).map_err(failed)?;
    copy(source, folder).map_err(failed)?;
    let wanted = stamp(source);
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == wanted) {
        println!("   installed already in {}", folder.display());
        return Ok(());
    }
    clear(folder).map_err(failed)?;
    install(folder)?;
    // Last, so that an installation that broke off is not taken for a whole one.
    fs::write(folder.join(STAMP), wanted).map_err(failed)
}

fn install(folder: &Path) -> Result<(), String> {
    if folder.join("package.json").is_file() {
        let word = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
        shell::run(
            Command::new("npm")
                .args([word, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
                .current_dir(folder),
        )?;
    }
    if folder.join("requirements.txt").is_file() {
        shell::run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder))?;
        shell::run(
            Command::new(folder.join("venv/bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                    "requirements.txt",
                ])
                .current_dir(folder),
        )?;
    }
    Ok(())
}

/// What an installation depends on: the text of the manifests and the versions of the interpreters.
fn stamp(source: &Path) -> String {
    let mut stamp = String::new();
    for name in MANIFESTS {
        stamp.extend(["== ", name, "\n"]);
        stamp.push_str(&fs::read_to_string(source.join(name)).unwrap_or_default());
    }
    for program in ["node", "python3"] {
        stamp.extend(["\n== ", program, "\n"]);
        stamp.push_str(&shell::output(Command::new(program).arg("--version")).unwrap_or_default());
    }
    stamp
}

/// Removes what another set of manifests left.
fn clear(folder: &Path) -> std::io::Result<()> {
    for name in INSTALLED {
        if folder.join(name).exists() {
            fs::remove_dir_all(folder.join(name))?;
        }
    }
    if folder.join(STAMP).exists() {
        fs::remove_file(folder.join(STAMP))?;
    }
    Ok(())
}

/// Removes all but what is installed, so that nothing stays that the source no longer has.
fn clear_scripts(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if INSTALLED.iter().chain([&STAMP]).any(|kept| name == **kept) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Copies a folder, without what somebody installed in place.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if INSTALLED.iter().any(|installed| name == *installed) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (source, target) = (root.path().join(SOURCE), root.path().join("target"));
        fs::create_dir_all(source.join("servers")).unwrap();
        fs::write(source.join("servers/one.mjs"), "1").unwrap();
        (root, source, target)
    }

    #[test]
    fn nothing_to_install_is_no_failure() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(prepare(root.path(), &root.path().join("target")).unwrap(), None);
    }

    /// Stands for npm and pip.
    fn installs(folder: &Path) -> Result<(), String> {
        fs::create_dir(folder.join("node_modules")).map_err(|e| e.to_string())
    }

    #[test]
    fn scripts_are_copied_each_time_and_manifests_decide_about_installing() {
        let (root, source, target) = tree();
        let folder = prepare_with(root.path(), &target, installs).unwrap().unwrap();
        let never = |_: &Path| Err("installed again".to_owned());
        fs::write(source.join("servers/one.mjs"), "2").unwrap();
        fs::write(source.join("servers/two.mjs"), "2").unwrap();
        prepare_with(root.path(), &target, never).unwrap();
        assert_eq!(fs::read_to_string(folder.join("servers/one.mjs")).unwrap(), "2");
        fs::remove_file(source.join("servers/two.mjs")).unwrap();
        prepare_with(root.path(), &target, never).unwrap();
        assert!(!folder.join("servers/two.mjs").exists(), "what the source no longer has is gone");

        fs::write(source.join("package.json"), "{}").unwrap();
        fs::write(folder.join("node_modules/old"), "").unwrap();
        prepare_with(root.path(), &target, installs).unwrap();
        assert!(!folder.join("node_modules/old").exists(), "what other manifests brought is gone");
    }

    #[test]
    fn an_installation_that_failed_is_tried_again() {
        let (root, _, target) = tree();
        assert!(prepare_with(root.path(), &target, |_| Err("no network".to_owned())).is_err());
        let folder = prepare_with(root.path(), &target, installs).unwrap().unwrap();
        assert!(folder.join("node_modules").exists());
    }

    #[test]
    fn the_stamp_follows_the_manifests() {
        let (_root, source, _) = tree();
        let before = stamp(&source);
        fs::write(source.join("requirements.txt"), "a==1").unwrap();
        assert_ne!(before, stamp(&source));
    }
}

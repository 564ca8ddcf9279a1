//! What the tests need from the machine besides Rust.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{foreign, shell};

/// Debian's scripts ask this program whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

struct Need {
    what: &'static str,
    /// Debian's name for it.
    packages: &'static [&'static str],
    wanted: fn(&Path) -> bool,
    present: fn() -> bool,
    /// Without it a step is left out, and says so.
    optional: bool,
}

const NEEDS: &[Need] = &[
    Need {
        what: "PostgreSQL 15 or newer (the tests start servers of their own)",
        packages: &["postgresql"],
        wanted: |root| root.join("testkit").is_dir(),
        present: postgres,
        optional: false,
    },
    Need {
        what: "Node.js and npm",
        packages: &["nodejs", "npm"],
        wanted: |root| foreign::has(root, "package.json") || root.join("e2e").is_dir(),
        present: || has("node") && has("npm"),
        optional: false,
    },
    Need {
        what: "Python 3 with venv",
        packages: &["python3", "python3-venv"],
        wanted: |root| foreign::has(root, "requirements.txt"),
        present: || shell::answers(Command::new("python3").args(["-c", "import ensurepip, venv"])),
        optional: false,
    },
    Need {
        what: "Chromium (the console in a real browser)",
        packages: &["chromium"],
        wanted: |root| root.join("e2e").is_dir(),
        present: || has("chromium"),
        optional: false,
    },
    Need {
        what: "nginx (the peer of the benchmarks)",
        packages: &["nginx-light"],
        wanted: |root| root.join(crate::test::SMOKE).is_file(),
        present: nginx,
        optional: true,
    },
];

/// Sees to everything the tree needs; says what it found and what it installs.
pub fn provide(root: &Path) -> Result<(), String> {
    components()?;
    let missing: Vec<&Need> =
        NEEDS.iter().filter(|need| (need.wanted)(root)).filter(|need| !said(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let required = missing.iter().any(|need| !need.optional);
    match install(&packages) {
        Err(e) if required => return Err(e),
        Err(e) => println!("   {e}"),
        Ok(()) => {}
    }
    let still: Vec<&str> =
        missing.iter().filter(|need| !need.optional && !(need.present)()).map(|need| need.what).collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("still missing after the installation: {}", still.join(", ")))
    }
}

pub fn nginx() -> bool {
    has("nginx")
}

fn said(need: &Need) -> bool {
    let present = (need.present)();
    println!("   {} {}", if present { "found:  " } else { "missing:" }, need.what);
    present
}

/// The parts of Rust that a minimal toolchain leaves out.
fn components() -> Result<(), String> {
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(command, _)| !shell::answers(shell::cargo().args([command, "--version"])))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("   missing: {}", missing.join(", "));
    if has("rustup") {
        return shell::run(Command::new("rustup").args(["component", "add"]).args(&missing));
    }
    Err(format!("install {} for this Rust toolchain", missing.join(" and ")))
}

fn install(packages: &[&str]) -> Result<(), String> {
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !root || !has("apt-get") {
        return Err(format!("install these packages first: apt-get install {}", packages.join(" ")));
    }
    println!("   installing {}; the services they bring are not started", packages.join(", "));
    let _quiet = NoServices::begin()?;
    shell::run(apt().arg("update"))?;
    shell::run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// While it lives, the installation of a package starts no service.
struct NoServices {
    ours: Option<PathBuf>,
}

impl NoServices {
    fn begin() -> Result<Self, String> {
        let path = Path::new(POLICY);
        // Who has a policy has one for a reason.
        if path.exists() {
            return Ok(Self { ours: None });
        }
        // 101: "action forbidden by policy".
        fs::write(path, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
            .map_err(|e| format!("{POLICY}: {e}"))?;
        Ok(Self { ours: Some(path.to_owned()) })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.ours {
            // A policy that stays behind hinders services at most.
            let _ = fs::remove_file(path);
        }
    }
}

/// As `testkit` looks for it.
fn postgres() -> bool {
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().any(|entry| {
        let version = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        version.is_some_and(|version| version >= 15) && entry.path().join("bin/initdb").is_file()
    });
    packaged || (has("initdb") && has("pg_ctl"))
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian keeps servers, which the PATH of many people does not name.
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_tests_needs_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert!(NEEDS.iter().all(|need| !(need.wanted)(root.path())));
    }

    #[test]
    fn needs_follow_the_tree() {
        let root = tempfile::tempdir().unwrap();
        let wanted = || {
            NEEDS
                .iter()
                .filter(|need| (need.wanted)(root.path()))
                .map(|need| need.packages[0])
                .collect::<Vec<_>>()
        };
        fs::create_dir_all(root.path().join("testkit/foreign")).unwrap();
        assert_eq!(wanted(), ["postgresql"]);
        fs::write(root.path().join("testkit/foreign/requirements.txt"), "").unwrap();
        assert_eq!(wanted(), ["postgresql", "python3"]);
        fs::create_dir(root.path().join("e2e")).unwrap();
        assert_eq!(wanted(), ["postgresql", "nodejs", "python3", "chromium"]);
    }

    #[test]
    fn programs_are_looked_for() {
        assert!(has("sh"));
        assert!(!has("no-such-program-here"));
    }
}

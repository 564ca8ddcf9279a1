//! Which crate may import which. The picture is in ARCHITECTURE.md.

use crate::metadata::Package;

/// A crate of the workspace and what of the workspace it may import. Development dependencies are free: a test may
/// use the house from any side.
const LAYERS: &[(&str, &[&str])] = &[
    ("jackfield-core", &[]),
    ("jackfield-vault", &[]),
    ("jackfield-oauth", &[]),
    ("jackfield-store", &["jackfield-core"]),
    ("jackfield-engine", &["jackfield-core", "jackfield-store", "jackfield-vault", "jackfield-oauth"]),
    ("jackfield-server", &["jackfield-core", "jackfield-engine"]),
    (
        "jackfield",
        &[
            "jackfield-core",
            "jackfield-vault",
            "jackfield-oauth",
            "jackfield-store",
            "jackfield-engine",
            "jackfield-server",
            "jackfield-sandbox",
        ],
    ),
    ("jackfield-sandbox", &[]),
    ("jackfield-testkit", &["jackfield-sandbox"]),
    ("xtask", &[]),
];

/// Libraries that not every crate may import. `deny.toml` says the same to cargo-deny.
struct Reserved {
    libraries: &'static [&'static str],
    owners: &'static [&'static str],
    /// Besides the owners, in tests.
    in_tests: &'static [&'static str],
    mend: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        libraries: &[
            "sqlx",
            "sqlx-core",
            "rusqlite",
            "libsqlite3-sys",
            "tokio-postgres",
            "postgres",
            "diesel",
        ],
        owners: &["jackfield-store"],
        in_tests: &[],
        mend: "only `store` speaks SQL: add a method to `Store`",
    },
    Reserved {
        libraries: &["axum", "axum-core", "axum-extra", "utoipa-swagger-ui"],
        owners: &["jackfield-server", "jackfield-sandbox", "jackfield-testkit"],
        in_tests: &[],
        mend: "only `server` knows the web framework: put the logic into `engine` and the route into `server`",
    },
    Reserved {
        libraries: &["hyper-rustls"],
        owners: &["jackfield-engine"],
        in_tests: &["jackfield-sandbox", "jackfield-testkit"],
        mend: "one door out: use jackfield_engine::call::egress::Egress",
    },
    Reserved {
        libraries: &["reqwest", "ureq", "isahc", "curl", "awc", "surf", "attohttpc", "minreq"],
        owners: &["jackfield-testkit"],
        in_tests: &["jackfield-sandbox"],
        mend: "one door out: use jackfield_engine::call::egress::Egress, and in tests the client of `testkit`",
    },
    Reserved {
        libraries: &["openssl", "openssl-sys", "native-tls", "hyper-tls"],
        owners: &[],
        in_tests: &[],
        mend: "TLS is rustls with aws-lc-rs",
    },
];

pub fn between_crates(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            complaints.push(format!(
                "crate {}: not in the table of layers; give it a row in xtask/src/tidy/layers.rs and in ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = packages.iter().any(|other| other.name == dependency.name);
            if ours && !dependency.dev && !allowed.contains(&dependency.name.as_str()) {
                complaints.push(format!(
                    "crate {}: may not depend on {}; it may on: {}. Move the code to where it belongs (ARCHITECTURE.md)",
                    package.name,
                    dependency.name,
                    if allowed.is_empty() { "no crate of the workspace".to_owned() } else { allowed.join(", ") }
                ));
            }
        }
    }
    complaints
}

pub fn libraries(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let is = |names: &[&str]| names.contains(&package.name.as_str());
        for dependency in &package.dependencies {
            for reserved in RESERVED.iter().filter(|r| r.libraries.contains(&dependency.name.as_str())) {
                let allowed = is(reserved.owners) || (dependency.dev && is(reserved.in_tests));
                if !allowed {
                    complaints.push(format!(
                        "crate {}: may not depend on {}; {}",
                        package.name, dependency.name, reserved.mend
                    ));
                }
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependencies =
            dependencies.iter().map(|(name, dev)| Dependency { name: (*name).to_owned(), dev: *dev });
        Package { name: name.to_owned(), dependencies: dependencies.collect() }
    }

    /// Every crate of the table, and `extra` in the place of its namesake.
    fn with(extra: Package) -> Vec<Package> {
        let mut packages: Vec<_> = LAYERS.iter().map(|(name, _)| package(name, &[])).collect();
        packages.retain(|package| package.name != extra.name);
        packages.push(extra);
        packages
    }

    #[test]
    fn the_table_is_kept() {
        for (name, dependency) in [
            ("jackfield-core", "jackfield-vault"),
            ("jackfield-oauth", "jackfield-core"),
            ("jackfield-store", "jackfield-engine"),
            ("jackfield-engine", "jackfield-server"),
            ("jackfield-server", "jackfield-store"),
            ("jackfield", "jackfield-testkit"),
            ("jackfield-testkit", "jackfield-server"),
        ] {
            let complaints = between_crates(&with(package(name, &[(dependency, false)])));
            assert_eq!(complaints.len(), 1, "{name} → {dependency}: {complaints:?}");
            assert!(complaints[0].contains(dependency));
        }
        assert!(
            between_crates(&with(package("jackfield-server", &[("jackfield-engine", false)]))).is_empty()
        );
    }

    #[test]
    fn tests_may_use_the_house_from_any_side() {
        assert!(between_crates(&with(package("jackfield-store", &[("jackfield-testkit", true)]))).is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert_eq!(between_crates(&[package("jackfield-extra", &[])]).len(), 1);
    }

    #[test]
    fn libraries_have_owners() {
        for (name, library, dev) in [
            ("jackfield-server", "sqlx", false),
            ("jackfield-engine", "sqlx", true),
            ("jackfield-engine", "axum", false),
            ("jackfield", "hyper-rustls", false),
            ("jackfield-engine", "reqwest", true),
            ("jackfield-sandbox", "reqwest", false),
            ("jackfield-testkit", "native-tls", true),
        ] {
            assert_eq!(libraries(&[package(name, &[(library, dev)])]).len(), 1, "{name} → {library}");
        }
        for (name, library, dev) in [
            ("jackfield-store", "sqlx", false),
            ("jackfield-server", "axum", false),
            ("jackfield-sandbox", "reqwest", true),
            ("jackfield-engine", "hyper-rustls", false),
        ] {
            assert!(libraries(&[package(name, &[(library, dev)])]).is_empty(), "{name} → {library}");
        }
    }
}

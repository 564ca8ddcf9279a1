//! What cargo knows about the workspace.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell;

#[derive(Debug)]
pub struct Workspace {
    pub packages: Vec<Package>,
    /// Where builds go.
    pub target: PathBuf,
}

#[derive(Debug)]
pub struct Package {
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub struct Dependency {
    /// As the registry calls it, whatever the manifest renames it to.
    pub name: String,
    /// Only for tests, benches and examples.
    pub dev: bool,
}

/// Reads manifests only: no network, no lock file, and no crate need compile.
pub fn read(root: &Path) -> Result<Workspace, String> {
    let mut cargo = shell::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let text = shell::output(&mut cargo)
        .ok_or("`cargo metadata --no-deps` fails; run it by hand: it names the manifest it cannot read")?;
    parse(&text).ok_or_else(|| "`cargo metadata` printed something unknown".to_owned())
}

fn parse(text: &str) -> Option<Workspace> {
    let json: Value = serde_json::from_str(text).ok()?;
    let packages = json["packages"].as_array()?.iter().map(package).collect::<Option<_>>()?;
    Some(Workspace { packages, target: json["target_directory"].as_str()?.into() })
}

fn package(json: &Value) -> Option<Package> {
    let dependencies = json["dependencies"].as_array()?.iter().map(|dependency| {
        Some(Dependency { name: dependency["name"].as_str()?.to_owned(), dev: dependency["kind"] == "dev" })
    });
    Some(Package {
        name: json["name"].as_str()?.to_owned(),
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_and_development_dependencies_are_recognised() {
        let workspace = parse(
            r#"{"target_directory":"/t","packages":[{"name":"a","dependencies":[
                {"name":"sqlx","rename":"database","kind":null},{"name":"b","rename":null,"kind":"dev"}]}]}"#,
        )
        .unwrap();
        let [a] = &workspace.packages[..] else { panic!("{workspace:?}") };
        assert_eq!((a.dependencies[0].name.as_str(), a.dependencies[0].dev), ("sqlx", false));
        assert_eq!((a.dependencies[1].name.as_str(), a.dependencies[1].dev), ("b", true));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(parse("{}").is_none());
        assert!(parse("not json").is_none());
    }
}

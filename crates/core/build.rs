//! Lists the files of `connectors/`, with the facts that lists and searches need, so that the start reads no document.

#![allow(clippy::print_stdout, reason = "cargo is told so which files matter")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let own = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let folder = own.join("../../connectors").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Done<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    let mut out = String::from("&[\n");
    for file in &files {
        let line = entry(file).map_err(|error| format!("{}: {error}", file.display()))?;
        writeln!(out, "{line},")?;
    }
    out.push_str("]\n");
    std::fs::write(PathBuf::from(variable("OUT_DIR")?).join("catalogue.rs"), out)?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the variables of cargo are no settings")]
fn variable(name: &str) -> Done<String> {
    Ok(std::env::var(name)?)
}

/// One file as the expression of a `BuiltIn`. What the whole document must be like is checked by tests, not here.
fn entry(file: &Path) -> Done<String> {
    let link_name = file.file_stem().and_then(|stem| stem.to_str()).ok_or("has no readable name")?;
    let document: toml::Table = std::fs::read_to_string(file)?.parse()?;
    let text = |name: &str| document.get(name).and_then(toml::Value::as_str);
    let auth = document.get("auth").and_then(|auth| auth.get("type")).and_then(toml::Value::as_str);
    let regions: Vec<&str> = document
        .get("regions")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .collect();
    Ok(format!(
        "BuiltIn {{ link_name: {link_name:?}, name: {:?}, description: {:?}, category: {:?}, auth_type: {:?}, logo: {:?}, operations: {}, \
         regions: &{regions:?}, text: include_str!({:?}) }}",
        text("name").ok_or("has no name")?,
        text("description"),
        text("category"),
        auth.ok_or("has no auth.type")?,
        text("logo"),
        document.contains_key("modules"),
        file.to_str().ok_or("has no readable path")?,
    ))
}

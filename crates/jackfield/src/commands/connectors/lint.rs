//! `jackfield connectors lint`: what is wrong with a document, and where.

use std::path::Path;

use jackfield_core::connector::{self, Fault, Format};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::{input, say};

/// Says every fault of every file; fails where there is one.
pub fn run(files: &[String], as_json: bool) -> Result<()> {
    let mut wrong = 0_usize;
    let mut all = Vec::new();
    for file in files {
        let faults = connector::lint(&input::read(file)?, format_of(file)).err().unwrap_or_default();
        wrong += faults.len();
        if as_json {
            all.push(json!({"file": file, "faults": faults}));
        } else if faults.is_empty() {
            say::line(format!("{}: nothing is wrong", say::visible(file)))?;
        } else {
            for fault in &faults {
                say::line(line(file, fault))?;
            }
        }
    }
    if as_json {
        say::line(json!({ "files": all }).to_string())?;
    }
    match wrong {
        0 => Ok(()),
        _ if as_json => Err(Failure::silent(1)),
        1 => Err(Failure::new("1 thing is wrong.")),
        many => Err(Failure::new(format!("{many} things are wrong."))),
    }
}

/// By the file's ending, as everywhere; what comes from standard input is JSON.
pub fn format_of(file: &str) -> Format {
    if Path::new(file).extension().is_some_and(|ending| ending == "toml") {
        Format::Toml
    } else {
        Format::Json
    }
}

/// `acme.toml:3:1: auth.token_url is missing`, as editors understand it.
fn line(file: &str, fault: &Fault) -> String {
    let place = format!("{file}:{}:{}:", fault.line, fault.column);
    let said = match (fault.code.as_str(), fault.field.as_str()) {
        ("invalid_toml" | "invalid_json", _) => format!("{place} {}", fault.message),
        (_, "") => format!("{place} the document {}", fault.message),
        (_, field) => format!("{place} {field} {}", fault.message),
    };
    say::visible(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_editors_understand() {
        let fault = |field: &str, code: &str| Fault {
            line: 3,
            column: 7,
            field: field.to_owned(),
            code: code.to_owned(),
            message: "is \u{1b}wrong".to_owned(),
        };
        let said = line("a.toml", &fault("auth.type", "invalid"));
        assert!(said.starts_with("a.toml:3:7: auth.type is ") && !said.contains('\u{1b}'), "{said}");
        assert!(line("a.toml", &fault("", "too_long")).starts_with("a.toml:3:7: the document is"));
        assert_eq!(format_of("a/b.toml"), Format::Toml);
        assert_eq!((format_of("b.json"), format_of("-")), (Format::Json, Format::Json));
    }
}

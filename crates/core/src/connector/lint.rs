//! Everything that is wrong with a connector document in a file, each fault with the line where it is mended.

use serde::Serialize;

use super::document::Connector;
use super::places::{self, Places, line_and_column};
use super::read::{self, DOCUMENT_MAX};
use crate::error::FieldError;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    Json,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// from one
    pub line: usize,
    /// from one, in characters
    pub column: usize,
    /// dotted path of the member; empty for the whole document
    pub field: String,
    pub code: String,
    /// what is wrong, as it follows the name of the member
    pub message: String,
}

impl Fault {
    pub(super) fn at(text: &str, offset: usize, field: &str, code: &str, message: &str) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self { line, column, field: field.to_owned(), code: code.to_owned(), message: message.to_owned() }
    }
}

/// Reads a document as [`Connector::from_toml`] and [`Connector::from_json`] do, and says where in the text each fault is.
pub fn lint(text: &str, format: Format) -> Result<Connector, Vec<Fault>> {
    if text.len() > DOCUMENT_MAX {
        let fault = |error: FieldError| Fault::at(text, 0, &error.field, &error.code, &error.message);
        return Err(read::too_large().into_iter().map(fault).collect());
    }
    let (value, places) = match format {
        Format::Toml => places::of_toml(text)?,
        Format::Json => places::of_json(text)?,
    };
    let checked = read::read(value).and_then(|connector| {
        match format {
            Format::Toml => connector.validate()?,
            Format::Json => connector.validate_custom()?,
        }
        Ok(connector)
    });
    checked.map_err(|errors| located(text, &places, errors))
}

fn located(text: &str, places: &Places, errors: Vec<FieldError>) -> Vec<Fault> {
    let fault = |error: FieldError| {
        Fault::at(text, places.find(&error.field), &error.field, &error.code, &error.message)
    };
    let mut faults: Vec<Fault> = errors.into_iter().map(fault).collect();
    faults.sort();
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, format: Format) -> Vec<(usize, usize, String, String)> {
        let faults = lint(text, format).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.line, fault.column, fault.field, fault.code)).collect()
    }

    fn place(line: usize, column: usize, field: &str, code: &str) -> (usize, usize, String, String) {
        (line, column, field.to_owned(), code.to_owned())
    }

    #[test]
    fn every_fault_of_a_toml_file_has_its_line() {
        let text = "name = \"Acme\"\nbase_url = 7\npkce = true\n\n[[parameters]]\nname = \"a b\"\nlable = \"x\"\n\n\
                    [auth]\ntype = \"oauth2_code\"\ntoken_ulr = \"https://a.example/t\"\n";
        assert_eq!(
            faults(text, Format::Toml),
            [
                place(2, 1, "base_url", "wrong_type"),
                place(3, 1, "pkce", "unknown"),
                place(7, 1, "parameters.0.lable", "unknown"),
                place(9, 2, "auth.authorize_url", "required"),
                place(9, 2, "auth.token_url", "required"),
                place(11, 1, "auth.token_ulr", "unknown"),
            ]
        );
        let said = lint(text, Format::Toml).err().unwrap_or_default();
        assert!(said.iter().any(|fault| fault.message.contains("did you mean \"token_url\"?")), "{said:?}");
        assert!(said.iter().any(|fault| fault.message.contains("it belongs in auth")), "{said:?}");
    }

    #[test]
    fn every_fault_of_a_json_file_has_its_line() {
        let text = "{\n  \"name\": \"Acme\",\n  \"base_url\": \"https://{nothing}.a.example\",\n  \"scopes\": [\n    \
                    {\"name\": \"r\"},\n    {\"label\": \"\u{fc}\", \"acc\\u0065ss\": 3}\n  ],\n  \"auth\": {\"type\": \"none\"}\n}";
        assert_eq!(
            faults(text, Format::Json),
            [place(6, 5, "scopes.1.name", "required"), place(6, 20, "scopes.1.access", "wrong_type")]
        );
        let meaning = text.replace("\"label\"", "\"name\"").replace("3}", "\"read\"}");
        let found = faults(&meaning, Format::Json);
        assert_eq!((found.first().map(|f| (f.0, f.1)), found.len()), (Some((3, 3)), 1), "{found:?}");
        let twice = "{\"name\": \"A\",\n \"name\": \"B\", \"base_url\": \"https://a.example\", \"auth\": {\"type\": \"none\"}}";
        assert_eq!(faults(twice, Format::Json), [place(2, 2, "name", "duplicate")]);
    }

    #[test]
    fn what_is_no_document_at_all_has_a_line_too() {
        assert_eq!(faults("{\n \"a\": }", Format::Json), [place(2, 7, "", "invalid_json")]);
        let yaml = lint("openapi: 3.0.0", Format::Json).err().unwrap_or_default();
        assert!(yaml.iter().any(|fault| fault.message.contains(".toml")), "{yaml:?}");
        let found = faults("name = \"A\"\nbase_url = \n[auth\n", Format::Toml);
        assert!(
            found.iter().any(|fault| fault.0 == 2) && found.iter().any(|fault| fault.0 == 3),
            "{found:?}"
        );
        assert_eq!(faults("[]", Format::Json), [place(1, 1, "", "wrong_type")]);
        assert_eq!(faults(&" ".repeat(DOCUMENT_MAX + 1), Format::Json), [place(1, 1, "", "too_long")]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = lint(&text, Format::Toml);
            let _ = lint(&text, Format::Json);
        }

        /// Whatever stands in a document, its places are found in the text that it is written as.
        #[test]
        fn every_member_is_found(names in proptest::collection::vec("[a-z\"\\\\\u{fc}{}\\[,:]{1,8}", 1..6)) {
            let members: serde_json::Map<String, serde_json::Value> =
                names.iter().map(|name| (name.clone(), serde_json::json!([name, {"x": name}]))).collect();
            let value = serde_json::Value::Object(members.clone());
            let text = serde_json::to_string_pretty(&value).unwrap();
            let (read, places) = places::of_json(&text).unwrap();
            assert_eq!(read, value);
            for name in members.keys().filter(|name| !name.contains('.')) {
                let quoted = serde_json::to_string(name).unwrap();
                assert!(text[places.find(name)..].starts_with(&quoted), "{name} in {text}");
                assert!(text[places.find(&format!("{name}.1.x"))..].starts_with("\"x\""), "{name} in {text}");
            }
        }
    }
}

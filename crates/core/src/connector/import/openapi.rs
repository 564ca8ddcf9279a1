//! A connector out of an OpenAPI 3.0 or 3.1 document.

mod operations;
mod security;
mod servers;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::{Draft, Report, TEXT_MAX, Wanted, connector_name, origin_and_path, put, refused, sentence, yaml};
use crate::error::Result;

const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

/// A draft out of a document in JSON or YAML. `source` is where it was published, for addresses that are relative to it.
pub fn from_openapi(text: &str, wanted: &Wanted, name: Option<&str>, source: Option<&str>) -> Result<Draft> {
    if text.len() > TEXT_MAX {
        return Err(refused("too_long", "The document may have 16 MiB."));
    }
    let root =
        yaml::read(text).map_err(|why| refused("invalid", format!("The document cannot be read: {why}.")))?;
    match root
        .get("openapi")
        .map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned))
    {
        Some(version) if version.starts_with("3.") => {}
        Some(version) => {
            return Err(refused(
                "not_supported",
                format!("OpenAPI {version} is not known here; 3.0 and 3.1 are."),
            ));
        }
        None if root.get("swagger").is_some() => {
            return Err(refused(
                "not_supported",
                "This is Swagger 2.0. Convert it to OpenAPI 3 first; its vendor may publish that as well.",
            ));
        }
        None => return Err(refused("invalid", "This is no OpenAPI document: it has no member openapi.")),
    }
    let mut import =
        Import { root: &root, report: Report::default(), document: Map::new(), parameters: Vec::new() };
    import.about(name);
    import.server(source);
    import.auth();
    let operations = import.operations(wanted);
    if !import.parameters.is_empty() {
        let parameters = std::mem::take(&mut import.parameters);
        import.document.insert("parameters".to_owned(), parameters.into());
    }
    Ok(import.report.done(Value::Object(import.document), operations))
}

struct Import<'a> {
    root: &'a Value,
    report: Report,
    document: Map<String, Value>,
    parameters: Vec<Value>,
}

impl<'a> Import<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.root.pointer(pointer).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    fn about(&mut self, name: Option<&str>) {
        let title = self.text("/info/title").unwrap_or("");
        let title =
            name.map_or_else(|| connector_name(title, "Imported"), |name| connector_name(name, "Imported"));
        self.document.insert("name".to_owned(), title.into());
        let description = self.text("/info/description").and_then(|text| sentence(text, 300));
        put(&mut self.document, "description", description);
        let page =
            self.text("/externalDocs/url").filter(|url| origin_and_path(url).is_some() && url.len() <= 2000);
        put(&mut self.document, "documentation_url", page);
    }
}

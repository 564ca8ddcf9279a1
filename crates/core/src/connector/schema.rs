//! The JSON Schema of the connector document, generated from the types.

use serde_json::Value;

use super::document::Connector;

/// The JSON Schema (2020-12) of the connector document, as published in `docs/connector.schema.json`.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Connector).to_value();
    unwrap_lines(&mut schema);
    schema
}

/// Doc comments are wrapped for the source; a description is one line.
fn unwrap_lines(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "description" => {
                        *text =
                            text.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
                    }
                    value => unwrap_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/connector.schema.json");

    fn text() -> String {
        format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap())
    }

    #[test]
    fn the_published_schema_is_up_to_date() {
        let published = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            published == text(),
            "docs/connector.schema.json is out of date; rewrite it with\n  \
             cargo test -p jackfield-core --lib -- --ignored rewrite_the_published_schema"
        );
    }

    #[test]
    #[ignore = "writes docs/connector.schema.json"]
    fn rewrite_the_published_schema() {
        std::fs::write(FILE, text()).unwrap();
    }
}

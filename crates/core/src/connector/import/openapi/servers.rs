//! Where the API is: its first server, whose variables are asked when a connection is made.

use serde_json::{Map, Value, json};

use super::Import;
use crate::connector::import::{origin_and_path, put, sentence, word};

impl Import<'_> {
    pub(super) fn server(&mut self, source: Option<&str>) {
        let servers = self.root.get("servers").and_then(Value::as_array);
        let all: Vec<&Value> = servers.into_iter().flatten().collect();
        if all.len() > 1 {
            let others: Vec<&str> =
                all.iter().skip(1).take(5).filter_map(|server| server.get("url")?.as_str()).collect();
            self.report
                .note("servers", format!("The first one was taken. The others are {}.", others.join(", ")));
        }
        let url = all.first().and_then(|server| server.get("url")).and_then(Value::as_str).unwrap_or("/");
        let url = all.first().map_or_else(|| url.to_owned(), |server| self.with_variables(server, url));
        let url = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        let base = if url.starts_with("https://") || url.starts_with("http://") {
            url
        } else if let Some(origin) = source.and_then(origin_and_path).map(|(origin, _)| origin) {
            format!(
                "{origin}{}",
                if url.starts_with('/') || url.is_empty() { url } else { format!("/{url}") }
            )
        } else {
            self.report.note("servers", "The document does not say at which host the service is: it is asked when a connection is made.");
            self.parameters.push(json!({"name": "host", "label": "Host", "help": "Where the API is, for example api.example.com.", "required": true}));
            format!(
                "https://{{host}}{}",
                if url.starts_with('/') || url.is_empty() { url } else { format!("/{url}") }
            )
        };
        if base.starts_with("http://") {
            self.report.note("servers", "The address is not encrypted (http); calls to it are refused unless it is in a network that is allowed.");
        }
        self.document.insert("base_url".to_owned(), base.into());
    }

    /// A server's URL, its variables made parameters or replaced by what they are unless told.
    fn with_variables(&mut self, server: &Value, url: &str) -> String {
        let mut made = url.to_owned();
        let variables = server.get("variables").and_then(Value::as_object);
        for (name, variable) in variables.into_iter().flatten() {
            let slot = format!("{{{name}}}");
            if !url.contains(&slot) {
                continue;
            }
            let text = |member: &str| variable.get(member).and_then(Value::as_str);
            let default = text("default").unwrap_or("");
            let choices: Vec<&str> = variable
                .get("enum")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let plain = |value: &str| {
                !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            };
            let is_scheme = url.starts_with(&slot);
            if is_scheme
                || choices.len() == 1
                || (!default.is_empty() && !plain(default))
                || choices.iter().any(|c| !plain(c))
            {
                made = made.replace(&slot, default.trim_matches('/'));
                self.report.note(format!("servers.0.variables.{name}"), format!("It stands as {default}."));
                continue;
            }
            let own = word(name);
            made = made.replace(&slot, &format!("{{{own}}}"));
            let mut parameter = Map::new();
            parameter.insert("name".to_owned(), own.into());
            put(&mut parameter, "help", text("description").and_then(|text| sentence(text, 300)));
            put(&mut parameter, "default", (!default.is_empty()).then_some(default));
            if !choices.is_empty() {
                let choices = choices.iter().map(|choice| json!({"value": choice})).collect::<Vec<_>>();
                parameter.insert("choices".to_owned(), choices.into());
            }
            self.parameters.push(parameter.into());
        }
        // What is left in braces has no variable.
        while let Some((start, end)) =
            made.find('{').and_then(|start| Some((start, start + made.get(start..)?.find('}')?)))
        {
            let inside = made.get(start + 1..end).unwrap_or_default().to_owned();
            if self
                .parameters
                .iter()
                .any(|parameter| parameter.get("name").and_then(Value::as_str) == Some(&inside))
            {
                break;
            }
            let own = word(&inside);
            if own == inside {
                self.parameters.push(json!({"name": own, "required": true}));
                break;
            }
            made.replace_range(start..=end, &own);
        }
        made
    }
}

//! What commands are given: documents from files, `name=value` pairs, and answers to questions.

use std::io::{self, IsTerminal, Read, Write};

use serde_json::{Map, Value};

use crate::failure::{Failure, Result};
use crate::open::blocking;
use crate::say;

/// The text of a file, or of standard input for `-`.
pub fn read(file: &str) -> Result<String> {
    let read = if file == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|e| Failure::usage(format!("{file}: it cannot be read: {e}.")))
}

/// A JSON object, or the same as TOML where the file is called so.
pub fn document(file: &str) -> Result<Value> {
    let text = read(file)?;
    if std::path::Path::new(file).extension().is_some_and(|ending| ending == "toml") {
        // Errors of the parser quote the line, which may hold a secret: the message alone.
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| Failure::usage(format!("{file}: no TOML: {}.", e.message())))?;
        return serde_json::to_value(table).map_err(|e| Failure::usage(format!("{file}: {e}.")));
    }
    serde_json::from_str(&text).map_err(|e| Failure::usage(format!("{file}: no JSON: {e}.")))
}

/// The members of a JSON object in a file.
pub fn object(file: &str) -> Result<Map<String, Value>> {
    match document(file)? {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::usage(format!("{file}: it must hold an object, such as {{\"name\": \"value\"}}."))),
    }
}

/// `name=value`, for clap.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // Not repeated: what was meant may be a secret.
        _ => Err("say NAME=VALUE".to_owned()),
    }
}

/// `Name: value`, for clap.
pub fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("say NAME:VALUE".to_owned()),
    }
}

/// An object of pairs; a name that comes twice has a list.
pub fn collect(pairs: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in pairs {
        match all.get_mut(&name) {
            None => drop(all.insert(name, value.into())),
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    all
}

/// Asks for the fields that a connector wants and that were not given. `fields` is what the API says about them.
pub async fn ask_missing(fields: &Value, given: &mut Map<String, Value>, flag: &str) -> Result<()> {
    let wanted: Vec<&Value> = fields
        .as_array()
        .into_iter()
        .flatten()
        .filter(|field| {
            field.get("name").and_then(Value::as_str).is_some_and(|name| !given.contains_key(name))
        })
        .collect();
    let is = |field: &Value, member: &str| field.get(member) == Some(&Value::Bool(true));
    if !io::stdin().is_terminal() {
        let missing: Vec<String> = wanted
            .iter()
            .filter(|field| is(field, "required") && field.get("default").is_none_or(Value::is_null))
            .map(|field| format!("\n  {flag} {}=…", name_of(field)))
            .collect();
        return if missing.is_empty() {
            Ok(())
        } else {
            Err(Failure::usage(format!(
                "Something more is needed, and nobody is there to be asked:{}\nSecrets are better given as a JSON object in a \
                 file or on standard input: {flag}s FILE, {flag}s -",
                missing.concat()
            )))
        };
    }
    for field in wanted {
        let default = field.get("default").and_then(Value::as_str);
        let label = field.get("label").and_then(Value::as_str).unwrap_or(name_of(field));
        if let Some(help) = field.get("help").and_then(Value::as_str) {
            say::aside(say::visible(help));
        }
        let hint = match (default, is(field, "required")) {
            (Some(default), _) => format!(" [{default}]"),
            (None, true) => String::new(),
            (None, false) => " (may stay empty)".to_owned(),
        };
        let answer = ask(say::visible(&format!("{label}{hint}: ")), is(field, "secret")).await?;
        if !answer.is_empty() {
            given.insert(name_of(field).to_owned(), answer.into());
        }
    }
    Ok(())
}

fn name_of(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Asks one thing; a secret is not shown while it is typed.
pub async fn ask(question: String, secret: bool) -> Result<String> {
    let answer = blocking(move || {
        if secret {
            return rpassword::prompt_password(question);
        }
        let mut err = io::stderr().lock();
        err.write_all(question.as_bytes())?;
        err.flush()?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    })
    .await?;
    answer.map_err(|e| Failure::new(format!("The terminal cannot be read: {e}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        assert_eq!(pair("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert_eq!(header("Accept: text/plain").unwrap(), ("Accept".into(), "text/plain".into()));
        for wrong in ["hunter2", "=hunter2"] {
            assert!(!pair(wrong).unwrap_err().contains("hunter2"));
        }
        let object =
            collect([("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")].map(|(n, v)| (n.into(), v.into())));
        assert_eq!(Value::Object(object).to_string(), r#"{"a":["1","3","4"],"b":"2"}"#);
    }
}

//! `jackfield connectors import`: a draft out of what a service publishes. Documents and commands are read here, without a server; metadata is
//! fetched by the server.

use clap::{ArgGroup, Args};
use http::Method;
use jackfield_core::connector::import::{self, Draft, Wanted};
use jackfield_core::connector::{Format, lint, toml_of};
use serde_json::{Map, Value, json};

use crate::client::{Client, path};
use crate::failure::{Failure, Result};
use crate::view::text;
use crate::{input, say};

#[derive(Args)]
#[command(group(ArgGroup::new("made_of").required(true).args(["openapi", "curl", "discover"])))]
pub struct Import {
    /// An OpenAPI 3 document (JSON or YAML); - for standard input
    #[arg(long, value_name = "FILE")]
    openapi: Option<String>,
    /// A cURL command; - for standard input. Keys and passwords in it are not taken over
    #[arg(long, value_name = "COMMAND")]
    curl: Option<String>,
    /// Address of an authorization server, whose metadata the server reads
    #[arg(long, value_name = "URL")]
    discover: Option<String>,
    /// An operation to take, such as 'GET /pets'; again for more
    #[arg(long = "operation", value_name = "OPERATION", conflicts_with = "all")]
    operations: Vec<String>,
    /// Take every operation
    #[arg(long)]
    all: bool,
    /// List the operations that could be taken, and nothing else
    #[arg(long)]
    list: bool,
    /// What the connector is to be called
    #[arg(long)]
    name: Option<String>,
    /// Where the document was published, for addresses that are relative to it
    #[arg(long, value_name = "URL")]
    published_at: Option<String>,
    /// Keep it as a draft at the server
    #[arg(long, conflicts_with = "list")]
    save: bool,
}

impl Import {
    /// Whether no server is needed.
    pub fn is_offline(&self) -> bool {
        self.discover.is_none() && !self.save
    }

    fn wanted(&self) -> Option<Vec<String>> {
        if self.all {
            return Some(vec!["*".to_owned()]);
        }
        (!self.operations.is_empty()).then(|| self.operations.clone())
    }

    /// Of a document or a command, without a server.
    fn draft(&self) -> Result<Draft> {
        let name = self.name.as_deref();
        let draft = if let Some(file) = &self.openapi {
            let wanted = Wanted { operations: self.wanted() };
            import::from_openapi(&input::read(file)?, &wanted, name, self.published_at.as_deref())
        } else {
            let command = self.curl.as_deref().unwrap_or("");
            let command = if command == "-" { input::read("-")? } else { command.to_owned() };
            import::from_curl(&command, name)
        };
        draft.map_err(Failure::from)
    }
}

pub fn offline(import: &Import, as_json: bool) -> Result<()> {
    let draft = import.draft()?;
    if as_json {
        let json = serde_json::to_value(&draft).unwrap_or_default();
        return say::line(json.to_string());
    }
    show(&serde_json::to_value(&draft).unwrap_or_default(), import.list)
}

pub async fn run(client: &Client, import: Import, as_json: bool) -> Result<()> {
    if let Some(address) = &import.discover {
        let mut body = Map::new();
        body.insert("discover".to_owned(), address.as_str().into());
        body.insert("save".to_owned(), import.save.into());
        if let Some(name) = &import.name {
            body.insert("name".to_owned(), name.as_str().into());
        }
        let at = path(&["connectors", "import"]);
        let answer = client.ask(Method::POST, &at, Some(&body.into())).await?.json()?;
        return match (import.save, as_json) {
            (_, true) => say::json(&answer),
            (true, false) => super::show(&answer, false),
            (false, false) => show(&answer, import.list),
        };
    }
    // What the draft says is read here, so that the command with its secrets goes nowhere.
    let draft = import.draft()?;
    remarks(&serde_json::to_value(&draft).unwrap_or_default());
    let at = path(&["connectors"]);
    super::show(&client.ask(Method::POST, &at, Some(&draft.document)).await?.json()?, as_json)
}

/// The document on standard output, ready for a file; what is to be looked at beside it.
fn show(draft: &Value, list: bool) -> Result<()> {
    if list {
        let all = draft.get("operations").and_then(Value::as_array);
        for one in all.into_iter().flatten() {
            let line = format!("{}  {}", text(one, "/id"), text(one, "/summary"));
            say::line(say::visible(line.trim_end()))?;
        }
        return Ok(());
    }
    remarks(draft);
    let document = draft.get("document").cloned().unwrap_or_default();
    let toml = toml_of(&document)
        .map_err(|why| Failure::new(format!("The document cannot be written as TOML: {why}.")))?;
    say::bytes(toml.as_bytes())
}

fn remarks(draft: &Value) {
    let lines = |name: &str| draft.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for note in lines("notes") {
        let at = text(&note, "/at");
        let at = if at.is_empty() { String::new() } else { format!("{at}: ") };
        say::aside(say::visible(&format!("# {at}{}", text(&note, "/why"))));
    }
    for fault in lines("faults") {
        say::aside(say::visible(&format!(
            "# To be mended: {} {}",
            text(&fault, "/field"),
            text(&fault, "/message")
        )));
    }
}

/// The document of another connector under a new name. Who checked that one did not check this one.
pub fn copy_of(toml: &str, name: &str) -> Result<Value> {
    let mut connector = lint(toml, Format::Toml).map_err(|_| {
        Failure::new("The server's document cannot be read by this program. Are both of the same version?")
    })?;
    name.clone_into(&mut connector.name);
    connector.link_name = None;
    connector.verified = None;
    connector.sources.clear();
    connector.notes = None;
    connector.levels.retain(|level| *level != jackfield_core::Level::System);
    let mut document = connector.to_json();
    if document.get("levels").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        document["levels"] = json!(["admin"]);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_claims_nothing_that_was_checked_of_the_other() {
        let toml = "name = \"A\"\nlink_name = \"a\"\nverified = \"live\"\nsources = [\"https://a.example/d\"]\nnotes = \"x\"\n\
                    levels = [\"system\"]\nbase_url = \"https://a.example\"\n[auth]\ntype = \"basic\"\n";
        let copy = copy_of(toml, "Mine").unwrap();
        assert_eq!((&copy["name"], &copy["levels"]), (&json!("Mine"), &json!(["admin"])));
        for gone in ["link_name", "verified", "sources", "notes"] {
            assert_eq!(copy.get(gone), None, "{gone}");
        }
    }
}

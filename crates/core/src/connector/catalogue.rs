//! The built-in connectors: one file a service in `connectors/`, embedded in the binary.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::document::Connector;

macro_rules! connectors {
    ($($name:literal),* $(,)?) => {
        /// Link name and text of every file.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../../connectors/", $name, ".toml")))),*];
    };
}

connectors!(
    "airtable",
    "anthropic",
    "asana",
    "bitbucket",
    "box",
    "brevo",
    "calendly",
    "cloudflare",
    "confluence",
    "discord",
    "dropbox",
    "freshdesk",
    "github",
    "github_device",
    "gitlab",
    "gmail",
    "google_calendar",
    "google_drive",
    "google_service_account",
    "google_sheets",
    "hubspot",
    "hubspot_private_app",
    "intercom",
    "jira",
    "linear",
    "mailchimp",
    "microsoft_365",
    "notion",
    "openai",
    "openweather",
    "paypal",
    "pipedrive",
    "quickbooks",
    "razorpay",
    "salesforce",
    "sendgrid",
    "shopify",
    "slack",
    "slack_user",
    "spotify",
    "stripe",
    "trello",
    "trello_key",
    "twilio",
    "typeform",
    "woocommerce",
    "xero",
    "zendesk",
    "zoho_books",
    "zoho_crm",
    "zoom",
);

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::new(FILES));

/// The built-in catalogue, read when it is first asked for.
pub fn built_in() -> &'static Catalogue {
    &BUILT_IN
}

/// Connectors by link name.
#[derive(Debug, Default)]
pub struct Catalogue {
    by_link_name: BTreeMap<String, Arc<Connector>>,
}

impl Catalogue {
    /// Reads the files without checking their meaning, so that the start stays fast: a test checks every file in full, and that
    /// none is left out here.
    fn new(files: &[(&str, &str)]) -> Self {
        let read =
            |(name, text): &(&str, &str)| Some(((*name).to_owned(), Arc::new(toml::from_str(text).ok()?)));
        Self { by_link_name: files.iter().filter_map(read).collect() }
    }

    /// The connector with this link name.
    pub fn get(&self, link_name: &str) -> Option<&Arc<Connector>> {
        self.by_link_name.get(link_name)
    }

    /// All connectors, by link name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.by_link_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_link_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_link_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_listed_and_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../connectors");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str().unwrap().strip_suffix(".toml").map(str::to_owned)
            })
            .collect();
        let mut wrong = Vec::new();
        for name in &on_disk {
            let text = std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap();
            match Connector::from_toml(&text) {
                Err(errors) => wrong.extend(
                    errors.iter().map(|e| format!("connectors/{name}.toml: {}: {}", e.field, e.message)),
                ),
                Ok(connector) => {
                    let fast = built_in().get(name).map(|fast| (**fast).clone());
                    if fast.as_ref() != Some(&connector) {
                        wrong.push(format!("connectors/{name}.toml reads differently without checks"));
                    }
                    for (what, there) in [
                        ("link_name is the name of the file", connector.link_name.as_ref() == Some(name)),
                        ("description", connector.description.is_some()),
                        ("category", connector.category.is_some()),
                        ("documentation_url", connector.documentation_url.is_some()),
                        ("verified", connector.verified.is_some()),
                        (
                            "test, where somebody types the credential",
                            !connector.auth.prompts() || connector.test.is_some(),
                        ),
                    ] {
                        if !there {
                            wrong.push(format!("connectors/{name}.toml lacks: {what}"));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, on_disk, "the list in catalogue.rs is not the folder connectors/");
        assert_eq!(built_in().len(), on_disk.len());
    }

    #[test]
    fn every_file_survives_the_round_trip() {
        for connector in built_in().iter() {
            let read = Connector::from_json(connector.to_json())
                .unwrap_or_else(|e| panic!("{}: {e:?}", connector.name));
            assert_eq!(read, **connector);
        }
    }

    #[test]
    fn the_examples_of_the_guide_are_right() {
        let guide = include_str!("../../../../docs/connectors.md");
        let examples: Vec<&str> =
            guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 2);
        for example in examples {
            assert!(Connector::from_toml(example).is_ok(), "{:?}", Connector::from_toml(example));
        }
        // Every member of the schema is explained.
        let mut names = BTreeSet::new();
        member_names(&super::super::schema(), &mut names);
        let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/connectors.md does not explain {missing:?}");
    }

    fn member_names(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(members) => {
                if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                    names.extend(properties.keys().cloned());
                }
                members.values().for_each(|value| member_names(value, names));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| member_names(item, names)),
            _ => {}
        }
    }
}

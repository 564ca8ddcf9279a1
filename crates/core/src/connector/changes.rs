//! What differs between two versions of a connector, each difference with what it means in a plain sentence and what it asks of people whose
//! connection is moved from the one to the other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::AuthType;
use super::document::Connector;
use super::input::effective_parameters;

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorChangeKind)]
pub enum ChangeKind {
    /// it was not there before
    Added,
    /// it is there no more
    Removed,
    /// it is another
    Changed,
}

/// What a difference asks of people when a connection is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorChangeAsks)]
pub enum Asks {
    /// a parameter of the connection must be given
    Parameter,
    /// whoever authorized must authorize again
    Authorization,
}

/// A difference between two versions of a connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ConnectorChange)]
pub struct Change {
    /// where in the document: names joined by dots; what has a name or an id in a list stands under it
    pub path: String,
    /// heading under which people look for it
    #[schema(value_type = String)]
    pub area: Area,
    pub kind: ChangeKind,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// what it means, in a sentence
    pub says: String,
    /// what it asks of people when a connection is moved; absent: nothing
    pub asks: Option<Asks>,
}

/// Part of a document, as people know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorChangeArea)]
pub enum Area {
    General,
    Hosts,
    Security,
    Parameters,
    Scopes,
    Setup,
    Operations,
    Test,
    Payments,
}

impl Area {
    /// As a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Hosts => "Hosts",
            Self::Security => "Security",
            Self::Parameters => "Parameters",
            Self::Scopes => "Scopes",
            Self::Setup => "Set-up",
            Self::Operations => "Operations",
            Self::Test => "Test",
            Self::Payments => "Payments",
        }
    }

    fn of(member: &str) -> Self {
        match member {
            "base_url" | "hosts" | "region_values" | "region_parameter" => Self::Hosts,
            "auth" => Self::Security,
            "parameters" | "headers" | "query" => Self::Parameters,
            "scopes" => Self::Scopes,
            "setup" => Self::Setup,
            "modules" => Self::Operations,
            "identity" | "test" => Self::Test,
            "payment" => Self::Payments,
            _ => Self::General,
        }
    }
}

impl Change {
    /// Whether it is about where calls go: whether an authorization still does then hangs on what it was sealed with.
    pub fn is_of_hosts(&self) -> bool {
        self.area == Area::Hosts
    }
}

/// Everything that differs, in the order of the areas and then of the paths.
pub fn changes(before: &Connector, after: &Connector) -> Vec<Change> {
    let mut found = Vec::new();
    walk(&mut found, &mut Vec::new(), Some(&whole(before)), Some(&whole(after)));
    found.sort_by(|a: &Change, b: &Change| (a.area, &a.path).cmp(&(b.area, &b.path)));
    found
}

/// The document, with every parameter that it asks for whether it says so or not.
fn whole(connector: &Connector) -> Value {
    let mut document = connector.to_json();
    if let Some(document) = document.as_object_mut() {
        document.insert("parameters".to_owned(), serde_json::json!(effective_parameters(connector)));
        document.remove("link_name");
    }
    document
}

/// What is a collection of things, each of which may come and go by itself.
fn is_collection(path: &[String]) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["modules" | "region_values" | "headers" | "query" | "auth"] | ["region_values", _] => true,
        ["auth", name] => name.ends_with("_parameters") || name.ends_with("_headers") || *name == "claims",
        _ => false,
    }
}

/// What tells an item of a list from the others.
fn name_of(item: &Value) -> Option<&str> {
    ["name", "id"].into_iter().find_map(|key| item.get(key)?.as_str())
}

fn walk(found: &mut Vec<Change>, path: &mut Vec<String>, before: Option<&Value>, after: Option<&Value>) {
    if before == after {
        return;
    }
    let (nothing, none) = (Value::Object(Map::new()), Value::Array(Vec::new()));
    let (before, after) = match (before, after) {
        (None, Some(Value::Object(_))) if is_collection(path) => (Some(&nothing), after),
        (Some(Value::Object(_)), None) if is_collection(path) => (before, Some(&nothing)),
        (None, Some(Value::Array(_))) => (Some(&none), after),
        (Some(Value::Array(_)), None) => (before, Some(&none)),
        _ => (before, after),
    };
    match (before, after) {
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                path.push(name.clone());
                walk(found, path, was.get(name), is.get(name));
                path.pop();
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is)))
            if was.iter().chain(is).all(|item| name_of(item).is_some()) =>
        {
            let names: BTreeSet<&str> = was.iter().chain(is).filter_map(name_of).collect();
            let of = |list: &[Value], name: &str| list.iter().find(|i| name_of(i) == Some(name)).cloned();
            let known = found.len();
            for name in names {
                path.push(name.to_owned());
                walk(found, path, of(was, name).as_ref(), of(is, name).as_ref());
                path.pop();
            }
            if found.len() == known {
                push(found, path, before, after);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is)))
            if was.iter().chain(is).all(Value::is_string) && was.len().max(is.len()) > 0 =>
        {
            let known = found.len();
            let gone = was.iter().filter(|item| !is.contains(item)).map(|item| (Some(item), None));
            let new = is.iter().filter(|item| !was.contains(item)).map(|item| (None, Some(item)));
            for (before, after) in gone.chain(new) {
                path.push(before.or(after).and_then(Value::as_str).unwrap_or_default().to_owned());
                push(found, path, before, after);
                path.pop();
            }
            if found.len() == known {
                push(found, path, before, after);
            }
        }
        _ => push(found, path, before, after),
    }
}

fn push(found: &mut Vec<Change>, path: &[String], before: Option<&Value>, after: Option<&Value>) {
    let kind = match (before, after) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let (says, asks) = meaning(&words, before, after);
    found.push(Change {
        path: path.join("."),
        area: Area::of(words.first().copied().unwrap_or_default()),
        kind,
        before: before.cloned(),
        after: after.cloned(),
        says,
        asks,
    });
}

/// What people call an endpoint, and whether a grant of the one is nothing at the other.
fn endpoint(name: &str) -> Option<(&'static str, bool)> {
    Some(match name {
        "authorize_url" => ("The page where a person accepts", true),
        "token_url" => ("The token endpoint", true),
        "refresh_url" => ("The address where tokens are refreshed", true),
        "revoke_url" => ("The address where tokens are revoked", false),
        "par_url" => ("The address where requests are pushed", true),
        "issuer" => ("The issuer", true),
        "device_authorization_url" => ("The address where device codes are asked for", true),
        "request_token_url" => ("The address of request tokens", true),
        "access_token_url" => ("The address of access tokens", true),
        _ => return None,
    })
}

fn meaning(path: &[&str], before: Option<&Value>, after: Option<&Value>) -> (String, Option<Asks>) {
    let again = Some(Asks::Authorization);
    let is_true = |value: Option<&Value>| value == Some(&Value::Bool(true));
    let flag = |name: &str| after.and_then(|item| item.get(name)).and_then(Value::as_bool) == Some(true);
    let label = |value: Option<&Value>, name: &str| {
        let label = value.and_then(|item| item.get("label")).and_then(Value::as_str);
        label.map_or_else(|| format!("“{name}”"), |label| format!("“{label}” ({name})"))
    };
    match path {
        ["base_url"] => {
            let asks = if origin(before) == origin(after) { None } else { again };
            (format!("Calls go to {}, no longer to {}.", shown(after), shown(before)), asks)
        }
        ["hosts", host] if before.is_none() => {
            (format!("Calls may go to {host} too, with what is authorized from then on."), None)
        }
        ["hosts", host] => (format!("Calls may not go to {host} any more."), None),
        ["region_values", region, name] => {
            (format!("In the region {region}, {name} is {}{}.", shown(after), instead(before)), None)
        }
        ["auth", "type"] => {
            let title = |value: Option<&Value>| {
                let kind = value.and_then(Value::as_str).and_then(AuthType::parse);
                kind.map_or("nothing", AuthType::title)
            };
            (format!("One signs in by {}, no longer by {}.", title(after), title(before)), again)
        }
        ["auth", "fields", field] => match (before, after) {
            (None, Some(_)) if flag("required") => {
                (format!("Whoever authorizes must give {}.", label(after, field)), again)
            }
            (None, _) => (format!("Whoever authorizes may give {}.", label(after, field)), None),
            _ => (format!("{} is not asked for any more.", label(before, field)), None),
        },
        ["auth", "fields", field, "required"] | ["auth", field @ ("username" | "password"), "required"]
            if is_true(after) =>
        {
            (format!("Whoever authorizes must give “{field}”: it could be left out before."), again)
        }
        ["auth", field @ ("username" | "password"), "fixed"] if after.is_none() => {
            (format!("Whoever authorizes gives “{field}”: it was fixed before."), again)
        }
        ["auth", "callback_parameters", name] if before.is_none() => {
            (format!("“{name}” is kept of what the service says at the end of an authorization."), again)
        }
        ["auth", "base_url_from"] if after.is_some() => {
            ("The token answer says where the account's API is.".to_owned(), again)
        }
        ["auth", name] if endpoint(name).is_some() => {
            let (words, renews) = endpoint(name).unwrap_or(("", false));
            (format!("{words} is {}{}.", shown(after), instead(before)), if renews { again } else { None })
        }
        ["scopes", scope] => match (before, after) {
            (None, Some(_)) if flag("default") => {
                (format!("The scope {} is new, and connections ask for it.", label(after, scope)), again)
            }
            (None, _) => (format!("The scope {} can be chosen.", label(after, scope)), None),
            _ => (
                format!(
                    "The scope {} is gone: connections do not ask for it any more.",
                    label(before, scope)
                ),
                None,
            ),
        },
        ["scopes", scope, "default"] if is_true(after) => {
            (format!("The scope “{scope}” is ticked from the start: new connections ask for it."), None)
        }
        ["scopes", scope, "default"] => {
            (format!("The scope “{scope}” is not ticked from the start any more."), None)
        }
        ["parameters", name] => match (before, after) {
            (None, Some(new)) if flag("required") && new.get("default").is_none_or(Value::is_null) => {
                (format!("The parameter {} must be given.", label(after, name)), Some(Asks::Parameter))
            }
            (None, _) => (format!("The parameter {} may be given.", label(after, name)), None),
            _ => (
                format!(
                    "The parameter {} is not asked for any more: what connections have of it is dropped.",
                    label(before, name)
                ),
                None,
            ),
        },
        ["parameters", name, "required"] if is_true(after) => (
            format!("The parameter “{name}” must be given: it could be left out before."),
            Some(Asks::Parameter),
        ),
        ["parameters", name, "default"] => (
            format!(
                "The default of the parameter “{name}” is {}{}. Connections that left it get the new one.",
                shown(after),
                instead(before)
            ),
            None,
        ),
        ["setup", step] if before.is_none() => {
            let required = flag("required");
            let why = if required { " is to be chosen" } else { " can be chosen" };
            (format!("After somebody has authorized, “{step}”{why}."), if required { again } else { None })
        }
        ["modules", module] if after.is_none() => (
            format!("The module {} is gone, with everything that could be done.", label(before, module)),
            None,
        ),
        ["modules", module] if before.is_none() => {
            (format!("The module {} is new.", label(after, module)), None)
        }
        ["modules", module, "operations", operation] if after.is_none() => {
            (format!("The operation {} of “{module}” is gone.", label(before, operation)), None)
        }
        ["modules", module, "operations", operation] if before.is_none() => {
            (format!("The operation {} of “{module}” is new.", label(after, operation)), None)
        }
        ["modules", module, "fields", field, "required"] if is_true(after) => {
            (format!("“{module}” needs the field “{field}”: it could be left out before."), None)
        }
        ["modules", module, "operations", operation, "fields", field, "required"] if is_true(after) => (
            format!(
                "The operation “{operation}” of “{module}” needs the field “{field}”: it could be left out before."
            ),
            None,
        ),
        ["modules", module, "operations", operation, "fields", field]
            if before.is_none() && flag("required") =>
        {
            (
                format!("The operation “{operation}” of “{module}” needs the field {}.", label(after, field)),
                None,
            )
        }
        ["modules", module, "operations", operation, "more_fields"] => (
            if after.is_some() {
                format!(
                    "The service is asked which further fields the operation “{operation}” of “{module}” takes."
                )
            } else {
                format!(
                    "The service is not asked any more which further fields the operation “{operation}” of “{module}” takes: what is mapped to them is refused."
                )
            },
            None,
        ),
        ["modules", module, "operations", operation, rest @ ..] => (
            format!(
                "In the operation “{operation}” of “{module}”, {} {}.",
                rest.join("."),
                became(before, after)
            ),
            None,
        ),
        _ => (format!("{} {}.", path.join("."), became(before, after)), None),
    }
}

/// Scheme and host of a URL template.
fn origin(template: Option<&Value>) -> &str {
    let template = template.and_then(Value::as_str).unwrap_or_default();
    let start = template.find("://").map_or(0, |at| at + 3);
    let end =
        template.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(template.len(), |at| start + at);
    template.get(..end).unwrap_or(template)
}

/// A value in a sentence.
fn shown(value: Option<&Value>) -> String {
    const LONG: usize = 100;
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) if text.chars().count() > LONG => {
            format!("“{}…”", text.chars().take(LONG).collect::<String>())
        }
        Some(Value::String(text)) => format!("“{text}”"),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(_) | Value::Object(_)) => "another".to_owned(),
    }
}

fn instead(before: Option<&Value>) -> String {
    before.map_or_else(String::new, |_| format!(", no longer {}", shown(before)))
}

fn became(before: Option<&Value>, after: Option<&Value>) -> String {
    match (before, after) {
        (None, Some(Value::Array(_) | Value::Object(_))) => "is new".to_owned(),
        (None, _) => format!("is {}", shown(after)),
        (_, None) => "is gone".to_owned(),
        (Some(Value::Array(_) | Value::Object(_)), _) => "is another".to_owned(),
        _ => format!("is {}{}", shown(after), instead(before)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: Value) -> Connector {
        Connector::from_json(document).unwrap()
    }

    fn api_key() -> Value {
        json!({
            "name": "Crm", "base_url": "https://api.crm.example/v1",
            "parameters": [{"name": "tenant", "required": true}],
            "scopes": [{"name": "read", "default": true}],
            "auth": {"type": "api_key", "fields": [{"name": "key", "in": "header", "as": "X-Key"}]},
            "modules": {"lead": {"operations": {
                "create": {"method": "POST", "path": "/leads", "fields": [{"name": "email"}]},
                "drop": {"method": "DELETE", "path": "/leads/{id}", "fields": [{"name": "id", "required": true}]},
            }}},
        })
    }

    fn diff(change: impl FnOnce(&mut Value)) -> Vec<Change> {
        let mut after = api_key();
        change(&mut after);
        changes(&read(api_key()), &read(after))
    }

    fn one(change: impl FnOnce(&mut Value)) -> Change {
        let mut all = diff(change);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn the_same_document_has_no_changes() {
        assert_eq!(diff(|_| {}), []);
        // What merely stands in another order in the text is the same, a link name is nothing of a version's.
        assert_eq!(diff(|d| d["link_name"] = json!("crm_2")), []);
    }

    #[test]
    fn each_change_says_what_it_asks() {
        use ChangeKind::{Added, Changed, Removed};
        type Said = (&'static str, ChangeKind, Option<Asks>);
        let told = |change: Change| (change.path, change.kind, change.asks);
        let again = Some(Asks::Authorization);
        let cases: Vec<(Change, Said)> = vec![
            (one(|d| d["description"] = json!("x")), ("description", Added, None)),
            (one(|d| d["base_url"] = json!("https://api.crm.example/v2")), ("base_url", Changed, None)),
            (one(|d| d["base_url"] = json!("https://two.crm.example/v1")), ("base_url", Changed, again)),
            (one(|d| d["hosts"] = json!(["api.crm.example"])), ("hosts.api.crm.example", Added, None)),
            (
                one(|d| {
                    d["scopes"] =
                        json!([{"name": "read", "default": true}, {"name": "write", "default": true}]);
                }),
                ("scopes.write", Added, again),
            ),
            (
                one(|d| d["scopes"] = json!([{"name": "read", "default": true}, {"name": "write"}])),
                ("scopes.write", Added, None),
            ),
            (one(|d| d["scopes"] = json!([])), ("scopes.read", Removed, None)),
            (
                one(|d| {
                    d["parameters"] =
                        json!([{"name": "tenant", "required": true}, {"name": "site", "required": true}]);
                }),
                ("parameters.site", Added, Some(Asks::Parameter)),
            ),
            (
                one(|d| {
                    d["parameters"] = json!([
                        {"name": "tenant", "required": true}, {"name": "site", "required": true, "default": "main"},
                    ]);
                }),
                ("parameters.site", Added, None),
            ),
            (one(|d| d["parameters"] = json!([])), ("parameters.tenant", Removed, None)),
            (
                one(|d| d["parameters"][0]["required"] = json!(false)),
                ("parameters.tenant.required", Changed, None),
            ),
            (
                one(|d| {
                    d["auth"]["fields"] = json!([
                        {"name": "key", "in": "header", "as": "X-Key"}, {"name": "secret", "in": "header"},
                    ]);
                }),
                ("auth.fields.secret", Added, again),
            ),
            (
                one(|d| d["auth"]["fields"][0]["as"] = json!("X-Api-Key")),
                ("auth.fields.key.as", Changed, None),
            ),
            (
                one(|d| {
                    d["modules"]["lead"]["operations"].as_object_mut().unwrap().remove("drop");
                }),
                ("modules.lead.operations.drop", Removed, None),
            ),
            (
                one(|d| {
                    d["modules"]["lead"]["operations"]["create"]["fields"] = json!([
                        {"name": "email"}, {"name": "name", "required": true},
                    ]);
                }),
                ("modules.lead.operations.create.fields.name", Added, None),
            ),
            (one(|d| d["levels"] = json!(["admin"])), ("levels.user", Removed, None)),
        ];
        for (change, expected) in cases {
            assert!(change.says.ends_with('.') && change.says.len() > 8, "{}", change.says);
            let (path, kind, asks) = told(change);
            assert_eq!((path.as_str(), kind, asks), expected);
        }
    }

    #[test]
    fn where_further_fields_are_described_is_told() {
        let with = |more: Value| {
            let mut document = api_key();
            document["modules"]["lead"]["operations"]["fields"] = json!({"path": "/fields", "items": ""});
            document["modules"]["lead"]["operations"]["create"]["more_fields"] = more;
            read(document)
        };
        let (none, one, other) = (
            with(Value::Null),
            with(json!({"operation": "lead.fields", "name": "/n"})),
            with(json!({"operation": "lead.fields", "name": "/name"})),
        );
        let path = "modules.lead.operations.create.more_fields";
        for (before, after, wanted, says) in [
            (&none, &one, path.to_owned(), "is asked which further fields"),
            (&one, &none, path.to_owned(), "is not asked any more"),
            (&one, &other, format!("{path}.name"), "more_fields.name is “/name”"),
        ] {
            let found = changes(before, after);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].path == wanted && found[0].says.contains(says), "{found:?}");
        }
    }

    #[test]
    fn what_is_ticked_and_what_is_needed_is_said_in_words() {
        let with = |flag: bool| {
            let mut document = api_key();
            document["scopes"] = json!([{"name": "read", "default": flag}]);
            document["modules"]["lead"]["fields"] = json!([{"name": "Name", "required": flag}]);
            document["modules"]["lead"]["operations"]["create"]["fields"] =
                json!([{"name": "City", "required": flag}]);
            read(document)
        };
        let says = |before: bool, after: bool| {
            changes(&with(before), &with(after)).into_iter().map(|change| change.says).collect::<Vec<_>>()
        };
        assert_eq!(
            says(false, true),
            [
                "The scope “read” is ticked from the start: new connections ask for it.",
                "“lead” needs the field “Name”: it could be left out before.",
                "The operation “create” of “lead” needs the field “City”: it could be left out before.",
            ]
        );
        assert_eq!(says(true, false)[0], "The scope “read” is not ticked from the start any more.");
        assert_eq!(says(true, false).len(), 3);
    }

    #[test]
    fn a_parameter_that_must_be_given_now_is_asked_for() {
        let mut before = api_key();
        before["parameters"][0]["required"] = json!(false);
        let found = changes(&read(before), &read(api_key()));
        assert_eq!(
            (found[0].path.as_str(), found[0].asks),
            ("parameters.tenant.required", Some(Asks::Parameter))
        );
    }

    #[test]
    fn what_a_scheme_asks_for_without_saying_so_is_told_too() {
        let found = diff(|d| {
            d["auth"] = json!({
                "type": "oauth2_code", "authorize_url": "https://crm.example/authorize",
                "token_url": "https://crm.example/token",
            });
        });
        let asks = |path: &str| found.iter().find(|c| c.path == path).map(|c| c.asks);
        assert_eq!(asks("auth.type"), Some(Some(Asks::Authorization)));
        assert_eq!(asks("auth.token_url"), Some(Some(Asks::Authorization)));
        assert_eq!(asks("parameters.client_id"), Some(Some(Asks::Parameter)));
        assert_eq!(asks("parameters.client_secret"), Some(Some(Asks::Parameter)));
        let kind = found.iter().find(|c| c.path == "auth.type").unwrap();
        assert_eq!(kind.says, "One signs in by OAuth 2, no longer by API key.");
    }

    #[test]
    fn nothing_of_a_document_can_change_unseen() {
        // Every catalogue file against the one before it: whatever differs, something is told of each member that does.
        let all: Vec<_> = super::super::built_in().iter().take(60).collect();
        for pair in all.windows(2) {
            let [one, two] = pair else { continue };
            let found = changes(one, two);
            let (was, is) = (whole(one), whole(two));
            let members: BTreeSet<&String> =
                was.as_object().unwrap().keys().chain(is.as_object().unwrap().keys()).collect();
            for member in members {
                let told =
                    found.iter().any(|c| c.path == *member || c.path.starts_with(&format!("{member}.")));
                assert_eq!(told, was.get(member) != is.get(member), "{} {} {member}", one.name, two.name);
            }
        }
    }
}

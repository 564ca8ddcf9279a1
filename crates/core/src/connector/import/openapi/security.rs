//! How one signs in: of what the document offers, what Jackfield can do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Import, METHODS};
use crate::connector::import::schemas::{pointer_part, resolve};
use crate::connector::import::{put, sentence, word};

/// More scopes than these are not offered one by one.
const SCOPES_MAX: usize = 400;

impl<'a> Import<'a> {
    pub(super) fn auth(&mut self) {
        let schemes = self.root.pointer("/components/securitySchemes").and_then(Value::as_object);
        let schemes: BTreeMap<&str, &Value> =
            schemes.into_iter().flatten().map(|(name, scheme)| (name.as_str(), scheme)).collect();
        let mut tried = BTreeSet::new();
        let mut chosen = None;
        for requirement in self.requirements() {
            let names: Vec<&str> =
                requirement.into_iter().filter(|name| schemes.contains_key(name)).collect();
            if names.is_empty() || !tried.insert(names.clone()) || chosen.is_some() {
                continue;
            }
            chosen = self.scheme(&names, &schemes).map(|auth| (names, auth));
        }
        for name in schemes.keys() {
            if chosen.is_none() && tried.insert(vec![*name]) {
                chosen = self.scheme(&[*name], &schemes).map(|auth| (vec![*name], auth));
            }
        }
        let auth = if let Some((names, auth)) = chosen {
            let others: Vec<&str> = schemes.keys().copied().filter(|name| !names.contains(name)).collect();
            if !others.is_empty() {
                self.report.note(
                    "components.securitySchemes",
                    format!(
                        "{} was taken; a connector has one way to sign in. The others are {}.",
                        names.join(" and "),
                        others.join(", ")
                    ),
                );
            }
            auth
        } else {
            self.report.note(
                "auth",
                "The document describes no way to sign in that could be taken over: say it yourself.",
            );
            json!({"type": "none"})
        };
        self.document.insert("auth".to_owned(), auth);
    }

    /// Sets of schemes that go together: those for all operations, then those of single ones, the most frequent first.
    fn requirements(&self) -> Vec<Vec<&'a str>> {
        let sets = |value: &'a Value| -> Vec<Vec<&'a str>> {
            let all = value.get("security").and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_object).map(|set| set.keys().map(String::as_str).collect()).collect()
        };
        let mut all = sets(self.root);
        let mut counted: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        for item in self.root.get("paths").and_then(Value::as_object).into_iter().flat_map(Map::values) {
            for operation in METHODS.iter().filter_map(|method| item.get(method)) {
                for set in sets(operation) {
                    *counted.entry(set).or_default() += 1;
                }
            }
        }
        let mut counted: Vec<(Vec<&str>, usize)> = counted.into_iter().collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all.extend(counted.into_iter().map(|(set, _)| set));
        // Where there is a choice, a person who accepts is better than a key that he copies.
        let flows = |name: &str| {
            self.root.pointer(&format!(
                "/components/securitySchemes/{}/flows/authorizationCode",
                pointer_part(name)
            ))
        };
        all.sort_by_key(|set| !(set.len() == 1 && set.iter().any(|name| flows(name).is_some())));
        all
    }

    /// What these schemes together are, if Jackfield can do that.
    fn scheme(&mut self, names: &[&str], schemes: &BTreeMap<&str, &'a Value>) -> Option<Value> {
        let mut keys = Vec::new();
        for name in names {
            let at = format!("components.securitySchemes.{name}");
            let scheme = match resolve(self.root, schemes.get(name)?) {
                Ok(scheme) => scheme,
                Err(why) => {
                    self.report.note(at, format!("Left out: {why}."));
                    continue;
                }
            };
            let text = |member: &str| scheme.get(member).and_then(Value::as_str).unwrap_or("");
            match (text("type"), text("scheme").to_ascii_lowercase().as_str()) {
                ("oauth2", _) => return self.oauth2(&at, scheme),
                ("http", "basic") => return Some(json!({"type": "basic"})),
                ("http", "bearer") => keys.push(json!({"name": "token", "label": "Token", "in": "header", "as": "Authorization", "prefix": "Bearer "})),
                ("apiKey", _) if matches!(text("in"), "header" | "query" | "cookie") && !text("name").is_empty() => {
                    let mut field = Map::new();
                    field.insert("name".to_owned(), word(name).into());
                    put(&mut field, "label", Some(text("name")));
                    put(&mut field, "help", scheme.get("description").and_then(Value::as_str).and_then(|text| sentence(text, 300)));
                    field.insert("in".to_owned(), text("in").into());
                    field.insert("as".to_owned(), text("name").into());
                    keys.push(field.into());
                }
                ("openIdConnect", _) => {
                    self.report.note(at, format!("Left out: what it takes stands at {}. Import that address by discovery.", text("openIdConnectUrl")));
                }
                (kind, scheme) => {
                    self.report.note(at, format!("Left out: Jackfield knows no {kind} {scheme}."));
                    return None;
                }
            }
        }
        (!keys.is_empty()).then(|| json!({"type": "api_key", "fields": keys}))
    }

    fn oauth2(&mut self, at: &str, scheme: &Value) -> Option<Value> {
        let flows = scheme.get("flows")?;
        let (flow, kind) = [
            ("authorizationCode", "oauth2_code"),
            ("deviceAuthorization", "oauth2_device_code"),
            ("clientCredentials", "oauth2_client_credentials"),
        ]
        .into_iter()
        .find_map(|(name, kind)| Some((flows.get(name)?, kind)))
        .or_else(|| {
            let names: Vec<&str> =
                flows.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            self.report.note(
                at,
                format!("Left out: the ways {} are not safe and not known here.", names.join(" and ")),
            );
            None
        })?;
        let base = self.document.get("base_url").and_then(Value::as_str).unwrap_or("").to_owned();
        let url = |member: &str| {
            let url =
                flow.get(member).and_then(Value::as_str).map(str::trim).filter(|url| !url.is_empty())?;
            if url.contains("://") {
                return Some(url.to_owned());
            }
            let origin = base.split_inclusive('/').take(3).collect::<String>();
            Some(format!("{}/{}", origin.trim_end_matches('/'), url.trim_start_matches('/')))
        };
        let mut auth = Map::new();
        auth.insert("type".to_owned(), kind.into());
        if kind == "oauth2_code" {
            put(&mut auth, "authorize_url", url("authorizationUrl"));
            self.report.note(at, "OpenAPI does not say whether PKCE is taken, nor how the client proves itself: compare with the service's documentation.");
        }
        put(&mut auth, "device_authorization_url", url("deviceAuthorizationUrl"));
        put(&mut auth, "token_url", url("tokenUrl"));
        put(
            &mut auth,
            "refresh_url",
            url("refreshUrl").filter(|refresh| Some(refresh) != url("tokenUrl").as_ref()),
        );
        let scopes = flow.get("scopes").and_then(Value::as_object);
        let count = scopes.map_or(0, Map::len);
        if count > SCOPES_MAX {
            self.report
                .note(at, format!("{count} scopes are too many to choose from: any scope may be written."));
        } else if count > 0 {
            let scope = |(name, words): (&String, &Value)| {
                let mut scope = Map::new();
                scope.insert("name".to_owned(), name.as_str().into());
                let label = words.as_str().and_then(|text| sentence(text, 200));
                put(&mut scope, "label", label.map(|label| label.trim_end_matches('.').to_owned()));
                Value::Object(scope)
            };
            self.document.insert("scopes".to_owned(), scopes.into_iter().flatten().map(scope).collect());
        }
        Some(auth.into())
    }
}

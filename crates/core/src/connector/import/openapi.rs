//! A connector out of an OpenAPI 3.0 or 3.1 document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::schemas::{Member, list_in, member, members, pointer_part, resolve};
use super::{
    Draft, OPERATIONS_MAX, Offered, Report, TEXT_MAX, UNCHOSEN, Wanted, connector_name, free,
    origin_and_path, put, refused, sentence, snake, word, yaml,
};
use crate::error::Result;
use crate::names;

/// A connector document has less than 1 MiB; what is taken stays well below.
const SIZE_MAX: usize = 900 * 1024;
/// More scopes than these are not offered one by one.
const SCOPES_MAX: usize = 400;
const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];
/// Headers of a call that Jackfield writes itself.
const OWN_HEADERS: [&str; 4] = ["accept", "content-type", "authorization", "user-agent"];

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

/// One operation of the description.
struct Found<'a> {
    id: String,
    method: &'static str,
    path: &'a str,
    /// parameters of all operations at this path
    shared: &'a Value,
    operation: &'a Value,
    module: String,
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

    fn server(&mut self, source: Option<&str>) {
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

    fn auth(&mut self) {
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
                put(&mut scope, "label", words.as_str().and_then(|text| sentence(text, 200)));
                Value::Object(scope)
            };
            self.document.insert("scopes".to_owned(), scopes.into_iter().flatten().map(scope).collect());
        }
        Some(auth.into())
    }

    fn found(&mut self) -> Vec<Found<'a>> {
        let mut all = Vec::new();
        let root = self.root;
        for (path, item) in root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let item = match resolve(root, item) {
                Ok(item) => item,
                Err(why) => {
                    self.report.note(path, format!("Left out: {why}."));
                    continue;
                }
            };
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let tag = operation.pointer("/tags/0").and_then(Value::as_str);
                let segment = path.split('/').find(|segment| !segment.is_empty() && !segment.contains('{'));
                all.push(Found {
                    id: format!("{} {path}", method.to_ascii_uppercase()),
                    method,
                    path,
                    shared: item.get("parameters").unwrap_or(&Value::Null),
                    operation,
                    module: snake(tag.or(segment).unwrap_or("other")),
                });
            }
        }
        all
    }

    fn operations(&mut self, wanted: &Wanted) -> Vec<Offered> {
        let found = self.found();
        if wanted.operations.is_none() && found.len() > UNCHOSEN {
            self.report
                .note("paths", format!("There are {} operations: choose those that you want.", found.len()));
        }
        for chosen in wanted.operations.iter().flatten().filter(|chosen| *chosen != "*") {
            if !found.iter().any(|found| found.id == *chosen) {
                self.report.note(chosen, "There is no such operation in the document.");
            }
        }
        let mut modules = Map::new();
        let (mut taken, mut size) =
            (0_usize, self.document.values().map(|value| value.to_string().len()).sum::<usize>());
        let mut offered = Vec::new();
        let mut test = None;
        let count = found.len();
        for found in &found {
            let summary = found.operation.get("summary").or_else(|| found.operation.get("description"));
            let mut offer = Offered {
                id: found.id.clone(),
                summary: summary.and_then(Value::as_str).and_then(|text| sentence(text, 200)),
                module: found.module.clone(),
                taken: false,
            };
            if test.is_none() && found.method == "get" && is_about_me(found.path) {
                test = Some(found.path);
            }
            if wanted.takes(&found.id, count) {
                match self.operation(found, offer.summary.as_deref()) {
                    Ok(operation) => {
                        let more = operation.to_string().len();
                        if taken >= OPERATIONS_MAX || size + more > SIZE_MAX {
                            self.report.note(
                                &found.id,
                                "Left out: the document would be too large. Choose fewer operations.",
                            );
                        } else {
                            size += more;
                            taken += 1;
                            offer.taken = true;
                            let entry = modules
                                .entry(found.module.clone())
                                .or_insert_with(|| json!({"operations": {}}));
                            if let Some(operations) =
                                entry.get_mut("operations").and_then(Value::as_object_mut)
                            {
                                let name = free(operations, &name_of(found));
                                operations.insert(name, operation);
                            }
                        }
                    }
                    Err(why) => self.report.note(&found.id, format!("Left out: {why}.")),
                }
            }
            offered.push(offer);
        }
        if !modules.is_empty() {
            self.document.insert("modules".to_owned(), modules.into());
        }
        match test {
            Some(path) => {
                self.document.insert("test".to_owned(), json!({ "path": path }));
                self.report.note(
                    "test",
                    format!(
                        "GET {path} was taken as the call that proves a credential. Look whether it is one."
                    ),
                );
            }
            None => self.report.note("test", "Give a cheap call that proves a credential."),
        }
        self.report.note("identity", "Say how to learn whose account it is.");
        offered
    }

    fn operation(&mut self, found: &Found<'a>, summary: Option<&str>) -> Result<Value, String> {
        let Some(method) = super::super::Method::parse(&found.method.to_ascii_uppercase()) else {
            return Err("no operation has this method".to_owned());
        };
        let mut operation = Map::new();
        put(&mut operation, "label", summary);
        if method.as_str() != "GET" {
            operation.insert("method".to_owned(), method.as_str().into());
        }
        let mut path = found.path.to_owned();
        let mut fields: Vec<Value> = Vec::new();
        let mut names: BTreeSet<String> = BTreeSet::new();
        let (mut query, mut headers) = (Map::new(), Map::new());
        for parameter in self.parameters_of(found)? {
            let text = |member: &str| parameter.get(member).and_then(Value::as_str).unwrap_or("");
            let (name, place) = (text("name"), text("in"));
            if name.is_empty()
                || (place == "header" && OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()))
            {
                continue;
            }
            let schema = parameter.get("schema").unwrap_or(&Value::Null);
            let mut member = member(self.root, name, schema);
            member.required = place == "path" || parameter.get("required") == Some(&Value::Bool(true));
            member.help = parameter
                .get("description")
                .and_then(Value::as_str)
                .and_then(|text| sentence(text, 200))
                .or(member.help);
            let own = free_name(&names, &word(name));
            match place {
                "path" => path = path.replace(&format!("{{{name}}}"), &format!("{{{own}}}")),
                "query" if own == name => {}
                "query" => drop(query.insert(name.to_owned(), format!("{{{own}}}").into())),
                "header" => drop(headers.insert(name.to_owned(), format!("{{{own}}}").into())),
                _ if member.required => return Err(format!("it needs the cookie {name}")),
                _ => continue,
            }
            let place =
                (place == "query" && own == name && !matches!(found.method, "get" | "head" | "delete"))
                    .then_some("query");
            fields.push(field(&member, &own, place, None));
            names.insert(own);
        }
        // The path as it is written may have a name that no parameter describes.
        for slot in slots(&path) {
            if !names.contains(&slot) {
                let own = free_name(&names, &word(&slot));
                path = path.replace(&format!("{{{slot}}}"), &format!("{{{own}}}"));
                fields.push(json!({"name": own, "required": true}));
                names.insert(own);
            }
        }
        operation.insert("path".to_owned(), path.into());
        if !query.is_empty() {
            operation.insert("query".to_owned(), query.into());
        }
        if !headers.is_empty() {
            operation.insert("headers".to_owned(), headers.into());
        }
        self.body(found, &mut operation, &mut fields, &mut names)?;
        if fields.len() > 500 {
            return Err("it has too many fields".to_owned());
        }
        if !fields.is_empty() {
            operation.insert("fields".to_owned(), fields.into());
        }
        self.answer(found, &mut operation, &names);
        Ok(operation.into())
    }

    /// The operation's parameters, its own before those of the path.
    fn parameters_of(&mut self, found: &Found<'a>) -> Result<Vec<&'a Value>, String> {
        let mut all: Vec<&Value> = Vec::new();
        let own = found.operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let shared = found.shared.as_array().into_iter().flatten();
        for parameter in own.chain(shared) {
            let parameter = resolve(self.root, parameter)?;
            let same = |other: &&Value| {
                other.get("name") == parameter.get("name") && other.get("in") == parameter.get("in")
            };
            if !all.iter().any(same) {
                all.push(parameter);
            }
        }
        Ok(all)
    }

    fn body(
        &mut self,
        found: &Found<'a>,
        operation: &mut Map<String, Value>,
        fields: &mut Vec<Value>,
        names: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let Some(body) = found.operation.get("requestBody") else { return Ok(()) };
        let body = resolve(self.root, body)?;
        let required = body.get("required") == Some(&Value::Bool(true));
        let content = body.get("content").and_then(Value::as_object);
        let of_kind = |fits: fn(&str) -> bool| {
            content
                .into_iter()
                .flatten()
                .find(|(kind, _)| fits(kind.split(';').next().unwrap_or(kind).trim()))
                .map(|(_, media)| media)
        };
        let is_json = |kind: &str| kind == "application/json" || kind.ends_with("+json") || kind == "*/*";
        let is_form = |kind: &str| kind == "application/x-www-form-urlencoded";
        let (media, form) = match (of_kind(is_json), of_kind(is_form)) {
            (Some(media), _) => (media, false),
            (None, Some(media)) => (media, true),
            (None, None) if !required => return Ok(()),
            (None, None) => {
                let kinds: Vec<&str> = content.into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
                return Err(format!(
                    "its body is {}",
                    if kinds.is_empty() { "not described".to_owned() } else { kinds.join(" or ") }
                ));
            }
        };
        if form {
            operation.insert("body_encoding".to_owned(), "form".into());
        }
        let schema = media.get("schema").unwrap_or(&Value::Null);
        let (all, remarks) = match members(self.root, schema) {
            Ok(found) => found,
            Err(_) if !required => return Ok(()),
            Err(why) => return Err(why),
        };
        for remark in remarks {
            self.report.note(&found.id, remark);
        }
        for member in all {
            let own = if names.contains(&member.name) {
                free_name(names, &format!("body_{}", member.name))
            } else {
                member.name.clone()
            };
            let at = (own != member.name).then(|| format!("/{}", pointer_part(&member.name)));
            let place = matches!(found.method, "get" | "head" | "delete").then_some("body");
            fields.push(field(&member, &own, place, at));
            names.insert(own);
        }
        Ok(())
    }

    /// What can be told of the answer: the list in it, the id of what was made, how further pages are asked for.
    fn answer(&mut self, found: &Found<'a>, operation: &mut Map<String, Value>, names: &BTreeSet<String>) {
        let answers = found.operation.get("responses").and_then(Value::as_object);
        let good = answers
            .into_iter()
            .flatten()
            .find(|(status, _)| status.starts_with('2'))
            .map(|(_, answer)| answer);
        let schema = good
            .and_then(|answer| resolve(self.root, answer).ok())
            .and_then(|answer| {
                answer.get("content")?.as_object()?.iter().find(|(kind, _)| kind.contains("json"))
            })
            .and_then(|(_, media)| media.get("schema"));
        let Some(schema) = schema else { return };
        if found.method == "get" && !found.path.ends_with('}') {
            let Some(items) = list_in(self.root, schema) else { return };
            operation.insert("items".to_owned(), items.into());
            let has = |name: &&str| names.contains(*name);
            let size = ["per_page", "page_size", "pageSize", "limit", "size"].into_iter().find(has);
            let numbered = [("page", "page"), ("offset", "offset")].into_iter().find(|(name, _)| has(name));
            if let Some((name, kind)) = numbered {
                let mut pagination = Map::new();
                pagination.insert("type".to_owned(), kind.into());
                pagination.insert(kind.to_owned(), name.into());
                put(&mut pagination, "size", size);
                operation.insert("pagination".to_owned(), pagination.into());
                // Jackfield asks for the pages, not whoever calls.
                let asked = [Some(name), size];
                if let Some(Value::Array(fields)) = operation.get_mut("fields") {
                    fields.retain(|field| !asked.contains(&field.get("name").and_then(Value::as_str)));
                    if fields.is_empty() {
                        operation.remove("fields");
                    }
                }
            }
        } else if found.method == "post"
            && let Ok((members, _)) = members(self.root, schema)
            && members.iter().any(|member| member.name == "id")
        {
            operation.insert("result".to_owned(), "/id".into());
        }
    }
}

fn field(member: &Member, own: &str, place: Option<&str>, at: Option<String>) -> Value {
    let mut field = Map::new();
    field.insert("name".to_owned(), own.into());
    put(&mut field, "help", member.help.as_deref());
    if member.kind != "string" {
        field.insert("type".to_owned(), member.kind.into());
    }
    if member.required {
        field.insert("required".to_owned(), true.into());
    }
    if !member.choices.is_empty() {
        let choices = member.choices.iter().map(|choice| json!({"value": choice})).collect::<Vec<_>>();
        field.insert("choices".to_owned(), choices.into());
    }
    put(&mut field, "in", place);
    put(&mut field, "at", at);
    field.into()
}

fn free_name(names: &BTreeSet<String>, wanted: &str) -> String {
    (1_u32..=u32::MAX)
        .map(|n| if n == 1 { wanted.to_owned() } else { format!("{wanted}_{n}") })
        .find(|name| !names.contains(name))
        .unwrap_or_default()
}

/// What stands in braces.
fn slots(path: &str) -> Vec<String> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(slot, _)| slot.to_owned()).collect()
}

fn name_of(found: &Found<'_>) -> String {
    let verb = match found.method {
        "post" => "create",
        "put" | "patch" => "update",
        "delete" => "delete",
        _ => "read",
    };
    let id = found.operation.get("operationId").and_then(Value::as_str);
    let name = id.map_or_else(|| snake(&format!("{verb} {}", found.path)), snake);
    name.chars().take(names::LINK_NAME_MAX - 4).collect::<String>().trim_end_matches('_').to_owned()
}

/// Whether a path without parameters asks who one is.
fn is_about_me(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    !path.contains('{')
        && matches!(
            last,
            "me" | "user" | "account" | "self" | "whoami" | "profile" | "userinfo" | "current_user"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(document: &Value, operations: Option<&[&str]>) -> Draft {
        let wanted =
            Wanted { operations: operations.map(|all| all.iter().map(|one| (*one).to_owned()).collect()) };
        let draft =
            from_openapi(&document.to_string(), &wanted, None, None).unwrap_or_else(|e| panic!("{e}"));
        assert!(draft.faults.is_empty(), "{:?} {}", draft.faults, draft.document);
        draft
    }

    fn with(members: &Value) -> Value {
        let mut document = json!({"openapi": "3.0.3", "info": {"title": "Acme API", "version": "1"}, "paths": {},
            "servers": [{"url": "https://api.acme.example/v1/"}]});
        for (name, value) in members.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    fn remarks(draft: &Draft) -> String {
        let lines: Vec<String> =
            draft.notes.iter().map(|note| format!("{}: {}\n", note.at, note.why)).collect();
        lines.concat()
    }

    #[test]
    fn each_way_to_sign_in_is_brought_over_or_named() {
        for (scheme, kind) in [
            (json!({"type": "http", "scheme": "Basic"}), "basic"),
            (json!({"type": "http", "scheme": "bearer"}), "api_key"),
            (json!({"type": "apiKey", "in": "query", "name": "api key"}), "api_key"),
            (json!({"type": "http", "scheme": "digest"}), "none"),
            (json!({"type": "openIdConnect", "openIdConnectUrl": "https://a.example/.well-known/x"}), "none"),
            (
                json!({"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://a.example", "scopes": {}}}}),
                "none",
            ),
            (
                json!({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {"a": "Reads. All."}}}}),
                "oauth2_client_credentials",
            ),
            (
                json!({"type": "oauth2", "flows": {"authorizationCode":
                {"authorizationUrl": "https://a.example/a", "tokenUrl": "https://a.example/t", "refreshUrl": "https://a.example/t", "scopes": {}}}}),
                "oauth2_code",
            ),
        ] {
            let drawn = draft(&with(&json!({"components": {"securitySchemes": {"it": scheme}}})), None);
            assert_eq!(drawn.document["auth"]["type"], kind, "{scheme}: {}", remarks(&drawn));
            assert!(
                kind != "none" || remarks(&drawn).contains("components.securitySchemes.it: Left out"),
                "{scheme}"
            );
        }
        let relative = with(
            &json!({"components": {"securitySchemes": {"it": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {"a": "Reads. All."}}}}}}}),
        );
        let drawn = draft(&relative, None);
        assert_eq!(drawn.document["auth"]["token_url"], "https://api.acme.example/t");
        assert_eq!(drawn.document["scopes"], json!([{"name": "a", "label": "Reads."}]));
        // Two keys that go together, and of two ways the one that a person accepts.
        let keys = json!({"a": {"type": "apiKey", "in": "header", "name": "X-A"}, "b": {"type": "apiKey", "in": "header", "name": "X-B"},
            "o": {"type": "oauth2", "flows": {"authorizationCode": {"authorizationUrl": "https://a.example/a", "tokenUrl": "https://a.example/t", "scopes": {}}}}});
        let both = with(&json!({"security": [{"a": [], "b": []}], "components": {"securitySchemes": keys}}));
        assert_eq!(draft(&both, None).document["auth"]["fields"].as_array().map(Vec::len), Some(2));
        let either =
            with(&json!({"security": [{"a": []}, {"o": []}], "components": {"securitySchemes": keys}}));
        assert_eq!(draft(&either, None).document["auth"]["type"], "oauth2_code");
    }

    #[test]
    fn addresses_become_base_urls_and_parameters() {
        let of = |server: Value| draft(&with(&json!({"servers": [server]})), None).document;
        assert_eq!(of(json!({"url": "https://a.example/v1/"}))["base_url"], "https://a.example/v1");
        let variables = json!({"sub": {"default": "demo", "description": "Your name. Really."}, "base": {"default": "api/v2"}, "p": {"default": "8443", "enum": ["8443"]}});
        let document = of(json!({"url": "https://{sub}.a.example:{p}/{base}", "variables": variables}));
        assert_eq!(document["base_url"], "https://{sub}.a.example:8443/api/v2");
        assert_eq!(document["parameters"], json!([{"name": "sub", "help": "Your name.", "default": "demo"}]));
        assert_eq!(of(json!({"url": "/v3"}))["base_url"], "https://{host}/v3");
        assert_eq!(
            of(json!({"url": "https://{tenant}.a.example"}))["parameters"],
            json!([{"name": "tenant", "required": true}])
        );
        let text = with(&json!({"servers": [{"url": "/v3"}]})).to_string();
        let drawn = from_openapi(
            &text,
            &Wanted::default(),
            Some("Mine"),
            Some("https://b.example/spec/openapi.json"),
        )
        .unwrap();
        assert_eq!(
            (&drawn.document["base_url"], &drawn.document["name"]),
            (&json!("https://b.example/v3"), &json!("Mine"))
        );
    }

    #[test]
    fn operations_are_brought_over_with_their_fields() {
        let id = json!({"name": "item.id", "in": "path", "required": true, "schema": {"type": "integer"}});
        let body = json!({"required": true, "content": {"application/json": {"schema": {"allOf": [
            {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "description": "What it is called. Ever."}, "made": {"readOnly": true}}},
            {"type": "object", "properties": {"kind": {"enum": ["a", "b", "a"]}, "item.id": {"type": "string"}, "tags": {"type": ["array", "null"]}}}]}}}});
        let list = json!({"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {
            "data": {"type": "array"}, "total": {"type": "integer"}}}}}}});
        let document = with(&json!({"paths": {
            "/items": {"get": {"tags": ["Item Things"], "operationId": "listItems", "responses": list, "parameters": [
                {"name": "page", "in": "query"}, {"name": "per_page", "in": "query"}, {"name": "filter[name]", "in": "query"},
                {"name": "X-Trace", "in": "header"}, {"name": "Accept", "in": "header"}, {"name": "c", "in": "cookie"}]}},
            "/items/{item.id}": {"parameters": [id], "patch": {"tags": ["Item Things"], "summary": "Change it", "requestBody": body, "responses": {}},
                "trace": {"responses": {}}},
        }}));
        let drawn = draft(&document, Some(&["*"]));
        let module = &drawn.document["modules"]["item_things"]["operations"];
        let all = &module["list_items"];
        assert_eq!(
            (&all["items"], &all["pagination"]),
            (&json!("/data"), &json!({"type": "page", "page": "page", "size": "per_page"}))
        );
        assert_eq!(all["query"], json!({"filter[name]": "{filter_name}"}));
        assert_eq!(all["headers"], json!({"X-Trace": "{X-Trace}"}));
        assert_eq!(all["fields"], json!([{"name": "filter_name"}, {"name": "X-Trace"}]));
        let change = &module["update_items_item_id"];
        assert_eq!(
            (&change["path"], &change["method"], &change["label"]),
            (&json!("/items/{item_id}"), &json!("PATCH"), &json!("Change it"))
        );
        assert_eq!(
            change["fields"],
            json!([
            {"name": "item_id", "type": "integer", "required": true}, {"name": "item.id"},
            {"name": "kind", "choices": [{"value": "a"}, {"value": "b"}]},
            {"name": "name", "help": "What it is called.", "required": true}, {"name": "tags", "type": "list"}])
        );
        assert!(remarks(&drawn).contains("TRACE /items/{item.id}: Left out"), "{}", remarks(&drawn));
        assert_eq!(draft(&document, Some(&[])).document.get("modules"), None);
    }

    #[test]
    fn many_operations_are_chosen_from() {
        let paths: Map<String, Value> =
            (0..50).map(|n| (format!("/p{n}"), json!({"get": {"responses": {}}}))).collect();
        let document = with(&json!({ "paths": paths }));
        let drawn = draft(&document, None);
        assert_eq!((drawn.document.get("modules"), drawn.operations.len()), (None, 50));
        assert!(remarks(&drawn).contains("There are 50 operations"));
        let taken = |draft: &Draft| draft.operations.iter().filter(|one| one.taken).count();
        assert_eq!(taken(&draft(&document, Some(&["GET /p3", "GET /p49"]))), 2);
        assert_eq!(taken(&draft(&document, Some(&["*"]))), 50);
    }

    #[test]
    fn nothing_leads_outside_or_in_a_circle() {
        let body = |schema: Value| json!({"requestBody": {"required": true, "content": {"application/json": {"schema": schema}}}, "responses": {}});
        let document = with(&json!({
        "components": {"schemas": {
            "Loop": {"$ref": "#/components/schemas/Loop"}, "All": {"allOf": [{"$ref": "#/components/schemas/All"}]},
            "Forms": {"oneOf": vec![json!({"$ref": "#/components/schemas/Forms"}); 20]},
            "Tree": {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}}},
        "paths": {
            "/far": {"post": body(json!({"$ref": "https://evil.example/schema.json"}))},
            "/loop": {"post": body(json!({"$ref": "#/components/schemas/Loop"}))},
            "/all": {"post": body(json!({"$ref": "#/components/schemas/All"}))},
            "/forms": {"post": body(json!({"$ref": "#/components/schemas/Forms"}))},
            "/none": {"post": body(json!({"$ref": "#/components/schemas/None"}))},
            "/list": {"post": body(json!({"type": "array"}))},
            "/file": {"post": {"requestBody": {"required": true, "content": {"multipart/form-data": {}}}, "responses": {}}},
            "/tree": {"post": body(json!({"$ref": "#/components/schemas/Tree"}))},
            "/item": {"$ref": "other.yaml#/paths/item"},
        }}));
        let drawn = draft(&document, Some(&["*"]));
        let said = remarks(&drawn);
        for why in [
            "another document",
            "in a circle",
            "leads nowhere",
            "of type array",
            "multipart/form-data",
            "/item: Left out",
        ] {
            assert!(said.contains(why), "{why}: {said}");
        }
        let modules = drawn.document["modules"].as_object().unwrap();
        assert_eq!(modules.keys().collect::<Vec<_>>(), ["tree"], "{said}");
    }

    #[test]
    fn what_is_no_openapi_document_is_refused() {
        for (text, why) in [
            ("{}", "no member openapi"),
            ("swagger: '2.0'", "Swagger 2.0"),
            ("openapi: 2.0.0", "2.0.0"),
            ("[1]", "no member openapi"),
            ("a: [", "cannot be read"),
        ] {
            let error = from_openapi(text, &Wanted::default(), None, None).unwrap_err();
            assert!(error.fields.iter().any(|field| field.message.contains(why)), "{text}: {error:?}");
        }
        assert!(from_openapi(&" ".repeat(TEXT_MAX + 1), &Wanted::default(), None, None).is_err());
    }

    fn anything() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let words = [
            "get",
            "post",
            "paths",
            "/a/{b}",
            "parameters",
            "schema",
            "$ref",
            "#/components",
            "properties",
            "type",
            "in",
            "name",
            "query",
            "path",
            "requestBody",
            "content",
            "application/json",
            "allOf",
            "oneOf",
            "required",
            "enum",
            "servers",
            "url",
            "https://{a}.example",
            "variables",
            "default",
            "security",
            "securitySchemes",
            "components",
            "apiKey",
            "oauth2",
            "flows",
            "authorizationCode",
            "tokenUrl",
            "info",
            "title",
            "tags",
            "responses",
            "200",
        ];
        let word = proptest::sample::select(words.to_vec());
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|all| {
                    Value::Object(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest::proptest! {
        /// Whatever stands where something else should stand: a draft or a refusal, and no draft that claims to be right and is not.
        #[test]
        fn never_panics(root in anything(), servers in anything(), paths in anything(), components in anything()) {
            let mut document = if root.is_object() { root } else { json!({}) };
            document["openapi"] = "3.1.0".into();
            document["servers"] = servers;
            document["paths"] = json!({"/a/{b}": paths});
            document["components"] = components;
            let wanted = Wanted { operations: Some(vec!["*".to_owned()]) };
            if let Ok(draft) = from_openapi(&document.to_string(), &wanted, None, None)
                && draft.faults.is_empty()
            {
                proptest::prop_assert!(super::super::super::Connector::from_json(draft.document.clone()).is_ok());
            }
        }
    }
}

//! What can be called: operations in modules, with their fields and what can be told of their answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Import, METHODS};
use crate::connector::Method;
use crate::connector::import::schemas::{Member, Way, list_in, member, members, pointer_part, resolve};
use crate::connector::import::{OPERATIONS_MAX, Offered, UNCHOSEN, Wanted, free, put, sentence, snake, word};
use crate::names;

/// A connector document has less than 1 MiB; what is taken stays well below.
const SIZE_MAX: usize = 900 * 1024;
/// Headers of a call that Jackfield writes itself.
const OWN_HEADERS: [&str; 4] = ["accept", "content-type", "authorization", "user-agent"];

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

    pub(super) fn operations(&mut self, wanted: &Wanted) -> Vec<Offered> {
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
        let mut about_me = None;
        let count = found.len();
        for found in &found {
            let summary = found.operation.get("summary").or_else(|| found.operation.get("description"));
            let mut offer = Offered {
                id: found.id.clone(),
                summary: summary.and_then(Value::as_str).and_then(|text| sentence(text, 200)),
                module: found.module.clone(),
                taken: false,
            };
            if about_me.is_none() && found.method == "get" && is_about_me(found.path) {
                about_me = Some(found);
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
        match about_me.map(|found| found.path) {
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
        self.identity(about_me);
        offered
    }

    fn operation(&mut self, found: &Found<'a>, summary: Option<&str>) -> Result<Value, String> {
        let Some(method) = Method::parse(&found.method.to_ascii_uppercase()) else {
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
        let (all, remarks) = match members(self.root, schema, Way::Asked) {
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
        let Some(schema) = self.answered(found) else { return };
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
            && let Ok((members, _)) = members(self.root, schema, Way::Answered)
            && let Some(id) = named(&members, &["id", "uuid", "uid"])
        {
            operation.insert("result".to_owned(), id.into());
        }
    }

    /// What an operation answers when it goes well.
    fn answered(&self, found: &Found<'a>) -> Option<&'a Value> {
        let answers = found.operation.get("responses")?.as_object()?;
        let (_, good) = answers.iter().find(|(status, _)| status.starts_with('2'))?;
        let content = resolve(self.root, good).ok()?.get("content")?.as_object()?;
        content.iter().find(|(kind, _)| kind.contains("json"))?.1.get("schema")
    }

    /// Whose account it is, where the call that asks who one is answers with it.
    fn identity(&mut self, about_me: Option<&Found<'a>>) {
        let answer = about_me.and_then(|found| Some((found, self.answered(found)?)));
        let members = answer
            .and_then(|(found, schema)| Some((found, members(self.root, schema, Way::Answered).ok()?.0)));
        let known = members.and_then(|(found, members)| {
            let name = named(&members, &["email", "login", "username", "displayname", "fullname", "name"])?;
            Some((found.path, name, named(&members, &["id", "sub", "uuid", "uid", "userid", "accountid"])))
        });
        let Some((path, name, subject)) = known else {
            self.report.note("identity", "Say how to learn whose account it is.");
            return;
        };
        let mut identity = Map::new();
        identity.insert("url".to_owned(), path.into());
        identity.insert("name".to_owned(), name.as_str().into());
        put(&mut identity, "subject", subject);
        self.document.insert("identity".to_owned(), identity.into());
        let why = format!(
            "{name} of what GET {path} answers was taken as the account's name. Look whether it is one."
        );
        self.report.note("identity", why);
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

/// A pointer to the first of these that is among the members, however it is written: `Id`, `user_id` for `userid`.
fn named(members: &[Member], names: &[&str]) -> Option<String> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let find = |name: &&str| {
        members
            .iter()
            .find(|member| plain(&member.name) == **name && !matches!(member.kind, "object" | "list"))
    };
    names.iter().find_map(find).map(|member| format!("/{}", pointer_part(&member.name)))
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

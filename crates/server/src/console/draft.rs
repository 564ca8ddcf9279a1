//! A connector document as the fields of a form, and back.
//!
//! The form knows a part of the document. So it never makes a document: it changes one. A field that still says what the document says
//! changes nothing, and what the form does not know stays as it is.

use jackfield_core::FieldError;
use serde_json::{Map, Value, json};

use super::form::Fields;

/// Where a text of the document stands; the field has the same name.
const TEXTS: &[&str] = &[
    "name",
    "link_name",
    "description",
    "category",
    "documentation_url",
    "base_url",
    "test.path",
    "identity.url",
    "identity.name",
    "identity.subject",
];

/// What is chosen beside a text of [`TEXTS`] and means nothing without it, and what is usual.
const CHOSEN: &[(&str, &str)] = &[("test.method", "GET"), ("identity.from", "call")];

/// Texts of `auth`, and the schemes that have them.
const AUTH_TEXTS: &[(&str, &[&str])] = &[
    ("authorize_url", &["oauth2_code", "oauth1"]),
    ("device_authorization_url", &["oauth2_device_code"]),
    ("token_url", TOKEN),
    ("refresh_url", TOKEN),
    ("revoke_url", TOKEN),
    ("client_authentication", CLIENT),
    ("scope_delimiter", SCOPED),
    ("request_token_url", &["oauth1"]),
    ("access_token_url", &["oauth1"]),
    ("signature_method", &["oauth1"]),
    ("realm", &["oauth1"]),
    ("audience", &["jwt_bearer"]),
    ("username.label", &["basic"]),
    ("username.help", &["basic"]),
    ("username.fixed", &["basic"]),
    ("password.label", &["basic"]),
    ("password.help", &["basic"]),
    ("password.fixed", &["basic"]),
];
const TOKEN: &[&str] = &["oauth2_code", "oauth2_client_credentials", "oauth2_device_code", "jwt_bearer"];
const CLIENT: &[&str] = &["oauth2_code", "oauth2_client_credentials", "oauth2_device_code"];
const SCOPED: &[&str] =
    &["oauth2_code", "oauth2_client_credentials", "oauth2_device_code", "jwt_bearer", "oauth1"];
/// Schemes whose authorize page takes more parameters.
const ASKING: &[&str] = &["oauth2_code", "oauth1"];

/// Lists of objects, a row each: the one asked when a connection is made, and the keys asked when somebody authorizes.
pub(super) const PARAMETERS: &str = "parameters";
pub(super) const KEYS: &str = "auth.fields";
/// Texts of a row.
const ROW_TEXTS: &[&str] = &["label", "name", "help", "in", "as"];

/// The document a new connector begins with.
pub(super) fn blank() -> Value {
    json!({"auth": {"type": "oauth2_code"}})
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn text_at<'a>(document: &'a Value, path: &str) -> &'a str {
    document.pointer(&pointer(path)).and_then(Value::as_str).unwrap_or("")
}

fn list_at<'a>(document: &'a Value, path: &str) -> &'a [Value] {
    document.pointer(&pointer(path)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Puts a value at a path, or takes it out; objects on the way are made. What is in the way and no object stays: the document says
/// what is wrong with it.
fn put(document: &mut Value, path: &str, value: Option<Value>) {
    let Value::Object(members) = document else { return };
    match (path.split_once('.'), value) {
        (Some((first, rest)), None) => {
            if let Some(inner) = members.get_mut(first) {
                put(inner, rest, None);
            }
        }
        (Some((first, rest)), Some(value)) => {
            let inner = members.entry(first).or_insert(Value::Null);
            if inner.is_null() {
                *inner = Value::Object(Map::new());
            }
            put(inner, rest, Some(value));
        }
        (None, Some(value)) => {
            members.insert(path.to_owned(), value);
        }
        (None, None) => {
            members.remove(path);
        }
    }
}

/// As a browser sends it back: `\r\n` for a line's end in an area, no line's end in an input.
fn same(shown: &str, sent: &str) -> bool {
    shown == sent
        || shown.replace("\r\n", "\n") == sent.replace("\r\n", "\n")
        || shown.replace(['\r', '\n'], "") == sent
}

fn or<'a>(text: &'a str, usual: &'a str) -> &'a str {
    if text.is_empty() { usual } else { text }
}

fn given(text: &str) -> Option<Value> {
    let text = text.trim().replace("\r\n", "\n");
    (!text.is_empty()).then(|| text.into())
}

fn scope_line(scope: &Value) -> String {
    let part = |name: &str| scope.get(name).and_then(Value::as_str).unwrap_or("");
    let ticked = if scope.get("default").and_then(Value::as_bool) == Some(true) { "ticked" } else { "" };
    let mut line = [part("name"), part("label"), part("access"), ticked].join(" | ");
    while let Some(shorter) = line.strip_suffix(" | ") {
        line.truncate(shorter.len());
    }
    line
}

fn read_scope(line: &str) -> Value {
    let mut parts = line.split('|').map(str::trim);
    let mut scope = Map::new();
    for name in ["name", "label", "access"] {
        if let Some(part) = parts.next().filter(|part| !part.is_empty()) {
            scope.insert(name.to_owned(), part.into());
        }
    }
    if let Some(ticked) = parts.next().filter(|part| !part.is_empty()) {
        // Anything else is shown as what is wrong.
        let value = if ticked == "ticked" { Value::Bool(true) } else { ticked.into() };
        scope.insert("default".to_owned(), value);
    }
    Value::Object(scope)
}

fn lines<'a>(items: impl Iterator<Item = &'a Value>) -> String {
    let lines: Vec<&str> = items.filter_map(Value::as_str).collect();
    lines.join("\n")
}

fn filled(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The form of a document.
pub(super) fn shown(document: &Value) -> Fields {
    let mut fields = Fields::default();
    for path in TEXTS {
        fields = fields.with(path, text_at(document, path));
    }
    for (path, usual) in CHOSEN {
        fields = fields.with(path, or(text_at(document, path), usual));
    }
    fields = fields.with("hosts", lines(list_at(document, "hosts").iter()));
    let levels = list_at(document, "levels");
    for level in levels.iter().filter_map(Value::as_str) {
        fields = fields.with("levels", level);
    }
    if levels.is_empty() {
        fields = fields.with("levels", "admin").with("levels", "user");
    }
    let scopes: Vec<String> = list_at(document, "scopes").iter().map(scope_line).collect();
    fields = fields.with("scopes", scopes.join("\n"));
    fields = fields.with("auth.type", text_at(document, "auth.type"));
    for (name, _) in AUTH_TEXTS {
        let path = format!("auth.{name}");
        let usual = if *name == "signature_method" { "HMAC-SHA1" } else { "" };
        fields = fields.with(&path, or(text_at(document, &path), usual));
    }
    if document.pointer("/auth/pkce").and_then(Value::as_bool) != Some(false) {
        fields = fields.with("auth.pkce", "on");
    }
    let asking = document.pointer("/auth/authorize_parameters").and_then(Value::as_object);
    let asking =
        asking.into_iter().flatten().filter_map(|(name, v)| Some(format!("{name} = {}", v.as_str()?)));
    fields = fields.with("auth.authorize_parameters", asking.collect::<Vec<_>>().join("\n"));
    for list in [PARAMETERS, KEYS] {
        for (n, row) in list_at(document, list).iter().enumerate() {
            fields = with_shown_row(fields, list, n, &n.to_string(), row);
        }
    }
    fields
}

/// The fields of one row. `from` says which of the document it is.
fn with_shown_row(mut fields: Fields, list: &str, n: usize, from: &str, row: &Value) -> Fields {
    let at = |name: &str| format!("{list}.{n}.{name}");
    fields = fields.with(&at("from"), from);
    for name in ROW_TEXTS {
        let usual = if list == KEYS && *name == "in" { "header" } else { "" };
        fields = fields.with(&at(name), or(text_at(row, name), usual));
    }
    let flag = |name: &str| row.get(name).and_then(Value::as_bool);
    // A key is secret and required unless told; a parameter is neither, and whether it is required may be left open.
    let key = list == KEYS;
    if flag("secret").unwrap_or(key) {
        fields = fields.with(&at("secret"), "on");
    }
    let required = match flag("required") {
        None if key => "yes",
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    fields.with(&at("required"), required)
}

/// How many rows of a list a form has.
pub(super) fn rows(fields: &Fields, list: &str) -> usize {
    (0..10_000).take_while(|n| fields.has(&format!("{list}.{n}.from"))).count()
}

/// The fields with the rows of a list in another order: each new one with the place it had.
fn renumbered(fields: &Fields, list: &str, kept: &[usize]) -> Fields {
    let begin = format!("{list}.");
    let mut out = Fields::default();
    for (name, value) in fields.under("") {
        if !name.starts_with(&begin) {
            out = out.with(name, value);
        }
    }
    for (new, old) in kept.iter().enumerate() {
        for (name, value) in fields.under(&format!("{list}.{old}.")) {
            out = out.with(&format!("{list}.{new}.{name}"), value);
        }
    }
    out
}

/// The form with one row more, empty.
pub(super) fn with_row(fields: &Fields, list: &str) -> Fields {
    let fields = fields.clone();
    let n = rows(&fields, list);
    with_shown_row(fields, list, n, "", &json!({}))
}

/// The form without a row.
pub(super) fn without_row(fields: &Fields, list: &str, row: usize) -> Fields {
    let kept: Vec<usize> = (0..rows(fields, list)).filter(|n| *n != row).collect();
    renumbered(fields, list, &kept)
}

/// The form without rows that were added and never filled.
pub(super) fn without_blank_rows(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    for list in [PARAMETERS, KEYS] {
        let filled = |n: &usize| {
            let at = |name: &str| fields.given(&format!("{list}.{n}.{name}"));
            at("from").is_some() || ["label", "name", "help", "as"].iter().any(|name| at(name).is_some())
        };
        let kept: Vec<usize> = (0..rows(&fields, list)).filter(filled).collect();
        fields = renumbered(&fields, list, &kept);
    }
    fields
}

/// The document with what the form changes of it.
pub(super) fn applied(base: &Value, fields: &Fields) -> Value {
    let was = shown(base);
    let mut document = if base.is_object() { base.clone() } else { json!({}) };
    let changed = |path: &str| !same(was.get(path), fields.get(path));
    for path in TEXTS.iter().filter(|path| fields.has(path) && changed(path)) {
        put(&mut document, path, given(fields.get(path)));
    }
    // A call without a path is no call, and an identity that names nothing is none.
    for (whole, parts) in [
        ("test", &["test.path"] as &[&str]),
        ("identity", &["identity.name", "identity.subject", "identity.url"]),
    ] {
        let cleared =
            parts.iter().all(|path| fields.given(path).is_none()) && parts.iter().any(|path| changed(path));
        if cleared {
            put(&mut document, whole, None);
        }
    }
    for (path, _) in CHOSEN.iter().filter(|(path, _)| fields.has(path) && changed(path)) {
        let whole = path.split('.').next().unwrap_or_default();
        if document.get(whole).is_some_and(Value::is_object) {
            put(&mut document, path, given(fields.get(path)));
        }
    }
    if fields.has("hosts") && changed("hosts") {
        let hosts: Vec<Value> = filled(fields.get("hosts")).map(Value::from).collect();
        put(&mut document, "hosts", (!hosts.is_empty()).then(|| hosts.into()));
    }
    let levels: Vec<&str> = fields.all("levels").collect();
    if fields.has("base_url") && levels != was.all("levels").collect::<Vec<_>>() {
        put(&mut document, "levels", Some(levels.into()));
    }
    if fields.has("scopes") && changed("scopes") {
        let known = list_at(base, "scopes");
        let scope = |line: &str| {
            known
                .iter()
                .find(|scope| scope_line(scope).trim() == line)
                .cloned()
                .unwrap_or_else(|| read_scope(line))
        };
        let scopes: Vec<Value> = filled(fields.get("scopes")).map(scope).collect();
        put(&mut document, "scopes", (!scopes.is_empty()).then(|| scopes.into()));
    }
    auth(&mut document, &was, fields);
    apply_rows(&mut document, base, fields, PARAMETERS);
    document
}

/// What belongs to the scheme. With another scheme only what both have is kept.
fn auth(document: &mut Value, was: &Fields, fields: &Fields) {
    let kind = fields.get("auth.type");
    if kind.is_empty() {
        return;
    }
    let base = document.clone();
    let other = kind != was.get("auth.type");
    if other {
        put(document, "auth", Some(json!({ "type": kind })));
    }
    let has = |kinds: &[&str]| kinds.contains(&kind);
    let changed = |path: &str| fields.has(path) && (other || !same(was.get(path), fields.get(path)));
    for (name, kinds) in AUTH_TEXTS {
        let path = format!("auth.{name}");
        if has(kinds) && changed(&path) {
            let text = fields.get(&path);
            // A blank may stand between scopes.
            let value =
                if *name == "scope_delimiter" && !text.is_empty() { Some(text.into()) } else { given(text) };
            put(document, &path, value);
        }
    }
    let pkce = fields.has("auth.pkce");
    if has(&["oauth2_code"])
        && fields.has("auth.authorize_url")
        && (other && !pkce || !other && pkce != was.has("auth.pkce"))
    {
        put(document, "auth.pkce", Some(pkce.into()));
    }
    if has(ASKING) && changed("auth.authorize_parameters") {
        let mut parameters = Map::new();
        for line in filled(fields.get("auth.authorize_parameters")) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            parameters.insert(name.trim().to_owned(), value.trim().into());
        }
        put(document, "auth.authorize_parameters", (!parameters.is_empty()).then(|| parameters.into()));
    }
    if has(&["api_key"]) {
        apply_rows(document, &base, fields, KEYS);
    }
}

/// The rows of a list, each on top of what it was.
fn apply_rows(document: &mut Value, base: &Value, fields: &Fields, list: &str) {
    let known = list_at(base, list);
    let mut out = Vec::new();
    for n in 0..rows(fields, list) {
        let at = |name: &str| format!("{list}.{n}.{name}");
        let from = fields.get(&at("from")).parse::<usize>().ok().and_then(|from| known.get(from));
        let mut row = from.cloned().unwrap_or_else(|| json!({}));
        let was = with_shown_row(Fields::default(), list, n, "", &row);
        let changed = |name: &str| !same(was.get(&at(name)), fields.get(&at(name)));
        for name in ROW_TEXTS.iter().filter(|name| changed(name)) {
            put(&mut row, name, given(fields.get(&at(name))));
        }
        let secret = fields.has(&at("secret"));
        if secret != was.has(&at("secret")) {
            put(&mut row, "secret", Some(secret.into()));
        }
        if changed("required") {
            let required = match fields.get(&at("required")) {
                "yes" => Some(true.into()),
                "no" => Some(false.into()),
                _ => None,
            };
            put(&mut row, "required", required);
        }
        out.push(row);
    }
    let was_there = document.pointer(&pointer(list)).is_some();
    // A list of keys is always there, and says so when it is empty.
    let value = (!out.is_empty() || list == KEYS || was_there && known.is_empty()).then(|| out.into());
    put(document, list, value);
}

/// Errors at the fields of the form: an entry of a list that is typed as lines is named by its line.
pub(super) fn landed(errors: Vec<FieldError>) -> Vec<FieldError> {
    let land = |error: FieldError| {
        for list in ["hosts", "scopes"] {
            let Some(rest) = error.field.strip_prefix(list).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let (line, part) = rest.split_once('.').unwrap_or((rest, ""));
            let line = line.parse::<usize>().map_or(0, |line| line.saturating_add(1));
            let of = if part.is_empty() { String::new() } else { format!(", {part}") };
            return FieldError::new(list, &error.code, format!("Line {line}{of}: {}", error.message));
        }
        for (whole, at) in [("levels", "levels"), ("auth.authorize_parameters", "auth.authorize_parameters")]
        {
            let below = error.field.strip_prefix(whole).and_then(|rest| rest.strip_prefix('.'));
            if let Some(name) = below {
                return FieldError::new(at, &error.code, format!("{name}: {}", error.message));
            }
        }
        error
    };
    errors.into_iter().map(land).collect()
}

/// Every field that the form shows for this many rows.
pub(super) fn names(fields: &Fields) -> Vec<String> {
    let kind = fields.get("auth.type");
    let of_auth = |kinds: &[&str]| kinds.contains(&kind);
    let mut all: Vec<String> = TEXTS.iter().map(|name| (*name).to_owned()).collect();
    all.extend(CHOSEN.iter().map(|(name, _)| (*name).to_owned()));
    all.extend(["hosts", "levels", "scopes", "auth.type"].map(str::to_owned));
    all.extend(AUTH_TEXTS.iter().filter(|(_, kinds)| of_auth(kinds)).map(|(name, _)| format!("auth.{name}")));
    if of_auth(ASKING) {
        all.push("auth.authorize_parameters".to_owned());
    }
    for list in [PARAMETERS, KEYS] {
        if list == KEYS && kind != "api_key" {
            continue;
        }
        for n in 0..rows(fields, list) {
            all.extend(ROW_TEXTS.iter().chain(&["required"]).map(|name| format!("{list}.{n}.{name}")));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use jackfield_core::connector::{Connector, built_in};

    use super::*;

    /// As a browser does: line ends of areas become `\r\n`, those of inputs go.
    fn through_a_browser(fields: &Fields) -> Fields {
        let areas = ["hosts", "scopes", "auth.authorize_parameters", "description"];
        let mut out = Fields::default();
        for (name, value) in fields.under("") {
            let value = if areas.contains(&name) {
                value.replace("\r\n", "\n").replace('\n', "\r\n")
            } else {
                value.replace(['\r', '\n'], "")
            };
            out = out.with(name, value);
        }
        out
    }

    fn catalogue() -> impl Iterator<Item = (Value, &'static Connector)> {
        assert!(built_in().len() > 40);
        built_in().iter().map(|connector| (connector.to_json(), &**connector))
    }

    #[test]
    fn an_untouched_form_changes_nothing_of_any_document() {
        for (document, _) in catalogue() {
            assert_eq!(applied(&document, &through_a_browser(&shown(&document))), document);
        }
        // Nor of one that is no connector at all.
        for odd in [
            json!({"auth": "x", "scopes": [1, {"name": "a | b", "label": "c|d"}], "hosts": [null], "parameters": "?"}),
            json!({"auth": {"type": "api_key", "fields": []}, "parameters": [], "test": 7, "levels": ["system"]}),
            json!({"name": "A\nB", "description": "one\r\ntwo\n\nthree ", "x": {"y": null}}),
        ] {
            let after = applied(&odd, &through_a_browser(&shown(&odd)));
            let kept = |name: &str| assert_eq!(after.get(name), odd.get(name), "{name}");
            for name in ["auth", "scopes", "hosts", "name", "description", "x", "test", "levels"] {
                kept(name);
            }
        }
    }

    #[test]
    fn the_form_alone_describes_what_the_catalogue_describes_in_its_fields() {
        // Another base, all fields typed anew: what the form knows arrives.
        for (document, connector) in catalogue() {
            let fields = through_a_browser(&shown(&document));
            let made = applied(&blank(), &fields);
            for path in [
                "name",
                "link_name",
                "base_url",
                "hosts",
                "test.path",
                "auth.token_url",
                "auth.authorize_url",
            ] {
                assert_eq!(made.pointer(&pointer(path)), document.pointer(&pointer(path)), "{path}");
            }
            assert_eq!(shown(&made).get("scopes"), shown(&document).get("scopes"), "{}", connector.name);
            assert_eq!(rows(&shown(&made), PARAMETERS), rows(&fields, PARAMETERS));
            // What a template needs and the form does not know may be missing: the errors then name it.
            assert_eq!(made["auth"]["type"], document["auth"]["type"]);
        }
    }

    #[test]
    fn one_change_changes_one_thing() {
        for (document, connector) in catalogue() {
            let mut fields = Fields::default();
            for (name, value) in shown(&document).under("") {
                fields = fields.with(name, if name == "name" { "Another" } else { value });
            }
            let mut wanted = document.clone();
            wanted["name"] = "Another".into();
            let after = applied(&document, &through_a_browser(&fields));
            assert_eq!(after, wanted, "{}", connector.name);
            assert!(serde_json::from_value::<Connector>(after).is_ok());
        }
    }

    fn changed(document: &Value, changes: &[(&str, &str)]) -> Value {
        let mut fields = Fields::default();
        for (name, value) in shown(document).under("") {
            let other = changes.iter().find(|(changed, _)| *changed == name);
            fields = fields.with(name, other.map_or(value, |(_, value)| value));
        }
        applied(document, &fields)
    }

    #[test]
    fn scopes_keep_what_a_line_does_not_say() {
        let document = json!({"scopes": [
            {"name": "a", "label": "A | with a bar", "access": "read", "default": true},
            {"name": "b", "default": false},
        ]});
        let text = shown(&document).get("scopes").to_owned();
        assert_eq!(text, "a | A | with a bar | read | ticked\nb");
        let more = format!("{text}\r\n c | Change | write \r\n\r\nd | | | ticked");
        let after = changed(&document, &[("scopes", &more)]);
        assert_eq!(after["scopes"][0], document["scopes"][0]);
        assert_eq!(after["scopes"][1], document["scopes"][1]);
        assert_eq!(after["scopes"][2], json!({"name": "c", "label": "Change", "access": "write"}));
        assert_eq!(after["scopes"][3], json!({"name": "d", "default": true}));
        assert_eq!(changed(&document, &[("scopes", " ")]).get("scopes"), None);
    }

    #[test]
    fn rows_come_and_go_and_keep_what_the_form_does_not_show() {
        let document = json!({"auth": {"type": "none"}, "parameters": [
            {"name": "one", "pattern": "x+"}, {"name": "two", "choices": [{"value": "v"}], "in": "query"}, {"name": "three", "default": "d"},
        ]});
        let fields = without_row(&shown(&document), PARAMETERS, 1);
        assert_eq!(rows(&fields, PARAMETERS), 2);
        let after = applied(&document, &fields);
        assert_eq!(
            after["parameters"],
            json!([{"name": "one", "pattern": "x+"}, {"name": "three", "default": "d"}])
        );
        let more = with_row(&fields, PARAMETERS);
        assert_eq!((rows(&more, PARAMETERS), rows(&without_blank_rows(&more), PARAMETERS)), (3, 2));
        let more = Fields::default()
            .with("parameters.0.from", "7")
            .with("parameters.0.name", " n ")
            .with("parameters.0.required", "no");
        assert_eq!(applied(&document, &more)["parameters"], json!([{"name": "n", "required": false}]));
        assert_eq!(
            applied(&document, &without_row(&without_row(&fields, PARAMETERS, 0), PARAMETERS, 0))
                .get("parameters"),
            None
        );
    }

    #[test]
    fn another_scheme_leaves_the_fields_of_the_one_before() {
        let document = built_in().get("github").map(|connector| connector.to_json()).unwrap();
        let after = changed(&document, &[("auth.type", "none")]);
        assert_eq!(after["auth"], json!({"type": "none"}));
        let keys = changed(&document, &[("auth.type", "api_key")]);
        assert_eq!(keys["auth"], json!({"type": "api_key", "fields": []}));
        let client = changed(&document, &[("auth.type", "oauth2_client_credentials")]);
        assert_eq!(client["auth"]["token_url"], document["auth"]["token_url"]);
        assert_eq!(client["auth"].get("authorize_url"), None);
        let comma = changed(&document, &[("auth.scope_delimiter", ",")]);
        assert_eq!(comma["auth"]["scope_delimiter"], ",");
        assert_eq!(comma["auth"]["token_url"], document["auth"]["token_url"]);
    }

    #[test]
    fn an_emptied_call_is_no_call() {
        let document = json!({"test": {"path": "/me", "expect": {"status": [200]}}, "identity": {"url": "/me", "name": "/n", "method": "POST"}});
        let after = changed(&document, &[("test.path", "")]);
        assert_eq!(after.get("test"), None);
        assert_eq!(after["identity"], document["identity"]);
        let after = changed(&document, &[("identity.url", ""), ("identity.name", "")]);
        assert_eq!(after.get("identity"), None);
        assert_eq!(
            changed(&document, &[("test.path", "/you")])["test"]["expect"],
            document["test"]["expect"]
        );
        assert_eq!(changed(&json!({}), &[("test.method", "POST")]).get("test"), None);
    }

    #[test]
    fn errors_find_their_lines() {
        let at = |field: &str| landed(vec![FieldError::new(field, "invalid", "is wrong")]).remove(0);
        assert_eq!(at("hosts.1").field, "hosts");
        assert_eq!(at("hosts.1").message, "Line 2: is wrong");
        assert_eq!(at("scopes.0.access").message, "Line 1, access: is wrong");
        assert_eq!(at("parameters.0.name").field, "parameters.0.name");
        assert_eq!(at("auth.authorize_parameters.a.b").field, "auth.authorize_parameters");
        // What the form has no field for stays by its name.
        let fields = shown(&json!({"auth": {"type": "api_key", "fields": [{}]}, "parameters": [{}, {}]}));
        let shown = names(&fields);
        let is_shown = |name: &str| shown.iter().any(|shown| shown == name);
        assert!(
            is_shown("auth.fields.0.name") && is_shown("parameters.1.in") && !is_shown("parameters.2.in")
        );
        assert!(!is_shown("auth.token_url") && !is_shown("modules.x") && !is_shown("parameters.0.pattern"));
    }
}

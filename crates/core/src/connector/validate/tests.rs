//! What is wrong with a document, and where it says so.

use serde_json::{Value, json};

use super::*;

/// A right document, with some members replaced.
fn document(changes: Value) -> Value {
    let mut document = json!({
        "name": "Acme", "base_url": "https://{subdomain}.acme.example/v1",
        "parameters": [{"name": "subdomain"}, {"name": "tenant", "in": "header", "as": "X-Tenant"}],
        "scopes": [{"name": "read"}, {"name": "write"}],
        "auth": {
            "type": "oauth2_code", "authorize_url": "https://acme.example/authorize", "token_url": "https://acme.example/token",
            "callback_parameters": ["realmId"],
        },
    });
    for (pointer, value) in changes.as_object().unwrap() {
        if let Some(place) = document.pointer_mut(pointer) {
            *place = value.clone();
        } else {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[key] = value.clone();
        }
    }
    document
}

fn faults(changes: Value) -> Vec<(String, String)> {
    let read = Connector::from_json(document(changes));
    read.err().unwrap_or_default().into_iter().map(|error| (error.field, error.code)).collect()
}

#[track_caller]
fn refused(changes: Value, field: &str, code: &str) {
    let found = faults(changes.clone());
    assert!(
        found.contains(&(field.to_owned(), code.to_owned())),
        "{changes}: wanted {field} {code}, found {found:?}"
    );
}

#[test]
fn a_right_document_is_right() {
    for changes in [
        json!({}),
        json!({"/base_url": "http://127.0.0.1:8080/v1"}),
        json!({"/base_url": "https://api.acme.example", "/hosts": ["api.acme.example", "*.acme.example:8443"]}),
        json!({"/base_url": "https://{subdomain}.acme.example/{callback.realmId}/{token.company}"}),
        json!({"/headers": {"X-Company": "{callback.realmId}", "X-Sub": "{subdomain}"}}),
        json!({"/auth/authorize_parameters": {"scope2": "{scopes}", "s": "{subdomain}"}}),
        json!({"/setup": [{"id": "a", "operation": "GET /a"}, {"id": "b", "operation": "GET /a/{setup.a}", "when": {"setup.a": "1"}}]}),
        json!({"/logo": "data:image/png;base64,AAAA"}),
        json!({"/parameters": [{"name": "subdomain", "default": "a", "required": false, "pattern": "[a-z]+"}]}),
        json!({"/auth": {"type": "none"}}),
        json!({"/identity": {"url": "/me", "name": "/email", "subject": "{callback.realmId}"}}),
        json!({"/parameters": [{"name": "subdomain"}, {"name": "X-Api-Version", "in": "header"}]}),
    ] {
        assert_eq!(faults(changes.clone()), [], "{changes}");
    }
}

#[test]
fn names_what_is_wrong() {
    for (pointer, value, field, code) in [
        ("/name", json!("-x"), "name", "invalid"),
        ("/link_name", json!("Acme"), "link_name", "invalid"),
        ("/levels", json!(["admin", "system"]), "levels.1", "not_allowed"),
        ("/levels", json!([]), "levels", "required"),
        ("/levels", json!(["user", "user"]), "levels.1", "duplicate"),
        ("/base_url", json!("ftp://acme.example"), "base_url", "invalid"),
        ("/base_url", json!("acme.example"), "base_url", "invalid"),
        ("/base_url", json!("https://user:pw@acme.example"), "base_url", "invalid"),
        ("/base_url", json!("https://acme.example/#x"), "base_url", "invalid"),
        ("/base_url", json!("https://acme.example/?a=b"), "base_url", "invalid"),
        ("/base_url", json!("https://acme.example/../x"), "base_url", "invalid"),
        ("/base_url", json!("https://{nobody}.acme.example"), "base_url", "unknown"),
        ("/base_url", json!("https://acme.example/{region.x}"), "base_url", "unknown"),
        ("/base_url", json!("https://acme.example/{callback.x}"), "base_url", "unknown"),
        ("/base_url", json!("https://acme.example/{setup.x}"), "base_url", "unknown"),
        ("/base_url", json!("https://acme.example/{token.access_token}"), "base_url", "not_allowed"),
        ("/base_url", json!("https://acme.example/{client_secret}"), "base_url", "not_allowed"),
        ("/base_url", json!("https://{token.host}/"), "hosts", "required"),
        ("/base_url", json!("https://acme.example/{"), "base_url", "invalid"),
        ("/hosts", json!(["https://acme.example"]), "hosts.0", "invalid"),
        ("/hosts", json!(["*"]), "hosts.0", "invalid"),
        ("/hosts", json!(["*.com"]), "hosts.0", "invalid"),
        ("/hosts", json!(["acme.example/x"]), "hosts.0", "invalid"),
        ("/hosts", json!(["{token.host}"]), "hosts.0", "not_allowed"),
        ("/scopes", json!([{"name": "a"}, {"name": "a"}]), "scopes.1", "duplicate"),
        ("/scopes", json!([{"name": "a b"}]), "scopes.0.name", "invalid"),
        ("/parameters", json!([{"name": "subdomain"}, {"name": "subdomain"}]), "parameters.1", "duplicate"),
        ("/parameters", json!([{"name": "sub domain"}]), "parameters.0.name", "invalid"),
        ("/parameters", json!([{"name": "subdomain", "pattern": "("}]), "parameters.0.pattern", "invalid"),
        (
            "/parameters",
            json!([{"name": "subdomain", "required": false}]),
            "parameters.0.required",
            "invalid",
        ),
        ("/parameters", json!([{"name": "subdomain", "secret": true}]), "base_url", "not_allowed"),
        (
            "/parameters/1",
            json!({"name": "x", "secret": true, "default": "x"}),
            "parameters.1.default",
            "not_allowed",
        ),
        (
            "/parameters/1",
            json!({"name": "x", "default": "c", "choices": [{"value": "a"}]}),
            "parameters.1.default",
            "invalid",
        ),
        ("/parameters/1", json!({"name": "x", "in": "header", "as": "Host"}), "parameters.x", "invalid"),
        ("/parameters/1", json!({"name": "x", "in": "header", "as": "a b"}), "parameters.x", "invalid"),
        (
            "/parameters/1",
            json!({"name": "x", "in": "header", "as": "authorization"}),
            "parameters.x",
            "duplicate",
        ),
        ("/parameters/1", json!({"name": "scopes"}), "parameters.1.name", "not_allowed"),
        ("/headers", json!({"Authorization": "x"}), "headers.Authorization", "not_allowed"),
        ("/headers", json!({"X-A": "{client_secret}"}), "headers.X-A", "not_allowed"),
        ("/headers", json!({"X-A": "a\nb"}), "headers.X-A", "invalid"),
        ("/identity", json!({"name": "/x"}), "identity.url", "required"),
        ("/identity", json!({"url": "/me"}), "identity", "required"),
        ("/identity", json!({"url": "/me", "name": "email"}), "identity.name", "invalid"),
        ("/identity", json!({"url": "/me", "name": "/a~2"}), "identity.name", "invalid"),
        ("/test", json!({"path": "//evil.example"}), "test.path", "invalid"),
        ("/test", json!({"path": "/x/../y"}), "test.path", "invalid"),
        ("/test", json!({"path": "/", "expect": {"equals": 1}}), "test.expect.pointer", "required"),
        ("/setup", json!([{"id": "a", "operation": "/sites"}]), "setup.0.operation", "invalid"),
        ("/setup", json!([{"id": "a", "operation": "site.list"}]), "setup.0.operation", "unknown"),
        ("/setup", json!([{"id": "a", "operation": "GET /{setup.a}"}]), "setup.0.operation", "not_allowed"),
        (
            "/setup",
            json!([{"id": "a", "operation": "GET /", "when": {"setup.a": "1"}}]),
            "setup.0.when.setup.a",
            "unknown",
        ),
        ("/regions", json!(["EU"]), "regions.0", "invalid"),
        ("/region_values", json!({"eu": {"h": "x"}}), "region_values", "required"),
        ("/region_parameter", json!("none"), "region_parameter", "unknown"),
        ("/logo", json!("data:text/html;base64,AAAA"), "logo", "invalid"),
        ("/documentation_url", json!("javascript:alert(1)"), "documentation_url", "invalid"),
        (
            "/auth/authorize_url",
            json!("https://acme.example/{callback.realmId}"),
            "auth.authorize_url",
            "not_allowed",
        ),
        ("/auth/scope_delimiter", json!(""), "auth.scope_delimiter", "invalid"),
        ("/auth/token_at", json!("data"), "auth.token_at", "invalid"),
        ("/auth/callback_parameters", json!(["code"]), "auth.callback_parameters.0", "not_allowed"),
        ("/auth/client_id_name", json!(""), "auth.client_id_name", "invalid"),
        (
            "/auth/token_headers",
            json!({"Content-Length": "1"}),
            "auth.token_headers.Content-Length",
            "invalid",
        ),
        ("/auth", json!({"type": "api_key", "fields": []}), "auth.fields", "required"),
        (
            "/auth",
            json!({"type": "api_key", "fields": [{"name": "a", "as": "X"}, {"name": "b", "as": "x"}]}),
            "auth.fields.b",
            "duplicate",
        ),
        (
            "/auth",
            json!({"type": "basic", "username": {"fixed": "a"}, "password": {"fixed": "b"}}),
            "auth",
            "invalid",
        ),
    ] {
        refused(json!({ pointer: value }), field, code);
    }
}

#[test]
fn base_url_must_be_allowed() {
    refused(json!({"/base_url": "https://a.example", "/hosts": ["b.example"]}), "hosts", "invalid");
    refused(
        json!({"/base_url": "https://a.example", "/test": {"path": "https://b.example/me"}}),
        "test.path",
        "not_allowed",
    );
}

#[test]
fn apps_are_registered_at_pages_by_https() {
    let with = |registration: Value| json!({"/registration": registration});
    assert_eq!(faults(with(json!({"url": "https://acme.example/apps"}))), []);
    assert_eq!(faults(with(json!({"help": "Admin, Apps."}))), []);
    refused(with(json!({})), "registration.url", "required");
    for url in ["http://acme.example/apps", "javascript:alert(1)", "/apps", ""] {
        refused(with(json!({"url": url})), "registration.url", "invalid");
    }
}

#[test]
fn operations_are_checked() {
    let with = |operation: Value| json!({"/modules": {"thing": {"fields": [{"name": "id"}], "operations": {"do": operation}}}});
    assert_eq!(faults(with(json!({"path": "/things/{id}"}))), []);
    let paged = json!({"path": "/q", "query": {"q": "from {page.offset}"}, "items": "/i", "pagination": {"type": "offset"}});
    assert_eq!(faults(with(paged)), []);
    refused(with(json!({"path": "/things/{no}"})), "modules.thing.operations.do.path", "unknown");
    refused(with(json!({"path": "/{page.offset}"})), "modules.thing.operations.do.path", "unknown");
    let unlisted = json!({"path": "/", "pagination": {"type": "link_header"}});
    refused(with(unlisted), "modules.thing.operations.do.items", "required");
    let markless = json!({"path": "/", "items": "", "pagination": {"type": "cursor", "cursor": "c"}});
    refused(with(markless), "modules.thing.operations.do.pagination.next", "required");
    refused(json!({"/modules": {"Thing": {"operations": {}}}}), "modules.Thing", "invalid");
    let upload = |fields: Value| json!({"method": "PUT", "path": "/{id}", "body_encoding": "base64", "fields": fields});
    assert_eq!(faults(with(upload(json!([{"name": "id"}, {"name": "content"}])))), []);
    let fields = "modules.thing.operations.do.fields";
    refused(with(upload(json!([{"name": "id"}]))), fields, "invalid");
    refused(with(upload(json!([{"name": "a"}, {"name": "b"}]))), fields, "invalid");
    let mut full = upload(json!([{"name": "id"}, {"name": "content"}]));
    full["body"] = json!({"a": 1});
    refused(with(full), "modules.thing.operations.do.body", "invalid");
    let mail =
        |fields: Value| json!({"method": "POST", "path": "/send", "body_encoding": "mail", "fields": fields});
    assert_eq!(faults(with(mail(json!([{"name": "to"}, {"name": "subject"}, {"name": "text"}])))), []);
    refused(with(mail(json!([{"name": "to"}, {"name": "X-Header"}]))), fields, "invalid");
    refused(with(mail(json!([{"name": "to", "at": "/Bcc"}]))), fields, "invalid");
    let mut full = mail(json!([{"name": "to"}]));
    full["body"] = json!({"bcc": "a@b.example"});
    refused(with(full), "modules.thing.operations.do.body", "invalid");
    let marked = json!({"method": "POST", "path": "/q", "items": "", "pagination": {"type": "cursor", "cursor": "/a~2", "next": "/n"}});
    refused(with(marked), "modules.thing.operations.do.pagination.cursor", "invalid");
}

#[test]
fn headers_that_hold_json_are_checked() {
    let with = |headers: Value| json!({"/modules": {"file": {"operations": {"put": {"method": "POST", "path": "/f", "json_headers": headers, "fields": [{"name": "path"}]}}}}});
    assert_eq!(faults(with(json!({"X-Arg": {"path": "{path}", "a": 1, "b": false}}))), []);
    for (headers, field) in [
        (json!({"X Arg": {}}), "X Arg"),
        (json!({"X-Arg": {"a": "{other}"}}), "X-Arg.a"),
        (json!({"X-Arg": {"a": ["{path}"]}}), "X-Arg.a"),
    ] {
        let found = faults(with(headers));
        let at = format!("modules.file.operations.put.json_headers.{field}");
        assert!(found.iter().any(|(path, _)| *path == at), "{at}: {found:?}");
    }
}

#[test]
fn where_further_fields_are_described_is_checked() {
    let with = |changes: Value| {
        let mut more = json!({"operation": "object.fields", "with": {"object": "{object}"}, "name": "/name", "into": "fields"});
        more.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"/modules": {
            "object": {"operations": {
                "fields": {"path": "/o/{object}", "fields": [{"name": "object", "required": true}], "items": "/fields"},
                "read": {"path": "/o"},
            }},
            "record": {"operations": {"make": {
                "method": "POST", "path": "/r/{object}", "more_fields": more,
                "fields": [{"name": "object"}, {"name": "kind", "type": "object", "in": "query"}, {"name": "fields", "type": "object", "at": ""}],
            }}},
        }})
    };
    let typed = json!({"type": "/t", "types": {"x": "number"}, "shapes": {"x": {"y": ["{value}"]}}, "required": {"/n": ["false"]}, "choices": {"at": "/c"}});
    assert_eq!(faults(with(typed)), []);
    assert_eq!(faults(with(json!({"into": null}))), []);
    // The whole answer may be the only item, where the fields stand below it.
    assert_eq!(faults(with(json!({"operation": "object.read", "with": {}, "each": "/fields"}))), []);
    assert_eq!(faults(with(json!({"where": {"/id": "{object}"}, "each": "/fields"}))), []);
    for (changes, field, code) in [
        (json!({"operation": "object.none"}), "operation", "unknown"),
        (json!({"operation": "fields"}), "operation", "unknown"),
        (json!({"operation": "object.read", "with": {}}), "operation", "invalid"),
        (json!({"with": {}}), "with.object", "required"),
        (json!({"with": {"object": "{object}", "b": "c"}}), "with.b", "unknown"),
        (json!({"with": {"object": "{subdomain}"}}), "with.object", "unknown"),
        (json!({"with": {"object": "{"}}), "with.object", "invalid"),
        (json!({"where": {"/id": "{subdomain}"}}), "where./id", "unknown"),
        (json!({"where": {"/id": "{"}}), "where./id", "invalid"),
        (json!({"where": {"id": "{object}"}}), "where.id", "invalid"),
        (json!({"each": "fields"}), "each", "invalid"),
        (json!({"name": "name"}), "name", "invalid"),
        (json!({"types": {"x": "number"}}), "type", "required"),
        (json!({"shapes": {"x": "{value}"}}), "type", "required"),
        (json!({"type": "/t", "shapes": {"x": {"y": "value"}}}), "shapes.x", "invalid"),
        (json!({"required": {"x": ["1"]}}), "required.x", "invalid"),
        (json!({"read_only": {"/x": []}}), "read_only./x", "required"),
        (json!({"choices": {"at": "c"}}), "choices.at", "invalid"),
        (json!({"into": "none"}), "into", "unknown"),
        (json!({"into": "object"}), "into", "invalid"),
        (json!({"into": "kind"}), "into", "invalid"),
    ] {
        refused(with(changes), &format!("modules.record.operations.make.more_fields.{field}"), code);
    }
    let mut shaped = with(json!({}));
    shaped["/modules"]["record"]["operations"]["make"]["fields"][2]["shape"] = json!({"value": 1});
    refused(shaped, "modules.record.operations.make.fields.2.shape", "invalid");
    let mut read = with(json!({"into": null}));
    read["/modules"]["record"]["operations"]["make"]["method"] = json!("GET");
    refused(read, "modules.record.operations.make.more_fields", "invalid");
}

#[test]
fn the_row_of_a_region_is_picked() {
    let connector = Connector::from_json(json!({
        "name": "A", "base_url": "https://{region.host}", "region_parameter": "dc", "regions": ["us", "eu"],
        "region_values": {"default": {"host": "a.example"}, "eu": {"host": "a.eu.example"}},
        "parameters": [{"name": "dc"}], "auth": {"type": "none"},
    }))
    .unwrap();
    let base = |dc: &str, region: &str| {
        let parameters = BTreeMap::from([("dc".to_owned(), dc.to_owned())]);
        let values = Values { region: connector.region_row(&parameters, region), ..Values::default() };
        assert_eq!(
            connector.render_hosts(&values).unwrap()[0],
            connector.render_base_url(&values).unwrap()[8..]
        );
        connector.render_base_url(&values).unwrap()
    };
    assert_eq!(base("", "eu"), "https://a.eu.example");
    assert_eq!(base("eu", "us"), "https://a.eu.example");
    assert_eq!(base("", "in"), "https://a.example");
    assert!(connector.available_in("eu") && !connector.available_in("in"));
}

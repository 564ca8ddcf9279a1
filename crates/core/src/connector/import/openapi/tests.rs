use serde_json::json;

use super::*;

fn draft(document: &Value, operations: Option<&[&str]>) -> Draft {
    let wanted =
        Wanted { operations: operations.map(|all| all.iter().map(|one| (*one).to_owned()).collect()) };
    let draft = from_openapi(&document.to_string(), &wanted, None, None).unwrap_or_else(|e| panic!("{e}"));
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
    let lines: Vec<String> = draft.notes.iter().map(|note| format!("{}: {}\n", note.at, note.why)).collect();
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
    assert_eq!(drawn.document["scopes"], json!([{"name": "a", "label": "Reads"}]));
    // Two keys that go together, and of two ways the one that a person accepts.
    let keys = json!({"a": {"type": "apiKey", "in": "header", "name": "X-A"}, "b": {"type": "apiKey", "in": "header", "name": "X-B"},
        "o": {"type": "oauth2", "flows": {"authorizationCode": {"authorizationUrl": "https://a.example/a", "tokenUrl": "https://a.example/t", "scopes": {}}}}});
    let both = with(&json!({"security": [{"a": [], "b": []}], "components": {"securitySchemes": keys}}));
    assert_eq!(draft(&both, None).document["auth"]["fields"].as_array().map(Vec::len), Some(2));
    let either = with(&json!({"security": [{"a": []}, {"o": []}], "components": {"securitySchemes": keys}}));
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
    let drawn =
        from_openapi(&text, &Wanted::default(), Some("Mine"), Some("https://b.example/spec/openapi.json"))
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
fn what_only_the_service_writes_is_seen_in_its_answers() {
    let id = json!({"type": "string", "readOnly": true});
    let person = json!({"type": "object", "properties": {"User_ID": id, "Name": {"type": "object"}, "eMail": {"type": "string"},
        "email_token": {"type": "string", "writeOnly": true}}});
    let thing = json!({"type": "object", "properties": {"Id": id, "title": {"type": "string"},
        "pin": {"type": "string", "writeOnly": true}}});
    let page = json!({"type": "object", "properties": {"things": {"type": "array", "readOnly": true}}});
    let answer = |schema: &Value| json!({"201": {"content": {"application/json": {"schema": schema}}}});
    let document = with(&json!({"paths": {
        "/users/me": {"get": {"responses": answer(&person)}},
        "/things": {
            "get": {"responses": answer(&page)},
            "post": {"requestBody": {"content": {"application/json": {"schema": thing}}}, "responses": answer(&thing)},
        },
    }}));
    let drawn = draft(&document, Some(&["*"]));
    let things = &drawn.document["modules"]["things"]["operations"];
    let made = &things["create_things"];
    assert_eq!(
        (&made["result"], &made["fields"]),
        (&json!("/Id"), &json!([{"name": "pin"}, {"name": "title"}]))
    );
    assert_eq!(things["read_things"]["items"], "/things");
    let identity = json!({"url": "/users/me", "name": "/eMail", "subject": "/User_ID"});
    assert_eq!(drawn.document["identity"], identity, "{}", remarks(&drawn));
    assert!(
        remarks(&drawn).contains("identity: /eMail of what GET /users/me answers"),
        "{}",
        remarks(&drawn)
    );

    let silent = with(&json!({"paths": {"/me": {"get": {"responses": {}}}}}));
    let drawn = draft(&silent, Some(&["*"]));
    assert_eq!((drawn.document.get("identity"), &drawn.document["test"]["path"]), (None, &json!("/me")));
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
            proptest::prop_assert!(crate::connector::Connector::from_json(draft.document.clone()).is_ok());
        }
    }
}

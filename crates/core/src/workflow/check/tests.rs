use serde_json::json;

use super::*;

fn grounds() -> Grounds {
    let connector: Connector = serde_json::from_value(json!({
        "name": "Acme", "base_url": "https://acme.example", "auth": {"type": "none"},
        "modules": {"vendor": {
            "fields": [
                {"name": "DisplayName", "required": true},
                {"name": "Balance", "type": "number"},
                {"name": "Active", "type": "boolean"},
                {"name": "Kind", "choices": [{"value": "a", "label": "A"}]},
            ],
            "operations": {"create": {"method": "POST", "path": "/vendors"}},
        }},
    }))
    .unwrap();
    let fields = [
        ("vendor_name", (Shape::Text, true)),
        ("amount", (Shape::Decimal(2), false)),
        ("agreed", (Shape::Flag, false)),
        ("address", (Shape::Object, false)),
    ];
    let fields: BTreeMap<String, (Shape, bool)> =
        fields.into_iter().map(|(name, facts)| (name.to_owned(), facts)).collect();
    Grounds {
        forms: BTreeMap::from([("vendors".to_owned(), fields)]),
        connections: BTreeMap::from([
            ("acme".to_owned(), Arc::new(connector)),
            ("pay".to_owned(), Arc::new(cash())),
        ]),
        region: "eu".to_owned(),
        versions: BTreeMap::new(),
        datasources: BTreeSet::from(["rates".to_owned()]),
        columns: BTreeMap::from([(
            "rates".to_owned(),
            ["day", "rate", "bank.name"].map(str::to_owned).to_vec(),
        )]),
        described: Vec::new(),
    }
}

/// A service that takes payments, in India only.
fn cash() -> Connector {
    Connector::from_json(json!({
        "name": "Cash", "base_url": "https://cash.example", "auth": {"type": "none"}, "regions": ["in"],
        "modules": {"c": {"fields": [{"name": "id"}], "operations": {
            "create": {"method": "POST", "path": "/c", "result": "/id", "idempotency": {"in": "header", "name": "Key"}},
            "read": {"path": "/c/{id}"}, "end": {"method": "POST", "path": "/c/{id}/end"}}}},
        "payment": {"checkout_hosts": ["cash.example"], "amounts": "minor", "currencies": ["EUR", "HUF", "JPY"], "exponents": {"HUF": 0},
            "create": {"operation": "c.create"}, "read": {"operation": "c.read", "with": {"id": "{payment.checkout}"}},
            "expire": {"operation": "c.end", "with": {"id": "{payment.checkout}"}},
            "url": "/url", "amount": "/amount", "currency": "/currency",
            "states": [{"when": {"/status": "paid"}, "state": "paid"}]},
    }))
    .unwrap()
}

fn workflow(actions: &Value) -> Workflow {
    serde_json::from_value(json!({"form": "vendors", "on": "created", "actions": actions})).unwrap()
}

fn faults(actions: &Value) -> Vec<(String, String)> {
    let wrong = workflow(actions).check(&grounds()).err().unwrap_or_default();
    wrong.into_iter().map(|e| (e.field, e.code)).collect()
}

fn push(mapping: &Value) -> Value {
    json!([{"name": "push", "integration":
        {"connection": "acme", "module": "vendor", "operation": "create", "mapping": mapping}}])
}

#[test]
fn rows_are_named_where_actions_are_done() {
    let tell =
        |text: &str| json!([{"name": "tell", "mail": {"to": ["a@b.example"], "subject": "s", "text": text}}]);
    let at = |code: &str| vec![("actions.0.mail.text".to_owned(), code.to_owned())];
    assert_eq!(
        faults(&tell("{{ rows.rates|length }} {{ rows.rates|table('day', 'bank.name', '/x/y') }}")),
        []
    );
    assert_eq!(faults(&tell("{{ rows.none|length }}")), at("unknown"));
    assert_eq!(faults(&tell("{{ rows|length }}")), at("unknown"));
    assert_eq!(faults(&tell("{{ rows.rates|table('day', 'rat') }}")), at("unknown"));
    let mut early = workflow(&tell("t"));
    early.condition = Some("rows.rates|length > 0".to_owned());
    assert_eq!(early.check(&grounds()).unwrap_err()[0].field, "condition");
    let action = &workflow(&tell("{{ rows.rates|table('day') }} {{ arrows.x }}")).actions[0];
    assert_eq!(action.rows_named(), BTreeSet::from(["rates".to_owned()]));
}

#[test]
fn payments_are_checked() {
    let check = |region: &str, more: Value| {
        let mut payment = json!({"connection": "pay", "amount": {"field": "amount"}, "currency": "EUR",
            "description": "Fee of {{ record.vendor_name }}"});
        for (name, value) in more.as_object().unwrap() {
            payment[name] = value.clone();
        }
        let grounds = Grounds { region: region.to_owned(), ..grounds() };
        let wrong = workflow(&json!([{"name": "pay", "payment": payment}])).check(&grounds).err();
        let wrong = wrong.unwrap_or_default().into_iter();
        wrong.map(|e| (e.field.replace("actions.0.payment.", ""), e.code)).collect::<Vec<_>>()
    };
    let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
    assert_eq!(check("in", json!({})), []);
    assert_eq!(
        check("in", json!({"currency": {"expression": "'EUR'"}, "email": {"expression": "submitter.email"}})),
        []
    );
    // Where nobody knows beforehand what comes out, it is said when it runs.
    for amount in [
        json!({"field": "vendor_name"}),
        json!({"expression": "record.amount|round(0)"}),
        json!({"value": "500"}),
    ] {
        assert_eq!(check("in", json!({"amount": amount, "currency": "HUF"})), [], "{amount}");
    }
    assert_eq!(check("eu", json!({})), one("connection", "not_available"));
    for (more, field, code) in [
        (json!({"connection": "acme"}), "connection", "invalid"),
        (json!({"connection": "none"}), "connection", "unknown"),
        (json!({"currency": "USD"}), "currency", "invalid"),
        (json!({"currency": "eur"}), "currency", "invalid"),
        (json!({"amount": {"value": "1.005"}}), "amount", "invalid"),
        (json!({"amount": {"value": 0}}), "amount", "invalid"),
        (json!({"amount": {"value": "1.5"}, "currency": "JPY"}), "amount", "invalid"),
        (json!({"currency": "JPY"}), "amount", "invalid"),
        (json!({"amount": {"value": "1.5"}, "currency": "HUF"}), "amount", "invalid"),
        (json!({"currency": "HUF"}), "amount", "invalid"),
        (json!({"amount": {"field": "agreed"}}), "amount", "invalid"),
        (json!({"amount": {"field": "none"}}), "amount", "unknown"),
        (json!({"description": " "}), "description", "required"),
        (json!({"description": "{{ record.none }}"}), "description", "unknown"),
        (json!({"expires_minutes": 4}), "expires_minutes", "out_of_range"),
    ] {
        assert_eq!(check("in", more.clone()), one(field, code), "{more}");
    }
}

#[test]
fn fields_that_the_service_described_are_checked_like_the_others() {
    let crm: Connector = serde_json::from_value(json!({
        "name": "Crm", "base_url": "https://crm.example", "auth": {"type": "none"}, "modules": {
            "object": {"operations": {"fields": {"path": "/o", "items": "", "fields": [{"name": "object", "in": "query"}]}}},
            "record": {"operations": {"create": {
                "method": "POST", "path": "/r/{object}",
                "fields": [{"name": "object", "required": true}, {"name": "rest", "type": "object", "required": true, "at": ""}],
                "more_fields": {"operation": "object.fields", "with": {"object": "{object}"}, "name": "/n", "into": "rest"},
            }}},
        },
    }))
    .unwrap();
    let fields: Vec<Field> = serde_json::from_value(json!([
        {"name": "Budget__c", "type": "number"},
        {"name": "Kind__c", "choices": [{"value": "a"}], "required": true},
        {"name": "Tags__c", "type": "list", "shape": [{"id": "{value}"}]},
    ]))
    .unwrap();
    let lead = BTreeMap::from([("object".to_owned(), "Lead".to_owned())]);
    let more = crm.modules["record"].operations["create"].more_fields.clone().unwrap();
    let mut grounds = grounds();
    grounds.connections.insert("crm".to_owned(), Arc::new(crm));
    grounds.described.push(Described {
        connection: "crm".to_owned(),
        module: "record".to_owned(),
        operation: "create".to_owned(),
        question: more.question(&lead).unwrap(),
        fields: Arc::new(fields),
        whole: true,
    });
    let check = |grounds: &Grounds, mapping: Value, types: Value| {
        let actions = json!([{"name": "push", "integration": {"connection": "crm", "module": "record", "operation": "create",
            "mapping": mapping, "types": types}}]);
        let wrong = workflow(&actions).check(grounds).err().unwrap_or_default().into_iter();
        wrong.map(|e| (e.field.replace("actions.0.integration.", ""), e.code)).collect::<Vec<_>>()
    };
    let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
    let lead = |name: &str, mapped: Value| json!({"object": {"value": "Lead"}, name: mapped});
    let none = || json!({});
    // What it takes in a shape of its own is sent in it, and as what it is checked before.
    let shaped = |mapped: Value, shapes: Value| {
        let actions = json!([{"name": "push", "integration": {"connection": "crm", "module": "record", "operation": "create",
            "mapping": {"object": {"value": "Lead"}, "Tags__c": mapped}, "shapes": shapes}}]);
        let wrong = workflow(&actions).check(&grounds).err().unwrap_or_default().into_iter();
        wrong.map(|e| (e.field.replace("actions.0.integration.", ""), e.code)).collect::<Vec<_>>()
    };
    let tags = || json!({"value": ["a"]});
    assert_eq!(shaped(tags(), json!({"Tags__c": [{"id": "{value}"}]})), []);
    assert_eq!(shaped(tags(), json!({"Tags__c": [{"key": "{value}"}]})), [], "whoever knows it better");
    assert_eq!(
        shaped(json!({"value": "a"}), json!({"Tags__c": [{"id": "{value}"}]})),
        one("mapping.Tags__c", "invalid")
    );
    assert_eq!(shaped(tags(), none()), one("mapping.Tags__c", "required"));
    assert_eq!(shaped(tags(), json!({"Tags__c": [{"id": "value"}]})), one("shapes.Tags__c", "invalid"));
    let fixed = json!({"Tags__c": "{value}", "object": {"key": "{value}"}});
    assert_eq!(shaped(tags(), fixed), one("shapes.object", "invalid"));
    // Described: taken, and of the right type. Another that is required is not asked for.
    assert_eq!(check(&grounds, lead("Budget__c", json!({"value": 5})), none()), []);
    assert_eq!(
        check(&grounds, lead("Budget__c", json!({"value": "five"})), none()),
        one("mapping.Budget__c", "invalid")
    );
    assert_eq!(
        check(&grounds, lead("Budget__c", json!({"field": "vendor_name"})), none()),
        one("mapping.Budget__c", "invalid")
    );
    assert_eq!(
        check(&grounds, lead("Kind__c", json!({"value": "b"})), none()),
        one("mapping.Kind__c", "invalid")
    );
    // Not described, though it was asked.
    assert_eq!(
        check(&grounds, lead("Gone__c", json!({"value": 5})), none()),
        one("mapping.Gone__c", "unknown")
    );
    // Nobody has asked about this object, or nobody can know which it will be, or more was there than was read.
    assert_eq!(check(&grounds, json!({"object": {"value": "Other"}, "Gone__c": {"value": 5}}), none()), []);
    assert_eq!(
        check(&grounds, json!({"object": {"field": "vendor_name"}, "Gone__c": {"value": 5}}), none()),
        []
    );
    grounds.described[0].whole = false;
    assert_eq!(check(&grounds, lead("Gone__c", json!({"value": 5})), none()), []);
    grounds.described.clear();
    // What is said of the type holds all the same; without any further field the object that takes them is wanted.
    assert_eq!(
        check(&grounds, lead("Budget__c", json!({"value": "x"})), json!({"Budget__c": "number"})),
        one("mapping.Budget__c", "invalid")
    );
    assert_eq!(
        check(&grounds, json!({"object": {"value": "Lead"}}), none()),
        one("mapping.rest", "required")
    );
    let bare = json!([{"name": "push", "integration": {"connection": "crm", "module": "record", "operation": "create",
        "mapping": {"object": {"value": "Lead"}}}}]);
    let wrong = workflow(&bare).check(&grounds).unwrap_err();
    assert_eq!(wrong[0].message, "Map one of the fields that Crm describes, or give rest whole.");
    // Where nothing is described, nothing else is taken.
    let plain = json!([{"name": "push", "integration": {"connection": "acme", "module": "vendor", "operation": "create",
        "mapping": {"DisplayName": {"field": "vendor_name"}}, "types": {"X": "number"}, "shapes": {"X": "{value}"}}}]);
    let wrong = workflow(&plain).check(&grounds).unwrap_err();
    let fields: Vec<&str> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
    assert_eq!(fields, ["actions.0.integration.types", "actions.0.integration.shapes"]);
}

#[test]
fn values_are_brought_into_the_types_and_shapes_that_were_described() {
    let integration: Integration =
        serde_json::from_value(json!({"connection": "c", "module": "m", "operation": "o",
        "types": {"Budget__c": "number", "Old__c": "boolean"},
        "shapes": {"Budget__c": {"number": "{value}"}, "Old__c": {"set": "{value}"}, "Name": ["{value}"]}}))
        .unwrap();
    let fit = |arguments: Value| {
        let Value::Object(mut arguments) = arguments else { panic!("no object") };
        integration.fit(&mut arguments).map(|()| Value::Object(arguments)).map_err(|wrong| wrong.field)
    };
    assert_eq!(
        fit(json!({"Budget__c": "12.5", "Name": "5", "Old__c": null})),
        Ok(json!({"Budget__c": {"number": 12.5}, "Name": ["5"], "Old__c": null}))
    );
    assert_eq!(fit(json!({"Budget__c": "much"})), Err("Budget__c".to_owned()));
}

#[test]
fn webhooks_are_checked() {
    let check = |webhook: Value| faults(&json!([{"name": "tell", "webhook": webhook}]));
    let body = json!({"name": "{{ record.vendor_name }}"});
    assert_eq!(check(json!({"url": "https://a.example/x?y=1", "body": body, "headers": {"X-A": "1"}})), []);
    for (webhook, field) in [
        (json!({"url": "/x", "body": body}), "url"),
        (json!({"url": "https://user@a.example/", "body": body}), "url"),
        (json!({"url": "https://a.example/", "body": {"a": ["{{ record.none }}"]}}), "body.a.0"),
        (
            json!({"url": "https://a.example/", "body": 1, "headers": {"Webhook-Id": "1"}}),
            "headers.Webhook-Id",
        ),
    ] {
        let wrong = check(webhook.clone());
        assert_eq!(wrong.len(), 1, "{webhook} {wrong:?}");
        assert_eq!(wrong[0].0, format!("actions.0.webhook.{field}"));
    }
}

#[test]
fn a_good_workflow_passes() {
    let good = json!([
        {"name": "push", "condition": "record.agreed", "integration": {"connection": "acme", "module": "vendor", "operation": "create",
            "mapping": {"DisplayName": {"field": "vendor_name"}, "Balance": {"field": "amount"},
                "Kind": {"value": "a"}, "Active": {"expression": "record.amount|float > 10"}}}},
        {"name": "tell", "mail": {"to": ["{{ submitter.email }}"], "subject": "{{ record.vendor_name }}",
            "text": "It has the id {{ results.push.id }}."}},
        {"name": "keep", "update_record": {"set": {"vendor_name": {"text": "{{ results.push.id }}"}}}},
        {"name": "pull", "pull": {"datasource": "rates"}},
    ]);
    assert_eq!(workflow(&good).check(&grounds()), Ok(()));
}

#[test]
fn what_would_fail_later_is_said_now() {
    let at = |field: &str, code: &str| vec![(format!("actions.0.{field}"), code.to_owned())];
    let name = json!({"field": "vendor_name"});
    for (mapping, field, code) in [
        (json!({}), "DisplayName", "required"),
        (json!({"DisplayName": name, "Nmae": name}), "Nmae", "unknown"),
        (json!({"DisplayName": {"field": "vendor"}}), "DisplayName", "unknown"),
        (json!({"DisplayName": name, "Balance": name}), "Balance", "invalid"),
        (json!({"DisplayName": {"field": "address"}}), "DisplayName", "invalid"),
        (json!({"DisplayName": name, "Kind": {"value": "b"}}), "Kind", "invalid"),
        (json!({"DisplayName": {"expression": "record.vendor"}}), "DisplayName", "unknown"),
        (json!({"DisplayName": {"expression": "record.vendor_name +"}}), "DisplayName", "invalid"),
        (json!({"DisplayName": {"text": "{{ results.later.id }}"}}), "DisplayName", "unknown"),
        (
            json!({"DisplayName": {"lookup": {"form": "vendors", "by": "amount", "is": "1", "take": "amount"}}}),
            "DisplayName.lookup.by",
            "invalid",
        ),
    ] {
        assert_eq!(faults(&push(&mapping)), at(&format!("integration.mapping.{field}"), code), "{mapping}");
    }
    for (lookup, field) in [
        (json!({"datasource": "rates", "by": "day", "is": "record.vendor_name", "take": "/rate"}), ""),
        (json!({"datasource": "none", "by": "day", "is": "1", "take": "rate"}), ".datasource"),
        (json!({"datasource": "rates", "form": "vendors", "by": "id", "is": "1", "take": "id"}), "."),
        (json!({"datasource": "rates", "by": "", "is": "1", "take": "id"}), ".by"),
    ] {
        let found = faults(&push(&json!({"DisplayName": {"lookup": lookup}})));
        let at = format!("actions.0.integration.mapping.DisplayName.lookup{field}");
        let wanted: &[&str] = if field.is_empty() { &[] } else { &[at.trim_end_matches('.')] };
        assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), wanted);
    }
    let other =
        json!([{"name": "push", "integration": {"connection": "other", "module": "m", "operation": "o"}}]);
    assert_eq!(faults(&other), at("integration.connection", "unknown"));
    let unknown = json!([{"name": "pull", "pull": {"datasource": "none", "full": true}}]);
    assert_eq!(faults(&unknown), at("pull.datasource", "unknown"));
    let twofold = json!([{"name": "a", "mail": {"to": ["a@b.example"], "subject": "s", "text": "t"},
        "update_record": {"set": {}}}]);
    assert_eq!(faults(&twofold), [("actions.0".to_owned(), "invalid".to_owned())]);
    assert_eq!(faults(&json!([])), [("actions".to_owned(), "required".to_owned())]);
    let mut unknown = workflow(&json!([]));
    unknown.form = "none".to_owned();
    assert_eq!(unknown.check(&grounds()).unwrap_err()[0].field, "form");
}

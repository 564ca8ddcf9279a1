use super::propose::{ENOUGH, alike, words};
use jackfield_core::connector;

use super::*;

fn targets() -> Vec<Target> {
    let fields: Vec<connector::Field> = serde_json::from_value(json!([
        {"name": "DisplayName", "label": "Display name", "required": true},
        {"name": "PrimaryEmailAddr", "label": "E-mail", "type": "email"},
        {"name": "Balance", "type": "number"},
        {"name": "Active", "type": "boolean"},
        {"name": "Kind", "choices": [{"value": "a", "label": "A"}]},
        {"name": "Tags", "type": "list"},
    ]))
    .unwrap();
    fields.iter().map(Target::of_service).collect()
}

fn form() -> Document {
    serde_json::from_value(json!({"fields": [
        {"name": "vendor_name", "label": "Vendor name", "unique": true},
        {"name": "contact", "label": "Contact", "type": "email"},
        {"name": "balance", "label": "Balance", "type": "decimal"},
        {"name": "active", "label": "Active"},
    ]}))
    .unwrap()
}

fn of<'a>(form: &'a Document, forms: &'a [(String, String, Document)]) -> Sources<'a> {
    Sources { form: Some(form), forms, is_timed: false, has_rows: false, known: &[] }
}

#[test]
fn names_that_are_alike_are_proposed_where_their_types_suit() {
    let none = BTreeMap::new();
    let proposed = propose(&targets(), &form(), &none, &["vendor", "vendors"]);
    let pair = |target: &str, field: &str| (target.to_owned(), field.to_owned());
    let expected = BTreeMap::from([
        pair("DisplayName", "vendor_name"),
        pair("PrimaryEmailAddr", "contact"),
        pair("Balance", "balance"),
    ]);
    // Active is a text in the form, and wants yes or no.
    assert_eq!(proposed, expected);
    let kept = BTreeMap::from([("Balance".to_owned(), Mapped::Field("vendor_name".to_owned()))]);
    let proposed = propose(&targets(), &form(), &kept, &["vendor"]);
    assert!(!proposed.contains_key("Balance") && !proposed.contains_key("DisplayName"), "{proposed:?}");
}

#[test]
fn words_of_names() {
    assert_eq!(words("PrimaryEmailAddr_2"), ["primary", "email", "addr", "2"]);
    assert_eq!(alike("displayName", "Display name", &[]), 100);
    assert_eq!(alike("Phone", "Fax", &[]), 0);
    assert!(alike("MailingCity", "city", &[]) >= ENOUGH);
}

/// What a browser sends of a table that nobody has touched.
fn sent_of(table: &Table) -> Fields {
    let mut sent = Fields::default();
    for row in table.rows.iter().chain(&table.rest) {
        for (part, value) in [
            ("name", &row.target.name),
            ("from", &row.chosen),
            ("what", &row.what),
            ("by", &row.by),
            ("is", &row.is),
            ("take", &row.take),
        ] {
            sent = sent.with(&row.input(part), value.as_str());
        }
        for (part, told) in row.told() {
            sent = sent.with(&row.input(part), told);
        }
    }
    sent
}

#[test]
fn what_was_not_touched_stays_as_it_was_written() {
    // A number where a text is wanted, and the other way round: the table shows both as people write them, and would read them otherwise.
    let present: BTreeMap<String, Mapped> =
        serde_json::from_value(json!({"DisplayName": {"value": 7}, "Balance": {"value": "5"}})).unwrap();
    let form = form();
    let sources = of(&form, &[]);
    let sent = sent_of(&table("Vendor".to_owned(), targets(), &Begins::Mapped(&present), &sources, &[]));
    assert_eq!(read(&targets(), &present, &sent).unwrap(), present);
    let anew = read(&targets(), &BTreeMap::new(), &sent).unwrap();
    assert_ne!(anew, present, "else nothing is shown by this");
    // One that was touched is read as it stands; the other stays.
    let name = (0..9)
        .map(|index| format!("map.{index}"))
        .find(|row| sent.get(&format!("{row}.name")) == "DisplayName");
    let what = format!("{}.what", name.unwrap());
    let touched = read(&targets(), &present, &sent.without(&what).with(&what, "8")).unwrap();
    assert_eq!(
        (touched.get("DisplayName"), touched.get("Balance")),
        (Some(&Mapped::Value(json!("8"))), present.get("Balance"))
    );
}

#[test]
fn a_mapping_comes_back_from_its_table_as_it_was() {
    let mapping: BTreeMap<String, Mapped> = serde_json::from_value(json!({
        "DisplayName": {"field": "vendor_name"},
        "PrimaryEmailAddr": {"text": "{{ record.contact }}"},
        "Balance": {"value": 5},
        "Active": {"value": true},
        "Kind": {"value": "a"},
        "Tags": {"lookup": {"form": "vendors", "by": "vendor_name", "is": "record.contact", "take": "balance"}},
        "Old": {"expression": "record.id"},
    }))
    .unwrap();
    let form = form();
    let forms = [("vendors".to_owned(), "Vendors".to_owned(), form.clone())];
    let sources = of(&form, &forms);
    let table = table("Vendor".to_owned(), targets(), &Begins::Mapped(&mapping), &sources, &[]);
    let sent = sent_of(&table);
    assert_eq!(read(&targets(), &BTreeMap::new(), &sent).unwrap(), mapping);
    let html = table.render().unwrap();
    assert!(html.contains("Not there any more") || html.contains("not there any more"), "{html}");
    assert!(html.contains("Fields of another kind"), "{html}");
}

#[test]
fn what_the_service_described_stands_beside_the_others() {
    let described: Vec<connector::Field> = serde_json::from_value(json!([
        {"name": "Budget__c", "label": "Budget <b>", "type": "number", "required": true},
        {"name": "Stage__c", "choices": [{"value": "new", "label": "New"}], "shape": {"select": {"name": "{value}"}}},
    ]))
    .unwrap();
    let mut all = targets();
    all.extend(described.iter().map(Target::of_description));
    all.push(Target::unconfirmed("Old__c", Some(connector::FieldType::Boolean), None));
    all.push(Target::unconfirmed("Older__c", None, None));
    let mapping: BTreeMap<String, Mapped> = serde_json::from_value(json!({
        "DisplayName": {"field": "vendor_name"}, "Budget__c": {"value": 5}, "Old__c": {"value": true}, "Older__c": {"value": "x"},
        "Stage__c": {"value": "new"}, "Kind": {"value": "a"},
    }))
    .unwrap();
    let form = form();
    let table = table("X".to_owned(), all, &Begins::Mapped(&mapping), &of(&form, &[]), &[]);
    let sent = sent_of(&table);
    let html = table.render().unwrap();
    for part in [
        "Budget &#60;b&#62;",
        "value=\"number\"",
        "value=\"choice:new\" selected",
        "Of the service&#39;s own",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("not there any more"), "{html}");
    let back = told_in(&sent);
    let given = given_in(&sent);
    assert_eq!(given.get("Kind").map(String::as_str), Some("a"));
    assert!(!given.contains_key("DisplayName"), "{given:?}");
    // As it comes back it is what it was, with what was told of its types.
    let read = read(&back, &BTreeMap::new(), &sent).unwrap();
    assert_eq!(read.get("Budget__c"), mapping.get("Budget__c"));
    let mut push: Integration =
        serde_json::from_value(json!({"connection": "c", "module": "m", "operation": "o"})).unwrap();
    keep_told(&mut push, &back, &read);
    let wanted = [
        ("Budget__c", connector::FieldType::Number),
        ("Old__c", connector::FieldType::Boolean),
        ("Stage__c", connector::FieldType::String),
    ];
    assert_eq!(push.types, wanted.map(|(name, kind)| (name.to_owned(), kind)).into());
    assert_eq!(push.shapes, [("Stage__c".to_owned(), json!({"select": {"name": "{value}"}}))].into());
    // And the same of what is saved.
    push.mapping = read;
    let mut again = push.clone();
    (again.types, again.shapes) = (BTreeMap::new(), BTreeMap::new());
    keep_told(&mut again, &told_of(&push), &push.mapping);
    assert_eq!(again, push);
}

#[test]
fn a_page_shows_so_many_that_nobody_has_mapped() {
    let many = (0..SHOWN + 9).map(|n| Target::unconfirmed(&format!("F{n}__c"), None, None)).collect();
    let mapping: BTreeMap<String, Mapped> = serde_json::from_value(json!({"F308__c": {"value": 1}})).unwrap();
    let table = table("X".to_owned(), many, &Begins::Mapped(&mapping), &of(&form(), &[]), &[]);
    assert_eq!((table.rows.len(), table.rest.len(), table.unseen), (1, SHOWN, 8));
    assert!(table.render().unwrap().contains("8 more"));
}

#[test]
fn where_there_is_no_record_none_of_its_values_is_offered() {
    let none = BTreeMap::new();
    let forms = [("vendors".to_owned(), "Vendors".to_owned(), form())];
    let timed = Sources { form: None, forms: &forms, is_timed: true, has_rows: true, known: &["tick"] };
    let html = |sources: &Sources<'_>| {
        table("X".to_owned(), targets(), &Begins::Mapped(&none), sources, &[]).render().unwrap()
    };
    let there = html(&timed);
    for absent in ["value=\"field:", "About the record", "another record"] {
        assert!(!there.contains(absent), "{absent}: {there}");
    }
    for present in ["From a record", "From a row of a datasource", "<option value=\"tick\">"] {
        assert!(there.contains(present), "{present}: {there}");
    }
    let bare = html(&Sources { forms: &[], has_rows: false, ..timed });
    assert!(!bare.contains("value=\"lookup\"") && !bare.contains("value=\"row\""), "{bare}");
    let form = form();
    assert!(html(&of(&form, &forms)).contains("About the record"));
}

#[test]
fn what_is_wrong_stands_at_its_row_and_is_escaped() {
    let form = form();
    let sources = of(&form, &[]);
    let errors = [FieldError::new("DisplayName", "required", "\"><script> is required.")];
    let none = BTreeMap::new();
    let html = table("X".to_owned(), targets(), &Begins::Mapped(&none), &sources, &errors).render().unwrap();
    assert!(
        html.contains("is required.") && html.contains("aria-invalid=\"true\"") && !html.contains("<script>"),
        "{html}"
    );
}

#[test]
fn a_lookup_takes_from_the_form_in_which_it_looks() {
    let sent = Fields::default()
        .with("map.0.name", "Kind")
        .with("map.0.from", "lookup")
        .with("map.0.by", "vendors.id")
        .with("map.0.is", "record.contact")
        .with("map.0.take", "others.name")
        .with("map.1.name", "Tags")
        .with("map.1.from", "lookup")
        .with("map.2.name", "Active")
        .with("map.2.from", "expression");
    let error = read(&targets(), &BTreeMap::new(), &sent).unwrap_err();
    let at: Vec<&str> = error.fields.iter().map(|wrong| wrong.field.as_str()).collect();
    assert_eq!(at, ["Kind.lookup.take", "Tags.lookup.by", "Active"]);
}

#[test]
fn what_the_service_describes_when_it_is_asked_is_shown_and_proposed() {
    let form: Document = serde_json::from_value(json!({"fields": [
        {"name": "vendor_name"}, {"name": "stage"}, {"name": "budget", "type": "decimal"}, {"name": "city"},
    ]}))
    .unwrap();
    let described = |name: &str| {
        let field = connector::Field { name: name.to_owned(), ..connector::Field::default() };
        Target::of_description(&field)
    };
    // Typed so far: the name, and that the city is left out. The stage has its place already.
    let typed = [("DisplayName", "field:vendor_name"), ("City", ""), ("Note", "field:stage")];
    let mut sent = Fields::default();
    for (index, (name, from)) in typed.iter().enumerate() {
        sent = sent.with(&format!("map.{index}.name"), *name).with(&format!("map.{index}.from"), *from);
    }
    let all = || {
        let mut all = targets();
        all.extend(["City", "Note", "Stage__c", "Budget__c", "Vendor__c"].map(described));
        all
    };
    let table = |begins: &Begins<'_>| table("X".to_owned(), all(), begins, &of(&form, &[]), &[]);
    let chosen = |table: &Table| {
        let rows = table.rows.iter().chain(&table.rest);
        let proposed = rows.filter(|row| row.proposed);
        proposed.map(|row| (row.target.name.clone(), row.chosen.clone())).collect::<Vec<_>>()
    };
    let asked = table(&Begins::Asked(&sent, Some(&[])));
    assert_eq!(chosen(&asked), [("Budget__c".to_owned(), "field:budget".to_owned())]);
    assert!(asked.is_open && asked.render().unwrap().contains("<details class=\"fold\" open>"));
    // Where something is mapped already nothing is proposed, and what was refused is shown as it was typed.
    for (begins, is_open) in [(Begins::Asked(&sent, None), true), (Begins::Sent(&sent), false)] {
        let table = table(&begins);
        assert_eq!((chosen(&table), table.is_open), (Vec::new(), is_open));
    }
}

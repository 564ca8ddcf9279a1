//! The requests that operations of the built-in connectors make, as their vendors document them: whoever changes a file sees what he changes.

use std::fmt::Write;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Field, FieldType, Method, PageAsk, Repeat, Values, built_in};

/// What a repetition is.
fn word(repeat: Repeat<'_>) -> &'static str {
    match repeat {
        Repeat::Harmless => "harmless",
        Repeat::Keyed(_) => "keyed",
        Repeat::Findable(_) => "findable",
        Repeat::Doubtful => "doubtful",
    }
}

/// `METHOD path?query`, headers, body, and how a repetition is recognized.
fn request(connector: &str, operation: &str, arguments: Value) -> (String, Value, &'static str) {
    let connector = built_in().get(connector).unwrap();
    let (module, name) = operation.split_once('.').unwrap();
    let module = &connector.modules[module];
    let operation = &module.operations[name];
    let attributes = BTreeMap::from([("callback.realmId".to_owned(), "77".to_owned())]);
    let parameters = [("api_version", "v62.0"), ("account_sid", "AC1")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let values = Values { attributes: Some(&attributes), parameters: Some(&parameters), ..Values::default() };
    let Value::Object(arguments) = arguments else { panic!("no object") };
    let page = operation.lists().then(PageAsk::default);
    let call = module.call(operation, &arguments, &values, page.as_ref(), Some("k")).unwrap();
    let mut line = format!("{} {}", call.method.as_str(), call.path);
    for (index, (name, value)) in call.query.iter().enumerate() {
        line.push_str(if index == 0 { "?" } else { "&" });
        write!(line, "{name}={value}").unwrap();
    }
    for (name, value) in call.headers {
        write!(line, " {name}: {value}").unwrap();
    }
    (line, call.body.unwrap_or(Value::Null), word(operation.repeat()))
}

/// Every operation, with arguments, and what it sends.
fn all() -> Vec<(&'static str, &'static str, Value, &'static str, Value, &'static str)> {
    let none = Value::Null;
    let person = || json!({"Last_Name": "Hopper", "Email": "g@b.example"});
    vec![
        (
            "quickbooks",
            "customer.update",
            json!({"Id": "5", "SyncToken": "2", "Email": "a@b.example"}),
            "POST /v3/company/77/customer?requestid=k",
            json!({"sparse": true, "Id": "5", "SyncToken": "2", "PrimaryEmailAddr": {"Address": "a@b.example"}}),
            "keyed",
        ),
        (
            "quickbooks",
            "vendor.update",
            json!({"Id": "5", "SyncToken": "2", "DisplayName": "B"}),
            "POST /v3/company/77/vendor?requestid=k",
            json!({"sparse": true, "Id": "5", "SyncToken": "2", "DisplayName": "B"}),
            "keyed",
        ),
        (
            "quickbooks",
            "customer.read",
            json!({"Id": "5"}),
            "GET /v3/company/77/customer/5",
            none.clone(),
            "harmless",
        ),
        (
            "quickbooks",
            "invoice.create",
            json!({"Customer": "1", "Amount": "100.5", "Item": "3", "DueDate": "2026-12-01"}),
            "POST /v3/company/77/invoice?requestid=k",
            json!({"CustomerRef": {"value": "1"}, "DueDate": "2026-12-01", "Line": [{"DetailType": "SalesItemLineDetail",
                "Amount": 100.5, "SalesItemLineDetail": {"ItemRef": {"value": "3"}}}]}),
            "keyed",
        ),
        (
            "quickbooks",
            "invoice.list",
            json!({}),
            "GET /v3/company/77/query?query=select * from Invoice startposition 1 maxresults 100",
            none.clone(),
            "harmless",
        ),
        (
            "zoho_crm",
            "lead.upsert",
            person(),
            "POST /Leads/upsert",
            json!({"duplicate_check_fields": ["Email"], "data": [{"Last_Name": "Hopper", "Email": "g@b.example"}]}),
            "harmless",
        ),
        (
            "zoho_crm",
            "lead.update",
            json!({"id": "9", "Phone": "1"}),
            "PUT /Leads/9",
            json!({"data": [{"Phone": "1"}]}),
            "harmless",
        ),
        (
            "zoho_crm",
            "contact.create",
            person(),
            "POST /Contacts",
            json!({"data": [{"Last_Name": "Hopper", "Email": "g@b.example"}]}),
            "doubtful",
        ),
        (
            "zoho_crm",
            "contact.upsert",
            person(),
            "POST /Contacts/upsert",
            json!({"duplicate_check_fields": ["Email"], "data": [{"Last_Name": "Hopper", "Email": "g@b.example"}]}),
            "harmless",
        ),
        (
            "salesforce",
            "account.create",
            json!({"Name": "Acme"}),
            "POST /services/data/v62.0/sobjects/Account",
            json!({"Name": "Acme"}),
            "doubtful",
        ),
        (
            "salesforce",
            "contact.upsert",
            json!({"external_field": "Number__c", "external_value": "a/1", "LastName": "Hopper"}),
            "PATCH /services/data/v62.0/sobjects/Contact/Number__c/a%2F1",
            json!({"LastName": "Hopper"}),
            "harmless",
        ),
        (
            "salesforce",
            "lead.update",
            json!({"Id": "00Q1", "Company": "Acme"}),
            "PATCH /services/data/v62.0/sobjects/Lead/00Q1",
            json!({"Company": "Acme"}),
            "harmless",
        ),
        (
            "salesforce",
            "contact.list",
            json!({}),
            "GET /services/data/v62.0/query?q=select Id, FirstName, LastName, Email, Phone, AccountId from Contact order by Id",
            none.clone(),
            "harmless",
        ),
        (
            "hubspot",
            "contact.upsert",
            json!({"email": "g@b.example", "lastname": "Hopper"}),
            "POST /crm/v3/objects/contacts/batch/upsert",
            json!({"inputs": [{"idProperty": "email", "id": "g@b.example", "properties": {"lastname": "Hopper"}}]}),
            "harmless",
        ),
        (
            "hubspot",
            "contact.update",
            json!({"id": "7", "phone": "1"}),
            "PATCH /crm/v3/objects/contacts/7",
            json!({"properties": {"phone": "1"}}),
            "harmless",
        ),
        (
            "hubspot",
            "company.create",
            json!({"name": "Acme"}),
            "POST /crm/v3/objects/companies",
            json!({"properties": {"name": "Acme"}}),
            "doubtful",
        ),
        (
            "hubspot",
            "deal.create",
            json!({"dealname": "Big", "amount": "5"}),
            "POST /crm/v3/objects/deals",
            json!({"properties": {"dealname": "Big", "amount": 5}}),
            "doubtful",
        ),
        ("hubspot", "deal.list", json!({}), "GET /crm/v3/objects/deals?limit=100", none.clone(), "harmless"),
        (
            "jira",
            "issue.update",
            json!({"key": "PROJ-1", "summary": "S"}),
            "PUT /rest/api/3/issue/PROJ-1",
            json!({"fields": {"summary": "S"}}),
            "harmless",
        ),
        (
            "slack",
            "message.update",
            json!({"channel": "C1", "ts": "1.2", "text": "t"}),
            "POST /chat.update",
            json!({"channel": "C1", "ts": "1.2", "text": "t"}),
            "harmless",
        ),
        (
            "google_sheets",
            "row.update",
            json!({"spreadsheet": "s", "range": "Sheet1!A2:B2", "values": ["=a", 1]}),
            "PUT /spreadsheets/s/values/Sheet1%21A2%3AB2?valueInputOption=USER_ENTERED",
            json!({"values": [["'=a", 1]]}),
            "harmless",
        ),
        (
            "mailchimp",
            "member.upsert",
            json!({"list": "l", "email_address": "g@b.example", "status_if_new": "pending", "FNAME": "G"}),
            "PUT /lists/l/members/g%40b.example",
            json!({"email_address": "g@b.example", "status_if_new": "pending", "merge_fields": {"FNAME": "G"}}),
            "harmless",
        ),
        (
            "airtable",
            "record.upsert",
            json!({"base": "app1", "table": "T", "merge_on": ["Name"], "fields": {"Name": "n"}}),
            "PATCH /app1/T",
            json!({"performUpsert": {"fieldsToMergeOn": ["Name"]}, "records": [{"fields": {"Name": "n"}}]}),
            "harmless",
        ),
        (
            "airtable",
            "record.update",
            json!({"base": "app1", "table": "T", "id": "rec1", "fields": {"Name": "n"}}),
            "PATCH /app1/T/rec1",
            json!({"fields": {"Name": "n"}}),
            "harmless",
        ),
        (
            "stripe",
            "checkout.create",
            json!({"amount": "1250", "currency": "eur", "name": "Order", "success_url": "https://a.example/",
            "expires_at": "1700000000"}),
            "POST /checkout/sessions Idempotency-Key: k",
            json!({"mode": "payment", "payment_method_types": ["card"], "success_url": "https://a.example/", "expires_at": 1_700_000_000,
                "line_items[0][quantity]": 1, "line_items[0][price_data][unit_amount]": 1250,
                "line_items[0][price_data][currency]": "eur", "line_items[0][price_data][product_data][name]": "Order"}),
            "keyed",
        ),
        (
            "stripe",
            "checkout.expire",
            json!({"id": "cs_1"}),
            "POST /checkout/sessions/cs_1/expire",
            json!({}),
            "harmless",
        ),
        (
            "quickbooks",
            "bill.create",
            json!({"Vendor": "56", "Amount": 200, "Account": "7", "DueDate": "2026-12-01"}),
            "POST /v3/company/77/bill?requestid=k",
            json!({"VendorRef": {"value": "56"}, "DueDate": "2026-12-01", "Line": [{"DetailType": "AccountBasedExpenseLineDetail",
                "Amount": 200, "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "7"}}}]}),
            "keyed",
        ),
        (
            "zoho_crm",
            "deal.create",
            json!({"Deal_Name": "Big", "Stage": "Qualification", "Account": "9", "more": {"Colour": "red"}}),
            "POST /Deals",
            json!({"data": [{"Colour": "red", "Deal_Name": "Big", "Stage": "Qualification", "Account_Name": {"id": "9"}}]}),
            "doubtful",
        ),
        (
            "zoho_crm",
            "account.upsert",
            json!({"Account_Name": "Acme"}),
            "POST /Accounts/upsert",
            json!({"duplicate_check_fields": ["Account_Name"], "data": [{"Account_Name": "Acme"}]}),
            "harmless",
        ),
        (
            "zoho_recruit",
            "candidate.upsert",
            json!({"Last_Name": "Hopper", "Email": "g@b.example"}),
            "POST /Candidates/upsert",
            json!({"duplicate_check_fields": ["Email"], "data": [{"Last_Name": "Hopper", "Email": "g@b.example"}]}),
            "harmless",
        ),
        (
            "salesforce",
            "record.create",
            json!({"object": "Project__c", "fields": {"Name": "P", "Colour__c": "red"}}),
            "POST /services/data/v62.0/sobjects/Project__c",
            json!({"Name": "P", "Colour__c": "red"}),
            "doubtful",
        ),
        (
            "salesforce",
            "object.fields",
            json!({"object": "Project__c"}),
            "GET /services/data/v62.0/sobjects/Project__c/describe",
            none.clone(),
            "harmless",
        ),
        (
            "hubspot",
            "ticket.create",
            json!({"subject": "Broken", "hs_pipeline_stage": "1", "more": {"colour": "red"}}),
            "POST /crm/v3/objects/tickets",
            json!({"properties": {"colour": "red", "subject": "Broken", "hs_pipeline_stage": "1"}}),
            "doubtful",
        ),
        (
            "xero",
            "invoice.create",
            json!({"Type": "ACCREC", "ContactID": "430f", "Description": "Tires", "Quantity": 2, "UnitAmount": "20", "AccountCode": "200"}),
            "POST /Invoices Idempotency-Key: k",
            json!({"Invoices": [{"Type": "ACCREC", "Status": "DRAFT", "Contact": {"ContactID": "430f"},
                "LineItems": [{"Description": "Tires", "Quantity": 2, "UnitAmount": 20, "AccountCode": "200"}]}]}),
            "keyed",
        ),
        (
            "monday",
            "item.create",
            json!({"board": "1", "name": "Row", "values": "{\"status\": \"Done\"}"}),
            "POST https://api.monday.com/v2",
            json!({"query": "mutation ($board: ID!, $group: String, $name: String!, $values: JSON) { create_item(board_id: $board, group_id: $group, item_name: $name, column_values: $values) { id } }",
                "variables": {"board": "1", "name": "Row", "values": "{\"status\": \"Done\"}"}}),
            "doubtful",
        ),
        (
            "linear",
            "issue.create",
            json!({"teamId": "t", "title": "T", "labelIds": ["a"]}),
            "POST /graphql",
            json!({"query": "mutation ($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id identifier url } } }",
                "variables": {"input": {"teamId": "t", "title": "T", "labelIds": ["a"]}}}),
            "doubtful",
        ),
        (
            "google_drive",
            "file.create",
            json!({"content": "AAEC", "content_type": "application/pdf"}),
            "POST https://www.googleapis.com/upload/drive/v3/files?uploadType=media Content-Type: application/pdf",
            json!("AAEC"),
            "doubtful",
        ),
        (
            "onedrive",
            "file.create",
            json!({"folder": "root", "name": "a b.txt", "content": "AAEC"}),
            "PUT /me/drive/items/root:/a%20b.txt:/content",
            json!("AAEC"),
            "harmless",
        ),
        (
            "gmail",
            "message.create",
            json!({"message": "To: g@b.example\r\n\r\nHello"}),
            "POST /upload/gmail/v1/users/me/messages/send?uploadType=media Content-Type: message/rfc822",
            json!("To: g@b.example\r\n\r\nHello"),
            "doubtful",
        ),
        (
            "microsoft_365",
            "event.create",
            json!({"subject": "Lunch", "start": "2026-11-22T12:00:00", "end": "2026-11-22T13:00:00", "text": "Noon"}),
            "POST /me/events",
            json!({"subject": "Lunch", "body": {"contentType": "Text", "content": "Noon"}, "transactionId": "k",
                "start": {"dateTime": "2026-11-22T12:00:00", "timeZone": "UTC"}, "end": {"dateTime": "2026-11-22T13:00:00", "timeZone": "UTC"}}),
            "keyed",
        ),
        (
            "microsoft_excel",
            "row.create",
            json!({"workbook": "01A", "table": "Table1", "values": ["=a", 1]}),
            "POST /me/drive/items/01A/workbook/tables/Table1/rows",
            json!({"values": [["'=a", 1]]}),
            "doubtful",
        ),
        (
            "mailgun",
            "mail.create",
            json!({"domain": "mg.acme.example", "from": "a@b.example", "to": "g@b.example", "subject": "S", "text": "T"}),
            "POST /mg.acme.example/messages",
            json!({"from": "a@b.example", "to": "g@b.example", "subject": "S", "text": "T"}),
            "doubtful",
        ),
        (
            "brevo",
            "contact.upsert",
            json!({"email": "g@b.example", "FNAME": "G", "attributes": {"AGE": 5}}),
            "POST /contacts",
            json!({"updateEnabled": true, "email": "g@b.example", "attributes": {"FNAME": "G", "AGE": 5}}),
            "harmless",
        ),
        (
            "zendesk",
            "user.upsert",
            json!({"name": "G", "email": "g@b.example"}),
            "POST /users/create_or_update.json",
            json!({"user": {"name": "G", "email": "g@b.example"}}),
            "harmless",
        ),
        (
            "stripe",
            "invoice.create",
            json!({"customer": "cus_1", "days_until_due": 30}),
            "POST /invoices Idempotency-Key: k",
            json!({"collection_method": "send_invoice", "pending_invoice_items_behavior": "include", "customer": "cus_1", "days_until_due": 30}),
            "keyed",
        ),
        (
            "stripe",
            "product.create",
            json!({"name": "P", "price": 1000, "currency": "usd"}),
            "POST /products Idempotency-Key: k",
            json!({"name": "P", "default_price_data[unit_amount]": 1000, "default_price_data[currency]": "usd"}),
            "keyed",
        ),
        (
            "razorpay",
            "order.create",
            json!({"amount": 5000, "receipt": "r1"}),
            "POST /orders",
            json!({"amount": 5000, "currency": "INR", "receipt": "r1"}),
            "findable",
        ),
        (
            "notion",
            "row.list",
            json!({"database": "d", "filter": {"property": "Done", "checkbox": {"equals": true}}}),
            "POST /databases/d/query",
            json!({"page_size": 100, "filter": {"property": "Done", "checkbox": {"equals": true}}}),
            "doubtful",
        ),
        (
            "razorpay",
            "payment_link.create",
            json!({"amount": 29995, "currency": "INR", "reference_id": "r"}),
            "POST /payment_links",
            json!({"amount": 29995, "currency": "INR", "reference_id": "r", "accept_partial": false, "reminder_enable": false,
                "notify": {"sms": false, "email": false}}),
            "findable",
        ),
        (
            "razorpay",
            "payment_link.list",
            json!({"reference_id": "r"}),
            "GET /payment_links?count=100&skip=0&reference_id=r",
            none,
            "harmless",
        ),
        (
            "paypal",
            "order.create",
            json!({"amount": "12.50", "currency": "EUR", "return_url": "https://a.example/"}),
            "POST /v2/checkout/orders Prefer: return=representation PayPal-Request-Id: k",
            json!({"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "EUR", "value": "12.50"}}],
                "payment_source": {"paypal": {"experience_context": {"return_url": "https://a.example/"}}}}),
            "keyed",
        ),
        (
            "paypal",
            "order.capture",
            json!({"id": "O1"}),
            "POST /v2/checkout/orders/O1/capture Prefer: return=representation PayPal-Request-Id: k",
            json!({}),
            "keyed",
        ),
    ]
}

/// A value of a field's kind.
fn sample(field: &Field) -> Value {
    if let Some(choice) = field.choices.first() {
        return choice.value.as_str().into();
    }
    match field.kind {
        FieldType::Integer => json!(7),
        FieldType::Number => json!(1.5),
        FieldType::Boolean => json!(true),
        FieldType::Date => json!("2026-11-22"),
        FieldType::DateTime => json!("2026-11-22T09:00:00Z"),
        FieldType::Email => json!("ada@acme.example"),
        FieldType::Phone => json!("+4930123456"),
        FieldType::Url => json!("https://acme.example/"),
        FieldType::Object => json!({"a": 1}),
        FieldType::List => json!(["a", "b"]),
        FieldType::String | FieldType::Text => json!(format!("<{}>", field.name)),
    }
}

/// What every operation that writes sends when all its fields are given.
fn all_that_write() -> String {
    let mut out = String::from(
        "# What every operation of the catalogue that writes sends, with all its fields.\n\
         # Rewritten by: cargo test -p jackfield-core --lib -- --ignored rewrite_what_operations_send\n",
    );
    for connector in built_in().iter() {
        let name = connector.effective_link_name();
        for (module_name, module) in &connector.modules {
            for (operation_name, operation) in &module.operations {
                if operation.lists() || matches!(operation.method, Method::Get | Method::Head) {
                    continue;
                }
                let what = format!("{module_name}.{operation_name}");
                let arguments: Map<String, Value> = module
                    .fields_of(operation)
                    .iter()
                    .map(|field| (field.name.clone(), sample(field)))
                    .collect();
                let (line, body, repeat) = request(&name, &what, Value::Object(arguments));
                writeln!(out, "\n{name} {what}, {repeat}\n  {line}").unwrap();
                if !body.is_null() {
                    writeln!(out, "  {body}").unwrap();
                }
            }
        }
    }
    out
}

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/connector/requests.txt");

#[test]
fn what_operations_send_is_known() {
    let (there, made) = (std::fs::read_to_string(SNAPSHOT).unwrap_or_default(), all_that_write());
    let differs = there.lines().zip(made.lines()).find(|(there, made)| there != made);
    assert!(
        there == made,
        "requests.txt is out of date, first at {differs:?}; look at it after \
         cargo test -p jackfield-core --lib -- --ignored rewrite_what_operations_send"
    );
}

#[test]
#[ignore = "writes the file that the test above compares with"]
fn rewrite_what_operations_send() {
    std::fs::write(SNAPSHOT, all_that_write()).unwrap();
}

#[test]
fn requests_are_those_that_the_vendors_document() {
    for (connector, operation, arguments, line, body, repeat) in all() {
        let made = request(connector, operation, arguments);
        assert_eq!(made, (line.to_owned(), body, repeat), "{connector} {operation}");
    }
    // A reader of this table trusts that nothing is left out of it by accident: every upsert stands here.
    let listed: Vec<(&str, &str)> = all().iter().map(|row| (row.0, row.1)).collect();
    for connector in built_in().iter() {
        let name = connector.effective_link_name();
        for (module, found) in &connector.modules {
            for operation in found.operations.keys().filter(|operation| *operation == "upsert") {
                let what = format!("{module}.{operation}");
                let known = listed.iter().any(|(one, other)| *one == name && *other == what);
                let copy = ["zoho_crm", "salesforce", "airtable_token", "mailchimp_key", "zendesk_token"];
                assert!(known || copy.contains(&name.as_str()), "{name} {what}");
            }
        }
    }
}

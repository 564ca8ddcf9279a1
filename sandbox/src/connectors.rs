//! Connector documents that describe the sandbox.

use serde_json::{Value, json};

use crate::{
    Options,
    accounts::{self, Client, SCOPES},
};

/// One document for each way of authenticating.
pub(crate) fn documents(options: &Options, base: &str) -> Vec<Value> {
    let find = |id: &str, fallback: fn(&Client) -> bool| {
        options
            .clients
            .iter()
            .find(|client| client.id == id)
            .or_else(|| options.clients.iter().find(|c| fallback(c)))
    };
    let confidential = find(accounts::CLIENT_ID, |client| client.secret.is_some());
    let public = find(accounts::PUBLIC_CLIENT_ID, Client::is_public);
    let machine = find(accounts::MACHINE_CLIENT_ID, |client| client.secret.is_some());
    let consumer = options.consumers.first();

    let mut documents = Vec::new();
    if let Some(client) = confidential {
        documents.push(document(
            base,
            "Sandbox",
            "sandbox",
            "A practice service with people, consent and vendors: OAuth 2 with PKCE.",
            &["admin", "user"],
            &client_parameters(client),
            &oauth2_code(base, "client_secret_basic"),
        ));
    }
    if let Some(client) = confidential {
        let mut with_company = document(
            base,
            "Sandbox: with a company",
            "sandbox_company",
            "The Sandbox by OAuth 2; after authorization one chooses a company.",
            &["admin", "user"],
            &client_parameters(client),
            &oauth2_code(base, "client_secret_post"),
        );
        with_company["setup"] = json!([{
            "id": "company",
            "title": "Which company?",
            "operation": "GET /companies",
            "items": "/items",
            "value": "/id",
            "label": "/name",
        }]);
        with_company["headers"] = json!({"X-Company": "{setup.company}"});
        documents.push(with_company);
    }
    if let Some(client) = public {
        documents.push(document(
            base,
            "Sandbox: public client",
            "sandbox_public",
            "The Sandbox by OAuth 2 for a client without a secret.",
            &["admin", "user"],
            &client_parameters(client),
            &oauth2_code(base, "none"),
        ));
    }
    if let Some(client) = confidential {
        let auth = json!({
            "type": "oauth2_device_code",
            "device_authorization_url": format!("{base}/oauth2/device_authorization"),
            "token_url": format!("{base}/oauth2/token"),
            "revoke_url": format!("{base}/oauth2/revoke"),
            "client_authentication": "client_secret_basic",
        });
        documents.push(document(
            base,
            "Sandbox: device code",
            "sandbox_device",
            "The Sandbox by a code that is typed on another screen.",
            &["admin", "user"],
            &client_parameters(client),
            &auth,
        ));
    }
    if let Some(client) = machine {
        let auth = json!({
            "type": "oauth2_client_credentials",
            "token_url": format!("{base}/oauth2/token"),
            "client_authentication": "client_secret_basic",
        });
        documents.push(document(
            base,
            "Sandbox: client credentials",
            "sandbox_client_credentials",
            "The Sandbox for an application that acts for itself.",
            &["admin"],
            &client_parameters(client),
            &auth,
        ));
    }
    if let Some(consumer) = consumer {
        let parameters = [
            parameter("consumer_key", "Consumer key", &consumer.key),
            parameter("consumer_secret", "Consumer secret", &consumer.secret),
        ];
        let auth = json!({
            "type": "oauth1",
            "request_token_url": format!("{base}/oauth1/request_token"),
            "authorize_url": format!("{base}/oauth1/authorize"),
            "access_token_url": format!("{base}/oauth1/access_token"),
            "signature_method": "HMAC-SHA256",
        });
        documents.push(document(
            base,
            "Sandbox: OAuth 1",
            "sandbox_oauth1",
            "The Sandbox by signed requests, as older services want them.",
            &["admin", "user"],
            &parameters,
            &auth,
        ));
    }
    let field = json!({
        "name": "api_key",
        "label": "API key",
        "help": format!("Ada's key is {}, Lin's is {}.", accounts::ADA_API_KEY, accounts::LIN_API_KEY),
        "secret": true,
        "required": true,
        "in": "header",
        "as": "X-Api-Key",
    });
    documents.push(document(
        base,
        "Sandbox: API key",
        "sandbox_api_key",
        "The Sandbox by a key in a header.",
        &["admin", "user"],
        &[],
        &json!({"type": "api_key", "fields": [field]}),
    ));
    documents.push(document(
        base,
        "Sandbox: Basic",
        "sandbox_basic",
        "The Sandbox by user name and password.",
        &["admin", "user"],
        &[],
        &json!({
            "type": "basic",
            "username": {"label": "User name", "help": "ada@sandbox.example or lin@sandbox.example."},
            "password": {
                "label": "Password",
                "help": format!("{} or {}.", accounts::ADA_PASSWORD, accounts::LIN_PASSWORD),
            },
        }),
    ));
    documents
}

fn oauth2_code(base: &str, client_authentication: &str) -> Value {
    json!({
        "type": "oauth2_code",
        "authorize_url": format!("{base}/oauth2/authorize"),
        "token_url": format!("{base}/oauth2/token"),
        "revoke_url": format!("{base}/oauth2/revoke"),
        "issuer": base,
        "client_authentication": client_authentication,
        "pkce": true,
    })
}

/// A parameter with the value that the sandbox knows. A secret with a default would be none, so
/// the ones that everybody can read on the start page are not called secret.
fn parameter(name: &str, label: &str, default: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "help": "The Sandbox knows this value already.",
        "secret": false,
        "required": true,
        "default": default,
    })
}

/// Takes the defaults out of a document: what is secret is called so and has to be typed.
pub(crate) fn without_defaults(document: &mut Value) {
    let parameters = document.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten().filter_map(Value::as_object_mut) {
        parameter.remove("default");
        let secret =
            parameter.get("name").and_then(Value::as_str).is_some_and(|name| name.ends_with("_secret"));
        parameter.insert("secret".to_owned(), secret.into());
    }
}

fn client_parameters(client: &Client) -> Vec<Value> {
    let mut parameters = vec![parameter("client_id", "Client ID", &client.id)];
    if let Some(secret) = &client.secret {
        parameters.push(parameter("client_secret", "Client secret", secret));
    }
    parameters
}

fn document(
    base: &str,
    name: &str,
    link_name: &str,
    description: &str,
    levels: &[&str],
    parameters: &[Value],
    auth: &Value,
) -> Value {
    let kind = auth.get("type").and_then(Value::as_str).unwrap_or_default();
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = authority.split('/').next().unwrap_or(authority);
    // Somebody who acts for himself alone has no email address to be known by.
    let account = if kind == "oauth2_client_credentials" { "/name" } else { "/email" };
    let mut document = json!({
        "name": name,
        "link_name": link_name,
        "description": description,
        "category": "developer",
        "documentation_url": format!("{base}/"),
        "base_url": format!("{base}/api/v1"),
        "hosts": [host],
        "levels": levels,
        "identity": {"method": "GET", "url": format!("{base}/api/v1/me"), "name": account, "subject": "/sub"},
        // A path that every credential reaches, whatever its scopes.
        "test": {"method": "GET", "path": "/companies"},
        "modules": modules(),
        "auth": auth,
    });
    if !parameters.is_empty() {
        document["parameters"] = Value::from(parameters);
    }
    if kind.starts_with("oauth2") {
        let scopes = SCOPES.iter().map(|scope| {
            let default = scope.access == "read";
            json!({"name": scope.name, "label": scope.label, "access": scope.access, "default": default})
        });
        document["scopes"] = scopes.collect();
    }
    document
}

/// What can be done at the sandbox.
fn modules() -> Value {
    let field = |name: &str, label: &str, kind: &str| json!({"name": name, "label": label, "type": kind});
    let required = |mut field: Value| {
        field["required"] = true.into();
        field
    };
    let id = required(field("Id", "Vendor", "string"));
    let fields = [
        required(field("DisplayName", "Display name", "string")),
        field("CompanyName", "Company name", "string"),
        field("Email", "Email address", "email"),
        field("Phone", "Telephone", "phone"),
        field("Notes", "Notes", "text"),
        field("Active", "In use", "boolean"),
    ];
    let all: Vec<&Value> = std::iter::once(&id).chain(&fields).collect();
    json!({
        "vendor": {
            "label": "Vendor",
            "description": "Somebody whom you buy from.",
            "fields": fields,
            "operations": {
                "list": {
                    "label": "List vendors",
                    "method": "GET",
                    "path": "/vendors",
                    "items": "/items",
                    "error": "/error/message",
                    "pagination": {
                        "type": "cursor",
                        "cursor": "cursor",
                        "next": "/next_cursor",
                        "size": "limit",
                        "page_size": 100,
                    },
                },
                "create": {
                    "label": "Create a vendor",
                    "method": "POST",
                    "path": "/vendors",
                    "result": "/Id",
                    "error": "/error/message",
                    "idempotency": {"in": "header", "name": "Idempotency-Key"},
                },
                "read": {
                    "label": "Read a vendor",
                    "method": "GET",
                    "path": "/vendors/{Id}",
                    "fields": [id],
                    "result": "/Id",
                    "error": "/error/message",
                },
                "update": {
                    "label": "Change a vendor",
                    "method": "PUT",
                    "path": "/vendors/{Id}",
                    "fields": all,
                    "result": "/Id",
                    "error": "/error/message",
                },
                "delete": {
                    "label": "Delete a vendor",
                    "method": "DELETE",
                    "path": "/vendors/{Id}",
                    "fields": [id],
                    "error": "/error/message",
                },
            },
        },
        "company": {
            "label": "Company",
            "description": "The companies that one can choose from.",
            "operations": {
                "list": {
                    "label": "List companies",
                    "method": "GET",
                    "path": "/companies",
                    "items": "/items",
                    "error": "/error/message",
                },
            },
        },
    })
}

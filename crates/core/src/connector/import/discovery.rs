//! A connector out of OAuth or OpenID Connect metadata (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::{Map, Value, json};

use super::{Draft, Report, connector_name, origin_and_path, put};
use crate::error::{Error, Result};

/// Largest metadata that is read, in bytes.
pub const METADATA_MAX: usize = 1024 * 1024;
/// More scopes than these are not offered one by one.
const SCOPES_MAX: usize = 200;
const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// Where the metadata of an issuer may stand, in the order in which one asks. An address of metadata itself stands for itself.
pub fn metadata_urls(issuer: &str) -> Result<Vec<String>> {
    let wrong =
        || Error::field("discover", "invalid", "Give the address of the authorization server: https://…");
    let issuer = issuer.trim();
    let issuer = if issuer.contains("://") { issuer.to_owned() } else { format!("https://{issuer}") };
    let (origin, path) = origin_and_path(&issuer).filter(|_| !issuer.contains('@')).ok_or_else(wrong)?;
    if path.contains("/.well-known/") {
        return Ok(vec![format!("{origin}{path}")]);
    }
    // OpenID Connect puts the name behind the path, RFC 8414 §3.1 before it.
    let mut all = vec![format!("{origin}{path}{OPENID}"), format!("{origin}{OAUTH}{path}")];
    if !path.is_empty() {
        all.push(format!("{origin}{OPENID}{path}"));
    }
    Ok(all)
}

/// A draft out of metadata that stood at `url`.
pub fn from_metadata(metadata: &Value, url: &str, name: Option<&str>) -> Result<Draft> {
    let mut report = Report::default();
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let list = |name: &str| -> Vec<&str> {
        metadata.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let wrong = |message: String| Error::field("discover", "invalid", message);
    let issuer = text("issuer")
        .ok_or_else(|| wrong(format!("What stands at {url} is no metadata: it names no issuer.")))?;
    let (origin, _) = origin_and_path(issuer)
        .ok_or_else(|| wrong("The issuer in the metadata is no address of the web.".to_owned()))?;
    // RFC 8414 §3.3: the issuer is the one that was asked, or somebody else speaks in its name.
    if origin_and_path(url).is_none_or(|(asked, _)| asked != origin) {
        report.note("issuer", format!("The metadata names the issuer {issuer}, which stands elsewhere than the metadata. Ask whether that is meant."));
    }
    let token_url =
        text("token_endpoint").ok_or_else(|| wrong("The metadata names no token endpoint.".to_owned()))?;
    let grants = list("grant_types_supported");
    // RFC 8414 §2: absent means authorization code.
    let gives = |grant: &str| grants.contains(&grant);
    let scopes = list("scopes_supported");
    let mut auth = Map::new();
    let device = text("device_authorization_endpoint");
    match (text("authorization_endpoint"), device) {
        (Some(authorize_url), other) if grants.is_empty() || gives("authorization_code") => {
            auth.insert("type".to_owned(), "oauth2_code".into());
            auth.insert("authorize_url".to_owned(), authorize_url.into());
            let methods = list("code_challenge_methods_supported");
            if !methods.is_empty() && !methods.contains(&"S256") {
                auth.insert("pkce".to_owned(), false.into());
                report.note("code_challenge_methods_supported", "It knows no S256: PKCE is off.");
            } else if methods.is_empty() {
                report.note("code_challenge_methods_supported", "It does not say whether it takes PKCE. It stays on; set pkce = false if the service refuses it.");
            }
            put(&mut auth, "par_url", text("pushed_authorization_request_endpoint"));
            if metadata.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)) {
                auth.insert("issuer".to_owned(), issuer.into());
            }
            if other.is_some() {
                report.note(
                    "device_authorization_endpoint",
                    "It takes device codes too; the draft takes authorization codes.",
                );
            }
        }
        (_, Some(device)) => {
            auth.insert("type".to_owned(), "oauth2_device_code".into());
            auth.insert("device_authorization_url".to_owned(), device.into());
        }
        _ => {
            auth.insert("type".to_owned(), "oauth2_client_credentials".into());
            report.note(
                "grant_types_supported",
                "It gives no codes to people: the draft takes client credentials.",
            );
        }
    }
    auth.insert("token_url".to_owned(), token_url.into());
    put(&mut auth, "revoke_url", text("revocation_endpoint"));
    // RFC 8414 §2: absent means client_secret_basic.
    let methods = list("token_endpoint_auth_methods_supported");
    let known = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    match known.into_iter().find(|known| methods.contains(known)) {
        Some(way) => auth.insert("client_authentication".to_owned(), way.into()),
        None if methods.is_empty() => {
            auth.insert("client_authentication".to_owned(), "client_secret_basic".into())
        }
        None => {
            report.note(
                "token_endpoint_auth_methods_supported",
                format!("It knows only {}, which Jackfield does not.", methods.join(", ")),
            );
            None
        }
    };
    let mut document = Map::new();
    let host = origin.split("://").nth(1).unwrap_or_default();
    let fallback = connector_name(host, "Imported");
    document.insert(
        "name".to_owned(),
        name.map_or(fallback.clone(), |name| connector_name(name, &fallback)).into(),
    );
    put(&mut document, "documentation_url", text("service_documentation"));
    document.insert("base_url".to_owned(), origin.as_str().into());
    report.note(
        "base_url",
        "Metadata does not say where the API is: put its root in the place of the issuer's.",
    );
    if scopes.len() > SCOPES_MAX {
        report.note(
            "scopes_supported",
            format!("{} scopes are too many to choose from: any scope may be written.", scopes.len()),
        );
    } else if !scopes.is_empty() {
        let openid = ["openid", "profile", "email", "offline_access"];
        let scope = |name: &&str| {
            if openid.contains(name) { json!({"name": name, "default": true}) } else { json!({"name": name}) }
        };
        document.insert("scopes".to_owned(), scopes.iter().map(scope).collect());
    }
    if scopes.contains(&"openid") && auth.get("type") != Some(&"oauth2_client_credentials".into()) {
        document
            .insert("identity".to_owned(), json!({"from": "id_token", "name": "/email", "subject": "/sub"}));
    } else {
        report.note("identity", "Say how to learn whose account it is.");
    }
    report.note("test", "Give a cheap call that proves a credential.");
    document.insert("auth".to_owned(), auth.into());
    Ok(report.done(Value::Object(document), Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stands_in_three_places() {
        assert_eq!(
            metadata_urls("https://a.example/t/").unwrap(),
            [
                "https://a.example/t/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/t",
                "https://a.example/.well-known/openid-configuration/t",
            ]
        );
        assert_eq!(metadata_urls("a.example").unwrap().len(), 2);
        let itself = "https://a.example/.well-known/oauth-authorization-server/t";
        assert_eq!(metadata_urls(itself).unwrap(), [itself]);
        for wrong in ["", "ftp://a.example", "https://", "mailto:x@a.example"] {
            assert!(metadata_urls(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_becomes_a_connector() {
        let metadata = json!({
            "issuer": "https://login.acme.example", "authorization_endpoint": "https://login.acme.example/a",
            "token_endpoint": "https://login.acme.example/t", "revocation_endpoint": "https://login.acme.example/r",
            "pushed_authorization_request_endpoint": "https://login.acme.example/par",
            "scopes_supported": ["openid", "email", "crm.read"], "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
        });
        let url = "https://login.acme.example/.well-known/openid-configuration";
        let draft = from_metadata(&metadata, url, Some("Acme")).unwrap();
        assert!(draft.faults.is_empty(), "{:?}", draft.faults);
        let auth = &draft.document["auth"];
        assert_eq!(auth["type"], "oauth2_code");
        assert_eq!(auth["client_authentication"], "client_secret_post");
        assert_eq!(
            (&auth["issuer"], &auth["par_url"]),
            (&metadata["issuer"], &metadata["pushed_authorization_request_endpoint"])
        );
        assert_eq!(auth.get("pkce"), None);
        assert_eq!(draft.document["identity"]["from"], "id_token");

        let mut plain = metadata.clone();
        plain["code_challenge_methods_supported"] = json!(["plain"]);
        let draft = from_metadata(&plain, url, None).unwrap();
        assert_eq!(
            (&draft.document["auth"]["pkce"], &draft.document["name"]),
            (&json!(false), &json!("login acme example"))
        );
        let other =
            from_metadata(&metadata, "https://evil.example/.well-known/openid-configuration", None).unwrap();
        assert!(other.notes.iter().any(|note| note.at == "issuer"), "{:?}", other.notes);

        let device = json!({"issuer": "https://a.example", "token_endpoint": "https://a.example/t",
            "device_authorization_endpoint": "https://a.example/d", "grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"]});
        assert_eq!(
            from_metadata(&device, "https://a.example/x", None).unwrap().document["auth"]["type"],
            "oauth2_device_code"
        );
        for wrong in [
            json!({}),
            json!([]),
            json!({"issuer": "https://a.example"}),
            json!({"issuer": 7, "token_endpoint": "x"}),
        ] {
            assert!(from_metadata(&wrong, url, None).is_err(), "{wrong}");
        }
    }
}

//! What usually is wrong when a service answers so, and what mends it.

use jackfield_core::Error;
use jackfield_core::connector::{self, Auth, ClientAuthentication, Connector, Source, placements};

use super::TrialAnswer;
use crate::connect::exchange::Granted;
use crate::connect::ground::{Attributes, Ground};

/// What is wrong, field by field where it is said so.
pub(super) fn said(error: &Error) -> String {
    let fields: Vec<&str> = error.fields.iter().map(|field| field.message.as_str()).collect();
    if fields.is_empty() { error.detail.clone() } else { fields.join(" ") }
}

/// What the usual refusals of a token endpoint mean, and what mends them. `said` is the service's own description.
pub(super) fn at_token(code: &str, said: &str, ground: &Ground, redirect: &str) -> String {
    let said = said.to_lowercase();
    let speaks_of = |words: &[&str]| words.iter().any(|word| code.contains(word) || said.contains(word));
    if matches!(ground.connector.auth, Auth::OAuth1(_)) {
        return "Check the consumer key, its secret and the way of signing.".to_owned();
    }
    if speaks_of(&["redirect_uri", "redirect uri", "redirect url"]) {
        return format!(
            "The redirect URI is not the one that your app has. Register this one there, to the letter (scheme, port and the end count): {redirect}"
        );
    }
    if speaks_of(&["code_verifier", "code_challenge", "pkce", "code verifier"]) {
        return match &ground.connector.auth {
            Auth::OAuth2Code(auth) if auth.pkce => {
                "It does not take the proof key (PKCE) as it was sent. If its documentation knows none, set pkce = false.".to_owned()
            }
            _ => "It wants a proof key (PKCE): take pkce = false out of the document.".to_owned(),
        };
    }
    if is_of_client(code) {
        let stated = ground.connector.auth.client_authentication(ground.parameter("client_secret").is_some());
        let way = match stated {
            ClientAuthentication::ClientSecretBasic => {
                "The client proved itself in the Authorization header (client_secret_basic); some services want id and secret among the parameters (client_secret_post)."
            }
            ClientAuthentication::ClientSecretPost => {
                "The client proved itself among the parameters (client_secret_post); some services want the Authorization header (client_secret_basic)."
            }
            ClientAuthentication::PrivateKeyJwt => {
                "The client proved itself by a signed assertion: is its public key registered, under the same key id?"
            }
            ClientAuthentication::None => {
                "The client sent no secret (none): is it registered as a public client?"
            }
        };
        let region = region_of(ground)
            .map_or_else(String::new, |region| format!(" An app is known in its own region only: {region}"));
        return format!("Check the client id and the secret. {way}{region}");
    }
    match code {
        "invalid_grant" => {
            "The code or the assertion is refused: the redirect URI, the proof key and the clock count, too.".to_owned()
        }
        "invalid_scope" => {
            "It does not know a scope that was asked for, or your app may not ask for it. Check their names and what stands between them.".to_owned()
        }
        "unsupported_grant_type" => {
            "It does not know this way to a token. Check the type of the connector and the token URL.".to_owned()
        }
        _ => "Compare the request below with the service's documentation.".to_owned(),
    }
}

/// What the service said instead of a code, where it is one of the usual things.
pub(super) fn at_consent(detail: &str, ground: &Ground, redirect: &str) -> Option<String> {
    let codes =
        ["invalid_scope", "unauthorized_client", "invalid_client", "redirect_uri", "code_challenge", "pkce"];
    let lower = detail.to_lowercase();
    if lower.contains("unsupported_response_type") {
        return Some(
            "It does not give codes at this address, or your app is not allowed to ask for them.".to_owned(),
        );
    }
    let code = codes.into_iter().find(|code| lower.contains(code))?;
    Some(at_token(code, "", ground, redirect))
}

/// In which region of the service the trial was made, where the connector knows several.
fn region_of(ground: &Ground) -> Option<String> {
    let connector = &ground.connector;
    if connector.region_values.is_empty() {
        return None;
    }
    let host = ground.root_for("/", &Attributes::new()).unwrap_or_default();
    let by = connector.region_parameter.as_deref().map_or_else(
        || "it follows the organization's region".to_owned(),
        |name| format!("the parameter {name} chooses it"),
    );
    let others: Vec<&str> = connector.region_values.keys().map(String::as_str).collect();
    Some(format!("this was {host}, and there are {} ({by}).", others.join(", ")))
}

/// Whether an error of OAuth speaks of the client and not of what it brought.
pub(super) fn is_of_client(code: &str) -> bool {
    matches!(
        code,
        "invalid_client" | "unauthorized_client" | "invalid_client_id" | "incorrect_client_credentials"
    )
}

/// What came with a token.
pub(super) fn came(granted: &Granted) -> String {
    let ends = granted.expires_at.map_or_else(
        || "It does not say when it ends.".to_owned(),
        |at| format!("It ends in {} seconds.", granted.issued_at.until(at).as_secs()),
    );
    let again = if granted.refreshable {
        "Jackfield can get the next one by itself."
    } else {
        "Nothing came with which the next one could be got: people would authorize again when it ends."
    };
    format!("A token came. {ends} {again}")
}

pub(super) fn is_page(answer: Option<&TrialAnswer>) -> bool {
    let kind = answer.and_then(|answer| answer.headers.iter().find(|(name, _)| name == "content-type"));
    kind.is_some_and(|(_, kind)| kind.starts_with("text/html"))
}

/// Where the credential goes, in words.
fn places(connector: &Connector) -> String {
    use connector::Place;
    let words = |place: &connector::Placement| {
        let name = &place.name;
        match place.place {
            Place::Header if place.prefix.is_empty() => format!("in the header {name}"),
            Place::Header => format!("in the header {name}, after {:?}", place.prefix.trim_end()),
            Place::Query => format!("in the query as {name}"),
            Place::Cookie => format!("in the cookie {name}"),
            Place::Body => format!("in the body as {name}"),
        }
    };
    let all: Vec<String> = placements(connector)
        .iter()
        .filter(|placed| !matches!(placed.source, Source::Parameter(_)))
        .map(words)
        .collect();
    all.join(" and ")
}

/// What a status usually means, and in which region it came.
pub(super) fn explained(ground: &Ground, status: u16, answer: Option<&TrialAnswer>) -> String {
    let words = meant(ground, status, answer);
    match region_of(ground).filter(|_| matches!(status, 401 | 403 | 404)) {
        Some(region) => format!("{words} If the account is in another region: {region}"),
        None => words,
    }
}

/// What a status usually means.
fn meant(ground: &Ground, status: u16, answer: Option<&TrialAnswer>) -> String {
    let header = |name: &str| {
        let found = answer.and_then(|answer| answer.headers.iter().find(|(found, _)| found == name));
        found.map(|(_, value)| value.as_str())
    };
    match status {
        300..=399 => format!(
            "The service answered {status}: it sends on to {}. Give the address where it ends; a call follows redirects only to the connector's hosts.",
            header("location").unwrap_or("elsewhere")
        ),
        400 | 422 => format!("The service answered {status}: it understood the call, but not what it says. A parameter, a header or the body is missing or wrong."),
        403 if header("www-authenticate").is_some_and(|told| told.contains("insufficient_scope")) => format!(
            "The service answered 403: a scope is missing. It says: {}. Ask for it under Scopes, and accept again.",
            header("www-authenticate").unwrap_or("")
        ),
        401 => match places(&ground.connector) {
            none if none.is_empty() => "The service answered 401: it wants a credential, and this connector has none.".to_owned(),
            places => format!("The service answered 401: it does not know the credential. It went {places}. Check the value, the place and what must stand before it."),
        },
        403 => "The service answered 403: it knows the credential, but does not let it do this. A scope or a right of the account is missing, or the test asks for too much.".to_owned(),
        404 | 410 => format!("The service answered {status}: there is nothing at this address. Check the base URL and the path."),
        405 => "The service answered 405: this address takes another method.".to_owned(),
        406 | 415 => format!("The service answered {status}: it does not speak JSON here, or wants another Accept header."),
        429 => "The service answered 429: too many calls. Try again in a moment.".to_owned(),
        500..=599 => format!("The service answered {status}: it failed itself. Try again in a moment; if it stays so, look at the call."),
        _ => format!("The service answered {status}."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jackfield_core::Timestamp;
    use serde_json::{Value, json};

    use super::super::{Packed, ground_of};
    use super::*;

    fn connector(auth: &Value) -> Connector {
        Connector::from_json(json!({"name": "A", "base_url": "https://a.example", "auth": auth})).unwrap()
    }

    fn ground(document: &Value) -> Ground {
        let packed = Packed {
            connector: "a".to_owned(),
            document: None,
            parameters: BTreeMap::from([("dc".to_owned(), "eu".to_owned())]),
            secrets: BTreeMap::new(),
            scopes: Vec::new(),
        };
        let connector = Connector::from_json(document.clone()).unwrap_or_else(|e| panic!("{e:?}"));
        ground_of(&packed, connector, "org_1", "us", Timestamp::from_micros(0))
    }

    #[test]
    fn the_usual_faults_are_explained() {
        let auth = |more: &Value| {
            let mut auth = json!({"type": "oauth2_code", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t"});
            for (name, value) in more.as_object().unwrap() {
                auth[name] = value.clone();
            }
            ground(&json!({"name": "A", "base_url": "https://a.example", "auth": auth}))
        };
        let redirect = "https://j.example/oauth/callback";
        let plain = auth(&json!({}));
        for (code, said, hint) in [
            ("redirect_uri_mismatch", "", redirect),
            ("invalid_grant", "The redirect URI does not match", redirect),
            ("invalid_request", "code_verifier is not supported", "set pkce = false"),
            ("invalid_client", "", "client_secret_post"),
            ("invalid_scope", "", "your app may not ask for it"),
            ("unsupported_grant_type", "", "token URL"),
        ] {
            let words = at_token(code, said, &plain, redirect);
            assert!(words.contains(hint), "{code} {said}: {words}");
        }
        let words = at_token("invalid_request", "PKCE is required", &auth(&json!({"pkce": false})), redirect);
        assert!(words.contains("take pkce = false out"), "{words}");
        let words = at_token(
            "invalid_client",
            "",
            &auth(&json!({"client_authentication": "client_secret_post"})),
            redirect,
        );
        assert!(words.contains("Authorization header"), "{words}");
        let told = |detail: &str| at_consent(detail, &plain, redirect).unwrap_or_default();
        assert!(
            told("A answered invalid_scope (x).").contains("your app may not ask"),
            "{}",
            told("invalid_scope")
        );
        assert!(told("A answered invalid_request (redirect_uri is wrong).").contains(redirect));
        assert_eq!(at_consent("A answered server_error.", &plain, redirect), None);
    }

    #[test]
    fn another_region_is_thought_of_where_there_are_several() {
        let several = ground(&json!({
            "name": "A", "base_url": "https://{region.host}", "hosts": ["a.example", "a.eu.example"],
            "region_values": {"us": {"host": "a.example"}, "eu": {"host": "a.eu.example"}}, "region_parameter": "dc",
            "parameters": [{"name": "dc", "choices": [{"value": "us"}, {"value": "eu"}]}], "auth": {"type": "basic"},
        }));
        let words = explained(&several, 401, None);
        assert!(
            words.contains("https://a.eu.example")
                && words.contains("eu, us")
                && words.contains("dc chooses"),
            "{words}"
        );
        assert!(!explained(&several, 500, None).contains("region"));
        assert!(
            !explained(
                &ground(&json!({"name": "A", "base_url": "https://a.example", "auth": {"type": "basic"}})),
                401,
                None
            )
            .contains("region")
        );
    }

    #[test]
    fn a_missing_scope_is_told_in_the_services_words() {
        let ground =
            ground(&json!({"name": "A", "base_url": "https://a.example", "auth": {"type": "basic"}}));
        let answer = TrialAnswer {
            status: 403,
            headers: vec![(
                "www-authenticate".to_owned(),
                "Bearer error=\"insufficient_scope\", scope=\"crm\"".to_owned(),
            )],
            ..TrialAnswer::default()
        };
        assert!(explained(&ground, 403, Some(&answer)).contains("scope=\"crm\""));
    }

    #[test]
    fn where_a_credential_went_is_said() {
        let keys = json!({"type": "api_key", "fields": [
            {"name": "key", "in": "header", "as": "X-Key", "prefix": "Token "}, {"name": "id", "in": "query"}]});
        assert_eq!(places(&connector(&keys)), "in the header X-Key, after \"Token\" and in the query as id");
        assert_eq!(places(&connector(&json!({"type": "none"}))), "");
        assert_eq!(
            places(&connector(&json!({"type": "basic"}))),
            "in the header Authorization, after \"Basic\""
        );
    }
}

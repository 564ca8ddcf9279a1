//! Checking what people give: parameters of a connection, credentials, scopes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::auth::{
    Auth, BasicField, ClientAuthentication, CredentialField, SignatureMethod, SigningAlgorithm,
};
use super::document::{Choice, Connector, Parameter, Place};
use crate::error::FieldError;

/// Longest value of a parameter or credential, in bytes; a private key may be longer.
const VALUE_MAX: usize = 8 * 1024;
/// Longest private key in PEM, in bytes.
const PRIVATE_KEY_MAX: usize = 64 * 1024;
/// Longest scope, in bytes.
const SCOPE_MAX: usize = 512;

/// Parameters of a connection, checked, with defaults filled in. No `Debug`: half of it is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// To be stored as they are and shown.
    pub public: BTreeMap<String, String>,
    /// To be sealed.
    pub secret: BTreeMap<String, String>,
}

/// Every parameter that is asked when a connection is made: the organization's own OAuth client first, then what the connector
/// declares. `required` is always settled.
pub fn effective_parameters(connector: &Connector) -> Vec<Parameter> {
    let mut all = client_parameters(&connector.auth);
    for declared in &connector.parameters {
        let mut declared = declared.clone();
        let used = || declared.default.is_none() && connector.needs_name(&declared.name);
        declared.required = Some(declared.required.unwrap_or_else(used));
        match all.iter_mut().find(|implied| implied.name == declared.name) {
            // A connector may word the client's parameters in its own way, but not lay a secret open.
            Some(implied) => {
                declared.secret |= implied.secret;
                declared.required = Some(
                    declared.required == Some(true)
                        || implied.required == Some(true) && declared.default.is_none(),
                );
                *implied = declared;
            }
            None => all.push(declared),
        }
    }
    all
}

/// Names of what describes the organization's own client at the service: its id, its secret, its key. None where nobody registers an app.
pub fn client_parameter_names(connector: &Connector) -> Vec<String> {
    client_parameters(&connector.auth).into_iter().map(|parameter| parameter.name).collect()
}

fn implied(name: &str, label: &str, help: &str, secret: bool, required: bool) -> Parameter {
    Parameter {
        name: name.to_owned(),
        label: Some(label.to_owned()),
        help: Some(help.to_owned()),
        secret,
        required: Some(required),
        ..Parameter::default()
    }
}

/// The parameters of the organization's own OAuth client, as the scheme demands.
fn client_parameters(auth: &Auth) -> Vec<Parameter> {
    match auth {
        Auth::OAuth1(auth) => {
            let key = "The key of your app in the service's developer pages.";
            let secret = "The secret beside the key.";
            let mut all = vec![implied("consumer_key", "Consumer key", key, false, true)];
            if auth.signature_method == SignatureMethod::RsaSha1 {
                let help = "The private key of your app, in PEM; the service has the public one.";
                all.push(implied("private_key", "Private key", help, true, true));
                all.push(implied("consumer_secret", "Consumer secret", secret, true, false));
            } else {
                all.push(implied("consumer_secret", "Consumer secret", secret, true, true));
            }
            all
        }
        Auth::JwtBearer(jwt) => vec![
            implied(
                "client_id",
                "Issuer",
                "The client id or the address of the service account; stands in `iss`.",
                false,
                !jwt.claims.contains_key("iss") || auth_uses(jwt, "client_id"),
            ),
            implied("private_key", "Private key", "The key of the service account, in PEM.", true, true),
            implied(
                "key_id",
                "Key id",
                "The id of that key, when the service gives one; stands in `kid`.",
                false,
                false,
            ),
        ],
        Auth::OAuth2Code(_) | Auth::OAuth2ClientCredentials(_) | Auth::OAuth2DeviceCode(_) => {
            let id = "The client id of your own app in the service's developer pages.";
            let mut all = vec![implied("client_id", "Client id", id, false, true)];
            let secret = |required| {
                implied("client_secret", "Client secret", "The secret beside the client id.", true, required)
            };
            match auth.client_authentication(true) {
                ClientAuthentication::ClientSecretBasic | ClientAuthentication::ClientSecretPost => {
                    // A device is often a public client: then the document may leave the choice to the connection.
                    all.push(secret(auth.client_authentication(false) != ClientAuthentication::None));
                }
                ClientAuthentication::PrivateKeyJwt => {
                    let key = "The private key of your app, in PEM; the service has the public one.";
                    all.push(implied("private_key", "Private key", key, true, true));
                    all.push(implied(
                        "key_id",
                        "Key id",
                        "The id of that key, when the service gives one.",
                        false,
                        false,
                    ));
                    let mut algorithm =
                        implied("signing_algorithm", "Signature", "How the key signs.", false, false);
                    algorithm.choices = SigningAlgorithm::ALL
                        .iter()
                        .map(|algorithm| Choice { value: algorithm.as_str().to_owned(), label: None })
                        .collect();
                    algorithm.default = Some(SigningAlgorithm::default().as_str().to_owned());
                    all.push(algorithm);
                }
                ClientAuthentication::None => {}
            }
            all
        }
        Auth::ApiKey(_) | Auth::Basic(_) | Auth::None(_) => Vec::new(),
    }
}

fn auth_uses(jwt: &super::auth::JwtBearer, name: &str) -> bool {
    let braced = format!("{{{name}}}");
    jwt.claims.values().any(|claim| claim.as_str().is_some_and(|text| text.contains(&braced)))
}

/// Checks the parameters given for a connection. Errors name `parameters.<name>`.
pub fn check_connection_parameters(
    connector: &Connector,
    given: &Map<String, Value>,
) -> Result<Checked, Vec<FieldError>> {
    let parameters = effective_parameters(connector);
    let mut errors = unknown("parameters", given, parameters.iter().map(|parameter| parameter.name.as_str()));
    let mut checked = Checked::default();
    for parameter in &parameters {
        let rule = Rule {
            field: format!("parameters.{}", parameter.name),
            // What has a default need not be given.
            required: parameter.required == Some(true) && parameter.default.is_none(),
            pattern: parameter.pattern.as_deref(),
            choices: &parameter.choices,
            place: parameter.place,
            lines: parameter.name == "private_key",
        };
        if let Some(value) =
            rule.check(given.get(&parameter.name), &mut errors).or_else(|| parameter.default.clone())
        {
            let into = if parameter.secret { &mut checked.secret } else { &mut checked.public };
            into.insert(parameter.name.clone(), value);
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

/// What is asked when somebody authorizes: the fields of an API key, or user name and password. Empty for the other schemes.
pub fn credential_fields(connector: &Connector) -> Vec<CredentialField> {
    let half = |name: &str, label: &str, secret: bool, field: &BasicField| {
        field.fixed.is_none().then(|| CredentialField {
            name: name.to_owned(),
            label: Some(field.label.clone().unwrap_or_else(|| label.to_owned())),
            help: field.help.clone(),
            secret: field.secret.unwrap_or(secret),
            required: field.required,
            pattern: field.pattern.clone(),
            place: Place::Header,
            wire_name: None,
            prefix: None,
        })
    };
    match &connector.auth {
        Auth::ApiKey(auth) => auth.fields.clone(),
        Auth::Basic(auth) => half("username", "User name", false, &auth.username)
            .into_iter()
            .chain(half("password", "Password", true, &auth.password))
            .collect(),
        _ => Vec::new(),
    }
}

/// Checks the credentials given when somebody authorizes. Errors name `credentials.<name>`. For `basic` the answer always has
/// `username` and `password`.
pub fn check_credentials(
    connector: &Connector,
    given: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
    if !connector.auth.prompts() {
        if given.is_empty() {
            return Ok(BTreeMap::new());
        }
        let message = format!(
            "this connector signs in by {}, without typed credentials",
            connector.auth.kind().title()
        );
        return Err(vec![FieldError::new("credentials", "not_allowed", message)]);
    }
    let fields = credential_fields(connector);
    let mut errors = unknown("credentials", given, fields.iter().map(|field| field.name.as_str()));
    let mut checked = BTreeMap::new();
    for field in &fields {
        let rule = Rule {
            field: format!("credentials.{}", field.name),
            required: field.required,
            pattern: field.pattern.as_deref(),
            choices: &[],
            place: Some(field.place),
            lines: false,
        };
        if let Some(value) = rule.check(given.get(&field.name), &mut errors) {
            checked.insert(field.name.clone(), value);
        }
    }
    if let Auth::Basic(auth) = &connector.auth {
        for (name, field) in [("username", &auth.username), ("password", &auth.password)] {
            let value = checked.remove(name).or_else(|| field.fixed.clone()).unwrap_or_default();
            checked.insert(name.to_owned(), value);
        }
        if checked.get("username").is_some_and(|name| name.contains(':')) {
            errors.push(FieldError::new("credentials.username", "invalid", "must not contain a colon"));
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

/// Checks the scopes chosen for a connection. Errors name `scopes.<index>`.
pub fn check_scopes(connector: &Connector, scopes: &[String]) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    if connector.scopes.is_empty() && !connector.auth.has_scopes() && !scopes.is_empty() {
        let message = format!("{} has no scopes", connector.auth.kind().title());
        return Err(vec![FieldError::new("scopes", "not_allowed", message)]);
    }
    if scopes.len() > super::read::LIST_MAX {
        return Err(vec![FieldError::new("scopes", "too_long", "are too many")]);
    }
    let known: BTreeSet<&str> = connector.scopes.iter().map(|scope| scope.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    for (index, scope) in scopes.iter().enumerate() {
        let mut wrong = |code: &str, message: &str| {
            errors.push(FieldError::new(format!("scopes.{index}"), code, message));
        };
        if let Err(message) = scope_form(scope, connector.auth.scope_delimiter()) {
            wrong("invalid", message);
        } else if !seen.insert(scope.as_str()) {
            wrong("duplicate", "stands twice in the list");
        } else if !known.is_empty() && !known.contains(scope.as_str()) {
            wrong("unknown", "is not a scope of this connector");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Whether a text can be a scope beside others.
pub(super) fn scope_form(scope: &str, delimiter: Option<&str>) -> Result<(), &'static str> {
    if scope.is_empty() {
        return Err("must not be empty");
    }
    if scope.len() > SCOPE_MAX {
        return Err("must have at most 512 bytes");
    }
    if scope.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not contain blanks or control characters");
    }
    if delimiter.is_some_and(|delimiter| !delimiter.is_empty() && scope.contains(delimiter)) {
        return Err("must not contain the character that stands between scopes");
    }
    Ok(())
}

/// A pattern as it is matched: against the whole value. `None` when it is none.
pub(super) fn compile(pattern: &str) -> Option<regex_lite::Regex> {
    // By itself, too: `a)|(?:b` would be one inside of the brackets, and match what only begins or ends so.
    regex_lite::Regex::new(pattern).ok()?;
    regex_lite::Regex::new(&format!("^(?:{pattern})$")).ok()
}

fn unknown<'a>(
    root: &str,
    given: &Map<String, Value>,
    known: impl Iterator<Item = &'a str>,
) -> Vec<FieldError> {
    let known: BTreeSet<&str> = known.collect();
    given
        .keys()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| FieldError::new(format!("{root}.{name}"), "unknown", "is not asked by this connector"))
        .collect()
}

/// What one value must be like. Messages never repeat the value: it may be secret.
struct Rule<'a> {
    field: String,
    required: bool,
    pattern: Option<&'a str>,
    choices: &'a [Choice],
    place: Option<Place>,
    /// Whether it may have several lines.
    lines: bool,
}

impl Rule<'_> {
    /// The value if it was given and is right. Null and the empty string count as not given.
    fn check(&self, given: Option<&Value>, errors: &mut Vec<FieldError>) -> Option<String> {
        let mut wrong =
            |code: &str, message: &str| errors.push(FieldError::new(self.field.clone(), code, message));
        let value = match given {
            None | Some(Value::Null) => "",
            Some(Value::String(value)) => value,
            Some(_) => {
                wrong("wrong_type", "must be a string");
                return None;
            }
        };
        // In a key file, which is JSON, the lines of a key end with a backslash and an n; people paste it as it stands there.
        let pasted;
        let value = if self.lines && value.trim_start().starts_with("-----BEGIN") && value.contains("\\n") {
            pasted = value.replace("\\n", "\n");
            pasted.as_str()
        } else {
            value
        };
        if value.is_empty() {
            if self.required {
                wrong("required", "is required");
            }
            return None;
        }
        let longest = if self.lines { PRIVATE_KEY_MAX } else { VALUE_MAX };
        let stray = |c: char| c.is_control() && !(self.lines && matches!(c, '\n' | '\r' | '\t'));
        if value.len() > longest {
            wrong("too_long", "is too long");
        } else if value.chars().any(stray) {
            wrong("invalid", "must not contain control characters or line breaks");
        } else if self.place == Some(Place::Header) && value.trim() != value {
            wrong("invalid", "must not start or end with a blank");
        } else if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice.value == value) {
            let words: Vec<&str> = self.choices.iter().map(|choice| choice.value.as_str()).collect();
            wrong("invalid", &format!("must be one of {}", words.join(", ")));
        } else if self
            .pattern
            .is_some_and(|pattern| !compile(pattern).is_some_and(|regex| regex.is_match(value)))
        {
            wrong("invalid", &format!("must match {}", self.pattern.unwrap_or_default()));
        } else {
            return Some(value.to_owned());
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "documents in tests read best by value")]
mod tests {
    use serde_json::json;

    use super::*;

    fn connector(auth: Value, parameters: Value) -> Connector {
        Connector::from_json(
            json!({"name": "A", "base_url": "https://a.example", "auth": auth, "parameters": parameters}),
        )
        .unwrap()
    }

    fn code(extra: Value) -> Connector {
        let mut auth = json!({"type": "oauth2_code", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t"});
        auth.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        connector(auth, json!([]))
    }

    #[test]
    fn a_key_is_taken_as_the_key_file_has_it() {
        let robot = connector(json!({"type": "jwt_bearer", "token_url": "https://a.example/t"}), json!([]));
        let pasted = json!({"client_id": "a", "private_key": "-----BEGIN PRIVATE KEY-----\\nAAEC\\n-----END PRIVATE KEY-----\\n"});
        let checked = parameters(&robot, pasted).ok().unwrap();
        assert_eq!(
            checked.secret["private_key"],
            "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n"
        );
        // Nothing else is changed that has a backslash in it.
        let other = parameters(&robot, json!({"client_id": "a\\nb", "private_key": "x\\ny"})).ok().unwrap();
        assert_eq!(
            (other.public["client_id"].as_str(), other.secret["private_key"].as_str()),
            ("a\\nb", "x\\ny")
        );
    }

    fn faults<T>(result: Result<T, Vec<FieldError>>) -> Vec<String> {
        result.err().unwrap_or_default().into_iter().map(|e| format!("{} {}", e.field, e.code)).collect()
    }

    fn parameters(connector: &Connector, given: Value) -> Result<Checked, Vec<FieldError>> {
        check_connection_parameters(connector, given.as_object().unwrap())
    }

    fn credentials(connector: &Connector, given: Value) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
        check_credentials(connector, given.as_object().unwrap())
    }

    #[test]
    fn the_client_is_asked_as_the_scheme_demands() {
        let names = |connector: &Connector| -> Vec<String> {
            let mark = |p: Parameter| {
                let required = if p.required == Some(true) { "!" } else { "" };
                let secret = if p.secret { "*" } else { "" };
                format!("{}{required}{secret}", p.name)
            };
            effective_parameters(connector).into_iter().map(mark).collect()
        };
        assert_eq!(names(&code(json!({}))), ["client_id!", "client_secret!*"]);
        assert_eq!(names(&code(json!({"client_authentication": "none"}))), ["client_id!"]);
        assert_eq!(
            names(&code(json!({"client_authentication": "private_key_jwt"}))),
            ["client_id!", "private_key!*", "key_id", "signing_algorithm"]
        );
        let device = json!({"type": "oauth2_device_code", "device_authorization_url": "https://a.example/d", "token_url": "https://a.example/t"});
        assert_eq!(names(&connector(device, json!([]))), ["client_id!", "client_secret*"]);
        let one = |method: &str| {
            json!({"type": "oauth1", "request_token_url": "https://a.example/r", "authorize_url": "https://a.example/a",
                "access_token_url": "https://a.example/t", "signature_method": method})
        };
        assert_eq!(names(&connector(one("HMAC-SHA1"), json!([]))), ["consumer_key!", "consumer_secret!*"]);
        assert_eq!(
            names(&connector(one("RSA-SHA1"), json!([]))),
            ["consumer_key!", "private_key!*", "consumer_secret*"]
        );
        let jwt = json!({"type": "jwt_bearer", "token_url": "https://a.example/t"});
        assert_eq!(names(&connector(jwt, json!([]))), ["client_id!", "private_key!*", "key_id"]);
        assert_eq!(
            names(&connector(
                json!({"type": "basic"}),
                json!([{"name": "x"}, {"name": "y", "required": true}])
            )),
            ["x", "y!"]
        );
        // A connector words the client in its own way, but cannot lay the secret open or make it optional.
        let mut own = code(json!({}));
        own.parameters = vec![Parameter {
            name: "client_secret".into(),
            label: Some("Key".into()),
            ..Parameter::default()
        }];
        assert_eq!(names(&own), ["client_id!", "client_secret!*"]);
        assert_eq!(effective_parameters(&own)[1].label.as_deref(), Some("Key"));
    }

    #[test]
    fn parameters_are_named_one_by_one() {
        let service = connector(
            json!({"type": "none"}),
            json!([
                {"name": "sub", "pattern": "[a-z]+", "required": true}, {"name": "plan", "choices": [{"value": "a"}, {"value": "b"}], "default": "a"},
                {"name": "token", "secret": true}, {"name": "count"},
            ]),
        );
        let checked =
            parameters(&service, json!({"sub": "acme", "token": "s3cret", "count": null})).ok().unwrap();
        assert_eq!(
            checked.public,
            BTreeMap::from([("sub".into(), "acme".into()), ("plan".into(), "a".into())])
        );
        assert_eq!(checked.secret, BTreeMap::from([("token".into(), "s3cret".into())]));
        assert_eq!(faults(parameters(&service, json!({}))), ["parameters.sub required"]);
        assert_eq!(
            faults(parameters(
                &service,
                json!({"sub": "Acme!", "plan": "c", "count": 7, "other": "x", "token": "a\nb"})
            )),
            [
                "parameters.other unknown",
                "parameters.sub invalid",
                "parameters.plan invalid",
                "parameters.token invalid",
                "parameters.count wrong_type"
            ]
        );
        let messages = parameters(&service, json!({"sub": "SECRET", "token": "SECRET\n"})).err().unwrap();
        assert!(messages.iter().all(|error| !error.message.contains("SECRET")), "{messages:?}");
        let key = code(json!({"client_authentication": "private_key_jwt"}));
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let checked = parameters(&key, json!({"client_id": "x", "private_key": pem})).ok().unwrap();
        assert_eq!(checked.secret["private_key"], pem);
        assert_eq!(checked.public["signing_algorithm"], "RS256");
    }

    #[test]
    fn a_pattern_is_of_the_whole_value() {
        let whole = compile("a|b").unwrap();
        assert!(whole.is_match("a") && whole.is_match("b"));
        assert!(!whole.is_match("ab") && !whole.is_match("xb"));
        for bad in ["a)|(?:b", ")(", "(", "["] {
            assert!(compile(bad).is_none(), "{bad}");
        }
        // No value gets past what is none, should a document have it from before.
        let mut service = connector(json!({"type": "none"}), json!([{"name": "sub"}]));
        service.parameters[0].pattern = Some("a)|(?:b".to_owned());
        for value in ["a", "b", "a and more", "more and b"] {
            assert_eq!(faults(parameters(&service, json!({"sub": value}))), ["parameters.sub invalid"]);
        }
    }

    #[test]
    fn credentials_are_named_one_by_one() {
        let basic = connector(json!({"type": "basic"}), json!([]));
        assert_eq!(credentials(&basic, json!({"username": "u", "password": "p"})).unwrap().len(), 2);
        assert_eq!(
            faults(credentials(&basic, json!({}))),
            ["credentials.username required", "credentials.password required"]
        );
        assert_eq!(
            faults(credentials(&basic, json!({"username": "u:v", "password": "p"}))),
            ["credentials.username invalid"]
        );
        assert_eq!(
            faults(credentials(&basic, json!({"username": "u", "password": 1, "pin": "x"}))),
            ["credentials.pin unknown", "credentials.password wrong_type"]
        );
        let fixed = connector(json!({"type": "basic", "password": {"fixed": "X"}}), json!([]));
        assert_eq!(credentials(&fixed, json!({"username": "k"})).unwrap()["password"], "X");
        assert_eq!(
            faults(credentials(&fixed, json!({"username": "k", "password": "p"}))),
            ["credentials.password unknown"]
        );
        let free = connector(json!({"type": "basic", "password": {"required": false}}), json!([]));
        assert_eq!(credentials(&free, json!({"username": "k"})).unwrap()["password"], "");
        let keys = json!([{"name": "key", "pattern": "k_[a-z]+"}, {"name": "account", "in": "query", "required": false, "secret": false}]);
        let keys = connector(json!({"type": "api_key", "fields": keys}), json!([]));
        assert_eq!(credentials(&keys, json!({"key": "k_a"})).unwrap().len(), 1);
        assert_eq!(faults(credentials(&keys, json!({"key": "x"}))), ["credentials.key invalid"]);
        assert_eq!(faults(credentials(&keys, json!({"key": "k_a\r\nX: y"}))), ["credentials.key invalid"]);
        assert_eq!(faults(credentials(&code(json!({})), json!({"key": "x"}))), ["credentials not_allowed"]);
        assert!(credentials(&code(json!({})), json!({})).unwrap().is_empty());
    }

    #[test]
    fn scopes_are_checked() {
        let list = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect::<Vec<String>>();
        let mut service = code(json!({"scope_delimiter": ","}));
        assert!(check_scopes(&service, &list(&["any", "https://x/y"])).is_ok());
        assert_eq!(
            faults(check_scopes(&service, &list(&["a", "a", "b,c", "d e", "", "f\n"]))),
            [
                "scopes.1 duplicate",
                "scopes.2 invalid",
                "scopes.3 invalid",
                "scopes.4 invalid",
                "scopes.5 invalid"
            ]
        );
        service.scopes = serde_json::from_value(json!([{"name": "read"}])).unwrap();
        assert_eq!(faults(check_scopes(&service, &list(&["read", "write"]))), ["scopes.1 unknown"]);
        let basic = connector(json!({"type": "basic"}), json!([]));
        assert!(check_scopes(&basic, &[]).is_ok());
        assert_eq!(faults(check_scopes(&basic, &list(&["x"]))), ["scopes not_allowed"]);
    }
}

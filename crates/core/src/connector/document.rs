//! The connector document as types. Doc comments become the descriptions of the published schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Auth;
use super::modules::Module;
use super::payment::Payment;
use super::template::{Template, Values};
use crate::words::Level;

/// The description of a cloud service: where it is, how one signs in, what can be done there.
///
/// The same document in a catalogue file (TOML) and in `POST /v1/connectors` (JSON). Only `name`, `base_url` and `auth` are
/// needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Name on the card. At most 50 characters; starts with a letter, digit or `_`; letters, digits, single spaces and
    /// `* _ - @ / ! : | & ~ \ +`.
    pub name: String,
    /// Permanent unique name, `[a-z0-9_]{1,64}`. Derived from the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_name: Option<String>,
    /// What the service is for, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Heading under which the card is found, such as `accounting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Page of the service that documents its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// Where an organization registers its own app at the service, before it can connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Logo: an https URL or a `data:image/…;base64,` URL. Absent: a monogram is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// Root of the API, a template: `https://{subdomain}.example.com/v1`, `https://{region.api_host}`. No query.
    pub base_url: String,
    /// Hosts that a call may go to: `host`, `host:port` or `*.example.com`, templates too. Another port is another host.
    /// Absent: the host of `base_url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Levels that connections of this connector may have.
    #[serde(default = "default_levels")]
    pub levels: Vec<Level>,
    /// Regions in which the service is offered. Absent: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Values that differ by region, for `{region.name}`: region → name → value. The row `default` serves regions that are not
    /// listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub region_values: BTreeMap<String, BTreeMap<String, String>>,
    /// Parameter whose value picks the row of `region_values`. Absent, or the parameter empty: the organization's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_parameter: Option<String>,
    /// Asked when a connection is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Scopes to choose from. Absent: any scope may be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// How to learn whose account it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Cheap call that proves a credential. One that needs no particular scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// Choices that the service itself answers after authorization, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<SetupStep>,
    /// Headers of every call, as templates, unless the caller sends its own. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters of every call, as templates, unless the caller sends its own. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The service's resources and what can be done to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, Module>,
    /// How payments are made at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// How one signs in.
    pub auth: Auth,
    /// What the author of this document checked it against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// Pages on which the author relied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Remarks for the next author; not shown to people who connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

fn default_levels() -> Vec<Level> {
    vec![Level::Admin, Level::User]
}

/// How far a document was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ConnectorVerified)]
pub enum Verified {
    /// Several independent public sources agree.
    Sources,
    /// Compared with the vendor's own documentation.
    VendorDocs,
    /// Tried against the service.
    Live,
}

/// Something asked when a connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorParameter)]
#[schemars(rename = "Parameter")]
pub struct Parameter {
    /// Name in templates and in `parameters` of a connection: `[a-z0-9_]{1,64}`.
    pub name: String,
    /// Label of the field. Absent: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where to find the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Sealed, and never shown again.
    #[serde(default)]
    pub secret: bool,
    /// Must be given. Absent: yes when a template uses it and it has no default, else no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Regular expression that the whole value matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Used when nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The only values accepted. Absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Places the value in each call. Absent: only templates use it.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Name on the wire. Absent: `name`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub wire_name: Option<String>,
    /// Put in front of the value on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Where an organization registers its own app at the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorRegistration)]
pub struct Registration {
    /// The page, by https. Absent where it is at a host that only the organization knows; then `help` says where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What to make there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// One accepted value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorChoice)]
pub struct Choice {
    /// The value itself.
    pub value: String,
    /// What people read. Absent: the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Where in a request a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorPlace)]
pub enum Place {
    /// A header.
    Header,
    /// The query string.
    Query,
    /// A cookie.
    Cookie,
    /// A member of the body, JSON or form, whichever the call sends.
    Body,
}

/// Something a connection may ask the service's permission for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorScope)]
pub struct Scope {
    /// As the service writes it.
    pub name: String,
    /// What it lets the connection do. Absent: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it reads, writes or does everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Ticked from the start.
    #[serde(default)]
    pub default: bool,
}

/// What a scope permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorScopeAccess)]
pub enum Access {
    /// Reads only.
    Read,
    /// Changes something.
    Write,
    /// Reads and changes.
    Full,
}

/// How to learn whose account was authorized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorIdentity)]
pub struct Identity {
    /// Where the answer comes from.
    #[serde(default)]
    pub from: IdentitySource,
    /// Method of the call.
    #[serde(default)]
    pub method: Method,
    /// URL of the call, a template: absolute to one of `hosts`, or joined to `base_url`. Needed unless `from` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// JSON body of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The proposed account name: a JSON pointer into the answer, or a template such as `{callback.company}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What identifies the account for good: a JSON pointer into the answer, or a template such as `{callback.realmId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Identity {
    /// The proposed account name and the stable subject, as far as the answer has them.
    pub fn read(&self, answer: &Value, values: &Values<'_>) -> (Option<String>, Option<String>) {
        let find = |place: &Option<String>| -> Option<String> {
            let place = place.as_deref()?;
            let found = if place.contains('{') {
                Template::parse(place).ok()?.text(|name| values.get(name)).ok()?
            } else {
                text(answer.pointer(place)?)?
            };
            let clean: String = found.chars().filter(|c| !c.is_control()).collect();
            Some(clean.trim().to_owned()).filter(|found| !found.is_empty())
        };
        (find(&self.name), find(&self.subject))
    }
}

/// A string, number or truth value as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Where the identity answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorIdentitySource)]
pub enum IdentitySource {
    /// A call with the new credential.
    #[default]
    Call,
    /// The whole answer of the token endpoint.
    Token,
    /// The claims of the ID token in that answer.
    IdToken,
}

/// Method of an HTTP call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ConnectorMethod)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: &'static [Self] =
        &[Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method, or `None` when it is not one of these.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.as_str() == text)
    }
}

/// A cheap call that proves a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorTest)]
pub struct Test {
    /// Method of the call.
    #[serde(default)]
    pub method: Method,
    /// Path joined to `base_url`, or an absolute URL to one of `hosts`; a template.
    pub path: String,
    /// JSON body of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// What proves the credential. Absent: any status from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// What an answer must look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorExpect)]
pub struct Expect {
    /// Accepted statuses. Absent: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// JSON pointer to something that must be there and not be null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What `pointer` must lead to. Absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
}

impl Expect {
    /// Whether an answer is as expected. `body` is `None` when it is not JSON.
    pub fn met(&self, status: u16, body: Option<&Value>) -> bool {
        let status_met =
            if self.status.is_empty() { (200..300).contains(&status) } else { self.status.contains(&status) };
        let body_met = self.pointer.as_deref().is_none_or(|pointer| {
            let found = body.and_then(|body| body.pointer(pointer)).filter(|found| !found.is_null());
            found.is_some_and(|found| self.equals.as_ref().is_none_or(|wanted| wanted == found))
        });
        status_met && body_met
    }
}

impl Test {
    /// Whether the answer proves the credential. `body` is `None` when it is not JSON.
    pub fn passed(&self, status: u16, body: Option<&Value>) -> bool {
        match &self.expect {
            Some(expect) => expect.met(status, body),
            None => (200..300).contains(&status),
        }
    }
}

/// A choice that the service itself answers after authorization: which site, company, workspace. The value chosen serves
/// templates as `{setup.id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorSetupStep)]
pub struct SetupStep {
    /// Name in templates: `[a-z0-9_]{1,64}`.
    pub id: String,
    /// What people are asked. Absent: the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Explanation beside the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The call that answers the choices: `GET /sites` (a method and a path or URL, a template), or `module.operation`.
    pub operation: String,
    /// JSON pointer to the list in the answer. Absent: the answer is the list. An object stands for a list of one.
    #[serde(default)]
    pub items: String,
    /// JSON pointer, within an item, to the value that templates get. Absent: the item itself.
    #[serde(default)]
    pub value: String,
    /// JSON pointer, within an item, to what people read. Absent: the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Must be answered before the authorization serves calls.
    #[serde(default = "super::yes")]
    pub required: bool,
    /// Asked only when each of these names (`setup.id` of an earlier step, or a parameter) has this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, String>,
}

/// One choice of a set-up step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConnectorSetupChoice)]
pub struct SetupChoice {
    /// What templates get.
    pub value: String,
    /// What people read.
    pub label: String,
}

impl SetupStep {
    /// The choices in the service's answer. Items without a value are passed over.
    pub fn choices(&self, answer: &Value) -> Vec<SetupChoice> {
        let items = match answer.pointer(&self.items) {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(item @ Value::Object(_)) => vec![item],
            _ => Vec::new(),
        };
        let choice = |item: &Value| {
            let value = text(item.pointer(&self.value)?).filter(|value| !value.is_empty())?;
            let label = self.label.as_deref().and_then(|pointer| text(item.pointer(pointer)?));
            Some(SetupChoice { label: label.unwrap_or_else(|| value.clone()), value })
        };
        items.into_iter().filter_map(choice).collect()
    }

    /// Whether the step is asked at all, given what was answered before.
    pub fn applies(&self, values: &Values<'_>) -> bool {
        self.when.iter().all(|(name, wanted)| values.get(name) == Some(wanted))
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "documents in tests read best by value")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_identity_is_read_from_the_answer() {
        let read = |name: &str, subject: &str| {
            let identity: Identity =
                serde_json::from_value(json!({"name": name, "subject": subject})).unwrap();
            let attributes = BTreeMap::from([("callback.realmId".to_owned(), "123".to_owned())]);
            let values = Values { attributes: Some(&attributes), ..Values::default() };
            identity.read(&json!({"email": " a@b.example\n", "id": 7, "list": []}), &values)
        };
        assert_eq!(read("/email", "/id"), (Some("a@b.example".to_owned()), Some("7".to_owned())));
        assert_eq!(read("/list", "{callback.realmId}"), (None, Some("123".to_owned())));
        assert_eq!(read("/none", "{callback.other}"), (None, None));
    }

    #[test]
    fn set_up_choices_are_read_from_the_answer() {
        let step = |value: Value| -> SetupStep { serde_json::from_value(value).unwrap() };
        let sites = step(json!({"id": "site", "operation": "GET /sites", "value": "/id", "label": "/name"}));
        let choices = sites.choices(&json!([{"id": "1", "name": "One"}, {"id": 2}, {"name": "x"}]));
        assert_eq!(choices.len(), 2);
        assert_eq!((choices[0].label.as_str(), choices[1].label.as_str()), ("One", "2"));
        let one = step(json!({"id": "dc", "operation": "GET /meta", "items": "/data", "value": "/dc"}));
        assert_eq!(one.choices(&json!({"data": {"dc": "us7"}}))[0].value, "us7");
        assert!(one.choices(&json!({"data": "us7"})).is_empty());
        let later = step(json!({"id": "x", "operation": "GET /x", "when": {"setup.dc": "us7"}}));
        let attributes = BTreeMap::from([("setup.dc".to_owned(), "us7".to_owned())]);
        assert!(later.applies(&Values { attributes: Some(&attributes), ..Values::default() }));
        assert!(!later.applies(&Values::default()) && one.applies(&Values::default()));
    }

    #[test]
    fn an_answer_is_as_expected() {
        let passed = |expect: Value, status: u16, body: Option<Value>| {
            let test: Test = serde_json::from_value(json!({"path": "/", "expect": expect})).unwrap();
            test.passed(status, body.as_ref())
        };
        assert!(passed(json!(null), 204, None) && !passed(json!(null), 401, None));
        assert!(passed(json!({"status": [404]}), 404, None) && !passed(json!({"status": [404]}), 200, None));
        let ok = json!({"pointer": "/ok", "equals": true});
        assert!(passed(ok.clone(), 200, Some(json!({"ok": true}))));
        assert!(!passed(ok.clone(), 200, Some(json!({"ok": false}))) && !passed(ok, 200, None));
        assert!(!passed(json!({"pointer": "/data"}), 200, Some(json!({"data": null}))));
    }
}

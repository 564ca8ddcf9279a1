//! The meaning of a document: what its form alone does not tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::auth::{Auth, TokenEndpoint};
use super::document::{Connector, Expect, IdentitySource, Parameter, Place, SetupStep};
use super::input;
use super::mail;
use super::modules::{BodyEncoding, Find, Module, Operation, Pagination};
use super::payment::{self, Payment, PaymentCall, WebhookSignature};
use super::placement::placements;
use super::read::at;
use super::target::{self, HostPattern};
use super::template::{Template, TemplateError, Values};
use crate::error::FieldError;
use crate::names;
use crate::payment::PaymentState;
use crate::words::Level;

/// What the call of a set-up step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupCall<'a> {
    /// A method and a path or URL, a template.
    Request { method: super::Method, path: &'a str },
    /// An operation of a module.
    Operation { module: &'a str, operation: &'a str },
}

impl SetupStep {
    /// What `operation` says.
    pub fn call(&self) -> Option<SetupCall<'_>> {
        if let Some((method, path)) = self.operation.split_once(' ') {
            Some(SetupCall::Request { method: super::Method::parse(method)?, path: path.trim_start() })
        } else {
            let (module, operation) = self.operation.split_once('.')?;
            Some(SetupCall::Operation { module, operation })
        }
    }
}

impl Connector {
    /// The link name, given or derived from the name.
    pub fn effective_link_name(&self) -> String {
        self.link_name.clone().unwrap_or_else(|| names::link_name_from(&self.name))
    }

    /// Whether the service is offered in a region.
    pub fn available_in(&self, region: &str) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|offered| offered == region)
    }

    /// The sentence for an organization in whose region the service is not offered.
    pub fn refusal_in(&self, region: &str) -> Option<String> {
        (!self.available_in(region)).then(|| {
            format!(
                "{} is offered in {} only; the organization's region is {region}.",
                self.name,
                self.regions.join(", ")
            )
        })
    }

    /// The values for `{region.…}`: of the region that a parameter picks, else of the organization's, else the row `default`.
    pub fn region_row(
        &self,
        parameters: &BTreeMap<String, String>,
        organization_region: &str,
    ) -> Option<&BTreeMap<String, String>> {
        let picked =
            self.region_parameter.as_ref().and_then(|name| parameters.get(name)).filter(|v| !v.is_empty());
        let region = picked.map_or(organization_region, String::as_str);
        self.region_values.get(region).or_else(|| self.region_values.get("default"))
    }

    /// The hosts that calls may go to, as templates: those listed, else the host of `base_url`.
    pub fn host_templates(&self) -> Vec<String> {
        if !self.hosts.is_empty() {
            return self.hosts.clone();
        }
        let rest = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        vec![rest.split(['/', '?']).next().unwrap_or_default().to_owned()]
    }

    /// The root of the API for these values.
    pub fn render_base_url(&self, values: &Values<'_>) -> Result<String, TemplateError> {
        Template::parse(&self.base_url)?.url(|name| values.get(name))
    }

    /// The hosts that calls may go to for these values, for [`target::host_allowed`].
    pub fn render_hosts(&self, values: &Values<'_>) -> Result<Vec<String>, TemplateError> {
        self.host_templates()
            .iter()
            .map(|host| Template::parse(host)?.host(|name| values.get(name)))
            .collect()
    }

    /// Whether a template without which nothing works has this name.
    pub(super) fn needs_name(&self, name: &str) -> bool {
        let braced = format!("{{{name}}}");
        self.needed_templates().iter().any(|template| template.contains(&braced))
    }

    /// The members of the token answer that a template names, as `account` in `{token.account}`. Asked when a token comes.
    pub fn token_members(&self) -> BTreeSet<String> {
        let text = self.to_json().to_string();
        let named = text.split("{token.").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
        named.filter(|name| is_word(name)).map(str::to_owned).collect()
    }

    fn needed_templates(&self) -> Vec<&str> {
        let mut all: Vec<&str> = vec![&self.base_url];
        all.extend(self.hosts.iter().map(String::as_str));
        match &self.auth {
            Auth::OAuth2Code(auth) => {
                all.push(&auth.authorize_url);
                all.extend(auth.par_url.as_deref());
                all.extend(auth.issuer.as_deref());
            }
            Auth::OAuth2DeviceCode(auth) => all.push(&auth.device_authorization_url),
            Auth::JwtBearer(auth) => {
                all.extend(auth.audience.as_deref());
            }
            Auth::OAuth1(auth) => {
                all.extend([auth.request_token_url.as_str(), &auth.authorize_url, &auth.access_token_url]);
                all.extend(auth.realm.as_deref());
            }
            Auth::OAuth2ClientCredentials(_) | Auth::ApiKey(_) | Auth::Basic(_) | Auth::None(_) => {}
        }
        if let Some(token) = self.auth.token_endpoint() {
            all.push(&token.token_url);
            all.extend(token.refresh_url.as_deref());
            all.extend(token.revoke_url.as_deref());
        }
        all
    }

    /// Names everything that is wrong with the meaning of the document.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check { connector: self, names: Names::of(self), errors: Vec::new() };
        check.document();
        if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
    }

    /// The same for a connector that somebody made himself: level `system` is Jackfield's own.
    pub fn validate_custom(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = self.validate().err().unwrap_or_default();
        if let Some(index) = self.levels.iter().position(|level| *level == Level::System) {
            errors.push(FieldError::new(
                format!("levels.{index}"),
                "not_allowed",
                "custom connectors support admin and user",
            ));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The names that templates may use.
struct Names {
    /// Parameters, and whether they are secret.
    parameters: BTreeMap<String, bool>,
    /// Names that every region has.
    region: BTreeSet<String>,
    callback: BTreeSet<String>,
    setup: BTreeSet<String>,
    token: bool,
}

impl Names {
    fn of(connector: &Connector) -> Self {
        let mut rows =
            connector.region_values.values().map(|row| row.keys().cloned().collect::<BTreeSet<_>>());
        let first = rows.next().unwrap_or_default();
        Self {
            parameters: input::effective_parameters(connector)
                .into_iter()
                .map(|p| (p.name, p.secret))
                .collect(),
            region: rows.fold(first, |common, row| common.intersection(&row).cloned().collect()),
            callback: connector.auth.callback_parameters().iter().cloned().collect(),
            setup: connector.setup.iter().map(|step| step.id.clone()).collect(),
            token: connector.auth.token_endpoint().is_some(),
        }
    }
}

/// What a template may use besides parameters and regions.
#[derive(Clone, Copy, Default)]
struct May<'a> {
    /// What is known only after authorization: `callback`, `token`.
    attributes: bool,
    /// `setup` of these steps.
    setup: Option<&'a [SetupStep]>,
    scopes: bool,
    secrets: bool,
    /// Names of the place itself, such as the fields of an operation.
    local: &'a [&'a str],
}

#[derive(Clone, Copy)]
enum Kind {
    Url,
    Path,
    Host,
    Text,
}

struct Check<'a> {
    connector: &'a Connector,
    names: Names,
    errors: Vec<FieldError>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, code, message));
    }

    fn document(&mut self) {
        let connector = self.connector;
        if let Err(message) = names::connector_name(&connector.name) {
            self.wrong("name", "invalid", message);
        }
        if let Some(Err(message)) = connector.link_name.as_deref().map(names::link_name) {
            self.wrong("link_name", "invalid", message);
        }
        if connector
            .category
            .as_ref()
            .is_some_and(|category| category.is_empty() || category.chars().count() > 50)
        {
            self.wrong("category", "invalid", "must have 1 to 50 characters");
        }
        if connector.documentation_url.as_deref().is_some_and(|url| !is_page(url)) {
            self.wrong("documentation_url", "invalid", "must be an http or https URL");
        }
        if let Some(registration) = &connector.registration {
            // People follow it to a page on which they make secrets.
            if registration.url.as_deref().is_some_and(|url| !(is_page(url) && url.starts_with("https://"))) {
                self.wrong("registration.url", "invalid", "must be an https URL");
            }
            if registration.url.is_none() && registration.help.is_none() {
                self.wrong("registration.url", "required", "must say where, or help must");
            }
        }
        if connector.logo.as_deref().is_some_and(|logo| !is_logo(logo)) {
            self.wrong(
                "logo",
                "invalid",
                "must be an https URL or a data:image/…;base64, URL (PNG, JPEG, WebP, SVG)",
            );
        }
        for (index, source) in connector.sources.iter().enumerate() {
            if !is_page(source) {
                self.wrong(format!("sources.{index}"), "invalid", "must be an http or https URL");
            }
        }
        if connector.levels.is_empty() {
            self.wrong("levels", "required", "must name at least one level");
        }
        self.unique("levels", connector.levels.iter().map(|level| level.as_str()));
        self.regions();
        self.parameters();
        self.hosts();
        self.scopes();
        self.auth();
        self.placements();
        self.calls();
        for (name, module) in &connector.modules {
            self.module(&at("modules", name), name, module);
        }
        if let Some(payment) = &connector.payment {
            self.payment(payment);
        }
    }

    fn unique<'n>(&mut self, field: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.wrong(format!("{field}.{index}"), "duplicate", "stands twice in the list");
            }
        }
    }

    fn regions(&mut self) {
        let connector = self.connector;
        let is_region = |name: &str| {
            (1..=32).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        };
        for (index, region) in connector.regions.iter().enumerate() {
            if !is_region(region) {
                self.wrong(
                    format!("regions.{index}"),
                    "invalid",
                    "must have 1 to 32 of the characters a-z, 0-9, _ and -",
                );
            }
        }
        self.unique("regions", connector.regions.iter().map(String::as_str));
        for (region, row) in &connector.region_values {
            if !is_region(region) {
                self.wrong(
                    at("region_values", region),
                    "invalid",
                    "must have 1 to 32 of the characters a-z, 0-9, _ and -",
                );
            }
            for (name, value) in row {
                if !is_word(name) {
                    self.wrong(
                        at(&at("region_values", region), name),
                        "invalid",
                        "has a name that templates cannot use",
                    );
                } else if value.is_empty() || value.chars().any(|c| c.is_control() || c.is_whitespace()) {
                    self.wrong(
                        at(&at("region_values", region), name),
                        "invalid",
                        "must not be empty or have blanks",
                    );
                }
            }
        }
        if connector.region_values.is_empty() || connector.region_values.contains_key("default") {
            if connector.region_values.is_empty() && connector.region_parameter.is_some() {
                self.wrong("region_parameter", "invalid", "needs region_values");
            }
        } else {
            for (index, region) in connector.regions.iter().enumerate() {
                if !connector.region_values.contains_key(region) {
                    self.wrong(
                        format!("regions.{index}"),
                        "invalid",
                        "has no row in region_values, and there is no row default",
                    );
                }
            }
        }
        let Some(name) = &connector.region_parameter else {
            if connector.regions.is_empty()
                && !connector.region_values.is_empty()
                && !connector.region_values.contains_key("default")
            {
                self.wrong("region_values", "required", "needs a row default when regions are not listed");
            }
            return;
        };
        match connector.parameters.iter().find(|parameter| parameter.name == *name) {
            None => self.wrong("region_parameter", "unknown", "is not the name of a parameter"),
            Some(parameter) => {
                let rows = &connector.region_values;
                let fits = !parameter.choices.is_empty()
                    && parameter.choices.iter().all(|choice| rows.contains_key(&choice.value));
                if !fits && !rows.contains_key("default") {
                    self.wrong(
                        "region_parameter",
                        "invalid",
                        "must be a parameter whose choices are all rows of region_values",
                    );
                }
            }
        }
    }

    fn parameters(&mut self) {
        let connector = self.connector;
        self.unique("parameters", connector.parameters.iter().map(|parameter| parameter.name.as_str()));
        for (index, parameter) in connector.parameters.iter().enumerate() {
            let field = format!("parameters.{index}");
            if !is_word(&parameter.name) {
                self.wrong(at(&field, "name"), "invalid", "must have 1 to 64 letters, digits, _ or -");
            }
            if parameter.name == "scopes" {
                self.wrong(at(&field, "name"), "not_allowed", "{scopes} stands for the chosen scopes");
            }
            self.pattern(&at(&field, "pattern"), parameter.pattern.as_deref());
            self.unique(&at(&field, "choices"), parameter.choices.iter().map(|choice| choice.value.as_str()));
            self.default(&field, parameter);
            self.prefix(&at(&field, "prefix"), parameter.prefix.as_deref());
            let needed = connector.needs_name(&parameter.name);
            if parameter.required == Some(false) && parameter.default.is_none() && needed {
                self.wrong(
                    at(&field, "required"),
                    "invalid",
                    "a template needs it: it is required, or has a default",
                );
            }
        }
    }

    fn default(&mut self, field: &str, parameter: &Parameter) {
        let Some(default) = &parameter.default else { return };
        let field = at(field, "default");
        if parameter.secret {
            self.wrong(field, "not_allowed", "a secret has no default");
        } else if !parameter.choices.is_empty()
            && !parameter.choices.iter().any(|choice| choice.value == *default)
        {
            self.wrong(field, "invalid", "is not one of the choices");
        } else if parameter
            .pattern
            .as_deref()
            .and_then(input::compile)
            .is_some_and(|regex| !regex.is_match(default))
        {
            self.wrong(field, "invalid", "does not match the pattern");
        }
    }

    fn pattern(&mut self, field: &str, pattern: Option<&str>) {
        if pattern.is_some_and(|pattern| input::compile(pattern).is_none()) {
            self.wrong(field, "invalid", "is not a regular expression");
        }
    }

    fn prefix(&mut self, field: &str, prefix: Option<&str>) {
        if prefix.is_some_and(|prefix| prefix.chars().any(char::is_control)) {
            self.wrong(field, "invalid", "must not contain control characters or line breaks");
        }
    }

    fn hosts(&mut self) {
        let connector = self.connector;
        let may = May { attributes: true, setup: Some(&connector.setup), ..May::default() };
        self.template("base_url", &connector.base_url, Kind::Url, may);
        if connector.base_url.contains('?') {
            self.wrong("base_url", "invalid", "must not have a query; `query` adds parameters to every call");
        }
        for (index, host) in connector.hosts.iter().enumerate() {
            self.template(&format!("hosts.{index}"), host, Kind::Host, May::default());
        }
        self.unique("hosts", connector.hosts.iter().map(String::as_str));
        let Ok(base) = Template::parse(&connector.base_url) else { return };
        let in_host = base.names_in_host();
        if connector.hosts.is_empty() {
            if in_host.iter().any(|name| name.contains('.') && !name.starts_with("region.")) {
                self.wrong(
                    "hosts",
                    "required",
                    "must be listed, since the host of base_url comes from the service's answer",
                );
            }
        } else if in_host.is_empty()
            && connector.auth.token_endpoint().is_none_or(|token| token.base_url_from.is_none())
            && connector.hosts.iter().all(|host| HostPattern::parse(host).is_ok())
            && target::parse(&connector.base_url).is_ok_and(|base| !base.allowed_by(&connector.hosts))
        {
            self.wrong("hosts", "invalid", "must allow the host of base_url");
        }
    }

    fn scopes(&mut self) {
        let connector = self.connector;
        for (index, scope) in connector.scopes.iter().enumerate() {
            if let Err(message) = input::scope_form(&scope.name, connector.auth.scope_delimiter()) {
                self.wrong(format!("scopes.{index}.name"), "invalid", message);
            }
        }
        self.unique("scopes", connector.scopes.iter().map(|scope| scope.name.as_str()));
    }

    fn auth(&mut self) {
        let connector = self.connector;
        if let Some(token) = connector.auth.token_endpoint() {
            self.token_endpoint(token);
        }
        let before = May { scopes: true, ..May::default() };
        match &connector.auth {
            Auth::OAuth2Code(auth) => {
                self.template("auth.authorize_url", &auth.authorize_url, Kind::Url, May::default());
                self.optional_url("auth.par_url", auth.par_url.as_deref(), May::default());
                self.optional_url("auth.issuer", auth.issuer.as_deref(), May::default());
                self.texts("auth.authorize_parameters", &auth.authorize_parameters, before);
                self.callback(&auth.callback_parameters);
                if auth.response_type.is_empty() || auth.response_type.chars().any(char::is_control) {
                    self.wrong("auth.response_type", "invalid", "must not be empty");
                }
            }
            Auth::OAuth2DeviceCode(auth) => {
                self.template(
                    "auth.device_authorization_url",
                    &auth.device_authorization_url,
                    Kind::Url,
                    May::default(),
                );
            }
            Auth::OAuth2ClientCredentials(_) | Auth::Basic(_) | Auth::None(_) => {}
            Auth::JwtBearer(auth) => {
                let may = May { scopes: true, secrets: true, ..May::default() };
                if let Some(audience) = &auth.audience {
                    self.template("auth.audience", audience, Kind::Text, may);
                }
                for (name, claim) in &auth.claims {
                    if let Value::String(text) = claim {
                        self.template(&at("auth.claims", name), text, Kind::Text, may);
                    }
                }
            }
            Auth::OAuth1(auth) => {
                self.template("auth.request_token_url", &auth.request_token_url, Kind::Url, May::default());
                self.template("auth.authorize_url", &auth.authorize_url, Kind::Url, May::default());
                let after = May { attributes: true, ..May::default() };
                self.template("auth.access_token_url", &auth.access_token_url, Kind::Url, after);
                if let Some(realm) = &auth.realm {
                    self.template(
                        "auth.realm",
                        realm,
                        Kind::Text,
                        May { attributes: true, ..May::default() },
                    );
                }
                self.texts("auth.request_token_parameters", &auth.request_token_parameters, before);
                self.texts("auth.authorize_parameters", &auth.authorize_parameters, before);
                self.delimiter(&auth.scope_delimiter);
                self.callback(&auth.callback_parameters);
            }
            Auth::ApiKey(auth) => {
                if auth.fields.is_empty() {
                    self.wrong("auth.fields", "required", "must have at least one field");
                }
                self.unique("auth.fields", auth.fields.iter().map(|field| field.name.as_str()));
                for (index, field) in auth.fields.iter().enumerate() {
                    let path = format!("auth.fields.{index}");
                    if !is_word(&field.name) {
                        self.wrong(at(&path, "name"), "invalid", "must have 1 to 64 letters, digits, _ or -");
                    }
                    self.pattern(&at(&path, "pattern"), field.pattern.as_deref());
                    self.prefix(&at(&path, "prefix"), field.prefix.as_deref());
                }
            }
        }
        if let Auth::Basic(auth) = &connector.auth {
            for (path, half) in [("auth.username", &auth.username), ("auth.password", &auth.password)] {
                self.pattern(&at(path, "pattern"), half.pattern.as_deref());
                self.prefix(&at(path, "fixed"), half.fixed.as_deref());
            }
            if auth.username.fixed.is_some() && auth.password.fixed.is_some() {
                self.wrong(
                    "auth",
                    "invalid",
                    "nothing would be asked: user name and password are both fixed",
                );
            }
            if auth.username.fixed.as_deref().is_some_and(|name| name.contains(':')) {
                self.wrong("auth.username.fixed", "invalid", "must not contain a colon");
            }
        }
    }

    fn token_endpoint(&mut self, token: &TokenEndpoint) {
        let after = May { attributes: true, ..May::default() };
        self.template("auth.token_url", &token.token_url, Kind::Url, after);
        self.optional_url("auth.refresh_url", token.refresh_url.as_deref(), after);
        self.optional_url("auth.revoke_url", token.revoke_url.as_deref(), after);
        let may = May { attributes: true, scopes: true, secrets: true, ..May::default() };
        self.texts("auth.token_parameters", &token.token_parameters, may);
        self.texts("auth.refresh_parameters", &token.refresh_parameters, may);
        self.headers("auth.token_headers", &token.token_headers, May { attributes: true, ..May::default() });
        for (field, name) in [
            ("auth.client_id_name", &token.client_id_name),
            ("auth.client_secret_name", &token.client_secret_name),
            ("auth.scope_parameter", &token.scope_parameter),
        ] {
            if !is_parameter(name) {
                self.wrong(field, "invalid", "must be the name of a parameter");
            }
        }
        self.delimiter(&token.scope_delimiter);
        self.pointer("auth.token_at", token.token_at.as_deref());
        self.pointer("auth.base_url_from", token.base_url_from.as_deref());
        if token.expires_in == Some(0) {
            self.wrong("auth.expires_in", "invalid", "must be at least 1 second");
        }
        if let Some(place) = &token.place {
            self.prefix("auth.place.prefix", place.prefix.as_deref());
        }
    }

    fn optional_url(&mut self, field: &str, url: Option<&str>, may: May<'_>) {
        if let Some(url) = url {
            self.template(field, url, Kind::Url, may);
        }
    }

    fn delimiter(&mut self, delimiter: &str) {
        if !(1..=4).contains(&delimiter.len()) || delimiter.chars().any(char::is_control) {
            self.wrong("auth.scope_delimiter", "invalid", "must have 1 to 4 characters");
        }
    }

    fn callback(&mut self, names: &[String]) {
        self.unique("auth.callback_parameters", names.iter().map(String::as_str));
        for (index, name) in names.iter().enumerate() {
            if !is_word(name) {
                self.wrong(
                    format!("auth.callback_parameters.{index}"),
                    "invalid",
                    "must have 1 to 64 letters, digits, _ or -",
                );
            } else if matches!(name.as_str(), "code" | "state" | "oauth_token" | "oauth_verifier") {
                self.wrong(
                    format!("auth.callback_parameters.{index}"),
                    "not_allowed",
                    "is part of the flow itself, and secret",
                );
            }
        }
    }

    /// Two values at one place would overwrite each other, and some headers belong to the connection itself.
    fn placements(&mut self) {
        let mut seen = BTreeSet::new();
        for placement in placements(self.connector) {
            let field = match &placement.source {
                super::Source::Credential(name) => format!("auth.fields.{name}"),
                super::Source::Parameter(name) => format!("parameters.{name}"),
                _ => "auth.place.name".to_owned(),
            };
            let key = if placement.place == Place::Header {
                placement.name.to_ascii_lowercase()
            } else {
                placement.name.clone()
            };
            match placement.place {
                Place::Header => {
                    if let Err(message) = header_name(&placement.name) {
                        self.wrong(field.clone(), "invalid", message);
                    }
                }
                Place::Cookie if !is_token(&placement.name) => {
                    self.wrong(field.clone(), "invalid", "has a name that a cookie cannot have");
                }
                Place::Query | Place::Body | Place::Cookie => {
                    if !is_parameter(&placement.name) {
                        self.wrong(field.clone(), "invalid", "must have a name on the wire");
                    }
                }
            }
            if !seen.insert((format!("{:?}", placement.place), key)) {
                self.wrong(field, "duplicate", "goes to the same place as another value");
            }
        }
    }

    fn calls(&mut self) {
        let connector = self.connector;
        let all = May { attributes: true, setup: Some(&connector.setup), ..May::default() };
        self.headers("headers", &connector.headers, all);
        for name in connector.headers.keys() {
            if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("cookie") {
                self.wrong(
                    at("headers", name),
                    "not_allowed",
                    "a credential is described by `auth`, or by a parameter with `in`",
                );
            }
        }
        self.texts("query", &connector.query, all);
        if let Some(identity) = &connector.identity {
            match (&identity.url, identity.from) {
                (Some(url), IdentitySource::Call) => self.template("identity.url", url, Kind::Path, all),
                (None, IdentitySource::Call) => self.wrong("identity.url", "required", "is missing"),
                (Some(_), _) => {
                    self.wrong(
                        "identity.url",
                        "not_allowed",
                        "nothing is called, since `from` is not `call`",
                    );
                }
                (None, _) if !self.names.token => {
                    self.wrong("identity.from", "invalid", "there is no token answer in this scheme");
                }
                (None, _) => {}
            }
            for (field, place) in [("identity.name", &identity.name), ("identity.subject", &identity.subject)]
            {
                match place {
                    Some(text) if text.contains('{') => self.template(field, text, Kind::Text, all),
                    place => self.pointer(field, place.as_deref()),
                }
            }
            if identity.name.is_none() && identity.subject.is_none() {
                self.wrong("identity", "required", "needs name or subject");
            }
        }
        if let Some(test) = &connector.test {
            self.template("test.path", &test.path, Kind::Path, all);
            self.expect("test.expect", test.expect.as_ref());
        }
        self.setup();
    }

    fn expect(&mut self, path: &str, expect: Option<&Expect>) {
        let Some(expect) = expect else { return };
        self.pointer(&at(path, "pointer"), expect.pointer.as_deref());
        if expect.equals.is_some() && expect.pointer.is_none() {
            self.wrong(at(path, "pointer"), "required", "is needed beside equals");
        }
        for (index, status) in expect.status.iter().enumerate() {
            if !(100..=599).contains(status) {
                self.wrong(format!("{path}.status.{index}"), "invalid", "must be from 100 to 599");
            }
        }
    }

    fn setup(&mut self) {
        let connector = self.connector;
        self.unique("setup", connector.setup.iter().map(|step| step.id.as_str()));
        for (index, step) in connector.setup.iter().enumerate() {
            let field = format!("setup.{index}");
            let earlier = connector.setup.get(..index).unwrap_or_default();
            if names::link_name(&step.id).is_err() {
                self.wrong(at(&field, "id"), "invalid", "must have 1 to 64 of the characters a-z, 0-9 and _");
            }
            match step.call() {
                Some(SetupCall::Request { path, .. }) => {
                    let may = May { attributes: true, setup: Some(earlier), ..May::default() };
                    self.template(&at(&field, "operation"), path, Kind::Path, may);
                }
                Some(SetupCall::Operation { module, operation }) => {
                    if connector
                        .modules
                        .get(module)
                        .is_none_or(|module| !module.operations.contains_key(operation))
                    {
                        self.wrong(at(&field, "operation"), "unknown", "is not an operation of a module");
                    }
                }
                None => self.wrong(
                    at(&field, "operation"),
                    "invalid",
                    "must be a method and a path, as GET /sites, or module.operation",
                ),
            }
            self.pointer(&at(&field, "items"), Some(&step.items));
            self.pointer(&at(&field, "value"), Some(&step.value));
            self.pointer(&at(&field, "label"), step.label.as_deref());
            for name in step.when.keys() {
                let known = match name.split_once('.') {
                    Some(("setup", id)) => earlier.iter().any(|step| step.id == id),
                    Some(_) => false,
                    None => self.names.parameters.get(name) == Some(&false),
                };
                if !known {
                    self.wrong(
                        at(&at(&field, "when"), name),
                        "unknown",
                        "is neither a parameter nor setup.id of an earlier step",
                    );
                }
            }
        }
    }

    fn module(&mut self, path: &str, name: &str, module: &'a Module) {
        if names::link_name(name).is_err() {
            self.wrong(path, "invalid", "must have 1 to 64 of the characters a-z, 0-9 and _");
        }
        self.fields(&at(path, "fields"), &module.fields);
        for (name, operation) in &module.operations {
            let path = at(&at(path, "operations"), name);
            if names::link_name(name).is_err() {
                self.wrong(&path, "invalid", "must have 1 to 64 of the characters a-z, 0-9 and _");
            }
            self.operation(&path, module, operation);
        }
    }

    fn fields(&mut self, path: &str, fields: &[super::Field]) {
        self.unique(path, fields.iter().map(|field| field.name.as_str()));
        for (index, field) in fields.iter().enumerate() {
            let path = format!("{path}.{index}");
            if !is_parameter(&field.name) {
                self.wrong(at(&path, "name"), "invalid", "must not be empty or have control characters");
            }
            self.pointer(&at(&path, "at"), field.at.as_deref());
            self.unique(&at(&path, "choices"), field.choices.iter().map(|choice| choice.value.as_str()));
        }
    }

    fn operation(&mut self, path: &str, module: &Module, operation: &Operation) {
        self.fields(&at(path, "fields"), &operation.fields);
        let own = if operation.fields.is_empty() { &module.fields } else { &operation.fields };
        let mut local: Vec<&str> = own.iter().map(|field| field.name.as_str()).collect();
        if operation.pagination.is_some() {
            local.extend(["page.number", "page.offset", "page.size", "page.cursor"]);
        }
        let all =
            May { attributes: true, setup: Some(&self.connector.setup), local: &local, ..May::default() };
        self.template(&at(path, "path"), &operation.path, Kind::Path, all);
        self.texts(&at(path, "query"), &operation.query, all);
        self.headers(&at(path, "headers"), &operation.headers, all);
        for (name, pointer) in [
            ("body_at", Some(operation.body_at.as_str())),
            ("result", operation.result.as_deref()),
            ("error", operation.error.as_deref()),
            ("items", operation.items.as_deref()),
        ] {
            self.pointer(&at(path, name), pointer);
        }
        self.expect(&at(path, "expect"), operation.expect.as_ref());
        if let Some(idempotency) = &operation.idempotency {
            let field = at(path, "idempotency.name");
            if idempotency.place == Place::Header {
                if let Err(message) = header_name(&idempotency.name) {
                    self.wrong(field, "invalid", message);
                }
            } else if !is_parameter(&idempotency.name) {
                self.wrong(field, "invalid", "must be the name of a parameter");
            }
        }
        self.one_field(path, module, operation);
        self.mail(path, module, operation);
        if let Some(find) = &operation.find {
            self.find(&at(path, "find"), module, &local, find);
        }
        if let Some(pagination) = &operation.pagination {
            if operation.items.is_none() {
                self.wrong(at(path, "items"), "required", "is needed beside pagination");
            }
            self.pagination(&at(path, "pagination"), pagination);
        }
    }

    /// A body that is one field has one, and nothing else that would have to go into it.
    fn one_field(&mut self, path: &str, module: &Module, operation: &Operation) {
        if !operation.body_encoding.is_one_field() {
            return;
        }
        let all = module.fields_of(operation);
        let count =
            all.iter().filter(|field| Module::place_of(operation, field) == Some(Place::Body)).count();
        if count != 1 {
            self.wrong(
                at(path, "fields"),
                "invalid",
                format!("must have exactly one field for the body when body_encoding is {}; say `in` of the others", operation.body_encoding.as_str()),
            );
        }
        let in_body = operation.idempotency.as_ref().is_some_and(|key| key.place == Place::Body);
        if operation.body.is_some() || !operation.body_at.is_empty() || in_body {
            let message = format!("has no place when body_encoding is {}", operation.body_encoding.as_str());
            self.wrong(at(path, "body"), "invalid", message);
        }
    }

    /// An e-mail has fields of its own, and nothing else can stand in it.
    fn mail(&mut self, path: &str, module: &Module, operation: &Operation) {
        if operation.body_encoding != BodyEncoding::Mail {
            return;
        }
        for field in module.fields_of(operation) {
            let in_body = Module::place_of(operation, field) == Some(Place::Body);
            if in_body && (!mail::knows(&field.name) || field.at.is_some()) {
                let message = format!(
                    "has {:?}, which an e-mail has no place for: name it {}, without `at`",
                    field.name,
                    mail::names()
                );
                self.wrong(at(path, "fields"), "invalid", message);
            }
        }
        let key_in_body = operation.idempotency.as_ref().is_some_and(|key| key.place == Place::Body);
        if operation.body.is_some() || !operation.body_at.is_empty() || key_in_body {
            self.wrong(at(path, "body"), "invalid", "has no place when body_encoding is mail");
        }
    }

    fn find(&mut self, path: &str, module: &Module, fields: &[&str], find: &Find) {
        match module.operations.get(&find.operation) {
            None => self.wrong(at(path, "operation"), "unknown", "must be another operation of the module"),
            Some(list) if list.items.is_none() => {
                self.wrong(at(path, "operation"), "invalid", "must be a list operation");
            }
            Some(_) => {}
        }
        let local = May { local: fields, ..May::default() };
        self.texts(&at(path, "with"), &find.with, local);
        if find.same.is_empty() {
            self.wrong(at(path, "same"), "required", "must say what has to be the same");
        }
        for (pointer, field) in &find.same {
            self.pointer(&at(path, "same"), Some(pointer));
            if !fields.contains(&field.as_str()) {
                self.wrong(
                    at(&at(path, "same"), pointer),
                    "unknown",
                    "must lead to a field of the operation",
                );
            }
        }
        self.pointer(&at(path, "id"), Some(&find.id));
    }

    fn pagination(&mut self, path: &str, pagination: &Pagination) {
        let (name, size, page_size, pointers) = match pagination {
            Pagination::Page { page, size, page_size, more, .. } => {
                (page.as_ref(), size.as_ref(), *page_size, vec![("more", more.as_ref())])
            }
            Pagination::Offset { offset, size, page_size, more, .. } => {
                (offset.as_ref(), size.as_ref(), *page_size, vec![("more", more.as_ref())])
            }
            Pagination::Cursor { cursor, next, last, size, page_size, more } => {
                if next.is_some() == last.is_some() {
                    self.wrong(at(path, "next"), "required", "either next or last says where the mark is");
                }
                let pointers =
                    vec![("next", next.as_ref()), ("last", last.as_ref()), ("more", more.as_ref())];
                (cursor.as_ref(), size.as_ref(), *page_size, pointers)
            }
            Pagination::NextUrl { next } => (None, None, 1, vec![("next", Some(next))]),
            Pagination::LinkHeader { size, page_size } => (None, size.as_ref(), *page_size, Vec::new()),
        };
        if matches!(pagination, Pagination::Cursor { .. }) {
            let pointer = name.filter(|name| name.starts_with('/'));
            self.pointer(&at(path, "cursor"), pointer.map(String::as_str));
        }
        if name.is_some_and(|name| !is_parameter(name)) || size.is_some_and(|name| !is_parameter(name)) {
            self.wrong(path, "invalid", "has an empty name of a parameter");
        }
        if page_size == 0 {
            self.wrong(at(path, "page_size"), "invalid", "must be at least 1");
        }
        for (name, pointer) in pointers {
            self.pointer(&at(path, name), pointer.map(String::as_str));
        }
    }

    fn payment(&mut self, payment: &Payment) {
        let connector = self.connector;
        if payment.checkout_hosts.is_empty() {
            self.wrong("payment.checkout_hosts", "required", "must name the hosts of the checkout page");
        }
        for (index, host) in payment.checkout_hosts.iter().enumerate() {
            self.template(&format!("payment.checkout_hosts.{index}"), host, Kind::Host, May::default());
        }
        let currencies =
            payment.currencies.iter().chain(payment.exponents.keys()).chain(payment.multiples.keys());
        for currency in currencies.filter(|currency| !crate::money::is_currency(currency)) {
            self.wrong("payment.currencies", "invalid", format!("{currency:?} is not a code such as EUR"));
        }
        if payment.exponents.values().any(|places| *places > 4)
            || payment.multiples.values().any(|step| *step == 0)
        {
            self.wrong("payment", "invalid", "has places after the point above 4, or steps of 0");
        }
        let calls = [
            ("create", Some(&payment.create)),
            ("read", Some(&payment.read)),
            ("capture", payment.capture.as_ref()),
            ("expire", payment.expire.as_ref()),
        ];
        for (name, call) in calls {
            if let Some(call) = call {
                self.payment_call(&at("payment", name), call);
            }
        }
        if let Some((_, create)) = payment.create.operation(connector) {
            if create.result.is_none() {
                self.wrong(
                    "payment.create.operation",
                    "invalid",
                    "must be an operation whose `result` leads to the id",
                );
            }
            if create.repeat() == super::Repeat::Doubtful {
                let message =
                    "must be an operation with `idempotency` or `find`: nobody may be asked to pay twice";
                self.wrong("payment.create.operation", "invalid", message);
            }
        }
        // A checkout that stays open after its run is over would take money that nobody waits for.
        if payment.expiry.is_none() && payment.expire.is_none() && payment.capture.is_none() {
            let message = "needs expiry, expire or capture, so that nobody pays what nobody waits for";
            self.wrong("payment", "required", message);
        }
        if payment
            .expiry
            .is_some_and(|expiry| expiry.min_minutes > expiry.max_minutes || expiry.max_minutes == 0)
        {
            self.wrong("payment.expiry", "invalid", "has more minutes at least than at most");
        }
        for (name, pointer) in [
            ("url", Some(&payment.url)),
            ("amount", Some(&payment.amount)),
            ("currency", Some(&payment.currency)),
            ("paid_amount", payment.paid_amount.as_ref()),
            ("paid_currency", payment.paid_currency.as_ref()),
        ] {
            self.pointer(&at("payment", name), pointer.map(String::as_str));
        }
        for (index, rule) in payment.states.iter().enumerate() {
            let path = format!("payment.states.{index}");
            if rule.when.is_empty() {
                self.wrong(at(&path, "when"), "required", "must say when");
            }
            for pointer in rule.when.keys() {
                self.pointer(&at(&path, "when"), Some(pointer));
            }
            if rule.state == PaymentState::Creating {
                self.wrong(at(&path, "state"), "not_allowed", "is ours alone");
            }
            if rule.state == PaymentState::Approved && payment.capture.is_none() {
                self.wrong(at(&path, "state"), "invalid", "needs capture");
            }
        }
        if !payment.states.iter().any(|rule| rule.state == PaymentState::Paid) {
            self.wrong("payment.states", "required", "must say when it is paid");
        }
        if let Some(webhook) = &payment.webhook {
            if webhook.checkout.is_empty() {
                self.wrong(
                    "payment.webhook.checkout",
                    "required",
                    "must say where the id of the checkout stands",
                );
            }
            for pointer in &webhook.checkout {
                self.pointer("payment.webhook.checkout", Some(pointer));
            }
            self.signature(&webhook.signature);
        }
    }

    fn signature(&mut self, signature: &WebhookSignature) {
        let path = "payment.webhook.signature";
        match signature {
            WebhookSignature::None => {}
            WebhookSignature::Hmac { header, secret }
            | WebhookSignature::TimestampedHmac { header, secret, .. } => {
                if !is_token(header) {
                    self.wrong(at(path, "header"), "invalid", "must be the name of a header");
                }
                if self.names.parameters.get(secret) != Some(&true) {
                    self.wrong(at(path, "secret"), "unknown", "must be the name of a secret parameter");
                }
            }
            WebhookSignature::Ask { operation, fields, event } => {
                let call = PaymentCall { operation: operation.clone(), fields: BTreeMap::new() };
                match call.operation(self.connector) {
                    None => self.wrong(at(path, "operation"), "unknown", "is not an operation of a module"),
                    Some((module, operation)) => {
                        let all = module.fields_of(operation);
                        for name in fields.keys().filter(|name| !all.iter().any(|field| field.name == **name))
                        {
                            self.wrong(
                                at(&at(path, "with"), name),
                                "unknown",
                                "is not a field of the operation",
                            );
                        }
                        if operation.expect.is_none() {
                            self.wrong(
                                at(path, "operation"),
                                "invalid",
                                "must say by `expect` what a confirmation is",
                            );
                        }
                    }
                }
                if !is_parameter(event) {
                    self.wrong(at(path, "event"), "invalid", "must be the name of a member");
                }
                for (name, text) in fields {
                    let path = at(&at(path, "with"), name);
                    let names: Vec<String> = Template::parse(text)
                        .map(|template| template.names().map(str::to_owned).collect())
                        .unwrap_or_default();
                    let headers: Vec<&str> =
                        names.iter().map(String::as_str).filter(|name| name.starts_with("header.")).collect();
                    self.template(&path, text, Kind::Text, May { local: &headers, ..May::default() });
                }
            }
        }
    }

    fn payment_call(&mut self, path: &str, call: &PaymentCall) {
        let Some((module, operation)) = call.operation(self.connector) else {
            return self.wrong(at(path, "operation"), "unknown", "is not an operation of a module");
        };
        let fields = module.fields_of(operation);
        for field in fields.iter().filter(|field| field.required && !call.fields.contains_key(&field.name)) {
            self.wrong(at(&at(path, "with"), &field.name), "required", "is required by the operation");
        }
        for name in call.fields.keys().filter(|name| !fields.iter().any(|field| field.name == **name)) {
            self.wrong(at(&at(path, "with"), name), "unknown", "is not a field of the operation");
        }
        let may = May {
            attributes: true,
            setup: Some(&self.connector.setup),
            local: &payment::NAMES,
            ..May::default()
        };
        self.texts(&at(path, "with"), &call.fields, may);
    }

    fn texts(&mut self, path: &str, texts: &BTreeMap<String, String>, may: May<'_>) {
        for (name, text) in texts {
            if !is_parameter(name) {
                self.wrong(at(path, name), "invalid", "must be the name of a parameter");
            }
            self.template(&at(path, name), text, Kind::Text, may);
        }
    }

    fn headers(&mut self, path: &str, headers: &BTreeMap<String, String>, may: May<'_>) {
        for (name, text) in headers {
            if let Err(message) = header_name(name) {
                self.wrong(at(path, name), "invalid", message);
            }
            self.template(&at(path, name), text, Kind::Text, may);
        }
    }

    fn pointer(&mut self, field: &str, pointer: Option<&str>) {
        if pointer.is_some_and(|pointer| !is_pointer(pointer)) {
            self.wrong(field, "invalid", "must be a JSON pointer, such as /data/0/id");
        }
    }

    fn template(&mut self, field: &str, text: &str, kind: Kind, may: May<'_>) {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => return self.wrong(field, "invalid", error.to_string()),
        };
        let result = match kind {
            Kind::Url => template.check_url().map(drop),
            Kind::Path => template.check_path(),
            Kind::Host => template.check_host(),
            Kind::Text if text.chars().any(char::is_control) => {
                Err(TemplateError::Result("must not contain control characters or line breaks"))
            }
            Kind::Text => Ok(()),
        };
        if let Err(error) = result {
            self.wrong(field, "invalid", error.to_string());
        }
        if matches!(kind, Kind::Path) && template.is_absolute() && !self.reaches(&template) {
            self.wrong(field, "not_allowed", "goes to a host that `hosts` does not list");
        }
        let names: BTreeSet<&str> = template.names().collect();
        for name in names {
            if let Err((code, message)) = self.name(name, may) {
                self.wrong(field, code, format!("{{{name}}} {message}"));
            }
        }
    }

    /// Whether `hosts` allow an absolute URL of the document's own calls; unknown values are given the benefit of the doubt.
    fn reaches(&self, template: &Template) -> bool {
        let hosts = self.connector.host_templates();
        if !template.names_in_host().is_empty() || hosts.iter().any(|host| host.contains('{')) {
            return true;
        }
        template.check_url().is_ok_and(|url| url.allowed_by(&hosts))
    }

    fn name(&self, name: &str, may: May<'_>) -> Result<(), (&'static str, &'static str)> {
        let not_yet = ("not_allowed", "is not known yet where this is used");
        if may.local.contains(&name) {
            return Ok(());
        }
        match name.split_once('.') {
            None if name == "scopes" && may.scopes => Ok(()),
            None => match self.names.parameters.get(name) {
                None => Err(("unknown", "is not the name of a parameter")),
                Some(true) if !may.secrets => {
                    Err(("not_allowed", "is secret and would show in logs; give the parameter `in` instead"))
                }
                Some(_) => Ok(()),
            },
            Some(("region", key)) if self.names.region.contains(key) => Ok(()),
            Some(("region", _)) => Err(("unknown", "is not in every row of region_values")),
            Some(("callback", key)) if !self.names.callback.contains(key) => {
                Err(("unknown", "is not in auth.callback_parameters"))
            }
            Some(("token", _)) if !self.names.token => {
                Err(("unknown", "has no meaning: there is no token answer in this scheme"))
            }
            // What a token answer holds besides the secrets.
            Some(("token", "access_token" | "refresh_token" | "id_token")) => {
                Err(("not_allowed", "is secret"))
            }
            Some(("callback" | "token", _)) if may.attributes => Ok(()),
            Some(("setup", key)) if !self.names.setup.contains(key) => {
                Err(("unknown", "is not the id of a step in setup"))
            }
            Some(("setup", key))
                if may.setup.is_some_and(|steps| steps.iter().any(|step| step.id == key)) =>
            {
                Ok(())
            }
            Some(("callback" | "token" | "setup", _)) => Err(not_yet),
            Some(_) => Err(("unknown", "must start with region, callback, token or setup")),
        }
    }
}

fn is_page(url: &str) -> bool {
    target::has_web_scheme(url)
        && !url.chars().any(|c| c.is_control() || c.is_whitespace())
        && url::Url::parse(url).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
}

fn is_logo(logo: &str) -> bool {
    let data = logo.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((kind, data)) => {
            matches!(kind, "png" | "jpeg" | "webp" | "svg+xml")
                && !data.is_empty()
                && data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        }
        None => logo.starts_with("https://") && is_page(logo),
    }
}

/// What can stand between braces, or after the dot.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// What can name a query parameter or a member of a body.
fn is_parameter(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 6901.
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'))
        && !text.chars().any(char::is_control)
}

/// Headers that a document may set: not those of the connection itself.
fn header_name(name: &str) -> Result<(), &'static str> {
    const OWN: &[&str] = &[
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let lower = name.to_ascii_lowercase();
    if !is_token(name) {
        Err("is not the name of a header")
    } else if OWN.contains(&lower.as_str()) || lower.starts_with("proxy-") || lower.starts_with("jackfield-")
    {
        Err("is a header that Jackfield sets itself")
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "documents in tests read best by value")]
mod tests {
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
            (
                "/parameters",
                json!([{"name": "subdomain"}, {"name": "subdomain"}]),
                "parameters.1",
                "duplicate",
            ),
            ("/parameters", json!([{"name": "sub domain"}]), "parameters.0.name", "invalid"),
            (
                "/parameters",
                json!([{"name": "subdomain", "pattern": "("}]),
                "parameters.0.pattern",
                "invalid",
            ),
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
            (
                "/setup",
                json!([{"id": "a", "operation": "GET /{setup.a}"}]),
                "setup.0.operation",
                "not_allowed",
            ),
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
        let mail = |fields: Value| json!({"method": "POST", "path": "/send", "body_encoding": "mail", "fields": fields});
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
}

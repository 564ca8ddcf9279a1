//! The meaning of a document: what its form alone does not tell.

mod auth;
mod modules;
mod payment;

use std::collections::{BTreeMap, BTreeSet};

use super::auth::Auth;
use super::document::{Connector, Expect, IdentitySource, Parameter, SetupStep};
use super::input;
use super::read::at;
use super::target::{self, HostPattern};
use super::template::{Template, TemplateError, Values};
use crate::error::FieldError;
use crate::names;
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

impl Check<'_> {
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
mod tests;

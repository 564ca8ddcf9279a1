//! The ground a connection stands on: its connector, its parameters with the secret ones opened, the values of its region. Everything a
//! template of the connector can ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jackfield_core::connector::{Connector, Template, TemplateError, Values, effective_parameters, target};
use jackfield_core::{Code, Error, Result};
use jackfield_store::Connection;
use jackfield_vault::Context;
use secrecy::ExposeSecret;
use zeroize::Zeroize;

use crate::Engine;
use crate::connect::Bounds;
use crate::connect::credential::{Secrets, open_map};

/// Attribute under which the account's own URL is kept, where the token answer says it.
pub(crate) const INSTANCE_URL: &str = "token.instance_url";

/// Attributes of an authorization: `callback.realmId`, `setup.site`, `token.instance_url`.
pub(crate) type Attributes = BTreeMap<String, String>;

/// A connection with all that its templates need.
pub(crate) struct Ground {
    pub connection: Connection,
    pub connector: Arc<Connector>,
    /// every parameter, defaults and secret ones included; wiped when dropped
    parameters: BTreeMap<String, String>,
    region: BTreeMap<String, String>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        for value in self.parameters.values_mut() {
            value.zeroize();
        }
    }
}

pub(crate) fn secrets_context<'a>(organization: &'a str, connection: &'a str) -> Context<'a> {
    Context { organization, table: "connections", record: connection, field: "secrets" }
}

impl Engine {
    /// The connection's secret parameters, opened.
    pub(crate) fn open_secrets(&self, connection: &Connection) -> Result<Secrets> {
        match &connection.secrets {
            None => Ok(Secrets::new()),
            Some(sealed) => open_map(
                self.keyring(),
                &secrets_context(&connection.organization_id, &connection.id),
                sealed,
            ),
        }
    }

    /// Everything the connection's templates need.
    pub(crate) async fn ground(&self, connection: Connection) -> Result<Ground> {
        let connector = self.connector_of(&connection).await?.connector;
        let organization = self.own_organization(&connection.organization_id).await?;
        let secrets = self.open_secrets(&connection)?;
        Ok(Ground::new(connection, connector, &organization.region, &secrets))
    }
}

impl Ground {
    pub fn new(connection: Connection, connector: Arc<Connector>, region: &str, secrets: &Secrets) -> Self {
        let mut parameters: BTreeMap<String, String> = effective_parameters(&connector)
            .into_iter()
            .filter_map(|p| p.default.as_ref().map(|value| (p.name.clone(), value.clone())))
            .collect();
        for (name, value) in &connection.parameters {
            parameters.insert(name.clone(), value.clone());
        }
        for (name, value) in secrets {
            parameters.insert(name.clone(), value.expose_secret().to_owned());
        }
        let region = connector.region_row(&parameters, region).cloned().unwrap_or_default();
        Self { connection, connector, parameters, region }
    }

    /// What is no secret: the parameters that are kept in clear, with the connector's defaults, and the values of the region.
    pub fn plain(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let mut parameters: BTreeMap<String, String> = effective_parameters(&self.connector)
            .into_iter()
            .filter(|parameter| !parameter.secret)
            .filter_map(|parameter| Some((parameter.name.clone(), parameter.default.clone()?)))
            .collect();
        parameters.extend(self.connection.parameters.clone());
        (parameters, self.region.clone())
    }

    /// The value of a parameter that is not empty.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there: it was checked when the connection was made, but the connector may have changed.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.parameter(name).ok_or_else(|| {
            Error::field(
                format!("parameters.{name}"),
                "required",
                "The connection needs this parameter. Set it in the connection.",
            )
        })
    }

    pub fn values<'a>(&'a self, attributes: &'a Attributes, scopes: Option<&'a str>) -> Values<'a> {
        Values {
            parameters: Some(&self.parameters),
            region: Some(&self.region),
            attributes: Some(attributes),
            scopes,
        }
    }

    /// Renders a URL template of the connector.
    pub fn url(&self, template: &str, attributes: &Attributes) -> Result<String> {
        let values = self.values(attributes, None);
        let parsed = Template::parse(template).map_err(|why| self.misfit(template, &why))?;
        parsed.url(|name| values.get(name)).map_err(|why| self.misfit(template, &why))
    }

    /// Renders a template of plain text.
    pub fn text(&self, template: &str, attributes: &Attributes, scopes: Option<&str>) -> Result<String> {
        let values = self.values(attributes, scopes);
        let parsed = Template::parse(template).map_err(|why| self.misfit(template, &why))?;
        parsed.text(|name| values.get(name)).map_err(|why| self.misfit(template, &why))
    }

    /// The same; `None` while a value is not known.
    pub fn text_if_known(
        &self,
        template: &str,
        attributes: &Attributes,
        scopes: Option<&str>,
    ) -> Result<Option<String>> {
        let values = self.values(attributes, scopes);
        let parsed = Template::parse(template).map_err(|why| self.misfit(template, &why))?;
        match parsed.text(|name| values.get(name)) {
            Ok(text) => Ok(Some(text)),
            Err(TemplateError::Missing(_)) => Ok(None),
            Err(why) => Err(self.misfit(template, &why)),
        }
    }

    /// Renders parameters of a request; those whose value is not known are left out.
    pub fn pairs(
        &self,
        templates: &BTreeMap<String, String>,
        attributes: &Attributes,
        scopes: Option<&str>,
    ) -> Result<Vec<(String, String)>> {
        let values = self.values(attributes, scopes);
        let mut pairs = Vec::with_capacity(templates.len());
        for (name, value) in templates {
            let template = Template::parse(value).map_err(|why| self.misfit(value, &why))?;
            match template.text(|name| values.get(name)) {
                Ok(text) => pairs.push((name.clone(), text)),
                Err(TemplateError::Missing(_)) => {}
                Err(why) => return Err(self.misfit(value, &why)),
            }
        }
        Ok(pairs)
    }

    /// The root of the API for this authorization.
    pub fn base_url(&self, attributes: &Attributes) -> Result<String> {
        match attributes.get(INSTANCE_URL) {
            Some(instance) => {
                // The template may have a host that only the instance can tell; then only its path counts.
                let base = self.url(&self.connector.base_url, attributes)?;
                target::rebase(&base, instance).map_err(|why| self.misfit(&self.connector.base_url, &why))
            }
            None => self.url(&self.connector.base_url, attributes),
        }
    }

    /// Whether a template needs a choice that is made only after authorization, and was not made yet.
    pub fn waits_for_setup(template: &str, attributes: &Attributes) -> bool {
        Template::parse(template).is_ok_and(|template| {
            template.names().any(|name| name.starts_with("setup.") && !attributes.contains_key(name))
        })
    }

    /// The root for a request that is made while choices are still open: the API's where it is known, else the one of the URL itself, which
    /// stands in the connector.
    pub fn root_for(&self, url: &str, attributes: &Attributes) -> Result<String> {
        if Self::waits_for_setup(&self.connector.base_url, attributes) && target::has_web_scheme(url) {
            let target = target::parse(url).map_err(|why| self.misfit(url, &why))?;
            return Ok(format!("{}://{}", target.scheme.as_str(), target.authority()));
        }
        self.base_url(attributes)
    }

    /// The hosts that a call may go to.
    pub fn hosts(&self, base_url: &str, attributes: &Attributes) -> Result<Vec<String>> {
        if self.connector.hosts.is_empty() {
            let base = target::parse(base_url).map_err(|why| self.misfit(&self.connector.base_url, &why))?;
            return Ok(vec![base.authority()]);
        }
        let values = self.values(attributes, None);
        self.connector.render_hosts(&values).map_err(|why| self.misfit("hosts", &why))
    }

    /// Where a credential that is given now may go.
    pub fn bounds(&self, attributes: &Attributes) -> Result<Bounds> {
        let root = &self.connector.base_url;
        let base_url = if Self::waits_for_setup(root, attributes) {
            // Only its path can hang on a choice: where the host does, the connector lists its hosts.
            self.url(origin(root), attributes).unwrap_or_default()
        } else {
            self.base_url(attributes)?
        };
        Ok(Bounds { hosts: self.hosts(&base_url, attributes)?, endpoints: self.endpoints(attributes)? })
    }

    /// Scheme and host of every endpoint that sees a refresh token.
    fn endpoints(&self, attributes: &Attributes) -> Result<Vec<String>> {
        let Some(token) = self.connector.auth.token_endpoint() else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for template in [Some(&token.token_url), token.refresh_url.as_ref(), token.revoke_url.as_ref()]
            .into_iter()
            .flatten()
        {
            let url = self.url(template, attributes)?;
            let target = target::parse(&url).map_err(|why| self.misfit(template, &why))?;
            let origin = format!("{}://{}", target.scheme.as_str(), target.authority());
            if !all.contains(&origin) {
                all.push(origin);
            }
        }
        Ok(all)
    }

    /// Whether the endpoints are still those to which the credential was given.
    pub fn check_endpoints(&self, bounds: &Bounds, attributes: &Attributes) -> Result<()> {
        match self.endpoints(attributes)?.into_iter().find(|origin| !bounds.endpoints.contains(origin)) {
            None => Ok(()),
            Some(origin) => Err(Error::new(
                Code::ReauthorizationRequired,
                format!(
                    "The connector's token endpoint has moved to {origin} since this was authorized. Reauthorize the connection."
                ),
            )),
        }
    }

    /// Scopes as they stand in a request.
    pub fn joined_scopes(&self, delimiter: &str) -> Option<String> {
        if self.connection.scopes.is_empty() { None } else { Some(self.connection.scopes.join(delimiter)) }
    }

    fn misfit(&self, template: &str, why: &dyn std::fmt::Display) -> Error {
        Error::field(
            "parameters",
            "unresolved",
            format!(
                "The connector {:?} needs {template:?}, but {why}. Check the connection's parameters{}.",
                self.connector.name,
                if template.contains("{setup.") { " and its set-up choice" } else { "" }
            ),
        )
    }
}

/// Scheme and host of a URL template.
fn origin(template: &str) -> &str {
    let host_at = template.find("://").map_or(0, |at| at + 3);
    let end = template.get(host_at..).and_then(|rest| rest.find(['/', '?']));
    end.and_then(|end| template.get(..host_at + end)).unwrap_or(template)
}

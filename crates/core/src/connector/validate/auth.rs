//! How one signs in.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::auth::{Auth, TokenEndpoint};
use super::super::document::Place;
use super::super::placement::placements;
use super::super::read::at;
use super::{Check, Kind, May, header_name, is_parameter, is_token, is_word};

impl Check<'_> {
    pub(super) fn auth(&mut self) {
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
    pub(super) fn placements(&mut self) {
        let mut seen = BTreeSet::new();
        for placement in placements(self.connector) {
            let field = match &placement.source {
                super::super::Source::Credential(name) => format!("auth.fields.{name}"),
                super::super::Source::Parameter(name) => format!("parameters.{name}"),
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
}

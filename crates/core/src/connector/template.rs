//! Templates: text with `{name}` in it.
//!
//! A value never changes more than its own place: in a host it is a plain host name, in a path one percent-encoded segment, in a
//! query percent-encoded, elsewhere free of control characters. `{{` and `}}` stand for braces.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::target;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(String),
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("{0}")]
    Syntax(&'static str),
    /// There is no value for a name.
    #[error("there is no value for {{{0}}}")]
    Missing(String),
    /// A value cannot stand in its place. The value itself is not repeated.
    #[error("the value of {{{name}}} cannot stand there: {reason}")]
    Value {
        /// The name in braces.
        name: String,
        /// What is wrong with its value.
        reason: &'static str,
    },
    /// The text that came out cannot be used.
    #[error("{0}")]
    Result(&'static str),
}

/// The values for the names in templates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// Parameters of the connection: `{subdomain}`.
    pub parameters: Option<&'a BTreeMap<String, String>>,
    /// The row of `region_values`: `{region.api_host}`.
    pub region: Option<&'a BTreeMap<String, String>>,
    /// What was kept from the authorization, with the first word in the key: `callback.realmId`, `setup.site`,
    /// `token.instance_url`.
    pub attributes: Option<&'a BTreeMap<String, String>>,
    /// The chosen scopes, joined: `{scopes}`.
    pub scopes: Option<&'a str>,
}

impl<'a> Values<'a> {
    /// The value for a name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        match name.split_once('.') {
            Some(("region", key)) => self.region?.get(key).map(String::as_str),
            Some(_) => self.attributes?.get(name).map(String::as_str),
            None => self
                .parameters
                .and_then(|parameters| parameters.get(name).map(String::as_str))
                .or(if name == "scopes" { self.scopes } else { None }),
        }
    }
}

/// Where in a URL the writing hand is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Scheme,
    Host,
    Port,
    Path,
    Query,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' if rest.next_if_eq(&'{').is_some() => literal.push('{'),
                '}' if rest.next_if_eq(&'}').is_some() => literal.push('}'),
                '}' => return Err(TemplateError::Syntax("a } without its {; write }} for the character")),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(TemplateError::Syntax("a { without its }")),
                        }
                    }
                    if !is_name(&name) {
                        return Err(TemplateError::Syntax(
                            "between { and } stands a name, such as {subdomain} or {region.host}",
                        ));
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Name(name));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The names in it, in order, with repetitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The names that stand in the host of a URL template.
    pub fn names_in_host(&self) -> Vec<&str> {
        let mut place = Place::Scheme;
        let mut seen = String::new();
        let mut names = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    for c in text.chars() {
                        place = step(place, &mut seen, c);
                    }
                }
                Part::Name(name) if matches!(place, Place::Scheme | Place::Host | Place::Port) => {
                    names.push(name.as_str());
                }
                Part::Name(_) => {}
            }
        }
        names
    }

    /// Whether it would give an absolute URL, whatever the values are.
    pub(super) fn check_url(&self) -> Result<target::Target, TemplateError> {
        let url = self.render(Place::Scheme, |_, place| Some(sample(place)))?;
        target::parse(&url).map_err(|error| TemplateError::Result(error.0))
    }

    /// Whether it would give a path or an absolute URL, whatever the values are.
    pub(super) fn check_path(&self) -> Result<(), TemplateError> {
        if self.is_absolute() {
            return self.check_url().map(drop);
        }
        let path = self.render(Place::Path, |_, place| Some(sample(place)))?;
        target::check_relative(&path).map_err(|error| TemplateError::Result(error.0))
    }

    /// Whether it would give a host pattern, whatever the values are.
    pub(super) fn check_host(&self) -> Result<(), TemplateError> {
        let host = self.render(Place::Host, |_, place| Some(sample(place)))?;
        target::HostPattern::parse(&host).map(drop).map_err(TemplateError::Result)
    }

    /// Renders an absolute URL.
    pub fn url<'v>(&self, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, TemplateError> {
        let url = self.render(Place::Scheme, |name, _| lookup(name))?;
        target::parse(&url).map_err(|error| TemplateError::Result(error.0))?;
        Ok(url)
    }

    /// Renders a path with an optional query, to be joined to a base URL; or an absolute URL when it starts like one.
    pub fn path<'v>(&self, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, TemplateError> {
        if self.is_absolute() {
            return self.url(lookup);
        }
        let path = self.render(Place::Path, |name, _| lookup(name))?;
        target::check_relative(&path).map_err(|error| TemplateError::Result(error.0))?;
        Ok(path)
    }

    /// Renders a host pattern: `host`, `host:port` or `*.host`.
    pub fn host<'v>(&self, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, TemplateError> {
        let host = self.render(Place::Host, |name, _| lookup(name))?;
        target::HostPattern::parse(&host).map_err(TemplateError::Result)?;
        Ok(host)
    }

    /// Renders plain text, such as a header or a parameter that is encoded later.
    pub fn text<'v>(&self, lookup: impl Fn(&str) -> Option<&'v str>) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Name(name) => {
                    let value = lookup(name).ok_or_else(|| TemplateError::Missing(name.clone()))?;
                    if value.chars().any(char::is_control) {
                        return Err(bad(name, "it has a control character"));
                    }
                    out.push_str(value);
                }
            }
        }
        Ok(out)
    }

    /// Whether it starts with `http://` or `https://`.
    pub fn is_absolute(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Literal(text)) if target::has_web_scheme(text))
    }

    fn render<'v>(
        &self,
        start: Place,
        lookup: impl Fn(&str, Place) -> Option<&'v str>,
    ) -> Result<String, TemplateError> {
        let mut place = start;
        let mut seen = String::new();
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    for c in text.chars() {
                        place = step(place, &mut seen, c);
                    }
                    out.push_str(text);
                }
                Part::Name(name) => {
                    let value = lookup(name, place).ok_or_else(|| TemplateError::Missing(name.clone()))?;
                    match place {
                        Place::Scheme => {
                            return Err(TemplateError::Syntax(
                                "the scheme, http:// or https://, is written out",
                            ));
                        }
                        Place::Host if is_host(value) => out.push_str(value),
                        Place::Host => return Err(bad(name, "it is not a plain host name")),
                        Place::Port if is_port(value) => out.push_str(value),
                        Place::Port => return Err(bad(name, "it is not a port number")),
                        Place::Path if value.is_empty() => return Err(bad(name, "it is empty")),
                        Place::Path if value == "." || value == ".." => {
                            return Err(bad(name, "it is a dot segment"));
                        }
                        Place::Path | Place::Query => encode(&mut out, value),
                    }
                }
            }
        }
        Ok(out)
    }
}

/// A value that fits everywhere.
fn sample(place: Place) -> &'static str {
    if place == Place::Port { "1" } else { "x" }
}

fn bad(name: &str, reason: &'static str) -> TemplateError {
    TemplateError::Value { name: name.to_owned(), reason }
}

fn step(place: Place, seen: &mut String, c: char) -> Place {
    match (place, c) {
        (Place::Scheme, _) => {
            seen.push(c);
            if seen.ends_with("://") { Place::Host } else { Place::Scheme }
        }
        (Place::Host | Place::Port, '/' | '\\') => Place::Path,
        (Place::Host | Place::Port | Place::Path, '?') => Place::Query,
        (Place::Host, ':') => Place::Port,
        _ => place,
    }
}

/// Whether the text can be a name in braces.
pub fn is_name(text: &str) -> bool {
    text.len() <= 128
        && text.split('.').count() <= 2
        && text.split('.').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
}

/// Whether a value is a plain host name: labels of letters, digits, hyphens and underscores, joined by dots.
pub fn is_host(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 253
        && value.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn is_port(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit()) && value.parse::<u16>().is_ok_and(|port| port > 0)
}

fn encode(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(template: &str, value: &str) -> Result<String, TemplateError> {
        Template::parse(template)?.url(|_| Some(value))
    }

    #[test]
    fn each_place_has_its_own_encoding() {
        assert_eq!(url("https://{a}.example.com/v1", "acme").unwrap(), "https://acme.example.com/v1");
        assert_eq!(url("https://{region.host}/v1", "www.zohoapis.eu").unwrap(), "https://www.zohoapis.eu/v1");
        assert_eq!(url("https://h/x/{a}/y", "a/b?c#d é").unwrap(), "https://h/x/a%2Fb%3Fc%23d%20%C3%A9/y");
        assert_eq!(url("https://h/x?q={a}", "a&b=c").unwrap(), "https://h/x?q=a%26b%3Dc");
        assert_eq!(url("https://h:{a}/x", "8443").unwrap(), "https://h:8443/x");
        assert_eq!(url("https://h/{{x}}/{a}", "1").unwrap(), "https://h/{x}/1");
        for (template, value) in [
            ("https://{a}.example.com", "evil.com/"),
            ("https://{a}.example.com", "u@evil"),
            ("https://{a}.example.com", "evil:80"),
            ("https://{a}.example.com", ""),
            ("https://{a}.example.com", "-x"),
            ("https://{a}.example.com", "x."),
            ("https://{a}.example.com", "é"),
            ("https://h/{a}", ".."),
            ("https://h/.{a}", "."),
            ("https://h/{a}", ""),
            ("{a}://h", "https"),
            ("{a}", "https://h"),
        ] {
            assert!(url(template, value).is_err(), "{template} with {value}");
        }
        assert_eq!(
            Template::parse("https://{a}").unwrap().url(|_| None),
            Err(TemplateError::Missing("a".to_owned()))
        );
    }

    #[test]
    fn braces_are_matched() {
        for text in ["{", "}", "{}", "{a", "a}", "{a b}", "{.a}", "{a.b.c}", "{{}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert_eq!(Template::parse("a{b}c{d.e}").unwrap().names().collect::<Vec<_>>(), ["b", "d.e"]);
    }

    #[test]
    fn names_in_the_host_are_known() {
        let template = Template::parse("https://{a}.{b.c}:{d}/{e}?{f}").unwrap();
        assert_eq!(template.names_in_host(), ["a", "b.c", "d"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}", value in ".{0,60}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.url(|_| Some(&value));
                let _ = template.path(|_| Some(&value));
                let _ = template.host(|_| Some(&value));
                let _ = template.text(|_| Some(&value));
                let _ = template.names_in_host();
            }
        }

        #[test]
        fn a_hostile_value_stays_in_its_place(value in "[ -~é\\x00-\\x1f]{0,24}|[./\\\\@:?#%]{0,8}|\\.\\.%2f.{0,4}") {
            if let Ok(url) = url("https://api.example.com/v1/{a}/end?q={a}", &value) {
                let parsed = target::parse(&url).unwrap();
                prop_assert_eq!(parsed.host, "api.example.com");
                prop_assert_eq!(parsed.port, None);
                let path = url.trim_start_matches("https://api.example.com").split('?').next().unwrap();
                prop_assert_eq!(path.split('/').count(), 4);
                prop_assert!(path.starts_with("/v1/") && path.ends_with("/end"));
                let seen_by_another = url::Url::parse(&url).unwrap();
                prop_assert_eq!(seen_by_another.host_str(), Some("api.example.com"));
                prop_assert_eq!(seen_by_another.path().split('/').count(), 4);
            }
            if let Ok(url) = url("https://{a}.example.com/v1", &value) {
                let seen_by_another = url::Url::parse(&url).unwrap();
                prop_assert!(seen_by_another.host_str().unwrap().ends_with(".example.com"));
                prop_assert_eq!(seen_by_another.path(), "/v1");
                prop_assert_eq!(seen_by_another.username(), "");
            }
        }
    }
}

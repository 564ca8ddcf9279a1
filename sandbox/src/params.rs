//! Parameters of queries and forms, where a repeated name is an error (RFC 6749, section 3.1).

use bytes::Bytes;
use http::HeaderMap;

/// The pairs in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

/// A parameter was given twice.
#[derive(Clone, Debug)]
pub(crate) struct Repeated(pub(crate) String);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(crate) fn of_query(query: Option<&str>) -> Self {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    /// The parameters of a body: a form, or a flat JSON object. `None` for any other kind.
    pub(crate) fn of_body(headers: &HeaderMap, body: &Bytes) -> Option<Self> {
        if is_form(headers) {
            return Some(Self::parse(body));
        }
        if is_json(headers) {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
            let pairs = object.into_iter().map(|(name, value)| match value {
                serde_json::Value::String(text) => (name, text),
                other => (name, other.to_string()),
            });
            return Some(Self(pairs.collect()));
        }
        body.is_empty().then(Self::default)
    }

    /// The value of a parameter; an empty one counts as left out.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that came twice.
    pub(crate) fn unique(&self) -> Result<(), Repeated> {
        let mut seen = std::collections::HashSet::new();
        for (name, _) in &self.0 {
            if !seen.insert(name) {
                return Err(Repeated(name.clone()));
            }
        }
        Ok(())
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}

pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/json")
}

/// A cookie by its name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

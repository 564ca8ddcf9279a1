//! The credential itself: what stands sealed in an authorization, and for moments in clear in memory.
//!
//! Nothing here prints or serializes but [`Credential::seal`], whose buffer is wiped.

use std::collections::BTreeMap;

use jackfield_core::{Error, Result};
use jackfield_vault::{Context, Keyring};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The secret material of an authorization.
pub(crate) enum Credential {
    /// `OAuth2` tokens; `id_token` is not kept
    OAuth2 { access_token: SecretString, refresh_token: Option<SecretString> },
    /// `OAuth1` token and its secret
    OAuth1 { token: SecretString, secret: SecretString },
    /// what a person typed: the fields of an API key, or `username` and `password`
    Fields(BTreeMap<String, SecretString>),
    /// services without a credential
    None,
}

/// Where a credential may go: what the person saw and accepted when he authorized. Sealed with it, so that neither an edit of the connector
/// or its connection nor one of the database can lead it elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    /// host patterns of calls
    pub hosts: Vec<String>,
    /// `scheme://host[:port]` of the endpoints that see a refresh token
    pub endpoints: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'a> {
    #[serde(borrow)]
    c: Wire<'a>,
    b: Bounds,
}

/// The sealed form. Short names: there are many of them.
#[derive(Serialize, Deserialize)]
#[serde(tag = "t", deny_unknown_fields)]
enum Wire<'a> {
    #[serde(rename = "2")]
    OAuth2 {
        #[serde(borrow)]
        a: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        r: Option<std::borrow::Cow<'a, str>>,
    },
    #[serde(rename = "1")]
    OAuth1 {
        #[serde(borrow)]
        k: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        s: std::borrow::Cow<'a, str>,
    },
    #[serde(rename = "f")]
    Fields {
        #[serde(borrow)]
        f: BTreeMap<std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>>,
    },
    #[serde(rename = "0")]
    None,
}

fn context<'a>(organization: &'a str, authorization: &'a str) -> Context<'a> {
    Context { organization, table: "authorizations", record: authorization, field: "credential" }
}

impl Credential {
    /// Seals it for its authorization.
    pub fn seal(
        &self,
        bounds: &Bounds,
        keyring: &Keyring,
        organization: &str,
        authorization: &str,
    ) -> Result<Vec<u8>> {
        let wire = match self {
            Self::OAuth2 { access_token, refresh_token } => Wire::OAuth2 {
                a: access_token.expose_secret().into(),
                r: refresh_token.as_ref().map(|r| r.expose_secret().into()),
            },
            Self::OAuth1 { token, secret } => {
                Wire::OAuth1 { k: token.expose_secret().into(), s: secret.expose_secret().into() }
            }
            Self::Fields(fields) => Wire::Fields {
                f: fields
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), value.expose_secret().into()))
                    .collect(),
            },
            Self::None => Wire::None,
        };
        // Room from the start: a growing buffer leaves copies behind.
        let mut clear = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *clear, &Whole { c: wire, b: bounds.clone() }).map_err(Error::internal)?;
        keyring.seal(&context(organization, authorization), &clear).map_err(Error::internal)
    }

    /// Opens what [`Credential::seal`] sealed.
    pub fn open(
        keyring: &Keyring,
        organization: &str,
        authorization: &str,
        sealed: &[u8],
    ) -> Result<(Self, Bounds)> {
        let clear = keyring.open(&context(organization, authorization), sealed).map_err(Error::internal)?;
        let whole: Whole<'_> = serde_json::from_slice(clear.expose_secret())
            .map_err(|_| Error::internal("a sealed credential has an unknown form"))?;
        let secret = |text: std::borrow::Cow<'_, str>| SecretString::from(text.into_owned());
        let credential = match whole.c {
            Wire::OAuth2 { a, r } => Self::OAuth2 { access_token: secret(a), refresh_token: r.map(secret) },
            Wire::OAuth1 { k, s } => Self::OAuth1 { token: secret(k), secret: secret(s) },
            Wire::Fields { f } => {
                Self::Fields(f.into_iter().map(|(k, v)| (k.into_owned(), secret(v))).collect())
            }
            Wire::None => Self::None,
        };
        Ok((credential, whole.b))
    }
}

/// A map of secrets, sealed: the secret parameters of a connection, the secrets of a flow.
pub(crate) type Secrets = BTreeMap<String, SecretString>;

/// Seals a map of secrets.
pub(crate) fn seal_map(keyring: &Keyring, context: &Context<'_>, secrets: &Secrets) -> Result<Vec<u8>> {
    let clear_map: BTreeMap<&str, &str> =
        secrets.iter().map(|(k, v)| (k.as_str(), v.expose_secret())).collect();
    let mut clear = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *clear, &clear_map).map_err(Error::internal)?;
    keyring.seal(context, &clear).map_err(Error::internal)
}

/// Opens what [`seal_map`] sealed.
pub(crate) fn open_map(keyring: &Keyring, context: &Context<'_>, sealed: &[u8]) -> Result<Secrets> {
    let clear = keyring.open(context, sealed).map_err(Error::internal)?;
    let map: BTreeMap<String, String> = serde_json::from_slice(clear.expose_secret())
        .map_err(|_| Error::internal("sealed secrets have an unknown form"))?;
    Ok(map.into_iter().map(|(k, v)| (k, SecretString::from(v))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_opens_only_where_it_was_sealed() {
        let keyring = Keyring::generate();
        let fields =
            [("key".to_owned(), SecretString::from("va\"lue\n")), ("b".to_owned(), SecretString::from("ü"))];
        let credential = Credential::Fields(fields.into());
        let bounds = Bounds { hosts: vec!["a.example".to_owned()], endpoints: Vec::new() };
        let sealed = credential.seal(&bounds, &keyring, "org_1", "aut_1").unwrap();
        let Ok((Credential::Fields(opened), opened_bounds)) =
            Credential::open(&keyring, "org_1", "aut_1", &sealed)
        else {
            panic!("not opened");
        };
        assert_eq!(opened["key"].expose_secret(), "va\"lue\n");
        assert_eq!(opened_bounds, bounds);
        assert!(Credential::open(&keyring, "org_1", "aut_2", &sealed).is_err());
        assert!(Credential::open(&keyring, "org_2", "aut_1", &sealed).is_err());
    }
}

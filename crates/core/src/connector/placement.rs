//! What a credential puts into a request, as a pure description. Whoever sends the request strips what the caller put at the same
//! place.

use super::auth::{Auth, TokenIn};
use super::document::{Connector, Place};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A field of an API-key credential.
    Credential(String),
    /// A parameter of the connection.
    Parameter(String),
    /// The access token.
    Token,
    /// `username:password` in Base64 (RFC 7617).
    Basic,
    /// The OAuth 1 signature, computed over the finished request.
    OAuth1,
}

/// One value that goes into every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where the value comes from.
    pub source: Source,
    /// Where it goes.
    pub place: Place,
    /// Name of the header, query parameter, cookie or member of the body.
    pub name: String,
    /// Put in front of the value.
    pub prefix: String,
}

/// Everything that goes into a call: the credential first, then the connection's parameters.
pub fn placements(connector: &Connector) -> Vec<Placement> {
    let authorization = |source, prefix: &str| Placement {
        source,
        place: Place::Header,
        name: "Authorization".to_owned(),
        prefix: prefix.to_owned(),
    };
    let mut all = match &connector.auth {
        Auth::ApiKey(auth) => auth
            .fields
            .iter()
            .map(|field| Placement {
                source: Source::Credential(field.name.clone()),
                place: field.place,
                name: field.wire_name.clone().unwrap_or_else(|| field.name.clone()),
                prefix: field.prefix.clone().unwrap_or_default(),
            })
            .collect(),
        Auth::Basic(_) => vec![authorization(Source::Basic, "Basic ")],
        Auth::OAuth1(_) => vec![authorization(Source::OAuth1, "OAuth ")],
        Auth::None(_) => Vec::new(),
        Auth::OAuth2Code(_)
        | Auth::OAuth2ClientCredentials(_)
        | Auth::OAuth2DeviceCode(_)
        | Auth::JwtBearer(_) => {
            let place =
                connector.auth.token_endpoint().and_then(|token| token.place.clone()).unwrap_or_default();
            vec![Placement {
                source: Source::Token,
                place: match place.place {
                    TokenIn::Header => Place::Header,
                    TokenIn::Query => Place::Query,
                },
                name: place.wire_name().to_owned(),
                prefix: place.wire_prefix().to_owned(),
            }]
        }
    };
    all.extend(connector.parameters.iter().filter_map(|parameter| {
        Some(Placement {
            source: Source::Parameter(parameter.name.clone()),
            place: parameter.place?,
            name: parameter.wire_name.clone().unwrap_or_else(|| parameter.name.clone()),
            prefix: parameter.prefix.clone().unwrap_or_default(),
        })
    }));
    all
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "documents in tests read best by value")]
mod tests {
    use serde_json::json;

    use super::*;

    fn placed(value: serde_json::Value) -> Vec<(Place, String, String)> {
        placements(&Connector::from_json(value).unwrap())
            .into_iter()
            .map(|p| (p.place, p.name, p.prefix))
            .collect()
    }

    #[test]
    fn each_scheme_says_where_it_goes() {
        let with =
            |auth: serde_json::Value| json!({"name": "A", "base_url": "https://a.example", "auth": auth});
        let token = |place: serde_json::Value| {
            with(
                json!({"type": "oauth2_client_credentials", "token_url": "https://a.example/t", "place": place}),
            )
        };
        let is = |place, name: &str, prefix: &str| vec![(place, name.to_owned(), prefix.to_owned())];
        assert_eq!(placed(token(json!(null))), is(Place::Header, "Authorization", "Bearer "));
        assert_eq!(placed(token(json!({"in": "query"}))), is(Place::Query, "access_token", ""));
        assert_eq!(placed(token(json!({"in": "header", "name": "X-T"}))), is(Place::Header, "X-T", ""));
        assert_eq!(
            placed(token(json!({"prefix": "Zoho-oauthtoken "}))),
            is(Place::Header, "Authorization", "Zoho-oauthtoken ")
        );
        assert_eq!(placed(with(json!({"type": "basic"}))), is(Place::Header, "Authorization", "Basic "));
        let key = json!({"type": "api_key", "fields": [{"name": "key", "in": "cookie", "as": "sid"}]});
        assert_eq!(placed(with(key)), is(Place::Cookie, "sid", ""));
        let mut tenant = with(json!({"type": "none"}));
        tenant["parameters"] =
            json!([{"name": "tenant", "in": "header", "as": "X-Tenant"}, {"name": "other"}]);
        assert_eq!(placed(tenant), is(Place::Header, "X-Tenant", ""));
    }
}

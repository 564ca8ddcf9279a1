//! The people, clients and credentials that the sandbox knows from its first moment.

/// Client id of the confidential OAuth 2 client.
pub const CLIENT_ID: &str = "jackfield-demo";
/// Its secret.
pub const CLIENT_SECRET: &str = "sandbox-secret-for-the-demo";
/// Client id of the public OAuth 2 client, which must use PKCE.
pub const PUBLIC_CLIENT_ID: &str = "jackfield-public";
/// Client id of the machine client, which is meant for the client credentials grant.
pub const MACHINE_CLIENT_ID: &str = "jackfield-machine";
/// Its secret.
pub const MACHINE_CLIENT_SECRET: &str = "sandbox-secret-for-machines";
/// Consumer key of the OAuth 1 client.
pub const CONSUMER_KEY: &str = "jackfield-consumer";
/// Its secret.
pub const CONSUMER_SECRET: &str = "sandbox-consumer-secret";
/// Ada's password, for the login page and for Basic authentication.
pub const ADA_PASSWORD: &str = "patch-cord-ada";
/// Lin's password, for the login page and for Basic authentication.
pub const LIN_PASSWORD: &str = "patch-cord-lin";
/// Ada's API key.
pub const ADA_API_KEY: &str = "sbx_key_ada_5f1d7c90a2";
/// Lin's API key.
pub const LIN_API_KEY: &str = "sbx_key_lin_83be04d61f";

/// Somebody with an account at the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The stable subject, `sub` of `/api/v1/me`.
    pub sub: &'static str,
    /// The name people know.
    pub name: &'static str,
    /// The email address, which is the user name too.
    pub email: &'static str,
    /// The password.
    pub password: &'static str,
    /// The key for `X-Api-Key`.
    pub api_key: &'static str,
    /// Two letters for the mark.
    pub initials: &'static str,
}

/// Everybody with an account at the sandbox.
pub const PEOPLE: [Person; 2] = [
    Person {
        sub: "person_ada",
        name: "Ada Okafor",
        email: "ada@sandbox.example",
        password: ADA_PASSWORD,
        api_key: ADA_API_KEY,
        initials: "AO",
    },
    Person {
        sub: "person_lin",
        name: "Lin Berg",
        email: "lin@sandbox.example",
        password: LIN_PASSWORD,
        api_key: LIN_API_KEY,
        initials: "LB",
    },
];

/// Finds a person by email address, subject or first name.
pub fn person(who: &str) -> Option<&'static Person> {
    static KNOWN: [Person; 2] = PEOPLE;
    KNOWN.iter().find(|person| {
        person.email.eq_ignore_ascii_case(who)
            || person.sub == who
            || person.name.split(' ').next().is_some_and(|first| first.eq_ignore_ascii_case(who))
    })
}

/// Something the sandbox lets a client do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The name in requests.
    pub name: &'static str,
    /// What it lets the client do, for people.
    pub label: &'static str,
    /// A second line for the consent page.
    pub detail: &'static str,
    /// `read`, `write` or `full`.
    pub access: &'static str,
}

/// Every scope of the sandbox.
pub const SCOPES: [Scope; 3] = [
    Scope {
        name: "profile",
        label: "See who you are",
        detail: "your name, your email address and a number that stays the same",
        access: "read",
    },
    Scope {
        name: "vendors:read",
        label: "See your vendors",
        detail: "names, addresses and notes of every vendor in the Sandbox",
        access: "read",
    },
    Scope {
        name: "vendors:write",
        label: "Add, change and delete vendors",
        detail: "also those that somebody else added",
        access: "write",
    },
];

/// Where a client may send people back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Any `https` address, and `http` on this machine (`127.0.0.1`, `[::1]`, `localhost`).
    LoopbackOrHttps,
    /// Exactly one of these, byte for byte.
    Exactly(Vec<String>),
}

impl Redirects {
    /// Whether the address is registered.
    pub fn allow(&self, uri: &str) -> bool {
        match self {
            Self::Exactly(registered) => registered.iter().any(|known| known == uri),
            Self::LoopbackOrHttps => url::Url::parse(uri).is_ok_and(|url| {
                url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && match (url.scheme(), url.host()) {
                        ("https", Some(_)) => true,
                        ("http", Some(url::Host::Ipv4(address))) => address.is_loopback(),
                        ("http", Some(url::Host::Ipv6(address))) => address.is_loopback(),
                        ("http", Some(url::Host::Domain(name))) => name == "localhost",
                        _ => false,
                    }
            }),
        }
    }
}

/// A registered OAuth 2 client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; without one and without a key the client is public.
    pub secret: Option<String>,
    /// A public key in DER (SubjectPublicKeyInfo; for RSA also PKCS #1) for `private_key_jwt` and the
    /// JWT bearer grant.
    pub public_key: Option<Vec<u8>>,
    /// The name people see.
    pub name: String,
    /// Where it may send people back to.
    pub redirects: Redirects,
    /// The scopes it may ask for.
    pub scopes: Vec<String>,
}

impl Client {
    /// A client with a secret, every scope and any usual redirect.
    pub fn confidential(id: &str, secret: &str, name: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..Self::public(id, name) }
    }

    /// A client without a secret: it must use PKCE.
    pub fn public(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: None,
            public_key: None,
            name: name.to_owned(),
            redirects: Redirects::LoopbackOrHttps,
            scopes: SCOPES.iter().map(|scope| scope.name.to_owned()).collect(),
        }
    }

    /// A client that proves itself by a signed assertion (`private_key_jwt`).
    pub fn with_key(id: &str, public_key_der: Vec<u8>, name: &str) -> Self {
        Self { public_key: Some(public_key_der), ..Self::public(id, name) }
    }

    pub(crate) fn is_public(&self) -> bool {
        self.secret.is_none() && self.public_key.is_none()
    }
}

/// A registered OAuth 1 consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// `oauth_consumer_key`.
    pub key: String,
    /// The shared secret of HMAC and PLAINTEXT signatures.
    pub secret: String,
    /// A public RSA key in DER (SubjectPublicKeyInfo) for RSA-SHA1.
    pub public_key: Option<Vec<u8>>,
    /// The name people see.
    pub name: String,
    /// Where it may send people back to.
    pub redirects: Redirects,
}

/// The OAuth 2 clients that stand in [`crate::Options::default`].
pub(crate) fn default_clients() -> Vec<Client> {
    vec![
        Client::confidential(CLIENT_ID, CLIENT_SECRET, "Jackfield"),
        Client::public(PUBLIC_CLIENT_ID, "Jackfield (public client)"),
        Client::confidential(MACHINE_CLIENT_ID, MACHINE_CLIENT_SECRET, "Jackfield (machine)"),
    ]
}

/// The OAuth 1 consumers that stand in [`crate::Options::default`].
pub(crate) fn default_consumers() -> Vec<Consumer> {
    vec![Consumer {
        key: CONSUMER_KEY.to_owned(),
        secret: CONSUMER_SECRET.to_owned(),
        public_key: None,
        name: "Jackfield".to_owned(),
        redirects: Redirects::LoopbackOrHttps,
    }]
}

//! The steps of a trial, one after the other.

use jackfield_core::connector::{self, Auth, IdentitySource};
use jackfield_core::{Error, Timestamp};
use jackfield_oauth::TokenError;
use secrecy::{ExposeSecret, SecretString};

use super::explain::{at_token, came, explained, is_of_client, is_page, said};
use super::mask::Mask;
use super::{TrialAnswer, TrialKind, TrialOutcome, TrialRequest, TrialStep, Tried};
use crate::Engine;
use crate::call::egress::{Seen, Watch};
use crate::connect::Credential;
use crate::connect::exchange::{DeviceAnswer, ExchangeError, Granted};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::prove::{rendered, waits};

/// The made-up code with which a token endpoint is asked what it says to a code that it never gave.
const NO_CODE: &str = "a-code-that-jackfield-made-up";

/// A trial that goes on: an engine whose exchanges are seen, and what is known so far.
pub(super) struct Bench<'a> {
    pub engine: Engine,
    pub watch: Watch,
    pub ground: &'a Ground,
    pub mask: Mask,
    pub steps: Vec<TrialStep>,
}

impl Engine {
    pub(super) fn bench<'a>(&self, ground: &'a Ground) -> Bench<'a> {
        let watch = Watch::default();
        let mut mask = Mask::of(&ground.connector);
        for parameter in connector::effective_parameters(&ground.connector) {
            if let (true, Some(value)) = (parameter.secret, ground.parameter(&parameter.name)) {
                mask.add(value);
            }
        }
        if let Some(secret) = ground.parameter("client_secret") {
            mask.add(&format!("{}:{secret}", ground.parameter("client_id").unwrap_or("")));
        }
        Bench { engine: self.watched(watch.clone()), watch, ground, mask, steps: Vec::new() }
    }
}

pub(super) fn step(kind: TrialKind, outcome: TrialOutcome) -> TrialStep {
    TrialStep { kind, outcome, words: String::new(), request: None, answer: None }
}

impl Bench<'_> {
    pub fn add(&mut self, step: TrialStep) {
        self.steps.push(step);
    }

    pub fn done(self) -> Tried {
        Tried {
            connector: self.ground.connection.connector.clone(),
            name: self.ground.connector.name.clone(),
            steps: self.steps,
            flow: None,
        }
    }

    /// The last exchange since one looked, shown; and what it answered.
    fn shown(&self, token: bool) -> (Option<TrialRequest>, Option<TrialAnswer>) {
        let seen = self.watch.take();
        let Some(last) = seen.last() else { return (None, None) };
        (Some(self.mask.request(last, token)), self.answer_of(last, token))
    }

    fn answer_of(&self, seen: &Seen, token: bool) -> Option<TrialAnswer> {
        seen.answer.as_ref().ok().map(|answer| {
            self.mask.answer(answer, token, u64::try_from(seen.took.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// What can be tried before somebody accepts; false where there is no sense in going there.
    pub async fn before_consent(&mut self, now: Timestamp) -> bool {
        let scopes = self.ground.connection.scopes.clone();
        let oauth1 = matches!(self.ground.connector.auth, Auth::OAuth1(_));
        let url = if oauth1 {
            self.engine.request_token(self.ground, &scopes, now).await.map(|(token, url)| {
                self.mask.add(&token.token);
                self.mask.add(token.secret.expose_secret());
                url
            })
        } else {
            self.engine.authorize_url(self.ground, "state", "verifier", &scopes, now).await
        };
        let (request, answer) = self.shown(true);
        if oauth1 || request.is_some() {
            let (outcome, words) = match &url {
                Ok(_) if oauth1 => {
                    (TrialOutcome::Passed, "The service knows your app: it gave a request token.".to_owned())
                }
                Ok(_) => (TrialOutcome::Passed, "The service took the request in advance.".to_owned()),
                Err(error) => (TrialOutcome::Failed, self.refused(error)),
            };
            self.add(TrialStep {
                kind: TrialKind::Token,
                outcome,
                words: self.mask.text(&words),
                request,
                answer,
            });
        }
        let url = match url {
            Ok(url) => url,
            Err(ExchangeError::Setup(error)) => {
                let words = self.mask.text(&said(&error));
                self.add(TrialStep { words, ..step(TrialKind::Authorize, TrialOutcome::Failed) });
                return false;
            }
            Err(_) => return false,
        };
        self.add(TrialStep {
            words: format!(
                "A browser would be sent here. If {} shows an error about the redirect URI there and sends nobody back, register this one in your app, to the letter: {}",
                self.ground.connector.name,
                self.engine.redirect_uri()
            ),
            request: Some(TrialRequest {
                method: "GET".to_owned(),
                url: self.mask.authorize_url(&url),
                ..TrialRequest::default()
            }),
            ..step(TrialKind::Authorize, TrialOutcome::Passed)
        });
        if oauth1 {
            return true;
        }
        let code = SecretString::from(NO_CODE);
        let none = Attributes::new();
        let verifier = "a-verifier-that-belongs-to-no-code-at-all-0123456789";
        let granted = self.engine.exchange_code(self.ground, &code, Some(verifier), &none, now).await;
        let (request, answer) = self.shown(true);
        let (outcome, words) = match granted {
            Ok(_) => (
                TrialOutcome::Unsure,
                "The service gave a token for a code that was made up. Look at the token URL.".to_owned(),
            ),
            Err(ExchangeError::Token(TokenError::Refused { code, description, .. })) => {
                let service = description.map_or_else(String::new, |text| format!(" It says: {text}"));
                if is_of_client(&code) {
                    let words = format!(
                        "The service does not accept the client ({code}). Check the client id, the secret, and how the client proves itself.{service}"
                    );
                    (TrialOutcome::Failed, words)
                } else if code == "invalid_grant" {
                    let words = "The token endpoint answers as it should: it knows your client, and refuses a code that was made up (invalid_grant).";
                    (TrialOutcome::Passed, words.to_owned())
                } else {
                    let words = format!(
                        "The token endpoint refuses a code that was made up, as it should ({code}). Whether it knows your client shows when you accept.{service}"
                    );
                    (TrialOutcome::Unsure, words)
                }
            }
            Err(error) => (TrialOutcome::Failed, self.refused(&error)),
        };
        let goes_on = outcome != TrialOutcome::Failed;
        self.add(TrialStep {
            kind: TrialKind::Token,
            outcome,
            words: self.mask.text(&words),
            request,
            answer,
        });
        goes_on
    }

    /// A device code, and what the token endpoint says while nobody has typed it. What a person would accept is not tried: no browser
    /// comes back that could be told.
    pub async fn device(&mut self, now: Timestamp) {
        let codes = self.engine.device_codes(self.ground, now).await;
        if let Ok(codes) = &codes {
            self.mask.add(codes.device_code.expose_secret());
        }
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &codes {
            Ok(codes) => (
                TrialOutcome::Passed,
                format!(
                    "The service knows your client: it gave a code, which a person would type at {}. It is good for {} seconds.",
                    codes.verification_uri, codes.expires_in
                ),
            ),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        let words = self.mask.text(&words);
        self.add(TrialStep { kind: TrialKind::Authorize, outcome, words, request, answer });
        let Ok(codes) = codes else { return };
        let asked = self.engine.device_token(self.ground, &codes.device_code, now).await;
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &asked {
            Ok(DeviceAnswer::Pending | DeviceAnswer::SlowDown) => (
                TrialOutcome::Passed,
                "The token endpoint answers as it should: nobody has typed the code yet. Nobody does in a trial; the rest shows when you authorize a connection.".to_owned(),
            ),
            Ok(DeviceAnswer::Granted(_)) => (
                TrialOutcome::Unsure,
                "The service gave a token although nobody typed the code. Look at the token URL.".to_owned(),
            ),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        let words = self.mask.text(&words);
        self.add(TrialStep { kind: TrialKind::Token, outcome, words, request, answer });
    }

    /// Why no token came.
    fn refused(&self, error: &ExchangeError) -> String {
        match error {
            ExchangeError::Setup(error) => said(error),
            ExchangeError::Egress(error) => Error::from(error.clone()).detail,
            ExchangeError::Token(TokenError::Refused { code, description, .. }) => {
                let service =
                    description.as_deref().map_or_else(String::new, |text| format!(" It says: {text}"));
                let redirect = self.engine.redirect_uri();
                let hint = at_token(code, description.as_deref().unwrap_or(""), self.ground, &redirect);
                format!("The service refused with {code}. {hint}{service}")
            }
            ExchangeError::Token(error @ TokenError::Passing { .. }) => {
                format!("It failed at the service: {error}. Try again in a moment.")
            }
            ExchangeError::Token(error @ TokenError::Unreadable { .. }) => {
                format!("This is no answer of OAuth: {error}. Is the token URL right?")
            }
        }
    }

    /// The step of a token that was asked for; the token, if it came.
    pub fn token(&mut self, granted: Result<Granted, ExchangeError>) -> Option<Granted> {
        if let Ok(Granted { credential, id_token, .. }) = &granted {
            match credential {
                Credential::OAuth2 { access_token, refresh_token } => {
                    for secret in
                        [Some(access_token), refresh_token.as_ref(), id_token.as_ref()].into_iter().flatten()
                    {
                        self.mask.add(secret.expose_secret());
                    }
                }
                Credential::OAuth1 { token, secret } => {
                    self.mask.add(token.expose_secret());
                    self.mask.add(secret.expose_secret());
                }
                Credential::Fields(_) | Credential::None => {}
            }
        }
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &granted {
            Ok(granted) => (TrialOutcome::Passed, came(granted)),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        self.add(TrialStep {
            kind: TrialKind::Token,
            outcome,
            words: self.mask.text(&words),
            request,
            answer,
        });
        granted.ok()
    }

    /// The test operation, and whose account it is.
    pub async fn with_credential(&mut self, mut granted: Granted) {
        let mut attributes = std::mem::take(&mut granted.attributes);
        let bounds = match self.ground.bounds(&attributes) {
            Ok(bounds) => bounds,
            Err(error) => {
                let words = self.mask.text(&said(&error));
                self.add(TrialStep { words, ..step(TrialKind::Test, TrialOutcome::Failed) });
                return;
            }
        };
        // What several choices are open for is asked after an authorization, and is not asked in a trial.
        let credential = (&granted.credential, &bounds);
        self.engine.choose_alone(self.ground, credential, &mut attributes, None).await;
        self.watch.take();
        let test = self.test(&granted, &bounds, &attributes).await;
        self.add(test);
        let identity = self.identity(&granted, &bounds, &attributes).await;
        self.add(identity);
    }

    async fn test(
        &self,
        granted: &Granted,
        bounds: &crate::connect::Bounds,
        attributes: &Attributes,
    ) -> TrialStep {
        let Some(test) = &self.ground.connector.test else {
            let words = "The connector has no test: whatever is typed would be kept without being tried. Add a cheap call under Test.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Test, TrialOutcome::Skipped) };
        };
        if waits(self.ground, &test.path, attributes) {
            let words =
                "The test needs a choice that a person makes after authorizing. It is not made in a trial.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Test, TrialOutcome::Skipped) };
        }
        let result = match rendered(self.ground, &test.path, attributes) {
            Ok(path) => {
                let (method, body) = (test.method.as_str(), test.body.as_ref());
                self.engine
                    .try_call(self.ground, (&granted.credential, bounds), attributes, method, &path, body)
                    .await
            }
            Err(error) => Err(error),
        };
        let (request, answer) = self.shown(false);
        let (outcome, words) = match result {
            Err(error) => (TrialOutcome::Failed, said(&error)),
            Ok((status, body)) if test.passed(status, body.as_ref()) => {
                if is_page(answer.as_ref()) {
                    let words = "The service answered with a web page. An API rarely does: look at the base URL and the path.";
                    (TrialOutcome::Unsure, words.to_owned())
                } else {
                    (TrialOutcome::Passed, "The service accepts the credential.".to_owned())
                }
            }
            Ok((status @ 200..=299, _)) => (
                TrialOutcome::Failed,
                format!(
                    "The service answered {status}, but not what the test expects. Compare `expect` with the answer below."
                ),
            ),
            Ok((status, _)) => (TrialOutcome::Failed, explained(self.ground, status, answer.as_ref())),
        };
        TrialStep { kind: TrialKind::Test, outcome, words: self.mask.text(&words), request, answer }
    }

    async fn identity(
        &self,
        granted: &Granted,
        bounds: &crate::connect::Bounds,
        attributes: &Attributes,
    ) -> TrialStep {
        let Some(identity) = &self.ground.connector.identity else {
            let words =
                "The connector does not say how to learn whose account it is. Accounts are numbered then.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Identity, TrialOutcome::Skipped) };
        };
        let whose = self.engine.identify(self.ground, granted, bounds, attributes).await;
        let (request, answer) = self.shown(false);
        let (outcome, words) = match (&whose.name, &whose.subject) {
            (Some(name), Some(_)) => (TrialOutcome::Passed, format!("The account would be called {name}.")),
            (Some(name), None) => (
                TrialOutcome::Passed,
                format!(
                    "The account would be called {name}. What identifies it for good was not found, so another person could not be told from him."
                ),
            ),
            (None, _) => (TrialOutcome::Unsure, self.nameless(identity, attributes, answer.as_ref())),
        };
        TrialStep { kind: TrialKind::Identity, outcome, words: self.mask.text(&words), request, answer }
    }

    /// Why the account would have no name.
    fn nameless(
        &self,
        identity: &connector::Identity,
        attributes: &Attributes,
        answer: Option<&TrialAnswer>,
    ) -> String {
        let numbered = "The account would be numbered.";
        let at = identity.name.as_deref().unwrap_or("");
        match (identity.from, answer) {
            (IdentitySource::Call, Some(answer)) if !(200..=299).contains(&answer.status) => {
                format!("{} {numbered}", explained(self.ground, answer.status, Some(answer)))
            }
            (IdentitySource::Call, None) => {
                let why = identity.url.as_deref().map(|url| rendered(self.ground, url, attributes));
                let why = match why {
                    Some(Err(error)) => said(&error),
                    Some(Ok(_)) => "No answer came.".to_owned(),
                    None => "No call is named that would tell it.".to_owned(),
                };
                format!("{why} {numbered}")
            }
            _ if at.is_empty() => format!("No place for the account's name is given. {numbered}"),
            (IdentitySource::Token, _) => {
                format!("The answer of the token endpoint has nothing at {at}. {numbered}")
            }
            (IdentitySource::IdToken, _) => {
                format!(
                    "There is no ID token, or nothing in it at {at}. Is the scope openid asked for? {numbered}"
                )
            }
            (IdentitySource::Call, Some(_)) => format!("The answer has nothing at {at}. {numbered}"),
        }
    }
}

//! Mail, where a server for it is configured: invitations and links for forgotten passwords, in plain text.
//!
//! Nobody waits for it: a mail is sent beside the request, a few times if need be, and what cannot be sent is told by the log. Addresses
//! and texts go through the types of the mail library, which encode whatever would end a header.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jackfield_core::{Error, Result, Timestamp};
use jackfield_store::{LinkKind, Member};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::sync::Semaphore;

use crate::Engine;
use crate::govern::passwords::LinkView;

/// Mails under way at a time; more are dropped, as whoever asks for them can ask again.
const AT_ONCE: usize = 64;
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pauses before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(90)];

/// A server that takes mail, and from whom it comes.
#[derive(Clone)]
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// where it is, without user and password
    place: String,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Mail {
    /// Reads `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465` (TLS from the start). `?tls=opportunistic` or `?tls=none` lets
    /// `smtp` go without; so does a host of this machine. What is wrong is said as the end of a sentence, without the address.
    pub fn from_url(address: &str, from: &str) -> Result<Self, &'static str> {
        let from: Mailbox =
            from.parse().map_err(|_| "goes with no e-mail address that mail could come from")?;
        let url = url::Url::parse(address).map_err(|_| "is no URL")?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let parameters =
            || TlsParameters::new(host.clone()).map_err(|_| "names a host that has no certificate");
        let (tls, port) = match (url.scheme(), asked.as_deref()) {
            ("smtps", None) => (Tls::Wrapper(parameters()?), 465),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 587),
            ("smtp", None) if !local => (Tls::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), 587),
            ("smtp", None | Some("none")) => (Tls::None, 25),
            ("smtp" | "smtps", Some(_)) => {
                return Err("says something else for tls than required, opportunistic or none");
            }
            _ => return Err("begins neither with smtp:// nor with smtps://"),
        };
        let port = url.port().unwrap_or(port);
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if !url.username().is_empty() {
            let plain = |text: &str| {
                let encoded = format!("x={}", text.replace('+', "%2B"));
                form_urlencoded::parse(encoded.as_bytes())
                    .next()
                    .map(|(_, v)| v.into_owned())
                    .unwrap_or_default()
            };
            let password = plain(url.password().unwrap_or(""));
            transport = transport.credentials(Credentials::new(plain(url.username()), password));
        }
        Ok(Self {
            transport: transport.build(),
            from,
            place: format!("{host}:{port}"),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether the server answers and takes our name and password.
    pub async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it answered, but did not take the connection".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a mail and waits for the server to take it. `key` makes the same mail the same message when it is sent again, which mail programs
    /// recognize (RFC 5322 §3.6.4). An error tells whether it is for good, and why.
    pub(crate) async fn deliver(
        &self,
        to: &[String],
        subject: &str,
        text: String,
        key: &str,
    ) -> std::result::Result<(), (bool, String)> {
        let wrong = |_| (true, "The mail cannot be written: check its addresses and its subject.".to_owned());
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(format!("<{key}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN);
        for address in to {
            let address =
                address.parse().map_err(|_| (true, "A recipient is no e-mail address.".to_owned()))?;
            message = message.to(Mailbox::new(None, address));
        }
        let message = message.body(text).map_err(wrong)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err((error.is_permanent(), format!("The mail server did not take it: {error}."))),
        }
    }

    /// Sends it beside the request. `what` is for the log.
    fn send(&self, what: String, to: &str, subject: &str, text: String) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::warn!(what, "too many mails are under way; this one is not sent");
            return;
        };
        let message = match self.message(to, subject, text) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(what, %error, "the mail cannot be written; it is not sent");
                return;
            }
        };
        let transport = self.transport.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let mut pauses = PAUSES.into_iter();
            loop {
                let Err(error) = transport.send(message.clone()).await else {
                    tracing::info!(what, "mail sent");
                    return;
                };
                match pauses.next() {
                    Some(pause) if !error.is_permanent() => {
                        tracing::info!(what, %error, "the mail could not be sent; once more in a moment");
                        tokio::time::sleep(pause).await;
                    }
                    _ => {
                        tracing::warn!(what, %error, "the mail could not be sent; given up");
                        return;
                    }
                }
            }
        });
    }

    fn message(
        &self,
        to: &str,
        subject: &str,
        text: String,
    ) -> std::result::Result<Message, lettre::error::Error> {
        let to = to.parse().map_err(|_| lettre::error::Error::NonAsciiChars)?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
    }
}

impl Engine {
    /// Sends a link to whom it is for, where mail is configured.
    pub(crate) fn mail_link(&self, member: &Member, organization: &str, kind: LinkKind, link: &LinkView) {
        let Some(mail) = &self.settings().mail else { return };
        let until = day(link.expires_at);
        let (subject, text) = match kind {
            LinkKind::Invitation => (
                format!("You are invited to {organization}"),
                format!(
                    "Hello {},\n\nyou are invited to {organization} on Jackfield. Choose a password and join:\n\n{}\n\n\
                     The link is good once, until {until}. If you did not expect this mail, you need not do anything.\n",
                    member.name, link.url
                ),
            ),
            LinkKind::PasswordReset => (
                "A new password for Jackfield".to_owned(),
                format!(
                    "Hello {},\n\nsomebody, probably you, has asked for a new password for {organization} on Jackfield. \
                     Choose it here:\n\n{}\n\n\
                     The link is good once, until {until}. If it was not you, you need not do anything: your password stays as it is.\n",
                    member.name, link.url
                ),
            ),
        };
        mail.send(format!("{} for {}", kind.as_str(), member.id), &member.email, &subject, text);
    }

    /// The organization's name, for a mail.
    pub(crate) async fn organization_name(&self, id: &str) -> Result<String, Error> {
        Ok(self.own_organization(id).await?.name)
    }
}

fn day(at: Timestamp) -> String {
    let text = at.to_string();
    let (day, clock) = (text.get(..10).unwrap_or(&text), text.get(11..16).unwrap_or(""));
    format!("{day} {clock} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(url: &str) -> Result<Mail, &'static str> {
        Mail::from_url(url, "Jackfield <jackfield@example.com>")
    }

    #[test]
    fn addresses_of_servers_are_read_and_never_shown() {
        for (url, place) in [
            ("smtps://ada:p%40ss@mail.example.com", "mail.example.com:465"),
            ("smtp://ada:pass@mail.example.com", "mail.example.com:587"),
            ("smtp://127.0.0.1:2525", "127.0.0.1:2525"),
            ("smtp://mail.example.com?tls=none", "mail.example.com:25"),
        ] {
            let mail = new(url).unwrap();
            assert_eq!(mail.place(), place);
            assert!(!format!("{mail:?}").contains("p@ss"));
        }
        for wrong in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://x?tls=maybe",
            "smtps://x?tls=none",
        ] {
            assert!(new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_that_is_said_ends_a_header() {
        let mail = new("smtp://127.0.0.1").unwrap();
        let subject = "You are invited to Acme\r\nBcc: eve@example.com";
        let message = mail.message("bob@example.com", subject, "Hello\r\n.\r\nbye".to_owned()).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
        assert!(mail.message("bob@example.com>\r\nBcc: eve@example.com", "x", String::new()).is_err());
    }
}

//! Small parts of pages: status, mark, time, things to copy, and the words of the console.

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::connector::AuthType;
use jackfield_core::{ConnectionStatus, Environment, Level, MemberStatus, Role, Timestamp};

/// A status: a socket of its own shape and a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Connected,
    NotConnected,
    Attention,
    Disabled,
    Failed,
}

impl Status {
    /// Of a connection in one environment.
    pub fn of(enabled: bool, status: ConnectionStatus) -> Self {
        match status {
            _ if !enabled => Self::Disabled,
            ConnectionStatus::Connected => Self::Connected,
            ConnectionStatus::NotConnected => Self::NotConnected,
            ConnectionStatus::ReauthorizationRequired => Self::Attention,
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NotConnected => "unconnected",
            Self::Attention => "attention",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::NotConnected => "Not connected",
            Self::Attention => "Needs attention",
            Self::Disabled => "Disabled",
            Self::Failed => "Failed",
        }
    }
}

/// `{{ status }}` in a template: the socket and its word.
#[derive(Template)]
#[template(source = r#"<span class="status {{ self.0.class() }}">{{ self.1 }}</span>"#, ext = "html")]
pub(crate) struct StatusPart<'a>(Status, &'a str);

impl HtmlSafe for StatusPart<'_> {}

/// The socket of a status, its word only heard.
#[derive(Template)]
#[template(
    source = r#"<span class="status {{ self.0.class() }}"><span class="hidden-text">{{ self.0.word() }}</span></span>"#,
    ext = "html"
)]
pub(crate) struct SocketPart(Status);

impl HtmlSafe for SocketPart {}

impl Status {
    pub fn part(self) -> StatusPart<'static> {
        StatusPart(self, self.word())
    }

    /// The socket alone, beside a sentence that says more; the word stays for those who hear it.
    pub fn hidden(self) -> SocketPart {
        SocketPart(self)
    }

    /// The same socket with other words.
    pub fn saying(self, words: &str) -> StatusPart<'_> {
        StatusPart(self, words)
    }
}

/// A monogram in a stable hue: two letters of the name, one of 18 hues by the link name.
#[derive(Template)]
#[template(
    source = r#"<span class="mark hue-{{ hue }}{% if large %} large{% endif %}" aria-hidden="true">{{ letters }}</span>"#,
    ext = "html"
)]
pub(crate) struct Mark {
    letters: String,
    hue: u32,
    large: bool,
}

impl HtmlSafe for Mark {}

const HUES: u32 = 18;

pub(crate) fn mark(name: &str, link_name: &str) -> Mark {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("?");
    let letters = match words.next().and_then(|word| word.chars().next()) {
        Some(second) => first.chars().take(1).chain([second]).flat_map(char::to_uppercase).collect(),
        None => first
            .chars()
            .take(2)
            .enumerate()
            .flat_map(|(at, c)| if at == 0 { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] })
            .collect(),
    };
    // FNV-1a: the same colour on every node and for good.
    let hash = link_name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Mark { letters, hue: hash % HUES, large: false }
}

pub(crate) fn large_mark(name: &str, link_name: &str) -> Mark {
    Mark { large: true, ..mark(name, link_name) }
}

/// Something for machines, with a button that copies it where there is JavaScript.
#[derive(Template)]
#[template(
    source = r#"<span class="copyable"><code>{{ self.0 }}</code><button type="button" data-copy="{{ self.0 }}" hidden>Copy<span class="hidden-text"> {{ self.0 }}</span></button></span>"#,
    ext = "html"
)]
pub(crate) struct Copyable<'a>(&'a str);

impl HtmlSafe for Copyable<'_> {}

pub(crate) fn copyable(text: &str) -> Copyable<'_> {
    Copyable(text)
}

/// A code that is typed on another screen, and where.
#[derive(Template)]
#[template(path = "console/parts/device.html")]
pub(crate) struct DeviceCode<'a> {
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: Option<&'a str>,
}

impl HtmlSafe for DeviceCode<'_> {}

#[allow(clippy::ref_option, reason = "templates pass references")]
pub(crate) fn device_code<'a>(
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: &'a Option<String>,
) -> DeviceCode<'a> {
    let verification_uri_complete = verification_uri_complete.as_deref();
    DeviceCode { user_code, verification_uri, verification_uri_complete }
}

/// A point in time: how long ago or ahead in words, and exactly for machines and on hovering.
#[derive(Template)]
#[template(source = r#"<time datetime="{{ exact }}" title="{{ exact }}">{{ words }}</time>"#, ext = "html")]
pub(crate) struct When {
    exact: String,
    words: String,
}

impl HtmlSafe for When {}

pub(crate) fn when(now: &Timestamp, at: &Timestamp) -> When {
    When { exact: at.to_string(), words: distance(*now, *at) }
}

/// `3 minutes ago`, `in 2 days`, `just now`.
pub(crate) fn distance(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.micros().abs_diff(at.micros()) / 1_000_000;
    let (count, unit) = match seconds {
        0..10 => return "just now".to_owned(),
        10..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        86_400..5_184_000 => (seconds / 86_400, "day"),
        5_184_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if at > now { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

pub(crate) fn role_word(role: &Role) -> &'static str {
    match role {
        Role::SuperAdmin => "Super admin",
        Role::Admin => "Admin",
        Role::Developer => "Developer",
        Role::User => "User",
    }
}

pub(crate) fn level_word(level: &Level) -> &'static str {
    match level {
        Level::System => "System",
        Level::Admin => "Administrator",
        Level::User => "Any user",
    }
}

pub(crate) fn environment_word(environment: &Environment) -> &'static str {
    match environment {
        Environment::Development => "Development",
        Environment::Stage => "Stage",
        Environment::Production => "Production",
    }
}

pub(crate) fn member_status_word(status: &MemberStatus) -> &'static str {
    match status {
        MemberStatus::Invited => "Invited",
        MemberStatus::Active => "Active",
        MemberStatus::Deactivated => "Deactivated",
    }
}

/// How a connector authenticates, in words.
pub(crate) fn scheme_word(auth_type: &str) -> &str {
    match AuthType::parse(auth_type) {
        Some(kind) => kind.title(),
        None => auth_type,
    }
}

/// With a capital at the front, as a heading has it.
pub(crate) fn title(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// `1 call`, `2 calls`.
pub(crate) fn count(number: impl std::borrow::Borrow<usize>, one: &str, many: &str) -> String {
    format!("{} {}", number.borrow(), if *number.borrow() == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_two_letters_and_stay() {
        let html = mark("Zoho CRM", "zoho_crm").render().unwrap();
        assert!(html.contains(">ZC<"), "{html}");
        assert!(mark("slack", "slack").render().unwrap().contains(">Sl<"));
        assert!(mark("<b>", "x").render().unwrap().contains(">B<"));
        assert!(mark("", "").render().unwrap().contains(">?<"));
        assert_eq!(html, mark("Zoho CRM", "zoho_crm").render().unwrap());
    }

    #[test]
    fn distances_are_said_in_one_unit() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(distance(at(1000), at(997)), "just now");
        assert_eq!(distance(at(1000), at(940)), "1 minute ago");
        assert_eq!(distance(at(0), at(3 * 86_400)), "in 3 days");
    }

    #[test]
    fn what_is_copied_is_escaped() {
        assert!(!copyable("\"><img src=x>").render().unwrap().contains("<img"));
    }
}

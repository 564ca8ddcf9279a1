//! How the connect pages look, which people see who never open the console.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::FieldError;
use crate::names;

/// Largest logo, as the text of its `data:` URL.
const LOGO_MAX: usize = 64 * 1024;
/// Kinds of picture that a browser shows in an `<img>` without running anything of theirs.
const LOGO_KINDS: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/svg+xml"];

/// Name, logo and colour of the connect pages, and who may show them in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// what people are told wants their account; the organization's name unless given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// a picture as a `data:` URL: PNG, JPEG, WebP or SVG in base64, at most 64 KiB
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// of the main button: `#rrggbb`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// origins such as `https://portal.example` that may show the connect pages in a frame; nobody else may
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frame_origins: Vec<String>,
}

impl Brand {
    /// What is wrong with it, by its dotted path under `brand`.
    pub fn check(&self) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let mut say = |field: String, why: &str| wrong.push(FieldError::new(field, "invalid", why));
        if let Some(Err(why)) = self.name.as_deref().map(names::display_name) {
            say("brand.name".to_owned(), &format!("The name {why}."));
        }
        if self.logo.as_deref().is_some_and(|logo| !is_logo(logo)) {
            say(
                "brand.logo".to_owned(),
                "The logo is a data: URL of a PNG, JPEG, WebP or SVG in base64, at most 64 KiB.",
            );
        }
        if self.colour.as_deref().is_some_and(|colour| rgb(colour).is_none()) {
            say("brand.colour".to_owned(), "The colour is # and six hexadecimal digits, such as #0a4fd0.");
        }
        for (at, origin) in self.frame_origins.iter().enumerate() {
            if !is_origin(origin) {
                say(
                    format!("brand.frame_origins.{at}"),
                    "An origin is https://, a host and perhaps a port, such as https://portal.example.",
                );
            }
        }
        wrong
    }
}

fn is_logo(logo: &str) -> bool {
    let Some((kind, data)) = logo.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) else {
        return false;
    };
    logo.len() <= LOGO_MAX
        && LOGO_KINDS.contains(&kind)
        && !data.is_empty()
        && data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

/// Scheme, host and port, with nothing that would end a directive of a policy. Plain http only for this machine.
pub(crate) fn is_origin(origin: &str) -> bool {
    let host = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(host), _) => host,
        (None, Some(host)) if host.starts_with("127.0.0.1") || host.starts_with("localhost") => host,
        _ => return false,
    };
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    origin.len() <= 200
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && port.parse::<u16>().is_ok()
}

/// Red, green and blue of `#rrggbb`.
pub fn rgb(colour: &str) -> Option<(u8, u8, u8)> {
    let digits = colour.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    Some((part(0)?, part(2)?, part(4)?)).filter(|_| plain)
}

/// Whether black reads better on the colour than white: one of them always has a contrast of 4.5 (WCAG 2.2 §1.4.3, relative luminance).
pub fn wants_black((red, green, blue): (u8, u8, u8)) -> bool {
    let linear = |channel: u8| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    // The contrasts (L + 0.05) / 0.05 and 1.05 / (L + 0.05) are equal here.
    luminance > 0.179
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = Brand {
            name: Some("Acme".to_owned()),
            logo: Some("data:image/png;base64,iVBORw0KGgo=".to_owned()),
            colour: Some("#0a4FD0".to_owned()),
            frame_origins: vec!["https://portal.example:8443".to_owned(), "http://localhost:3000".to_owned()],
        };
        assert!(good.check().is_empty());
        let bad = Brand {
            name: Some(String::new()),
            logo: Some("https://evil.example/logo.png".to_owned()),
            colour: Some("red; } body { display: none".to_owned()),
            frame_origins: ["*", "https://a.example; script-src *", "http://a.example", "https://a/b"]
                .map(str::to_owned)
                .to_vec(),
        };
        let fields: Vec<String> = bad.check().into_iter().map(|error| error.field).collect();
        let origins = (0..4).map(|n| format!("brand.frame_origins.{n}"));
        let named = ["brand.name", "brand.logo", "brand.colour"].map(str::to_owned).into_iter();
        assert_eq!(fields, named.chain(origins).collect::<Vec<_>>());
        for logo in ["data:text/html;base64,PHA+", "data:image/png;base64,", "data:image/png;base64,\"><x>"] {
            let brand = Brand { logo: Some(logo.to_owned()), ..Brand::default() };
            assert_eq!(brand.check().len(), 1, "{logo}");
        }
    }

    #[test]
    fn letters_on_a_colour_can_be_read() {
        assert!(wants_black((255, 255, 0)) && wants_black((120, 200, 120)));
        assert!(!wants_black((0, 0, 0)) && !wants_black((10, 79, 208)) && !wants_black((200, 30, 30)));
        assert_eq!(rgb("#0a4FD0"), Some((10, 79, 208)));
        assert_eq!(rgb("#+a4fd0"), None);
        assert_eq!(rgb("0a4fd0"), None);
    }
}

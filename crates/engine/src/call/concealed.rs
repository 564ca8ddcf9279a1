//! Secrets that are taken out of what is shown or kept, in each form in which a service may send them back.

use base64::Engine as _;
use serde_json::Value;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "••••";
/// A shorter secret is no word to look for: it would take half of an answer with it.
const SHORTEST: usize = 4;

/// Secrets that are known.
#[derive(Default)]
pub(crate) struct Concealed(Vec<Zeroizing<String>>);

impl Concealed {
    /// A secret, in every form in which it may come back.
    pub fn add(&mut self, secret: &str) {
        let standard = base64::engine::general_purpose::STANDARD.encode(secret);
        let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let percent = form.replace('+', "%20");
        let json = Value::from(secret).to_string();
        let json = json.trim_matches('"').to_owned();
        let forms =
            [secret.to_owned(), form.to_lowercase(), form, percent.to_lowercase(), percent, json, standard];
        for form in forms {
            if form.len() >= SHORTEST && !self.0.iter().any(|known| **known == form) {
                self.0.push(form.into());
            }
        }
        // The longer first: what holds another is taken out as a whole.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// A text without any secret that is known.
    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }

    /// The same for every text of a value, names included.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let mut concealed = Concealed::default();
        for secret in ["p+ss \"word", "abc"] {
            concealed.add(secret);
        }
        let text = "p+ss \"word p%2Bss+%22word p%2bss%20%22word p+ss \\\"word cCtzcyAid29yZA== abc";
        assert_eq!(concealed.text(text), "•••• •••• •••• •••• •••• abc");
        let value = json!({"a": ["x p+ss \"word"], "p+ss \"word": 1, "n": 7});
        assert_eq!(concealed.value(value), json!({"a": ["x ••••"], "••••": 1, "n": 7}));
    }
}

//! An e-mail as it travels (RFC 5322), made of fields: for services that take nothing less, such as Gmail.
//!
//! What somebody typed stays in its place. A header line is one line whatever its field holds: a line break in an address is refused, and a
//! subject that is not plain is encoded (RFC 2047). The text is base64, so that nothing in it can end it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::FieldError;

/// The fields that hold addresses, and their header lines.
const ADDRESSES: [(&str, &str); 5] =
    [("from", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply-To")];
const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "html";
/// Between the parts; base64 cannot hold it.
const BOUNDARY: &str = "=_part_=";
/// Bytes of an encoded word's text: with its frame it is at most 75 characters long (RFC 2047 §2).
const WORD_MAX: usize = 45;
/// Characters of a line that need no folding (RFC 5322 §2.1.1), less the name in front.
const PLAIN_MAX: usize = 900;
/// Characters of a line of base64 (RFC 2045 §6.8).
const LINE_MAX: usize = 76;

/// Whether there is a field called so.
pub(super) fn knows(name: &str) -> bool {
    ADDRESSES.iter().any(|(field, _)| *field == name) || [SUBJECT, TEXT, HTML].contains(&name)
}

/// All names, for a message.
pub(super) fn names() -> String {
    let addresses = ADDRESSES.map(|(field, _)| field).join(", ");
    format!("{addresses}, {SUBJECT}, {TEXT} or {HTML}")
}

/// The message that these fields stand for.
pub(super) fn message(fields: &Map<String, Value>) -> Result<String, FieldError> {
    let mut out = String::new();
    for (field, header) in ADDRESSES {
        if let Some(value) = fields.get(field) {
            line(&mut out, header, &addresses(field, value)?);
        }
    }
    if let Some(subject) = text_of(fields, SUBJECT) {
        line(&mut out, "Subject", &one_line(subject));
    }
    line(&mut out, "MIME-Version", "1.0");
    match (text_of(fields, TEXT), text_of(fields, HTML)) {
        (Some(text), Some(html)) => {
            line(&mut out, "Content-Type", &format!("multipart/alternative; boundary=\"{BOUNDARY}\""));
            for (kind, text) in [("plain", text), ("html", html)] {
                out.push_str("\r\n--");
                out.push_str(BOUNDARY);
                out.push_str("\r\n");
                content(&mut out, kind, text);
            }
            out.push_str("\r\n--");
            out.push_str(BOUNDARY);
            out.push_str("--\r\n");
        }
        (None, Some(html)) => content(&mut out, "html", html),
        (text, None) => content(&mut out, "plain", text.unwrap_or("")),
    }
    Ok(out)
}

fn text_of<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn line(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

fn content(out: &mut String, kind: &str, text: &str) {
    line(out, "Content-Type", &format!("text/{kind}; charset=utf-8"));
    line(out, "Content-Transfer-Encoding", "base64");
    // Lines of a text end in CRLF before it is encoded (RFC 2045 §6.8).
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    for (at, character) in STANDARD.encode(text).chars().enumerate() {
        if at % LINE_MAX == 0 {
            out.push_str("\r\n");
        }
        out.push(character);
    }
    out.push_str("\r\n");
}

/// One address or several. With a name in front, in whatever script, only where it is one.
fn addresses(field: &str, value: &Value) -> Result<String, FieldError> {
    let wrong = |message: &str| FieldError::new(field, "invalid", message);
    let all: Vec<&str> = match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        single => single.as_str().into_iter().collect(),
    };
    let mut written = Vec::with_capacity(all.len());
    for address in all {
        let address = address.trim();
        if address.chars().any(char::is_control) {
            return Err(wrong(
                "It must be one line: a line break would begin another header of the message.",
            ));
        }
        written.push(match address.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            _ if address.is_ascii() => address.to_owned(),
            Some((name, address)) if address.is_ascii() && !name.contains(['<', ',', ';']) => {
                format!("{} <{address}>", one_line(name.trim().trim_matches('"')))
            }
            _ => {
                return Err(wrong(
                    "It must be of plain letters, but for a name in front of one address, as Zoë <zoe@acme.example>.",
                ));
            }
        });
    }
    let written = written.join(",\r\n ");
    if written.is_empty() { Err(wrong("It must be an e-mail address.")) } else { Ok(written) }
}

/// A text in a header line: as it is where it is plain, else in encoded words of whole characters.
fn one_line(text: &str) -> String {
    let plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if plain && text.len() <= PLAIN_MAX && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    // A line break is a space here, as it is to whoever reads the subject.
    for character in text.replace("\r\n", " ").chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if word.len() + character.len_utf8() > WORD_MAX {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(fields: Value) -> Result<String, FieldError> {
        let Value::Object(fields) = fields else { panic!("no object") };
        message(&fields)
    }

    #[test]
    fn a_message_is_made_of_its_fields() {
        let plain = made(json!({"to": "a@b.example", "subject": "Hello", "text": "Hi\nthere"})).unwrap();
        assert_eq!(
            plain,
            "To: a@b.example\r\nSubject: Hello\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nSGkNCnRoZXJl\r\n"
        );
        let both = made(json!({"to": ["a@b.example", "Zoë <z@b.example>"], "text": "x", "html": "<p>x</p>"}))
            .unwrap();
        assert!(both.starts_with("To: a@b.example,\r\n =?utf-8?B?Wm/Dqw==?= <z@b.example>\r\n"), "{both}");
        assert!(both.contains("boundary=\"=_part_=\"") && both.ends_with("\r\n--=_part_=--\r\n"), "{both}");
        let empty = made(json!({"to": "a@b.example"})).unwrap();
        assert!(empty.ends_with("Content-Transfer-Encoding: base64\r\n\r\n"), "{empty}");
    }

    #[test]
    fn nothing_that_is_typed_makes_a_header() {
        for field in ["from", "to", "cc", "bcc", "reply_to"] {
            for value in [
                "a@b.example\r\nBcc: x@evil.example",
                "a@b.example\nX: y",
                "a@b.example\rX: y",
                "a\u{0}@b.example",
            ] {
                let wrong = made(json!({field: value})).unwrap_err();
                assert_eq!((wrong.field.as_str(), wrong.code.as_str()), (field, "invalid"), "{value:?}");
                assert!(made(json!({field: ["a@b.example", value]})).is_err(), "{value:?}");
            }
        }
        let hostile = "Hi\r\nBcc: x@evil.example\r\n\r\n<b>no</b>";
        let name = format!("Zoë{} <z@b.example>", "\u{85}Bcc: x");
        assert!(made(json!({"to": name})).is_err());
        for value in [hostile, "=?utf-8?Q?Hi=0D=0ABcc:_x?=", "Žluťoučký\nBcc: x@evil.example"] {
            let said = made(json!({"to": "a@b.example", "subject": value, "text": hostile, "html": hostile}))
                .unwrap();
            let names: Vec<&str> = said
                .split("\r\n")
                .filter(|line| !line.starts_with(' ') && !line.starts_with("--"))
                .filter_map(|line| line.split_once(": "))
                .map(|(name, _)| name)
                .collect();
            let content = ["Content-Type", "Content-Transfer-Encoding"];
            let expected =
                [&["To", "Subject", "MIME-Version", "Content-Type"][..], &content, &content].concat();
            assert_eq!(names, expected, "{said}");
        }
    }

    #[test]
    fn long_subjects_are_words_of_whole_characters() {
        let subject = "ž".repeat(400);
        let said = made(json!({"to": "a@b.example", "subject": subject})).unwrap();
        let head = said.split("\r\nMIME-Version").next().unwrap();
        let mut read = String::new();
        for line in head.split("\r\n").skip(1) {
            assert!(line.len() <= 100, "{line}");
            let word = line.trim_start_matches("Subject:").trim();
            let word = word.strip_prefix("=?utf-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
            assert!(word.len() + 12 <= 75, "{word}");
            read.push_str(&String::from_utf8(STANDARD.decode(word).unwrap()).unwrap());
        }
        assert_eq!(read, subject);
        assert!(said.split("\r\n").all(|line| line.len() <= 998));
    }
}

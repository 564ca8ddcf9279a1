//! One value of one field: what is taken, how it is written, what a person is told who wrote something else.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::decimal::Decimal;
use super::document::{FieldType, FormField};
use super::file::{clean_filename, file_id, matches_file};
use crate::error::FieldError;

/// Integers that a browser and every other program read as they were written.
const NUMBER_MAX: i64 = 9_007_199_254_740_991;
/// Longest part of a name or address, in characters.
const PART_MAX: usize = 200;
/// Most values of a `multi_select` that are looked at; more than a field has choices, since one may come twice.
const CHOSEN_MAX: usize = 1_000;
/// How many parts are named that nobody asked for.
const UNKNOWN_MAX: usize = 20;
/// Largest program of a pattern, in bytes: what bounds the time that a match takes.
const PATTERN_MAX: usize = 256 * 1024;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Dotted path within the value; empty: the value itself.
    part: String,
    code: &'static str,
    message: String,
}

impl Fault {
    /// As an error, for the value at this path.
    pub(super) fn at(self, path: &str) -> FieldError {
        let path = if self.part.is_empty() { path.to_owned() } else { format!("{path}.{}", self.part) };
        FieldError::new(path, self.code, self.message)
    }
}

/// The value as it stands in a record, `None` when it is empty.
pub(super) type Read<T = Option<Value>> = Result<T, Vec<Fault>>;

fn fault<T>(code: &'static str, message: impl Into<String>) -> Read<T> {
    Err(vec![in_part("", code, message)])
}

fn in_part(part: &str, code: &'static str, message: impl Into<String>) -> Fault {
    Fault { part: part.to_owned(), code, message: message.into() }
}

/// A pattern as it is matched: against the whole value. `None` when it is none, or too large.
pub(super) fn compile(pattern: &str) -> Option<regex_lite::Regex> {
    let build = |text: &str| regex_lite::RegexBuilder::new(text).size_limit(PATTERN_MAX).build().ok();
    // By itself, too: `a)|(?:b` would be one inside of the brackets.
    build(pattern)?;
    build(&format!("^(?:{pattern})$"))
}

impl FormField {
    /// The value as it stands in a record; everything that the field demands of it is checked but `required`.
    pub(super) fn read(&self, given: &Value) -> Read {
        let Some(value) = self.shape(given)? else { return Ok(None) };
        self.limits(&value)?;
        Ok(Some(value))
    }

    /// The same without the limits that an author sets: `min`, `max`, lengths, pattern.
    pub(super) fn shape(&self, given: &Value) -> Read {
        if given.is_null() {
            return Ok(None);
        }
        match self.kind {
            FieldType::SingleLine => line(given, "Enter text.").map(text_value),
            FieldType::MultiLine => lines(given).map(text_value),
            FieldType::Number => number(given),
            FieldType::Decimal | FieldType::Currency => self.decimal(given),
            FieldType::Email => written(given, "Enter an e-mail address such as name@example.com.", email),
            FieldType::Phone => written(
                given,
                "Enter a telephone number such as +49 30 1234567: digits, blanks and + ( ) - . / only.",
                phone,
            ),
            FieldType::Url => written(given, "Enter a link such as https://example.com.", link),
            FieldType::Date => written(given, "Enter a date such as 2026-11-22.", date),
            FieldType::DateTime => {
                written(given, "Enter a date and time such as 2026-11-22T14:30:00Z.", date_time)
            }
            FieldType::Time => written(given, "Enter a time such as 14:30.", time),
            FieldType::Dropdown | FieldType::Radio => self.choice(given),
            FieldType::MultiSelect => self.chosen(given),
            FieldType::Checkbox => match given {
                Value::Bool(_) => Ok(Some(given.clone())),
                _ => fault("wrong_type", "Tick the box or leave it: true or false."),
            },
            FieldType::File => self.file(given),
            FieldType::Name => parts(self.kind, given, &["first", "last"]),
            FieldType::Address => parts(self.kind, given, &["line_1", "city"]),
        }
    }

    /// Which of two values in the form of a record is smaller; `None` where there is no order.
    pub(super) fn order(&self, left: &Value, right: &Value) -> Option<Ordering> {
        match self.kind {
            FieldType::Number => Some(left.as_i64()?.cmp(&right.as_i64()?)),
            FieldType::Decimal | FieldType::Currency => {
                Some(Decimal::parse(left.as_str()?)?.cmp(&Decimal::parse(right.as_str()?)?))
            }
            // All of a type have the same length, and the largest part first.
            FieldType::Date | FieldType::DateTime | FieldType::Time => {
                Some(left.as_str()?.cmp(right.as_str()?))
            }
            _ => None,
        }
    }

    fn limits(&self, value: &Value) -> Read<()> {
        if self.kind.is_text() {
            return self.text_limits(value.as_str().unwrap_or_default());
        }
        let dated = !matches!(self.kind, FieldType::Number | FieldType::Decimal | FieldType::Currency);
        let bound = |limit: &Option<Value>| limit.as_ref().and_then(|limit| self.shape(limit).ok().flatten());
        let shown = |limit: &Value| limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
        if let Some(min) = bound(&self.min)
            && self.order(value, &min) == Some(Ordering::Less)
        {
            let why = if dated { "Enter one that is not before" } else { "Enter a number that is at least" };
            return fault("too_small", format!("{why} {}.", shown(&min)));
        }
        if let Some(max) = bound(&self.max)
            && self.order(value, &max) == Some(Ordering::Greater)
        {
            let why = if dated { "Enter one that is not after" } else { "Enter a number that is at most" };
            return fault("too_large", format!("{why} {}.", shown(&max)));
        }
        Ok(())
    }

    fn text_limits(&self, text: &str) -> Read<()> {
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let longest = self.longest();
        if length > longest {
            return fault("too_long", format!("Enter at most {longest} characters; these are {length}."));
        }
        if let Some(shortest) = self.min_length.filter(|shortest| length < *shortest) {
            return fault("too_short", format!("Enter at least {shortest} characters; these are {length}."));
        }
        match self.pattern.as_deref() {
            Some(pattern) if !compile(pattern).is_some_and(|regex| regex.is_match(text)) => {
                let hint = match self.help.as_deref() {
                    Some(help) => format!("Enter it in the form that is asked for. {help}"),
                    None => format!("Enter it in the form that is asked for ({pattern})."),
                };
                fault("invalid", hint)
            }
            _ => Ok(()),
        }
    }

    fn decimal(&self, given: &Value) -> Read {
        let Some(text) = numeric(given)? else { return Ok(None) };
        let places = self.places();
        let example = match places {
            0 => "12".to_owned(),
            _ => format!("12.{:0<1$}", "5", usize::from(places)),
        };
        let Some(number) = Decimal::parse(&text) else {
            return fault("invalid", format!("Enter a number such as {example}, without commas or blanks."));
        };
        match number.text(places) {
            Some(text) => Ok(Some(Value::String(text))),
            None => {
                fault("invalid", format!("Enter a number with at most {places} decimals, such as {example}."))
            }
        }
    }

    /// The value of the choice that this text is.
    fn choice_of(&self, text: &str) -> Option<&str> {
        self.choices.iter().map(|choice| choice.value.as_str()).find(|value| *value == text.trim())
    }

    fn choice(&self, given: &Value) -> Read {
        let Some(text) = given.as_str() else { return fault("wrong_type", "Choose one of the list.") };
        if text.trim().is_empty() {
            return Ok(None);
        }
        match self.choice_of(text) {
            Some(value) => Ok(Some(Value::String(value.to_owned()))),
            None => fault("invalid", self.choose_one()),
        }
    }

    fn chosen(&self, given: &Value) -> Read {
        let given = match given {
            Value::Array(items) => items.as_slice(),
            Value::String(_) => std::slice::from_ref(given),
            _ => return fault("wrong_type", "Choose from the list: a list of its values."),
        };
        if given.len() > CHOSEN_MAX {
            return fault("too_long", "Choose each value of the list once.");
        }
        let mut faults = Vec::new();
        for (index, item) in given.iter().enumerate() {
            match item.as_str() {
                Some(text) if self.choice_of(text).is_some() => {}
                Some(_) => faults.push(in_part(&index.to_string(), "invalid", "Choose from the list only.")),
                None => faults.push(in_part(&index.to_string(), "wrong_type", "Choose from the list only.")),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let is_given = |value: &str| given.iter().filter_map(Value::as_str).any(|text| text.trim() == value);
        let chosen: Vec<Value> = self
            .choices
            .iter()
            .filter(|choice| is_given(&choice.value))
            .map(|choice| Value::String(choice.value.clone()))
            .collect();
        Ok(if chosen.is_empty() { None } else { Some(Value::Array(chosen)) })
    }

    fn choose_one(&self) -> String {
        let words: Vec<&str> = self.choices.iter().take(10).map(|choice| choice.value.as_str()).collect();
        let more = if self.choices.len() > words.len() { "…" } else { "." };
        format!("Choose one of the list: {}{more}", words.join(", "))
    }

    /// A reference to a file that is kept; what was sent becomes one before it comes here.
    fn file(&self, given: &Value) -> Read {
        let Value::Object(members) = given else { return fault("wrong_type", "Choose a file.") };
        let mut faults = unknown_parts(members, &["file", "filename", "content_type", "size"]);
        let text = |part: &str| members.get(part).and_then(Value::as_str);
        let filename = text("filename").filter(|name| clean_filename(name) == **name);
        if filename.is_none() {
            let why = "Give the name of the file, without a folder and control characters.";
            faults.push(in_part("filename", "invalid", why));
        }
        if file_id(given).is_none() {
            let why = "Send the file itself: its filename, content_type and base64.";
            faults.push(in_part("file", "invalid", why));
        }
        let takes = |kind: &str| self.accept.iter().any(|a| matches_file(a, kind, filename.unwrap_or("")));
        match text("content_type").map(essence).filter(|kind| is_media_type(kind)) {
            None => {
                let why = "Give the media type of the file, such as application/pdf.";
                faults.push(in_part("content_type", "invalid", why));
            }
            Some(kind) if !self.accept.is_empty() && !takes(&kind) => {
                let why = format!("Choose a file of another kind: {}.", self.accept.join(", "));
                faults.push(in_part("", "not_allowed", why));
            }
            Some(_) => {}
        }
        match (members.get("size").and_then(Value::as_u64), self.max_bytes) {
            (None, _) => faults.push(in_part("size", "invalid", "Give the size of the file in bytes.")),
            (Some(size), Some(most)) if size > most => {
                faults.push(in_part("", "too_large", too_large(size, most)));
            }
            _ => {}
        }
        if faults.is_empty() { Ok(Some(given.clone())) } else { Err(faults) }
    }
}

/// What is said of a file that is larger than may be.
pub fn too_large(size: u64, most: u64) -> String {
    format!("Choose a file of at most {}; this one has {}.", bytes(most), bytes(size))
}

fn text_value(text: Option<String>) -> Option<Value> {
    text.map(Value::String)
}

/// One line without blanks around it; `None` when nothing is left.
fn line(given: &Value, ask: &str) -> Read<Option<String>> {
    let Some(text) = given.as_str().map(str::trim) else { return fault("wrong_type", ask) };
    if text.chars().any(char::is_control) {
        return fault("invalid", "Enter one line, without line breaks, tabs and other control characters.");
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Text as it was written, with `\n` as the only line break; `None` when there is nothing but blanks.
fn lines(given: &Value) -> Read<Option<String>> {
    let Some(text) = given.as_str() else { return fault("wrong_type", "Enter text.") };
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return fault("invalid", "Enter text without control characters.");
    }
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// A line that has a form of its own.
fn written(given: &Value, ask: &str, read: impl Fn(&str) -> Option<String>) -> Read {
    let Some(text) = line(given, ask)? else { return Ok(None) };
    match read(&text) {
        Some(text) => Ok(Some(Value::String(text))),
        None => fault("invalid", ask),
    }
}

/// The digits of a number, from a JSON number or a text.
fn numeric(given: &Value) -> Read<Option<String>> {
    match given {
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => line(given, "Enter a number."),
    }
}

fn number(given: &Value) -> Read {
    let Some(text) = numeric(given)? else { return Ok(None) };
    let whole = Decimal::parse(&text).and_then(Decimal::whole);
    match whole.filter(|number| (-NUMBER_MAX..=NUMBER_MAX).contains(number)) {
        Some(number) => Ok(Some(Value::from(number))),
        None => fault("invalid", "Enter a whole number such as 12, of at most 15 digits."),
    }
}

/// As browsers do it (HTML, "valid e-mail address"), and the domain has a dot or is `localhost`.
fn email(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let is_local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let fits = (1..=64).contains(&local.len())
        && local.bytes().all(is_local)
        && domain.split('.').all(is_label)
        && (domain.contains('.') || domain.eq_ignore_ascii_case("localhost"))
        && text.len() <= 254;
    fits.then(|| text.to_owned())
}

fn phone(text: &str) -> Option<String> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let fits = text.bytes().all(|b| b.is_ascii_digit() || b" +()-./".contains(&b));
    (fits && (3..=25).contains(&digits)).then(|| text.to_owned())
}

/// Only what is safe to click: never `javascript:` or `data:`.
fn link(text: &str) -> Option<String> {
    if text.chars().any(char::is_whitespace) {
        return None;
    }
    let url = url::Url::parse(text).ok()?;
    let fits = match url.scheme() {
        "http" | "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "mailto" => email(url.path()).is_some(),
        _ => false,
    };
    fits.then(|| text.to_owned())
}

/// The digits between these separators, if they have these lengths.
fn digits<const N: usize>(text: &str, between: char, lengths: [usize; N]) -> Option<[i16; N]> {
    let mut numbers = [0; N];
    let mut pieces = text.split(between);
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let piece = pieces.next().filter(|piece| piece.len() == length)?;
        *number = piece.bytes().all(|b| b.is_ascii_digit()).then(|| piece.parse().ok())??;
    }
    pieces.next().is_none().then_some(numbers)
}

fn date(text: &str) -> Option<String> {
    let [year, month, day] = digits(text, '-', [4, 2, 2])?;
    let small = |number: i16| i8::try_from(number).ok();
    jiff::civil::Date::new(year, small(month)?, small(day)?).ok()?;
    Some(text.to_owned())
}

/// Hours and minutes; seconds only when they are none, as some browsers add them.
fn time(text: &str) -> Option<String> {
    let short = if text.len() == 8 { text.strip_suffix(":00")? } else { text };
    let [hours, minutes] = digits(short, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then(|| short.to_owned())
}

/// RFC 3339 with any offset. Without one it is taken as UTC: that is what a browser's field for date and time sends.
fn date_time(text: &str) -> Option<String> {
    let (day, rest) = text.split_at_checked(10)?;
    date(day)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    if rest.len() > 30 || !rest.bytes().all(|b| b.is_ascii_digit() || b":.+-Zz".contains(&b)) {
        return None;
    }
    let (clock, offset) = rest.split_at(rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len()));
    let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
    digits(clock.get(..8)?, ':', [2, 2, 2])?;
    let offset = match offset {
        "" | "z" => "Z",
        offset => offset,
    };
    let moment: jiff::Timestamp = format!("{day}T{clock}{offset}").parse().ok()?;
    let whole = jiff::Timestamp::from_second(moment.as_millisecond().div_euclid(1000)).ok()?;
    // An offset can lead out of the years that have four digits.
    Some(whole.to_string()).filter(|text| text.len() == 20)
}

/// A name or an address: an object of lines.
fn parts(kind: FieldType, given: &Value, needed: &[&str]) -> Read {
    let noun = if kind == FieldType::Name { "name" } else { "address" };
    let Value::Object(members) = given else {
        return fault(
            "wrong_type",
            format!("Enter the {noun} by its parts: an object with {}.", kind.parts().join(", ")),
        );
    };
    let mut faults = unknown_parts(members, kind.parts());
    let mut read = Map::new();
    for part in kind.parts() {
        match members.get(*part).map_or(Ok(None), |given| match given {
            Value::Null => Ok(None),
            _ => line(given, "Enter text."),
        }) {
            Ok(Some(text)) if text.chars().count() > PART_MAX => {
                let why = format!("Enter at most {PART_MAX} characters.");
                faults.push(in_part(part, "too_long", why));
            }
            Ok(Some(text)) => {
                read.insert((*part).to_owned(), Value::String(text));
            }
            Ok(None) => {}
            Err(wrong) => faults.extend(wrong.into_iter().map(|f| in_part(part, f.code, f.message))),
        }
    }
    if faults.is_empty() && read.is_empty() {
        return Ok(None);
    }
    for part in needed {
        if !read.contains_key(*part) && !faults.iter().any(|fault| fault.part == *part) {
            let why = match *part {
                "first" => "Enter the first name.",
                "last" => "Enter the last name.",
                "line_1" => "Enter street and number.",
                _ => "Enter the city.",
            };
            faults.push(in_part(part, "required", why));
        }
    }
    if faults.is_empty() { Ok(Some(Value::Object(read))) } else { Err(faults) }
}

fn unknown_parts(members: &Map<String, Value>, known: &[&str]) -> Vec<Fault> {
    members
        .keys()
        .filter(|part| !known.contains(&part.as_str()))
        .take(UNKNOWN_MAX)
        .map(|part| in_part(part, "unknown", format!("Leave this out; the parts are {}.", known.join(", "))))
        .collect()
}

/// A media type without its parameters, in lower case.
pub(super) fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether it is a media type such as `application/pdf` (RFC 6838 §4.2), in lower case.
pub(super) fn is_media_type(kind: &str) -> bool {
    let is_word = |word: &str| {
        (1..=127).contains(&word.len())
            && word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&-^_.+".contains(&b))
    };
    kind.split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub))
}

/// Whether a media type is one of `image/*` or `application/pdf`.
pub(super) fn matches_type(accepted: &str, kind: &str) -> bool {
    match accepted.strip_suffix("/*") {
        Some(family) => kind.split_once('/').is_some_and(|(own, _)| own == family),
        None => accepted == kind,
    }
}

pub fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} bytes"),
        1024..1_048_576 => format!("{} KiB", number.div_ceil(1024)),
        _ => format!("{} MiB", number.div_ceil(1_048_576)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "fil_01890a5dac96774bbcceb302099a8057";

    /// What becomes of a value: its form in a record, or `path code`.
    fn read(field: &Value, given: &Value) -> Result<Value, String> {
        let mut document = field.clone();
        document["name"] = json!("f");
        let field: FormField = serde_json::from_value(document).unwrap();
        field.read(given).map(Option::unwrap_or_default).map_err(|faults| {
            let one = |fault: Fault| fault.at("f");
            let all: Vec<FieldError> = faults.into_iter().map(one).collect();
            for error in &all {
                assert!(error.message.ends_with(['.', '…']), "{}", error.message);
            }
            all.iter().map(|e| format!("{} {}", e.field, e.code)).collect::<Vec<_>>().join(", ")
        })
    }

    #[test]
    fn every_type_takes_what_it_should() {
        let choices = json!([{"value": "a"}, {"value": "b b"}, {"value": "c"}]);
        let euro = json!({"type": "currency", "currency": "EUR"});
        let yen = json!({"type": "currency", "currency": "JPY"});
        for (field, given, expected) in [
            (json!({}), json!("  Ünï  code "), json!("Ünï  code")),
            (json!({}), json!("  "), json!(null)),
            (json!({}), json!(null), json!(null)),
            (json!({"type": "multi_line"}), json!("a\r\n\tb\r "), json!("a\n\tb\n ")),
            (json!({"type": "multi_line"}), json!(" \r\n "), json!(null)),
            (json!({"type": "number"}), json!(-7), json!(-7)),
            (json!({"type": "number"}), json!(7.0), json!(7)),
            (json!({"type": "number"}), json!(" 007 "), json!(7)),
            (json!({"type": "number"}), json!(""), json!(null)),
            (json!({"type": "number"}), json!(NUMBER_MAX), json!(NUMBER_MAX)),
            (json!({"type": "decimal"}), json!(12.5), json!("12.50")),
            (json!({"type": "decimal"}), json!(12), json!("12.00")),
            (json!({"type": "decimal", "decimals": 0}), json!("12.000"), json!("12")),
            (json!({"type": "decimal", "decimals": 3}), json!("-0.5"), json!("-0.500")),
            (euro.clone(), json!("0012.5"), json!("12.50")),
            (yen.clone(), json!(1200), json!("1200")),
            (json!({"type": "email"}), json!(" Ann+1@Example.com "), json!("Ann+1@Example.com")),
            (json!({"type": "email"}), json!("root@localhost"), json!("root@localhost")),
            (json!({"type": "phone"}), json!("+49 (0)30/123-45.6"), json!("+49 (0)30/123-45.6")),
            (json!({"type": "url"}), json!("https://example.com/a?b#c"), json!("https://example.com/a?b#c")),
            (json!({"type": "url"}), json!("mailto:a@example.com"), json!("mailto:a@example.com")),
            (json!({"type": "date"}), json!("2024-02-29"), json!("2024-02-29")),
            (
                json!({"type": "date_time"}),
                json!("2026-11-22T14:30:00.987+02:00"),
                json!("2026-11-22T12:30:00Z"),
            ),
            (json!({"type": "date_time"}), json!("2026-11-22T14:30"), json!("2026-11-22T14:30:00Z")),
            (json!({"type": "date_time"}), json!("1969-12-31 23:59:59.5z"), json!("1969-12-31T23:59:59Z")),
            (json!({"type": "time"}), json!("00:00"), json!("00:00")),
            (json!({"type": "time"}), json!("23:59:00"), json!("23:59")),
            (json!({"type": "dropdown", "choices": choices}), json!(" b b "), json!("b b")),
            (json!({"type": "radio", "choices": choices}), json!(""), json!(null)),
            (json!({"type": "multi_select", "choices": choices}), json!(["c", "a", "c"]), json!(["a", "c"])),
            (json!({"type": "multi_select", "choices": choices}), json!("c"), json!(["c"])),
            (json!({"type": "multi_select", "choices": choices}), json!([]), json!(null)),
            (json!({"type": "checkbox"}), json!(false), json!(false)),
            (
                json!({"type": "name"}),
                json!({"prefix": " ", "first": " Ann ", "last": "Lee"}),
                json!({"first": "Ann", "last": "Lee"}),
            ),
            (json!({"type": "name"}), json!({"first": "", "last": null}), json!(null)),
            (
                json!({"type": "address"}),
                json!({"line_1": "Way 1", "city": "Ulm", "country": "DE"}),
                json!({"line_1": "Way 1", "city": "Ulm", "country": "DE"}),
            ),
            (
                json!({"type": "file", "accept": ["image/*", "application/pdf"], "max_bytes": 10}),
                json!({"filename": "a b.png", "content_type": "Image/PNG; x=y", "size": 10, "file": FILE}),
                json!({"filename": "a b.png", "content_type": "Image/PNG; x=y", "size": 10, "file": FILE}),
            ),
            (
                json!({"type": "file", "accept": ["application/pdf", ".png"]}),
                json!({"filename": "a.PNG", "content_type": "x/y", "size": 10, "file": FILE}),
                json!({"filename": "a.PNG", "content_type": "x/y", "size": 10, "file": FILE}),
            ),
        ] {
            let read_once = read(&field, &given);
            assert_eq!(read_once, Ok(expected.clone()), "{field} with {given}");
            assert_eq!(read(&field, &expected), Ok(expected), "{field}: not the same the second time");
        }
    }

    #[test]
    fn every_type_refuses_what_it_should() {
        let choices = json!([{"value": "a"}]);
        for (field, given, expected) in [
            (json!({}), json!(7), "f wrong_type"),
            (json!({}), json!("a\nb"), "f invalid"),
            (json!({}), json!("x".repeat(1001)), "f too_long"),
            (json!({"min_length": 3}), json!("üü"), "f too_short"),
            (json!({"max_length": 2}), json!("üüü"), "f too_long"),
            (json!({"pattern": "[a-z]+"}), json!("ab1"), "f invalid"),
            (json!({"pattern": "a|b"}), json!("ab"), "f invalid"),
            (json!({"type": "multi_line"}), json!("a\u{0}"), "f invalid"),
            (json!({"type": "multi_line"}), json!("x".repeat(50_001)), "f too_long"),
            (json!({"type": "number"}), json!(7.5), "f invalid"),
            (json!({"type": "number"}), json!(true), "f wrong_type"),
            (json!({"type": "number"}), json!("1,000"), "f invalid"),
            (json!({"type": "number"}), json!(NUMBER_MAX + 1), "f invalid"),
            (json!({"type": "number", "min": 5}), json!(4), "f too_small"),
            (json!({"type": "number", "max": 10}), json!(11), "f too_large"),
            (json!({"type": "decimal"}), json!("1.005"), "f invalid"),
            (json!({"type": "decimal"}), json!(0.1 + 0.2), "f invalid"),
            (json!({"type": "decimal"}), json!("1e3"), "f invalid"),
            (json!({"type": "decimal", "min": "9.5"}), json!("-10"), "f too_small"),
            (json!({"type": "decimal", "max": "9.5"}), json!("10"), "f too_large"),
            (json!({"type": "currency", "currency": "JPY"}), json!("1.5"), "f invalid"),
            (json!({"type": "email"}), json!("ann"), "f invalid"),
            (json!({"type": "email"}), json!("a@b@example.com"), "f invalid"),
            (json!({"type": "email"}), json!("ann@example"), "f invalid"),
            (json!({"type": "email"}), json!("ann@-example.com"), "f invalid"),
            (json!({"type": "email"}), json!("ann lee@example.com"), "f invalid"),
            (json!({"type": "email"}), json!("@example.com"), "f invalid"),
            (json!({"type": "phone"}), json!("030 CALL ME"), "f invalid"),
            (json!({"type": "phone"}), json!("+--"), "f invalid"),
            (json!({"type": "url"}), json!("javascript:alert(1)"), "f invalid"),
            (json!({"type": "url"}), json!("java\tscript:alert(1)"), "f invalid"),
            (json!({"type": "url"}), json!("data:text/html,x"), "f invalid"),
            (json!({"type": "url"}), json!("example.com"), "f invalid"),
            (json!({"type": "url"}), json!("mailto:nobody"), "f invalid"),
            (json!({"type": "date"}), json!("2026-02-29"), "f invalid"),
            (json!({"type": "date"}), json!("22.11.2026"), "f invalid"),
            (json!({"type": "date"}), json!("20261122"), "f invalid"),
            (json!({"type": "date"}), json!("2026-11-22T10:00:00Z"), "f invalid"),
            (json!({"type": "date", "min": "2026-01-01"}), json!("2025-12-31"), "f too_small"),
            (json!({"type": "date", "max": "2026-01-01"}), json!("2026-01-02"), "f too_large"),
            (json!({"type": "date_time"}), json!("2026-11-22"), "f invalid"),
            (json!({"type": "date_time"}), json!("2026-11-22T25:00:00Z"), "f invalid"),
            (json!({"type": "date_time"}), json!("2026-11-22T10:00:00[Europe/Paris]"), "f invalid"),
            (json!({"type": "date_time"}), json!("0000-01-01T00:00:00+14:00"), "f invalid"),
            (json!({"type": "time"}), json!("24:00"), "f invalid"),
            (json!({"type": "time"}), json!("9:30"), "f invalid"),
            (json!({"type": "time"}), json!("09:30:01"), "f invalid"),
            (json!({"type": "time", "max": "18:00"}), json!("18:01"), "f too_large"),
            (json!({"type": "dropdown", "choices": choices}), json!("A"), "f invalid"),
            (json!({"type": "radio", "choices": choices}), json!(["a"]), "f wrong_type"),
            (
                json!({"type": "multi_select", "choices": choices}),
                json!(["a", "b", 1]),
                "f.1 invalid, f.2 wrong_type",
            ),
            (json!({"type": "multi_select", "choices": choices}), json!({}), "f wrong_type"),
            (json!({"type": "multi_select", "choices": choices}), json!(vec!["a"; 1001]), "f too_long"),
            (json!({"type": "checkbox"}), json!("true"), "f wrong_type"),
            (json!({"type": "name"}), json!("Ann Lee"), "f wrong_type"),
            (
                json!({"type": "name"}),
                json!({"first": "Ann", "middle": "B"}),
                "f.middle unknown, f.last required",
            ),
            (
                json!({"type": "name"}),
                json!({"first": 1, "last": "x\ny"}),
                "f.first wrong_type, f.last invalid",
            ),
            (json!({"type": "name"}), json!({"first": "x".repeat(201), "last": "y"}), "f.first too_long"),
            (json!({"type": "address"}), json!({"country": "DE"}), "f.line_1 required, f.city required"),
            (json!({"type": "file"}), json!("x"), "f wrong_type"),
            (
                json!({"type": "file"}),
                json!({"filename": "../x", "path": ""}),
                "f.path unknown, f.filename invalid, f.file invalid, f.content_type invalid, f.size invalid",
            ),
            (
                json!({"type": "file", "accept": ["image/*"], "max_bytes": 10}),
                json!({"filename": "x", "content_type": "imagex/png", "size": 11, "file": FILE}),
                "f not_allowed, f too_large",
            ),
        ] {
            assert_eq!(read(&field, &given), Err(expected.to_owned()), "{field} with {given}");
        }
    }

    #[test]
    fn a_pattern_stays_in_its_brackets() {
        assert!(compile("[a-z]+").is_some());
        for bad in ["a)|(?:b", "(", "[", "((a{500}){500}){500}"] {
            assert!(compile(bad).is_none(), "{bad}");
        }
        assert!(!compile("(?m)a").unwrap().is_match("b\na"));
    }
}

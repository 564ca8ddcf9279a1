//! Where in a text each member of a document stands, by its dotted path.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::lint::Fault;
use super::read::at;

/// Byte ranges by dotted path. A member stands where its name stands, an entry of a list where it begins.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, usize>);

impl Places {
    /// Where a path stands, or the nearest thing above it: what is missing stands nowhere.
    pub fn find(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(offset) = self.0.get(path) {
                return *offset;
            }
            match path.rsplit_once('.') {
                Some((above, _)) => path = above,
                None => return 0,
            }
        }
    }
}

/// Line and column, both from one, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// The document in a TOML text, and where its members stand; or everything that is no TOML.
pub(super) fn of_toml(text: &str) -> Result<(Value, Places), Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors
        .into_iter()
        .map(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            Fault::at(text, offset, "", "invalid_toml", error.message())
        })
        .collect();
    let mut reading = Toml { text, places: Places::default(), faults: Vec::new() };
    let value = reading.table(table.get_ref(), "");
    faults.append(&mut reading.faults);
    if faults.is_empty() { Ok((value, reading.places)) } else { Err(faults) }
}

struct Toml<'a> {
    text: &'a str,
    places: Places,
    faults: Vec<Fault>,
}

impl Toml<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Value {
        let mut members = Map::new();
        for (key, value) in table {
            let path = at(path, key.get_ref());
            self.places.0.insert(path.clone(), key.span().start);
            let value = self.value(value.get_ref(), &value.span(), &path);
            members.insert(key.get_ref().to_string(), value);
        }
        Value::Object(members)
    }

    fn value(&mut self, value: &DeValue<'_>, span: &Range<usize>, path: &str) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from(number),
                Err(_) => self.wrong(span, path, "is too large a number"),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) => Value::from(number),
                Err(_) => self.wrong(span, path, "is no number"),
            },
            DeValue::Datetime(_) => self.wrong(span, path, "a date is written as a string"),
            DeValue::Array(items) => {
                let entry = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
                    let path = at(path, &index.to_string());
                    self.places.0.insert(path.clone(), item.span().start);
                    self.value(item.get_ref(), &item.span(), &path)
                };
                Value::Array(items.iter().enumerate().map(entry).collect())
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }

    fn wrong(&mut self, span: &Range<usize>, path: &str, message: &str) -> Value {
        self.faults.push(Fault::at(self.text, span.start, path, "invalid", message));
        Value::Null
    }
}

/// The document in a JSON text, and where its members stand; or why it is no JSON. A name that stands twice in an object is a fault: one of
/// the two would be lost.
pub(super) fn of_json(text: &str) -> Result<(Value, Places), Vec<Fault>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let why = said.split(" at line ").next().unwrap_or("this is no JSON");
        vec![Fault {
            line: error.line(),
            column: error.column().max(1),
            field: String::new(),
            code: "invalid_json".to_owned(),
            message: if text.trim_start().starts_with('{') {
                why.to_owned()
            } else {
                format!("{why}: this is no JSON; only a file called .toml is read as TOML")
            },
        }]
    })?;
    let mut reading =
        Json { text, bytes: text.as_bytes(), at: 0, places: Places::default(), faults: Vec::new() };
    reading.value("");
    if reading.faults.is_empty() { Ok((value, reading.places)) } else { Err(reading.faults) }
}

/// Walks through a text that is known to be JSON, no deeper than the parser that accepted it.
struct Json<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    places: Places,
    faults: Vec<Fault>,
}

impl Json<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, path: &str) {
        match self.peek() {
            Some(b'{') => self.object(path),
            Some(b'[') => self.list(path),
            Some(b'"') => drop(self.string()),
            _ => {
                while self.bytes.get(self.at).is_some_and(|b| !b",]} \t\r\n".contains(b)) {
                    self.at += 1;
                }
            }
        }
    }

    fn object(&mut self, path: &str) {
        self.at += 1;
        while self.peek() == Some(b'"') {
            let start = self.at;
            let name = self.string();
            let path = at(path, &name);
            if self.places.0.insert(path.clone(), start).is_some() {
                self.faults.push(Fault::at(
                    self.text,
                    start,
                    &path,
                    "duplicate",
                    "stands twice in the object",
                ));
            }
            self.takes(b':');
            self.value(&path);
            self.takes(b',');
        }
        self.takes(b'}');
    }

    fn list(&mut self, path: &str) {
        self.at += 1;
        let mut index = 0_usize;
        while self.peek().is_some_and(|byte| byte != b']') {
            let path = at(path, &index.to_string());
            self.places.0.insert(path.clone(), self.at);
            self.value(&path);
            self.takes(b',');
            index += 1;
        }
        self.takes(b']');
    }

    /// The text of a string; a malformed one cannot come here.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                b'"' => break,
                _ => 1,
            };
        }
        self.at += 1;
        self.text.get(start..self.at).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

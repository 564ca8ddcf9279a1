//! The columns of rows that nobody described: inferred while they come, compared with what was there before.
//!
//! Beside the rows' data stand their *cells*: each value as a text that sorts as the value does, so that numbers and moments are ordered right
//! by whatever compares texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// Columns of a table at most; what rows have beyond is kept and not a column.
const COLUMNS_MAX: usize = 200;
/// Characters of a cell.
const CELL_MAX: usize = 200;
/// Characters of the words of a row, which are looked through.
const WORDS_MAX: usize = 4000;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// name of a member; of one in an object `object.member`
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    /// whether a row had nothing there
    pub empty: bool,
    /// when a pull first found it, and last
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// nothing but nothing was seen
    Unknown,
    /// texts
    Text,
    /// whole numbers
    Whole,
    /// numbers
    Decimal,
    /// true and false
    Flag,
    /// dates, `2026-11-22`
    Date,
    /// moments, RFC 3339
    DateTime,
    /// lists
    List,
    /// objects
    Object,
    /// several of these
    Mixed,
}

impl ColumnKind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Flag,
            Value::Number(number) if number.is_i64() || number.is_u64() => Self::Whole,
            Value::Number(_) => Self::Decimal,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
            Value::String(text) if is_date(text) => Self::Date,
            Value::String(text) if moment(text).is_some() => Self::DateTime,
            Value::String(_) => Self::Text,
        }
    }

    /// What both are.
    const fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (Self::Whole | Self::Decimal, Self::Whole | Self::Decimal) if !self.same(other) => Self::Decimal,
            (Self::Text | Self::Date | Self::DateTime, Self::Text | Self::Date | Self::DateTime)
                if !self.same(other) =>
            {
                Self::Text
            }
            (kind, same) if kind.same(same) => kind,
            _ => Self::Mixed,
        }
    }

    const fn same(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Unknown, Self::Unknown)
                | (Self::Text, Self::Text)
                | (Self::Whole, Self::Whole)
                | (Self::Decimal, Self::Decimal)
                | (Self::Flag, Self::Flag)
                | (Self::Date, Self::Date)
                | (Self::DateTime, Self::DateTime)
                | (Self::List, Self::List)
                | (Self::Object, Self::Object)
                | (Self::Mixed, Self::Mixed)
        )
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Text => "text",
            Self::Whole => "whole",
            Self::Decimal => "decimal",
            Self::Flag => "flag",
            Self::Date => "date",
            Self::DateTime => "date_time",
            Self::List => "list",
            Self::Object => "object",
            Self::Mixed => "mixed",
        }
    }

    /// Whether its values are numbers.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Whole | Self::Decimal)
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// A moment, where the text is one: with a date, a time and an offset.
fn moment(text: &str) -> Option<Timestamp> {
    let long = (17..=40).contains(&text.len())
        && text.as_bytes().get(10).is_some_and(|c| matches!(c, b'T' | b't' | b' '));
    let time: jiff::Timestamp = long.then(|| text.parse().ok()).flatten()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

/// What changed in the columns from one pull to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// when the pull ended that found it
    pub at: Timestamp,
    pub column: String,
    pub change: ChangeKind,
    /// the type before
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ColumnKind>,
    /// the type now
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<ColumnKind>,
}

/// What changed about a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// there was none
    New,
    /// no row has it any more
    Gone,
    /// its values are of another type
    Type,
}

/// The columns of a table, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(pub Vec<Column>);

impl Columns {
    /// Takes in what a row has.
    pub fn take(&mut self, row: &Map<String, Value>, now: Timestamp) {
        let values = flat(row);
        for column in &mut self.0 {
            match values.iter().find(|(name, _)| *name == column.name) {
                Some((_, value)) => {
                    column.kind = column.kind.with(ColumnKind::of(value));
                    column.empty |= value.is_null();
                    column.last_seen = now;
                }
                None => column.empty = true,
            }
        }
        for (name, value) in values {
            if self.0.len() < COLUMNS_MAX && !self.0.iter().any(|column| column.name == name) {
                self.0.push(Column {
                    name,
                    kind: ColumnKind::of(value),
                    empty: value.is_null(),
                    first_seen: now,
                    last_seen: now,
                });
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Column> {
        self.0.iter().find(|column| column.name == name)
    }

    /// What a pull makes of what was known before it: the columns now, and what changed. `whole`: it saw every row, so that a column which it
    /// did not see is gone.
    pub fn after(self, before: &Self, whole: bool, now: Timestamp) -> (Self, Vec<Change>) {
        let mut changes = Vec::new();
        // Nothing was known: nothing has changed.
        let first = before.0.is_empty();
        let mut told = |column: &str, change, was, is| {
            if !first {
                changes.push(Change { at: now, column: column.to_owned(), change, was, is });
            }
        };
        let mut all = Vec::new();
        for known in &before.0 {
            match self.get(&known.name) {
                Some(found) => {
                    let kind = if whole && found.kind != ColumnKind::Unknown {
                        found.kind
                    } else {
                        known.kind.with(found.kind)
                    };
                    if kind != known.kind && known.kind != ColumnKind::Unknown {
                        told(&known.name, ChangeKind::Type, Some(known.kind), Some(kind));
                    }
                    let empty = found.empty || (!whole && known.empty);
                    all.push(Column { kind, empty, first_seen: known.first_seen, ..found.clone() });
                }
                None if whole => told(&known.name, ChangeKind::Gone, Some(known.kind), None),
                None => all.push(known.clone()),
            }
        }
        for found in self.0 {
            if before.get(&found.name).is_none() && all.len() < COLUMNS_MAX {
                told(&found.name, ChangeKind::New, None, Some(found.kind));
                all.push(found);
            }
        }
        (Self(all), changes)
    }
}

/// The members of a row, those of objects one level deep as `object.member`.
fn flat(row: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut all = Vec::with_capacity(row.len());
    // No database looks for a name with U+0000 in it.
    let row = row.iter().filter(|(name, _)| !name.contains('\0'));
    for (name, value) in row {
        match value {
            Value::Object(members) if !members.is_empty() => {
                all.extend(members.iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => all.push((name.clone(), value)),
        }
    }
    all
}

/// A number as twenty digits that sort as it does.
fn digits(number: f64) -> String {
    let bits = number.to_bits();
    let ordered = if number.is_sign_negative() { !bits } else { bits | (1 << 63) };
    format!("{ordered:020}")
}

/// A value as a text that sorts as it does; nothing for nothing.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => number.as_f64().map(digits),
        Value::String(text) => Some(match moment(text) {
            Some(moment) => moment.to_string(),
            None => text.to_lowercase().chars().filter(|c| *c != '\0').take(CELL_MAX).collect(),
        }),
        other => Some(other.to_string().chars().take(CELL_MAX).collect()),
    }
}

/// Whether a value comes after another, as cells sort.
pub fn is_after(value: &Value, other: &Value) -> bool {
    match (cell(value), cell(other)) {
        (Some(value), Some(other)) => value > other,
        (value, other) => value.is_some() && other.is_none(),
    }
}

/// The text by which rows are found that have a value in a column.
pub fn cell_of(value: &Value) -> Option<String> {
    cell(value)
}

/// What a column is called among the cells: nothing that either database reads as a path (`$`, `[0]`, a quotation mark) stands in it.
pub fn label(column: &str) -> String {
    format!(":{}", column.replace(['"', '\\'], "'"))
}

/// The cells of a row by the labels of columns, and its words: everything that it says, in small letters.
pub fn cells(row: &Map<String, Value>) -> (BTreeMap<String, String>, String) {
    let mut all = BTreeMap::new();
    let mut words = String::new();
    for (name, value) in flat(row).into_iter().take(COLUMNS_MAX) {
        if let Some(cell) = cell(value) {
            all.insert(label(&name), cell);
        }
        let said = match value {
            Value::Null => continue,
            Value::String(text) => text.to_lowercase(),
            other => other.to_string().to_lowercase(),
        };
        if words.len() < WORDS_MAX {
            words.push_str(&said);
            words.push(' ');
        }
    }
    (all, words.chars().filter(|c| *c != '\0').take(WORDS_MAX).collect())
}

/// How a column is compared with what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// is the same
    Is,
    /// is before it
    Below,
    /// is after it
    Above,
    /// has it somewhere in it
    Has,
}

impl Comparison {
    /// The sign for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::Below => "<",
            Self::Above => ">",
            Self::Has => "~",
        }
    }
}

/// Reads `column=value`, `column<value`, `column>value`, `column~value`: the column, how it is compared, and the value as a cell. `Err` is a
/// sentence.
pub fn wanted(text: &str, columns: &Columns) -> Result<(String, Comparison, String), String> {
    // The longest name that fits: a name may hold a sign.
    let mut known: Vec<&Column> = columns.0.iter().filter(|column| text.starts_with(&column.name)).collect();
    known.sort_by_key(|column| std::cmp::Reverse(column.name.len()));
    for column in known {
        let Some(rest) = text.get(column.name.len()..) else { continue };
        let mut letters = rest.chars();
        let comparison = match letters.next() {
            Some('=') => Comparison::Is,
            Some('<') => Comparison::Below,
            Some('>') => Comparison::Above,
            Some('~') => Comparison::Has,
            _ => continue,
        };
        let value = letters.as_str().trim();
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        let cell = match (comparison, column.kind) {
            (Comparison::Has, _) => Some(value.to_lowercase()),
            (_, kind) if kind.is_number() => Some(
                number
                    .map(digits)
                    .ok_or_else(|| format!("{} has numbers; {value:?} is none.", column.name))?,
            ),
            (_, ColumnKind::Mixed) if number.is_some() => number.map(digits),
            _ => cell(&Value::String(value.to_owned())),
        };
        return Ok((column.name.clone(), comparison, cell.unwrap_or_default()));
    }
    Err("Say a column, one of = < > ~ and a value: Balance>100, DisplayName~acme.".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn columns(rows: &Value, now: i64) -> Columns {
        let mut all = Columns::default();
        for row in rows.as_array().unwrap() {
            all.take(row.as_object().unwrap(), at(now));
        }
        all
    }

    fn kinds(all: &Columns) -> Vec<(&str, &str, bool)> {
        all.0.iter().map(|c| (c.name.as_str(), c.kind.as_str(), c.empty)).collect()
    }

    #[test]
    fn columns_are_inferred() {
        let all = columns(
            &json!([
                {"id": 1, "name": "A", "price": 2, "on": true, "day": "2026-11-22", "at": "2026-11-22T10:00:00+01:00", "tags": [],
                    "home": {"city": "X", "zip": null}, "odd": 1, "none": null},
                {"id": 2, "name": "2026-11-22", "price": 2.5, "on": false, "day": "2026-11-23", "at": "2026-11-22T10:00:00Z", "tags": ["a"],
                    "home": {"city": "Y"}, "odd": "one", "none": null},
            ]),
            1,
        );
        let mut found = kinds(&all);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("at", "date_time", false),
                ("day", "date", false),
                ("home.city", "text", false),
                ("home.zip", "unknown", true),
                ("id", "whole", false),
                ("name", "text", false),
                ("none", "unknown", true),
                ("odd", "mixed", false),
                ("on", "flag", false),
                ("price", "decimal", false),
                ("tags", "list", false),
            ]
        );
    }

    #[test]
    fn what_changed_is_told() {
        let first = columns(&json!([{"id": 1, "name": "A", "old": 1}]), 1);
        let (first, changes) = first.after(&Columns::default(), true, at(1));
        assert_eq!(changes, [], "the first pull changes nothing");
        let second = || columns(&json!([{"id": "1", "name": null, "new": true}]), 2);
        let (whole, changes) = second().after(&first, true, at(2));
        let told: Vec<(&str, ChangeKind)> = changes.iter().map(|c| (c.column.as_str(), c.change)).collect();
        assert_eq!(told, [("id", ChangeKind::Type), ("old", ChangeKind::Gone), ("new", ChangeKind::New)]);
        assert_eq!(kinds(&whole), [("id", "text", false), ("name", "text", true), ("new", "flag", false)]);
        assert_eq!((whole.0[0].first_seen, whole.0[0].last_seen), (at(1), at(2)));
        // Of what changed only, nothing is gone, and what was before is still there.
        let (part, changes) = second().after(&first, false, at(2));
        let told: Vec<(&str, ChangeKind)> = changes.iter().map(|c| (c.column.as_str(), c.change)).collect();
        assert_eq!(told, [("id", ChangeKind::Type), ("new", ChangeKind::New)]);
        assert_eq!(kinds(&part)[0], ("id", "mixed", false));
        assert!(part.get("old").is_some());
    }

    #[test]
    fn cells_sort_as_their_values() {
        let numbers = [-1e300, -2.5, -2.0, -1e-9, 0.0, 1e-9, 2.0, 10.0, 10.5, 1e300];
        let cells: Vec<String> = numbers.iter().map(|number| cell(&json!(number)).unwrap()).collect();
        let mut sorted = cells.clone();
        sorted.sort();
        assert_eq!(cells, sorted);
        assert!(cells.iter().all(|cell| cell.len() == 20 && cell.bytes().all(|b| b.is_ascii_digit())));
        assert_eq!(cell(&json!("2026-11-22T10:00:00+01:00")), cell(&json!("2026-11-22T09:00:00Z")));
        assert!(cell(&json!("2026-11-22T10:00:00+01:00")) < cell(&json!("2026-11-22T09:30:00Z")));
        assert_eq!(cell(&json!("ACME")).as_deref(), Some("acme"));
        assert_eq!(cell(&Value::Null), None);
        let row = json!({"Name": "ACME\u{0} Ltd", "Home": {"City": "X"}, "n": 5, "no": null});
        let (all, words) = super::cells(row.as_object().unwrap());
        assert_eq!(all.keys().collect::<Vec<_>>(), [":Home.City", ":Name", ":n"]);
        assert!(words.contains("acme ltd") && words.contains('x') && words.contains('5'), "{words}");
    }

    #[test]
    fn what_is_wanted_is_read() {
        let all =
            columns(&json!([{"price": 2, "price=x": "y", "name": "A", "at": "2026-11-22T10:00:00Z"}]), 1);
        let read = |text: &str| wanted(text, &all);
        assert_eq!(read("price>10").unwrap(), ("price".to_owned(), Comparison::Above, digits(10.0)));
        assert_eq!(read("price=x=Y").unwrap(), ("price=x".to_owned(), Comparison::Is, "y".to_owned()));
        assert!(read("name ~ A").is_err());
        assert_eq!(read("name~ A").unwrap(), ("name".to_owned(), Comparison::Has, "a".to_owned()));
        assert_eq!(read("at<2026-11-22T11:00:00+01:00").unwrap().2, "2026-11-22T10:00:00.000Z");
        for wrong in ["", "price", "price!1", "none=1", "price>ten"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

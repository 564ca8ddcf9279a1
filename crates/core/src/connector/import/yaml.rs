//! YAML and JSON into a value, within bounds. Aliases are counted as what they stand for, so that a few lines cannot become a gigabyte.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Deepest nesting.
const DEPTH_MAX: usize = 100;
/// Most values, those that aliases repeat included.
const VALUES_MAX: usize = 2_000_000;

/// Reads a text: JSON if it looks like it, else YAML. The error says why and where.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            // It may be YAML that begins with a brace; then YAML's own error is told.
            Err(error) if error.is_syntax() && text.trim_start().starts_with("{\"") => {
                return Err(format!("line {}, column {}: this is no JSON", error.line(), error.column()));
            }
            Err(_) => {}
        }
    }
    let mut reading = Reading { open: Vec::new(), anchors: HashMap::new(), values: 0, done: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            format!("line {}, column {}: {}", error.marker().line(), error.marker().col() + 1, error.info())
        })?;
        reading.take(event).map_err(|why| format!("line {}: {why}", span.start.line()))?;
        if reading.done.is_some() {
            break;
        }
    }
    reading.done.ok_or_else(|| "it is empty".to_owned())
}

enum Open {
    List(usize, Vec<Value>),
    Map(usize, Map<String, Value>, Option<String>),
}

struct Reading {
    open: Vec<Open>,
    /// each with how many values it has, and how deep it is
    anchors: HashMap<usize, (Value, usize, usize)>,
    values: usize,
    done: Option<Value>,
}

impl Reading {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::SequenceStart(anchor, _) => self.begin(Open::List(anchor, Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(Open::Map(anchor, Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let (anchor, value) = match self.open.pop() {
                    Some(Open::List(anchor, items)) => (anchor, Value::Array(items)),
                    Some(Open::Map(anchor, members, _)) => (anchor, Value::Object(members)),
                    None => return Err("something ends that did not begin".to_owned()),
                };
                self.put(anchor, value)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain
                    && tag.is_none_or(|tag| !(tag.is_yaml_core_schema() && tag.suffix == "str"));
                let is_key = matches!(self.open.last(), Some(Open::Map(_, _, None)));
                let value = if plain && !is_key { scalar(&text) } else { Value::String(text.into_owned()) };
                self.put(anchor, value)
            }
            Event::Alias(anchor) => {
                let Some((_, size, depth)) = self.anchors.get(&anchor) else {
                    return Err("an alias stands for nothing".to_owned());
                };
                let (size, depth) = (*size, *depth);
                if self.open.len() + depth > DEPTH_MAX {
                    return Err(format!("it is nested deeper than {DEPTH_MAX}"));
                }
                self.count(size)?;
                let value = self.anchors.get(&anchor).map(|(value, ..)| value.clone()).unwrap_or_default();
                self.put(0, value)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        self.open.push(open);
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(more);
        if self.values > VALUES_MAX { Err(format!("it has more than {VALUES_MAX} values")) } else { Ok(()) }
    }

    fn put(&mut self, anchor: usize, value: Value) -> Result<(), String> {
        self.count(1)?;
        if anchor != 0 {
            let (size, depth) = extent(&value);
            self.count(size)?;
            self.anchors.insert(anchor, (value.clone(), size, depth));
        }
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::List(_, items)) => items.push(value),
            Some(Open::Map(_, members, key)) => match key.take() {
                Some(name) => {
                    members.insert(name, value);
                }
                None => match value {
                    Value::String(name) => *key = Some(name),
                    other => *key = Some(other.to_string()),
                },
            },
        }
        Ok(())
    }
}

/// How many values it has, and how deep it is. It is nowhere deeper than [`DEPTH_MAX`].
fn extent(value: &Value) -> (usize, usize) {
    let of_all = |(size, depth): (usize, usize), value: &Value| {
        let (more, deep) = extent(value);
        (size + more, depth.max(deep))
    };
    let (size, depth) = match value {
        Value::Array(items) => items.iter().fold((0, 0), of_all),
        Value::Object(members) => members.values().fold((0, 0), of_all),
        _ => return (1, 0),
    };
    (size + 1, depth + 1)
}

/// A plain scalar by the core schema of YAML 1.2: `yes` and `no` are words.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if numeric && let Ok(number) = text.parse::<f64>() {
        return serde_json::Number::from_f64(number).map_or_else(|| text.into(), Value::Number);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_and_json_become_the_same() {
        let yaml = "a: &x [1, -2.5, yes, 'no', true, ~]\nb: *x\n\"c\": |\n  line\n  two\n200: {d: !!str 7}\n";
        let list = json!([1, -2.5, "yes", "no", true, null]);
        assert_eq!(read(yaml).unwrap(), json!({"a": list, "b": list, "c": "line\ntwo\n", "200": {"d": "7"}}));
        assert_eq!(read(" {\"a\": [1]}").unwrap(), json!({"a": [1]}));
        assert_eq!(read("{a: 1}").unwrap(), json!({"a": 1}));
        assert!(read("{\"a\": }").unwrap_err().contains("line 1"));
        assert!(read("a: [1\nb: 2").is_err() && read("").is_err() && read("a: *none").is_err());
    }

    #[test]
    fn a_bomb_goes_off_nowhere() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let refs = vec![format!("*a{}", n - 1); 10].join(",");
            let _ = writeln!(bomb, "a{n}: &a{n} [{refs}]");
        }
        assert!(read(&bomb).unwrap_err().contains("values"));
        let mut deep = "a0: &a0 []\n".to_owned();
        for n in 1..5000 {
            let _ = writeln!(deep, "a{n}: &a{n} [[[[*a{}]]]]", n - 1);
        }
        assert!(read(&deep).unwrap_err().contains("deeper"));
        assert!(read(&"[".repeat(10_000)).is_err());
        let nested: Vec<String> = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        let nested = nested.concat();
        assert!(read(&nested).unwrap_err().contains("deeper"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[-a-z0-9:\\[\\]{}&*!|>'\"#, \\n\\t?%@`~]{0,120}") {
            let _ = read(&text);
        }
    }
}

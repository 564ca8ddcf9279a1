//! One field of a form: how its page asks for it, and what is made of the answers. Nothing here reads or writes a store.

use jackfield_core::form::{Choice, Condition, FieldType, Form as Document, FormField};
use jackfield_core::{Error, FieldError, Result, names};
use serde_json::{Value, json};

use crate::console::applications::lines;
use crate::console::form::Fields;
use crate::console::sheet::shown;

/// Types that are offered together.
pub(super) struct Group {
    pub title: &'static str,
    pub kinds: &'static [FieldType],
}

/// All types that can be asked for.
pub(super) const GROUPS: [Group; 6] = [
    Group {
        title: "Text",
        kinds: &[
            FieldType::SingleLine,
            FieldType::MultiLine,
            FieldType::Email,
            FieldType::Phone,
            FieldType::Url,
        ],
    },
    Group { title: "Numbers", kinds: &[FieldType::Number, FieldType::Decimal, FieldType::Currency] },
    Group {
        title: "Choices",
        kinds: &[FieldType::Dropdown, FieldType::Radio, FieldType::MultiSelect, FieldType::Checkbox],
    },
    Group { title: "Dates and times", kinds: &[FieldType::Date, FieldType::DateTime, FieldType::Time] },
    Group { title: "People and places", kinds: &[FieldType::Name, FieldType::Address] },
    Group { title: "Files", kinds: &[FieldType::File] },
];

pub(in crate::console) fn kind_word(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::SingleLine => "Line of text",
        FieldType::MultiLine => "Several lines",
        FieldType::Number => "Whole number",
        FieldType::Decimal => "Decimal",
        FieldType::Currency => "Amount of money",
        FieldType::Email => "E-mail address",
        FieldType::Phone => "Telephone number",
        FieldType::Url => "Link",
        FieldType::Date => "Day",
        FieldType::DateTime => "Day and time",
        FieldType::Time => "Time of day",
        FieldType::Dropdown => "Choice from a list",
        FieldType::Radio => "Choice, all in view",
        FieldType::MultiSelect => "Any number of choices",
        FieldType::Checkbox => "Yes or no",
        FieldType::File => "File",
        FieldType::Name => "Name of a person",
        FieldType::Address => "Postal address",
    }
}

/// The word of a type in documents: `single_line`.
pub(in crate::console) fn kind_name(kind: &FieldType) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

/// The type of that word.
pub(super) fn kind_of(word: &str) -> Option<FieldType> {
    serde_json::from_value(json!(word)).ok()
}

/// In the choice of a condition: the one there is, which is more than a sentence of this page says.
pub(super) const AS_IT_IS: &str = "=";
const MEBIBYTE: u64 = 1024 * 1024;
/// Between the values of a condition, as between those of a cell.
const BETWEEN: char = ';';

/// A choice as a line: `word | what people read`.
fn line_of(choice: &Choice) -> String {
    match &choice.label {
        Some(label) => format!("{} | {label}", choice.value),
        None => choice.value.clone(),
    }
}

/// The choices that were written, one on each line. A line that is as a choice was written stays that choice.
fn choices_of(text: &str, present: &[Choice]) -> Vec<Choice> {
    let one = |line: &str| {
        if let Some(same) = present.iter().find(|choice| line_of(choice) == line) {
            return same.clone();
        }
        match line.split_once(" | ") {
            Some((value, label)) => {
                Choice { value: value.trim().to_owned(), label: Some(label.trim().to_owned()) }
            }
            None => Choice { value: line.to_owned(), label: None },
        }
    };
    lines(text).lines().map(str::trim).filter(|line| !line.is_empty()).map(one).collect()
}

/// A text as a value of a field: a number where it is one, so that documents read as people write them.
fn value_of(kind: FieldType, text: &str) -> Value {
    match kind {
        FieldType::Number => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    }
}

/// What somebody called a choice, as its value.
fn chosen(field: &FormField, text: &str) -> String {
    let named = |choice: &&Choice| choice.value == text || choice.label.as_deref() == Some(text);
    field.choices.iter().find(named).map_or_else(|| text.to_owned(), |choice| choice.value.clone())
}

/// What stands in the inputs of a field that is there.
pub(super) fn inputs_of(document: &Document, field: &FormField) -> Fields {
    let text = |value: &Option<Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut inputs = Fields::default()
        .with("label", field.title())
        .with("name", field.name.as_str())
        .with("help", field.help.clone().unwrap_or_default())
        .with("choices", field.choices.iter().map(line_of).collect::<Vec<_>>().join("\n"))
        .with("min", text(&field.min))
        .with("max", text(&field.max))
        .with("min_length", number(field.min_length))
        .with("max_length", number(field.max_length))
        .with("pattern", field.pattern.clone().unwrap_or_default())
        .with("decimals", number(field.decimals.map(u32::from)))
        .with("currency", field.currency.clone().unwrap_or_default())
        .with("accept", field.accept.join(", "))
        .with("max_bytes", field.max_bytes.map(mebibytes).unwrap_or_default());
    for (name, ticked) in [("required", field.required), ("unique", field.unique)] {
        if ticked {
            inputs = inputs.with(name, "on");
        }
    }
    inputs = match &field.default {
        Some(Value::Bool(true)) => inputs.with("default", "on"),
        Some(Value::Array(items)) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            inputs.with("default", items.join("\n"))
        }
        default => inputs.with("default", text(default)),
    };
    match field.visible_if.as_ref().map(|condition| sentence(document, condition)) {
        None => inputs,
        Some(None) => inputs.with("visible_if.field", AS_IT_IS),
        Some(Some((name, how, value))) => {
            inputs.with("visible_if.field", name).with("visible_if.how", how).with("visible_if.value", value)
        }
    }
}

/// Bytes in the unit in which people say them.
fn mebibytes(bytes: u64) -> String {
    let thousandths = bytes.saturating_mul(1000) / MEBIBYTE;
    // What this page could not say is said to the byte.
    if thousandths.saturating_mul(MEBIBYTE) / 1000 != bytes {
        return format!("{bytes} bytes");
    }
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bytes_of(sent: &Fields, wrong: &mut Vec<FieldError>) -> Option<u64> {
    let text = sent.given("max_bytes")?;
    let exact = text.strip_suffix("bytes").and_then(|number| number.trim().parse().ok());
    let thousandths = || {
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let rest: u64 =
            if rest.is_empty() { 0 } else { format!("{rest:0<3}").parse().ok().filter(|n| *n < 1000)? };
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(rest)?.checked_mul(MEBIBYTE)
    };
    let bytes = exact.or_else(|| thousandths().map(|bytes| bytes / 1000));
    if bytes.is_none() {
        wrong.push(FieldError::new(
            "max_bytes",
            "invalid",
            "Write a number of MiB such as 5 or 0.5, or leave it empty.",
        ));
    }
    bytes
}

/// Media types and endings, as people part them.
fn kinds_of(text: &str) -> Vec<String> {
    let words = text.split([',', ';', '\n', ' ']).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// A condition as field, comparison and values, where it is no more than that.
fn sentence(document: &Document, condition: &Condition) -> Option<(String, &'static str, String)> {
    let name = condition.field.clone()?;
    let field = document.field(&name)?;
    let said = |values: &[Value]| {
        let words: Vec<String> = values
            .iter()
            .map(|value| match value {
                Value::Bool(true) => "yes".to_owned(),
                Value::Bool(false) => "no".to_owned(),
                value => {
                    // Of an amount without its currency.
                    let bare = FormField { currency: None, ..field.clone() };
                    shown(&bare, Some(value))
                }
            })
            .collect();
        (!words.iter().any(|word| word.contains(BETWEEN))).then(|| words.join("; "))
    };
    match condition {
        Condition { is: Some(values), .. } => Some((name, "is", said(values)?)),
        Condition { is_not: Some(values), .. } => Some((name, "is_not", said(values)?)),
        Condition { filled: Some(true), .. } => Some((name, "filled", String::new())),
        Condition { filled: Some(false), .. } => Some((name, "empty", String::new())),
        _ => None,
    }
}

fn condition_of(before: &[FormField], present: Option<&FormField>, sent: &Fields) -> Option<Condition> {
    let name = sent.given("visible_if.field")?;
    if name == AS_IT_IS {
        return present.and_then(|field| field.visible_if.clone());
    }
    let field = before.iter().find(|field| field.name == name);
    let one = |text: &str| {
        let Some(field) = field else { return json!(text) };
        match (field.kind, text.to_lowercase().as_str()) {
            (FieldType::Checkbox, "yes" | "true" | "ticked" | "on") => json!(true),
            (FieldType::Checkbox, "no" | "false" | "off") => json!(false),
            (kind, _) if kind.is_choice() => json!(chosen(field, text)),
            (kind, _) => value_of(kind, text),
        }
    };
    let values = || {
        let texts = sent.get("visible_if.value").split(BETWEEN).map(str::trim);
        Some(texts.filter(|text| !text.is_empty()).map(one).collect::<Vec<_>>())
    };
    let mut condition = Condition { field: Some(name), ..Condition::default() };
    match sent.get("visible_if.how") {
        "is_not" => condition.is_not = values(),
        "filled" => condition.filled = Some(true),
        "empty" => condition.filled = Some(false),
        _ => condition.is = values(),
    }
    Some(condition)
}

/// A name that is free in the form, made of what people read.
pub(super) fn free_name(document: &Document, label: &str) -> String {
    let derived = match names::link_name_or(label, "field") {
        // Every record has these of its own.
        taken if jackfield_core::workflow::RECORD_FACTS.contains(&taken.as_str()) => format!("the_{taken}"),
        name => name,
    };
    let numbered = (1..1000).map(|n| names::numbered(&derived, n));
    numbered.into_iter().find(|name| document.field(name).is_none()).unwrap_or(derived)
}

/// A whole number, or nothing.
fn number<N: std::str::FromStr>(sent: &Fields, name: &str, wrong: &mut Vec<FieldError>) -> Option<N> {
    let text = sent.given(name)?;
    let number = text.parse().ok();
    if number.is_none() {
        wrong.push(FieldError::new(name, "invalid", "Write a whole number, or leave it empty."));
    }
    number
}

/// The field that was described: of this type, behind those `before`, in the place of `present` if there is one.
pub(super) fn field_of(
    document: &Document,
    before: &[FormField],
    present: Option<&FormField>,
    kind: FieldType,
    sent: &Fields,
) -> Result<FormField> {
    let mut wrong = Vec::new();
    let label = sent.given("label");
    if label.is_none() {
        wrong.push(FieldError::new("label", "required", "Say what is asked."));
    }
    let label = label.unwrap_or_default();
    let bound = |name: &str| sent.given(name).filter(|_| kind.is_ordered()).map(|text| value_of(kind, &text));
    let choices = if kind.is_choice() {
        choices_of(sent.get("choices"), present.map_or(&[], |field| &field.choices))
    } else {
        Vec::new()
    };
    let is_amount = matches!(kind, FieldType::Decimal | FieldType::Currency);
    // Rows of a datasource stand in the document; choices that are written here take their place.
    let from = present.filter(|_| kind.is_choice() && choices.is_empty());
    let mut field = FormField {
        choices_from: from.and_then(|field| field.choices_from.clone()),
        name: sent.given("name").unwrap_or_else(|| free_name(document, &label)),
        label: Some(label),
        help: sent.given("help").map(|text| lines(&text)),
        kind,
        required: sent.has("required"),
        unique: sent.has("unique") && kind.can_be_unique(),
        default: None,
        min: bound("min"),
        max: bound("max"),
        min_length: if kind.is_text() { number(sent, "min_length", &mut wrong) } else { None },
        max_length: if kind.is_text() { number(sent, "max_length", &mut wrong) } else { None },
        pattern: sent.given("pattern").filter(|_| kind.is_text() && kind != FieldType::MultiLine),
        choices,
        decimals: if is_amount { number(sent, "decimals", &mut wrong) } else { None },
        currency: sent
            .given("currency")
            .filter(|_| kind == FieldType::Currency)
            .map(|code| code.to_ascii_uppercase()),
        max_bytes: if kind == FieldType::File { bytes_of(sent, &mut wrong) } else { None },
        accept: if kind == FieldType::File { kinds_of(sent.get("accept")) } else { Vec::new() },
        visible_if: condition_of(before, present, sent),
    };
    let default = lines(sent.get("default"));
    field.default = match kind {
        FieldType::Checkbox => sent.has("default").then_some(Value::Bool(true)),
        FieldType::MultiSelect => {
            let items: Vec<String> = default
                .lines()
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| chosen(&field, item))
                .collect();
            (!items.is_empty()).then(|| json!(items))
        }
        kind if kind.is_object() => None,
        kind if kind.is_choice() => sent.given("default").map(|text| json!(chosen(&field, &text))),
        FieldType::MultiLine => (!default.is_empty()).then(|| json!(default)),
        kind => sent.given("default").map(|text| value_of(kind, &text)),
    };
    if wrong.is_empty() { Ok(field) } else { Err(Error::invalid(wrong)) }
}

/// Puts a field into a form: in its place, or behind all others. Where it has a new name, the conditions of others follow it.
pub(super) fn put(document: &mut Document, at: Option<usize>, field: FormField) {
    let Some(place) = at.and_then(|at| document.fields.get_mut(at)) else {
        document.fields.push(field);
        return;
    };
    let (old, new) = (place.name.clone(), field.name.clone());
    *place = field;
    if old != new {
        for field in &mut document.fields {
            if let Some(condition) = &mut field.visible_if {
                rename(condition, &old, &new);
            }
        }
    }
}

fn rename(condition: &mut Condition, old: &str, new: &str) {
    if condition.field.as_deref() == Some(old) {
        condition.field = Some(new.to_owned());
    }
    for inner in condition.all.iter_mut().chain(&mut condition.any).flatten() {
        rename(inner, old, new);
    }
}

/// Whether a condition asks for a field of this name.
pub(super) fn asks_for(condition: &Condition, name: &str) -> bool {
    condition.field.as_deref() == Some(name)
        || condition.all.iter().chain(&condition.any).flatten().any(|inner| asks_for(inner, name))
}

/// What the engine says is wrong with the definition, at the inputs of the page of this field; what is wrong with another field is said under
/// its title.
pub(super) fn at_inputs(document: &Document, at: usize, error: Error) -> Error {
    let place = |wrong: FieldError| {
        let Some(rest) = wrong.field.strip_prefix("definition.fields.") else { return wrong };
        let (index, path) = rest.split_once('.').unwrap_or((rest, ""));
        if index.parse() != Ok(at) {
            let field = index.parse::<usize>().ok().and_then(|index| document.fields.get(index));
            let title = field.map_or_else(|| wrong.field.clone(), |field| field.title().to_owned());
            return FieldError { field: title, ..wrong };
        }
        let (first, more) = path.split_once('.').unwrap_or((path, ""));
        match first {
            "choices" => {
                let line = more.split('.').next().and_then(|index| index.parse::<usize>().ok());
                let message = match line {
                    Some(line) => format!("Line {}: {}", line + 1, wrong.message),
                    None => wrong.message,
                };
                FieldError { field: "choices".to_owned(), message, ..wrong }
            }
            "visible_if" => {
                let input = if more.starts_with("is") { "visible_if.value" } else { "visible_if.field" };
                FieldError { field: input.to_owned(), ..wrong }
            }
            first => FieldError { field: first.to_owned(), ..wrong },
        }
    };
    Error { fields: error.fields.clone().into_iter().map(place).collect(), ..error }
}

/// The inputs of the page of a field, so that every other error is said above.
pub(super) const INPUTS: [&str; 19] = [
    "label",
    "name",
    "help",
    "type",
    "required",
    "unique",
    "default",
    "min",
    "max",
    "min_length",
    "max_length",
    "pattern",
    "choices",
    "decimals",
    "currency",
    "accept",
    "max_bytes",
    "visible_if.field",
    "visible_if.value",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        serde_json::from_value(json!({"fields": [
            {"name": "kind", "label": "Kind", "type": "dropdown", "choices": [{"value": "c", "label": "Company"}, {"value": "a | b"}]},
            {"name": "agree", "type": "checkbox", "default": true},
            {"name": "count", "type": "number", "min": 1, "max": 9, "default": 3, "unique": false},
            {"name": "price", "label": "Price", "type": "currency", "currency": "EUR", "min": "1.50", "help": "In\nlines"},
            {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}, {"value": "y"}], "default": ["y"]},
            {"name": "code", "label": "Code", "required": true, "unique": true, "min_length": 2, "max_length": 9, "pattern": "[A-Z]+",
                "visible_if": {"field": "kind", "is": ["c", "a | b"]}},
            {"name": "more", "label": "More", "visible_if": {"field": "agree", "is_not": [true]}},
            {"name": "deep", "label": "Deep", "visible_if": {"any": [{"field": "agree", "filled": true}, {"field": "count", "is": [2]}]}},
            {"name": "cv", "label": "CV", "type": "file", "accept": ["application/pdf", "image/*", ".docx"], "max_bytes": 1_572_864},
            {"name": "odd", "label": "Odd", "type": "file", "max_bytes": 1001},
            {"name": "last", "label": "Last", "type": "address", "visible_if": {"field": "price", "filled": false}},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_field_comes_back_from_its_page_as_it_was() {
        let document = document();
        document.check().unwrap();
        for (at, field) in document.fields.iter().enumerate() {
            let sent = inputs_of(&document, field);
            let back = field_of(&document, &document.fields[..at], Some(field), field.kind, &sent).unwrap();
            let expected = FormField { label: Some(field.title().to_owned()), ..field.clone() };
            assert_eq!(back, expected);
        }
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, text) in [
            (1, "1 bytes"),
            (524_288, "0.5"),
            (1_048_576, "1"),
            (1_572_864, "1.5"),
            (10_485_761, "10485761 bytes"),
        ] {
            assert_eq!(mebibytes(bytes), text);
            let mut wrong = Vec::new();
            assert_eq!(
                bytes_of(&Fields::default().with("max_bytes", text), &mut wrong),
                Some(bytes),
                "{text}"
            );
        }
        for text in ["x", "1.2345", "-1", "1,5", "99999999999999999999"] {
            let mut wrong = Vec::new();
            assert_eq!(bytes_of(&Fields::default().with("max_bytes", text), &mut wrong), None, "{text}");
            assert_eq!(wrong.len(), 1, "{text}");
        }
        assert_eq!(kinds_of("PDF, .Docx;image/* \n"), ["pdf", ".docx", "image/*"]);
    }

    #[test]
    fn what_does_not_go_with_a_type_is_left_out() {
        let document = document();
        let sent = inputs_of(&document, &document.fields[5]);
        let as_number =
            field_of(&document, &[], Some(&document.fields[5]), FieldType::Number, &sent).unwrap();
        assert_eq!((as_number.min_length, as_number.pattern, as_number.unique), (None, None, true));
    }

    #[test]
    fn a_condition_is_written_in_the_words_of_the_form() {
        let document = document();
        let sent = |field: &str, how: &str, value: &str| {
            let sent = Fields::default()
                .with("label", "X")
                .with("visible_if.field", field)
                .with("visible_if.how", how)
                .with("visible_if.value", value);
            let made = field_of(&document, &document.fields, None, FieldType::SingleLine, &sent).unwrap();
            json!(made.visible_if)
        };
        assert_eq!(sent("kind", "is", "Company; a | b"), json!({"field": "kind", "is": ["c", "a | b"]}));
        assert_eq!(sent("agree", "is", "Yes"), json!({"field": "agree", "is": [true]}));
        assert_eq!(sent("count", "is_not", "4"), json!({"field": "count", "is_not": [4]}));
        assert_eq!(sent("count", "empty", "4"), json!({"field": "count", "filled": false}));
        assert_eq!(sent("", "is", "4"), Value::Null);
    }

    #[test]
    fn names_are_made_of_labels_and_free() {
        let document = document();
        let name = |label: &str| {
            let sent = Fields::default().with("label", label);
            field_of(&document, &[], None, FieldType::SingleLine, &sent).unwrap().name
        };
        assert_eq!(
            [name("Vendor name"), name("Kind"), name("Id"), name("Größe")],
            ["vendor_name", "kind_2", "the_id", "gr_e"]
        );
    }

    #[test]
    fn conditions_follow_a_field_that_is_called_otherwise() {
        let mut document = document();
        let field = FormField { name: "sort".to_owned(), ..document.fields[1].clone() };
        put(&mut document, Some(1), field);
        document.check().unwrap();
        assert!(asks_for(document.fields[7].visible_if.as_ref().unwrap(), "sort"));
    }

    #[test]
    fn errors_stand_at_their_inputs() {
        let wrong = |path: &str| FieldError::new(path, "invalid", "It is wrong.");
        let error = Error::invalid(vec![
            wrong("definition.fields.5.choices.1.value"),
            wrong("definition.fields.5.visible_if.is.0"),
            wrong("definition.fields.5.default.0"),
            wrong("definition.fields.3.min"),
            wrong("name"),
        ]);
        let placed = at_inputs(&document(), 5, error);
        let at: Vec<&str> = placed.fields.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(at, ["choices", "visible_if.value", "default", "Price", "name"]);
        assert_eq!(placed.fields[0].message, "Line 2: It is wrong.");
    }
}

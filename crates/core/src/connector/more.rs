//! Fields that the service itself describes: where it says which further ones an operation takes, and how its description is read.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::document::{Choice, Connector};
use super::modules::{Field, FieldType, Module, Operation};
use super::template::{Template, TemplateError};

/// Choices of one field; of one that has more, none is taken, so that no right value is refused.
const CHOICES_MAX: usize = 1000;
/// Characters of what a service says about a field.
const WORDS_MAX: usize = 300;

/// Where the service itself says which further fields an operation takes, such as those that people made for themselves there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorMoreFields)]
pub struct MoreFields {
    /// The operation that is asked, `module.operation` of the same connector. Each item of a list operation describes a field; of another one
    /// the whole answer is the only item.
    pub operation: String,
    /// Its fields, filled by templates that name fields of this operation: `{object}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, String>,
    /// Templates that name fields of this operation, by JSON pointers in an item: only items in which one of the pointers leads to that text
    /// are taken, such as the table of the description of a whole database. Absent: all.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<String, String>,
    /// JSON pointer in an item to the list, or the object, whose members describe a field each. Absent: an item describes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// JSON pointer in an item, or in a member of `each`, to the name of the field, as the service wants it. The pointers below begin there too.
    pub name: String,
    /// JSON pointer to what people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// JSON pointer to what it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// JSON pointer to the service's word for its type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The service's words for types → ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, FieldType>,
    /// The type where the service's word is not among `types`.
    #[serde(default)]
    pub default_type: FieldType,
    /// The service's words for types → what is sent of a value, as `shape` of a field says it. Absent: the value itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<String, Value>,
    /// JSON pointers, each with the texts to which it leads: where all of them do, the field must be given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required: BTreeMap<String, Vec<String>>,
    /// JSON pointers, each with the texts to which it leads: where one of them does, the field cannot be written, and is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub read_only: BTreeMap<String, Vec<String>>,
    /// The only values accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<MoreChoices>,
    /// The field of this operation, an object, that takes them. Absent: they go beside the others, as members of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// Where an item says which values its field takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorMoreChoices)]
pub struct MoreChoices {
    /// JSON pointer to the list in an item.
    pub at: String,
    /// JSON pointer to the value in a choice; `""` where the choice is the value.
    #[serde(default)]
    pub value: String,
    /// JSON pointer to what people read. Absent: the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// JSON pointers in the item, each with the texts to which it leads: only where all of them do are these the only values. Absent:
    /// always.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<String>>,
}

/// What a service is asked for its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// the fields of the list operation
    pub with: Map<String, Value>,
    /// JSON pointers, each with the text to which it leads in an item that is meant
    wanted: BTreeMap<String, String>,
}

impl Question {
    /// The same for the same question, whatever else is given.
    pub fn key(&self) -> String {
        json!([self.with, self.wanted]).to_string()
    }
}

impl MoreFields {
    /// The operation that is asked, with its module.
    pub fn asks<'c>(&self, connector: &'c Connector) -> Option<(&'c Module, &'c Operation)> {
        let (module, operation) = self.operation.split_once('.')?;
        let module = connector.modules.get(module)?;
        Some((module, module.operations.get(operation)?))
    }

    /// The fields of this operation that it takes to ask.
    pub fn needs(&self) -> BTreeSet<String> {
        let texts = self.with.values().chain(self.wanted.values());
        let parsed = texts.filter_map(|text| Template::parse(text).ok());
        parsed.flat_map(|template| template.names().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// What is asked, where these fields of this operation are given. The error names a field that is missing.
    pub fn question(&self, given: &BTreeMap<String, String>) -> Result<Question, TemplateError> {
        let known = |name: &str| given.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let mut question = Question::default();
        for (name, text) in &self.with {
            question.with.insert(name.clone(), Template::parse(text)?.text(known)?.into());
        }
        for (pointer, text) in &self.wanted {
            question.wanted.insert(pointer.clone(), Template::parse(text)?.text(known)?);
        }
        Ok(question)
    }

    /// The fields that these items describe, each once. What cannot be written is left out, and what has no name.
    pub fn fields(&self, items: &[Value], question: &Question) -> Vec<Field> {
        let mut seen = BTreeSet::new();
        let says = |item: &Value, (pointer, wanted): (&String, &String)| {
            item.pointer(pointer).and_then(text).is_some_and(|said| said == *wanted)
        };
        let wanted = &question.wanted;
        let meant = |item: &&Value| wanted.is_empty() || wanted.iter().any(|rule| says(item, rule));
        let described = items
            .iter()
            .filter(meant)
            .flat_map(|item| self.described_by(item))
            .filter_map(|item| self.field(item));
        described.filter(|field| seen.insert(field.name.clone())).collect()
    }

    /// Whether a description with these fields may be all that there is: where the part that is meant was not found in it, nobody knows.
    pub fn may_be_whole(&self, fields: &[Field]) -> bool {
        self.wanted.is_empty() || !fields.is_empty()
    }

    /// What of an item describes a field each.
    fn described_by<'v>(&self, item: &'v Value) -> Vec<&'v Value> {
        let Some(pointer) = &self.each else { return vec![item] };
        match item.pointer(pointer) {
            Some(Value::Array(members)) => members.iter().collect(),
            Some(Value::Object(members)) => members.values().collect(),
            _ => Vec::new(),
        }
    }

    fn field(&self, item: &Value) -> Option<Field> {
        if self.read_only.iter().any(|rule| leads(item, rule)) {
            return None;
        }
        let words = |pointer: &Option<String>| {
            let said = text(item.pointer(pointer.as_deref()?)?)?;
            let line: Vec<&str> = said.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            let line: String = line.join(" ").trim().chars().take(WORDS_MAX).collect();
            Some(line).filter(|line| !line.is_empty())
        };
        let name = text(item.pointer(&self.name)?)?;
        if !(1..=256).contains(&name.len()) || name.chars().any(char::is_control) {
            return None;
        }
        let kind = self.kind.as_deref().and_then(|pointer| text(item.pointer(pointer)?));
        Some(Field {
            label: words(&self.label),
            help: words(&self.help),
            kind: kind.as_ref().and_then(|kind| self.types.get(kind)).copied().unwrap_or(self.default_type),
            shape: kind.as_ref().and_then(|kind| self.shapes.get(kind)).cloned(),
            required: !self.required.is_empty() && self.required.iter().all(|rule| leads(item, rule)),
            choices: self.choices.as_ref().map(|choices| choices.of(item)).unwrap_or_default(),
            name,
            ..Field::default()
        })
    }
}

impl MoreChoices {
    fn of(&self, item: &Value) -> Vec<Choice> {
        let listed = item.pointer(&self.at).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if listed.len() > CHOICES_MAX || !self.when.iter().all(|rule| leads(item, rule)) {
            return Vec::new();
        }
        let choice = |one: &Value| {
            let value = text(one.pointer(&self.value)?)?;
            let label = self.label.as_deref().and_then(|pointer| text(one.pointer(pointer)?));
            Some(Choice { label: label.filter(|label| *label != value && !label.is_empty()), value })
        };
        let mut seen = BTreeSet::new();
        listed.iter().filter_map(choice).filter(|choice| seen.insert(choice.value.clone())).collect()
    }
}

/// Whether an item says one of these texts there.
fn leads(item: &Value, (pointer, texts): (&String, &Vec<String>)) -> bool {
    item.pointer(pointer).and_then(text).is_some_and(|said| texts.contains(&said))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn more(changes: &Value) -> MoreFields {
        let mut whole = json!({
            "operation": "object.fields", "with": {"object": "{object}"}, "name": "/name", "label": "/label", "type": "/type",
            "types": {"double": "number", "picklist": "string"}, "required": {"/nillable": ["false"], "/defaulted": ["false"]},
            "read_only": {"/writable": ["false"], "/calculated": ["true"]},
            "choices": {"at": "/values", "value": "/v", "label": "/l", "when": {"/type": ["picklist", "radio"]}},
        });
        whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_description_becomes_fields() {
        let items = [
            json!({"name": "Budget__c", "label": "Budget\n(net)", "type": "double", "nillable": false, "defaulted": false}),
            json!({"name": "Kind__c", "label": "", "type": "picklist", "nillable": false, "defaulted": true,
                "values": [{"v": "a", "l": "A"}, {"v": "b", "l": "b"}, {"v": "a", "l": "again"}]}),
            json!({"name": "Tags__c", "type": "multipicklist", "values": [{"v": "a"}]}),
            json!({"name": "Id", "writable": false}),
            json!({"name": "Sum__c", "calculated": true}),
            json!({"name": "Budget__c", "label": "again"}),
            json!({"label": "nameless"}),
            json!({"name": ""}),
            json!("Text"),
        ];
        let fields = more(&json!({})).fields(&items, &Question::default());
        let wanted: Vec<Field> = serde_json::from_value(json!([
            {"name": "Budget__c", "label": "Budget (net)", "type": "number", "required": true},
            {"name": "Kind__c", "choices": [{"value": "a", "label": "A"}, {"value": "b"}]},
            {"name": "Tags__c"},
        ]))
        .unwrap();
        assert_eq!(fields, wanted);
        // Where nothing says what is required, nothing is.
        assert!(!more(&json!({"required": {}})).fields(&items, &Question::default())[0].required);
        // What lists texts lists names.
        assert_eq!(more(&json!({"name": ""})).fields(&items, &Question::default())[0].name, "Text");
    }

    #[test]
    fn more_choices_than_are_kept_are_none() {
        let values: Vec<Value> = (0..=CHOICES_MAX).map(|n| json!({"v": n})).collect();
        let many = |values: &[Value]| {
            more(&json!({}))
                .fields(&[json!({"name": "a", "type": "radio", "values": values})], &Question::default())
        };
        assert_eq!(many(&values)[0].choices.len(), 0);
        assert_eq!(many(&values[1..])[0].choices.len(), CHOICES_MAX);
    }

    #[test]
    fn it_is_asked_with_what_is_given() {
        let more = more(&json!({"with": {"object": "{object}", "kind": "all"}}));
        assert_eq!(more.needs(), BTreeSet::from(["object".to_owned()]));
        let given = |value: &str| BTreeMap::from([("object".to_owned(), value.to_owned())]);
        assert_eq!(
            Value::Object(more.question(&given("Lead")).unwrap().with),
            json!({"object": "Lead", "kind": "all"})
        );
        for missing in [BTreeMap::new(), given("")] {
            assert!(matches!(more.question(&missing), Err(TemplateError::Missing(name)) if name == "object"));
        }
    }

    #[test]
    fn of_a_whole_description_the_part_that_is_meant_is_taken() {
        let more = more(
            &json!({"with": {"base": "{base}"}, "where": {"/id": "{table}", "/title": "{table}"}, "each": "/fields"}),
        );
        assert_eq!(more.needs(), BTreeSet::from(["base".to_owned(), "table".to_owned()]));
        let items = [
            json!({"id": "tbl1", "title": "Orders", "fields": [{"name": "Number"}, {"name": "Sum", "calculated": true}]}),
            json!({"id": "tbl2", "title": "People", "fields": [{"name": "Name"}]}),
            json!({"id": "tbl3", "title": "Empty", "fields": "none"}),
        ];
        let question = |table: &str| {
            let given = [("base", "app1"), ("table", table)];
            more.question(&given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap()
        };
        let names = |table: &str| {
            let fields = more.fields(&items, &question(table));
            fields.into_iter().map(|field| field.name).collect::<Vec<_>>()
        };
        assert_eq!((names("Orders"), names("tbl2")), (vec!["Number".to_owned()], vec!["Name".to_owned()]));
        assert_eq!((names("Empty"), names("orders")), (Vec::new(), Vec::new()));
        assert!(more.may_be_whole(&more.fields(&items, &question("Orders"))));
        assert!(
            !more.may_be_whole(&more.fields(&items, &question("orders"))),
            "a mapping to it is not refused"
        );
        // One description serves both tables, and is not the answer to the same question.
        assert_eq!(question("Orders").with, question("tbl2").with);
        assert_ne!(question("Orders").key(), question("tbl2").key());
        let base = BTreeMap::from([("base".to_owned(), "app1".to_owned())]);
        assert!(matches!(more.question(&base), Err(TemplateError::Missing(name)) if name == "table"));
    }

    #[test]
    fn a_description_may_be_one_object_and_say_in_which_shape_values_are_sent() {
        let more = more(&json!({
            "with": {}, "each": "/properties", "label": null, "default_type": "object",
            "types": {"select": "string", "tags": "list"}, "shapes": {"select": {"select": {"name": "{value}"}}, "tags": [{"id": "{value}"}]},
        }));
        let answer = json!({"id": "db", "properties": {
            "Kind": {"name": "Kind", "type": "select"}, "Tags": {"name": "Tags", "type": "tags"}, "Where": {"name": "Where", "type": "place"},
            "Sum": {"name": "Sum", "type": "number", "calculated": true},
        }});
        let fields = more.fields(&[answer], &Question::default());
        let told: Vec<_> =
            fields.iter().map(|field| (field.name.as_str(), field.kind, field.shape.as_ref())).collect();
        assert_eq!(
            told,
            [
                ("Kind", FieldType::String, Some(&json!({"select": {"name": "{value}"}}))),
                ("Tags", FieldType::List, Some(&json!([{"id": "{value}"}]))),
                ("Where", FieldType::Object, None),
            ]
        );
    }
}

//! Where each value comes from: the table of a service's fields (or those of the record), with a source for each, and what is proposed for
//! those that nobody has said anything about.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::connector;
use jackfield_core::form::{FieldType, Form as Document, FormField};
use jackfield_core::workflow::{Lookup, Mapped, RECORD_FACTS, Shape};
use jackfield_core::{Error, FieldError};
use serde_json::{Value, json};

use crate::console::applications::lines;
use crate::console::form::{Fields, id_of};
use crate::console::forms::field::kind_word;

/// Fields that stand below the others, folded: those of which nothing is said and that nobody requires, where they are more than this.
const UNFOLDED: usize = 6;

/// Fields that a service described and nobody has mapped: more make no page. A document can name them.
const SHOWN: usize = 300;

/// A field that is to have a value.
pub(super) struct Target {
    pub name: String,
    pub title: String,
    pub help: String,
    pub required: bool,
    /// whether the service itself described it, or may have
    further: bool,
    kind: Kind,
    /// value and words of the only values it takes
    choices: Vec<(String, String)>,
}

/// What a service takes, in words.
pub(super) fn type_word(kind: connector::FieldType) -> &'static str {
    use connector::FieldType as F;
    match kind {
        F::String => "Line of text",
        F::Text => "Several lines",
        F::Integer => "Whole number",
        F::Number => "Number",
        F::Boolean => "Yes or no",
        F::Date => "Day",
        F::DateTime => "Day and time",
        F::Email => "E-mail address",
        F::Phone => "Telephone number",
        F::Url => "Link",
        F::Object => "Object",
        F::List => "List",
    }
}

/// What it takes.
enum Kind {
    Service(connector::Field),
    Record(FieldType),
    /// nobody knows it now: the service was not asked
    Unknown,
    /// the operation has no such field any more
    Gone,
}

impl Target {
    pub fn of_service(field: &connector::Field) -> Self {
        let title = field.label.clone().unwrap_or_else(|| field.name.clone());
        let mut choices: Vec<(String, String)> = field
            .choices
            .iter()
            .map(|one| (one.value.clone(), one.label.clone().unwrap_or_else(|| one.value.clone())))
            .collect();
        if field.kind == connector::FieldType::Boolean && choices.is_empty() {
            choices =
                [("true", "Yes"), ("false", "No")].map(|(value, words)| (value.into(), words.into())).into();
        }
        Self {
            name: field.name.clone(),
            title,
            help: field.help.clone().unwrap_or_default(),
            required: field.required,
            further: false,
            kind: Kind::Service(field.clone()),
            choices,
        }
    }

    pub fn of_record(field: &FormField) -> Self {
        let choices = match field.kind {
            FieldType::Checkbox => vec![("true".into(), "Yes".into()), ("false".into(), "No".into())],
            FieldType::MultiSelect => Vec::new(),
            _ => field
                .choices
                .iter()
                .map(|one| (one.value.clone(), one.label.clone().unwrap_or_else(|| one.value.clone())))
                .collect(),
        };
        Self {
            name: field.name.clone(),
            title: field.title().to_owned(),
            help: String::new(),
            required: false,
            further: false,
            kind: Kind::Record(field.kind),
            choices,
        }
    }

    /// A field that the service described.
    pub fn of_description(field: &connector::Field) -> Self {
        Self { further: true, ..Self::of_service(field) }
    }

    /// A field that the service may have described: of a type that was told then, if one was.
    pub fn unconfirmed(name: &str, kind: Option<connector::FieldType>) -> Self {
        match kind {
            Some(kind) => Self::of_description(&connector::Field {
                name: name.to_owned(),
                kind,
                ..connector::Field::default()
            }),
            None => Self { further: true, kind: Kind::Unknown, ..Self::gone(name) },
        }
    }

    fn gone(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: name.to_owned(),
            help: String::new(),
            required: false,
            further: false,
            kind: Kind::Gone,
            choices: Vec::new(),
        }
    }

    /// The type of a field that the service described.
    fn told_type(&self) -> Option<connector::FieldType> {
        match &self.kind {
            Kind::Service(field) if self.further => Some(field.kind),
            _ => None,
        }
    }

    fn type_word(&self) -> &'static str {
        match &self.kind {
            Kind::Gone => "not there any more",
            Kind::Unknown => "Of the service's own",
            Kind::Record(kind) => kind_word(kind),
            Kind::Service(field) => type_word(field.kind),
        }
    }

    fn suits(&self, field: &FormField) -> bool {
        match &self.kind {
            Kind::Service(wanted) => Shape::from(field).suits(wanted.kind),
            Kind::Record(_) | Kind::Gone | Kind::Unknown => true,
        }
    }

    /// A text as a value of this field. What is none stays the text, and is refused with the reason.
    fn value(&self, text: &str) -> Value {
        let document = || serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        match &self.kind {
            Kind::Service(field) => match field.kind {
                connector::FieldType::Object | connector::FieldType::List => document(),
                kind => kind.fit(json!(text)).unwrap_or_else(|_| json!(text)),
            },
            Kind::Record(FieldType::Number) => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            Kind::Record(FieldType::Checkbox) => match text {
                "true" => json!(true),
                "false" => json!(false),
                other => json!(other),
            },
            Kind::Record(FieldType::MultiSelect | FieldType::Name | FieldType::Address) => document(),
            Kind::Record(_) | Kind::Gone | Kind::Unknown => json!(text),
        }
    }
}

/// What a source may be taken from.
pub(super) struct Sources<'a> {
    /// the form that sets it off
    pub form: Option<&'a Document>,
    /// every form of the application: link name, name and document
    pub forms: &'a [(String, String, Document)],
    /// whether there is no record
    pub is_timed: bool,
    /// whether there are datasources
    pub has_rows: bool,
    /// names that expressions know beside the fields of the form
    pub known: &'a [&'a str],
}

/// The options of a choice, under a heading.
pub(super) struct Options {
    heading: &'static str,
    /// value and words
    items: Vec<(String, String)>,
}

/// One field and the source of its value.
pub(super) struct Row {
    index: usize,
    target: Target,
    from: Vec<Options>,
    chosen: String,
    /// the value, text or expression
    what: String,
    /// of a lookup: form and field by which a record is found, what is looked for, form and field that is taken
    by: String,
    is: String,
    take: String,
    proposed: bool,
    errors: Vec<String>,
}

impl Row {
    fn input(&self, part: &str) -> String {
        format!("map.{}.{part}", self.index)
    }

    fn id(&self, part: &str) -> String {
        id_of(&self.input(part))
    }

    fn is_chosen(&self, value: &str) -> bool {
        self.chosen == value
    }

    /// The word for the type of a field that the service described; the form sends it back.
    fn told(&self) -> Option<&'static str> {
        self.target.told_type().map(connector::FieldType::as_str)
    }

    /// Whether it can wait below.
    fn waits(&self) -> bool {
        self.chosen.is_empty() && !self.target.required && self.errors.is_empty()
    }
}

/// `{{ table }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/mapping.html")]
pub(super) struct Table {
    /// `Vendor at Acme QuickBooks`, or `Vendors`
    of: String,
    rows: Vec<Row>,
    /// those that can wait
    rest: Vec<Row>,
    /// how many more the service described
    unseen: usize,
    /// ways to look a record up: heading, and value and words of each
    ways: Vec<(String, Vec<(String, String)>)>,
    takes: Vec<(String, Vec<(String, String)>)>,
    expressions: Vec<String>,
    proposed: usize,
}

impl HtmlSafe for Table {}

/// What stands in the inputs of a row.
#[derive(Default, Clone, PartialEq)]
struct Inputs {
    from: String,
    what: String,
    by: String,
    is: String,
    take: String,
}

impl Inputs {
    fn of(target: &Target, mapped: &Mapped) -> Self {
        let text =
            |from: &str, what: &str| Self { from: from.to_owned(), what: what.to_owned(), ..Self::default() };
        match mapped {
            Mapped::Field(name) => text(&format!("field:{name}"), ""),
            Mapped::Expression(what) => text("expression", what),
            Mapped::Text(what) => text("text", what),
            Mapped::Value(value) => {
                let plain = match value {
                    Value::String(plain) => plain.clone(),
                    other => other.to_string(),
                };
                if target.choices.iter().any(|(choice, _)| *choice == plain) {
                    text(&format!("choice:{plain}"), "")
                } else {
                    text("value", &plain)
                }
            }
            // Written as a document: which columns it has is known once it was pulled.
            Mapped::Lookup(lookup) if lookup.datasource.is_some() => {
                text("row", &serde_json::to_string(lookup).unwrap_or_default())
            }
            Mapped::Lookup(lookup) => Self {
                from: "lookup".to_owned(),
                by: format!("{}.{}", lookup.form, lookup.by),
                is: lookup.is.clone(),
                take: format!("{}.{}", lookup.form, lookup.take),
                ..Self::default()
            },
        }
    }

    fn sent(sent: &Fields, index: usize) -> Self {
        let part = |part: &str| sent.get(&format!("map.{index}.{part}")).to_owned();
        Self {
            from: part("from"),
            what: lines(&part("what")),
            by: part("by"),
            is: part("is"),
            take: part("take"),
        }
    }

    /// What is missing, before the engine looks at the rest: which part, and the mend.
    fn lacks(&self) -> Option<(&'static str, &'static str)> {
        let form = |of: &str| of.split_once('.').map(|(form, _)| form.to_owned());
        match self.from.as_str() {
            "expression" if self.what.trim().is_empty() => {
                Some(("", "Write an expression, such as record.id."))
            }
            "lookup" => match (form(&self.by), form(&self.take)) {
                (Some(_), Some(_)) if self.is.trim().is_empty() => {
                    Some((".lookup.is", "Say what it is looked up by, such as record.email."))
                }
                (Some(by), Some(take)) if by != take => {
                    Some((".lookup.take", "Take a field of the form in which the record is looked up."))
                }
                (Some(_), Some(_)) => None,
                _ => Some((".lookup.by", "Choose what is taken, and by which field the record is found.")),
            },
            _ => None,
        }
    }

    /// What they say; nothing where it is left out.
    fn mapped(&self, target: &Target) -> Option<Mapped> {
        let halves = |text: &str| {
            text.split_once('.').map_or_else(
                || (text.to_owned(), String::new()),
                |(form, field)| (form.to_owned(), field.to_owned()),
            )
        };
        Some(match self.from.as_str() {
            "" => return None,
            "value" => Mapped::Value(target.value(&self.what)),
            "text" => Mapped::Text(self.what.clone()),
            "expression" => Mapped::Expression(self.what.trim().to_owned()),
            "lookup" => {
                let ((form, by), (_, take)) = (halves(&self.by), halves(&self.take));
                Mapped::Lookup(Lookup { form, by, is: self.is.trim().to_owned(), take, datasource: None })
            }
            // What cannot be read names a datasource that nobody has, which the check says.
            "row" => Mapped::Lookup(
                serde_json::from_str(&self.what)
                    .unwrap_or_else(|_| Lookup { datasource: Some(self.what.clone()), ..Lookup::default() }),
            ),
            other => match other.split_once(':') {
                Some(("choice", value)) => Mapped::Value(target.value(value)),
                Some((_, field)) => Mapped::Field(field.to_owned()),
                None => return None,
            },
        })
    }
}

/// The fields of which a form says something, with the types that the service told.
pub(super) fn told_in(sent: &Fields) -> Vec<(String, Option<connector::FieldType>)> {
    let told = |index: usize| serde_json::from_value(json!(sent.get(&format!("map.{index}.type")))).ok();
    names_in(sent).enumerate().map(|(index, name)| (name, told(index))).collect()
}

/// What a form maps to fixed values: with it the service can be asked.
pub(super) fn given_in(sent: &Fields) -> BTreeMap<String, String> {
    let fixed = names_in(sent).enumerate().filter_map(|(index, name)| {
        let inputs = Inputs::sent(sent, index);
        let value = match inputs.from.as_str() {
            "value" => inputs.what,
            other => other.strip_prefix("choice:")?.to_owned(),
        };
        Some((name, value))
    });
    fixed.collect()
}

/// The types of what is mapped, of those fields that the service described.
pub(super) fn types(
    targets: &[Target],
    mapping: &BTreeMap<String, Mapped>,
) -> BTreeMap<String, connector::FieldType> {
    let typed = targets.iter().filter(|target| mapping.contains_key(&target.name));
    typed.filter_map(|target| Some((target.name.clone(), target.told_type()?))).collect()
}

/// The fields of which a form says something, in its order.
fn names_in(sent: &Fields) -> impl Iterator<Item = String> + '_ {
    let inputs = (0..).map(|index| format!("map.{index}.name"));
    inputs.take_while(|input| sent.has(input)).map(|input| sent.get(&input).to_owned())
}

/// What was chosen for each field, in the order of the page.
pub(super) fn read(
    targets: &[Target],
    present: &BTreeMap<String, Mapped>,
    sent: &Fields,
) -> Result<BTreeMap<String, Mapped>, Error> {
    let mut mapping = BTreeMap::new();
    let mut wrong = Vec::new();
    for (index, name) in names_in(sent).enumerate() {
        let name = name.as_str();
        let gone = Target::gone(name);
        let target = targets.iter().find(|target| target.name == name).unwrap_or(&gone);
        let inputs = Inputs::sent(sent, index);
        if let Some((part, message)) = inputs.lacks() {
            wrong.push(FieldError::new(format!("{name}{part}"), "required", message));
        }
        // What was not touched stays as it was, however it was written.
        let same = present.get(name).filter(|mapped| Inputs::of(target, mapped) == inputs);
        if let Some(mapped) = same.cloned().or_else(|| inputs.mapped(target)) {
            mapping.insert(name.to_owned(), mapped);
        }
    }
    if wrong.is_empty() { Ok(mapping) } else { Err(Error::invalid(wrong)) }
}

/// What the table begins with.
pub(super) enum Begins<'a> {
    /// with what is mapped already
    Mapped(&'a BTreeMap<String, Mapped>),
    /// with proposals, beside what is kept of another operation; the words are noise in names: those of the module and the form
    Proposed(&'a BTreeMap<String, Mapped>, &'a [&'a str]),
    /// with what was typed
    Sent(&'a Fields),
}

/// The table. `errors` stand under the names of the fields: `DisplayName.lookup.by`.
pub(super) fn table(
    of: String,
    targets: Vec<Target>,
    begins: &Begins<'_>,
    sources: &Sources<'_>,
    errors: &[FieldError],
) -> Table {
    let proposals = match begins {
        Begins::Proposed(kept, noise) => {
            sources.form.map(|form| propose(&targets, form, kept, noise)).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    };
    let named: Vec<String> = match begins {
        Begins::Mapped(mapped) => mapped.keys().cloned().collect(),
        Begins::Proposed(..) => Vec::new(),
        Begins::Sent(sent) => names_in(sent).collect(),
    };
    let mut targets = targets;
    for name in &named {
        if !targets.iter().any(|target| target.name == *name) {
            targets.push(Target::gone(name));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for target in targets {
        let mut proposed = false;
        let inputs = match begins {
            Begins::Mapped(mapped) => mapped.get(&target.name).map(|mapped| Inputs::of(&target, mapped)),
            Begins::Proposed(kept, _) => match (kept.get(&target.name), proposals.get(&target.name)) {
                (Some(mapped), _) => Some(Inputs::of(&target, mapped)),
                (None, Some(field)) => {
                    proposed = true;
                    Some(Inputs { from: format!("field:{field}"), ..Inputs::default() })
                }
                (None, None) => None,
            },
            Begins::Sent(sent) => {
                named.iter().position(|name| *name == target.name).map(|index| Inputs::sent(sent, index))
            }
        }
        .unwrap_or_default();
        let within = format!("{}.", target.name);
        let at_it =
            errors.iter().filter(|error| error.field == target.name || error.field.starts_with(&within));
        rows.push(Row {
            index: 0,
            from: options(&target, sources, &inputs.from),
            chosen: inputs.from,
            what: inputs.what,
            by: inputs.by,
            is: inputs.is,
            take: inputs.take,
            proposed,
            errors: at_it.map(|error| error.message.clone()).collect(),
            target,
        });
    }
    let (mut first, mut rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| !row.waits());
    if first.len() + rest.len() <= UNFOLDED {
        first.append(&mut rest);
    }
    let (mut many, mut unseen) = (0, 0);
    rest.retain(|row| {
        many += usize::from(row.target.further);
        let kept = !row.target.further || many <= SHOWN;
        unseen += usize::from(!kept);
        kept
    });
    for (index, row) in first.iter_mut().chain(&mut rest).enumerate() {
        row.index = index;
    }
    Table {
        of,
        proposed: first.iter().filter(|row| row.proposed).count(),
        rows: first,
        rest,
        unseen,
        ways: of_forms(sources, |field| field.unique, true),
        takes: of_forms(sources, |_| true, false),
        expressions: sources
            .form
            .iter()
            .flat_map(|form| &form.fields)
            .map(|field| format!("record.{}", field.name))
            .chain(sources.known.iter().map(|name| (*name).to_owned()))
            .collect(),
    }
}

/// The fields of each form that are of this kind, as a choice of `form.field`.
fn of_forms(
    sources: &Sources<'_>,
    fits: impl Fn(&FormField) -> bool,
    by_id: bool,
) -> Vec<(String, Vec<(String, String)>)> {
    let one = |(link, name, form): &(String, String, Document)| {
        let id = by_id.then(|| (format!("{link}.id"), "Id of the record".to_owned()));
        let fields = form.fields.iter().filter(|field| fits(field));
        let fields = fields.map(|field| (format!("{link}.{}", field.name), field.title().to_owned()));
        (name.clone(), fields.chain(id).collect())
    };
    sources.forms.iter().map(one).collect()
}

fn fact_word(fact: &str) -> &'static str {
    match fact {
        "id" => "Id of the record",
        "created_at" => "When it was sent in",
        "updated_at" => "When it was changed last",
        "created_by" => "Id of who sent it in",
        _ => "Its version",
    }
}

/// What can be chosen as a source.
fn options(target: &Target, sources: &Sources<'_>, chosen: &str) -> Vec<Options> {
    let mut all = vec![Options {
        heading: "",
        items: vec![(String::new(), if target.required { "Choose…" } else { "Leave out" }.to_owned())],
    }];
    let mut known = false;
    let mut put = |heading: &'static str, items: Vec<(String, String)>| {
        known |= items.iter().any(|(value, _)| value == chosen);
        if !items.is_empty() {
            all.push(Options { heading, items });
        }
    };
    let fields = sources.form.map_or(&[][..], |form| &form.fields);
    let item = |field: &FormField| {
        (
            format!("field:{}", field.name),
            format!("{} ({})", field.title(), kind_word(&field.kind).to_lowercase()),
        )
    };
    put("Fields of the form", fields.iter().filter(|field| target.suits(field)).map(item).collect());
    let items = target.choices.iter().map(|(value, words)| (format!("choice:{value}"), words.clone()));
    put("Always", items.collect());
    let text = if sources.is_timed { "Text with values in it" } else { "Text with fields in it" };
    let mut other = vec![
        ("text".to_owned(), text.to_owned()),
        ("value".to_owned(), "A fixed value".to_owned()),
        ("expression".to_owned(), "An expression".to_owned()),
    ];
    if !sources.forms.is_empty() {
        let words = if sources.is_timed { "From a record" } else { "From another record" };
        other.push(("lookup".to_owned(), words.to_owned()));
    }
    if sources.has_rows {
        other.push(("row".to_owned(), "From a row of a datasource".to_owned()));
    }
    put("Something else", other);
    if !sources.is_timed {
        let facts = RECORD_FACTS.iter().map(|fact| (format!("field:{fact}"), fact_word(fact).to_owned()));
        put("About the record", facts.collect());
    }
    put("Fields of another kind", fields.iter().filter(|field| !target.suits(field)).map(item).collect());
    if !known && !chosen.is_empty() {
        // What is not there any more stays chosen, and is said to be wrong.
        let name = chosen.split_once(':').map_or(chosen, |(_, name)| name);
        all.push(Options {
            heading: "Not there any more",
            items: vec![(chosen.to_owned(), name.to_owned())],
        });
    }
    all
}

/// The words of a name: `displayName_2` as display, name, 2.
fn words(name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
            if begins {
                all.push(String::new());
            }
            if let Some(word) = all.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    all
}

/// Words that tell no two fields apart.
const NOISE: [&str; 8] = ["display", "full", "primary", "the", "of", "a", "your", "my"];

/// How alike two names are, 0 to 100.
fn alike(left: &str, right: &str, noise: &[&str]) -> usize {
    let (left, right) = (words(left), words(right));
    if left == right || left.concat() == right.concat() {
        return 100;
    }
    let is_noise = |word: &String| {
        let stem = word.trim_end_matches('s');
        NOISE.contains(&word.as_str())
            || noise.iter().any(|noise| noise.trim_end_matches('s').eq_ignore_ascii_case(stem))
    };
    let bare = |words: &[String]| words.iter().filter(|word| !is_noise(word)).cloned().collect::<Vec<_>>();
    let (left, right) = (bare(&left), bare(&right));
    if left.is_empty() || right.is_empty() {
        return 0;
    }
    let shared = left.iter().filter(|word| right.contains(word)).count();
    let most = left.len().max(right.len());
    if shared == most { 90 } else { shared * 80 / most }
}

/// How well a field of the form suits a field of the service, 0 to 100.
fn fit(target: &Target, field: &FormField, noise: &[&str]) -> usize {
    if !target.suits(field) {
        return 0;
    }
    let names = [
        (&target.name, field.name.as_str()),
        (&target.title, field.title()),
        (&target.name, field.title()),
        (&target.title, field.name.as_str()),
    ];
    let by_name = names.iter().map(|(left, right)| alike(left, right, noise)).max().unwrap_or_default();
    let same_kind = match &target.kind {
        Kind::Service(wanted) => matches!(
            (wanted.kind, field.kind),
            (connector::FieldType::Email, FieldType::Email)
                | (connector::FieldType::Phone, FieldType::Phone)
                | (connector::FieldType::Url, FieldType::Url)
        ),
        Kind::Record(_) | Kind::Gone | Kind::Unknown => false,
    };
    by_name.max(if same_kind { 70 } else { 0 })
}

/// Less than this is no proposal.
const ENOUGH: usize = 40;

/// For which fields of the service which fields of the form are proposed: the best first, each once.
fn propose(
    targets: &[Target],
    form: &Document,
    kept: &BTreeMap<String, Mapped>,
    noise: &[&str],
) -> BTreeMap<String, String> {
    let free = targets.iter().filter(|target| !kept.contains_key(&target.name));
    let mut pairs: Vec<(usize, bool, &Target, &FormField)> = free
        .flat_map(|target| {
            form.fields.iter().map(move |field| (fit(target, field, noise), target.required, target, field))
        })
        .filter(|(fit, _, _, _)| *fit >= ENOUGH)
        .collect();
    // Stable: what stands first stays first.
    pairs.sort_by_key(|(fit, required, _, _)| std::cmp::Reverse((*fit, *required)));
    let mut used: Vec<&str> = kept
        .values()
        .filter_map(|mapped| match mapped {
            Mapped::Field(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut proposed = BTreeMap::new();
    for (_, _, target, field) in pairs {
        if proposed.contains_key(&target.name) || used.contains(&field.name.as_str()) {
            continue;
        }
        used.push(&field.name);
        proposed.insert(target.name.clone(), field.name.clone());
    }
    proposed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        let fields: Vec<connector::Field> = serde_json::from_value(json!([
            {"name": "DisplayName", "label": "Display name", "required": true},
            {"name": "PrimaryEmailAddr", "label": "E-mail", "type": "email"},
            {"name": "Balance", "type": "number"},
            {"name": "Active", "type": "boolean"},
            {"name": "Kind", "choices": [{"value": "a", "label": "A"}]},
            {"name": "Tags", "type": "list"},
        ]))
        .unwrap();
        fields.iter().map(Target::of_service).collect()
    }

    fn form() -> Document {
        serde_json::from_value(json!({"fields": [
            {"name": "vendor_name", "label": "Vendor name", "unique": true},
            {"name": "contact", "label": "Contact", "type": "email"},
            {"name": "balance", "label": "Balance", "type": "decimal"},
            {"name": "active", "label": "Active"},
        ]}))
        .unwrap()
    }

    fn of<'a>(form: &'a Document, forms: &'a [(String, String, Document)]) -> Sources<'a> {
        Sources { form: Some(form), forms, is_timed: false, has_rows: false, known: &[] }
    }

    #[test]
    fn names_that_are_alike_are_proposed_where_their_types_suit() {
        let none = BTreeMap::new();
        let proposed = propose(&targets(), &form(), &none, &["vendor", "vendors"]);
        let pair = |target: &str, field: &str| (target.to_owned(), field.to_owned());
        let expected = BTreeMap::from([
            pair("DisplayName", "vendor_name"),
            pair("PrimaryEmailAddr", "contact"),
            pair("Balance", "balance"),
        ]);
        // Active is a text in the form, and wants yes or no.
        assert_eq!(proposed, expected);
        let kept = BTreeMap::from([("Balance".to_owned(), Mapped::Field("vendor_name".to_owned()))]);
        let proposed = propose(&targets(), &form(), &kept, &["vendor"]);
        assert!(!proposed.contains_key("Balance") && !proposed.contains_key("DisplayName"), "{proposed:?}");
    }

    #[test]
    fn words_of_names() {
        assert_eq!(words("PrimaryEmailAddr_2"), ["primary", "email", "addr", "2"]);
        assert_eq!(alike("displayName", "Display name", &[]), 100);
        assert_eq!(alike("Phone", "Fax", &[]), 0);
        assert!(alike("MailingCity", "city", &[]) >= ENOUGH);
    }

    /// What a browser sends of a table that nobody has touched.
    fn sent_of(table: &Table) -> Fields {
        let mut sent = Fields::default();
        for row in table.rows.iter().chain(&table.rest) {
            for (part, value) in [
                ("name", &row.target.name),
                ("from", &row.chosen),
                ("what", &row.what),
                ("by", &row.by),
                ("is", &row.is),
                ("take", &row.take),
            ] {
                sent = sent.with(&row.input(part), value.as_str());
            }
            if let Some(told) = row.told() {
                sent = sent.with(&row.input("type"), told);
            }
        }
        sent
    }

    #[test]
    fn what_was_not_touched_stays_as_it_was_written() {
        // A number where a text is wanted, and the other way round: the table shows both as people write them, and would read them otherwise.
        let present: BTreeMap<String, Mapped> =
            serde_json::from_value(json!({"DisplayName": {"value": 7}, "Balance": {"value": "5"}})).unwrap();
        let form = form();
        let sources = of(&form, &[]);
        let sent = sent_of(&table("Vendor".to_owned(), targets(), &Begins::Mapped(&present), &sources, &[]));
        assert_eq!(read(&targets(), &present, &sent).unwrap(), present);
        let anew = read(&targets(), &BTreeMap::new(), &sent).unwrap();
        assert_ne!(anew, present, "else nothing is shown by this");
        // One that was touched is read as it stands; the other stays.
        let name = (0..9)
            .map(|index| format!("map.{index}"))
            .find(|row| sent.get(&format!("{row}.name")) == "DisplayName");
        let what = format!("{}.what", name.unwrap());
        let touched = read(&targets(), &present, &sent.without(&what).with(&what, "8")).unwrap();
        assert_eq!(
            (touched.get("DisplayName"), touched.get("Balance")),
            (Some(&Mapped::Value(json!("8"))), present.get("Balance"))
        );
    }

    #[test]
    fn a_mapping_comes_back_from_its_table_as_it_was() {
        let mapping: BTreeMap<String, Mapped> = serde_json::from_value(json!({
            "DisplayName": {"field": "vendor_name"},
            "PrimaryEmailAddr": {"text": "{{ record.contact }}"},
            "Balance": {"value": 5},
            "Active": {"value": true},
            "Kind": {"value": "a"},
            "Tags": {"lookup": {"form": "vendors", "by": "vendor_name", "is": "record.contact", "take": "balance"}},
            "Old": {"expression": "record.id"},
        }))
        .unwrap();
        let form = form();
        let forms = [("vendors".to_owned(), "Vendors".to_owned(), form.clone())];
        let sources = of(&form, &forms);
        let table = table("Vendor".to_owned(), targets(), &Begins::Mapped(&mapping), &sources, &[]);
        let sent = sent_of(&table);
        assert_eq!(read(&targets(), &BTreeMap::new(), &sent).unwrap(), mapping);
        let html = table.render().unwrap();
        assert!(html.contains("Not there any more") || html.contains("not there any more"), "{html}");
        assert!(html.contains("Fields of another kind"), "{html}");
    }

    #[test]
    fn what_the_service_described_stands_beside_the_others() {
        let described: Vec<connector::Field> = serde_json::from_value(json!([
            {"name": "Budget__c", "label": "Budget <b>", "type": "number", "required": true},
            {"name": "Stage__c", "choices": [{"value": "new", "label": "New"}]},
        ]))
        .unwrap();
        let mut all = targets();
        all.extend(described.iter().map(Target::of_description));
        all.push(Target::unconfirmed("Old__c", Some(connector::FieldType::Boolean)));
        all.push(Target::unconfirmed("Older__c", None));
        let mapping: BTreeMap<String, Mapped> = serde_json::from_value(json!({
            "DisplayName": {"field": "vendor_name"}, "Budget__c": {"value": 5}, "Old__c": {"value": true}, "Older__c": {"value": "x"},
            "Stage__c": {"value": "new"}, "Kind": {"value": "a"},
        }))
        .unwrap();
        let form = form();
        let table = table("X".to_owned(), all, &Begins::Mapped(&mapping), &of(&form, &[]), &[]);
        let sent = sent_of(&table);
        let html = table.render().unwrap();
        for part in [
            "Budget &#60;b&#62;",
            "value=\"number\"",
            "value=\"choice:new\" selected",
            "Of the service&#39;s own",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("not there any more"), "{html}");
        let told = told_in(&sent);
        assert!(told.contains(&("Budget__c".to_owned(), Some(connector::FieldType::Number))), "{told:?}");
        assert!(
            told.contains(&("Older__c".to_owned(), None)) && told.contains(&("DisplayName".to_owned(), None))
        );
        let given = given_in(&sent);
        assert_eq!(given.get("Kind").map(String::as_str), Some("a"));
        assert!(!given.contains_key("DisplayName"), "{given:?}");
        // As it comes back it is what it was, with what was told of its types.
        let back: Vec<Target> =
            told.into_iter().map(|(name, kind)| Target::unconfirmed(&name, kind)).collect();
        let read = read(&back, &BTreeMap::new(), &sent).unwrap();
        assert_eq!(read.get("Budget__c"), mapping.get("Budget__c"));
        let types = types(&back, &read);
        let wanted = [
            ("Budget__c", connector::FieldType::Number),
            ("Old__c", connector::FieldType::Boolean),
            ("Stage__c", connector::FieldType::String),
        ];
        assert_eq!(types, wanted.map(|(name, kind)| (name.to_owned(), kind)).into());
    }

    #[test]
    fn a_page_shows_so_many_that_nobody_has_mapped() {
        let many = (0..SHOWN + 9).map(|n| Target::unconfirmed(&format!("F{n}__c"), None)).collect();
        let mapping: BTreeMap<String, Mapped> =
            serde_json::from_value(json!({"F308__c": {"value": 1}})).unwrap();
        let table = table("X".to_owned(), many, &Begins::Mapped(&mapping), &of(&form(), &[]), &[]);
        assert_eq!((table.rows.len(), table.rest.len(), table.unseen), (1, SHOWN, 8));
        assert!(table.render().unwrap().contains("8 more"));
    }

    #[test]
    fn where_there_is_no_record_none_of_its_values_is_offered() {
        let none = BTreeMap::new();
        let forms = [("vendors".to_owned(), "Vendors".to_owned(), form())];
        let timed = Sources { form: None, forms: &forms, is_timed: true, has_rows: true, known: &["tick"] };
        let html = |sources: &Sources<'_>| {
            table("X".to_owned(), targets(), &Begins::Mapped(&none), sources, &[]).render().unwrap()
        };
        let there = html(&timed);
        for absent in ["value=\"field:", "About the record", "another record"] {
            assert!(!there.contains(absent), "{absent}: {there}");
        }
        for present in ["From a record", "From a row of a datasource", "<option value=\"tick\">"] {
            assert!(there.contains(present), "{present}: {there}");
        }
        let bare = html(&Sources { forms: &[], has_rows: false, ..timed });
        assert!(!bare.contains("value=\"lookup\"") && !bare.contains("value=\"row\""), "{bare}");
        let form = form();
        assert!(html(&of(&form, &forms)).contains("About the record"));
    }

    #[test]
    fn what_is_wrong_stands_at_its_row_and_is_escaped() {
        let form = form();
        let sources = of(&form, &[]);
        let errors = [FieldError::new("DisplayName", "required", "\"><script> is required.")];
        let none = BTreeMap::new();
        let html =
            table("X".to_owned(), targets(), &Begins::Mapped(&none), &sources, &errors).render().unwrap();
        assert!(
            html.contains("is required.")
                && html.contains("aria-invalid=\"true\"")
                && !html.contains("<script>"),
            "{html}"
        );
    }

    #[test]
    fn a_lookup_takes_from_the_form_in_which_it_looks() {
        let sent = Fields::default()
            .with("map.0.name", "Kind")
            .with("map.0.from", "lookup")
            .with("map.0.by", "vendors.id")
            .with("map.0.is", "record.contact")
            .with("map.0.take", "others.name")
            .with("map.1.name", "Tags")
            .with("map.1.from", "lookup")
            .with("map.2.name", "Active")
            .with("map.2.from", "expression");
        let error = read(&targets(), &BTreeMap::new(), &sent).unwrap_err();
        let at: Vec<&str> = error.fields.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(at, ["Kind.lookup.take", "Tags.lookup.by", "Active"]);
    }
}
